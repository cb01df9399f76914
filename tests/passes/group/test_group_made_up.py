"""Grouping of made-up traces whose layers are known."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.passes.group.synthetic import Tape, found, grouped, truth
from traceir_passes.group import Group

DENSE = "ngpkAgngag"
MOE = "ngpkAgngrrMMc"
TP = "ngpkAgRngagR"
LINEAR, FULL = "nggLLnggngag", "nggnpkAggngag"
POST = "gggAgengagen"
EAGER = "yneneeg1ggeeyeeyyAgeyneneegageg"
ENCODER, DECODER = "ngAgngag", "ngkAgngAgngag"
DOUBLE, SINGLE = "ngnpngnpAggngagngag", "ngnpAag"
FORWARD, BACKWARD = "ngAgngag", "ggagnggAggn"


def once(bodies: list[str], head: str = "iE", tail: str = "ngyZ") -> Tape:
    """One forward pass."""
    tape = Tape()
    tape.add(head, tag="head")
    tape.layers(bodies)
    tape.add(tail, tag="tail")
    return tape


@pytest.mark.parametrize(
    "bodies",
    [
        [DENSE] * 8,
        [DENSE, MOE] * 6,
        [DENSE] * 3 + [MOE] * 20,
        ([LINEAR] * 3 + [FULL]) * 5,
        [EAGER] * 8,
        ["ngggeSeggngag"] * 8,
    ],
    ids=["dense", "alternating", "dense-then-experts", "linear-and-full", "eager", "softmax"],
)
def test_layers_of_one_pass_are_one_stack(bodies: list[str]) -> None:
    """Every kernel of every layer, and no other, lies in its layer; variants do not part a stack."""
    tape = once(bodies)
    assert found(grouped(tape.module())) == [truth(tape)]


def test_tensor_parallel_layers_end_with_their_reduction() -> None:
    """The all-reduce of the embedding stays outside, though it precedes a norm like a layer's own does."""
    tape = once([TP] * 10, head="ER", tail="ngGZ")
    assert found(grouped(tape.module())) == [truth(tape)]


@pytest.mark.parametrize(
    ("body", "split"),
    [
        (TP, ". column . . . row . . column . row ."),
        ("ngAgXGngagXG", ". column . row . . . column . row . ."),
        ("nggnngpkgAggRnrMMcR", ". . . . . column . . column . . row . . . column row . ."),
        (DENSE, ". . . . . . . . . ."),
        ("FgpkAgFgag", ". column . . . row . column . row"),
    ],
    ids=["all-reduce", "sequence-parallel", "latent-experts", "alone", "fused"],
)
def test_products_are_split_as_reductions_say(body: str, split: str) -> None:
    """By rows what a reduction completes, by columns what feeds that; and no more than that is said."""
    tape = once([body] * 6, head="ER", tail="ngGZ")
    module = grouped(tape.module())
    values = module.text("group.split")
    for layer in found(module)[0][:-1]:
        assert [values[module.row_of(id)] or "." for id in layer] == split.split()
    assert {values[module.row_of(k)] for k, layer in enumerate(tape.truth) if layer < 0} == {None}


def test_gradients_that_are_reduced_split_nothing() -> None:
    """Reductions in backward layers are of data parallelism, or of what entered the layer."""
    tape = Tape()
    tape.add("E")
    tape.layers([FORWARD] * 8, 0, tag="forward")
    tape.add("ngSSgg")
    tape.layers([BACKWARD + "R"] * 8, 8, tag="bwd")
    tape.add("EOO")
    assert set(grouped(tape.module()).text("group.split")) == {None}


def test_post_norm_layers_begin_after_the_norm() -> None:
    """Where the norm ends a layer, the repeat itself tells that a layer begins with its projections."""
    tape = once([POST] * 6, head="EEeEend", tail="gan")
    assert found(grouped(tape.module())) == [truth(tape)]


def test_prefill_and_decode_in_one_file_are_two_stacks_and_steps() -> None:
    """Embedding and sampling part forward passes."""
    tape = Tape()
    for step, tag in enumerate(("prefill", "decode")):
        tape.add("iE", tag=tag)
        tape.layers([DENSE] * 8, 8 * step, tag=tag)
        tape.add("ngZ", tag=tag)
    module = grouped(tape.module())
    assert found(module) == [truth(tape)[:8], truth(tape)[8:]]
    assert [stack.step for stack in Group().report(module).stacks] == [0, 1]


@pytest.mark.parametrize("tail", ["ngg", "ng"])
def test_passes_without_separators_are_parted_by_their_heads(tail: str) -> None:
    """One or two heavy kernels too many at equal distances are heads of forward passes."""
    tape = Tape()
    for step in range(3):
        tape.layers([DENSE] * 8, 8 * step)
        tape.add(tail)
    assert found(grouped(tape.module())) == [truth(tape)[k : k + 8] for k in (0, 8, 16)]


def test_replays_that_hold_whole_layers_are_closed() -> None:
    """No layer crosses the border of a graph replay with several attentions, and each replay is a step."""
    tape = Tape()
    for step in range(3):
        tape.layers([DENSE] * 8, 8 * step, launch=1000 + step)
        tape.add("n", launch=1000 + step)
    module = grouped(tape.module())
    assert found(module) == [truth(tape)[k : k + 8] for k in (0, 8, 16)]
    report = Group().report(module)
    assert len(report.steps) == 3
    assert all("replays" in stack.checks for stack in report.stacks)


def test_encoder_and_decoder_are_two_stacks() -> None:
    """Self and cross attention make one layer, and the change from encoder to decoder ends a stack."""
    tape = once([ENCODER] * 6 + [DECODER] * 6, head="vd")
    assert found(grouped(tape.module())) == [truth(tape)[:6], truth(tape)[6:]]


def test_double_stream_and_single_stream_blocks_are_two_stacks() -> None:
    """A lasting change of the whole body ends a stack."""
    tape = once([DOUBLE] * 6 + [SINGLE] * 10, head="vd", tail="n.g")
    assert found(grouped(tape.module())) == [truth(tape)[:6], truth(tape)[6:]]


def test_backward_layers_are_stacks_of_their_own() -> None:
    """Forward and backward passes of two training steps are four stacks in order of time, in two steps."""
    tape = Tape()
    for step in range(2):
        first = 16 * step
        tape.add("E")
        tape.layers([FORWARD] * 8, first, tag="forward")
        tape.add("ngS")
        tape.add("Sgg", tag="bwd")
        tape.layers([BACKWARD] * 8, first + 8, tag="bwd")
        tape.add("EOO", tag="bwd")
    module = grouped(tape.module())
    report = Group().report(module)
    assert [(stack.layers, stack.direction) for stack in report.stacks] == [(8, "forward"), (8, "backward")] * 2
    assert found(module) == [truth(tape)[k : k + 8] for k in (0, 8, 16, 24)]
    assert [step.phase for step in report.steps] == ["train", "train"]


def test_recomputed_forward_work_belongs_to_the_backward_layer() -> None:
    """Under checkpointing each backward layer holds its own recomputation."""
    tape = Tape()
    tape.add("E")
    tape.layers([FORWARD] * 8, 0, tag="forward")
    tape.add("ngSSgg")
    for layer in range(8, 16):
        tape.add(FORWARD, layer, tag="forward")
        tape.add(BACKWARD, layer, tag="bwd")
    tape.add("EOO")
    assert found(grouped(tape.module())) == [truth(tape)[:8], truth(tape)[8:]]


@pytest.mark.parametrize("lost", [3, 6])
def test_a_window_that_cuts_the_first_layer_leaves_a_partial_stack(lost: int) -> None:
    """The rest of a cut layer is no layer of its own, whether its attention is lost or not, and the stack says so."""
    tape = Tape()
    tape.layers([DENSE] * 20)
    cut = tape.kept([k >= lost for k in range(len(tape.letters))])
    module = grouped(cut.module())
    assert [stack.partial for stack in Group().report(module).stacks] == [True]
    layers = found(module)[0]
    assert layers[-19:] == truth(cut)[-19:]


def test_a_cut_last_layer_is_partial() -> None:
    """A stack whose last layer ends at the window's end in the middle is partial."""
    tape = Tape()
    tape.layers([DENSE] * 20)
    cut = tape.kept([k < len(tape.letters) - 4 for k in range(len(tape.letters))])
    module = grouped(cut.module())
    assert found(module) == [truth(cut)]
    assert Group().report(module).stacks[0].partial


@pytest.mark.parametrize(
    ("letters", "reason"),
    [
        ("", "no_device_work"),
        ("EgagagZ", "no_repetition"),
        ("EngAgngagZ", "single_block"),
        ("gvb" * 50, "no_repetition"),
    ],
)
def test_no_layers_is_an_answer_with_a_reason(letters: str, reason: str) -> None:
    """Without repetition or without attention there is no stack, and the report says why."""
    tape = Tape()
    tape.add(letters)
    report = Group().report(grouped(tape.module()))
    assert (report.evidence, report.stacks, report.reason) == ("none", (), reason)


def test_unlike_bodies_are_no_layers() -> None:
    """Attention kernels with ever other work between them repeat nothing."""
    tape = once(["ngA" + letter * (4 + 3 * k) for k, letter in enumerate("gvbMrapcn")])
    assert Group().report(grouped(tape.module())).reason == "variable_blocks"


@pytest.mark.parametrize("seed", range(6))
def test_lost_kernels_change_no_count(seed: int) -> None:
    """With 4 % of all kernels lost, attention among them, there are still 40 layers, and few kernels are misplaced."""
    tape = once([DENSE] * 40)
    chance = random.Random(seed)
    tape = tape.kept([tape.truth[k] in (-1, 0, 39) or chance.random() > 0.04 for k in range(len(tape.letters))])
    layers = found(grouped(tape.module()))
    assert [len(stack) for stack in layers] == [40]
    right = sum(len(set(a) & set(b)) for a, b in zip(layers[0], truth(tape), strict=True))
    assert right >= 0.98 * sum(k >= 0 for k in tape.truth)


def test_work_on_another_stream_joins_the_layer_it_was_launched_in() -> None:
    """Communication beside the layers belongs to the layer between whose launches its own launch lies."""
    tape = Tape()
    number = 0
    for layer in range(6):
        for k, letter in enumerate(DENSE):
            tape.add(letter, layer, launch=(number := number + 1))
            if k == 5:
                tape.add("R", layer, lane=1, launch=(number := number + 1))
    module = grouped(tape.module())
    assert found(module) == [truth(tape)]
    assert module.text("group.label")[module.row_of(6)] == "all_reduce"


def test_ranges_around_layers_are_evidence() -> None:
    """Numbered ranges that cover the work and hold one attention each are the layers, even of unlike bodies."""
    tape = Tape()
    bodies = [DENSE, MOE, "ngA", DENSE + "gg"]
    ranges, number = [], 0
    for layer, body in enumerate(bodies):
        first = number + 1
        for letter in body:
            tape.add(letter, layer, launch=(number := number + 1))
        ranges.append((f"decoder_{layer}", first, number))
    module = grouped(tape.module(ranges))
    assert found(module) == [truth(tape)]
    assert Group().report(module).evidence == "annotations"


def test_ranges_of_blocks_make_layers_of_a_period() -> None:
    """Alternating attention and mlp ranges are one layer a pair; a range that holds many layers is none."""
    tape = Tape()
    ranges, number = [], 0
    for layer in range(5):
        for text, body in (("attention forward", "ngAg"), ("mlp forward", "ngag")):
            first = number + 1
            for letter in body:
                tape.add(letter, layer, launch=(number := number + 1))
            ranges.append((text, first, number))
    ranges.append(("whole model", 1, number))
    module = grouped(tape.module(ranges), by="annotations")
    assert found(module) == [truth(tape)]


def test_a_step_owns_work_by_its_launch() -> None:
    """A kernel that runs after its step's mark has ended still belongs to the step that launched it."""
    tape = Tape()
    for number in range(1, 41):
        tape.add("g", launch=number)
    module = grouped(tape.module([("ProfilerStep#1", 1, 20), ("ProfilerStep#2", 21, 40)]))
    assert [step.kernels for step in Group().report(module).steps] == [20, 20]


@given(st.lists(st.sampled_from(list("gnAapkyeRE1Z.")), max_size=120), st.integers(-(10**15), 10**15))
def test_any_sequence_is_grouped_soundly_and_time_shifts_nothing(letters: list[str], shift: int) -> None:
    """Grouping never fails, its own law holds, layers are disjoint, and other times change no answer."""
    tape = Tape()
    tape.add("".join(letters))
    module = tape.module()
    result = grouped(module)
    ids = [id for stack in found(result) for layer in stack for id in layer]
    assert len(ids) == len(set(ids))
    moved = grouped(module.with_columns({"ts": module["ts"] + shift}))
    assert found(moved) == found(result)
    assert moved.text("group.label") == result.text("group.label")


def test_reports_are_equal_for_equal_modules() -> None:
    """The report is a pure function of the module, and events are listed only when asked for."""
    module = grouped(once([DENSE] * 4).module())
    assert Group().report(module) == Group().report(module)
    detail = tir.PassManager((Group(detail="events"),)).reports(
        tir.PassManager((Group(detail="events"),), insert=False).run(module)
    )["group"]
    layers = detail.layers  # type: ignore[attr-defined]
    assert [list(layer.events) for layer in layers] == found(module)[0]
