"""Exact interval arithmetic on integer nanoseconds: half-open intervals as sorted disjoint arrays."""

from __future__ import annotations

import attrs
import numpy as np

from traceir.ir.column import Array, Ints, Mask


@attrs.frozen(eq=False)
class Spans:
    """A set of instants: disjoint, non-touching half-open intervals in order, as two int64 arrays."""

    starts: Ints
    ends: Ints

    @classmethod
    def of(cls, starts: Array, ends: Array) -> Spans:
        """The union of the intervals `[start, end)`; empty ones vanish. O(n log n)."""
        starts, ends = _longer_than_nothing(np.asarray(starts), np.asarray(ends))
        if not len(starts):
            return cls(starts, ends)
        if (starts[1:] < starts[:-1]).any():
            order = np.argsort(starts, kind="stable")
            starts, ends = starts[order], ends[order]
        ends = np.maximum.accumulate(ends)
        first = np.append(True, starts[1:] > ends[:-1])
        last = np.append(first[1:], True)
        return cls(starts[first], ends[last])

    @classmethod
    def empty(cls) -> Spans:
        """No instant."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64))

    def __len__(self) -> int:
        """The number of intervals."""
        return len(self.starts)

    @property
    def length(self) -> int:
        """The total length in ns."""
        return int((self.ends - self.starts).sum())

    def __or__(self, other: Spans) -> Spans:
        """The union."""
        if not len(self) or not len(other):
            return self if len(self) else other
        return Spans.of(np.concatenate([self.starts, other.starts]), np.concatenate([self.ends, other.ends]))

    def __and__(self, other: Spans) -> Spans:
        """The intersection. O((n + m) log m): the pieces are at most n + m."""
        first = np.searchsorted(other.ends, self.starts, side="right")
        last = np.searchsorted(other.starts, self.ends, side="left")
        mine, theirs = expand(first, np.maximum(last - first, 0))
        # Pieces of one interval are parted by the other set's gaps, so the result is disjoint and does not touch.
        starts = np.maximum(self.starts[mine], other.starts[theirs])
        return Spans(starts, np.minimum(self.ends[mine], other.ends[theirs]))

    def __sub__(self, other: Spans) -> Spans:
        """What of this set is not in the other."""
        if not len(self) or not len(other):
            return self
        return self & other.gaps(int(self.starts[0]), int(self.ends[-1]))

    def gaps(self, low: int, high: int) -> Spans:
        """The complement within `[low, high)`; empty if `high <= low`."""
        if high <= low:
            return Spans.empty()
        starts = np.concatenate([[low], self.ends]).clip(low, high)
        ends = np.concatenate([self.starts, [high]]).clip(low, high)
        keep = ends > starts
        return Spans(starts[keep].astype(np.int64), ends[keep].astype(np.int64))

    def before(self, instants: Array) -> Ints:
        """The length of this set before each instant (prefix measure). O(m log n)."""
        if not len(self):
            return np.zeros(len(instants), np.int64)
        total = np.concatenate([[0], np.cumsum(self.ends - self.starts)])
        at = np.searchsorted(self.starts, instants, side="right")
        last = np.maximum(at - 1, 0)
        inside = np.minimum(instants, self.ends[last]) - self.starts[last]
        return np.where(at > 0, total[last] + inside, 0).astype(np.int64)

    def covered(self, starts: Array, ends: Array) -> Ints:
        """How much of each interval `[start, end)` lies in this set. O(m log n)."""
        return self.before(ends) - self.before(starts)

    def contains(self, instants: Array) -> Mask:
        """Which instants lie in this set."""
        if not len(self):
            return np.zeros(len(instants), bool)
        at = np.searchsorted(self.starts, instants, side="right") - 1
        return np.asarray((at >= 0) & (instants < self.ends[np.maximum(at, 0)]))


def _longer_than_nothing(starts: Array, ends: Array) -> tuple[Ints, Ints]:
    """The intervals that are not empty, as int64; the arrays themselves where there is nothing to change."""
    keep = ends > starts
    if not keep.all():
        starts, ends = starts[keep], ends[keep]
    return starts.astype(np.int64, copy=False), ends.astype(np.int64, copy=False)


@attrs.frozen(eq=False)
class GroupedSpans:
    """One set of instants for each of `count` groups: what `Spans` is for one, for all at once.

    The disjoint intervals of all groups stand in order of (group, start); `group` says whose each is.
    """

    group: Ints
    starts: Ints
    ends: Ints
    count: int

    @classmethod
    def of(cls, group: Array, starts: Array, ends: Array, count: int) -> GroupedSpans:
        """The union of each group's intervals `[start, end)`; empty ones vanish. O(n log n) for any `count`.

        Groups are laid end to end on one axis, so that one union does for all.
        """
        keep = ends > starts
        group, starts, ends = group[keep].astype(np.int64, copy=False), starts[keep], ends[keep]
        if not len(starts):
            return cls(group, group, group, count)
        low, width = int(starts.min()), int(ends.max()) - int(starts.min()) + 1
        if (width * max(count, 1)).bit_length() > 62:
            return cls._by_rank(group, starts, ends, count)
        union = Spans.of(group * width + (starts - low), group * width + (ends - low))
        owner = union.starts // width
        return cls(owner, union.starts - owner * width + low, union.ends - owner * width + low, count)

    @classmethod
    def _by_rank(cls, group: Ints, starts: Ints, ends: Ints, count: int) -> GroupedSpans:
        """The same for times so far apart that the common axis would leave 64 bits: ranks stand for times."""
        times, rank = np.unique(np.concatenate([starts, ends]), return_inverse=True)
        low = cls.of(group, rank[: len(starts)], rank[len(starts) :], count)
        return cls(low.group, times[low.starts], times[low.ends], count)

    def __len__(self) -> int:
        """The number of intervals in all groups."""
        return len(self.starts)

    @property
    def lengths(self) -> Ints:
        """The total length of each group in ns."""
        return self._sums(self.ends - self.starts)

    def covered(self, spans: Spans) -> Ints:
        """How much of each group lies in one common set, in ns. O(n log m)."""
        return self._sums(spans.covered(self.starts, self.ends))

    def _sums(self, values: Ints) -> Ints:
        total = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
        bounds = np.searchsorted(self.group, np.arange(self.count + 1))
        return np.asarray(np.diff(total[bounds]))


def expand(first: Array, size: Array) -> tuple[Ints, Ints]:
    """Ranges written out: for range i the positions `first[i] … first[i] + size[i] - 1`, as (i, position) pairs."""
    owner = np.repeat(np.arange(len(size)), size)
    offset = np.arange(len(owner)) - np.repeat(np.cumsum(size) - size, size)
    return owner, np.asarray(first[owner] + offset, np.int64)
