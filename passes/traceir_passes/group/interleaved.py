"""Micro-batches on one lane: work of several threads or marked ranges that takes turns, told apart at first."""

from __future__ import annotations

import re
from typing import Final

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Ints
from traceir_passes.group.hosts import nearest_of, split
from traceir_passes.group.tokens import IS_CORE, LaneWork

_MARK: Final = re.compile(r"(?:micro|u|mb|mini)[ _-]?batch\D{0,3}(\d+)", re.IGNORECASE)
_ANCHORS: Final = np.frombuffer(b"AL", np.uint8)


@attrs.frozen(eq=False)
class Parted:
    """The work of all lanes, with that of a lane in parts where several take turns on it.

    `member` gives each event the number of its part on its lane (in order of its key), or -1 where there is one only.
    """

    works: list[LaneWork]
    member: Array


def parted(module: tir.Module, works: list[LaneWork], min_layers: int) -> Parted:
    """The work of each lane, parted by what launched it where that alternates.

    The keys are tried in this order: the number of a range that says micro-batch around the launch, then the thread
    that made the launch. A key parts a lane if two of its values at least hold `min_layers` attentions each, and these
    take turns within their layers: a turn holds fewer than `min_layers` attentions on average. Passes that follow each
    other do not, however often: the forward and backward passes of accumulated gradients, each by a thread of its own,
    are parts of no number, since layers do not go from one thread to the other. Where ranges of micro-batches follow
    each other, each is a part too: its borders are those of its pass. What other work was launched, such as backward
    passes outside the ranges, is a part of no number if it has layers.
    O(n log depth + n log n).
    """
    member = np.full(len(module), -1, np.int64)
    out: list[LaneWork] = []
    marks, thread = np.append(_marks(module), -1), np.append(module["lane"], -1).astype(np.int64)
    for work in works:
        marked = marks[work.launch]
        parts = (
            _alternating(work, marked, min_layers)
            or _in_sequence(work, marked, min_layers)
            or _alternating(work, thread[work.launch], min_layers, passes=True)
        )
        out += [part for part, _ in parts] or [work]
        for part, number in parts:
            member[part.rows] = number
    return Parted(out, member)


def _marks(module: tir.Module) -> Array:
    """For each event the number in the micro-batch range around it, or -1."""
    ranges = module.is_kind("host.range", "host.frame", "host.op") & module.live
    numbers = np.full(len(module.strings) + 1, -1, np.int64)
    for code in np.unique(module["name"][ranges]).tolist():
        found = _MARK.search(module.strings[code])
        if found:
            numbers[code] = int(found[1][:9])
    chosen = ranges & (numbers[module["name"]] >= 0)
    if not chosen.any():
        return np.full(len(module), -1, np.int64)
    near = nearest_of(module, chosen)
    return np.where(near >= 0, numbers[module["name"][near]], -1)


_Parts = list[tuple[LaneWork, int]]
"""Parts of a lane with their numbers, -1 for what no key numbers; empty if nothing parts it."""


def _alternating(work: LaneWork, key: Array, min_layers: int, *, passes: bool = False) -> _Parts:
    """The parts of a lane whose keys take turns, each with enough attentions; of no number if by whole `passes`."""
    anchors = np.isin(work.tokens, _ANCHORS)
    values, counts = np.unique(key[anchors & (key >= 0)], return_counts=True)
    values = values[counts >= min_layers]
    if len(values) < 2:
        return []
    taken = key[anchors & np.isin(key, values)]
    turns = 1 + np.count_nonzero(taken[1:] != taken[:-1])
    whole = len(taken) >= min_layers * turns
    if turns < 2 * min_layers or (whole and not passes):
        return []
    number = np.where(np.isin(key, values), np.searchsorted(values, key), len(values))
    numbers = np.full(len(values), -1) if whole else np.arange(len(values))
    return _numbered(work, number, numbers, anchors, min_layers)


def _in_sequence(work: LaneWork, key: Array, min_layers: int) -> _Parts:
    """The parts of a lane of which each is one turn of a key, or of no key, with enough attentions for a pass."""
    launched = np.flatnonzero(work.launch >= 0)
    turn = np.zeros(len(key), np.int64)
    turn[launched] = np.cumsum(np.append(False, key[launched][1:] != key[launched][:-1])[: len(launched)])
    anchors = np.isin(work.tokens, _ANCHORS) & (work.launch >= 0)
    enough = np.bincount(turn[anchors], minlength=int(turn.max(initial=0)) + 1) >= min_layers
    marked = np.zeros(len(enough), bool)
    marked[turn[key >= 0]] = True
    chosen = np.flatnonzero(enough)
    if np.count_nonzero(enough & marked) < 2:
        return []
    place = np.full(len(enough), len(chosen))
    place[chosen] = np.arange(len(chosen))
    numbers = np.where(marked[chosen], np.cumsum(marked[chosen]) - 1, -1)
    return _numbered(work, place[turn], numbers, anchors, min_layers)


def _numbered(work: LaneWork, place: Ints, numbers: Ints, anchors: Array, min_layers: int) -> _Parts:
    """The work at each place with its number, and the launched work behind the last place if it has layers."""
    *parts, rest = split(np.where(work.launch >= 0, place, -1), len(numbers) + 1)
    out = [(_part(work, rows), int(number)) for rows, number in zip(parts, numbers, strict=True)]
    return [*out, (_part(work, rest), -1)] if np.count_nonzero(anchors[rest]) >= min_layers else out


def _part(work: LaneWork, chosen: Ints) -> LaneWork:
    tokens = work.tokens[chosen]
    core = np.flatnonzero(IS_CORE[tokens])
    return attrs.evolve(
        work,
        rows=work.rows[chosen],
        tokens=tokens,
        names=work.names[chosen],
        launch=work.launch[chosen],
        core=core,
        text=tokens.tobytes(),
        core_text=tokens[core].tobytes(),
    )
