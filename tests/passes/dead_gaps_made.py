"""Modules after `dead-gaps`, and what has to be removed by a count of single ns that shares no code with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

import traceir as tir
from tests.build import Ev, module
from traceir.passing import to_json
from traceir.testing import assert_sound
from traceir_passes.dead_gaps import DeadGaps, DeadGapsReport
from traceir_passes.gaps import Gaps
from traceir_passes.restore import Restore

GAPS = Gaps(min_gap=0, late=12, queue=5)
"""Thresholds at which modules of some dozens of ns have gaps of every class."""


def ran(item: tir.Module, *before: tir.Pass, **options: Any) -> tuple[tir.Module, DeadGapsReport]:
    """The module after `dead-gaps`, whose laws hold, and its report."""
    one = DeadGaps(**options)
    done = tir.PassManager((*before, one)).run(item)
    assert_sound(done)
    assert one.check(done) == []
    report = one.report(done)
    for device in report.devices:
        assert device.removed_ns + sum(device.held.values()) == device.idle_ns
    return done, report


def restored(item: tir.Module) -> tir.Module:
    """The module after `restore`, with the passes that ran before only: nothing else may tell it from the original."""
    return tir.PassManager((Restore(),)).run(item, fresh=False)


def bare(item: tir.Module) -> tir.Module:
    """The module without what tells which passes ran, to compare what they say."""
    written = {name: attrs.evolve(one, by=None, inputs=()) for name, one in item.annotations.items()}
    return attrs.evolve(item, passes=(), annotations=written)


def same_events(left: tir.Module, right: tir.Module) -> bool:
    """Whether all columns of all events are the same, by their values and by their tokens."""
    one, other = left.tables["event"].columns, right.tables["event"].columns
    return one.keys() == other.keys() and all(one[name].token == other[name].token for name in one)


def removed(report: DeadGapsReport) -> list[tuple[int, int, str]]:
    """The removed intervals as (start, end, class)."""
    return [(int(one["start_ns"]), int(one["end_ns"]), str(one["class"])) for one in report.intervals]


def plain(report: DeadGapsReport) -> Any:
    """The report as JSON data."""
    return to_json(report)


# --- by hand ---------------------------------------------------------------------------------------------------------

US = 1_000
"""ns of a microsecond."""


def kernel(at: int, dur: int, call: int | None, lane: str = "gpu0.s7") -> Ev:
    return Ev("dev.kernel", f"kernel.{at}", at, dur, lane, launch=call)


def launch(at: int, dur: int = 5 * US, kind: str = "rt.launch", name: str = "cudaLaunchKernel") -> Ev:
    return Ev(kind, name, at, dur, "cpu")


LATE = [launch(0), kernel(10 * US, 10 * US, 0), launch(90 * US), kernel(100 * US, 10 * US, 2)]
"""The host launches the second kernel 70 us after the first has ended; the gap is [20, 100) us."""


def two(*second: Ev, at: int = 2) -> tir.Module:
    """A gap of [20, 100) us on gpu0, and what gpu1 does, each by a call just before it, so that its gaps are late."""
    events = list(LATE)
    for one in second:
        events.append(launch(one.ts - 2 * US, US))
        events.append(attrs.evolve(one, lane="gpu1.s7", launch=len(events) - 1))
    return module(events)


# --- by counting -----------------------------------------------------------------------------------------------------


def by_counting(done: tir.Module, classes: tuple[str, ...], keep: int) -> list[tuple[int, int, str]]:
    """What has to be removed of a module that `gaps` has run over, found by looking at every single nanosecond."""
    work = list(done.select(where=done.work))
    devices = sorted({-1 if event.lane.device is None else event.lane.device for event in work})
    texts, found = done.text("gaps.class"), []
    for at, level in enumerate(done.text("gaps.level")):
        start, dur = int(done["gaps.start"][at]), int(done["gaps.dur"][at])
        if level == "device":
            found.append((int(done["gaps.device"][at]), start, start + dur, str(texts[at])))
    if not work:
        return []
    ends = {
        device: (
            min(event.ts for event in work if event.lane.device == device),
            max(event.end for event in work if event.lane.device == device),
        )
        for device in devices
    }

    def around(device: int, instant: int) -> tuple[int, int, str] | None:
        """The dead gap of a device around a nanosecond; of all times outside of its work one that is without end."""
        if instant < ends[device][0] or instant >= ends[device][1]:
            return (0, 10**9, "outside")
        for number, start, end, kind in found:
            if number == device and start <= instant < end and kind in classes:
                return (start, end, kind)
        return None

    out: list[tuple[int, int, str]] = []
    for stretch in _stretches([[around(device, t) for device in devices] for t in range(ends_of(ends))]):
        start, end, gaps = stretch
        kind = min((gap for gap in gaps if gap[2] != "outside"), key=lambda gap: gap[1])[2]
        if end - start > keep:
            out.append((start, end - keep, kind))
    return out


def ends_of(ends: dict[int, tuple[int, int]]) -> int:
    """The last instant."""
    return max(last for _, last in ends.values())


def _stretches(cells: list[list[Any]]) -> Iterator[tuple[int, int, list[tuple[int, int, str]]]]:
    """Runs of nanoseconds that are dead everywhere, and in a gap at least once, and in the same gaps."""
    at = 0
    while at < len(cells):
        here, begin = cells[at], at
        at += 1
        if any(cell is None for cell in here) or all(cell[2] == "outside" for cell in here):
            continue
        while at < len(cells) and cells[at] == here:
            at += 1
        yield begin, at, here


# --- random modules --------------------------------------------------------------------------------------------------


@st.composite
def busy_modules(draw: DrawFn, *, devices: int = 3, most: int = 14) -> tir.Module:
    """Work on several devices and streams, with and without launches, host events, waits and blocking calls.

    Times are small and meet often; work of no length and events of one start are among them.
    """
    events: list[Ev] = []
    host = draw(st.integers(0, 10))
    for _ in range(draw(st.integers(0, most))):
        device, stream = draw(st.integers(0, devices - 1)), draw(st.integers(0, 1))
        start, dur = draw(st.integers(0, 90)), draw(st.sampled_from((0, 1, 1, 2, 5, 9)))
        call = None
        if draw(st.integers(0, 3)):
            lead = draw(st.sampled_from((0, 1, 2, 4, 9, 20, 40)))
            events.append(Ev("rt.launch", "cudaLaunchKernel", start - lead, draw(st.sampled_from((0, 1, 3))), "cpu"))
            call = len(events) - 1
        events.append(Ev("dev.kernel", f"k{device}", start, dur, f"gpu{device}.s{stream}", call))
    for _ in range(host):
        kind, name = draw(
            st.sampled_from((("host.op", "op"), ("rt.sync", "cudaDeviceSynchronize"), ("rt.alloc", "cudaFree")))
        )
        lane = draw(st.sampled_from(("cpu", "other")))
        events.append(Ev(kind, name, draw(st.integers(-5, 95)), draw(st.sampled_from((0, 3, 10, 30))), lane))
    item = module(events)
    if len(item) and draw(st.integers(0, 3)) == 0:
        item = item.with_columns({"live": np.array([draw(st.integers(0, 4)) > 0 for _ in range(len(item))], bool)})
    return item
