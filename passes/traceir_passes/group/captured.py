"""Layers of replays from the modules of their capture: the host was in them when it recorded the graph."""

from __future__ import annotations

import itertools

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Ints
from traceir_passes.group.hosts import owners
from traceir_passes.group.modules import Frames, stacks_of
from traceir_passes.group.stack import Stack

COLUMN = "capture.module"


def capture_stacks(
    module: tir.Module, tokens: Array, step: Array, *, min_share: float, min_step_share: float, min_layers: int
) -> list[Stack]:
    """Stacks of each replay whose work knows its modules, by the rules of modules (`module_stacks`).

    A replay is a whole of its own, as a call of a module is. Replays of the same modules and roles in the same order
    are looked at once. O(n log n), and O(nodes × depth) for each distinct replay.
    """
    if COLUMN not in module:
        return []
    rows = np.flatnonzero((module[COLUMN] >= 0) & module.work)
    launch = module.launch[rows]
    rows = rows[np.lexsort((rows, launch))]
    edges = np.flatnonzero(np.diff(module.launch[rows], prepend=-2, append=-2)).tolist()
    shares = {"min_share": min_share, "min_step_share": min_step_share}
    known: dict[tuple[bytes, bytes], list[Stack]] = {}
    out: list[Stack] = []
    for a, b in itertools.pairwise(edges):
        mine = rows[a:b]
        key = module[COLUMN][mine].tobytes(), tokens[mine].tobytes()
        if key not in known:
            frames = _frames(module, mine)
            found, _ = stacks_of(module, frames, tokens, step, "capture", min_layers=min_layers, **shares)
            known[key] = [attrs.evolve(stack, rows=np.searchsorted(mine, stack.rows)) for stack in found]
        out += [attrs.evolve(stack, rows=mine[stack.rows]) for stack in known[key]]
    return out


def _frames(module: tir.Module, work: Ints) -> Frames:
    """The modules on the paths of a replay's work as a tree: a module is one call, for it was entered once a path."""
    nodes: dict[tuple[str, ...], int] = {}
    parent: list[int] = []
    inner = np.full(len(module.strings) + 1, -1, np.int64)
    codes = module[COLUMN][work]
    for code in dict.fromkeys(codes.tolist()):
        path = tuple(module.strings[code].split("/"))
        for depth in range(1, len(path) + 1):
            if path[:depth] not in nodes:
                nodes[path[:depth]] = len(nodes)
                parent.append(nodes[path[: depth - 1]] if depth > 1 else -1)
        inner[code] = nodes[path]
    classes: dict[str, int] = {}
    cls, instance = [], []
    for path in nodes:
        name, _, number = path[-1].rpartition("_")
        cls.append(classes.setdefault(name, len(classes)))
        instance.append(int(number))
    above = np.array(parent, np.int64)
    return Frames(
        rows=np.arange(len(nodes)),
        cls=np.array(cls, np.int64),
        instance=np.array(instance, np.int64),
        classes=list(classes),
        parent=above,
        work=work,
        chain=owners(inner[codes], above),
    )
