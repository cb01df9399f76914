"""Traps of grouping: for each rule a module of known layers that comes out wrong if the rule is broken."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

import traceir as tir
from tests.build import Ev, module
from tests.passes.group.synthetic import Tape, found, grouped, truth
from tests.passes.test_capture import Writer, joined, reasons
from tests.passes.test_microbatch import Score
from tests.passes.test_microbatch import found as batches
from traceir_passes.group import Group
from traceir_passes.group.anchors import leaf_is_backward
from traceir_passes.group.report import GroupReport, StackReport
from traceir_passes.group.similarity import Likeness, clusters
from traceir_passes.group.stack import Stack
from traceir_passes.group.steps import marks
from traceir_passes.group.tokens import CORE, ROLES
from traceir_passes.infer.rules import RoleTable

Load = Callable[[str], tir.Module]
DENSE = "ngpkAgngag"
TP = "ngpkAgRngagR"


@attrs.define
class Program:
    """Writes host frames, launches, and device work that runs `lag` ns or more behind its launch."""

    lag: int = 0
    host: int = 0
    events: list[Ev] = attrs.field(factory=list)
    roles: dict[int, str] = attrs.field(factory=dict)
    truth: dict[int, list[int]] = attrs.field(factory=dict)
    """The ids of each layer."""
    free: dict[str, int] = attrs.field(factory=dict)

    @contextmanager
    def inside(self, name: str, kind: str = "host.frame", thread: str = "cpu.main") -> Iterator[int]:
        """A frame or range around what is written meanwhile; its position."""
        at, start = len(self.events), self.host
        self.events.append(Ev(kind, name, start, 0, thread))
        self.host += 10
        yield at
        self.host += 10
        self.events[at] = Ev(kind, name, start, self.host - start, thread)

    def play(
        self,
        letters: str,
        layer: int = -1,
        *,
        dur: int = 100,
        thread: str = "cpu.main",
        lane: str = "gpu0.s7",
        launched: bool = True,
    ) -> None:
        """Run a kernel (or copy, or memset) for each letter, each launched by a call of its own."""
        for letter in letters:
            call = len(self.events) if launched else None
            if launched:
                self.events.append(Ev("rt.launch", "cudaLaunchKernel", self.host, 2, thread))
            self.host += 5
            self._run(letter, layer, call, dur, lane)

    def replay(self, bodies: Sequence[str], first: int = -1, *, dur: int = 100, lane: str = "gpu0.s7") -> int:
        """Run the bodies by one graph launch; the position of that."""
        call = len(self.events)
        self.events.append(Ev("rt.graph_launch", "cudaGraphLaunch", self.host, 2, "cpu.main"))
        self.host += 5
        for k, body in enumerate(bodies):
            for letter in body:
                self._run(letter, first + k if first >= 0 else -1, call, dur, lane)
        return call

    def _run(self, letter: str, layer: int, call: int | None, dur: int, lane: str) -> None:
        start = max(self.free.get(lane, 0), self.host + self.lag)
        at = len(self.events)
        self.roles[at] = ROLES[letter]
        if layer >= 0:
            self.truth.setdefault(layer, []).append(at)
        kind = {"1": "dev.memcpy", "0": "dev.memset"}.get(letter, "dev.kernel")
        self.events.append(Ev(kind, ROLES[letter], start, dur, lane, launch=call))
        self.free[lane] = start + dur

    def modules(self, cls: str, bodies: Sequence[str], first: int = 0, **how: Any) -> None:
        """One module instance for each body."""
        for k, body in enumerate(bodies):
            with self.inside(f"nn.Module: {cls}_{k}"):
                self.play(body, first + k, **how)

    def module(self) -> tir.Module:
        """The module, roles written."""
        built = module(self.events)
        return built.with_texts("infer.role", [self.roles.get(id) for id in built["id"].tolist()])

    @property
    def layers(self) -> list[list[int]]:
        """The ids of all layers."""
        return list(self.truth.values())


def report(item: tir.Module) -> GroupReport:
    """What a grouped module says."""
    return Group().report(item)


def shape(item: tir.Module) -> list[tuple[int, str]]:
    """Layers and evidence of each stack."""
    return [(stack.layers, stack.evidence) for stack in report(item).stacks]


def only(item: tir.Module) -> StackReport:
    """The one stack of a module."""
    (stack,) = report(item).stacks
    return stack


def remarks(item: tir.Module, **options: Any) -> list[str]:
    """What the pass remarks on a module."""
    context = tir.PassContext()
    Group(**options).run(item, context)
    return [remark.message for remark in context.remarks]


def once(bodies: Sequence[str], head: str = "iE", tail: str = "ngyZ") -> Tape:
    """One forward pass."""
    tape = Tape()
    tape.add(head)
    tape.layers(bodies)
    tape.add(tail)
    return tape


# --- 3.1: which evidence, for which stretch ---------------------------------------------------------------------------


def test_work_that_no_module_owns_goes_to_the_next_method() -> None:
    """Evidence is chosen per stretch: layers launched before the frames were recorded are found by the device."""
    program = Program()
    for k in range(5):
        program.play(DENSE, k)
    with program.inside("nn.Module: Model_0"):
        program.modules("Block", [DENSE] * 5, 5)
    item = grouped(program.module())
    assert shape(item) == [(5, "device"), (5, "modules")]
    assert found(item) == [program.layers[:5], program.layers[5:]]
    assert report(item).evidence == "mixed"


def test_different_steps_may_use_different_evidence() -> None:
    """One step has frames, the other is a replay without any."""
    program = Program()
    with program.inside("ProfilerStep#0", "host.range"), program.inside("nn.Module: Model_0"):
        program.modules("Block", [DENSE] * 4)
    with program.inside("ProfilerStep#1", "host.range"):
        program.replay([DENSE] * 4, 4)
    item = grouped(program.module())
    assert shape(item) == [(4, "modules"), (4, "device")]
    assert found(item) == [program.layers[:4], program.layers[4:]]
    assert [stack.step for stack in report(item).stacks] == [0, 1]


def test_another_count_by_the_device_is_a_remark_that_names_both() -> None:
    """Modules with two attentions each are the layers that the program names, and the device counts twice as many."""
    program = Program()
    with program.inside("nn.Module: Model_0"):
        program.modules("Pair", [DENSE + DENSE] * 4)
    item = program.module()
    assert shape(grouped(item)) == [(4, "modules")]
    (remark,) = remarks(item)
    assert "modules give 4 layers" in remark
    assert "device structure gives 8" in remark


def test_the_same_count_by_the_device_raises_confidence() -> None:
    """By a third of what is missing to 1; alone, modules keep their own."""
    program = Program()
    with program.inside("nn.Module: Model_0"):
        program.modules("Block", [DENSE] * 4)
    item = program.module()
    assert (only(grouped(item)).confidence, only(grouped(item)).checks) == (0.98, "device_agrees")
    assert only(grouped(item, by="modules")).confidence == 0.97


# --- 3.2: modules -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("instances", [[0] * 6, [0, 1, 2] * 2, [0, 0, 1, 2]], ids=["one", "twice", "one-twice"])
def test_modules_that_are_used_again_are_no_layers(instances: list[int]) -> None:
    """A module keeps its number however often it is called, so fewer numbers than calls are a shared module."""
    program = Program()
    with program.inside("nn.Module: Model_0"):
        for layer, number in enumerate(instances):
            with program.inside(f"nn.Module: Shared_{number}"):
                program.play(DENSE, layer)
    assert shape(grouped(program.module(), by="modules")) == []
    assert shape(grouped(program.module())) == [(len(instances), "device")]


def test_activations_and_dropouts_do_not_hide_the_layers() -> None:
    """Small modules inside each layer, one shared by all, leave the layers what they are."""
    program = Program()
    with program.inside("nn.Module: Model_0"):
        for layer in range(4):
            with program.inside(f"nn.Module: Block_{layer}"):
                program.play("ng", layer)
                with program.inside("nn.Module: Dropout_0"):
                    program.play("w", layer)
                program.play("Agng", layer)
                with program.inside("nn.Module: ReLU_0"):
                    program.play("a", layer)
                program.play("g", layer)
    item = grouped(program.module(), by="modules")
    assert found(item) == [program.layers]
    assert only(item).template == "Block"


@pytest.mark.parametrize(
    ("count", "nested", "layers"), [(2, False, []), (3, False, [3]), (2, True, [2]), (1, True, [])]
)
def test_how_many_instances_make_layers(count: int, nested: bool, layers: list[int]) -> None:
    """Two that hold further modules suffice, of leaves there must be three."""
    program = Program()
    with program.inside("nn.Module: Model_0"):
        for layer in range(count):
            with program.inside(f"nn.Module: Block_{layer}"):
                if nested:
                    with program.inside(f"nn.Module: Norm_{layer}"):
                        program.play("n", layer)
                program.play("gAgngag", layer)
    assert [stack.layers for stack in report(grouped(program.module(), by="modules")).stacks] == layers


def test_the_outermost_candidate_is_the_layer() -> None:
    """Parts of a layer have an attention each, as its parents have; the class right below the model counts."""
    program = Program()
    with program.inside("nn.Module: Model_0"):
        for layer in range(4):
            with program.inside(f"nn.Module: Block_{layer}"):
                for part in range(3):
                    with program.inside(f"nn.Module: Part_{3 * layer + part}"):
                        program.play("ngAg", layer)
    item = grouped(program.module(), by="modules")
    assert found(item) == [program.layers]
    assert only(item).template == "Block"


@pytest.mark.parametrize(("rest", "layers"), [(60, []), (10, [4])])
def test_layers_own_most_of_their_parent(rest: int, layers: list[int]) -> None:
    """Modules with 32 kernels in all beside 60 others below the same parent are something else in the model."""
    program = Program()
    with program.inside("nn.Module: Model_0"):
        program.modules("Helper", ["ngAgngag"] * 4)
        program.play("g" * rest)
    assert [stack.layers for stack in report(grouped(program.module(), by="modules")).stacks] == layers


def test_layers_own_a_fair_share_of_their_step() -> None:
    """A small tower owns all of its parent and hardly any of the step, in which most runs in no module at all."""
    program = Program()
    with program.inside("ProfilerStep#0", "host.range"):
        with program.inside("nn.Module: Tower_0"):
            program.modules("Block", [DENSE] * 4)
        program.play("g" * 20, dur=1000)
    item = program.module()
    assert shape(grouped(item, by="modules")) == []
    assert shape(grouped(item, by="modules", min_step_share=0.05)) == [(4, "modules")]


def test_helper_modules_between_replays_are_rejected() -> None:
    """A compiled model: 24 graph modules hold two small kernels each, and replays between them hold the layers."""
    program = Program()
    with program.inside("nn.Module: Model_0"):
        for layer in range(24):
            with program.inside(f"nn.Module: GraphModule_{layer}"):
                program.play("kA", layer, dur=10)
            program.replay(["gngagng"], layer)
    item = grouped(program.module())
    assert [evidence for _, evidence in shape(item)] == ["device"]
    assert abs(only(item).layers - 24) == 0


@pytest.mark.parametrize("body", ["vbavba", "nvanve", "ggg", "gag"], ids=["resnet", "vae", "heads", "wrappers"])
def test_modules_without_attention_are_no_layers(body: str) -> None:
    """Residual blocks, decoders of images, heads and what only wraps: none of them holds an anchor."""
    program = Program()
    with program.inside("nn.Module: Model_0"):
        program.modules("Block", [body] * 6)
    assert report(grouped(program.module())).evidence == "none"


def test_every_instance_holds_an_anchor() -> None:
    """Of five stages one has attention: they are no layers."""
    program = Program()
    with program.inside("nn.Module: Model_0"):
        program.modules("Stage", ["vba", "vba", "ngAg", "vba", "vba"])
    assert shape(grouped(program.module(), by="modules")) == []


def test_a_softmax_is_an_anchor_of_a_module() -> None:
    """Attention that is not fused has no kernel of its own."""
    program = Program()
    with program.inside("nn.Module: Model_0"):
        program.modules("Block", ["ngggeSgggag"] * 4)
    assert shape(grouped(program.module(), by="modules")) == [(4, "modules")]


def test_towers_of_different_depth_are_kept() -> None:
    """Candidates under different parents are stacks of their own."""
    program = Program()
    with program.inside("nn.Module: Model_0"):
        with program.inside("nn.Module: Vision_0"):
            program.modules("VisionBlock", ["ngAgngag"] * 4)
        with program.inside("nn.Module: Text_0"):
            program.modules("TextBlock", [DENSE] * 7, 4)
    item = grouped(program.module(), by="modules")
    assert [(stack.layers, stack.template) for stack in report(item).stacks] == [(4, "VisionBlock"), (7, "TextBlock")]
    assert found(item) == [program.layers[:4], program.layers[4:]]


@pytest.mark.parametrize("lag", [0, 3000, 10**7])
def test_a_kernel_belongs_to_the_module_that_launched_it(lag: int) -> None:
    """The queue runs up to 10 ms behind: at a kernel's own time the host is layers further, or has left the model."""
    program = Program(lag=lag)
    with program.inside("nn.Module: Model_0"):
        program.modules("Block", [DENSE] * 8)
    program.play("ng")
    assert found(grouped(program.module(), by="modules")) == [program.layers]


def test_a_frame_on_another_thread_owns_nothing() -> None:
    """Though it is open at the time of a launch: time alone is not enough, the thread has to be the launch's."""
    program = Program()
    with program.inside("nn.Module: Other_0", thread="cpu.other"), program.inside("nn.Module: Model_0"):
        for layer in range(4):
            with program.inside(f"nn.Module: Decoy_{layer}", thread="cpu.other"):
                with program.inside(f"nn.Module: Block_{layer}"):
                    program.play(DENSE[:5], layer)
            with program.inside(f"nn.Module: Rest_{layer}"):
                program.play(DENSE[5:])
    item = grouped(program.module(), by="modules")
    assert [stack.template for stack in report(item).stacks] == ["Block"]
    assert found(item) == [program.layers]


def test_members_without_a_launch_join_their_neighbours_and_the_stack_is_partial() -> None:
    """Between two members of one layer a kernel belongs to it; between two layers nothing tells which."""
    program = Program()
    orphans = []
    with program.inside("nn.Module: Model_0"):
        for layer in range(4):
            with program.inside(f"nn.Module: Block_{layer}"):
                program.play(DENSE[:5], layer)
                orphans.append(len(program.events))
                program.play("e", layer, launched=False)
                program.play(DENSE[5:], layer)
            program.play("e", launched=False)
    item = grouped(program.module(), by="modules")
    assert found(item) == [program.layers]
    assert only(item).partial
    assert {item.text("group.basis")[item.row_of(id)] for id in orphans} == {"derived"}
    assert item.text("group.basis")[item.row_of(program.truth[0][1])] == "measured"


# --- 3.3: annotations -------------------------------------------------------------------------------------------------


def ranges(texts: Sequence[tuple[str, str]], *, lag: int = 0, layer_of: Callable[[int], int] = int) -> Program:
    """A program of ranges (text, body), the n-th one being of layer `layer_of(n)`."""
    program = Program(lag=lag)
    for k, (text, body) in enumerate(texts):
        with program.inside(text, "host.range"):
            program.play(body, layer_of(k))
    return program


@pytest.mark.parametrize(("outside", "layers"), [(3, [6]), (30, [])])
def test_ranges_cover_nearly_all_work_of_their_step(outside: int, layers: list[int]) -> None:
    """With a third of the launched time outside of them they mark some part, not the layers."""
    program = ranges([(f"block {k}", DENSE) for k in range(6)])
    program.play("g" * outside)
    assert [stack.layers for stack in report(grouped(program.module(), by="annotations")).stacks] == layers


@pytest.mark.parametrize(("count", "layers"), [(2, []), (3, [3])])
def test_ranges_repeat_three_times(count: int, layers: list[int]) -> None:
    """Two alike are chance."""
    program = ranges([(f"block {k}", DENSE) for k in range(count)])
    assert [stack.layers for stack in report(grouped(program.module(), by="annotations")).stacks] == layers


def test_a_range_with_several_anchors_is_a_pass_and_no_layer() -> None:
    """Four ranges of five layers each."""
    program = ranges([(f"forward {k}", DENSE * 5) for k in range(4)])
    assert shape(grouped(program.module(), by="annotations")) == []
    assert sum(stack.layers for stack in report(grouped(program.module())).stacks) == 20


def test_ranges_without_attention_are_no_layers() -> None:
    """They repeat and cover everything, and are convolutions."""
    program = ranges([(f"stage {k}", "vbavba") for k in range(8)])
    assert report(grouped(program.module())).evidence == "none"


@pytest.mark.parametrize("lag", [0, 10**6])
def test_ranges_are_projected_by_launches(lag: int) -> None:
    """However far the device is behind."""
    program = ranges([(f"block {k}", body) for k, body in enumerate([DENSE, TP] * 3)], lag=lag)
    item = grouped(program.module(), by="annotations")
    assert found(item) == [program.layers]
    assert only(item).evidence == "annotations"


def test_forward_and_backward_ranges_are_apart() -> None:
    """A layer is one period of the annotations of its direction: a stack each."""
    ahead = [("attention forward", "ngAg"), ("mlp forward", "ngag")] * 4
    back = [("mlp backward", "ggagn"), ("attention backward", "gAggn")] * 4
    program = ranges([*ahead, *back], layer_of=lambda k: k // 2)
    item = grouped(program.module(), by="annotations")
    assert [(stack.layers, stack.direction) for stack in report(item).stacks] == [(4, "forward"), (4, "backward")]
    assert found(item) == [program.layers[:4], program.layers[4:]]


# --- 3.4: capture -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sort", ["gpu_memcpy", "kernel"])
def test_copies_are_nodes_of_a_capture(tmp_path: Path, sort: str) -> None:
    """They count and have their place; a kernel where the capture has a copy refuses the join."""
    writer = Writer()
    writer.call("cudaStreamBeginCapture")
    writer.call("cudaLaunchKernel", kernel="nvjet_a")
    writer.call("cudaMemcpyAsync")
    writer.call("cudaLaunchKernel", kernel="flash_fwd_kernel")
    writer.call("cudaStreamEndCapture")
    correlation = writer.call("cudaGraphLaunch")
    for cat, name in (("kernel", "nvjet_a"), (sort, "Memcpy DtoD (Device -> Device)"), ("kernel", "flash_fwd_kernel")):
        writer.row(cat, name, writer.now, 9, correlation=correlation, stream=7, device=0)
        writer.now += 10
    item, _, _ = joined(writer.module(tmp_path))
    said = None if sort == "gpu_memcpy" else "node 1 is a kernel, and in the capture it is a memcpy"
    assert reasons(item) == [said]


def test_of_two_graphs_with_equal_counts_the_names_decide(tmp_path: Path) -> None:
    """The counts fit both."""
    writer = Writer()
    programs = (["nvjet_a", "flash_fwd_kernel"], ["nvjet_a", "rms_norm_kernel"])
    for number, names in enumerate(programs):
        writer.call("cudaStreamBeginCapture")
        start = writer.now
        for name in names:
            writer.call("cudaLaunchKernel", kernel=name)
        writer.row("python_function", f"nn.Module: Model_{number}", start, writer.now - start)
        writer.call("cudaStreamEndCapture")
    writer.replay(programs[1])
    writer.replay(programs[0])
    item, _, _ = joined(writer.module(tmp_path))
    texts = [item.text("capture.module")[row] for row in np.flatnonzero(item.work).tolist()]
    assert texts == ["Model_1"] * 2 + ["Model_0"] * 2


# --- 3.5: device structure --------------------------------------------------------------------------------------------


def test_copies_fills_and_elementwise_kernels_are_no_letters_of_the_search() -> None:
    """Each layer has others of them at other places, and both methods still find the same 20 layers."""
    chance = random.Random(3)
    bodies = ["".join(letter + "".join(chance.choices("yfe10id", k=chance.randrange(3))) for letter in DENSE)
              for _ in range(20)]  # fmt: skip
    tape = once(bodies)
    item = grouped(tape.module())
    core = [[id for id in layer if tape.letters[id] in CORE.values()] for layer in truth(tape)]
    mine = [[id for id in layer if tape.letters[id] in CORE.values()] for layer in found(item)[0]]
    assert mine == core
    assert only(item).confidence >= 0.9


@pytest.mark.parametrize("separator", ["E", "Z"])
def test_no_layer_crosses_an_embedding_or_a_sample(separator: str) -> None:
    """One such kernel is enough to part two passes that would repeat across it."""
    tape = Tape()
    tape.layers([DENSE] * 6)
    tape.add(separator)
    tape.layers([DENSE] * 6, 6)
    assert found(grouped(tape.module())) == [truth(tape)[:6], truth(tape)[6:]]


@pytest.mark.parametrize(
    ("step", "count"),
    [("gagagSSggaggagO", 6), ("gaSggaO", 8), ("vbavbagSSgvvbavO", 8)],
    ids=["classifier", "small", "convnet"],
)
def test_the_softmax_of_a_loss_is_no_anchor(step: str, count: int) -> None:
    """Training of what has no attention repeats, products and all, and has no layers."""
    tape = Tape()
    for _ in range(count):
        tape.add(step)
    assert report(grouped(tape.module())).reason == "no_repetition"


def test_a_softmax_counts_by_its_core_neighbours() -> None:
    """Scaling, masking and copies between the products and the softmax do not matter."""
    tape = once(["ngggeyfSyweggngag"] * 6)
    assert found(grouped(tape.module())) == [truth(tape)]


def test_backward_is_read_in_the_leaf_only() -> None:
    """A template argument or a parameter may say it of a forward kernel."""
    assert leaf_is_backward("void flash_bwd_dq_dk_dv_kernel<Traits, false>(P)")
    assert leaf_is_backward("FusedAttentionBackward")
    assert not leaf_is_backward("void flash_fwd_kernel<Traits<bwd_too, backward>>(Backward_params)")


def test_anchors_of_different_role_never_share_a_cluster() -> None:
    """However alike what follows them is."""
    bodies = {b"Agngagngpk": 9, b"Lgngagngpk": 8, b"Sgngagngpk": 7}
    leader = clusters(bodies, Likeness(), 0.5)
    assert {leader[body] for body in bodies} == set(bodies)


ODD = ["ngpkAbbbbbbbbbb", "ngpkAcccccccccc", "ngpkAaaaaaaaaaaaaa"]


@pytest.mark.parametrize(("odd", "stacks"), [(1, [17]), (2, [18]), (3, [9, 8])])
def test_up_to_two_odd_bodies_are_healed(odd: int, stacks: list[int]) -> None:
    """Three in a row end a stack."""
    tape = once([*[DENSE] * 8, *ODD[:odd], *[DENSE] * 8])
    assert [stack.layers for stack in report(grouped(tape.module())).stacks] == stacks


@pytest.mark.parametrize(
    ("middle", "stacks"),
    [([DENSE + "gg"], [11, 8]), ([DENSE + "g"], [19]), ([DENSE + "gg", "ngpkAgna"], [20]), (["ngpkAgna"], [19])],
    ids=["two-more", "one-more", "moved", "lost"],
)
def test_heavy_kernels_too_many_are_the_border_of_a_pass(middle: list[str], stacks: list[int]) -> None:
    """Two more than usual that no neighbour misses; damage moves or removes, it never adds."""
    tape = once([*[DENSE] * 10, *middle, *[DENSE] * 8])
    assert [stack.layers for stack in report(grouped(tape.module())).stacks] == stacks


@pytest.mark.parametrize(
    "body",
    ["ngAgngag", "ngAgngkAgngag", "ngAgngkAgngAgngag"],
    ids=["one", "two", "three"],
)
def test_a_layer_has_one_to_three_attentions(body: str) -> None:
    """Self attention; self and cross; self, cross and temporal."""
    tape = once([body] * 6)
    assert found(grouped(tape.module())) == [truth(tape)]


def test_without_feed_forward_parts_likeness_gives_the_unit() -> None:
    """Two unlike bodies in turn are one layer, like bodies are one each."""
    tape = once(["ngpkAgR" + "nnggggAbbX"] * 6)
    assert only(grouped(tape.module())).layers == 6
    tape = once(["ngpkAgR"] * 12)
    assert only(grouped(tape.module())).layers == 12


def test_sliding_and_full_attention_in_turn_are_one_layer_each() -> None:
    """Kernels of two names and one role: roles are the alphabet, so both methods give 24 layers and not 12 pairs."""
    tape = Tape()
    tape.add("iE")
    for layer in range(24):
        tape.add(DENSE[:4], layer)
        tape.add(DENSE[4], layer, tag=("sliding", "full")[layer % 2])
        tape.add(DENSE[5:], layer)
    tape.add("ngyZ")
    item = grouped(tape.module())
    assert found(item) == [truth(tape)]
    assert only(item).confidence == 0.9333
    assert only(item).checks == "autocorrelation"


def test_exact_names_that_never_recur_lower_the_confidence() -> None:
    """Both methods agree, and the independent look at names contradicts them."""
    tape = Tape()
    tape.add("iE")
    for layer in range(12):
        tape.add(DENSE, layer, tag=f"variant{layer}")
    tape.add("ngyZ")
    stack = only(grouped(tape.module()))
    assert (stack.layers, stack.checks, stack.confidence) == (12, "no autocorrelation", 0.63)


@pytest.mark.parametrize(
    ("head", "bodies", "tail"),
    [
        ("E", ["gpkAgngag", *[DENSE] * 23], "ngZ"),
        ("E", [*[DENSE] * 23, "ngpkAgnga"], "gZ"),
        ("E", ["gpkAgngag", *[DENSE] * 22, "ngpkAgnga"], "gZ"),
    ],
    ids=["first", "last", "both"],
)
def test_layers_are_counted_by_anchors(head: str, bodies: list[str], tail: str) -> None:
    """A compiler fused across the first and the last border, so the length is not 24 times the period."""
    tape = once(bodies, head, tail)
    item = grouped(tape.module())
    assert only(item).layers == 24
    anchors = [sum(tape.letters[id] == "A" for id in layer) for layer in found(item)[0]]
    assert anchors == [1] * 24


def test_a_border_that_nothing_decides_is_marked_as_a_guess() -> None:
    """The first layer lacks its norm and the last one its end, so where the inner ones part is open; else it is not."""

    def guessed(tape: Tape) -> list[bool]:
        item = grouped(tape.module())
        regions = item.tree("layers").of_kind("stack")
        return [bool(value) for value in item["group.guessed"][regions]]

    assert guessed(once(["gpkAgngag", *[DENSE] * 22, "ngpkAgnga"], "E", "gZ")) == [True]
    assert guessed(once([DENSE] * 24)) == [False]


@pytest.mark.parametrize(
    ("head", "body", "tail"),
    [("ER", TP, "ngGZ"), ("E1R1", "ngpkAg1R1ngag1R1", "nZ"), ("EEeEend", "gggAgengagen", "gan")],
    ids=["reduction", "staged", "post-norm"],
)
def test_what_precedes_the_first_layer_is_not_in_it(head: str, body: str, tail: str) -> None:
    """The embedding's all-reduce and norm look like the end of a layer, and are none."""
    tape = once([body] * 10, head, tail)
    assert found(grouped(tape.module())) == [truth(tape)]


def test_one_method_alone_is_less_sure() -> None:
    """Where lost kernels break every repeat the anchors still count, from 0.60 on and not from 0.90."""
    bodies = [DENSE, DENSE.replace("p", ""), *[DENSE] * 2, DENSE.replace("k", "")] * 2
    stack = only(grouped(once(bodies).module()))
    assert (stack.layers, stack.confidence, stack.checks) == (10, 0.7333, "like_bodies")
    assert only(grouped(once([DENSE] * 10).module())).confidence >= 0.9


def test_work_beside_that_only_time_places_is_a_guess() -> None:
    """In a replay all have one launch: reductions on a stream of their own are placed by when they run."""
    program = Program()
    for _ in range(2):
        call = program.replay([])
        for layer in range(6):
            for letter in DENSE:
                program._run(letter, layer, call, 100, "gpu0.s7")
            program.free["gpu0.s8"] = program.free["gpu0.s7"] - 450
            program._run("R", layer, call, 40, "gpu0.s8")
        program.host = program.free["gpu0.s7"] + 100
    item = grouped(program.module())
    beside = np.flatnonzero(item["lane"] == item["lane"][item.row_of(max(program.roles))])
    assert [stack.layers for stack in report(item).stacks] == [6, 6]
    assert {item.text("group.basis")[row] for row in beside.tolist()} == {"guessed"}
    tree = item.tree("layers")
    assert tree.regions["index"][tree.at("layer")[beside]].tolist() == [*range(6)] * 2


def test_members_cover_copies_and_counts_do_not() -> None:
    """Memcpy and memset rows between members belong to the layer; `kernels` and `kernels_per_layer` leave them out."""
    tape = once(["ng1pkAg1R1nga0g1R1"] * 6, "E1R1", "nZ")
    item = grouped(tape.module())
    assert found(item) == [truth(tape)]
    assert (only(item).kernels_per_layer, only(item).kernels) == (12, 72)


def test_waits_and_ranges_on_a_stream_are_no_work() -> None:
    """They lie among the kernels and are in no layer; a kernel of length 0 is work like any other."""
    program = Program()
    for layer in range(6):
        program.play("ng", layer)
        for kind in ("event.wait", "event.record", "dev.range"):
            program.events.append(Ev(kind, "flash_fwd_kernel", program.free["gpu0.s7"] - 5, 5, "gpu0.s7"))
        program.play("p", layer, dur=0)
        program.play("kAgngag", layer)
    item = grouped(program.module())
    assert found(item) == [program.layers]
    assert only(item).kernels_per_layer == 10


# --- 3.6: steps -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("neighbour", "step"), [("ProfilerStep#0", 0), ("ProfilerStep#1", -1)])
def test_an_orphan_is_of_the_step_of_both_its_neighbours(neighbour: str, step: int) -> None:
    """Where they differ it is of none."""
    program = Program()
    with program.inside("ProfilerStep#0", "host.range"):
        program.play("ggg")
        if neighbour == "ProfilerStep#0":
            orphan = len(program.events)
            program.play("g", launched=False)
            program.play("g")
    if neighbour == "ProfilerStep#1":
        orphan = len(program.events)
        program.play("g", launched=False)
    with program.inside("ProfilerStep#1", "host.range"):
        program.play("ggg")
    item = grouped(program.module())
    assert int(item["tree.steps"][item.row_of(orphan)]) == step


def test_a_step_owns_what_another_thread_launched_in_it() -> None:
    """Backward work is launched by a thread that the mark is not on."""
    program = Program(lag=5000)
    for number in range(3):
        with program.inside(f"ProfilerStep#{number}", "host.range"):
            program.play("gag")
            program.play("gg", thread="cpu.autograd")
    assert [step.kernels for step in report(grouped(program.module())).steps] == [5, 5, 5]


NESTED = [
    (["execute_context_0(0)_generation_8(8)"] * 3, "step[DECODE bs=8]", [0, 2, 4]),
    (["ProfilerStep#7"], "execute_context_0(0)_generation_8(8)", [1, 2, 3]),
]


def test_of_nested_marks_the_outermost_that_repeats_is_the_step() -> None:
    """An engine's step inside an execution that repeats, too; executions inside one single profiler step."""
    program = Program()
    for _ in range(3):
        with program.inside("execute_context_0(0)_generation_8(8)", "host.range"):
            with program.inside("step[DECODE bs=8]", "host.range"):
                program.play("gg")
            program.play("g")
    steps = report(grouped(program.module())).steps
    assert [(step.label, step.kernels) for step in steps] == [("execute_context_0(0)_generation_8(8)", 3)] * 3
    program = Program()
    with program.inside("ProfilerStep#7", "host.range"):
        for _ in range(3):
            with program.inside("step[DECODE bs=8]", "host.range"):
                program.play("gg")
    steps = report(grouped(program.module())).steps
    assert [(step.label, step.kernels, step.phase) for step in steps] == [("step[DECODE bs=8]", 2, "decode")] * 3


def test_of_nested_marks_that_are_single_the_outermost_is_the_step() -> None:
    """And of marks of one family only those that no other encloses."""
    program = Program()
    with program.inside("ProfilerStep#7", "host.range"):
        with program.inside("step[EXTEND bs=1]", "host.range"):
            program.play("gg")
        program.play("g")
    assert [(step.label, step.kernels) for step in report(grouped(program.module())).steps] == [("ProfilerStep#7", 3)]
    program = Program()
    for _ in range(2):
        with program.inside("step[DECODE bs=8]", "host.range"):
            with program.inside("step[DECODE bs=4]", "host.range"):
                program.play("gg")
            program.play("g")
    assert len(marks(program.module())) == 2
    assert [step.kernels for step in report(grouped(program.module())).steps] == [3, 3]


def test_a_mark_may_hold_several_passes() -> None:
    """Draft and target in one step: steps and stacks are independent."""
    program = Program()
    for number in range(2):
        with program.inside(f"ProfilerStep#{number}", "host.range"):
            for layers in (3, 3, 8):
                program.play("E")
                for _ in range(layers):
                    program.play(DENSE, len(program.truth))
                program.play("ngZ")
    item = grouped(program.module())
    assert [(stack.layers, stack.step) for stack in report(item).stacks] == [
        (3, 0), (3, 0), (8, 0), (3, 1), (3, 1), (8, 1),
    ]  # fmt: skip


def test_without_marks_a_sequence_of_stacks_that_repeats_is_a_step() -> None:
    """No embedding and no sample is recorded; three times an encoder and a decoder."""
    tape = Tape()
    for step in range(3):
        tape.layers(["ngAgngag"] * 4, 8 * step)
        tape.layers(["ngkAgngAgngag"] * 4, 8 * step + 4)
        tape.add("nggg")
    item = grouped(tape.module())
    assert [stack.step for stack in report(item).stacks] == [0, 0, 1, 1, 2, 2]


def test_without_marks_and_layers_a_replay_is_a_step() -> None:
    """A convnet in a graph, replayed three times."""
    program = Program()
    for _ in range(3):
        program.replay(["vbavba"])
    item = grouped(program.module())
    assert [(step.label, step.kernels) for step in report(item).steps] == [(f"step {k}", 6) for k in range(3)]
    assert report(item).evidence == "none"


def test_the_extent_of_a_step_is_that_of_its_device_work() -> None:
    """Or that of its mark, if the device did nothing."""
    program = Program(lag=5000)
    with program.inside("ProfilerStep#0", "host.range"):
        program.play("ggg")
    with program.inside("ProfilerStep#1", "host.range") as mark:
        program.host += 100
    with program.inside("ProfilerStep#2", "host.range"):
        program.play("g")
    built = program.module()
    one, none, _ = report(grouped(built)).steps
    mine = [program.events[id] for id in list(program.roles)[:3]]
    shift = program.events[mark].ts - int(built["ts"][built.row_of(mark)])
    assert (one.start_ns, one.end_ns) == (mine[0].ts - shift, mine[-1].ts + mine[-1].dur - shift)
    assert (none.start_ns, none.end_ns) == (
        program.events[mark].ts - shift,
        program.events[mark].ts + program.events[mark].dur - shift,
    )
    assert none.kernels == 0


def test_layers_from_before_the_window_are_partial_and_those_that_end_at_a_separator_are_not() -> None:
    """Work without launches before the first launched one was enqueued before the record began."""
    program = Program()
    for launched in (False, True):
        program.play("E", launched=launched)
        for _ in range(5):
            program.play(DENSE, len(program.truth), launched=launched)
        program.play("ngZ", launched=launched)
    item = grouped(program.module())
    assert [(stack.layers, stack.partial) for stack in report(item).stacks] == [(5, True), (5, False)]


def test_the_real_prefix_of_orphans_is_a_partial_stack(load_shared: Load) -> None:
    """509 kernels have no launch: ten layers from before the window, then 24 whole ones; steps are poisoned by it."""
    item = load_shared("qwen_h100")
    result = tir.PassManager.parse("group").run(item)
    assert [(stack.layers, stack.partial) for stack in report(result).stacks] == [(10, True), (24, False)]
    (finding,) = [finding for finding in item.health if finding.code == "orphan_launch"]
    assert (finding.count, finding.poisons) == (509, ("group.steps",))


# --- 3.7: micro-batches -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", ["A", "n", "gA"])
def test_copies_without_whole_layers_are_no_micro_batches(piece: str) -> None:
    """A second thread takes turns, and what it launches is a kernel or two."""
    score = Score()
    for layer in range(8):
        score.play("ngAgngag", 0, layer, lane="gpu0.s1", thread="cpu.t0")
        score.play(piece, 1, -1, lane="gpu0.s1", thread="cpu.t1")
    _, said, _ = batches(score.module())
    assert said.sets == ()


def test_turns_need_as_many_changes_as_layers() -> None:
    """One thread after the other twice over: four long turns are no interleaving."""
    score = Score()
    for _ in range(2):
        for copy in (0, 1):
            for layer in range(6):
                score.play("ngAgngag", copy, layer, lane="gpu0.s1", thread=f"cpu.t{copy}")
    item, said, _ = batches(score.module())
    assert said.sets == ()
    assert (item["group.microbatch"] == np.iinfo(np.uint32).max).all()


# --- 3.9 and 9: confidence, and no layers -----------------------------------------------------------------------------


def stack_of(start: float, **checks: bool) -> Stack:
    """A stack of no work with these checks."""
    empty = np.empty(0, np.int64)
    return Stack(0, "device", "forward", 3, empty, empty, start, checks)


def test_confidence_is_reckoned_check_by_check() -> None:
    """A check that holds closes a third of the distance to 1, one that fails takes three tenths; order is nothing."""
    assert stack_of(0.9).confidence == 0.9
    assert stack_of(0.9, a=True).confidence == 0.9333
    assert stack_of(0.9, a=True, b=True).confidence == 0.9556
    assert stack_of(0.6, a=False).confidence == 0.42
    assert stack_of(0.6, a=True, b=False).confidence == stack_of(0.6, b=True, a=False).confidence


def test_each_evidence_has_its_own_confidence() -> None:
    """Modules and captures 0.97, ranges 0.90, both device methods 0.90, one of them 0.60."""
    from traceir_passes.group import annotations, device, modules

    assert (modules.START, annotations.START, device.BOTH, device.ONE) == (0.97, 0.90, 0.90, 0.60)


@pytest.mark.parametrize(("last", "check"), [(TP, "collectives"), ("ngpkAgngag", "no collectives")])
def test_layers_with_unequal_reductions_break_a_law(last: str, check: str) -> None:
    """Two all-reduces in every layer hold; in half of the layers none is no tensor-parallel model."""
    stack = only(grouped(once([TP, last] * 6, "ER", "ngGZ").module()))
    assert check in stack.checks.split(", ")


@pytest.mark.parametrize(
    ("body", "check"), [("ngAgngr>MM<c", "dispatch_combine"), ("ngAgngr>MMc", "no dispatch_combine")]
)
def test_dispatches_and_combines_are_equally_many(body: str, check: str) -> None:
    """What is sent to experts comes back."""
    stack = only(grouped(once([body] * 6).module()))
    assert check in stack.checks.split(", ")


@pytest.mark.parametrize(("lost", "check"), [(0, "replays"), (1, "no replays")])
def test_replays_hold_equally_many_kernels(lost: int, check: str) -> None:
    """One replay of three lacks a kernel behind its layers."""
    program = Program()
    for number in range(3):
        program.replay([*[DENSE] * 6, "ngg"[: 3 - lost * (number == 1)]])
    checks = {stack.checks for stack in report(grouped(program.module())).stacks}
    assert all(check in text.split(", ") for text in checks)


def test_below_the_least_confidence_the_answer_is_none() -> None:
    """And what was found stands in a remark."""
    item = once([DENSE] * 8).module()
    result = grouped(item, min_confidence=0.95)
    assert (report(result).evidence, report(result).stacks) == ("none", ())
    assert report(result).reason is not None
    (remark,) = remarks(item, min_confidence=0.95)
    assert "8 layers by device" in remark
    assert "0.93" in remark
    assert [stack.layers for stack in report(grouped(item, min_confidence=0.93)).stacks] == [8]


def test_a_graph_that_is_one_row_is_under_recorded() -> None:
    """What happened inside was not recorded."""
    tape = Tape()
    tape.add("#" * 4)
    assert report(grouped(tape.module())).reason == "under_recorded"


def test_replays_without_kernels_are_under_recorded() -> None:
    """Some graph launches have no work: the profiler dropped it."""
    program = Program()
    program.play("gag")
    program.replay([])
    program.replay(["gg"])
    assert report(grouped(program.module())).reason == "under_recorded"


def test_reasons_go_from_the_strongest() -> None:
    """No work at all, no attention, too few attentions, attentions that repeat nothing."""
    unlike = ["ngA" + letter * (4 + 3 * k) for k, letter in enumerate("gvbMrapcn")]
    wanted = {
        "": "no_device_work",
        "gag" * 9: "no_repetition",
        DENSE * 2: "single_block",
        "".join(unlike): "variable_blocks",
    }
    for letters, reason in wanted.items():
        tape = Tape()
        tape.add(letters)
        said = report(grouped(tape.module()))
        assert (said.evidence, said.stacks, said.reason) == ("none", (), reason)


def test_a_capture_without_its_replays_has_no_layers(load_shared: Load) -> None:
    """Hundreds of captured launches have no device work, and the two kernels beside them are no model."""
    item = tir.PassManager.parse("group").run(load_shared("sgl_cap"))
    assert (report(item).evidence, report(item).stacks) == ("none", ())
