"""Micro-batches on one lane: work of several threads or marked ranges that takes turns, told apart at first."""

from __future__ import annotations

import re
from typing import Final

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Ints, Mask
from traceir_passes.group.hosts import nearest_of
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
    take turns as often: forward work of one thread and backward work of another, one after the other, do not.
    O(n log depth).
    """
    member = np.full(len(module), -1, np.int64)
    out: list[LaneWork] = []
    marks = _marks(module)
    for work in works:
        for key in (marks, module["lane"].astype(np.int64)):
            mine = np.where(work.launch >= 0, np.append(key, -1)[work.launch], -1)
            chosen = _alternating(work, mine, min_layers)
            if len(chosen):
                break
        if not len(chosen):
            out.append(work)
            continue
        for number, value in enumerate(chosen.tolist()):
            part = _part(work, mine == value)
            member[part.rows] = number
            out.append(part)
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


def _alternating(work: LaneWork, key: Array, min_layers: int) -> Ints:
    """The values of a key that take turns on a lane, each with enough attentions; none if they do not."""
    anchors = np.isin(work.tokens, _ANCHORS) & (key >= 0)
    values, counts = np.unique(key[anchors], return_counts=True)
    values = values[counts >= min_layers]
    if len(values) < 2:
        return np.empty(0, np.int64)
    turns = key[anchors & np.isin(key, values)]
    changes = np.count_nonzero(turns[1:] != turns[:-1])
    return values if changes + 1 >= 2 * min_layers else np.empty(0, np.int64)


def _part(work: LaneWork, chosen: Mask) -> LaneWork:
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
