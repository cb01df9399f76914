"""What holds gaps back from `dead-gaps`: damage of the trace, and counters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import pytest

import traceir as tir
from tests.build import module
from tests.passes.dead_gaps_made import LATE, US, kernel, launch, ran, removed
from traceir.ir import Column, Finding
from traceir_passes.dead_gaps import DeadGaps


def sick(*findings: Finding) -> tir.Module:
    return module(LATE).with_health(*findings)


def finding(code: str, *poisons: str, count: int = 1, first: int | None = None) -> Finding:
    return Finding(code, "warning", count, "Something is wrong.", first, poisons)


@pytest.mark.parametrize(
    "one",
    [
        finding("truncated", "gaps"),
        finding("clock_step", "dead-gaps"),
        finding("sampled", "gaps"),
        finding("x", "gaps"),
    ],
)
def test_damage_that_may_lie_anywhere_leaves_all_gaps(one: Finding) -> None:
    """And says so; who knows better names it."""
    item = sick(one)
    context = tir.PassContext()
    done = tir.PassManager((DeadGaps(),)).run(item, context)
    report = DeadGaps().report(done)
    assert (report.removed_ns, report.devices[0].held["health"], report.devices[0].alone_ns) == (0, 80 * US, 0)
    (remark,) = context.remarks
    assert remark.message == (
        f"No gap is taken for dead, since the finding {one.code} leaves all of them in doubt; if you know better, "
        f"write 'dead-gaps{{despite={one.code}}}'."
    )
    tir.PassManager((DeadGaps(),)).run(module(LATE[:2]).with_health(one), context)
    assert len(context.remarks) == 1  # where no gap is in doubt there is nothing to say
    assert ran(item, despite=(one.code,))[1].removed_ns == 80 * US
    assert ran(item, despite=("other",))[1].removed_ns == 0


@pytest.mark.parametrize(
    "one", [finding("truncated", "group.steps"), finding("orphan_launch", "gaps"), finding("integer_us")]
)
def test_findings_that_do_not_speak_of_these_gaps_hold_nothing_back(one: Finding) -> None:
    """Such as work without a launch, whose gaps have a class of their own."""
    assert ran(sick(one))[1].removed_ns == 80 * US


def test_holes_stay_and_other_gaps_go() -> None:
    """A hole in the record in which the host sits blocked: of two such gaps the longer one is what is spoken of."""
    events = [
        *LATE, launch(111 * US, 60 * US, "rt.sync", "cudaDeviceSynchronize"), launch(175 * US), kernel(185 * US, US, 5),
        launch(187 * US, 600 * US, "rt.sync", "cudaDeviceSynchronize"), launch(790 * US), kernel(799 * US, US, 8),
    ]  # fmt: skip
    item = module(events).with_health(finding("hole", "gaps.idle_ns", first=9))
    _, report = ran(item)
    assert removed(report) == [(20 * US, 100 * US, "host_late"), (110 * US, 185 * US, "host_sync")]
    assert report.devices[0].held["health"] == 613 * US
    assert ran(item, despite=("hole",))[1].removed_ns == (80 + 75 + 613) * US
    for said in (finding("hole", "gaps.idle_ns", count=2), finding("hole", "gaps.idle_ns", first=6)):
        assert removed(ran(module(events).with_health(said))[1]) == [(20 * US, 100 * US, "host_late")]


@attrs.define
class Counters:
    """A source of which only samples have arguments; the offset of an event is its id."""

    values: dict[int, dict[str, Any]]
    frontend: str = "test"
    path: str = ""

    def raw(self, offset: int, length: int) -> bytes:
        raise NotImplementedError

    def args(self, offsets: Any, lengths: Any) -> list[dict[str, Any]]:
        return [self.values.get(offset, {}) for offset in offsets.tolist()]


def counted(
    samples: Sequence[tuple[int, dict[str, Any]]], name: str = "GPU Utilization", device: int = 0
) -> tir.Module:
    """The late gap, and samples (instant in us, arguments) of a counter."""
    lanes = [tir.Lane("cpu", "host.thread"), tir.Lane("gpu0.s7", "dev.stream", device=0, stream=7)]
    lanes.append(tir.Lane("counters", "counter", device=device))
    rows = [(0, 0, 0, 5, 0), (1, 1, 10, 10, 1), (0, 0, 90, 5, 0), (1, 1, 100, 10, 1)]
    rows += [(2, 2, at, 0, 2) for at, _ in samples]
    kind, code, ts, dur, lane = np.array(rows, np.int64).T
    ids = np.arange(len(rows))
    return tir.ModuleBuilder(
        name="counted",
        strings=tir.Strings(["cudaLaunchKernel", "kernel", name]),
        lanes=lanes,
        kinds=["rt.launch", "dev.kernel", "ctr.sample"],
        id=ids,
        kind=kind,
        name_code=code,
        ts=ts * US,
        dur=dur * US,
        lane=lane,
        offset=ids,
        length=np.ones(len(ids)),
        edges=[("launch", np.array([0, 2]), np.array([1, 3]))],
        source=Counters({4 + number: args for number, (_, args) in enumerate(samples)}),
    ).build()


READ: dict[str, tuple[list[tuple[int, dict[str, Any]]], bool]] = {
    "zero throughout": ([(0, {"value": 0}), (200, {"value": 0})], False),
    "busy before the gap": ([(0, {"value": 80}), (20, {"value": 0}), (200, {"value": 0})], False),
    "busy in the gap": ([(0, {"value": 0}), (30, {"value": 0.5}), (31, {"value": 0})], True),
    "busy after the gap": ([(0, {"value": 0}), (100, {"value": 80}), (200, {"value": 0})], False),
    "a table's own columns": ([(0, {"value": 0, "typeId": 5}), (200, {"value": 0, "typeId": 5})], False),
    "a table's value": ([(0, {"value": 4, "typeId": 0}), (200, {"value": 0, "typeId": 0})], True),
    "one of two numbers": ([(0, {"a": 0, "b": 7}), (200, {"a": 0, "b": 0})], True),
    "no number": ([(0, {"value": "busy"}), (200, {})], False),
    "the last says nothing": ([(0, {"value": 0}), (50, {"value": 9})], False),
}


@pytest.mark.parametrize("case", READ)
def test_a_counter_can_contradict(case: str) -> None:
    """Where one read more than 0 the device did something, whatever was recorded; it holds until its next sample."""
    samples, contradicts = READ[case]
    _, report = ran(counted(samples))
    (device,) = report.devices
    assert (report.removed_ns, device.held["counter"]) == ((0, 80 * US) if contradicts else (80 * US, 0))


def test_counters_of_something_else_say_nothing() -> None:
    """Of another device, or of memory; the option says what they are called."""
    samples = [(0, {"value": 9}), (200, {"value": 9})]
    assert ran(counted(samples, device=1))[1].removed_ns == 80 * US
    assert ran(counted(samples, "HBM"))[1].removed_ns == 80 * US
    assert ran(counted(samples, "HBM"), utilisation="hbm")[1].removed_ns == 0
    with pytest.raises(tir.UsageError, match="utilisation of dead-gaps is '\\(', which is no regular expression"):
        DeadGaps(utilisation="(")


def test_a_counters_last_sample_does_not_hold_until_another_counters_first() -> None:
    """Two counters on one lane: what one read last, in the gap, ends with nothing."""
    item = counted([(0, {"value": 0}), (50, {"value": 9}), (150, {"value": 0}), (200, {"value": 0})])
    names = item["name"].copy()
    strings = item.strings.extend(["SM active"])
    names[-2:] = strings.code("SM active")
    event = item.tables["event"]
    columns = {**event.columns, "name": Column.own(names)}
    item = attrs.evolve(
        item, strings=strings, tables={**item.tables, "event": attrs.evolve(event, columns=columns)}, derived={}
    )
    assert ran(item)[1].removed_ns == 80 * US
