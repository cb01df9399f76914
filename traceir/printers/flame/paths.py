"""Paths of a flame graph: what each piece of time is inside of, from the outside in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, get_args

import attrs
import numpy as np

from traceir.errors import UsageError
from traceir.folding.work import Work, gather
from traceir.ir import Array, Ints, Lane, Module
from traceir.ir.kinds import nesting_kinds

Of = Literal["auto", "host", "device"]
Level = Literal["device", "lane", "step", "layer", "block", "label", "role", "symbol", "kernel"]
LEVELS: tuple[Level, ...] = get_args(Level)
DEFAULT: Final[tuple[Level, ...]] = ("device", "layer", "block", "label", "symbol")
OUTSIDE: Final = "outside"
"""How the frame of work begins that no step or layer owns; where there are none at all the level is left out."""


@attrs.frozen(eq=False)
class Profile:
    """The pieces of one thread or device in order of time: path, row, start and end (i64 ns), and own time.

    Of host frames a piece is a frame; of device work it is a kernel or copy, whose own time is its duration.
    """

    lane: Lane | None
    name: str
    path: Ints
    row: Ints
    start: Ints
    end: Ints
    own: Ints


@attrs.frozen(eq=False)
class Flames:
    """Paths as a tree: of each its frame (a position in `names`) and the path around it (-1 none, always before it)."""

    names: Sequence[str]
    frame: Ints
    parent: Ints
    profiles: Sequence[Profile]

    def stack(self, path: int) -> list[int]:
        """The frames of a path, outermost first."""
        out: list[int] = []
        while path >= 0:
            out.append(int(self.frame[path]))
            path = int(self.parent[path])
        return out[::-1]


def flames(module: Module, of: Of, by: Sequence[Level], *, each: bool) -> Flames:
    """The paths of host frames by thread, or of device work by `by`. O(n × depth) in C.

    UsageError if there is nothing to draw.
    """
    if of == "device" or (of == "auto" and module.work.any()):
        work = gather(module)
        if not len(work.rows):
            raise UsageError("The module has no device work to draw; write of=host for the frames of threads.")
        return _device(work, by or DEFAULT, each=each)
    return _host(module)


@attrs.define(eq=False)
class _Paths:
    """Paths as they are found."""

    names: dict[str, int] = attrs.field(factory=dict)
    frame: list[Array] = attrs.field(factory=list)
    parent: list[Array] = attrs.field(factory=list)
    count: int = 0

    def code(self, name: str) -> int:
        """The position of a frame's name."""
        return self.names.setdefault(name, len(self.names))

    def inside(self, around: Array, frame: Array) -> Ints:
        """The paths of frames inside other paths (-1: outermost); equal ones are one. O(n log n)."""
        if not len(frame):
            return np.empty(0, np.int64)
        pairs, inverse = np.unique(np.stack([around, frame]), axis=1, return_inverse=True)
        self.parent.append(pairs[0])
        self.frame.append(pairs[1])
        self.count += pairs.shape[1]
        out: Ints = self.count - pairs.shape[1] + np.asarray(inverse, np.int64).reshape(-1)
        return out

    def done(self, profiles: Sequence[Profile]) -> Flames:
        """All of it."""
        empty = [np.empty(0, np.int64)]
        return Flames(
            list(self.names), np.concatenate(empty + self.frame), np.concatenate(empty + self.parent), profiles
        )


# --- host ------------------------------------------------------------------------------------------------------------


def _host(module: Module) -> Flames:
    nests = module.is_kind(*(name for name in nesting_kinds() if name in module.kinds)) if len(module) else module.live
    on_host = np.array([not lane.is_device for lane in module.lanes] + [False])
    rows = np.flatnonzero(nests & module.live & on_host[module["lane"]] & _timed(module))
    if not len(rows):
        raise UsageError("The module has no host frames to draw; frames, ranges and calls of threads are drawn.")
    parent, lane = module.parent, module["lane"]
    depth = np.zeros(len(module), np.int64)
    up = parent[rows].astype(np.int64)
    while (up >= 0).any():
        depth[rows] += up >= 0
        up = np.where(up >= 0, parent[up], -1)
    paths = _Paths()
    root = np.full(len(module.lanes), -1, np.int64)
    for number in np.unique(lane[rows]).tolist():
        name = _thread(module.lanes[number])
        if name:
            root[number] = paths.inside(np.array([-1]), np.array([paths.code(name)]))[0]
    frame = np.array([paths.code(name) for name in module.strings.texts], np.int64)
    path = np.full(len(module), -1, np.int64)
    order = rows[np.argsort(depth[rows], kind="stable")]
    bounds = np.flatnonzero(np.diff(depth[order], prepend=-1, append=depth[order[-1]] + 1))
    for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):  # a loop over depths
        chosen = order[low:high]
        above = parent[chosen]
        around = np.where(above >= 0, path[above], root[lane[chosen]])
        path[chosen] = paths.inside(around, frame[module["name"][chosen]])
    inner = rows[parent[rows] >= 0]
    covered = np.bincount(parent[inner], weights=module["dur"][inner], minlength=len(module)).astype(np.int64)
    own = np.maximum(module["dur"] - covered, 0)
    ranked = rows[np.lexsort((depth[rows], module["ts"][rows], lane[rows]))]
    cuts = np.flatnonzero(np.diff(lane[ranked], prepend=-1, append=len(module.lanes)))
    profiles = [
        _profile(module, ranked[low:high], path, own)
        for low, high in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)
    ]
    return paths.done(profiles)


def _timed(module: Module) -> Array:
    """Lanes of threads and CPUs; a vendor's own lanes repeat what is elsewhere."""
    kinds = np.array([lane.kind in ("host.thread", "os.cpu") for lane in module.lanes] + [False])
    out: Array = kinds[module["lane"]]
    return out


def _profile(module: Module, rows: Ints, path: Ints, own: Ints) -> Profile:
    lane = module.lanes[int(module["lane"][rows[0]])]
    return Profile(lane, lane.name, path[rows], rows, module["ts"][rows], module.end[rows], own[rows])


def _thread(lane: Lane) -> str:
    """The frame around all others of a thread, as py-spy spells it; none where the thread has no number."""
    if lane.kind != "host.thread" or lane.tid is None:
        return "" if lane.name == "cpu.main" else lane.name
    return f"thread ({lane.tid}): {lane.label}" if lane.label else f"thread ({lane.tid})"


# --- device ----------------------------------------------------------------------------------------------------------


def _device(work: Work, by: Sequence[Level], *, each: bool) -> Flames:
    paths = _Paths()
    path = np.full(len(work.rows), -1, np.int64)
    for level in by:
        frames, code = _frames(work, level, each=each)
        table = np.array([paths.code(name) if name else -1 for name in frames], np.int64)
        shown = np.where(_repeats(paths, path, table[code]), -1, table[code])
        at = np.flatnonzero(shown >= 0)
        path[at] = paths.inside(path[at], shown[at])
    module = work.module
    device = module.device[work.rows]
    order = np.lexsort((module["ts"][work.rows], device))
    cuts = np.flatnonzero(np.diff(device[order], prepend=-9, append=1 << 20))
    profiles = []
    for low, high in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
        at = order[low:high]
        rows = work.rows[at]
        number = int(device[at[0]])
        name = module.device_name(number)
        profiles.append(Profile(None, name, path[at], rows, module["ts"][rows], module.end[rows], work.dur[at]))
    return paths.done(profiles)


def _repeats(paths: _Paths, path: Ints, frame: Array) -> Array:
    """Where a frame would only repeat the one around it, as a label that is its kernel's name."""
    if not paths.count:
        return np.zeros(len(frame), bool)
    frames = np.append(np.concatenate(paths.frame), -1)
    out: Array = frames[path] == frame
    return out


def _frames(work: Work, level: Level, *, each: bool) -> tuple[list[str], Array]:
    """The names of a level's frames, empty where it has none, and which is each work's."""
    if level == "device":
        names = {number: work.module.device_name(number) for number in work.module.devices}
        return _coded([names[number] for number in work.module.device[work.rows].tolist()])
    if level == "lane":
        return [lane.name for lane in work.module.lanes], work.lane
    if level == "label":
        return _by_pair(work)
    if level == "role":
        return _texts(work, work.role)
    if level == "symbol":
        return _texts(work, work.symbol)
    if level == "kernel":
        return _texts(work, work.module["name"][work.rows])
    return _regions(work, level, each=each)


def _by_pair(work: Work) -> tuple[list[str], Array]:
    """Labels: one look at `label_of` for each distinct pair of label and role."""
    pairs = np.stack([work.label, work.role])
    _, first, inverse = np.unique(pairs, axis=1, return_index=True, return_inverse=True)
    return [work.label_of(at) for at in first.tolist()], np.asarray(inverse).reshape(-1)


def _texts(work: Work, codes: Array) -> tuple[list[str], Array]:
    used, inverse = np.unique(codes, return_inverse=True)
    return ["unknown" if code < 0 else work.name(code) for code in used.tolist()], inverse.reshape(-1)


def _regions(work: Work, level: Level, *, each: bool) -> tuple[list[str], Array]:
    """Steps, layers and blocks: each by its own name, or like ones as one, named by phase or variant."""
    owner = {"step": work.step, "layer": work.layer, "block": work.block}[level]
    regions = work.steps if level == "step" else work.layers
    told = {"step": "group.phase", "layer": "group.variant", "block": ""}[level]
    used, inverse = np.unique(owner, return_inverse=True)
    names = []
    for region in used.tolist():
        if region < 0:
            names.append("" if level == "block" or len(used) == 1 else f"{OUTSIDE} {level}s")
        elif each:
            names.append(regions.name(region))
        elif level == "block":
            names.append(regions.name(region).rpartition(".")[2])
        else:
            text = regions.text(told, region)
            names.append(f"{level} ({text})" if text else level)
    return names, inverse.reshape(-1)


def _coded(names: Sequence[Any]) -> tuple[list[str], Array]:
    known = {name: at for at, name in enumerate(dict.fromkeys(names))}
    return list(known), np.array([known[name] for name in names], np.int64)


__all__ = ["DEFAULT", "LEVELS", "Flames", "Level", "Of", "Profile", "flames"]
