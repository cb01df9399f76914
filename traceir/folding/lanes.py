"""Lanes side by side: what each device stream and each busy host thread did over the window of device work."""

from __future__ import annotations

import attrs
import numpy as np

from traceir.folding.gaps import GapTable
from traceir.folding.work import Work, gather
from traceir.ir import Array, GroupedSpans, Ints, Module, Spans

HOSTS = 3
"""Host threads that are shown: those that feed devices are few, and a process has dozens of others."""
_TOP = 5
_HOST_KINDS = ("rt", "host.op")
"""What counts as a host thread at work. Frames and ranges span everything, and would show every thread as busy."""


@attrs.frozen
class LaneOp:
    """One op of a lane: `count` events of `time_ns` summed durations."""

    label: str
    count: int
    time_ns: int


@attrs.frozen
class LaneFold:
    """One lane: `busy_ns` is the union of its events within the window, `events` and `kernels` their numbers.

    `ops` are those with most time: labels on a device, names of runtime calls on a host thread. `gap_ns` is the
    time between its events, None on a host thread; `causes` has its parts by cause, and is None if no pass has
    judged gaps. `density` is the busy time in each of equal parts of the window.
    """

    name: str
    about: str
    on_device: bool
    busy_ns: int
    events: int
    kernels: int
    ops: tuple[LaneOp, ...]
    more_ops: int
    ops_ns: int
    gap_ns: int | None
    causes: tuple[tuple[str, int], ...] | None
    density: tuple[int, ...]


@attrs.frozen
class Lanes:
    """The lanes of a module over the window `[low_ns, high_ns)`, devices first, each kind by busy time."""

    low_ns: int
    high_ns: int
    lanes: tuple[LaneFold, ...]
    more_hosts: int

    @property
    def span_ns(self) -> int:
        """The length of the window."""
        return self.high_ns - self.low_ns


def fold_lanes(module: Module, parts: int) -> Lanes | None:
    """Each lane that did device work and the busiest host threads; None without device work.

    The window runs from the first start to the last end of device work and is cut into `parts` for the density.
    O(n log n) in the module's events.
    """
    extent = module.extent(module.work)
    if extent is None:
        return None
    work, low, high = gather(module), *extent
    table = GapTable.of(work)
    edges = low + (high - low) * np.arange(parts + 1) // parts
    devices = [_device_lane(work, table, lane, edges) for lane in np.unique(work.lane).tolist()]
    hosts, more = _hosts(module, edges)
    ordered = sorted(devices, key=lambda item: -item.busy_ns)
    return Lanes(low, high, (*ordered, *hosts), more)


def _device_lane(work: Work, table: GapTable | None, lane: int, edges: Ints) -> LaneFold:
    module, at = work.module, np.flatnonzero(work.lane == lane)
    rows, place = work.rows[at], module.lanes[lane]
    starts, ends = module["ts"][rows], module.end[rows]
    spans = Spans.of(starts, ends)
    gaps = table.on_lane(place.name) if table is not None else None
    codes, first, inverse, counts = np.unique(
        work.label[at], return_index=True, return_inverse=True, return_counts=True
    )
    time = np.bincount(inverse, weights=work.dur[at])
    best = np.argsort(-time, kind="stable")[:_TOP].tolist()
    return LaneFold(
        name=place.name,
        about=place.label,
        on_device=True,
        busy_ns=spans.length,
        events=len(at),
        kernels=int(module.is_kind("dev.kernel")[rows].sum()),
        ops=tuple(LaneOp(work.label_of(int(at[first[i]])), int(counts[i]), int(time[i])) for i in best),
        more_ops=len(codes) - len(best),
        ops_ns=int(work.dur[at].sum()),
        gap_ns=int(ends.max() - starts.min()) - spans.length,
        causes=table.by_cause(gaps) if table is not None and gaps is not None else None,
        density=tuple(spans.covered(edges[:-1], edges[1:]).tolist()),
    )


def _hosts(module: Module, edges: Ints) -> tuple[list[LaneFold], int]:
    """The host threads with most time in operators and runtime calls within the window, and how many more there are."""
    threads = np.array([lane.kind == "host.thread" for lane in module.lanes] + [False])
    chosen = module.live & module.is_kind(*_HOST_KINDS) & threads[module["lane"]]
    rows = np.flatnonzero(chosen & (module["ts"] < edges[-1]) & (module.end > edges[0]))
    if not len(rows):
        return [], 0
    starts = np.maximum(module["ts"][rows], edges[0])
    ends = np.minimum(module.end[rows], edges[-1])
    lane = module["lane"][rows]
    busy = GroupedSpans.of(lane, starts, ends, len(module.lanes)).lengths
    used = np.unique(lane)
    best = used[np.argsort(-busy[used], kind="stable")][:HOSTS]
    out = []
    for number in best.tolist():
        mine = lane == number
        spans = Spans.of(starts[mine], ends[mine])
        out.append(_host_lane(module, number, rows[mine], spans, edges))
    return out, len(used) - len(best)


def _host_lane(module: Module, lane: int, rows: Array, spans: Spans, edges: Ints) -> LaneFold:
    calls = rows[module.is_kind("rt")[rows]]
    codes, inverse, counts = np.unique(module["name"][calls], return_inverse=True, return_counts=True)
    time = np.bincount(inverse, weights=module["dur"][calls], minlength=len(codes))
    best = np.argsort(-time, kind="stable")[:_TOP].tolist()
    return LaneFold(
        name=module.lanes[lane].name,
        about=module.lanes[lane].label,
        on_device=False,
        busy_ns=spans.length,
        events=len(rows),
        kernels=0,
        ops=tuple(LaneOp(module.strings[int(codes[i])], int(counts[i]), int(time[i])) for i in best),
        more_ops=len(codes) - len(best),
        ops_ns=int(module["dur"][calls].sum()),
        gap_ns=None,
        causes=None,
        density=tuple(spans.covered(edges[:-1], edges[1:]).tolist()),
    )
