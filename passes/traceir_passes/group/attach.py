"""Other lanes: which layer the work beside a stack's own lane belongs to."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Ints, Mask
from traceir_passes.group.stack import Stack, joined
from traceir_passes.group.tokens import LaneWork


@attrs.frozen(eq=False)
class _Others:
    """Work on the lanes beside one lane that no stack owns from the start, in order of start and of launch."""

    rows: Ints
    starts: Ints
    launched: Ints
    calls: Ints

    @classmethod
    def of(cls, module: tir.Module, rows: Ints) -> _Others:
        """Sort the rows; `launched` are those with a launch, `calls` the starts of their launches."""
        rows = rows[np.argsort(module["ts"][rows], kind="stable")]
        launched = rows[module.launch[rows] >= 0]
        calls: Ints = module["ts"][module.launch[launched]]
        order = np.argsort(calls, kind="stable")
        return cls(rows, module["ts"][rows], launched[order], calls[order])

    def near(self, module: tir.Module, stack: Stack, after: int) -> Ints:
        """The rows that may join a stack: started or launched from its first work to what follows it."""
        own = stack.rows if after < 0 else np.append(stack.rows, after)
        launch = module.launch[own]
        calls = module["ts"][launch[launch >= 0]]
        ends = module.end[own].max() if after >= 0 else np.iinfo(np.int64).max
        low, high = np.searchsorted(self.starts, [module["ts"][own].min(), ends]).tolist()
        if len(calls):
            first, stop = np.searchsorted(self.calls, [calls.min(), calls.max() + 1]).tolist()
            return np.union1d(self.rows[low:high], self.launched[first:stop])
        return np.sort(self.rows[low:high])


def with_other_lanes(
    module: tir.Module, works: list[LaneWork], parts: list[LaneWork], stacks: list[Stack], tokens: Array
) -> tuple[list[Stack], Mask]:
    """Stacks joined by work on other lanes of the device, and which events were joined by time alone (a guess).

    First by launch order: work launched on the same thread between the first and the last launch of a layer.
    Else, where launches do not tell layers apart (graph replays), by time: a reduction belongs where its input was
    produced, which is the work of the stack's lane that ended last before it starts (it may run beside the next
    layer, that is what a stream of its own is for); other work to the layer in whose extent it starts. `parts` are the
    lanes' works with those of micro-batches apart: what follows a stack is the next of its own.
    """
    taken = np.zeros(len(module), bool)
    guessed = np.zeros(len(module), bool)
    taken[joined(stacks)[0]] = True
    device = module.device[[int(stack.rows[0]) for stack in stacks]].tolist()
    beside = _beside(module, works, zip([stack.lane for stack in stacks], device, strict=True), taken)
    out = []
    for stack, number in zip(stacks, device, strict=True):
        here = beside[(stack.lane, number)]
        after = _next_of(parts, stack) if len(here.rows) else -1
        others = here.near(module, stack, after) if len(here.rows) else here.rows
        others = others[~taken[others]]
        if not len(others):
            out.append(stack)
            continue
        reduces = np.isin(tokens[others], np.frombuffer(b"RX", np.uint8))
        layer = _by_launch(module, stack, others, reduces, after)
        by_time = (layer == -1) & _shares_launch(module, stack, others)
        layer[by_time] = _by_time(module, stack, others[by_time], reduces[by_time], after)
        joins = layer >= 0
        guessed[others[joins & by_time]] = True
        taken[others[joins]] = True
        rows = np.concatenate([stack.rows, others[joins]])
        layers = np.concatenate([stack.layer, layer[joins]])
        order = np.argsort(rows, kind="stable")
        out.append(attrs.evolve(stack, rows=rows[order], layer=layers[order]))
    return out, guessed


def _beside(
    module: tir.Module, works: list[LaneWork], homes: Iterable[tuple[int, int]], taken: Mask
) -> dict[tuple[int, int], _Others]:
    """For each lane with stacks, and the device of their work, the free work on the device's other lanes."""
    out = {}
    for lane, here in set(homes):
        mine = [work.rows for work in works if work.lane != lane and module.lanes[work.lane].device == here]
        rows = np.concatenate([np.empty(0, np.int64), *mine]).astype(np.int64)
        out[(lane, here)] = _Others.of(module, rows[~taken[rows]])
    return out


def _next_of(parts: list[LaneWork], stack: Stack) -> int:
    """The row that follows the stack in the work that it is of, or -1."""
    mine = [work for work in parts if work.lane == stack.lane]
    first = stack.rows[0]
    homes = [work for work in mine if (at := np.searchsorted(work.rows, first)) < len(work) and work.rows[at] == first]
    for work in homes or mine:
        at = int(np.searchsorted(work.rows, stack.rows[-1], side="right"))
        return int(work.rows[at]) if at < len(work) else -1
    return -1


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
    limit = int(module["ts"][call]) if call >= 0 else int(last[-1]) if after >= 0 else None
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


def ended_before_within(ended: tuple[Array, Array], starting: tuple[Array, Array]) -> Ints:
    """For each start the position of the end in its own group that is the last one at or before it, or -1.

    Both are given as times and groups. O(n log n), by one sort of both: ends stand before starts of the same time.
    """
    size = len(ended[0])
    time, group = np.concatenate([ended[0], starting[0]]), np.concatenate([ended[1], starting[1]])
    order = np.lexsort((time, group))
    last = np.maximum.accumulate(np.where(order < size, np.arange(len(order)), -1))
    found = np.where(last >= 0, order[last], -1)
    out = np.empty(len(order), np.int64)
    out[order] = np.where((found >= 0) & (group[found] == group[order]), found, -1)
    return out[size:]
