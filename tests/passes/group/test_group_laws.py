"""Checks of confidence by what is known of parallel programs, and by what the user states."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

import traceir as tir
from tests.passes.group.architectures import TP, TP_MOE, tape
from tests.passes.group.program import DENSE, Program, once, only, remarks, report
from tests.passes.group.synthetic import Tape, grouped

EP = "ngpkAgRngr>MM<c"


def checks(item: Tape | tir.Module, **options: object) -> list[list[str]]:
    """The checks of each stack."""
    module = item.module() if isinstance(item, Tape) else item
    return [stack.checks.split(", ") for stack in report(grouped(module, **options)).stacks]


@pytest.mark.parametrize(
    ("bodies", "head"),
    [
        ([TP] * 12, "ER"),
        ([TP] * 12, "E"),
        ([TP, TP_MOE] * 6, "ER"),
        (["ngpkAggageR"] * 12, "ER"),
        (["nGgpkAgXnGgagX"] * 12, "EX"),
        ([TP] * 3 + [EP] * 12, "ER"),
        (["gpkAgFgagF"] * 12, "EF"),
    ],
    ids=["tensor", "replicated", "experts", "parallel halves", "sequence", "dense then dispatched", "fused"],
)
def test_reductions_are_as_many_as_layers_have_halves(bodies: Sequence[str], head: str) -> None:
    """Two a layer, one where the halves are summed first or the experts' results come back by themselves."""
    (found,) = checks(once(bodies, head, "ngGZ"))
    assert "collectives" in found


@pytest.mark.parametrize("missing", [1, 3])
def test_a_reduction_that_is_missing_inside_breaks_the_law(missing: int) -> None:
    """One of 80 is none of 2 · L, and the answer is less sure than without any law."""
    bodies = [TP] * 40
    for layer in range(missing):
        bodies[7 + 9 * layer] = TP.replace("R", "", 1)
    (stack,) = report(grouped(once(bodies, "ER", "ngGZ").module())).stacks
    assert "no collectives" in stack.checks.split(", ")
    assert stack.confidence < only(grouped(once([DENSE] * 40).module())).confidence - 0.1


def test_the_law_is_held_to_no_backward_pass() -> None:
    """Gradients are reduced when a bucket is full, whichever layer that is in."""
    known = Tape()
    for step in range(2):
        known.add("E")
        known.layers(["ngAgngag"] * 8, 16 * step, tag="fwd")
        known.add("ngS")
        known.add("Sgg", tag="bwd")
        for layer in range(8):
            known.add("ggagnggAggn" + "R" * (layer % 3 == 0), 16 * step + 8 + layer, tag="bwd")
        known.add("EOO", tag="bwd")
    assert all("collectives" not in text for found in checks(known) for text in found)


@pytest.mark.parametrize("last", ["R", ""])
def test_modules_are_held_to_the_law(last: str) -> None:
    """What the host tells, too: by its launches, whatever lane they ran on."""
    program = Program()
    with program.inside("nn.Module: Model_0"):
        for layer in range(6):
            with program.inside(f"nn.Module: Block_{layer}"):
                program.play("ngpkAg", layer)
                program.play("R", layer, lane="gpu0.s20")
                program.play("ngag", layer)
                program.play("R" if layer % 2 else last, layer, lane="gpu0.s20")
    (found,) = checks(program.module(), by="modules")
    assert found == ["collectives" if last else "no collectives"]


@pytest.mark.parametrize(
    ("bodies", "holds"),
    [
        (["ngAgngr>MM<c"] * 6, True),
        (["ngAgngag"] * 3 + ["ngAgngr>MM<c"] * 6, True),
        (["ngAgngr>>MMMM<<c"] * 6, True),
        (["ngAgngr>MMc"] * 6, False),
        (["ngAgngr>MM<c"] * 4 + ["ngAgngr>M<>M<c"] + ["ngAgngr>MM<c"] * 4, False),
    ],
    ids=["every", "dense first", "two micro-batches", "nothing comes back", "one twice"],
)
def test_what_is_sent_to_experts_comes_back_in_each_layer_of_them(bodies: Sequence[str], holds: bool) -> None:
    """Dispatches are combines, as many for each layer with experts as micro-batches run through it."""
    (found,) = checks(once(bodies))
    assert ("dispatch_combine" if holds else "no dispatch_combine") in found


def test_a_stated_number_of_layers_that_is_found_makes_surer() -> None:
    """A third of what is missing to 1, and nothing is remarked."""
    item = once([DENSE] * 12).module()
    free, given = only(grouped(item)), only(grouped(item, layers=(12,)))
    assert given.confidence == pytest.approx(free.confidence + (1 - free.confidence) / 3, abs=1e-4)
    assert "given_layers" in given.checks.split(", ")
    assert remarks(item, layers=(12,)) == []


def test_another_number_than_stated_is_a_remark_and_less_sure() -> None:
    """The count that was found stays: nothing is bent to what is stated."""
    item = once([DENSE] * 12).module()
    stack = only(grouped(item, layers=(24,)))
    assert (stack.layers, stack.confidence) == (12, 0.7533)  # 0.9 · 0.7, and a third closer to 1 by another check
    assert "no given_layers" in stack.checks.split(", ")
    (remark,) = remarks(item, layers=(24,))
    assert remark == "device finds 12 layers where layers=24 was given."


def test_each_tower_has_its_number() -> None:
    """And what is found twice wrong is remarked once."""
    item = tape("vd", ["ngAgngag"] * 6, "ngagE", [DENSE] * 8, "ngZ", steps=3).module()
    assert all("given_layers" in found for found in checks(item, layers=(6, 8)))
    assert [("given_layers" in found, "no given_layers" in found) for found in checks(item, layers=(8,))] == [
        (False, True),
        (True, False),
    ] * 3
    assert len(remarks(item, layers=(8,))) == 1


def test_what_the_window_cuts_need_not_have_all_layers() -> None:
    """Fewer say nothing; more than there are do."""
    known = tape([DENSE] * 6, "ngZE", [DENSE] * 12, "ngZ")
    cut = known.kept([k >= 4 for k in range(len(known.letters))])
    first, second = checks(cut, layers=(12,))
    assert not [text for text in first if "given" in text]
    assert "given_layers" in second
    assert "no given_layers" in checks(cut, layers=(4,))[0]


def test_two_graphs_of_one_step_have_the_layers_together() -> None:
    """Sixteen and sixteen are the thirty-two that the model has."""
    program = Program()
    for step in range(3):
        with program.inside(f"ProfilerStep#{step}", "host.range"):
            program.replay(["iE", *[DENSE] * 16])
            program.replay([*[DENSE] * 16, "ngZ"])
    found = checks(program.module(), layers=(32,))
    assert len(found) == 6
    assert all("given_layers" in text for text in found)


def test_the_option_is_written_as_a_list() -> None:
    """One number or several, none below one."""
    (item,) = tir.PassManager.parse("group{layers=24+28}").passes
    assert item.layers == (24, 28)  # type: ignore[attr-defined]
    with pytest.raises(tir.UsageError, match="layers"):
        tir.PassManager.parse("group{layers=0}")
