"""Layers from the modules that the host was in when it launched the work."""

from __future__ import annotations

import re
from typing import Final

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Ints, Mask
from traceir_passes.group.backward import backward_ops, backward_stacks
from traceir_passes.group.candidates import Candidate, Owned, Tree, candidates
from traceir_passes.group.hosts import enclosing, is_below, nearest_of, owners, split, sums
from traceir_passes.group.stack import Evidence, Stack

START: Final = 0.97
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
    table, classes = _named(module)
    if not classes:
        return None
    names = module["name"]
    anywhere = frame_rows(module)
    forward = backward_ops(module) < 0
    chosen = anywhere & forward
    rows = np.flatnonzero(chosen)
    position = np.full(len(module) + 1, -1, np.int64)
    position[rows] = np.arange(len(rows))
    nearest = nearest_of(module, chosen)
    parent = position[enclosing(module, chosen, nearest)[rows]]
    work = np.flatnonzero(module.work & (module.launch >= 0))
    work = work[forward[module.launch[work]]]
    inner = position[nearest[module.launch[work]]]
    return Frames(
        rows, table[names[rows], 0], table[names[rows], 1], list(classes), parent, work, owners(inner, parent), anywhere
    )


def _named(module: tir.Module) -> tuple[Array, dict[str, int]]:
    """For each string the class and the instance that it names as a module frame (-1 none), and the classes."""
    table = np.full((len(module.strings), 2), -1, np.int64)
    classes: dict[str, int] = {}
    occurs = np.zeros(len(module.strings) + 1, bool)  # marked, since sorting all names of the host takes long
    occurs[module["name"][module.is_kind("host.frame", "host.range")]] = True
    for code in np.flatnonzero(occurs[:-1]).tolist():
        found = _MODULE.match(module.strings[code])
        if found:
            table[code] = classes.setdefault(found[1], len(classes)), int(found[2])
    return table, classes


def frame_rows(module: tir.Module) -> Mask:
    """Which events are module frames, those of the backward pass included."""
    table, classes = _named(module)
    if not classes:
        return np.zeros(len(module), bool)
    found: Mask = module.is_kind("host.frame", "host.range") & (table[module["name"], 0] >= 0) & module.live
    return found


def module_stacks(
    module: tir.Module, tokens: Array, step: Array, *, min_share: float, min_step_share: float, min_layers: int
) -> list[Stack]:
    """Stacks of the outermost repeating module classes that own the work of their parent.

    A candidate is a class with distinct instances under one call of a parent, each called once there (this drops
    modules used again and again, which keep their number). Its instances must own gemms and, with other candidates
    below the parent, most of its launched device time; each must hold an attention anchor, and the candidate a fair
    share of its step.
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
    owned = Owned(
        sums(frames.chain, durations, size),
        sums(frames.chain, np.isin(letters, np.frombuffer(b"gAvML", np.uint8)), size),
        sums(frames.chain, np.isin(letters, np.frombuffer(b"ALS", np.uint8)), size),
    )
    launched = np.zeros(max(int(step.max(initial=-1)) + 2, 1), np.int64)
    np.add.at(launched, step[frames.work], durations)  # the last place takes work outside steps
    first = _first_member(frames)
    root = np.where(first >= 0, step[frames.work[np.maximum(first, 0)]], -1)
    tree = Tree(frames.cls, frames.instance, frames.parent, root)
    accepted: list[Candidate] = []
    taken = np.zeros(size, bool)
    for one in candidates(tree, owned, min_layers):
        mine = int(owned.time[one.members].sum())
        total = int(launched[root[one.members[0]]])
        whole = int(owned.time[one.parent]) if one.parent >= 0 else total
        fits = one.siblings >= min_share * whole and mine >= min_step_share * total
        if fits and mine > 0 and not is_below(one.parent, taken, frames.parent):
            accepted.append(one)
            taken[one.members] = True
    return _stacks(module, frames, accepted, evidence)


def _first_member(frames: Frames) -> Array:
    """For each frame the first piece of work below it, as a position in `frames.work`, or -1."""
    out = np.full(len(frames.rows), len(frames.work), np.int64)
    for level in frames.chain:
        inside = np.flatnonzero(level >= 0)
        np.minimum.at(out, level[inside], inside)
    out[out == len(frames.work)] = -1
    return out


def _stacks(
    module: tir.Module, frames: Frames, accepted: list[Candidate], evidence: Evidence
) -> tuple[list[Stack], list[Ints]]:
    """A stack for each accepted group: rows by launch, layers in order of their calls; and the frames of its layers."""
    place = np.full((len(frames.rows) + 1, 2), -1, np.int64)
    for group, one in enumerate(accepted):
        place[one.members, 0], place[one.members, 1] = group, one.layer
    found = np.full((len(frames.work), 2), -1, np.int64)
    for level in frames.chain[::-1]:
        mine = place[level]
        found = np.where(mine[:, :1] >= 0, mine, found)
    out, homes = [], []
    for one, chosen in zip(accepted, split(found[:, 0], len(accepted)), strict=True):
        rows, layer = frames.work[chosen], found[chosen, 1]
        used, order = np.unique(layer, return_inverse=True)
        first = np.unique(one.layer, return_index=True)[1]
        homes.append(np.array(one.members, np.int64)[first][used])
        out.append(
            Stack(
                lane=_busiest(module, rows),
                evidence=evidence,
                direction="forward",
                layers=len(used),
                rows=rows,
                layer=order.astype(np.int64),
                start=START,
                title=frames.classes[one.cls],
            )
        )
    return out, homes


def _busiest(module: tir.Module, rows: Ints) -> int:
    """The lane that has most of the rows' time."""
    time = np.zeros(len(module.lanes), np.int64)
    np.add.at(time, module["lane"][rows], module["dur"][rows] + 1)
    return int(time.argmax())
