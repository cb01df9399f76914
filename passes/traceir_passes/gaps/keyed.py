"""Look-ups in times of many groups at once: what lies before an instant, and how much of a stretch is covered."""

from __future__ import annotations

from functools import cached_property

import attrs
import numpy as np

from traceir.ir import Array, GroupedSpans, Ints


def distinct(values: Ints) -> Ints:
    """The different values, ascending. Times are mostly in order, on which a stable sort is fast and hashing is not."""
    values = np.sort(values, kind="stable")
    return np.asarray(values[np.append(True, values[1:] != values[:-1])[: len(values)]])


def running(group: Array, value: Ints) -> Ints:
    """The greatest value up to each entry within its group, for entries in order of their groups. O(n log n)."""
    values = distinct(value)
    rank = np.searchsorted(values, value)
    base = np.asarray(group, np.int64) * len(values)
    return np.asarray(values[np.maximum.accumulate(base + rank) - base])


@attrs.frozen(eq=False, slots=False)
class Keyed:
    """Instants of groups (lanes, threads, devices), to be asked for those before others of the same group.

    `group` holds small non-negative numbers and `time` int64 ns, one entry each in any order. Groups are laid end to
    end on one axis of ranks, so that a question costs O(log n) whatever the number of groups, and no time overflows.
    """

    group: Array
    time: Ints

    @cached_property
    def times(self) -> Ints:
        """The different instants, ascending."""
        return distinct(self.time)

    @cached_property
    def order(self) -> Ints:
        """Positions of the entries in order of (group, time); of equal ones in the order given."""
        return np.argsort(self._place(self.group, np.searchsorted(self.times, self.time)), kind="stable")

    @cached_property
    def _keys(self) -> Ints:
        return self._place(self.group, np.searchsorted(self.times, self.time))[self.order]

    def _place(self, group: Array, rank: Ints) -> Ints:
        return np.asarray(group, np.int64) * (len(self.times) + 1) + rank

    def count(self, group: Array, time: Ints, *, to: bool = False) -> Ints:
        """For each question how many entries, in `order`, come before `time` of `group` (up to it, if `to`).

        Entries of all lower groups count, so that a difference of two answers for one group is a number of entries.
        """
        rank = np.searchsorted(self.times, time, side="right" if to else "left")
        return np.searchsorted(self._keys, self._place(group, rank))

    def last(self, group: Array, time: Ints, *, to: bool = False) -> Ints:
        """For each question the latest entry of `group` before `time` (up to it, if `to`), as given; -1 if none."""
        at = self.count(group, time, to=to) - 1
        found = np.append(self.order, -1)[at]
        return np.where(np.append(self.group, -1)[found] == group, found, -1)

    def greatest(self, value: Ints) -> Ints:
        """For each entry, in `order`, the position of the one with the greatest value up to it in its group.

        Of equal values the later entry.
        """
        rank = np.empty(len(value), np.int64)
        rank[np.lexsort((np.argsort(self.order), value))] = np.arange(len(value))
        group = np.asarray(self.group, np.int64)[self.order]
        best = np.maximum.accumulate(group * len(value) + rank[self.order]) - group * len(value)
        holder = np.empty(len(value), np.int64)
        holder[rank] = np.arange(len(value))
        return holder[best]


@attrs.frozen(eq=False, slots=False)
class Laid:
    """Sets of instants of many groups, measured together."""

    spans: GroupedSpans

    @classmethod
    def of(cls, group: Array, starts: Ints, ends: Ints) -> Laid:
        """The union of each group's intervals `[start, end)`. O(n log n)."""
        return cls(GroupedSpans.of(group, starts, ends, int(group.max(initial=-1)) + 1))

    @cached_property
    def _starts(self) -> Keyed:
        return Keyed(self.spans.group, self.spans.starts)

    @cached_property
    def _total(self) -> Ints:
        return np.concatenate([[0], np.cumsum(self.spans.ends - self.spans.starts, dtype=np.int64)])

    def covered(self, group: Array, starts: Ints, ends: Ints) -> Ints:
        """How much of each interval `[start, end)` lies in the set of its group, in ns; an empty one has 0.

        O(log n) each.
        """
        return self._before(group, np.maximum(starts, ends)) - self._before(group, starts)

    def _before(self, group: Array, time: Ints) -> Ints:
        if not len(self.spans):
            return np.zeros(len(time), np.int64)
        at = self._starts.count(group, time, to=True)
        last = np.maximum(at - 1, 0)
        mine = (at > 0) & (self.spans.group[last] == group)
        over = np.where(mine, np.maximum(self.spans.ends[last] - time, 0), 0)
        return np.asarray(self._total[at] - over)
