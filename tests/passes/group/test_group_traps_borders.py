"""Traps at borders: position biases, the work between passes, what one method alone finds, an altered first layer."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from tests.passes.group.program import DENSE, Program, once, only, remarks, report, shape
from tests.passes.group.synthetic import Tape, found, grouped, truth
from traceir_passes.group.ranges import pass_ranges, range_cuts
from traceir_passes.group.repeats import tandem_repeats
from traceir_passes.group.tokens import event_tokens, lane_works


@pytest.mark.parametrize("body", ["ngggESggngag", "ngggeEeSeggngag", "nggEigeSgggngag"])
def test_a_position_bias_does_not_hide_the_softmax(body: str) -> None:
    """An embedding between a gemm and its softmax is looked past: the three are an attention."""
    tape = once([body] * 8)
    assert found(grouped(tape.module())) == [truth(tape)]


@pytest.mark.parametrize(
    ("body", "tail"), [(DENSE, "nggg"), (DENSE, "ngggg"), ("ngAgngag", "ngg"), ("ngAgngag", "nggg")]
)
def test_what_stands_between_passes_is_not_a_layer_that_lost_its_attention(body: str, tail: str) -> None:
    """It recurs as it is, and losses do not fall alike twice."""
    tape = Tape()
    for step in range(4):
        tape.layers([body] * 12, 12 * step)
        tape.add(tail)
    assert [stack.layers for stack in report(grouped(tape.module())).stacks] == [12] * 4


@pytest.mark.parametrize("body", ["nAn", "ngnSn", "vba"])
def test_a_body_that_was_refused_does_not_come_back_as_its_double(body: str) -> None:
    """One heavy op is too few for a layer, and twice the body is no other body."""
    tokens = np.frombuffer(body.encode() * 9, np.uint8)
    assert tandem_repeats(tokens, np.zeros(len(tokens), np.int64), max_period=400) == []


def test_what_one_method_alone_finds_is_remarked() -> None:
    """The count stands, with less confidence, and the reason is said."""
    lost = {1: "p", 2: "k", 5: "p", 8: "k"}
    tape = once([DENSE.replace(lost.get(layer, "."), "") for layer in range(10)])
    assert only(grouped(tape.module())).confidence == 0.7333
    (said,) = remarks(tape.module())
    assert said == "10 layers are counted by their attention alone: their roles do not repeat."


@pytest.mark.parametrize("at", [1, 2])
def test_an_altered_first_layer_makes_the_border_a_guess(at: int) -> None:
    """One copy more in it is like an embedding's norm before a layer that ends with its own: order cannot tell."""
    tape = once([DENSE[:at] + "y" + DENSE[at:], *[DENSE] * 11])
    module = grouped(tape.module())
    assert [len(stack) for stack in found(module)] == [12]
    stack = module.tree("layers").of_kind("stack")
    assert module["group.guessed"][stack].tolist() == [True]


@pytest.mark.parametrize(("steps", "wanted"), [(3, [0, 1, 2]), (2, [None, None])], ids=["as many", "fewer"])
def test_other_devices_have_their_steps(steps: int, wanted: list[int | None]) -> None:
    """Without marks, by their own separators; if they have not as many, nobody knows which is which."""
    program = Program()
    for step in range(3):
        for lane, first in (("gpu0.s7", 0), ("gpu1.s7", 100)):
            if lane == "gpu1.s7" and step >= steps:
                continue
            program.play("E", lane=lane)
            for layer in range(6):
                program.play(DENSE, first + 10 * step + layer, lane=lane)
            program.play("ngZ", lane=lane)
    stacks = report(grouped(program.module())).stacks
    assert [stack.step for stack in stacks if stack.lane == "gpu0.s7"] == [0, 1, 2]
    assert [stack.step for stack in stacks if stack.lane == "gpu1.s7"] == wanted


def _forwards(texts: Sequence[str], layers: int = 5, *, between: str = "") -> Program:
    """A pass in each of the ranges, with work between them that looks like a layer's end."""
    program = Program()
    for k, text in enumerate(texts):
        with program.inside(text, "host.range"):
            for layer in range(layers):
                program.play(DENSE, layers * k + layer)
        program.play(between)
    return program


@pytest.mark.parametrize("between", ["", "ngag", "e"])
def test_ranges_around_whole_passes_part_stacks(between: str) -> None:
    """A range that holds several attentions is a pass, and its borders are good borders, whatever lies between."""
    program = _forwards([f"forward {k}" for k in range(4)], between=between)
    item = grouped(program.module())
    assert shape(item) == [(5, "device")] * 4
    assert list(itertools.chain.from_iterable(found(item))) == program.layers


def test_ranges_inside_of_another_part_stacks_too() -> None:
    """Passes inside a range around all that is measured, and ranges of batches around several passes."""
    program = Program()
    layer = 0
    with program.inside("benchmark", "host.range"):
        for batch in range(2):
            with program.inside(f"load {batch}", "host.range"):
                for k in range(3):
                    with program.inside(f"pass {k}", "host.range"):
                        for _ in range(4):
                            program.play(DENSE, layer)
                            layer += 1
    item = grouped(program.module())
    assert shape(item) == [(4, "device")] * 6
    assert list(itertools.chain.from_iterable(found(item))) == program.layers


@pytest.mark.parametrize("texts", [["all"], ["warm up", "measured"]])
def test_ranges_that_do_not_repeat_part_nothing(texts: list[str]) -> None:
    """A range that stands alone may be around anything: a half of the layers, as well."""
    assert shape(grouped(_forwards(texts, 8).module())) == [(8 * len(texts), "device")]


def test_ranges_of_few_layers_part_nothing() -> None:
    """Three attentions may be one layer's."""
    assert shape(grouped(_forwards([f"part {k}" for k in range(8)], 2).module(), by="device")) == [(16, "device")]


def test_ranges_that_take_turns_on_a_lane_part_nothing() -> None:
    """Their launches lie in two threads, and the lane runs now of the one and now of the other."""
    program = Program()
    with (
        program.inside("pass 0", "host.range", "cpu.main"),
        program.inside("pass 1", "host.range", "cpu.worker"),
    ):
        for _ in range(6):
            for thread in ("cpu.main", "cpu.worker"):
                program.play(DENSE[:5], thread=thread)
                program.play(DENSE[5:], thread=thread)
    ranges = pass_ranges(program.module(), event_tokens(program.module()))
    (lane,) = lane_works(program.module())
    assert len(ranges) == 1
    assert len(range_cuts(lane, ranges)) == 0
