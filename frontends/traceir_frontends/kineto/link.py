"""Edges: launches by correlation, waits by what they wait for, flows by the events that enclose their ends."""

from __future__ import annotations

from typing import Final

import attrs
import numpy as np

from traceir.ir import NULL_I64, Array, Ints, Mask
from traceir.ir.nesting import nest

LAUNCHING: Final = ("rt.launch", "rt.graph_launch", "rt.memcpy", "rt.memset")
_NONE: Final = np.empty(0, np.int64)


@attrs.frozen(eq=False)
class Joined:
    """Rows that edges may join, one entry each: position in the event columns, and what identifies them.

    `call` marks runtime and driver calls, `launching` those of them that start device work; `work` marks rows
    of device work, `wait` event waits. Ids are null where the row has none.
    """

    at: Ints
    correlation: Ints
    external: Ints
    ts: Ints
    end: Ints
    lane: Array
    call: Mask
    launching: Mask
    single: Mask
    """Calls that start one kernel and no more."""
    work: Mask
    sort: Array
    """What a call starts, and what device work is: equal numbers fit each other."""


@attrs.frozen(eq=False)
class Launches:
    """Launch edges as positions in `Joined`, the work without any, and the work whose correlation tells nothing."""

    src: Ints
    dst: Ints
    orphans: Ints
    ambiguous: Ints
    shared: Ints
    """Work whose correlation several calls share, joined in order all the same (see `link_launches`)."""


def link_launches(rows: Joined, wanted: Mask) -> Launches:
    """Join the `wanted` device rows to the calls that started them.

    Rule: the call with the row's correlation, one call for any number of rows (graphs). Of nested calls with one
    correlation the outermost counts. Where several calls share it, the External id decides if it is unique; then
    order, if as many rows as calls of one sort remain, all calls are on one thread and all rows on one stream, and
    no row starts before its call (a stream runs in order of launch). Else there is no edge: the work is `ambiguous`.
    A call that starts one kernel has one edge: where more share its correlation, those of its External id count.
    O(n log n), with a loop over shared correlations only.
    """
    dst = np.flatnonzero(wanted)
    known = dst[rows.correlation[dst] != NULL_I64]
    calls = _outermost(rows)
    src = _unique_match(rows.correlation[calls], calls, rows.correlation[known])
    src[_crowded(rows, src, known)] = -1
    present = np.isin(rows.correlation[known], rows.correlation[calls])
    joined = [(src[src >= 0], known[src >= 0])]
    open_ = known[(src < 0) & present]
    shared = _NONE
    if len(open_):
        pick, left = _by_external(rows, calls, open_)
        ordered, open_ = _by_order(rows, _without(rows, calls, pick[0]), left)
        joined += [pick, ordered]
        shared = np.concatenate([pick[1], ordered[1]])
    lone = dst[(rows.correlation[dst] == NULL_I64) & (rows.external[dst] != NULL_I64)]
    if len(lone):
        call = _unique_match(rows.external[calls], calls, rows.external[lone])
        sound = (call >= 0) & (rows.ts[call] <= rows.ts[lone])
        joined.append((call[sound], lone[sound]))
    sources, targets = (np.concatenate(side) for side in zip(*joined, strict=True))
    orphans = _without(rows, dst, targets, open_)
    return Launches(sources, targets, orphans, open_, shared)


def _without(rows: Joined, some: Ints, *others: Ints) -> Ints:
    """`some` of the rows without all `others`, in order. By marks, since a set of millions of ids takes seconds."""
    left = np.zeros(len(rows.at), bool)
    left[some] = True
    for other in others:
        left[other] = False
    return np.flatnonzero(left)


def _crowded(rows: Joined, src: Ints, dst: Ints) -> Mask:
    """Which edges to drop because their call starts one kernel only, and several have its correlation."""
    single = (src >= 0) & rows.single[src] & rows.work[dst]
    counts = np.bincount(src[single], minlength=len(rows.at))
    crowd = single & (counts[src] > 1)
    return np.asarray(crowd & (rows.external[dst] != rows.external[src]))


def _outermost(rows: Joined) -> Ints:
    """Calls that may launch: those that start work, or any other where none of its correlation does."""
    calls = np.flatnonzero(rows.call & (rows.correlation != NULL_I64))
    order = np.lexsort(
        (-rows.end[calls], rows.ts[calls], rows.lane[calls], ~rows.launching[calls], rows.correlation[calls])
    )
    calls = calls[order]
    same = np.append(False, rows.correlation[calls[1:]] == rows.correlation[calls[:-1]])[: len(calls)]
    best = np.maximum.accumulate(np.where(same, 0, np.arange(len(calls))))
    lesser = rows.launching[calls[best]] & ~rows.launching[calls]
    before = np.append(calls[:1], calls[:-1])
    nested = same & (rows.lane[calls] == rows.lane[before]) & (rows.end[calls] <= rows.end[before])
    nested &= rows.launching[calls] == rows.launching[before]
    return np.asarray(calls[~lesser & ~nested])


def _unique_match(keys: Ints, values: Ints, wanted: Ints) -> Ints:
    """For each of `wanted` the value whose key it is, or -1 if no key or several are equal to it."""
    found, first, counts = np.unique(keys, return_index=True, return_counts=True)
    if not len(found):
        return np.full(len(wanted), -1, np.int64)
    at = np.minimum(np.searchsorted(found, wanted), len(found) - 1)
    hit = (found[at] == wanted) & (counts[at] == 1) & (wanted != NULL_I64)
    return np.where(hit, values[first[at]], -1)


def _by_external(rows: Joined, calls: Ints, open_: Ints) -> tuple[tuple[Ints, Ints], Ints]:
    """Join rows whose correlation and External id together belong to one call; also the rows that are left.

    A row that its correlation's only call cannot have started belongs to the one call of its External id and sort.
    """
    src = _pair_match(rows, rows.correlation, rows.external, calls, open_)
    alone = np.isin(rows.correlation[open_], _once(rows.correlation[calls]))
    src[alone] = _pair_match(rows, rows.sort.astype(np.int64), rows.external, calls, open_[alone])
    hit = (src >= 0) & (rows.external[open_] != NULL_I64) & (rows.ts[src] <= rows.ts[open_])
    return (src[hit], open_[hit]), open_[~hit]


def _pair_match(rows: Joined, first: Ints, second: Ints, calls: Ints, wanted: Ints) -> Ints:
    """For each of `wanted` the call that alone shares both ids with it, or -1."""
    both = np.concatenate([calls, wanted])
    code = np.unique(np.stack([first[both], second[both]]), axis=1, return_inverse=True)[1].reshape(-1)
    return _unique_match(code[: len(calls)], calls, code[len(calls) :])


def _once(keys: Ints) -> Ints:
    """The keys that occur once."""
    found, counts = np.unique(keys, return_counts=True)
    return np.asarray(found[counts == 1])


def _by_order(rows: Joined, calls: Ints, left: Ints) -> tuple[tuple[Ints, Ints], Ints]:
    """Join what is left in order of time, where that is sound; also the rows for which it is not."""
    src, dst, open_ = [], [], []
    calls = calls[rows.launching[calls]]
    for sort in np.unique(rows.sort[left]).tolist():
        mine = calls[rows.sort[calls] == sort]
        mine = mine[np.lexsort((rows.ts[mine], rows.correlation[mine]))]
        work = left[rows.sort[left] == sort]
        work = work[np.lexsort((rows.ts[work], rows.correlation[work]))]
        ids = rows.correlation[work]
        low = np.flatnonzero(np.append(True, ids[1:] != ids[:-1]))
        begin = np.searchsorted(rows.correlation[mine], ids[low], "left")
        end = np.searchsorted(rows.correlation[mine], ids[low], "right")
        for at, upto, first, last in zip(low, np.append(low[1:], len(work)), begin, end, strict=True):
            some, theirs = mine[first:last], work[at:upto]
            if _in_order(rows, some, theirs):
                src.append(some)
                dst.append(theirs)
            else:
                open_.append(theirs)
    return (np.concatenate([_NONE, *src]), np.concatenate([_NONE, *dst])), np.concatenate([_NONE, *open_])


def _in_order(rows: Joined, calls: Ints, work: Ints) -> bool:
    """Whether the n-th call must have started the n-th row: one thread, one stream, as many, and none too early."""
    return (
        1 < len(calls) == len(work)
        and len(np.unique(rows.lane[calls])) == 1
        and len(np.unique(rows.lane[work])) == 1
        and bool((rows.ts[calls] <= rows.ts[work]).all())
    )


def link_waits(
    rows: Joined, launches: Launches, waits: Ints, record: Ints, on_stream: Array, blocking: Mask
) -> tuple[Ints, Ints]:
    """Sync edges, as positions in `Joined`, of the event waits `waits` (`record` and lane waited on per wait).

    Into a wait: the call that recorded the event (rule: its correlation is the wait's record correlation), and
    the last device work that was launched on the stream waited for before that call. Out of a wait: the blocking
    host call with its correlation.
    """
    calls = np.flatnonzero(rows.call & (rows.correlation != NULL_I64))
    recorder = _unique_match(rows.correlation[calls], calls, np.where(record >= 0, record, NULL_I64))
    src, dst = [recorder[recorder >= 0]], [waits[recorder >= 0]]
    known = (recorder >= 0) & (on_stream >= 0)
    work = _last_before(rows, launches, on_stream[known], rows.ts[recorder[known]])
    src.append(work[work >= 0])
    dst.append(waits[known][work >= 0])
    caller = _unique_match(rows.correlation[calls], calls, rows.correlation[waits])
    held = (caller >= 0) & blocking[caller]
    src.append(waits[held])
    dst.append(caller[held])
    return np.concatenate(src), np.concatenate(dst)


def _last_before(rows: Joined, launches: Launches, lane: Array, before: Ints) -> Ints:
    """For each (lane, time) the work of that lane that was launched last before the time, or -1."""
    order = np.lexsort((rows.ts[launches.src], rows.lane[launches.dst]))
    call, work = rows.ts[launches.src][order], launches.dst[order]
    lanes = rows.lane[work]
    out = np.full(len(lane), -1, np.int64)
    for one in np.unique(lane).tolist():
        low, high = np.searchsorted(lanes, [one, one + 1])
        mine = np.flatnonzero(lane == one)
        at = np.searchsorted(call[low:high], before[mine], side="left") - 1 + low
        out[mine] = np.where(at >= low, work[np.maximum(at, 0)], -1) if len(work) else -1
    return out


def link_flows(group: Array, id: Ints, begins: Mask, ends: Mask, place: Ints) -> tuple[Ints, Ints]:
    """Flow edges between located points, given in order of time: from the last point that begins (or goes on) to
    each that ends (or goes on), within one category and id. Points without an event (-1) make no edge."""
    order = np.lexsort((np.arange(len(id)), id, group))
    same = np.append(False, (group[order][1:] == group[order][:-1]) & (id[order][1:] == id[order][:-1]))[: len(order)]
    index = np.arange(len(order))
    head = np.maximum.accumulate(np.where(same, 0, index))
    source = np.maximum.accumulate(np.where(begins[order], index, -1))
    source = np.append(-1, source[:-1])[: len(order)]
    hit = ends[order] & (source >= head)
    src, dst = place[order[source[hit]]], place[order[hit]]
    sound = (src >= 0) & (dst >= 0) & (src != dst)
    return src[sound], dst[sound]


def locate(lane: Array, ts: Ints, dur: Ints, rows: Ints, point_lane: Array, point_ts: Ints) -> Ints:
    """The event among `rows` that each point belongs to: the innermost that starts there, else the innermost that
    encloses it, else -1. O(n log n)."""
    n = len(rows)
    lanes = np.concatenate([lane[rows], point_lane])
    starts = np.concatenate([ts[rows], point_ts])
    spans = np.concatenate([dur[rows], np.zeros(len(point_ts), np.int64)])
    is_point = np.append(np.zeros(n, bool), np.ones(len(point_ts), bool))
    order = np.lexsort((is_point, -spans, starts, lanes))
    last = np.maximum.accumulate(np.where(is_point[order], -1, np.arange(len(order))))
    at = np.flatnonzero(is_point[order])
    point = order[at] - n
    row = order[np.maximum(last[at], 0)]
    exact = (last[at] >= 0) & (lanes[row] == lanes[order[at]]) & (starts[row] == starts[order[at]])
    out = np.full(len(point_ts), -1, np.int64)
    out[point[exact]] = rows[row[exact]]
    if not exact.all():
        parent = nest(lanes, starts, spans).parent[n:]
        open_ = point[~exact]
        inside = parent[open_]
        out[open_] = np.where((inside >= 0) & (inside < n), rows[np.clip(inside, 0, max(n - 1, 0))] if n else -1, -1)
    return out
