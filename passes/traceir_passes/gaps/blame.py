"""Blame: which host event a late launch waited for."""

from __future__ import annotations

import attrs
import numpy as np

from traceir.ir import Array, Ints, Module, expand
from traceir.ir.kinds import nesting_kinds
from traceir_passes.gaps.keyed import Keyed


@attrs.frozen(eq=False)
class Threads:
    """What host threads were doing: from each entry of `began` to the next of its lane the row `inner` was innermost.

    The entries stand in order of (lane, time); `inner` is -1 where nothing ran.
    """

    began: Keyed
    inner: Array

    @classmethod
    def of(cls, module: Module, lanes: Array) -> Threads:
        """Cut the events of host lanes into stretches of one innermost event each. O(events log events)."""
        chosen = np.zeros(len(module.lanes) + 1, bool)
        chosen[lanes] = True
        on_lane = module.is_kind(*nesting_kinds()) & module.live & chosen[module["lane"]]
        rows = np.flatnonzero(on_lane & (module["dur"] > 0))
        # The order in which nesting reads them: by start, of equal starts the outer ones first.
        rows = rows[np.lexsort((-module["dur"][rows], module["ts"][rows], module["lane"][rows]))]
        end = _drawn_in(module, rows)
        rows, end = rows[end > module["ts"][rows]], end[end > module["ts"][rows]]
        start, parent, lane = module["ts"][rows], module.parent[rows], module["lane"][rows]
        # Of equal ends the inner ones come first, and ends before the starts of what follows.
        count = len(rows)
        time = np.concatenate([end, start])
        inner = np.concatenate([parent, rows])
        turn = np.concatenate([-np.arange(count), np.arange(count)])
        order = np.lexsort((turn, np.repeat([0, 1], count), time, np.tile(lane, 2)))
        return cls(Keyed(np.tile(lane, 2)[order].astype(np.int64), time[order]), inner[order])

    def longest(self, lane: Array, low: Ints, high: Ints) -> tuple[Array, Ints]:
        """For each window `[low, high)` the event innermost for longest on a lane, and how long; -1 if none was.

        The windows of a lane are disjoint, so that all of them together look at each stretch about once.
        """
        time = self.began.time
        row, size = np.full(len(low), -1, np.int64), np.zeros(len(low), np.int64)
        begin = self.began.count(lane, np.full(len(low), np.iinfo(np.int64).min))
        first = np.maximum(self.began.count(lane, low, to=True) - 1, begin)
        last = np.minimum(self.began.count(lane, high), max(len(time) - 1, 0))
        owner, stretch = expand(first, np.maximum(last - first, 0))
        inside = np.minimum(time[stretch + 1], high[owner]) - np.maximum(time[stretch], low[owner])
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
    lane = module["lane"]
    beside = rows[np.argsort(parent, kind="stable")]
    same = (module.parent[beside[1:]] == module.parent[beside[:-1]]) & (lane[beside[1:]] == lane[beside[:-1]])
    end[beside[:-1][same]] = np.minimum(end[beside[:-1]], start[beside[1:]])[same]
    inner, outer = rows[parent >= 0], parent[parent >= 0]
    while (out := end[inner] > end[outer]).any():
        end[inner[out]] = end[outer[out]]
    return end[rows]
