"""The accounts: spans, busy, hidden and exposed time of a device or of groups of its events."""

from __future__ import annotations

import attrs
import numpy as np

from traceir.ir import Array, GroupedSpans, Ints, Mask, Spans

KEYS = (
    "events", "time_ns", "start_ns", "end_ns", "span_ns", "busy_ns", "compute_ns", "comm_ns", "memory_ns", "fused_ns",
    "overlap_ns", "exposed_ns", "exposed_any_ns", "memory_exposed_ns", "fused_exposed_ns", "comm_meta_ns",
    "idle_ns", "foreign_ns", "unknown_ns",
)  # fmt: skip
"""The integer columns of an account, all in ns but `events`."""


@attrs.frozen(eq=False)
class Sets:
    """The sets of one device: when it computed, communicated, copied, ran fused kernels, or did any of these."""

    compute: Spans
    comm: Spans
    memory: Spans
    fused: Spans
    work: Spans

    @property
    def other(self) -> Spans:
        """When it did anything but communicate."""
        return self.compute | self.memory | self.fused


@attrs.frozen(eq=False)
class Intervals:
    """The work of one device as arrays of one length: times and class masks."""

    start: Ints
    end: Ints
    compute: Mask
    comm: Mask
    memory: Mask
    fused: Mask
    unknown: Mask
    meta: Mask

    def sets(self) -> Sets:
        """The union of each class."""

        def union(chosen: Mask) -> Spans:
            return Spans.of(self.start[chosen], self.end[chosen])

        return Sets(
            union(self.compute),
            union(self.comm),
            union(self.memory),
            union(self.fused),
            Spans.of(self.start, self.end),
        )


def account(work: Intervals, device: Sets, group: Array, count: int) -> dict[str, Ints]:
    """The account of each of `count` groups of one device's events, as int64 columns named in `KEYS`.

    A group's own events make its compute, communication, memory and fused sets; what hides its communication
    may belong to anybody on the device. Its span runs from its first start to its last end; `idle_ns` is the
    part of the span in which the device does nothing, `foreign_ns` that in which only others work. Groups
    without events get zeros. O(n log n) whatever the number of groups.
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
    }


def _extents(work: Intervals, group: Array, count: int, used: Mask) -> tuple[Ints, Ints]:
    first = np.full(count, np.iinfo(np.int64).max)
    last = np.full(count, np.iinfo(np.int64).min)
    np.minimum.at(first, group, work.start)
    np.maximum.at(last, group, work.end)
    return np.where(used, first, 0), np.where(used, last, 0)
