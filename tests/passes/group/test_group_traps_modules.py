"""Traps of module frames: towers, classes that take turns, layers without a class of their own."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from tests.passes.group.program import DENSE, Program, report, shape
from tests.passes.group.synthetic import found, grouped

MAMBA, MOE = "ngLLgngag", "ngpkAgngrMMc"
DOUBLE, SINGLE = "gegegneggnneggnneAgenegageg", "gnegnnAage"


def _classes(layers: Sequence[tuple[str, str]]) -> Program:
    """A model of layers of several classes, each given with its work; instances count within a class."""
    program = Program()
    numbers: dict[str, int] = {}
    with program.inside("nn.Module: Model_0"):
        for layer, (cls, work) in enumerate(layers):
            number = numbers[cls] = numbers.get(cls, -1) + 1
            with program.inside(f"nn.Module: {cls}_{number}"):
                program.play(work, layer)
    return program


def test_two_towers_of_one_class_are_no_layers() -> None:
    """Encoder and decoder are two stacks with modules, as layers with modules are; but they hold layers themselves."""
    program = Program()
    with program.inside("nn.Module: Model_0"):
        for tower, body in enumerate(("ngggAgngag", "ngggAgngggAgngag")):
            with program.inside(f"nn.Module: Stack_{tower}"):
                program.play("E")
                program.modules("Block", [body] * 6, 6 * tower)
    item = grouped(program.module())
    assert [(stack.layers, stack.template) for stack in report(item).stacks] == [(6, "Block"), (6, "Block.2")]
    assert list(itertools.chain.from_iterable(found(item))) == program.layers


def test_two_layers_with_modules_are_layers_still() -> None:
    """What they hold is no layers."""
    program = Program()
    with program.inside("nn.Module: Model_0"):
        for layer in range(2):
            with program.inside(f"nn.Module: Block_{layer}"):
                program.modules("Attention", ["ngpkAg"])
                program.modules("Linear", ["g"] * 3)
    assert shape(grouped(program.module())) == [(2, "modules")]


@pytest.mark.parametrize("period", [2, 4, 8])
def test_classes_that_take_turns_are_one_stack(period: int) -> None:
    """One class for attention and one for state spaces, of which neither need own most of the model."""
    layers = [("AttentionLayer", DENSE) if k % period == 0 else ("MambaLayer", MAMBA) for k in range(16)]
    item = grouped(_classes(layers).module())
    assert shape(item) == [(16, "modules")]
    assert found(item) == [_classes(layers).layers]


@pytest.mark.parametrize(
    ("first", "second"), [(("Double", DOUBLE), ("Single", SINGLE)), (("Dense", DENSE), ("Moe", MOE))]
)
def test_classes_one_after_the_other_are_two_stacks(first: tuple[str, str], second: tuple[str, str]) -> None:
    """Together they own their parent, and neither has to alone."""
    program = _classes([first] * 6 + [second] * 10)
    item = grouped(program.module())
    assert shape(item) == [(6, "modules"), (10, "modules")]
    assert list(itertools.chain.from_iterable(found(item))) == program.layers


def test_attention_and_mlp_without_a_layer_around_them_are_a_layer() -> None:
    """The one always follows the other."""
    program = Program()
    with program.inside("nn.Module: Model_0"):
        for layer in range(6):
            with program.inside(f"nn.Module: Attention_{layer}"):
                program.play(DENSE[:6], layer)
            with program.inside(f"nn.Module: MLP_{layer}"):
                program.play(DENSE[6:], layer)
        with program.inside("nn.Module: Head_0"):
            program.play("ng")
    item = grouped(program.module())
    assert shape(item) == [(6, "modules")]
    assert found(item) == [program.layers]
