"""Other lanes: which layer the work beside a stack's own lane belongs to."""

from __future__ import annotations

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Ints, Mask
from traceir_passes.group.stack import Stack
from traceir_passes.group.tokens import LaneWork


def with_other_lanes(
    module: tir.Module, works: list[LaneWork], stacks: list[Stack], tokens: Array
) -> tuple[list[Stack], Mask]:
    """Stacks joined by work on other lanes of the device, and which events were joined by time alone (a guess).

    First by launch order: work launched on the same thread between the first and the last launch of a layer.
    Else, where launches do not tell layers apart (graph replays), by time: a reduction belongs where its input was
    produced, which is the work of the stack's lane that ended last before it starts (it may run beside the next
    layer, that is what a stream of its own is for); other work to the layer in whose extent it starts.
    """
    taken = np.zeros(len(module), bool)
    guessed = np.zeros(len(module), bool)
    for stack in stacks:
        taken[stack.rows] = True
    device = module.device
    out = []
    for stack in stacks:
        here = int(device[stack.rows[0]])
        beside = [work for work in works if work.lane != stack.lane and module.lanes[work.lane].device == here]
        others = np.concatenate([np.empty(0, np.int64), *(work.rows for work in beside)]).astype(np.int64)
        others = others[~taken[others]]
        if not len(others) or not len(stack.rows):
            out.append(stack)
            continue
        reduces = np.isin(tokens[others], np.frombuffer(b"RX", np.uint8))
        after = _next_on_lane(works, stack)
        layer = _by_launch(module, stack, others, reduces, after)
        by_time = (layer == -1) & _shares_launch(module, stack, others)
        layer[by_time] = _by_time(module, stack, others[by_time], reduces[by_time], after)
        joined = layer >= 0
        guessed[others[joined & by_time]] = True
        taken[others[joined]] = True
        rows = np.concatenate([stack.rows, others[joined]])
        layers = np.concatenate([stack.layer, layer[joined]])
        order = np.argsort(rows, kind="stable")
        out.append(attrs.evolve(stack, rows=rows[order], layer=layers[order]))
    return out, guessed


def _next_on_lane(works: list[LaneWork], stack: Stack) -> int:
    """The row that follows the stack on its lane, or -1."""
    work = next(work for work in works if work.lane == stack.lane)
    at = int(np.searchsorted(work.rows, stack.rows[-1], side="right"))
    return int(work.rows[at]) if at < len(work) else -1


def _inside(first: Ints, last: Ints, after: int | None, times: Array, reduces: Mask) -> Array:
    """The layer in whose `[first, last]` each time lies, or -1; for a reduction, up to the next layer's first.

    `after` is the first time of what follows the last layer, None if nothing does.
    """
    following = np.append(first[1:], np.iinfo(np.int64).max if after is None else after)
    at = np.searchsorted(first, times, side="right") - 1
    near = np.maximum(at, 0)
    within = (at >= 0) & ((times <= last[near]) | (reduces & (times < following[near])))
    return np.where(within, at, -1)


def _bounds(stack: Stack, layer: Array, begins: Array, ends: Array) -> tuple[Ints, Ints]:
    """The least beginning and the greatest end of each layer."""
    first = np.full(stack.layers, np.iinfo(np.int64).max)
    last = np.full(stack.layers, np.iinfo(np.int64).min)
    np.minimum.at(first, layer, begins)
    np.maximum.at(last, layer, ends)
    return first, last


def _by_launch(module: tir.Module, stack: Stack, others: Array, reduces: Mask, after: int) -> Array:
    """The layer between whose first and last launch each event was launched on the same thread, or -1."""
    calls = module.launch[stack.rows]
    known = calls >= 0
    out = np.full(len(others), -1, np.int64)
    if not known.any():
        return out
    times, layer = module["ts"][calls[known]], stack.layer[known]
    thread = np.bincount(module["lane"][calls[known]]).argmax()
    first, last = _bounds(stack, layer, times, times)
    if (first[1:] <= last[:-1]).any():
        return out
    mine = module.launch[others]
    ready = (mine >= 0) & (module["lane"][mine] == thread)
    call = int(module.launch[after]) if after >= 0 else -1
    limit = int(module["ts"][call]) if call >= 0 else int(last[-1])
    out[ready] = _inside(first, last, limit, module["ts"][mine[ready]], reduces[ready])
    return out


def _shares_launch(module: tir.Module, stack: Stack, others: Array) -> Mask:
    """Which events have a launch call in common with the stack, or none at all: their launches decide nothing."""
    calls = np.unique(module.launch[stack.rows])
    mine = module.launch[others]
    return np.asarray(np.isin(mine, calls) | (mine < 0))


def _by_time(module: tir.Module, stack: Stack, others: Array, reduces: Mask, after: int) -> Array:
    """The layer that produced each reduction's input, or in whose extent other work starts; -1 for none."""
    own = module["lane"][stack.rows] == stack.lane
    rows, layer = stack.rows[own], stack.layer[own]
    starts = module["ts"][others]
    first, last = _bounds(stack, layer, module["ts"][rows], module.end[rows] - 1)
    limit = int(module["ts"][after]) if after >= 0 else None
    out = _inside(first, last, limit, starts, reduces)
    producer = ended_before(module, rows, starts)
    # After what follows the stack has ended, that is the nearer producer.
    in_time = starts < (int(module.end[after]) if after >= 0 else np.iinfo(np.int64).max)
    found = reduces & (producer >= 0) & in_time
    out[found] = layer[producer[found]]
    return out


def ended_before(module: tir.Module, rows: Array, starts: Array) -> Array:
    """For each start the position in `rows` of the event that ended last at or before it, or -1."""
    ends = module.end[rows]
    order = np.argsort(ends, kind="stable")
    at = np.searchsorted(ends[order], starts, side="right") - 1
    return np.where(at >= 0, order[np.maximum(at, 0)], -1)
