"""Host calls: which of them block until device work is done, and what that work was."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import attrs
import numpy as np

from traceir.ir import Array, Ints, Mask, Module

_WAITS: Final = re.compile(r"synchronize|memcpywithstream", re.IGNORECASE)
_OF_EVENT: Final = re.compile(r"event.?synchronize", re.IGNORECASE)
_PAGEABLE: Final = re.compile(r"DtoH.*Pageable|Device -> Pageable", re.IGNORECASE)
FULL: Final = 1000
"""Works in a stream's queue from which on it may be full: drivers take about 1024 launches before they block."""
SLOW: Final = 10
"""How many times its name's median a launch call has to take to have been blocked."""
_LEAST: Final = int(np.iinfo(np.int64).min)


def named(module: Module, rows: Array, holds: Callable[[str], bool]) -> Mask:
    """For each of `rows` whether its name holds. Each distinct name is asked once. O(rows + names)."""
    table = np.zeros(len(module.strings) + 1, bool)
    codes = module["name"][rows]
    for code in distinct(codes[codes >= 0]):
        table[code] = holds(module.strings[code])
    return table[codes]


def distinct(codes: Array) -> list[int]:
    """The distinct codes, which are small and not negative, in order. O(codes + largest code)."""
    return np.flatnonzero(np.bincount(codes)).tolist() if len(codes) else []


def calls(module: Module) -> Mask:
    """Which rows are live runtime calls on host threads."""
    host = np.array([lane.kind == "host.thread" for lane in module.lanes] + [False])
    return np.asarray(module.live & module.is_kind("rt") & host[module["lane"]])


def blocking(module: Module) -> Mask:
    """Which rows are calls that may block: synchronisations, allocations, synchronous copies.

    A copy to pageable memory of the host blocks too, whatever the call is named.
    """
    out = np.zeros(len(module), bool)
    rows = np.flatnonzero(calls(module))
    asynchronous = named(module, rows, lambda name: "async" in name.lower())
    does = module.is_kind("rt.sync")[rows]
    does |= module.is_kind("rt.alloc", "rt.memcpy", "rt.memset")[rows] & ~asynchronous
    out[rows] = does | named(module, rows, lambda name: bool(_WAITS.search(name)))
    src, dst = module.edges("launch")
    copies = module.is_kind("dev.memcpy")[dst] & module.live[dst]
    src, dst = src[copies], dst[copies]
    out[src[named(module, dst, lambda name: bool(_PAGEABLE.search(name)))]] = True
    return out & calls(module)


@attrs.frozen(eq=False)
class Blocked:
    """The blocking calls that waited for known device work: rows of the calls, and of the work (of each its last)."""

    call: Array
    work: Array


def blocked(module: Module, near: int) -> Blocked:
    """What each blocking call waited for; calls whose work was done before they began are left out.

    Known is, in this order: what the trace's sync edges say; the copy that the call itself started; else the last
    work that was enqueued before the call on a lane that was through with all such work when the call returned (for
    an event's synchronisation: the last such work of all). Allocations, which cost time of their own, count only if
    they returned up to `near` ns after that work. O((calls + work) log work × lanes).
    """
    rows = np.flatnonzero(blocking(module))
    work = np.full(len(rows), -1, np.int64)
    start, end = module["ts"][rows], module.end[rows]
    lanes = _Lanes.of(module)
    last, lane_of = _recorded(module, rows)
    work = np.where(last >= 0, last, work)
    copied = _own_copy(module, rows)
    work = np.where(work < 0, copied, work)
    open_ = np.flatnonzero(work < 0)
    of_event = named(module, rows[open_], lambda name: bool(_OF_EVENT.search(name)))
    work[open_] = np.where(
        of_event,
        lanes.any_done(start[open_], end[open_]),
        lanes.all_done(start[open_], end[open_], lane_of[open_]),
    )
    done = np.where(work >= 0, module.end[work], _LEAST)
    waited = (done > start) & (done <= end)
    waited &= ~module.is_kind("rt.alloc")[rows] | (end - done <= near)
    return Blocked(rows[waited], work[waited])


def held_up(module: Module) -> Blocked:
    """Launch calls that had to wait for room in their stream's queue, and the work whose start made it.

    A call counts if at least `FULL` works lay before its own on the lane when it began, if it took `SLOW` times as long
    as the median call of its name, and if work of the lane began meanwhile: the last of these. O(n log n).
    """
    work = np.flatnonzero(module.work & (module.launch >= 0))
    call = module.launch[work].astype(np.int64)
    rows, waited = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    lanes = module["lane"][work]
    numbers, counts = np.unique(lanes, return_counts=True)
    for lane in numbers[counts > FULL].tolist():  # a shorter queue cannot have been full
        mine, own = work[lanes == lane], call[lanes == lane]
        start = module["ts"][mine]
        begun = np.searchsorted(start, module["ts"][own], side="right")
        last = np.searchsorted(start, module.end[own], side="right") - 1
        full = (np.arange(len(mine)) - begun >= FULL) & (last >= begun) & _slow(module, own)
        rows.append(own[full])
        waited.append(mine[last[full]])
    found, at = np.unique(np.concatenate(rows), return_index=True)
    return Blocked(found, np.concatenate(waited)[at])


def _slow(module: Module, calls: Array) -> Mask:
    """Whether each call took `SLOW` times as long as the median of those of its name."""
    names, at = np.unique(module["name"][calls], return_inverse=True)
    dur = module["dur"][calls]
    typical = np.array([np.median(dur[at == number]) for number in range(len(names))])
    return np.asarray(dur >= SLOW * np.maximum(typical[at], 1)) if len(calls) else np.zeros(0, bool)


def _recorded(module: Module, rows: Array) -> tuple[Array, Array]:
    """What sync edges say of calls: the work waited for (-1 unknown), and the only lane waited for (-1 any)."""
    work, lane = np.full(len(rows), -1, np.int64), np.full(len(rows), -1, np.int64)
    src, dst = module.edges("sync")
    if not len(src):
        return work, lane
    at = np.full(len(module), -1, np.int64)
    at[rows] = np.arange(len(rows))
    on_device = np.append(module.device_lane, False)[module["lane"]]
    direct = (at[dst] >= 0) & module.work[src]
    _latest(module, work, at[dst[direct]], src[direct])
    waits = (at[dst] >= 0) & module.is_kind("event.wait")[src]
    via = np.full(len(module), -1, np.int64)
    via[src[waits]] = at[dst[waits]]
    streams = waits & on_device[src]
    lane[at[dst[streams]]] = module["lane"][src[streams]]
    behind = (via[dst] >= 0) & module.work[src]
    _latest(module, work, via[dst[behind]], src[behind])
    return work, lane


def _latest(module: Module, out: Array, at: Array, rows: Array) -> None:
    """Write to `out[at]` the row that ends last, of what is there and `rows`."""
    order = np.argsort(module.end[rows], kind="stable")
    at, rows = at[order], rows[order]
    better = (out[at] < 0) | (module.end[out[at]] <= module.end[rows])
    out[at[better]] = rows[better]


def _own_copy(module: Module, rows: Array) -> Array:
    """The copy or memset that each call started, -1 if none; of several the last."""
    out = np.full(len(rows), -1, np.int64)
    at = np.full(len(module), -1, np.int64)
    at[rows] = np.arange(len(rows))
    src, dst = module.edges("launch")
    own = (at[src] >= 0) & module.work[dst]
    _latest(module, out, at[src[own]], dst[own])
    return out


def enqueued(module: Module, rows: Array) -> Ints:
    """When each row of one lane, in order of time, was put there: by the start of its launch, else with the one before.

    A lane runs work in the order in which it was enqueued, so the instants never go back.
    """
    launch = module.launch[rows]
    return np.asarray(np.maximum.accumulate(np.where(launch >= 0, module["ts"][launch], _LEAST)))


@attrs.frozen(eq=False)
class _Lanes:
    """For each lane of device work its rows by time, when they were enqueued, and the row of the running maximum."""

    module: Module
    lanes: tuple[tuple[int, Array, Ints, Array], ...]

    @classmethod
    def of(cls, module: Module) -> _Lanes:
        work = np.flatnonzero(module.work)
        order = work[np.argsort(module["lane"][work], kind="stable")]
        numbers, first = np.unique(module["lane"][order], return_index=True)
        out = []
        for number, rows in zip(numbers.tolist(), np.split(order, first[1:]), strict=False):
            reach = np.maximum.accumulate(module.end[rows])
            leader = np.maximum.accumulate(np.where(module.end[rows] >= reach, np.arange(len(rows)), 0))
            out.append((number, rows, enqueued(module, rows), rows[leader]))
        return cls(module, tuple(out))

    def all_done(self, start: Ints, end: Ints, only: Array) -> Array:
        """For each call the last work of a lane on which all that was enqueued before it was done when it returned."""
        best = np.full(len(start), -1, np.int64)
        for number, _, put, leader in self.lanes:
            at = np.searchsorted(put, start, side="left") - 1
            row = np.where(at >= 0, leader[np.maximum(at, 0)], -1)
            self._take(best, row, (self.module.end[row] <= end) & ((only < 0) | (only == number)))
        return best

    def any_done(self, start: Ints, end: Ints) -> Array:
        """For each call the last work of any lane that was enqueued before it and done when it returned."""
        best = np.full(len(start), -1, np.int64)
        for _, rows, put, _ in self.lanes:
            by_end = np.argsort(self.module.end[rows], kind="stable")
            at = np.searchsorted(self.module.end[rows][by_end], end, side="right") - 1
            place = np.where(at >= 0, by_end[np.maximum(at, 0)], 0)
            row = np.where(at >= 0, rows[place], -1)
            self._take(best, row, put[place] < start)
        return best

    def _take(self, best: Array, row: Array, good: Mask) -> None:
        good = good & (row >= 0)
        good &= (best < 0) | (self.module.end[best] < self.module.end[row])
        best[good] = row[good]
