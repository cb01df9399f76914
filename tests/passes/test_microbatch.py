"""Micro-batches: two copies of a model that take turns, told apart by thread, lane, range or direction."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given

from tests.build import Ev, module
from traceir.ir import Module
from traceir.passing import PassContext, PassManager
from traceir.passing.promises import apply
from traceir.testing import assert_sound, modules
from traceir_passes.microbatch import Microbatch
from traceir_passes.microbatch.joint import copies_in

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


def accumulated(batches: int, layers: int) -> Score:
    """Passes of one step in order: forward by one thread, backward by another, once for each batch of gradients."""
    score = Score()
    for _ in range(batches):
        for layer in range(layers):
            score.play("ngAgngag", 0, layer, lane="gpu0.s1", thread="cpu.main")
        score.play("ngS", 0, -1, lane="gpu0.s1", thread="cpu.main")
        score.play("Sgg", 0, -1, lane="gpu0.s1", thread="cpu.autograd")
        for layer in range(layers):
            score.play("ggagnggBggn", 0, layer, lane="gpu0.s1", thread="cpu.autograd")
    score.play("EOO", 0, -1, lane="gpu0.s1", thread="cpu.autograd")
    score.events.append(Ev("host.range", "ProfilerStep#3", 0, score.host + 1, "cpu.main"))
    return score


def test_accumulated_gradients_are_no_micro_batches_at_once() -> None:
    """Forward and backward passes take turns six times, and none runs beside another."""
    item, report, group = found(accumulated(3, 8).module())
    assert report.sets == ()
    assert (item["group.microbatch"] == np.iinfo(np.uint32).max).all()
    assert [(stack.layers, stack.template) for stack in group.stacks] == 3 * [
        (8, "attention+mlp"),
        (8, "attention_backward"),
    ]


@pytest.mark.parametrize("numbers", [range(8), [0, 1] * 8], ids=["each its number", "two numbers in turn"])
def test_marked_micro_batches_one_after_the_other_are_passes_of_their_own(numbers: Sequence[int]) -> None:
    """The range of each is the border of its pass, however often the numbers change; they run at no time together."""
    score = Score()
    for number in numbers:
        start = score.host
        for layer in range(6):
            score.play("ngAgngag", 0, layer, lane="gpu0.s1", thread="cpu.main")
        score.events.append(Ev("host.range", f"micro_batch_{number}", start, score.host - start + 1, "cpu.main"))
        score.host += 2
    _, report, group = found(score.module())
    assert report.sets == report.joint == ()
    assert [stack.layers for stack in group.stacks] == [6] * len(numbers)


def test_backward_passes_outside_the_ranges_are_grouped_too() -> None:
    """The range is around the forward pass alone; another thread launches the backward pass after it."""
    score = Score()
    for number in range(4):
        start = score.host
        for layer in range(6):
            score.play("ngAgngag", 0, layer, lane="gpu0.s1", thread="cpu.main")
        score.events.append(Ev("host.range", f"micro_batch_{number}", start, score.host - start + 1, "cpu.main"))
        score.host += 2
        score.play("Sgg", 0, -1, lane="gpu0.s1", thread="cpu.autograd")
        for layer in range(6):
            score.play("ggagnggBggn", 0, layer, lane="gpu0.s1", thread="cpu.autograd")
    item, report, group = found(score.module())
    assert report.sets == report.joint == ()
    assert [(stack.layers, stack.template) for stack in group.stacks] == 4 * [
        (6, "attention+mlp"),
        (6, "attention_backward"),
    ]
    assert set(item["group.microbatch"].tolist()) == {0, 1, 2, 3, np.iinfo(np.uint32).max}


def one_thread(blocks: Sequence[str], copies: int, layers: int = 12) -> Score:
    """Copies in turns, block by block, on one stream by one thread, with no range around them."""
    score = Score()
    for layer in range(layers):
        for block in blocks:
            for copy in range(copies):
                score.play(block, copy, layer, lane="gpu0.s1", thread="cpu.main")
    return score


@pytest.mark.parametrize(
    ("blocks", "copies"),
    [
        (("ngAg", "ngrMMc"), 2),
        (("ngAgR", "ngagR"), 2),
        (tuple("ngAgngag"), 2),
        (("ngAg", "ngag"), 3),
    ],
    ids=["blocks", "with all-reduces", "kernel by kernel", "three"],
)
def test_copies_that_nothing_tells_apart_are_said_to_be_such(blocks: Sequence[str], copies: int) -> None:
    """No set is made up; their number, their joint layers and the joint period are told, in a remark too."""
    context = PassContext()
    manager = PassManager.parse("microbatch")
    item = manager.run(one_thread(blocks, copies).module(), context)
    report: Any = manager.reports(item)["microbatch"]
    kernels = copies * len("".join(blocks))
    assert report.sets == ()
    [one] = report.joint
    assert (one.layers, one.copies, one.kernels, one.period_ns) == (12, copies, kernels, 100 * kernels)
    [said] = [remark.message for remark in context.remarks if remark.source == "microbatch"]
    assert "the split is not unique; the joint period" in said
    [block] = report.blocks()
    assert block.rows[0][1] == str(copies)


def test_copies_out_of_step_are_seen_too() -> None:
    """The second one runs half a layer behind, so a period begins amid its layer."""
    score = Score()
    for layer in range(13):
        for block, copy, shift in (("ngAg", 0, 0), ("ngag", 1, 1), ("ngag", 0, 0), ("ngAg", 1, 0)):
            if layer >= shift and layer - shift < 12:
                score.play(block, copy, layer - shift, lane="gpu0.s1", thread="cpu.main")
    _, report, _ = found(score.module())
    assert [one.copies for one in report.joint] == [2]


def runs(body: str, copies: int) -> set[str]:
    """All ways to run copies of a body into each other, from the textbook's recursion."""

    def mixed(left: str, right: str) -> set[str]:
        if not left or not right:
            return {left + right}
        return {left[0] + rest for rest in mixed(left[1:], right)} | {
            right[0] + rest for rest in mixed(left, right[1:])
        }

    out = {body}
    for _ in range(copies - 1):
        out = {text for before in out for text in mixed(before, body)}
    return out


@pytest.mark.parametrize(("body", "copies"), [("ngAg", 2), ("ngAgag", 2), ("gAg", 3)])
def test_each_run_of_copies_into_each_other_is_seen(body: str, copies: int) -> None:
    """All but those that are the same layer several times over, which are layers that follow each other."""
    for text in runs(body, copies):
        cyclic = (text + text).find(text, 1) < len(text)
        assert (copies_in(text.encode()) > 1) != cyclic, text


@pytest.mark.parametrize(
    "body",
    ["ngpkAgngag", "ngAgngAgngag", "nggLLnggngag", "ngAgngag" * 2, "negAgenegage", "nngpkAAgnngaagn", "nnggaagg", ""],
)
def test_bodies_of_one_layer_are_no_copies(body: str) -> None:
    """Cross-attention, two attention kernels, two layers in order; nor two of what is no layer."""
    assert copies_in(body.encode()) == 1


def in_steps(steps: int) -> Module:
    """Steps of copies in turns by two threads, each in a mark, after group."""
    score = Score()
    for step in range(steps):
        start, now = score.host, max(score.free.values(), default=0)
        for _ in range(4):
            for block in ("ngAg", "ngag"):
                for copy in (0, 1):
                    score.play(block, copy, 0, lane="gpu0.s1", thread=f"cpu.t{copy}", after=now)
                    score.play("R", copy, 0, lane="gpu0.s2", thread=f"cpu.t{copy}", dur=250)
        score.events.append(Ev("host.range", f"ProfilerStep#{step}", start, score.host - start + 1, "cpu.main"))
        score.host += 100_000
    return PassManager.parse("group").run(score.module())


@pytest.mark.slow
def test_the_cost_grows_with_the_number_of_steps() -> None:
    """Each event is looked at a few times, however many sets there are: CPU time at 100 and 400 steps."""
    costs = []
    for steps in (100, 400):
        item, times = in_steps(steps), []
        for _ in range(3):
            clock = time.process_time()
            result = apply(Microbatch(), item, PassContext())
            times.append(time.process_time() - clock)
        assert len(result["microbatch.set"]) == 2 * steps
        costs.append(min(times))
    assert costs[1] <= 6 * max(costs[0], 0.02), costs


@given(modules(trees=False, annotations=False))
def test_any_module_is_read(item: Module) -> None:
    """Whatever the IR can hold: nothing breaks, and the laws hold."""
    result, report, _ = found(item)
    assert_sound(result)
    assert sum(len(one.batches) for one in report.sets) == len(result["microbatch.set"])


@pytest.mark.parametrize("name", ["sgl_dec", "sgl_pd", "vllm_pw", "b200", "qwen_h100", "bert_h100", "nccl"])
def test_real_traces_of_one_batch_have_none(load_shared: Any, name: str) -> None:
    """None of them runs micro-batches, nor do any layers look like it."""
    _, report, _ = found(load_shared(name))
    assert report.sets == report.joint == ()
