"""Callers: what made each event happen, up its nest tree and over from one layer's thread to the other's."""

from __future__ import annotations

import attrs
import numpy as np

from traceir.ir.column import Array, Column, Mask, Rows


@attrs.frozen(eq=False)
class Callers:
    """For each event the next row outwards (`caller`), and the row that asked for it on another thread (`origin`)."""

    caller: Rows
    origin: Rows

    @classmethod
    def of(cls, parent: Rows, source: Array, target: Array) -> Callers:
        """Follow parents, and from the outermost event of a thread that an edge leads to the first such edge.

        Where a runtime has a worker thread, the events above a call there say only that the worker runs, so that the
        outermost edge of the chain is taken, and what stands above that on the worker is not. The origin is the source
        of the last edge on the way out, the event itself if there is none. Edges that would lead in a circle are
        all left out. O(n log depth); without edges O(n).
        """
        rows = np.arange(len(parent), dtype=np.int32)
        sound = (source >= 0) & (target >= 0) & (source != target)
        source, target = source[sound], target[sound]
        if not len(source):
            return cls(parent, Column.own(rows).data)
        over = np.full(len(parent), -1, np.int32)
        over[target[::-1]] = source[::-1]
        above = np.append(nearest(parent, over >= 0), np.int32(-1))[parent]
        leaves = (over >= 0) & (above < 0)
        caller = np.where(leaves, over, parent).astype(np.int32)
        if not _ends(caller):
            return cls(parent, Column.own(rows).data)
        leaf = nearest(caller, leaves)
        origin, last = rows, leaf
        while (going := last >= 0).any():
            origin = np.where(going, over[last], origin).astype(np.int32)
            last = np.where(going, leaf[over[last]], -1)
        return cls(Column.own(caller).data, Column.own(origin).data)


def nearest(parent: Array, chosen: Mask) -> Array:
    """For each event the nearest event-or-self in `chosen` up its chain of parents, or -1. O(n log depth)."""
    n = len(parent)
    up = np.empty(n + 1, np.int64)
    up[:n] = parent
    np.copyto(up[:n], np.arange(n), where=chosen)
    up[n] = n  # where the way up ends, and stays
    up[up < 0] = n
    further = np.empty_like(up)
    for _ in range(n.bit_length() + 1):  # a circle of parents, which the verifier reports, has no nearest
        np.take(up, up, out=further, mode="clip")
        if np.array_equal(further, up):
            break
        up, further = further, up
    up[~np.append(chosen, False)[up]] = -1
    return up[:n]


def _ends(caller: Array) -> bool:
    """Whether every chain of callers ends, by doubling the step."""
    up = np.append(caller, -1)
    for _ in range(len(up).bit_length()):
        if (up < 0).all():
            return True
        up = up[up]
    return bool((up < 0).all())
