"""Tracks: slices that nest on rows of their own, and the process that shows them above the file's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs
import numpy as np

from traceir.ir import Array, Ints, Module
from traceir.printers.chrome.counters import Counter, counter_rows
from traceir.printers.chrome.text import all_micros, dumps, micros

NAME: Final = "traceir"
"""Name of the process, and category of all that it shows."""
_FIRST_PID: Final = 1_000_000_007
"""Above what systems give to processes (Linux: 2^22), below 2^31."""
_SORT_INDEX: Final = -1_000_000


@attrs.frozen(eq=False)
class Track:
    """Slices of one sort: start and end (i64 ns from the module's origin), a name each, and arguments.

    Slices that overlap without nesting are parted on as many rows as that takes; `parents` (positions, -1 none) are
    slices that others should lie under.
    """

    name: str
    starts: Ints
    ends: Ints
    names: Sequence[str]
    args: Sequence[Mapping[str, Any]] | None = None
    device: int | None = None
    parents: Ints | None = None


@attrs.frozen
class Arrow:
    """An arrow from an event (its lane and time in ns) to slice `to` of a track."""

    lane: int
    ts: int
    track: int
    to: int


def rows_of(starts: Ints, ends: Ints, parents: Ints | None = None) -> Ints:
    """The row of each slice, such that slices of one row nest properly or lie apart.

    The first row that fits is taken, from the row of the slice's parent on. O(n log n) where nothing overlaps,
    O(n × rows) else.
    """
    order = np.lexsort((-ends, starts))
    low, high = starts[order], ends[order]
    out = np.zeros(len(starts), np.int64)
    if not (low[1:] < np.maximum.accumulate(high)[:-1]).any():
        return out
    open_: list[list[int]] = []
    for at, start, end in zip(order.tolist(), low.tolist(), high.tolist(), strict=True):
        above = -1 if parents is None else int(parents[at])
        first = int(out[above]) if above >= 0 else 0
        fits = (row for row in (*range(first, len(open_)), *range(first)) if _fits(open_[row], start, end))
        row = next(fits, len(open_))
        if row == len(open_):
            open_.append([])
        open_[row].append(end)
        out[at] = row
    return out


def _fits(stack: list[int], start: int, end: int) -> bool:
    """Whether a slice may come next on a row, of which `stack` holds the ends of the slices that are still open."""
    while stack and stack[-1] <= start:
        stack.pop()
    return not stack or end <= stack[-1]


def free_pid(module: Module) -> int:
    """A number of a process that the module's file does not use, or uses for what an earlier run of this printer added.

    What was added is replaced, so its number is free again: a second run gives the same text.
    """
    taken = {str(lane.pid) for lane in module.lanes} | (set(module.meta.get("processes", {})) - own_pids(module))
    pid = _FIRST_PID
    while str(pid) in taken:
        pid += 1
    return pid


def own_pids(module: Module) -> set[str]:
    """The processes of the file (as text) that an earlier run of this printer added."""
    return {str(pid) for pid, name in module.meta.get("processes", {}).items() if name == NAME}


def meta(what: str, pid: Any, tid: Any, **args: Any) -> str:
    """The element that names, labels or sorts a process or a thread."""
    return dumps({"name": what, "ph": "M", "pid": pid, "tid": tid, "args": args})


def rows(
    tracks: Sequence[Track],
    arrows: Sequence[Arrow],
    counters: Sequence[Counter],
    places: Sequence[tuple[Any, Any]],
    pid: int,
    origin: int,
) -> Iterator[str]:
    """The elements of what was found as JSON texts: names and order of the rows, slices, arrows, then counters.

    `places` are process and thread of each lane as the file has them; `origin` is added to all times. Ids of arrows
    are their numbers, in a category of their own.
    """
    if not tracks and not counters:
        return
    yield meta("process_name", pid, 0, name=NAME)
    yield meta("process_sort_index", pid, 0, sort_index=_SORT_INDEX)
    tid = 0
    tids: list[Array] = []
    for track in tracks:
        row = rows_of(track.starts, track.ends, track.parents)
        count = int(row.max(initial=-1)) + 1
        for extra in range(count):
            name = track.name if not extra else f"{track.name} ({extra + 1})"
            yield meta("thread_name", pid, tid + 1 + extra, name=name)
            yield meta("thread_sort_index", pid, tid + 1 + extra, sort_index=tid + 1 + extra)
        tids.append(row + tid + 1)
        yield from _slices(track, row + tid + 1, pid, origin)
        tid += count
    for number, arrow in enumerate(arrows):
        track = tracks[arrow.track]
        start, end = int(track.starts[arrow.to]), int(track.ends[arrow.to])
        if arrow.ts >= end:
            continue  # an arrow cannot lead back in time
        yield _point("s", number, *places[arrow.lane], arrow.ts + origin)
        yield _point("f", number, pid, int(tids[arrow.track][arrow.to]), max(start, arrow.ts) + origin)
    yield from counter_rows(counters, pid, origin, NAME)


def _slices(track: Track, tids: Ints, pid: int, origin: int) -> Iterator[str]:
    order = np.lexsort((track.starts - track.ends, track.starts))
    starts, lengths = all_micros(track.starts[order] + origin), all_micros((track.ends - track.starts)[order])
    names = {name: dumps(name) for name in set(track.names)}
    for at, tid, start, length in zip(order.tolist(), tids[order].tolist(), starts, lengths, strict=True):
        args = f', "args": {dumps(track.args[at])}' if track.args is not None and track.args[at] else ""
        yield (
            f'{{"ph": "X", "cat": "{NAME}", "name": {names[track.names[at]]}, "pid": {pid}, "tid": {tid}, '
            f'"ts": {start}, "dur": {length}{args}}}'
        )


def _point(ph: str, number: int, pid: Any, tid: Any, ts: int) -> str:
    bound = ', "bp": "e"' if ph == "f" else ""
    return (
        f'{{"ph": "{ph}", "cat": "{NAME}", "name": "blame", "id": {number}, "pid": {dumps(pid)}, "tid": {dumps(tid)}, '
        f'"ts": {micros(ts)}{bound}}}'
    )
