"""Traps of steps, micro-batches, confidence and of what has no layers: for each rule a module of known answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import traceir as tir
from tests.build import Ev
from tests.passes.group.program import DENSE, TP, Program, once, only, remarks, report
from tests.passes.group.synthetic import Tape, found, grouped
from tests.passes.test_capture import Writer, joined, kernels
from tests.passes.test_microbatch import Score, owners
from tests.passes.test_microbatch import found as batches
from traceir_passes.group.stack import Stack
from traceir_passes.group.steps import marks

Load = Callable[[str], tir.Module]

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


def test_without_marks_separators_part_steps() -> None:
    """From the embedding to the sample; two models, so that nothing repeats, and copies count as no kernels."""
    tape = Tape()
    for first, bodies in ((0, [DENSE] * 8), (8, [TP] * 5)):
        tape.add("y")
        tape.add("E1")
        tape.layers(bodies, first)
        tape.add("ngZ")
    item = grouped(tape.module())
    assert [step.kernels for step in report(item).steps] == [1 + 80 + 3, 1 + 60 + 3]
    outside = np.flatnonzero(item.work & (item["tree.steps"] < 0))
    assert {tape.letters[id] for id in item["id"][outside].tolist()} == {"y"}


def test_no_layer_crosses_a_mark() -> None:
    """Two steps that nothing but their marks parts."""
    program = Program(lag=5000)
    for number in range(2):
        with program.inside(f"ProfilerStep#{number}", "host.range"):
            for layer in range(6):
                program.play(DENSE, 6 * number + layer)
    item = grouped(program.module())
    assert found(item) == [program.layers[:6], program.layers[6:]]
    assert [stack.step for stack in report(item).stacks] == [0, 1]


def test_steps_with_an_optimizer_train() -> None:
    """Though no backward attention is among them; a step without one says nothing."""
    program = Program()
    for number, letters in enumerate(("vbaO", "vba")):
        with program.inside(f"ProfilerStep#{number}", "host.range"):
            program.play(letters)
    assert [step.phase for step in report(grouped(program.module())).steps] == ["train", None]


def test_without_marks_a_sequence_of_stacks_that_repeats_is_a_step() -> None:
    """No embedding and no sample is recorded; three times blocks of one kind and then of another."""
    tape = Tape()
    for step in range(3):
        tape.layers(["ngAgngag"] * 6, 12 * step)
        tape.layers(["ngnggpkAggnrMMc"] * 6, 12 * step + 6)
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


def test_a_last_layer_that_a_separator_cuts_inside_is_partial() -> None:
    """The next pass begins where the sixth layer had only got to its attention."""
    tape = Tape()
    tape.add("E")
    tape.layers([*[DENSE] * 5, DENSE[:6]])
    tape.add("E")
    tape.layers([DENSE] * 6, 6)
    tape.add("ngZ")
    item = grouped(tape.module())
    assert [(stack.layers, stack.partial) for stack in report(item).stacks] == [(6, True), (6, False)]


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


def test_ranges_are_the_key_though_threads_take_turns_too() -> None:
    """Attention is launched by one thread and the rest by another, for both copies."""
    score = Score()
    for layer in range(6):
        for block, thread in (("ngAg", "cpu.t0"), ("nrMMc", "cpu.t1"), ("ngAg", "cpu.t1"), ("nrMMc", "cpu.t0")):
            for copy in (0, 1):
                start = score.host
                score.play(block, copy, 2 * layer + (thread == "cpu.t1"), lane="gpu0.s1", thread=thread)
                name = f"micro_batch_{copy}"
                score.events.append(Ev("host.range", name, start, score.host - start + 1, thread))
                score.host += 2
    item, said, _ = batches(score.module())
    assert [batch.layers for batch in said.sets[0].batches] == [12, 12]
    assert {copy for copy, _ in owners(item).values()} == {0, 1}
    assert all(score.truth[id][0] == copy for id, (copy, _) in owners(item).items())


def test_three_copies_take_turns() -> None:
    """Each is grouped alone."""
    score = Score()
    for layer in range(8):
        for block in ("ngAg", "ngag"):
            for copy in range(3):
                score.play(block, copy, layer, lane="gpu0.s1", thread=f"cpu.t{copy}")
    item, said, _ = batches(score.module())
    assert [batch.layers for batch in said.sets[0].batches] == [8, 8, 8]
    assert owners(item) == score.truth


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


def test_each_evidence_has_its_own_confidence(tmp_path: Path) -> None:
    """Before any check: modules and captures 0.97, ranges 0.90."""
    program = Program()
    with program.inside("nn.Module: Model_0"):
        program.modules("Block", [DENSE] * 4)
    assert only(grouped(program.module(), by="modules")).confidence == 0.97
    program = Program()
    for layer in range(4):
        with program.inside(f"block {layer}", "host.range"):
            program.play(DENSE, layer)
    assert only(grouped(program.module(), by="annotations")).confidence == 0.90
    writer = Writer()
    writer.capture(4, names=True)
    writer.replay(kernels(4))
    item, _, _ = joined(writer.module(tmp_path), "capture,group{by=capture}")
    assert only(item).confidence == 0.97


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
