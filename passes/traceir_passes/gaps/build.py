"""The report of `gaps` from its table: idle time of devices and lanes by cause."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Final

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Ints, Mask, Module
from traceir_passes.gaps import frames, queues
from traceir_passes.gaps.find import grouped
from traceir_passes.gaps.notes import LEVELS
from traceir_passes.gaps.report import (
    DOUBTFUL,
    Blame,
    Border,
    DeviceGaps,
    Gap,
    GapsReport,
    InterStep,
    LaneGaps,
    Latency,
    LaunchCall,
    Parts,
)
from traceir_passes.gaps.rules import CLASSES
from traceir_passes.gaps.scopes import scopes

TOP: Final = 10
_UNDER: Final = 20
_BORDERS: Final = 50
"""Entries of the lists of a device."""


@attrs.frozen(eq=False)
class Line:
    """The rows of `table:gaps` of one device or lane, and its work."""

    gaps: Array
    span: int
    busy: int
    first: int
    last: int


def build(module: Module, min_gap: int, doubt: float) -> GapsReport:
    """The report of a module that `gaps` has run over."""
    waits = Launches(module)
    devices = tuple(_device(module, number, line, min_gap, doubt, waits) for number, line in by_device(module))
    return GapsReport(
        min_gap_ns=min_gap,
        devices=devices,
        lanes=tuple(_lanes(module, min_gap, waits)),
        steps=scopes(module, "step"),
        layers=scopes(module, "layer"),
        layer_blocks=scopes(module, "block"),
        launch_calls=tuple(_calls(module)),
    )


@attrs.frozen(eq=False, slots=False)
class Launches:
    """How launches arrive, looked up once: latencies by lane and device, the greatest depth of each one's queue."""

    module: Module

    @cached_property
    def _latencies(self) -> tuple[Array, Ints]:
        return queues.latencies(self.module)

    @cached_property
    def _of_lane(self) -> dict[int, Array]:
        return grouped(self.module["lane"][self._latencies[0]])

    @cached_property
    def _of_device(self) -> dict[int, Array]:
        return grouped(self.module.device[self._latencies[0]])

    @cached_property
    def lane_depth(self) -> dict[int, int]:
        """The deepest queue of each lane."""
        return queues.Depths.of(self.module, self.module["lane"]).greatest()

    @cached_property
    def device_depth(self) -> dict[int, int]:
        """The deepest queue of each device, over its lanes."""
        numbers, group = np.unique(self.module.device, return_inverse=True)
        found = queues.Depths.of(self.module, group.reshape(-1)).greatest()
        return {int(numbers[at]): depth for at, depth in found.items()}

    def of_lane(self, lane: int) -> Latency | None:
        """The launch latency of a lane; None where nothing was launched while it was idle."""
        return self._latency(self._of_lane.get(lane, _NO_GAPS))

    def of_device(self, device: int) -> Latency | None:
        """The launch latency of all lanes of a device."""
        return self._latency(self._of_device.get(device, _NO_GAPS))

    def _latency(self, at: Array) -> Latency | None:
        times = self._latencies[1][at]
        if not len(times):
            return None
        median, high = queues.typical(times)
        return Latency(count=len(times), p50_ns=median, p90_ns=high, max_ns=int(times.max()))


def _calls(module: Module) -> Iterator[LaunchCall]:
    """What the calls that launched kernels cost, by name, the dearest first."""
    kernels = module.work & (module.launch >= 0)
    rows = np.unique(module.launch[kernels])
    rows = rows[module.is_kind("rt.launch", "rt.graph_launch")[rows]]
    dur = module["dur"][rows]
    found = [(module.strings[code], dur[at]) for code, at in grouped(module["name"][rows]).items()]
    for name, times in sorted(found, key=lambda pair: (-int(pair[1].sum()), pair[0])):
        median, high = queues.typical(times)
        yield LaunchCall(name=name, count=len(times), time_ns=int(times.sum()), p50_ns=median, p90_ns=high)


_NO_GAPS: Array = np.empty(0, np.int64)


def by_device(module: Module) -> Iterator[tuple[int, Line]]:
    """Each device that did work, in order: its number (-1 unknown), and its work and gaps."""
    rows = np.flatnonzero(module.work)
    mine = np.flatnonzero(module["gaps.level"] == LEVELS.index("device"))
    number = module["gaps.device"][mine]
    gaps = grouped(np.where(number == tir.NULL_I64, -1, number))
    for device, at in grouped(module.device[rows]).items():
        yield device, _line(module, rows[at], mine[gaps.get(device, _NO_GAPS)])


def by_lane(module: Module) -> Iterator[tuple[int, Line]]:
    """Each lane that did work, in order: its number, and its work and gaps, whose tables are sorted once for all."""
    rows = np.flatnonzero(module.work)
    gaps = grouped(module["gaps.lane"])
    for which, at in grouped(module["lane"][rows]).items():
        code = module.strings.code(module.lanes[which].name)
        yield which, _line(module, rows[at], gaps.get(code, _NO_GAPS))


def _line(module: Module, rows: Array, gaps: Array) -> Line:
    start, end = module["ts"][rows], module.end[rows]
    first, last = int(start.min()), int(end.max())
    return Line(gaps, last - first, tir.Spans.of(start, end).length, first, last)


def _device(module: Module, number: int, line: Line, min_gap: int, doubt: float, waits: Launches) -> DeviceGaps:
    gaps = line.gaps
    sums = _sums(module, gaps, min_gap)
    idle, unsure = int(module["gaps.dur"][gaps].sum()), sum(sums[0][name] for name in DOUBTFUL)
    confirmed = module["gaps.confirmed"][gaps]
    between, borders = _between_steps(module, gaps)
    known = len(gaps) > 0 and bool((confirmed != tir.NULL_I64).all())
    return DeviceGaps(
        device=None if number < 0 else number,
        span_ns=line.span,
        busy_ns=line.busy,
        idle_ns=idle,
        classes=sums[0],
        classes_over_min_ns=sums[1],
        counts=sums[2],
        doubtful=unsure / idle if idle else None,
        recorded=unsure <= doubt * idle,
        confirmed_idle_ns=int(confirmed.sum()) if known else None,
        parts=_parts(module, gaps),
        between_steps=between,
        borders=borders,
        blame=_blame(module, gaps),
        under=_under(module, gaps),
        latency=waits.of_device(number),
        queue_max=waits.device_depth.get(number, 0),
        longest=tuple(_longest(module, gaps, min_gap)),
    )


def _lanes(module: Module, min_gap: int, waits: Launches) -> Iterator[LaneGaps]:
    spans = {number: (line.first, line.last, _spans(module, line.gaps)) for number, line in by_device(module)}
    for which, line in by_lane(module):
        lane = module.lanes[which]
        first, last, idle = spans[-1 if lane.device is None else lane.device]
        sums, start = _sums(module, line.gaps, min_gap), module["gaps.start"][line.gaps]
        yield LaneGaps(
            lane=lane.name,
            device=lane.device,
            span_ns=line.span,
            busy_ns=line.busy,
            gap_ns=int(module["gaps.dur"][line.gaps].sum()),
            device_idle_ns=int(idle.covered(start, start + module["gaps.dur"][line.gaps]).sum()),
            lead_ns=line.first - first,
            tail_ns=last - line.last,
            classes=sums[0],
            classes_over_min_ns=sums[1],
            counts=sums[2],
            parts=_parts(module, line.gaps),
            latency=waits.of_lane(which),
            queue_max=(depth := waits.lane_depth.get(which, 0)),
            queue_full=depth >= queues.FULL,
        )


def _spans(module: Module, gaps: Array) -> tir.Spans:
    start = module["gaps.start"][gaps]
    return tir.Spans.of(start, start + module["gaps.dur"][gaps])


def _sums(module: Module, gaps: Array, min_gap: int) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """Time by class of all gaps, of those above the threshold, and the number of the latter."""
    kind, dur = module["gaps.class"][gaps], module["gaps.dur"][gaps]
    long_ = dur > min_gap
    sums = np.zeros((3, len(CLASSES)), np.int64)
    np.add.at(sums[0], kind, dur)
    np.add.at(sums[1], kind[long_], dur[long_])
    np.add.at(sums[2], kind[long_], 1)
    every, over, count = (dict(zip(CLASSES, row.tolist(), strict=True)) for row in sums)
    return every, over, count


def _parts(module: Module, gaps: Array) -> Parts:
    known = module["gaps.host"][gaps] != tir.NULL_I64
    sums = {part: int(module[f"gaps.{part}"][gaps][known].sum()) for part in ("host", "call", "post")}
    return Parts(
        host_ns=sums["host"],
        call_ns=sums["call"],
        post_ns=sums["post"],
        unknown_ns=int(module["gaps.dur"][gaps][~known].sum()),
    )


def _under(module: Module, gaps: Array) -> tuple[frames.Under, ...]:
    gaps = gaps[module["gaps.blame"][gaps] >= 0]
    return frames.under(module, module["gaps.blame"][gaps], module["gaps.dur"][gaps], _UNDER)


def _between_steps(module: Module, gaps: Array) -> tuple[InterStep, tuple[Border, ...]]:
    """The gaps between steps in sum, and one by one: at most `_BORDERS`, the longest of more, in order of time."""
    gaps = gaps[module["gaps.end_of_step"][gaps]]
    parts = _split(module, gaps)
    total = InterStep(count=len(gaps), **{name: int(values.sum()) for name, values in parts.items()})
    if not len(gaps):
        return total, ()
    steps = module.tree("steps")
    longest = np.sort(np.argsort(-module["gaps.dur"][gaps], kind="stable")[:_BORDERS])
    owner = steps.at("step")
    borders = (
        Border(
            count=1,
            **{name: int(values[at]) for name, values in parts.items()},
            before=steps.region_name(int(owner[module["gaps.prev"][gaps[at]]])),
            after=steps.region_name(int(owner[module["gaps.next"][gaps[at]]])),
            start_ns=int(module["gaps.start"][gaps[at]]),
        )
        for at in longest.tolist()
    )
    return total, tuple(borders)


def _split(module: Module, gaps: Array) -> dict[str, Ints]:
    """What filled each gap between steps, as the fields of `InterStep`."""
    kind, dur = module["gaps.class"][gaps], module["gaps.dur"][gaps]

    def of(*names: str) -> Mask:
        return np.isin(kind, [CLASSES.index(name) for name in names])

    sync, unsure = of("host_sync"), of(*DOUBTFUL)
    launched = ~(sync | unsure) & (module["gaps.host"][gaps] != tir.NULL_I64)
    host, call = (np.where(launched, module[f"gaps.{part}"][gaps], 0) for part in ("host", "call"))
    tail = np.clip(_mark_ends(module, gaps) - module["gaps.start"][gaps], 0, host)
    return {
        "total_ns": dur,
        "tail_ns": tail,
        "sync_ns": np.where(sync, dur, 0),
        "dispatch_ns": host - tail + call,
        "unexplained_ns": np.where(unsure, dur, 0),
        "rest_ns": np.where(sync | unsure, 0, dur - host - call),
    }


def _mark_ends(module: Module, gaps: Array) -> Ints:
    """For each gap the end of the mark of the step before it; the gap's start where the step has no mark."""
    start = module["gaps.start"][gaps]
    if "group.mark" not in module or not len(gaps):
        return np.asarray(start)
    mark = module["group.mark"][module.tree("steps").at("step")[module["gaps.prev"][gaps]]]
    return np.where(mark >= 0, module.end[mark], start)


def _blame(module: Module, gaps: Array) -> tuple[Blame, ...]:
    """The names of blamed events by gap time, at most `TOP`."""
    gaps = gaps[module["gaps.blame"][gaps] >= 0]
    row, kind, dur = module["gaps.blame"][gaps], module["gaps.class"][gaps], module["gaps.dur"][gaps]
    keys = np.stack([module["name"][row], kind]).astype(np.int64)
    names, group = np.unique(keys, axis=1, return_inverse=True)
    total = np.zeros(names.shape[1], np.int64)
    np.add.at(total, group.ravel(), dur)
    texts = [module.strings[code] for code in names[0].tolist()]
    best = sorted(range(len(texts)), key=lambda at: (-int(total[at]), texts[at], int(names[1, at])))[:TOP]
    out = []
    for at in best:
        mine = np.flatnonzero(group.ravel() == at)
        example = int(row[mine[np.argmax(dur[mine])]])
        out.append(
            Blame(
                name=texts[at],
                gap_class=CLASSES[int(names[1, at])],
                count=len(mine),
                gap_ns=int(total[at]),
                example=int(module["id"][example]),
            )
        )
    return tuple(out)


def _longest(module: Module, gaps: Array, min_gap: int) -> Iterator[Gap]:
    """The `TOP` longest gaps above the threshold, longest first."""
    gaps = gaps[module["gaps.dur"][gaps] > min_gap]
    ids = module["id"]
    for gap in gaps[np.argsort(-module["gaps.dur"][gaps], kind="stable")[:TOP]].tolist():
        blame = int(module["gaps.blame"][gap])
        yield Gap(
            start_ns=int(module["gaps.start"][gap]),
            dur_ns=int(module["gaps.dur"][gap]),
            gap_class=CLASSES[int(module["gaps.class"][gap])],
            **{f"{part}_ns": _known(module[f"gaps.{part}"], gap) for part in ("host", "call", "post")},
            previous=int(ids[module["gaps.prev"][gap]]),
            next=int(ids[module["gaps.next"][gap]]),
            blame=int(ids[blame]) if blame >= 0 else None,
            end_of_step=bool(module["gaps.end_of_step"][gap]),
            polling=bool(module["gaps.polling"][gap]),
        )


def _known(values: Array, at: int) -> int | None:
    return None if values[at] == tir.NULL_I64 else int(values[at])
