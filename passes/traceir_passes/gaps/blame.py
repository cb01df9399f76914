"""Blame: which host event a late launch waited for."""

from __future__ import annotations

import attrs
import numpy as np

from traceir.ir import Array, Ints, Module, expand
from traceir.ir.kinds import nesting_kinds


@attrs.frozen(eq=False)
class Thread:
    """What a host thread was doing: from `time[i]` to `time[i + 1]` the row `inner[i]` was innermost (-1 nothing)."""

    time: Ints
    inner: Array

    @classmethod
    def of(cls, module: Module, lane: int) -> Thread:
        """Cut a host lane's events into stretches of one innermost event each. O(events log events)."""
        on_lane = module.is_kind(*nesting_kinds()) & module.live & (module["lane"] == lane)
        rows = np.flatnonzero(on_lane & (module["dur"] > 0))
        # The order in which nesting reads them: by start, of equal starts the outer ones first.
        rows = rows[np.lexsort((-module["dur"][rows], module["ts"][rows]))]
        end = _drawn_in(module, rows)
        rows, end = rows[end > module["ts"][rows]], end[end > module["ts"][rows]]
        start, parent = module["ts"][rows], module.parent[rows]
        ends = len(rows) - 1 - np.argsort(end[::-1], kind="stable")  # of equal ends the inner ones first
        at_end = np.searchsorted(start, end[ends], side="left") + np.arange(len(rows))
        at_start = np.searchsorted(end[ends], start, side="right") + np.arange(len(rows))
        time, inner = np.empty(2 * len(rows), np.int64), np.full(2 * len(rows), -1, np.int64)
        time[at_end], inner[at_end] = end[ends], parent[ends]
        time[at_start], inner[at_start] = start, rows
        return cls(time, inner)

    def longest(self, low: Ints, high: Ints) -> tuple[Array, Ints]:
        """For each window `[low, high)` the event that was innermost for longest, and for how long; -1 if none was.

        The windows are disjoint, so that all of them together look at each stretch about once.
        """
        row, size = np.full(len(low), -1, np.int64), np.zeros(len(low), np.int64)
        first = np.maximum(np.searchsorted(self.time, low, side="right") - 1, 0)
        last = np.minimum(np.searchsorted(self.time, high, side="left"), max(len(self.time) - 1, 0))
        owner, stretch = expand(first, np.maximum(last - first, 0))
        inside = np.minimum(self.time[stretch + 1], high[owner]) - np.maximum(self.time[stretch], low[owner])
        keep = (inside > 0) & (self.inner[stretch] >= 0)
        owner, inner, inside = owner[keep], self.inner[stretch[keep]], inside[keep]
        order = np.lexsort((inner, owner))
        owner, inner, inside = owner[order], inner[order], inside[order]
        new = np.flatnonzero(np.append(True, (owner[1:] != owner[:-1]) | (inner[1:] != inner[:-1]))[: len(owner)])
        total = np.add.reduceat(inside, new) if len(new) else inside
        owner, inner = owner[new], inner[new]
        order = np.lexsort((-inner, total))
        row[owner[order]], size[owner[order]] = inner[order], total[order]
        return row, size


def _drawn_in(module: Module, rows: Array) -> Ints:
    """The ends of `rows`, drawn in so that the rows nest: to the start of the next sibling, to the parent's end.

    One round a level of nesting that sticks out, which is rarely more than one.
    """
    end, start, parent = module.end.copy(), module["ts"], module.parent[rows]
    beside = rows[np.argsort(parent, kind="stable")]
    same = module.parent[beside[1:]] == module.parent[beside[:-1]]
    end[beside[:-1][same]] = np.minimum(end[beside[:-1]], start[beside[1:]])[same]
    inner, outer = rows[parent >= 0], parent[parent >= 0]
    while (out := end[inner] > end[outer]).any():
        end[inner[out]] = end[outer[out]]
    return end[rows]
