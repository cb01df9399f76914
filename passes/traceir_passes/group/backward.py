"""Backward layers from modules: backward ops remember the forward op that they belong to, and that its module."""

from __future__ import annotations

from typing import Final

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Ints, Mask
from traceir_passes.group.hosts import enclosing, nearest_of, split
from traceir_passes.group.stack import Stack


def backward_ops(module: tir.Module) -> Array:
    """For each event the nearest op-or-self around it that is the backward of another, or -1. O(n log depth).

    Such an op is the end of a flow that begins at a host op: profilers draw one from each forward op to its backward.
    """
    source, target = module.edges("flow")
    ops = module.is_kind("host.op")
    chosen = np.zeros(len(module), bool)
    chosen[target[ops[source] & ops[target]]] = True
    return nearest_of(module, chosen) if chosen.any() else np.full(len(module), -1, np.int64)


LINKS: Final = ("linked", "unlinked")


def backward_links(module: tir.Module, frames: Mask) -> Array:
    """For each event that a thread of the backward pass launched, a position in `LINKS`; -1 for all others (int16).

    Such a thread runs ops whose forward ops ran on another one. Work is unlinked if no op around its launch has a
    forward op, as with custom autograd functions and what is computed again outside of any op that has one; or, where
    the trace has modules (`frames`), if that forward op ran in no module and neither does the work. O(n log depth).
    """
    out = np.full(len(module), -1, np.int16)
    source, target = module.edges("flow")
    ops = module.is_kind("host.op")
    lane = module["lane"]
    crossing = ops[source] & ops[target] & (lane[source] != lane[target])
    threads = np.zeros(len(module.lanes), bool)
    threads[lane[target[crossing]]] = True
    work = np.flatnonzero(module.work & (module.launch >= 0))
    work = work[threads[lane[module.origin[module.launch[work]]]]]
    if not len(work):
        return out
    above = backward_ops(module)
    known = above[module.launch[work]] >= 0
    if frames.any():
        known &= _first_frame(module, work, above, frames) >= 0
    out[work] = np.where(known, LINKS.index("linked"), LINKS.index("unlinked"))
    return out


def backward_stacks(
    module: tir.Module, forward: list[Stack], homes: list[Ints], frames: Mask, step: Array, *, min_layers: int
) -> list[Stack]:
    """The stacks of the backward work of forward ones, in their order; those of fewer layers are left out.

    `homes` has for each forward stack the module frame of each of its layers, `frames` marks all module frames. Work
    that a backward op launched belongs to the module that its forward op ran in, in the same step; work that ran
    in a module again during the backward pass (recomputation under checkpointing) belongs to that module's
    backward layer. Layers count in order of time. Work whose op has no forward op is left alone.
    """
    above = backward_ops(module)
    work = np.flatnonzero(module.work & (module.launch >= 0))
    work = work[above[module.launch[work]] >= 0]
    if not forward or not len(work):
        return []
    place = _places(module, homes, step, forward)
    frame = _first_frame(module, work, above, frames)
    group, layer = _found(module, frame, step[work], frames, place)
    out = []
    for stack, mine in zip(forward, split(group, len(forward)), strict=True):
        rows, layers = work[mine], layer[mine]
        order = np.argsort(rows, kind="stable")
        rows, layers = rows[order], layers[order]
        used, first = np.unique(layers, return_index=True)
        if len(used) < min_layers:
            continue
        number = np.full(stack.layers, -1, np.int64)
        number[used[np.argsort(first, kind="stable")]] = np.arange(len(used))
        lane = int(np.bincount(module["lane"][rows]).argmax())
        out.append(
            attrs.evolve(
                stack,
                lane=lane,
                direction="backward",
                layers=len(used),
                rows=rows,
                layer=number[layers],
                checks={},
                title=f"{stack.title}_backward",
            )
        )
    return out


def _first_frame(module: tir.Module, work: Ints, above: Array, frames: Mask) -> Array:
    """The innermost module frame of each piece of work: its own inside the backward op, else the forward op's."""
    inner = nearest_of(module, frames)
    call = module.launch[work]
    own, op = inner[call], above[call]
    source, target = module.edges("flow")
    forward = np.full(len(module) + 1, -1, np.int64)
    forward[target] = source
    again = (own >= 0) & (above[own] == op)  # the frame lies inside the op: its module runs again
    begun = forward[op]
    return np.where(again, own, np.where(begun >= 0, inner[begun], -1))


def _places(
    module: tir.Module, homes: list[Ints], step: Array, forward: list[Stack]
) -> dict[tuple[int, int], tuple[int, int]]:
    """Stack and layer of each layer's module, by step and name; a name holds the instance's number."""
    out: dict[tuple[int, int], tuple[int, int]] = {}
    for number, (stack, frames) in enumerate(zip(forward, homes, strict=True)):
        at = int(step[stack.rows[0]])
        for layer, name in enumerate(module["name"][frames].tolist()):
            out.setdefault((at, name), (number, layer))
    return out


def _found(
    module: tir.Module, frame: Array, step: Array, frames: Mask, place: dict[tuple[int, int], tuple[int, int]]
) -> tuple[Array, Array]:
    """The stack and layer of each piece of work, climbing from its innermost frame; -1 where there is none."""
    keys = np.array(sorted(place), np.int64).reshape(-1, 2)
    values = np.array([place[a, b] for a, b in keys.tolist()], np.int64).reshape(-1, 2)
    size = len(module.strings) + 1
    sorted_keys = keys[:, 0] * size + keys[:, 1]
    up = np.append(enclosing(module, frames), -1)
    found = np.full((len(frame), 2), -1, np.int64)
    here = frame.copy()
    while (here >= 0).any():
        asked = np.where(here >= 0, step * size + module["name"][here], np.int64(-(2**62)))
        at = np.minimum(np.searchsorted(sorted_keys, asked), len(sorted_keys) - 1)
        hit = (sorted_keys[at] == asked) & (found[:, 0] < 0)
        found[hit] = values[at[hit]]
        here = np.where(hit, -1, up[here])
    return found[:, 0], found[:, 1]
