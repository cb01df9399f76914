"""Traps of grouping by what the program says: modules, ranges and captures, each with a module of known layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

import traceir as tir
from tests.passes.group.program import DENSE, TP, Program, only, remarks, report, shape
from tests.passes.group.synthetic import found, grouped
from tests.passes.test_capture import Writer, joined, reasons

Load = Callable[[str], tir.Module]

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


def test_ranges_may_mark_modules() -> None:
    """A profiler without frames of the interpreter has the same names as ranges."""
    program = Program()
    with program.inside("nn.Module: Model_0", "host.range"):
        for layer in range(4):
            with program.inside(f"nn.Module: Block_{layer}", "host.range"):
                program.play(DENSE, layer)
    item = grouped(program.module())
    assert (only(item).evidence, only(item).template) == ("modules", "Block")
    assert found(item) == [program.layers]


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
        program.play("g" * 60, dur=1000)
    item = program.module()
    assert shape(grouped(item, by="modules")) == []
    assert shape(grouped(item, by="modules", min_step_share=0.01)) == [(4, "modules")]


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
    assert only(item).layers == 24


@pytest.mark.parametrize(
    "body", ["vbavba", "nvanve", "ggg", "gag", "neSe"], ids=["resnet", "vae", "heads", "wrappers", "losses"]
)
def test_modules_without_attention_are_no_layers(body: str) -> None:
    """Residual blocks, decoders of images, heads and what only wraps hold no anchor, losses no product."""
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
            with (
                program.inside(f"nn.Module: Decoy_{layer}", thread="cpu.other"),
                program.inside(f"nn.Module: Block_{layer}"),
            ):
                program.play(DENSE[:5], layer)
            with program.inside("nn.Module: Rest_0"):
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


@pytest.mark.parametrize(("nodes", "joins"), [((1, 3, 2), True), (None, False)], ids=["ids", "time"])
def test_nodes_on_several_streams_are_joined_by_their_ids(
    tmp_path: Path, nodes: tuple[int, ...] | None, joins: bool
) -> None:
    """The third node of the capture runs on a stream of its own before the second; time alone gives another order."""
    writer = Writer()
    writer.call("cudaStreamBeginCapture")
    for name in ("nvjet_a", "flash_fwd_kernel", "rms_norm_kernel"):
        writer.call("cudaLaunchKernel", kernel=name)
    writer.call("cudaStreamEndCapture")
    correlation = writer.call("cudaGraphLaunch")
    for k, (name, stream) in enumerate((("nvjet_a", 7), ("rms_norm_kernel", 8), ("flash_fwd_kernel", 7))):
        said = {"graph node id": nodes[k]} if nodes else {}
        writer.row("kernel", name, writer.now, 9, correlation=correlation, stream=stream, device=0, **said)
        writer.rows[-1]["tid"] = stream
        writer.now += 10
    item, _, _ = joined(writer.module(tmp_path))
    assert (reasons(item) == [None]) is joins


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


def test_ranges_inside_of_layers_are_no_layers_again() -> None:
    """The outermost ranges that repeat are the layers, though each holds three alike with an attention."""
    program = Program()
    for layer in range(4):
        with program.inside(f"layer {layer}", "host.range"):
            for part in range(3):
                with program.inside(f"part {part}", "host.range"):
                    program.play(DENSE, layer)
    item = grouped(program.module(), by="annotations")
    assert shape(item) == [(4, "annotations")]
    assert found(item) == [program.layers]
