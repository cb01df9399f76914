"""Which elements stay, and where those go that are no events: arrows, ends, marks and counters follow the events."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import attrs
import numpy as np

from traceir.ir import NULL_I64, Array, Ints, Mask
from traceir.printers.chrome.survey import ARROW_PHASES, Other, Place, Survey
from traceir.printers.chrome.tracks import NAME, own_pids


@attrs.frozen(eq=False)
class Plan:
    """What to do with the elements of a text: rows to keep, other elements to drop (by ordinal, ascending).

    `moved` are the ordinals of other elements whose times change, ascending, with their new `ts` (ns in the file's
    clock) and `dur`, null where it stays.
    """

    keep: Mask
    dropped: Ints
    moved: Ints
    ts: Ints
    dur: Ints

    def kept(self, ordinals: Ints, rows: Ints) -> Mask:
        """Which elements stay, by their ordinals and rows (-1: no event of the module)."""
        return np.where(rows >= 0, np.append(self.keep, False)[rows], ~np.isin(ordinals, self.dropped))


def plan(survey: Survey, *, dead: bool) -> Plan:
    """Decide about every element. O((events + others) log events).

    Rows stay if they live (or all do, with `dead`). In a window only what belongs to its rows stays: names of
    processes and threads that occur, ends of its begins, arrows with both ends on its events. Of a whole trace all
    stays but the ends of removed begins and arrows that have lost an end. What an earlier run of this printer added
    goes, since it is added anew.
    """
    keep = np.ones(len(survey.module), bool) if dead else survey.module.live.copy()
    ends = _pair(survey)
    used = _places(survey, keep)
    pids = {pid for pid, _ in used}
    own, window = own_pids(survey.module), survey.window

    def goes(other: Other) -> bool:
        if (other.cat or "").partition(".")[0] == NAME or (other.ph == "M" and str(other.place[0]) in own):
            return True
        if other.ph in ("E", "e"):
            row = ends.get(other.ordinal, -1)
            return window if row < 0 else not keep[row]
        if other.ph == "M" and window:
            return other.place not in used if other.name.startswith("thread_") else other.place[0] not in pids
        return window

    points = _Points.of(survey)
    dropped = np.array([other.ordinal for other in survey.others if goes(other)], np.int64)
    lost = points.ordinal[points.lost(keep, window=window)]
    dropped = np.sort(np.concatenate([dropped, lost, *survey.outside]))
    if not survey.moved:
        return Plan(keep, dropped, dropped[:0], dropped[:0], dropped[:0])
    maps = _Maps(survey)
    moved, ts, dur = (np.concatenate(side) for side in zip(points.moves(maps), _moves(survey, ends, maps), strict=True))
    order = np.argsort(moved)
    ts = np.where(ts == NULL_I64, ts, ts + survey.origin)
    return Plan(keep, dropped, moved[order], ts[order], dur[order])


def _places(survey: Survey, keep: Mask) -> set[Place]:
    lanes = survey.module.lanes
    return {(lanes[at].pid, lanes[at].tid) for at in np.unique(survey.module["lane"][keep]).tolist()}


def _rows_at(survey: Survey, place: Place | None) -> Array:
    """The events on a thread or stream, all for None."""
    mine = [place is None or (lane.pid, lane.tid) == place for lane in survey.module.lanes]
    return np.flatnonzero(np.array([*mine, False])[survey.module["lane"]])


@attrs.frozen(eq=False)
class _Points:
    """The points of arrows, and the event (row, -1 none) that each belongs to."""

    survey: Survey
    ordinal: Ints
    ts: Ints
    group: Ints
    phase: Array
    own: Mask
    place: Array
    row: Ints

    @classmethod
    def of(cls, survey: Survey) -> _Points:
        """A point belongs to the innermost event that starts at its time on its thread or stream, else to the
        innermost that encloses it."""
        ordinal, ts, id, phase, cat, place = survey.arrows.columns()
        row = np.full(len(ordinal), -1, np.int64)
        for where, code in survey.arrows.places.items():
            mine = np.flatnonzero((place == code) & (ts != NULL_I64))
            row[mine] = _enclosing(survey, _rows_at(survey, where), ts[mine])
        _, group = np.unique(np.stack([cat.astype(np.int64), id]), axis=1, return_inverse=True)
        own = np.array([(cat or "").partition(".")[0] == NAME for cat in survey.arrows.cats] + [False])[cat]
        return cls(survey, ordinal, ts, group.reshape(-1), phase, own, place, row)

    def lost(self, keep: Mask, *, window: bool) -> Mask:
        """The points to drop: those on removed events (in a window also those on none), and what they leave without
        a beginning or an end."""
        gone = np.where(self.row < 0, window, ~np.append(keep, True)[self.row])
        count = int(self.group.max(initial=-1)) + 1
        touched = np.bincount(self.group[gone], minlength=count) > 0
        whole = np.ones(count, bool)
        for phase in ("s", "f"):
            left = ~gone & (self.phase == ARROW_PHASES.index(phase))
            whole &= np.bincount(self.group[left], minlength=count) > 0
        return np.asarray(gone | ((touched | window) & ~whole)[self.group] | self.own)

    def moves(self, maps: _Maps) -> tuple[Ints, Ints, Ints]:
        """Ordinals, new times and (null) durations of the points that move: as far behind their event's start as
        before, but not behind its end."""
        survey, module = self.survey, self.survey.module
        behind = np.clip(self.ts - survey.was_ts[self.row], 0, module["dur"][self.row]) if len(module) else self.ts
        new = np.where(self.row >= 0, module["ts"][self.row] + behind, self.ts)
        free = (self.row < 0) & (self.ts != NULL_I64)
        for where, code in survey.arrows.places.items():
            mine = np.flatnonzero(free & (self.place == code))
            if len(mine):
                new[mine] = maps.at(where, self.ts[mine])
        moved = (new != self.ts) & (self.ts != NULL_I64)
        return self.ordinal[moved], new[moved], np.full(int(moved.sum()), NULL_I64)


def _enclosing(survey: Survey, rows: Array, times: Ints) -> Ints:
    """For each time the event of `rows` that starts there or else encloses it, the innermost one; -1 for none."""
    if not len(rows):
        return np.full(len(times), -1, np.int64)
    rows = rows[np.lexsort((-survey.was_dur[rows], survey.was_ts[rows]))]
    at = np.searchsorted(survey.was_ts[rows], times, side="right") - 1
    out = np.where(at >= 0, rows[np.maximum(at, 0)], -1).astype(np.int64)
    parent = np.append(survey.module["parent"], np.int32(-1))
    end = np.append(survey.was_ts + survey.was_dur, np.iinfo(np.int64).max)
    start = np.append(survey.was_ts, np.iinfo(np.int64).max)
    while (outside := (start[out] != times) & (end[out] < times)).any():
        out[outside] = parent[out[outside]]
    return out


def _pair(survey: Survey) -> dict[int, int]:
    """The begin's row (-1: a begin that the module does not have) of each end: the last open one of its thread, for
    asynchronous ones of its category, process and id."""
    open_: dict[Any, list[int]] = defaultdict(list)
    found: dict[int, int] = {}
    borders = [other for other in (*survey.others, *survey.begins) if other.ph in ("B", "E", "b", "e")]
    for other in sorted(borders, key=lambda item: (item.ts, item.ordinal)):
        key = other.place if other.ph in "BE" else (other.cat, other.place[0], other.id)
        if other.ph in "Bb":
            open_[key].append(other.row)
        elif open_[key]:
            found[other.ordinal] = open_[key].pop()
    return found


def _moves(survey: Survey, ends: dict[int, int], maps: _Maps) -> tuple[Ints, Ints, Ints]:
    """Ordinals, new times and durations of the other elements that move: ends with the end of their event, all else
    (marks, counters, the record's own span) with the events around it."""
    end = survey.module.end
    out: list[tuple[int, int, int]] = []
    for other in survey.others:
        if other.ph == "M" or other.ts == NULL_I64:
            continue
        row, length = ends.get(other.ordinal, -1), NULL_I64
        new = int(end[row]) if row >= 0 else int(maps.at(other.place, np.array([other.ts]))[0])
        if other.ph == "X" and other.dur > 0:
            length = int(maps.at(other.place, np.array([other.ts + other.dur]))[0]) - new
        if new != other.ts or length not in (NULL_I64, other.dur):
            out.append((other.ordinal, new, length))
    columns = np.array(out, np.int64).reshape(-1, 3).T
    return columns[0], columns[1], columns[2]


class _Maps:
    """Old time to new time, by the starts and ends of the events of a thread or stream, or of all where it has none.

    Between two of them time runs on from the first, and stands still where it would pass the second.
    """

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._known: dict[Place | None, tuple[Ints, Ints]] = {}

    def at(self, place: Place, times: Ints) -> Ints:
        """The new times of instants."""
        old, new = self._map(place)
        at = np.searchsorted(old, times, side="right") - 1
        first = np.maximum(at, 0)
        later = new[first] + times - old[first]
        after = np.append(new, np.iinfo(np.int64).max)[first + 1]
        later = np.where(at < 0, later, np.maximum(np.minimum(later, after), new[first]))
        return np.asarray(later)

    def _map(self, place: Place | None) -> tuple[Ints, Ints]:
        if place not in self._known:
            survey, module = self._survey, self._survey.module
            rows = _rows_at(survey, place)
            if not len(rows):
                self._known[place] = self._map(None)
            else:
                old = np.concatenate([(survey.was_ts + survey.was_dur)[rows], survey.was_ts[rows]])
                new = np.concatenate([module.end[rows], module["ts"][rows]])
                order = np.lexsort((np.arange(len(old)), old))  # where an end and a start meet, the start counts
                self._known[place] = old[order], new[order]
        return self._known[place]
