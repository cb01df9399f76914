"""Sets: stacks of one step that run at once, each on a lane, a part of a lane, or in a direction of its own."""

from __future__ import annotations

import itertools
from typing import Final, Literal, get_args

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Ints

How = Literal["turns", "lane", "direction"]
HOWS: Final = get_args(How)


@attrs.frozen(eq=False)
class Copy:
    """One micro-batch: the stacks (regions of the tree `layers`) of one lane, part and direction in a step.

    `layers` are their layers in order of time, with the start of each; `rows` all of their events.
    """

    lane: int
    part: int
    direction: int
    stacks: tuple[int, ...]
    layers: Ints
    starts: Ints
    rows: Ints
    start: int
    end: int


@attrs.frozen(eq=False)
class Interleaved:
    """Micro-batches of one step that run at the same time, in order of their starts, and what tells them apart."""

    step: int
    how: How
    copies: tuple[Copy, ...]


def interleaved(module: tir.Module, min_overlap: float) -> list[Interleaved]:
    """The sets of micro-batches in a module whose layers are known, in order of time.

    Two copies belong together if they are on one device in one step and have `min_overlap` of the shorter one's extent
    in common. Stacks that follow each other on one lane (dense layers, then experts) are one copy. O(events +
    copies²) for each step.
    """
    copies: dict[tuple[int, int], list[Copy]] = {}
    for (step, device), group in _copies(module).items():
        copies.setdefault((step, device), []).extend(group)
    out = []
    for (step, _), group in copies.items():
        for members in _together(group, min_overlap):
            out.append(Interleaved(step, _how(members), tuple(members)))
    return sorted(out, key=lambda item: item.copies[0].start)


def _copies(module: tir.Module) -> dict[tuple[int, int], list[Copy]]:
    """The copies of each step and device: stacks of equal lane, part and direction."""
    tree = module.tree("layers")
    stacks, at = tree.of_kind("stack"), tree.at("layer")
    rows = np.flatnonzero(at >= 0)
    owner = tree.ancestor("stack")[at[rows]]
    part = _parts(module, rows, owner, len(tree))
    groups: dict[tuple[int, int, int, int, int], list[int]] = {}
    for stack in stacks.tolist():
        lane = int(module["group.lane"][stack])
        device = module.lanes[lane].device
        key = (int(module["group.step"][stack]), -1 if device is None else device, lane, int(part[stack]),
               int(module["group.direction"][stack]))  # fmt: skip
        groups.setdefault(key, []).append(stack)
    out: dict[tuple[int, int], list[Copy]] = {}
    for (step, device, lane, number, direction), mine in groups.items():
        chosen = rows[np.isin(owner, mine)]
        if len(chosen):
            out.setdefault((step, device), []).append(_copy(module, at, chosen, lane, number, direction, mine))
    return out


def _copy(module: tir.Module, at: Array, rows: Ints, lane: int, part: int, direction: int, stacks: list[int]) -> Copy:
    layers, first = np.unique(at[rows], return_index=True)  # rows are in order of time
    order = np.argsort(rows[first], kind="stable")
    return Copy(
        lane, part, direction, tuple(stacks), layers[order].astype(np.int64), module["ts"][rows[first[order]]], rows,
        int(module["ts"][rows].min()), int(module.end[rows].max()),
    )  # fmt: skip


def _parts(module: tir.Module, rows: Ints, owner: Array, count: int) -> Ints:
    """For each stack the part of its lane that most of it is of, -1 for a whole lane."""
    out = np.full(count, -1, np.int64)
    given = module["group.microbatch"][rows].astype(np.int64)
    known = given < np.iinfo(np.uint32).max
    for stack in np.unique(owner[known]).tolist():
        mine = given[known & (owner == stack)]
        out[stack] = int(np.bincount(mine).argmax())
    return out


def _together(copies: list[Copy], least: float) -> list[list[Copy]]:
    """Copies that overlap, directly or through others; those that overlap none are left out."""
    group = list(range(len(copies)))
    for i, j in itertools.combinations(range(len(copies)), 2):
        a, b = copies[i], copies[j]
        common = min(a.end, b.end) - max(a.start, b.start)
        if common > 0 and common >= least * min(a.end - a.start, b.end - b.start):
            old, new = group[j], group[i]
            group = [new if item == old else item for item in group]
    sets = [[copies[k] for k in range(len(copies)) if group[k] == number] for number in dict.fromkeys(group)]
    return [sorted(members, key=lambda item: item.start) for members in sets if len(members) > 1]


def _how(members: list[Copy]) -> How:
    """What tells the copies apart: turns on a lane, lanes of their own, or the direction alone."""
    if len({(item.lane, item.part) for item in members}) < len(members):
        return "direction"
    return "turns" if any(item.part >= 0 for item in members) else "lane"


__all__ = ["HOWS", "Copy", "How", "Interleaved", "interleaved"]
