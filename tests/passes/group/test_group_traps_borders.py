"""Traps at borders: position biases, the work between passes, what one method alone finds, an altered first layer."""

from __future__ import annotations

import numpy as np
import pytest

from tests.passes.group.program import DENSE, Program, once, only, remarks, report
from tests.passes.group.synthetic import Tape, found, grouped, truth
from traceir_passes.group.repeats import tandem_repeats


@pytest.mark.parametrize("body", ["ngggESggngag", "ngggeEeSeggngag"])
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
