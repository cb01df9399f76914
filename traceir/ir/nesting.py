"""Nesting: which event of a lane encloses which, from times alone."""

from __future__ import annotations

import attrs
import numpy as np

from traceir.ir.column import Array, Ints, Rows


@attrs.frozen(eq=False)
class Nesting:
    """The parents found, and by how much children stick out of them.

    `parent` has a position per event, -1 none. `excess` counts children that end after their parent, `most_ns`
    is the largest such overhang (never above the slack), `first` the position of the first such child.
    `crossing` counts events that start inside an earlier one and end after it by more than the slack: those
    are siblings that overlap, not parent and child.
    """

    parent: Rows
    excess: int
    most_ns: int
    first: int | None
    crossing: int


def nest(lane: Array, ts: Ints, dur: Ints, slack_ns: int = 0) -> Nesting:
    """Find each event's innermost enclosing event on its lane.

    `p` encloses `e` if `p.ts <= e.ts < p.end` and `e.end <= p.end + slack_ns`; of equal intervals the earlier
    position is outside. The three arrays may be in any order. O(n log n), vectorised: after sorting by
    (lane, start, longest first) the parent is the previous event whose end reaches far enough.
    """
    n = len(ts)
    if n == 0:
        return Nesting(np.empty(0, np.int32), 0, 0, None, 0)
    # positions are int32 here and below: on a large trace nesting is the peak of memory
    order = _outside_in(lane, ts, dur).astype(np.int32)
    lanes, starts = lane[order], ts[order]
    ends = starts + dur[order]
    found = previous_reaching(*_keyed(lanes, ends, np.maximum(ends - slack_ns, starts + 1)))
    same = (found >= 0) & (lanes[found] == lanes)
    found = np.where(same, found, -1)
    over = np.where(same, ends - ends[found], 0)
    out = np.full(n, -1, np.int32)
    out[order] = np.where(same, order[found], -1)
    late = np.flatnonzero(over > 0)
    return Nesting(
        out,
        len(late),
        int(over.max(initial=0)),
        int(order[late[0]]) if len(late) else None,
        _crossing(lanes, starts, ends, found),
    )


def _outside_in(lane: Array, ts: Ints, dur: Ints) -> Ints:
    """The order by (lane, start, longest first). Rows mostly come in order of time: then only ties are sorted."""
    order = np.argsort(ts, kind="stable")
    order = order[np.argsort(lane[order], kind="stable")]
    lanes, starts = lane[order], ts[order]
    same = (lanes[1:] == lanes[:-1]) & (starts[1:] == starts[:-1])
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
    some = order[tied]
    order[tied] = some[np.lexsort((-dur[some], starts[tied], lanes[tied]))]
    return order


def _keyed(lanes: Array, ends: Ints, reach: Ints) -> tuple[Ints, Ints]:
    """Ends and what they have to reach, comparable over lanes: on an earlier lane every key is larger."""
    low = min(int(ends.min()), int(reach.min()))
    rank = np.cumsum(np.append(0, lanes[1:] != lanes[:-1]))
    lane_bits = int(rank[-1] + 1).bit_length()
    if lane_bits + (max(int(ends.max()), int(reach.max())) - low + 1).bit_length() > 62:
        # One absurd time stamp must not stop the load: ranks of the times order just as the times do.
        _, where = np.unique(np.concatenate([ends, reach]), return_inverse=True)
        ends, reach, low = where[: len(ends)], where[len(ends) :], 0
    lane_key = (rank[-1] - rank) << 62 - lane_bits
    lane_key -= low
    reach = lane_key + reach
    lane_key += ends
    return lane_key, reach


def _crossing(lanes: Array, starts: Ints, ends: Ints, parent: Array) -> int:
    """The number of events that begin inside an earlier sibling, be it before the one next to them."""
    family = np.where(parent >= 0, parent, -1 - lanes.astype(np.int32))
    order = np.argsort(family, kind="stable").astype(np.int32)
    # Read backwards, so that keys grow from family to family, and no maximum of one reaches into the next.
    back = order[::-1]
    reach, begin = _keyed(family[back], ends[back], starts[back])
    return int((begin[::-1][1:] < np.maximum.accumulate(reach[::-1])[:-1]).sum())


def previous_reaching(values: Ints, wanted: Ints) -> Array:
    """For each i the largest j < i with `values[j] >= wanted[i]`, or -1. O(n log n) worst, near O(n) on traces.

    A tree of block maxima is climbed to the left until a block holds a value that reaches, then descended.
    """
    n = len(values)
    levels = [values]
    floor = np.int64(np.iinfo(np.int64).min)
    while len(levels[-1]) > 1:
        below = levels[-1]
        if len(below) % 2:
            below = np.append(below, floor)
        levels.append(np.maximum(below[0::2], below[1::2]))
    out = np.full(n, -1, np.int32)
    near = np.append(False, values[:-1] >= wanted[1:])[:n]  # for about half of a trace's events it is the one before
    out[near] = np.flatnonzero(near) - 1
    active = np.flatnonzero(~near).astype(np.int32)
    position = active.copy()
    for level, maxima in enumerate(levels):
        if not len(active):
            break
        left = (position & 1).astype(bool)
        hit = left.copy()
        hit[left] = maxima[position[left] - 1] >= wanted[active[left]]
        if hit.any():
            out[active[hit]] = _descend(levels, level, position[hit] - 1, wanted[active[hit]])
        keep = ~hit & (position > 0)
        active, position = active[keep], position[keep] >> 1
    return out


def _descend(levels: list[Ints], level: int, position: Array, wanted: Ints) -> Array:
    """The rightmost leaf under each block that reaches, given that one does."""
    for below in range(level - 1, -1, -1):
        right = position * 2 + 1
        inside = np.minimum(right, len(levels[below]) - 1)
        take = (right == inside) & (levels[below][inside] >= wanted)
        position = np.where(take, right, position * 2)
    return position
