"""The accounts: spans, busy, hidden and exposed time of a device or of groups of its events."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

from traceir.ir import Array, GroupedSpans, Ints, Mask, Spans

KEYS = (
    "events", "time_ns", "start_ns", "end_ns", "span_ns", "busy_ns", "compute_ns", "comm_ns", "memory_ns", "fused_ns",
    "overlap_ns", "exposed_ns", "exposed_any_ns", "memory_exposed_ns", "fused_exposed_ns", "comm_meta_ns",
    "idle_ns", "foreign_ns", "unknown_ns", "overlap_unknown_ns", "hidden_by_ns",
)  # fmt: skip
"""The integer columns of an account, all in ns but `events`."""
HIDER = "most_hidden_by"
"""The column of an account that is a code of the string pool."""


@attrs.frozen(eq=False)
class Sets:
    """The sets of one device: when it computed, communicated, copied, ran fused kernels, or did any of these.

    `known` is the compute whose role somebody knows; `roles` is the compute by role, as (code of the string pool,
    spans), of unknown ones too; none if the device does not communicate. `idle` is the time between the first start
    and the last end, those of events without a length among them, in which nothing runs.
    """

    compute: Spans
    comm: Spans
    memory: Spans
    fused: Spans
    work: Spans
    idle: Spans
    known: Spans
    roles: Sequence[tuple[int, Spans]]

    @property
    def other(self) -> Spans:
        """When it did anything but communicate."""
        return self.compute | self.memory | self.fused


def fits(start: Ints, end: Ints) -> bool:
    """Whether a span from the first start to the last end, and the sum of all lengths, are 64 bit numbers."""
    if not len(start):
        return True
    dur = end - start
    # In two halves, since the sum itself may be too large.
    total = (int((dur >> 32).sum()) << 32) + int((dur & 0xFFFFFFFF).sum())
    return max(int(end.max()) - int(start.min()), total) < 1 << 63


@attrs.frozen(eq=False)
class Intervals:
    """The work of one device as arrays of one length: times, roles (codes of the string pool) and class masks."""

    start: Ints
    end: Ints
    role: Ints
    compute: Mask
    comm: Mask
    memory: Mask
    fused: Mask
    unknown: Mask
    meta: Mask

    @property
    def fits(self) -> bool:
        """Whether a span from the first start to the last end, and the sum of all durations, are 64 bit numbers."""
        return fits(self.start, self.end)

    def sets(self) -> Sets:
        """The union of each class, and of each role of compute."""

        def union(chosen: Mask) -> Spans:
            return Spans.of(self.start[chosen], self.end[chosen])

        work = Spans.of(self.start, self.end)
        return Sets(
            union(self.compute),
            union(self.comm),
            union(self.memory),
            union(self.fused),
            work,
            work.gaps(int(self.start.min()), int(self.end.max())) if len(self.start) else work,
            union(self.compute & ~self.unknown),
            self._roles() if self.comm.any() else (),
        )

    def _roles(self) -> list[tuple[int, Spans]]:
        """Each role of compute in order of its code. O(n log n) for any number of roles."""
        chosen = np.flatnonzero(self.compute)
        order = chosen[np.argsort(self.role[chosen], kind="stable")]
        codes, first = np.unique(self.role[order], return_index=True)
        parts = np.split(order, first[1:]) if len(codes) else []
        return [
            (code, Spans.of(self.start[rows], self.end[rows])) for code, rows in zip(codes.tolist(), parts, strict=True)
        ]


def account(work: Intervals, device: Sets, group: Array, count: int) -> dict[str, Array]:
    """The account of each of `count` groups of one device's events: int64 columns named in `KEYS`, and `HIDER`.

    A group's own events make its compute, communication, memory and fused sets; what hides its communication
    may belong to anybody on the device. Its span runs from its first start to its last end; `idle_ns` is the
    part of the span in which the device does nothing, `foreign_ns` that in which only others work. Groups
    without events get zeros. The hider is the role that runs longest beside a group's communication, -1 if none
    does or its role is null. O(n log n) for each role, whatever the number of groups.
    """

    def union(chosen: Mask) -> GroupedSpans:
        return GroupedSpans.of(group[chosen], work.start[chosen], work.end[chosen], count)

    everything = np.ones(len(group), bool)
    events = np.bincount(group, minlength=count).astype(np.int64)
    first, last = _extents(work, group, count, events > 0)
    busy = union(everything).lengths
    comm, memory, fused = union(work.comm), union(work.memory), union(work.fused)
    overlap = comm.covered(device.compute)
    idle = (last - first) - device.work.covered(first, last)
    total = np.zeros(count, np.int64)
    np.add.at(total, group, work.end - work.start)
    hider, beside = _hiders(comm, device, count)
    return {
        "events": events,
        "time_ns": total,
        "start_ns": first,
        "end_ns": last,
        "span_ns": last - first,
        "busy_ns": busy,
        "compute_ns": union(work.compute).lengths,
        "comm_ns": comm.lengths,
        "memory_ns": memory.lengths,
        "fused_ns": fused.lengths,
        "overlap_ns": overlap,
        "exposed_ns": comm.lengths - overlap,
        "exposed_any_ns": comm.lengths - comm.covered(device.other),
        "memory_exposed_ns": memory.lengths - memory.covered(device.compute | device.comm),
        "fused_exposed_ns": fused.lengths - fused.covered(device.compute | device.comm | device.memory),
        "comm_meta_ns": union(work.meta).lengths,
        "idle_ns": idle,
        "foreign_ns": (last - first) - busy - idle,
        "unknown_ns": union(work.unknown).lengths,
        "overlap_unknown_ns": overlap - comm.covered(device.known),
        "hidden_by_ns": beside,
        HIDER: hider,
    }


def _hiders(comm: GroupedSpans, device: Sets, count: int) -> tuple[Array, Ints]:
    """The role that runs longest beside each group's communication, the first of equals, and for how long."""
    hider, best = np.full(count, -1, np.int32), np.zeros(count, np.int64)
    for code, spans in device.roles if len(comm) else ():
        beside = comm.covered(spans)
        hider[beside > best] = code
        best = np.maximum(best, beside)
    return hider, best


def _extents(work: Intervals, group: Array, count: int, used: Mask) -> tuple[Ints, Ints]:
    first = np.full(count, np.iinfo(np.int64).max)
    last = np.full(count, np.iinfo(np.int64).min)
    np.minimum.at(first, group, work.start)
    np.maximum.at(last, group, work.end)
    return np.where(used, first, 0), np.where(used, last, 0)
