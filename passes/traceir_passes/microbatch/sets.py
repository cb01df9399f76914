"""Sets: stacks of one step that run at once, each on a lane, a part of a lane, or in a direction of its own."""

from __future__ import annotations

import itertools
from typing import Final, Literal, get_args

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Ints
from traceir_passes.group.hosts import split

How = Literal["turns", "lane", "direction"]
HOWS: Final = get_args(How)


@attrs.frozen(eq=False)
class Copy:
    """One micro-batch: the stacks (regions of the tree `layers`) of one lane, part and direction in a step.

    `layers` are their layers in order of time, with the start of each; `rows` all of their events. `spans` are the
    extents of the stacks: passes that follow each other leave room between them for others.
    """

    lane: int
    part: int
    direction: int
    stacks: tuple[int, ...]
    layers: Ints
    starts: Ints
    rows: Ints
    spans: tir.Spans


@attrs.frozen(eq=False)
class Interleaved:
    """Micro-batches of one step that run at the same time, in order of their starts, and what tells them apart."""

    step: int
    how: How
    copies: tuple[Copy, ...]


def interleaved(module: tir.Module, min_overlap: float) -> list[Interleaved]:
    """The sets of micro-batches in a module whose layers are known, in order of time.

    Two copies belong together if they are on one device in one step and have `min_overlap` of the shorter one's extents
    in common. Stacks that follow each other on one lane (dense layers, then experts) are one copy. O(n log n) in
    events, and copies² for each step.
    """
    out = []
    for (step, _), group in _copies(module).items():
        for members in _together(group, min_overlap):
            out.append(Interleaved(step, _how(members), tuple(members)))
    return sorted(out, key=lambda item: int(item.copies[0].spans.starts[0]))


def _copies(module: tir.Module) -> dict[tuple[int, int], list[Copy]]:
    """The copies of each step and device: stacks of equal lane, part and direction."""
    tree = module.tree("layers")
    stacks, at = tree.of_kind("stack"), tree.at("layer")
    rows = np.flatnonzero(at >= 0)
    owner = tree.ancestor("stack")[at[rows]]
    part = _parts(module, rows, owner, len(tree))
    work = split(owner, len(tree))
    groups: dict[tuple[int, int, int, int, int], list[int]] = {}
    for stack in stacks.tolist():
        if not len(work[stack]):
            continue
        lane = int(module["group.lane"][stack])
        device = module.lanes[lane].device
        key = (int(module["group.step"][stack]), -1 if device is None else device, lane, int(part[stack]),
               int(module["group.direction"][stack]))  # fmt: skip
        groups.setdefault(key, []).append(stack)
    out: dict[tuple[int, int], list[Copy]] = {}
    for (step, device, lane, number, direction), mine in groups.items():
        parts = [rows[work[stack]] for stack in mine]
        out.setdefault((step, device), []).append(_copy(module, at, parts, lane, number, direction, mine))
    return out


def _copy(
    module: tir.Module, at: Array, parts: list[Ints], lane: int, part: int, direction: int, stacks: list[int]
) -> Copy:
    rows = np.sort(np.concatenate(parts))  # rows are in order of time
    layers, first = np.unique(at[rows], return_index=True)
    order = np.argsort(rows[first], kind="stable")
    low = np.array([module["ts"][mine].min() for mine in parts])
    high = np.array([module.end[mine].max() for mine in parts])
    return Copy(
        lane, part, direction, tuple(stacks), layers[order].astype(np.int64), module["ts"][rows[first[order]]], rows,
        tir.Spans.of(low, high),
    )  # fmt: skip


def _parts(module: tir.Module, rows: Ints, owner: Array, count: int) -> Ints:
    """For each stack the part of its lane that most of it is of, -1 for a whole lane."""
    out = np.full(count, -1, np.int64)
    given = module["group.microbatch"][rows].astype(np.int64)
    known = given < np.iinfo(np.uint32).max
    if known.any():
        most = int(given[known].max()) + 1
        cell, times = np.unique(owner[known].astype(np.int64) * most + given[known], return_counts=True)
        order = np.lexsort((-cell, times))  # the last one written stays: the most frequent, the least of these
        out[cell[order] // most] = cell[order] % most
    return out


def _together(copies: list[Copy], least: float) -> list[list[Copy]]:
    """Copies that overlap, directly or through others; those that overlap none are left out."""
    group = list(range(len(copies)))
    for i, j in itertools.combinations(range(len(copies)), 2):
        a, b = copies[i].spans, copies[j].spans
        common = (a & b).length
        if common > 0 and common >= least * min(a.length, b.length):
            old, new = group[j], group[i]
            group = [new if item == old else item for item in group]
    sets = [[copies[k] for k in range(len(copies)) if group[k] == number] for number in dict.fromkeys(group)]
    return [sorted(members, key=lambda item: int(item.spans.starts[0])) for members in sets if len(members) > 1]


def _how(members: list[Copy]) -> How:
    """What tells the copies apart: turns on a lane, lanes of their own, or the direction alone."""
    if len({(item.lane, item.part) for item in members}) < len(members):
        return "direction"
    return "turns" if any(item.part >= 0 for item in members) else "lane"


__all__ = ["HOWS", "Copy", "How", "Interleaved", "interleaved"]
