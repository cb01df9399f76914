"""Traps of real models that look like something else: each a tape of known layers, by the device's order alone."""

from __future__ import annotations

import itertools
import random
from typing import Final

import numpy as np
import pytest

import traceir as tir
from tests.passes.group.architectures import tape
from tests.passes.group.program import DENSE, report
from tests.passes.group.synthetic import Tape, found, grouped, truth
from traceir_passes.group.phase import Courses
from traceir_passes.group.tokens import lane_works

GPT, VISION = "ngAgengage", "ngpAgngag"
SHARED = "ngpkAgngrMMcgag"
LOOSE: Final = {
    "sum of embeddings before the first norm": tape("EEe", [GPT] * 12, "ngZ", steps=3),
    "the same, one pass": tape("EEe", [GPT] * 12, "ng"),
    "eager norms with a cast": tape("EEe", ["yhehegggAgeyhehegage"] * 8, "yhehegZ", steps=2),
    "projector that is a layer's second half": tape("v", [VISION] * 24, "ngag", ["ngpkAgngag"] * 28, "ngZ", steps=2),
}
"""What precedes the first layer looks like the end of one."""
KINDS: Final = {
    "three linear, one full of three products": tape(
        "iE", (["nggLLnggngag"] * 3 + ["ngggnnpkAggngag"]) * 12, "ngZ", steps=2
    ),
    "seven linear, one full": tape("iE", (["ngaLgngrMMc"] * 7 + ["ngggpkAgngrMMc"]) * 4, "ngZ", steps=3),
    "state spaces, attention and experts": tape(
        "E", (["ngLLgngag"] * 3 + ["ngggpkAgngag"] + ["ngLLgngrMMc"] * 4) * 4, "ngZ", steps=2
    ),
    "three dense, one of experts": tape("E", ([DENSE] * 3 + [SHARED]) * 8, "ngZ", steps=2),
    "seven dense, one of experts": tape("E", ([DENSE] * 7 + [SHARED]) * 6, "ngZ", steps=2),
    "one dense, three of experts": tape("E", ([DENSE] + [SHARED] * 3) * 8, "ngZ", steps=2),
}
"""Layers of one stack that differ by two products and more."""
HALVES: Final = {
    "cross attention with normed queries": tape("vg", ["nengnngpAgenggnAgenegage"] * 30, "neg", steps=4),
    "cross attention like its self attention": tape(
        "E", ["ngggygSgygngag"] * 8, "nE", ["ngggygSgygngggygSgygngag"] * 8, "ngZ", steps=2
    ),
}
"""Layers of two attentions, of which the first half looks like a whole one."""
BACKWARD: Final = {
    "sums between": ("EEe", GPT, "ngSd", "Sgggn", "eggaggneggAgggen", "iEEOO"),
    "products before the norm as in the loss": ("E", GPT, "ngS", "Sgggn", "eggaggnggggSgggggggn", "EOO"),
}
"""Head, forward body, loss, its backward, backward body, and the rest."""


@pytest.mark.parametrize("model", [*LOOSE, *KINDS, *HALVES])
def test_every_kernel_has_its_layer(model: str) -> None:
    """Order decides, names being the same all over; and the answer is sure."""
    known = {**LOOSE, **KINDS, **HALVES}[model]
    module = grouped(known.module())
    assert list(itertools.chain.from_iterable(found(module))) == truth(known)
    assert min(stack.confidence for stack in report(module).stacks) >= 0.9


@pytest.mark.parametrize("model", KINDS)
def test_kinds_that_alternate_are_one_stack(model: str) -> None:
    """More work in every fourth layer is no border between passes."""
    known = KINDS[model]
    steps = known.letters.count("Z")
    assert [stack.layers for stack in report(grouped(known.module())).stacks] == [len(truth(known)) // steps] * steps


@pytest.mark.parametrize("model", LOOSE)
def test_a_border_that_order_does_not_decide_is_a_guess(model: str) -> None:
    """The layer might as well begin with what ends it."""
    module = grouped(LOOSE[model].module())
    assert any(module["group.guessed"])


@pytest.mark.parametrize(("head", "tail"), [("EEn", "gag"), ("EEen", "ga"), ("EEn", "gg")])
def test_layers_that_end_with_their_norm_are_a_guess(head: str, tail: str) -> None:
    """With an embedding norm they look like layers that begin with theirs."""
    module = grouped(tape(head, ["gggAgngagn"] * 6, tail, steps=4).module())
    assert module["group.guessed"][module.tree("layers").of_kind("stack")].all()


@pytest.mark.parametrize("model", BACKWARD)
def test_backward_layers_end_with_their_norm(model: str) -> None:
    """The mirror of the forward pass: what the loss makes first looks like the end of a layer."""
    head, forward, loss, turn, backward, rest = BACKWARD[model]
    known, layer = Tape(), 0
    for _ in range(2):
        known.add(head)
        known.layers([forward] * 8, layer, tag="fwd")
        known.add(loss)
        known.add(turn, tag="bwd")
        known.layers([backward] * 8, layer + 8, tag="bwd")
        known.add(rest, tag="bwd")
        layer += 16
    module = grouped(known.module())
    assert list(itertools.chain.from_iterable(found(module))) == truth(known)
    assert [stack.direction for stack in report(module).stacks] == ["forward", "backward"] * 2


def test_double_stream_blocks_give_way_in_every_pass() -> None:
    """The body that lies between two passes begins as the one kind and ends as the other: it counts for neither."""
    known = tape("gagag", ["gegegneggnneggnneAgenegageg" + "ege"] * 19, ["gnegnnAage"] * 38, "gneg", steps=3)
    module = grouped(known.module())
    assert [stack.layers for stack in report(module).stacks] == [19, 38] * 3
    assert list(itertools.chain.from_iterable(found(module))) == truth(known)


def test_a_transfer_parts_the_passes_of_a_pipeline_stage() -> None:
    """What is handed on and received stands between passes, and no layer of them has it."""
    known = tape("D", [DENSE] * 10, "D", steps=6)
    module = grouped(known.module())
    assert [stack.layers for stack in report(module).stacks] == [10] * 6
    assert list(itertools.chain.from_iterable(found(module))) == truth(known)


def test_a_transfer_in_every_layer_parts_nothing() -> None:
    """Attention over a ring of ranks sends keys on in each layer."""
    known = tape("E", ["ngpkDAgngag"] * 16, "ngZ", steps=2)
    assert [stack.layers for stack in report(grouped(known.module())).stacks] == [16, 16]


def test_a_tower_before_the_embedding_belongs_to_the_step_of_that() -> None:
    """The step begins where the one before was sampled."""
    known = tape("vd", [VISION] * 24, "ngageE", [DENSE] * 28, "ngZ", steps=3)
    stacks = report(grouped(known.module())).stacks
    assert [(stack.layers, stack.step) for stack in stacks] == [(n, k) for k in range(3) for n in (24, 28)]


@pytest.mark.parametrize("layers", [1, 2])
def test_few_layers_in_many_passes_are_a_single_block(layers: int) -> None:
    """What repeats are passes, and between their borders is too little."""
    answer = report(grouped(tape("E", [DENSE] * layers, "ngZ", steps=8).module()))
    assert (answer.stacks, answer.reason) == ((), "single_block")


@pytest.mark.parametrize("seed", range(6))
def test_chance_is_no_sure_answer(seed: int) -> None:
    """Work in random order has attentions without layers; where it looks like some, odds are told as low."""
    chance = random.Random(seed)
    module = grouped(
        tape("".join(chance.choice(["ngA", "gna", "gg", "nAg", "ey", "gS"]) for _ in range(3000))).module()
    )
    answer = report(module)
    assert sum(stack.kernels for stack in answer.stacks) < 0.02 * int(module.work.sum())
    assert all(stack.confidence < 0.7 for stack in answer.stacks)


def test_experts_that_are_looped_over_are_no_sure_answer() -> None:
    """As many products as tokens ask for: layers are as many as attentions, and there is no telling passes."""
    chance = random.Random(1)
    bodies = ["ngggppAgngSs" + "iegageg" * chance.randint(3, 8) + "e" for _ in range(24)]
    answer = report(grouped(tape("E", bodies, "ngZ").module()))
    assert answer.reason == "variable_blocks" or max(stack.confidence for stack in answer.stacks) < 0.7


def test_a_step_of_two_graphs_keeps_its_confidence() -> None:
    """Each of the two is replayed with as many kernels as ever, though they are not equally many."""
    known = Tape()
    for step in range(4):
        for half, (head, tail) in enumerate((("iE", ""), ("", "ngZ"))):
            launch = 1000 + 2 * step + half
            known.add(head, launch=launch)
            known.layers([DENSE] * 16, 32 * step + 16 * half, launch=launch)
            known.add(tail, launch=launch)
    module = grouped(known.module())
    stacks = report(module).stacks
    assert found(module) == [truth(known)[k : k + 16] for k in range(0, 128, 16)]
    assert {stack.checks for stack in stacks} == {"autocorrelation, replays"}


def test_a_replay_that_lacks_kernels_fails_the_check() -> None:
    """One graph, replayed four times, once with less."""
    known = Tape()
    for step in range(4):
        known.add("iE", launch=1000 + step)
        known.layers([DENSE] * 16, 16 * step, launch=1000 + step)
        known.add("ngZ", launch=1000 + step)
    keep = np.ones(len(known.letters), bool)
    keep[200] = False
    stacks = report(grouped(known.kept(keep.tolist()).module())).stacks
    assert all("no replays" in stack.checks for stack in stacks)


def _spent(passes: int) -> int:
    """Calls of the likeness of bodies for so many passes that nothing separates."""
    from traceir_passes.group import kinds

    calls = 0
    original = kinds.Kinds._extra

    def counted(self: kinds.Kinds, body: bytes) -> int:
        nonlocal calls
        calls += 1
        return original(self, body)

    module: tir.Module = tape("v", [DENSE] * 8, "ngag", [GPT] * 6, "nggg", steps=passes).module()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kinds.Kinds, "_extra", counted)
        grouped(module)
    return calls


def test_the_cost_grows_with_the_passes() -> None:
    """Four times as many passes in one stretch cost at most five times as much."""
    assert _spent(160) <= 5 * _spent(40)


def test_a_run_is_looked_at_with_its_surroundings_only() -> None:
    """Also where nothing separates it from the lane's start: else each run would be compared with all before it."""
    (work,) = lane_works(tape("v", [DENSE] * 400).module())
    anchors = np.flatnonzero(work.tokens == ord("A"))
    course, base = Courses(work).course(anchors[-8:], 0, len(work))
    assert len(course.text) <= 12 * len(DENSE)
    assert work.text[base:] == course.text
    assert course.first > 0
    course, base = Courses(work).course(anchors[:8], 0, len(work))
    assert (base, course.first) == (0, 0)
