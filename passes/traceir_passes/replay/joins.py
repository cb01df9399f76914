"""Waits between streams: what the trace says of them, and what times and the host's calls give away."""

from __future__ import annotations

import re
from typing import Final

import attrs
import numpy as np

from traceir.ir import Array, Ints, Mask, Module
from traceir_passes.replay.calls import calls, enqueued, named
from traceir_passes.replay.device import LEAST, Streams

_WAIT: Final = re.compile(r"streamwaitevent|streamwaitvalue", re.IGNORECASE)
_RECORD: Final = re.compile(r"eventrecord|recordevent", re.IGNORECASE)


@attrs.frozen(eq=False)
class Joins:
    """Work (`late`) that waited for work of another lane (`early`); `told` where the trace says so."""

    early: Array
    late: Array
    told: Mask

    def without(self, others: Joins) -> Joins:
        """These but for waits of work whose waits the others know."""
        keep = ~np.isin(self.late, others.late)
        return Joins(self.early[keep], self.late[keep], self.told[keep])

    def plus(self, others: Joins) -> Joins:
        """Both, each pair once."""
        new = ~np.isin(_pair(others), _pair(self))
        parts = ((getattr(self, name), getattr(others, name)[new]) for name in ("early", "late", "told"))
        return Joins(*(np.concatenate(part) for part in parts))


def _pair(joins: Joins) -> Ints:
    """One number for each pair of rows, which are below 2^31."""
    return np.asarray((joins.early.astype(np.int64) << 31) + joins.late)


def told_joins(module: Module, work: Streams) -> Joins:
    """The waits between streams that sync edges tell of: from work, or a record behind it, to a wait on a stream."""
    src, dst = module.edges("sync")
    on_device = np.append(module.device_lane, False)[module["lane"]]
    waits = module.is_kind("event.wait") & module.live & on_device
    direct = waits[dst] & module.work[src]
    early, wait = src[direct].astype(np.int64), dst[direct].astype(np.int64)
    recorded = waits[dst] & module.is_kind("event.record")[src] & on_device[src]
    early = np.concatenate([early, _before(module, work, src[recorded])])
    wait = np.concatenate([wait, dst[recorded]])
    late = _after(module, work, wait)
    good = (early >= 0) & (late >= 0)
    early, late = early[good], late[good]
    good = (module["lane"][early] != module["lane"][late]) & (module.end[early] <= module["ts"][late])
    return Joins(early[good], late[good], np.ones(int(good.sum()), bool))


def _before(module: Module, work: Streams, records: Array) -> Array:
    """The last work on the lane of each record that began before it, -1 if none did."""
    out = np.full(len(records), -1, np.int64)
    for lane in np.unique(module["lane"][records]).tolist():
        mine, at = np.flatnonzero(module["lane"][records] == lane), np.flatnonzero(work.lane == lane)
        place = np.searchsorted(work.rows[at], records[mine], side="left") - 1
        out[mine] = np.where(place >= 0, np.append(work.rows[at], -1)[place], -1)
    return out


def _after(module: Module, work: Streams, waits: Array) -> Array:
    """The first work that was put on the lane of each wait after it, -1 if none was."""
    out = np.full(len(waits), -1, np.int64)
    asked = module["ts"][np.where(module.launch[waits] >= 0, module.launch[waits], waits)]
    for lane in np.unique(module["lane"][waits]).tolist():
        mine, at = np.flatnonzero(module["lane"][waits] == lane), np.flatnonzero(work.lane == lane)
        put = enqueued(module, work.rows[at])
        place = np.searchsorted(put, asked[mine], side="left")
        out[mine] = np.append(work.rows[at], -1)[place]
    return out


def guessed_joins(module: Module, work: Streams, bound: Ints, near: int, told: Array) -> Joins:
    """Work that began right after work of another lane of its device ended, and that nothing else explains.

    `bound` is for each work the instant by which all that is known allowed it to start. Counted is the work that ended
    last before it, if that was after `bound` and at most `near` ns before the start, and if the host can have asked
    for it: a call that makes a stream wait lies between the launches of the work and of its lane's work before, or
    both come from one graph launch, or the trace records no such calls at all.
    """
    rows, device = work.rows, module.device[work.rows]
    start, end = module["ts"][rows], module.end[rows]
    early = np.full(len(rows), -1, np.int64)
    for number in module.devices:
        mine = np.flatnonzero(device == number)
        order = mine[np.argsort(end[mine], kind="stable")]
        at = np.searchsorted(end[order], start[mine], side="right") - 1
        early[mine] = np.where(at >= 0, order[np.maximum(at, 0)], -1)
    good = (early >= 0) & (work.lane[early] != work.lane)
    good &= (end[early] > bound) & (start - end[early] <= near) & ~np.isin(rows, told)
    good &= (module["dur"][rows[early]] > 0) | (module["dur"][rows] > 0)
    at = np.flatnonzero(good)
    at = at[_asked(module, work, early, at)]
    return Joins(rows[early[at]], rows[at], np.zeros(len(at), bool))


def _asked(module: Module, work: Streams, early: Array, at: Array) -> Mask:
    """Whether the host can have asked for each wait."""
    every = np.flatnonzero(calls(module))
    waits = every[named(module, every, lambda name: bool(_WAIT.search(name)))]
    launch = module.launch[work.rows]
    same = (launch[at] >= 0) & (launch[at] == launch[early[at]])
    if not len(waits):
        return np.ones(len(at), bool)
    put = np.sort(module["ts"][waits])
    at_before = np.where(work.lane[at] == work.lane[at - 1], at - 1, -1)
    before = np.where(at_before >= 0, launch[at_before], -1)
    low = np.where(before >= 0, module["ts"][before], LEAST)
    high = np.where(launch[at] >= 0, module["ts"][launch[at]], module["ts"][work.rows[at]])
    some = np.searchsorted(put, high, side="right") > np.searchsorted(put, low, side="left")
    return np.asarray(same | some)


@attrs.frozen(eq=False)
class _Launches:
    """What each launch put on each lane: the call's start and thread, the lane, and the first and last work there.

    In order of the calls.
    """

    ts: Ints
    thread: Array
    lane: Array
    first: Array
    last: Array

    @classmethod
    def of(cls, module: Module, work: Streams) -> _Launches:
        rows = work.rows[module.launch[work.rows] >= 0]
        call, lane = module.launch[rows].astype(np.int64), module["lane"][rows].astype(np.int64)
        order = np.lexsort((rows, lane, call))  # calls stand in order of their starts
        rows, call, lane = rows[order], call[order], lane[order]
        new = np.append(True, (call[1:] != call[:-1]) | (lane[1:] != lane[:-1]))[: len(rows)]
        begin = np.flatnonzero(new)
        end = np.append(begin[1:], len(rows)) - 1
        call = call[begin]
        return cls(module["ts"][call], module["lane"][call], lane[begin], rows[begin], rows[end[: len(begin)]])


def asked_joins(module: Module, work: Streams) -> Joins:
    """Waits that the host's calls tell of: a stream is made to wait, and the next launch of that thread goes to a lane.

    What it waits for is the work that was last launched, on another lane, before the last record of the thread (or, if
    that was on the same lane, the work last launched on any other). The calls do not say which streams they mean, so
    this is a guess, and one that the times refute is dropped. O(calls log calls × lanes).
    """
    every = np.flatnonzero(calls(module))
    waits = every[named(module, every, lambda name: bool(_WAIT.search(name)))]
    records = every[named(module, every, lambda name: bool(_RECORD.search(name)))]
    found = _Launches.of(module, work)
    early, late = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for thread in np.flatnonzero(~module.device_lane).tolist():
        asked = module["ts"][waits[module["lane"][waits] == thread]]
        own = np.flatnonzero(found.thread == thread)
        if not len(asked) or not len(own):
            continue
        at = np.searchsorted(found.ts[own], asked, side="left")
        asked, to = asked[at < len(own)], own[at[at < len(own)]]
        recorded = module["ts"][records[module["lane"][records] == thread]]
        place = np.searchsorted(recorded, asked, side="right") - 1
        since = np.where(place >= 0, np.append(recorded, 0)[place], asked)
        before = np.searchsorted(found.ts, since, side="left") - 1
        same = (before < 0) | (found.lane[before] == found.lane[to])
        before = np.where(same, _elsewhere(found, asked, found.lane[to]), before)
        early.append(found.last[before[before >= 0]])
        late.append(found.first[to[before >= 0]])
    one, other = np.concatenate(early), np.concatenate(late)
    good = module.end[one] <= module["ts"][other]
    pairs = np.unique(np.stack([one[good], other[good]]), axis=1)
    return Joins(pairs[0], pairs[1], np.zeros(pairs.shape[1], bool))


def _elsewhere(found: _Launches, before: Ints, lane: Array) -> Array:
    """The last launch before each instant that put work on another lane than the given one, -1 if there is none."""
    out = np.full(len(before), -1, np.int64)
    for other in np.flatnonzero(np.bincount(found.lane)).tolist():
        mine = np.flatnonzero(found.lane == other)
        at = np.searchsorted(found.ts[mine], before, side="left") - 1
        out = np.where((at >= 0) & (lane != other), np.maximum(out, np.append(mine, -1)[at]), out)
    return out
