"""Passes that take turns, and readings that lost kernels make doubtful."""

from __future__ import annotations

import random

import pytest

from tests.passes.group.architectures import BACKWARD, DENSE, FORWARD, lossy, tape, wrong_owners
from tests.passes.group.program import Program, report
from tests.passes.group.synthetic import Tape, found, grouped, truth
from traceir_passes.group import Group
from traceir_passes.group.borders import Allowed, choose

DIFFUSION, DOUBLE, SINGLE = "negAgegggAgenegage", "gegegneggnneggnneAgenegagegege", "gnegnnAage"
GATHERED = "GngAgngag"


def accumulated(passes: int, layers: int, between: str = "") -> Tape:
    """Forward and backward passes in turns, with nothing but `between` between them."""
    out, layer = Tape(), 0
    for _ in range(passes):
        out.layers([FORWARD] * layers, layer)
        out.add(between)
        out.layers([BACKWARD] * layers, layer + layers, tag="bwd")
        layer += 2 * layers
    return out


@pytest.mark.parametrize("between", ["", "ng"], ids=["nothing", "head"])
def test_accumulated_gradients_are_passes_apart(between: str) -> None:
    """Each pass is a stack of its own direction, though nothing separates it from the next of the other one."""
    module = grouped(accumulated(3, 8, between).module())
    stacks = [(stack.layers, stack.direction) for stack in Group().report(module).stacks]
    assert stacks == [(8, "forward"), (8, "backward")] * 3


def test_what_runs_again_is_no_pass() -> None:
    """Two attentions that a layer computes again before its backward pass do not part that."""
    cross, back = "ngAgngAgngag", "ggagnggAggnggAggn"
    out = tape("E", [cross] * 8, "ngS")
    out.add("Sgg", tag="bwd")
    for k in range(8):
        out.add(cross, 8 + k)
        out.add(back, 8 + k, tag="bwd")
    stacks = Group().report(grouped(out.module())).stacks
    assert (stacks[0].layers, stacks[0].direction) == (8, "forward")
    assert [stack.direction for stack in stacks].count("backward") == 1


def test_any_order_of_passes_is_read_without_error() -> None:
    """Forward and backward layers in any order, one after the other and with losses: an answer, never an exception."""
    for seed in range(60):
        chance = random.Random(seed)
        out = Tape()
        for k in range(chance.randrange(2, 30)):
            body, tag = chance.choice([(FORWARD, ""), (BACKWARD, "bwd"), ("ngAgngAgngag", ""), ("n", "")])
            for _ in range(chance.choice([1, 1, 2, 3, 8])):
                out.add(body, k, tag=tag)
        model = lossy(out, chance.choice([0, 0.03, 0.2]), seed)
        options: list[dict[str, object]] = [{}, {"max_odd": 6}, {"min_layers": 1}, {"min_confidence": 0.0}]
        grouped(model.module(), **chance.choice(options))


def test_stacks_that_take_turns_are_one_member_of_a_step() -> None:
    """Two micro-batches in turns, each launched by its own thread, look like a repeat of stacks but are none."""
    score = Program()
    for layer in range(12):
        for block in ("ngAg", "ngrMMc"):
            for copy in (0, 1):
                score.play(block, 2 * layer + copy, thread=f"cpu.t{copy}")
    item = grouped(score.module())
    assert [stack.layers for stack in report(item).stacks] == [12, 12]
    assert not report(item).steps


@pytest.mark.parametrize(
    "model",
    [
        tape("vg", [DIFFUSION] * 28, "neg", steps=4),
        tape("gagag", [DOUBLE] * 19, [SINGLE] * 38, "gneg", steps=3),
        tape("GE", [GATHERED] * 24, "GngS", steps=2),
    ],
    ids=["cross attention", "double and single", "gathered weights"],
)
def test_losses_do_not_join_passes_or_move_borders(model: Tape) -> None:
    """Long passes of which hardly anything tells the ends, and layers that begin with no norm."""
    for seed in range(5):
        poor = lossy(model, 0.01, seed)
        assert wrong_owners(poor, grouped(poor.module())) <= 0.01, seed


def test_a_run_that_lacks_a_layer_is_doubted() -> None:
    """Of like passes of one depth one is a layer short, and kernels were lost: so its count is no sure one."""
    whole = tape("E", [DENSE] * 12, "ngZ", steps=3)
    lost = {k for k, layer in enumerate(whole.truth) if layer in (11, 20) and (layer == 11 or whole.letters[k] == "a")}
    module = grouped(whole.kept([k not in lost for k in range(len(whole.letters))]).module())
    stacks = Group().report(module).stacks
    assert [stack.layers for stack in stacks] == [11, 12, 12]
    assert ["like_counts" in stack.checks for stack in stacks] == [True, False, False]
    assert stacks[0].confidence < stacks[2].confidence


def test_passes_of_another_depth_are_not_doubted() -> None:
    """Where nothing was lost, another number is another model."""
    model = tape("E", [DENSE] * 12, "ngZ", "E", [DENSE] * 11, "ngZ", "E", [DENSE] * 12, "ngZ")
    module = grouped(model.module())
    assert found(module) == [truth(model)[:12], truth(model)[12:23], truth(model)[23:]]
    assert not any("like_counts" in stack.checks for stack in Group().report(module).stacks)


def test_where_runs_that_lost_kernels_agree() -> None:
    """The outermost place counts if the others show it but for a loss, not if something else precedes them."""
    template = b"AgngagGng"
    outer = Allowed(6, 9, 6, head=b"gnGE")
    assert choose(template, [outer, Allowed(8, 9, 8, head=b"gGE")], damage=True).offset == 6  # its norm is lost
    other = Allowed(8, 9, 8, head=b"gaE")
    assert choose(template, [outer, other, other], damage=True).offset == 8
    assert not choose(template, [outer, outer], damage=True).doubted


def test_a_border_that_one_run_tells_is_doubted() -> None:
    """A norm that the first layer lost would look like this; on whole traces nothing is doubted."""
    template = b"Agngagng"
    alone: list[Allowed | None] = [Allowed(7, 7, 7, head=b"gvE")]
    assert choose(template, alone, damage=True).doubted
    assert not choose(template, alone, damage=False).doubted
    assert not choose(template, alone * 2, damage=True).doubted
