"""The laws that a closed-up module keeps, to the nanosecond."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from traceir.ir import GroupedSpans, Ints, Module, Spans
from traceir_passes.dead_gaps.joint import Judged, at_work
from traceir_passes.dead_gaps.timemap import TimeMap, source_times


def broken(module: Module) -> list[str]:
    """The laws that do not hold, a sentence each; none if all do. O(n log n)."""
    return [*_times(module), *_work(module), *_gaps(module)]


def _times(module: Module) -> Iterator[str]:
    """The new times are those of the map, the intervals are disjoint, and the span is shorter by just these."""
    start, end = source_times(module)
    found = TimeMap.read(module)
    if (found.dur <= 0).any() or (found.start[1:] < (found.start + found.dur)[:-1]).any():
        yield "removed intervals have to be at least 1 ns long and must not overlap."
    moved = found.at(start)
    if not (np.array_equal(moved, module["ts"]) and np.array_equal(found.at(end) - moved, module["dur"])):
        yield "the new times have to be the old ones less what was removed before them."
    if (module["ts"][1:] < module["ts"][:-1]).any():
        yield "rows have to stay in order of time."
    spans = span(module, *source_times(module)), module.span_ns
    if spans[0] - spans[1] != found.length:
        yield f"the spans of {spans[0]} and {spans[1]} ns have to differ by the {found.length} ns that were removed."


def _work(module: Module) -> Iterator[str]:
    """Device work keeps its durations, and each lane and device is busy for as long, with as much overlap."""
    start, end = source_times(module)
    work = np.flatnonzero(module.work)
    if not np.array_equal((end - start)[work], module["dur"][work]):
        yield "an event of device work has to keep its duration."
    for what, group in (("lane", module["lane"][work]), ("device", module.device[work] + 1)):
        count = int(group.max(initial=-1)) + 1
        before = GroupedSpans.of(group, start[work], end[work], count).lengths
        after = GroupedSpans.of(group, module["ts"][work], module.end[work], count).lengths
        if not np.array_equal(before, after):
            yield f"each {what} has to work for as long as before."
    found = TimeMap.read(module)
    if Spans.of(start[work], end[work]).covered(found.start, found.start + found.dur).any():
        yield "time in which a device works must not be removed."


def _gaps(module: Module) -> Iterator[str]:
    """The gaps that were judged are all idle time of their device."""
    judged = Judged.read(module)
    for device, ((first, last), busy) in at_work(module).items():
        mine = judged.device == device
        idle = int((judged.end - judged.start)[mine].sum())
        if busy.length + idle != last - first:
            yield f"{busy.length} ns busy and {idle} ns of gaps do not make the {last - first} ns of device {device}."


def span(module: Module, start: Ints, end: Ints) -> int:
    """First start to last end of device work by some times of the events, of all live events where there is none."""
    rows = module.work if module.work.any() else module.live
    return int(end[rows].max()) - int(start[rows].min()) if rows.any() else 0
