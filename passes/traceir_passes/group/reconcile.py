"""Reconciling: which method's stacks stand, what the others say of them, and which work joins them."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Ints
from traceir_passes.group.ranges import range_cuts
from traceir_passes.group.similarity import periods
from traceir_passes.group.stack import Stack, joined
from traceir_passes.group.tokens import LaneWork


def stretch_cuts(module: tir.Module, work: LaneWork, step: Array, passes: list[Array]) -> Ints:
    """Lane positions that no layer crosses beside the separators: steps, ranges of passes, replays of whole layers.

    A graph replay with several attention kernels is a forward pass of its own, so its borders are borders of
    layers; pieces with fewer (one graph between two attentions) are not.
    """
    mine = step[work.rows]
    known = np.flatnonzero(mine >= 0)
    changes = known[1:][mine[known[1:]] != mine[known[:-1]]]
    is_graph = np.append(module.is_kind("rt.graph_launch"), False)[work.launch]
    anchors = is_graph & np.isin(work.tokens, np.frombuffer(b"AL", np.uint8))
    count = np.bincount(work.launch[anchors], minlength=len(module) + 1)
    closed = is_graph & (count[work.launch] >= 3)
    owner = np.where(closed, work.launch, -1)
    replays = np.flatnonzero(owner[1:] != owner[:-1]) + 1
    return np.unique(np.concatenate([changes, replays, range_cuts(work, passes)])).astype(np.int64)


def chosen_stacks(ranked: Sequence[Sequence[Stack]], size: int, min_layers: int) -> tuple[list[Stack], list[str]]:
    """Of stacks by several methods, best evidence first, those that stand, and remarks on disagreements.

    A stack of a later method stands where no earlier one owns its work; layers that are owned are taken off it.
    Where a later one finds the same layers, that confirms the earlier one; another number is a remark.
    """
    owner = np.full(size, -1, np.int64)
    standing: list[Stack] = []
    remarks: list[str] = []
    for stacks in ranked:
        fresh: list[Stack] = []
        for stack in stacks:
            share = owner[stack.rows]
            if not (share >= 0).any():
                fresh.append(stack)
                continue
            _compare(standing, stack, share, remarks)
            rest = _unowned(stack, share < 0, min_layers)
            if rest is not None:
                fresh.append(rest)
        for stack in fresh:
            owner[stack.rows] = len(standing)
            standing.append(stack)
    return sorted(standing, key=lambda stack: int(stack.rows[0])), remarks


def _compare(standing: list[Stack], other: Stack, share: Array, remarks: list[str]) -> None:
    """Let a standing stack know that a later method finds the same layers, or others."""
    most = int(np.bincount(share[share >= 0]).argmax())
    mine = standing[most]
    both = int((share == most).sum())
    if both < 0.5 * min(len(other.rows), len(mine.rows)) or mine.direction != other.direction:
        return
    if other.layers == mine.layers:
        standing[most] = attrs.evolve(mine, checks={**mine.checks, f"{other.evidence}_agrees": True})
    else:
        remarks.append(
            f"{mine.evidence} give {mine.layers} layers where {other.evidence} structure gives {other.layers}; "
            f"the former is kept."
        )


def _unowned(stack: Stack, free: Array, min_layers: int) -> Stack | None:
    """What is left of a stack without the layers whose work is mostly owned; None if too few layers are left."""
    sizes = np.bincount(stack.layer, minlength=stack.layers)
    left = np.bincount(stack.layer[free], minlength=stack.layers)
    keep = left * 2 > sizes
    if int(keep.sum()) < min_layers:
        return None
    chosen = free & keep[stack.layer]
    number = np.cumsum(keep) - 1
    return attrs.evolve(
        stack, rows=stack.rows[chosen], layer=number[stack.layer[chosen]], layers=int(keep.sum()), cut=True
    )


def with_unlaunched(module: tir.Module, works: list[LaneWork], stacks: list[Stack]) -> list[Stack]:
    """Stacks found by launches, joined by work without a launch that stands between members of one layer."""
    out = []
    taken = np.zeros(len(module), bool)
    taken[joined(stacks)[0]] = True
    lost = {work.lane: work.rows[(work.launch < 0) & ~taken[work.rows]] for work in works}
    for stack in stacks:
        if stack.evidence == "device" or not len(lost[stack.lane]):
            out.append(stack)
            continue
        own = module["lane"][stack.rows] == stack.lane
        known, layer = stack.rows[own], stack.layer[own]
        first, stop = np.searchsorted(lost[stack.lane], [stack.rows[0], stack.rows[-1]]).tolist()
        orphans = lost[stack.lane][first:stop]
        at = np.searchsorted(known, orphans)
        inside = (at > 0) & (at < len(known))
        orphans, left = orphans[inside], layer[at[inside] - 1]
        joins = left == layer[at[inside]]
        if not joins.any():
            out.append(stack)
            continue
        rows = np.concatenate([stack.rows, orphans[joins]])
        layers = np.concatenate([stack.layer, left[joins]])
        order = np.argsort(rows, kind="stable")
        out.append(attrs.evolve(stack, rows=rows[order], layer=layers[order], partial=True))
    return out


def marked_partial(works: list[LaneWork], stacks: list[Stack]) -> list[Stack]:
    """Stacks with `partial` set: cut by the window, or from before it (no member was launched inside it)."""
    out = []
    first = {work.lane: int(work.rows[np.argmax(work.launch >= 0)]) for work in works if (work.launch >= 0).any()}
    for stack in stacks:
        early = stack.lane in first and int(stack.rows[-1]) < first[stack.lane]
        partial = bool(stack.partial or stack.cut or early)
        out.append(stack if partial == stack.partial else attrs.evolve(stack, partial=partial))
    return out


def in_steps(stacks: list[Stack], step: Array) -> list[Stack]:
    """Stacks with the step that most of their work belongs to."""
    out = []
    low, high = _extremes(step, stacks)
    for stack, first, last in zip(stacks, low, high, strict=True):
        most = first
        if first != last:
            mine = step[stack.rows]
            known = mine[mine >= 0]
            least = int(known.min())
            most = least + int(np.bincount(known - least).argmax()) if len(known) * 2 > len(mine) else -1
        out.append(attrs.evolve(stack, step=most))
    return out


def _extremes(values: Array, stacks: list[Stack]) -> tuple[list[int], list[int]]:
    """The least and the greatest of the rows' values in each stack."""
    rows, _ = joined(stacks)
    if not stacks:
        return [], []
    sizes = np.array([len(stack.rows) for stack in stacks])
    starts = np.cumsum(sizes) - sizes
    mine = values[rows]
    return np.minimum.reduceat(mine, starts).tolist(), np.maximum.reduceat(mine, starts).tolist()


def replay_check(module: tir.Module, works: list[LaneWork], stacks: list[Stack]) -> list[Stack]:
    """Stacks inside graph replays, checked: replays of one graph hold equally many kernels.

    Which graph a launch replays is not recorded. Replays with as many layers are of one graph, or of several that take
    turns (a step may need two): then their sizes repeat; else those that begin with the same kernel are held together.
    """
    is_graph = np.append(module.is_kind("rt.graph_launch"), False)
    launch = np.concatenate([np.empty(0, np.int64), *(work.launch for work in works)]).astype(np.int64)
    begun = np.full(len(module) + 1, -1, np.int64)
    for work in works[::-1]:
        begun[work.launch[::-1]] = work.names[::-1]
    sizes = np.bincount(launch[is_graph[launch]], minlength=len(module) + 1)
    groups: dict[tuple[int, str], dict[int, list[int]]] = {}
    for number, (stack, first, last) in enumerate(zip(stacks, *_extremes(module.launch, stacks), strict=True)):
        if first == last and is_graph[first]:
            groups.setdefault((stack.layers, stack.direction), {}).setdefault(first, []).append(number)
    out = list(stacks)
    for homes in groups.values():
        replays = sorted(homes)
        counts = [int(sizes[home]) for home in replays]
        turns = any(2 * period <= len(counts) for period in periods(counts))
        known: dict[int, list[int]] = {}
        for home, count in zip(replays, counts, strict=True):
            known.setdefault(int(begun[home]), []).append(count)
        for home in replays:
            like = known[int(begun[home])]
            if turns or len(like) > 1:
                check = {"replays": turns or len(set(like)) == 1}
                for number in homes[home]:
                    out[number] = attrs.evolve(out[number], checks={**out[number].checks, **check})
    return out
