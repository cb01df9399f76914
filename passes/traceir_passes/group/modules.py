"""Layers from the modules that the host was in when it launched the work."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Final

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Ints, Mask
from traceir_passes.group.backward import backward_ops, backward_stacks
from traceir_passes.group.hosts import enclosing, nearest_of, owners, split, sums
from traceir_passes.group.stack import Evidence, Stack

START: Final = 0.97
MOST: Final = 0.9
_MODULE: Final = re.compile(r"^nn\.Module: (.+?)_(\d+)$")


@attrs.frozen(eq=False)
class Frames:
    """The module frames of a trace: rows in order of time, the class and instance of each, and its parent frame.

    `frame` gives each piece of device work (aligned with `work`) its innermost frame, -1 for none; `chain` the
    frames above it level by level. Frames are positions in `rows`.
    """

    rows: Ints
    cls: Array
    instance: Array
    classes: list[str]
    parent: Array
    work: Ints
    chain: list[Array]
    anywhere: Mask | None = None


def module_frames(module: tir.Module) -> Frames | None:
    """The module frames, or None if the trace has none. O(n log depth)."""
    names = module["name"]
    candidates = module.is_kind("host.frame", "host.range")
    table = np.full((len(module.strings), 2), -1, np.int64)
    classes: dict[str, int] = {}
    for code in np.unique(names[candidates]).tolist():
        found = _MODULE.match(module.strings[code])
        if found:
            table[code] = classes.setdefault(found[1], len(classes)), int(found[2])
    if not classes:
        return None
    anywhere = candidates & (table[names, 0] >= 0) & module.live
    forward = backward_ops(module) < 0
    chosen = anywhere & forward
    rows = np.flatnonzero(chosen)
    position = np.full(len(module) + 1, -1, np.int64)
    position[rows] = np.arange(len(rows))
    parent = position[enclosing(module, chosen)[rows]]
    work = np.flatnonzero(module.work & (module.launch >= 0))
    work = work[forward[module.launch[work]]]
    inner = position[nearest_of(module, chosen)[module.launch[work]]]
    return Frames(
        rows, table[names[rows], 0], table[names[rows], 1], list(classes), parent, work, owners(inner, parent), anywhere
    )


@attrs.frozen(eq=False)
class _Owned:
    """What each frame owns through launches: device time, heavy kernels and anchors below it."""

    time: Ints
    heavy: Ints
    anchors: Ints


def module_stacks(
    module: tir.Module, tokens: Array, step: Array, *, min_share: float, min_step_share: float, min_layers: int
) -> list[Stack]:
    """Stacks of the outermost repeating module classes that own the work of their parent.

    A candidate is a class with distinct instances under one call of a parent, each called once there (this drops
    modules used again and again, which keep their number). Its instances must own gemms and most of the parent's
    launched device time, each must hold an attention anchor, and the candidate a fair share of its step.
    Membership is by the launch call, never by the kernel's own time. Backward work is a stack of its own.
    """
    frames = module_frames(module)
    if frames is None or frames.anywhere is None or not len(frames.work):
        return []
    shares = {"min_share": min_share, "min_step_share": min_step_share}
    stacks, homes = stacks_of(module, frames, tokens, step, "modules", min_layers=min_layers, **shares)
    places = [frames.rows[home] for home in homes]
    return [*stacks, *backward_stacks(module, stacks, places, frames.anywhere, step, min_layers=min_layers)]


def stacks_of(
    module: tir.Module,
    frames: Frames,
    tokens: Array,
    step: Array,
    evidence: Evidence,
    *,
    min_share: float,
    min_step_share: float,
    min_layers: int,
) -> tuple[list[Stack], list[Ints]]:
    """Stacks of the accepted candidates among frames that own work, wherever the frames are from.

    For each stack also the frame of each of its layers.
    """
    letters = tokens[frames.work]
    size = len(frames.rows)
    durations = module["dur"][frames.work]
    owned = _Owned(
        sums(frames.chain, durations, size),
        sums(frames.chain, np.isin(letters, np.frombuffer(b"gAvML", np.uint8)), size),
        sums(frames.chain, np.isin(letters, np.frombuffer(b"ALS", np.uint8)), size),
    )
    launched = np.zeros(max(int(step.max(initial=-1)) + 2, 1), np.int64)
    np.add.at(launched, step[frames.work], durations)  # the last place takes work outside steps
    first = _first_member(frames)
    root = np.where(first >= 0, step[frames.work[np.maximum(first, 0)]], -1)
    accepted: list[list[int]] = []
    taken = np.zeros(size, bool)
    for members, parent in _candidates(frames, root, min_layers):
        mine = int(owned.time[members].sum())
        total = int(launched[root[members[0]]])
        whole = int(owned.time[parent]) if parent >= 0 else total
        fits = owned.heavy[members].sum() > 0 and mine >= min_share * whole and mine >= min_step_share * total
        if fits and mine > 0 and not _below(parent, taken, frames.parent) and _anchored(owned, members):
            accepted.append(members)
            taken[members] = True
    return _stacks(module, frames, accepted, evidence)


def _anchored(owned: _Owned, members: list[int]) -> bool:
    """Whether the instances hold attention anchors; one in ten may have lost its own."""
    return float(np.mean(owned.anchors[members] > 0)) >= MOST


def _below(frame: int, taken: Array, parent: Array) -> bool:
    """Whether a frame or one above it is a layer already."""
    while frame >= 0:
        if taken[frame]:
            return True
        frame = int(parent[frame])
    return False


def _first_member(frames: Frames) -> Array:
    """For each frame the first piece of work below it, as a position in `frames.work`, or -1."""
    out = np.full(len(frames.rows), len(frames.work), np.int64)
    for level in frames.chain:
        inside = np.flatnonzero(level >= 0)
        np.minimum.at(out, level[inside], inside)
    out[out == len(frames.work)] = -1
    return out


def _candidates(frames: Frames, root: Array, min_layers: int) -> list[tuple[list[int], int]]:
    """Groups of sibling frames of one class with distinct instances, outer ones first.

    Frames without a parent are siblings if their work belongs to one step.
    """
    groups: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    nested = np.zeros(len(frames.rows) + 1, bool)
    nested[frames.parent] = True
    for k, (parent, cls) in enumerate(zip(frames.parent.tolist(), frames.cls.tolist(), strict=True)):
        groups[(parent, cls, -1 if parent >= 0 else int(root[k]))].append(k)
    out = []
    for (parent, _, _), members in groups.items():
        instances = frames.instance[members]
        distinct = len(set(instances.tolist()))
        least = 2 if nested[members].any() else min_layers
        if distinct >= least and distinct == len(members):
            out.append((members, parent))
    return sorted(out, key=lambda item: (_level(frames, item[0][0]), item[0][0]))


def _level(frames: Frames, frame: int) -> int:
    level = 0
    while frames.parent[frame] >= 0:
        frame, level = int(frames.parent[frame]), level + 1
    return level


def _stacks(
    module: tir.Module, frames: Frames, accepted: list[list[int]], evidence: Evidence
) -> tuple[list[Stack], list[Ints]]:
    """A stack for each accepted group: rows by launch, layers in order of their calls; and the frames of its layers."""
    place = np.full((len(frames.rows) + 1, 2), -1, np.int64)
    for group, members in enumerate(accepted):
        for layer, member in enumerate(members):
            place[member] = group, layer
    found = np.full((len(frames.work), 2), -1, np.int64)
    for level in frames.chain[::-1]:
        mine = place[level]
        found = np.where(mine[:, :1] >= 0, mine, found)
    out, homes = [], []
    for members, chosen in zip(accepted, split(found[:, 0], len(accepted)), strict=True):
        rows, layer = frames.work[chosen], found[chosen, 1]
        used, order = np.unique(layer, return_inverse=True)
        homes.append(np.array(members, np.int64)[used])
        out.append(
            Stack(
                lane=_busiest(module, rows),
                evidence=evidence,
                direction="forward",
                layers=len(used),
                rows=rows,
                layer=order.astype(np.int64),
                start=START,
                title=frames.classes[int(frames.cls[members[0]])],
            )
        )
    return out, homes


def _busiest(module: tir.Module, rows: Ints) -> int:
    """The lane that has most of the rows' time."""
    time = np.zeros(len(module.lanes), np.int64)
    np.add.at(time, module["lane"][rows], module["dur"][rows] + 1)
    return int(time.argmax())
