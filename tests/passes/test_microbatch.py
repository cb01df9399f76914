"""Micro-batches: two copies of a model that take turns, told apart by thread, lane, range or direction."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import pytest

from tests.build import Ev, module
from traceir.ir import Module
from traceir.passing import PassManager

ATTENTION, EXPERTS = "ngAg", "ngrMMc"
KERNELS = {
    "n": "rms_norm_kernel", "g": "nvjet_tst_64x8", "A": "flash_fwd_kernel", "r": "topkGating", "M": "fused_moe_kernel",
    "c": "moe_sum_kernel", "R": "ncclDevKernel_AllReduce_Sum_bf16_RING_LL", "B": "flash_bwd_dq_dk_dv_kernel",
    "E": "embedding_kernel", "Z": "sampling_kernel", "a": "silu_and_mul_kernel",
    "S": "softmax_warp_backward", "O": "multi_tensor_adam_kernel",
}  # fmt: skip


@attrs.define
class Score:
    """Device work by lane with the thread that launched it, and the copy and layer that it is of."""

    events: list[Ev] = attrs.field(factory=list)
    truth: dict[int, tuple[int, int]] = attrs.field(factory=dict)
    """Copy and layer of an event's id."""
    free: dict[str, int] = attrs.field(factory=dict)
    host: int = 0

    def play(
        self, letters: str, copy: int, layer: int, *, lane: str, thread: str, dur: int = 100, after: int = 0
    ) -> int:
        """Run kernels on a lane; when the last one ends."""
        for letter in letters:
            call = len(self.events)
            self.host += 1
            self.events.append(Ev("rt.launch", "cudaLaunchKernel", self.host, 1, thread))
            start = max(self.free.get(lane, 1000), after, self.host)
            if layer >= 0:
                self.truth[len(self.events)] = copy, layer
            self.events.append(Ev("dev.kernel", KERNELS[letter], start, dur, lane, launch=call))
            self.free[lane] = start + dur
        return self.free[lane]

    def module(self) -> Module:
        return module(self.events)


def by_lanes(layers: int, shift: int) -> Score:
    """Each copy on a stream of its own, all-reduces in line; the second begins `shift` ns later."""
    score = Score(free={"gpu0.s1": 1000, "gpu0.s2": 1000 + shift})
    for layer in range(layers):
        for copy in (0, 1):
            lane = f"gpu0.s{copy + 1}"
            for block in (ATTENTION, EXPERTS):
                score.play(block, copy, layer, lane=lane, thread="cpu.main")
                score.play("R", copy, layer, lane=lane, thread="cpu.main", dur=300)
    return score


def by_turns(layers: int) -> Score:
    """Two threads take turns on one stream; communication on another, hidden by the other one's block."""
    score = Score()
    done = {0: 0, 1: 0}
    for layer in range(layers):
        for block in (ATTENTION, EXPERTS):
            for copy in (0, 1):
                end = score.play(block, copy, layer, lane="gpu0.s1", thread=f"cpu.t{copy}", after=done[copy])
                done[copy] = score.play("R", copy, layer, lane="gpu0.s2", thread=f"cpu.t{copy}", dur=250, after=end)
    return score


def both_directions(layers: int) -> Score:
    """The forward pass of one micro-batch and the backward pass of another, by two threads, on one stream."""
    score = Score()
    score.play("E", 0, -1, lane="gpu0.s1", thread="cpu.forward")
    score.play("Sgg", 1, -1, lane="gpu0.s1", thread="cpu.backward")
    for layer in range(layers):
        score.play("ngAgngag", 0, layer, lane="gpu0.s1", thread="cpu.forward")
        score.play("ggagnggBggn", 1, layer, lane="gpu0.s1", thread="cpu.backward")
    score.play("ngS", 0, -1, lane="gpu0.s1", thread="cpu.forward")
    score.play("EOO", 1, -1, lane="gpu0.s1", thread="cpu.backward")
    return score


def found(item: Module, text: str = "microbatch") -> tuple[Module, Any, Any]:
    manager = PassManager.parse(text)
    result = manager.run(item)
    reports = manager.reports(result)
    return result, reports["microbatch"], reports["group"]


def owners(item: Module) -> dict[int, tuple[int, int]]:
    """The micro-batch and layer of each event, by id."""
    tree, layers = item.tree("microbatches"), item.tree("layers")
    at = layers.at("layer")
    rows = np.flatnonzero((tree.leaf >= 0) & (at >= 0))
    index = layers.regions["index"]
    return {int(item["id"][r]): (int(tree.regions["index"][tree.leaf[r]]), int(index[at[r]])) for r in rows.tolist()}


@pytest.mark.parametrize(
    ("score", "how"),
    [(by_lanes(12, 700), "lane"), (by_turns(12), "turns"), (both_directions(12), "turns")],
    ids=["lanes", "turns", "directions"],
)
def test_copies_are_told_apart_kernel_by_kernel(score: Score, how: str) -> None:
    """Each has its layers, and every kernel its own copy and layer."""
    item, report, _ = found(score.module())
    assert [one.how for one in report.sets] == [how]
    assert [batch.layers for batch in report.sets[0].batches] == [12, 12]
    assert owners(item) == score.truth


def test_the_distance_of_the_copies_is_measured() -> None:
    """In ns and in layers of the first."""
    _, report, _ = found(by_lanes(12, 700).module())
    first, second = report.sets[0].batches
    assert (first.offset_ns, first.offset_layers) == (None, None)
    pitch = (len(ATTENTION) + len(EXPERTS)) * 100 + 2 * 300
    assert (second.offset_ns, second.offset_layers) == (700, round(700 / pitch, 3))


@pytest.mark.parametrize("score", [by_lanes(6, 700), by_lanes(6, 150), by_turns(6)], ids=["half", "little", "turns"])
def test_who_hides_whose_communication(score: Score) -> None:
    """To the ns, against counting instants one by one; layer by layer, and in all."""
    item, report, _ = found(score.module())
    compute: dict[int, set[int]] = {0: set(), 1: set()}
    comm: dict[tuple[int, int], set[int]] = {}
    for row in range(len(item)):
        place = score.truth.get(int(item["id"][row]))
        if place is None:
            continue
        instants = set(range(int(item["ts"][row]), int(item.end[row])))
        if item.text("infer.class")[row] == "comm":
            comm.setdefault(place, set()).update(instants)
        else:
            compute[place[0]] |= instants
    wanted = {
        place: (
            len(ns),
            len(ns & compute[1 - place[0]]),
            len(ns & compute[place[0]]),
            len(ns - compute[0] - compute[1]),
        )
        for place, ns in comm.items()
    }
    layers = item.tree("layers")
    stacks = [int(item.tree("microbatches").regions["index"][item["tree.microbatches"][layers.events(int(s))[0]]])
              for s in layers.of_kind("stack")]  # fmt: skip
    copy = dict(zip(layers.of_kind("stack").tolist(), stacks, strict=True))
    got = {
        (copy[int(layers.parent[region])], int(layers.regions["index"][region])): tuple(values)
        for region, *values in zip(
            *(item[f"microbatch.{name}"].tolist() for name in
              ("layer", "layer_comm_ns", "layer_by_others_ns", "layer_by_own_ns", "layer_exposed_ns")), strict=True
        )
    }  # fmt: skip
    assert got == wanted
    for number, batch in enumerate(report.sets[0].batches):
        mine = [values for (which, _), values in wanted.items() if which == number]
        assert (batch.comm_ns, batch.by_others_ns, batch.by_own_ns, batch.exposed_ns) == tuple(
            map(sum, zip(*mine, strict=True))
        )


def test_passes_one_after_the_other_are_no_micro_batches() -> None:
    """Nor are two threads of which one begins when the other has ended, as in training."""
    score = Score()
    for copy in (0, 1):
        for layer in range(8):
            score.play("ngAgngag", copy, layer, lane="gpu0.s1", thread=f"cpu.t{copy}")
    item, report, group = found(score.module())
    assert report.sets == ()
    assert (item["group.microbatch"] == np.iinfo(np.uint32).max).all()
    assert sum(stack.layers for stack in group.stacks) == 16


def test_ranges_that_say_micro_batch_go_before_threads() -> None:
    """Of one thread; the number in the range is the key."""
    score = Score()
    for layer in range(6):
        for block in ("ngAg", "ngag"):
            for copy in (0, 1):
                start = score.host
                score.play(block, copy, layer, lane="gpu0.s1", thread="cpu.main")
                score.events.append(Ev("host.range", f"micro_batch_{copy}", start, score.host - start + 1, "cpu.main"))
                score.host += 2
    item, report, _ = found(score.module())
    assert [one.how for one in report.sets] == ["turns"]
    assert owners(item) == score.truth


def test_a_sequence_of_forward_passes_of_two_models_is_none() -> None:
    """A draft and its target alternate in time, and never run at once."""
    score = Score()
    for _ in range(4):
        for layers in (3, 9):
            score.play("E", 0, -1, lane="gpu0.s1", thread="cpu.main")
            for layer in range(layers):
                score.play("ngAgngag", 0, layer, lane="gpu0.s1", thread="cpu.main")
            score.play("ngZ", 0, -1, lane="gpu0.s1", thread="cpu.main")
    _, report, _ = found(score.module())
    assert report.sets == ()


@pytest.mark.parametrize("name", ["sgl_dec", "sgl_pd", "vllm_pw", "b200", "qwen_h100", "bert_h100", "nccl"])
def test_real_traces_of_one_batch_have_none(load_shared: Any, name: str) -> None:
    """None of them runs micro-batches."""
    _, report, _ = found(load_shared(name))
    assert report.sets == ()
