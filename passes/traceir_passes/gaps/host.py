"""The host side of gaps: who launches from which process, which calls block it, and which only ask."""

from __future__ import annotations

import re
from functools import cached_property

import attrs
import numpy as np

from traceir.ir import Array, Ints, Mask, Module, Selection, Spans, expand

_WAITS = re.compile(r"synchronize|memcpywithstream", re.IGNORECASE)
_QUERY = re.compile(r"(event|stream)query", re.IGNORECASE)


def blocking(module: Module) -> Mask:
    """Which rows are host calls that block: synchronisations, allocations and synchronous copies.

    Copies and allocations whose name says `Async` return at once; so do queries, however often they are asked.
    """
    calls = module.is_kind("rt")
    waits, asynchronous = np.zeros((2, len(module.strings)), bool)
    for code in np.unique(module["name"][calls]).tolist():
        name = module.strings[code]
        waits[code], asynchronous[code] = bool(_WAITS.search(name)), "async" in name.lower()
    names = module["name"]
    does = module.is_kind("rt.sync") | (module.is_kind("rt.alloc", "rt.memcpy", "rt.memset") & ~asynchronous[names])
    return np.asarray(module.live & calls & (does | waits[names]))


def queries(module: Module) -> Mask:
    """Which rows are host calls that ask whether device work is done, without waiting for it."""
    calls = module.is_kind("rt")
    table = np.zeros(len(module.strings), bool)
    for code in np.unique(module["name"][calls]).tolist():
        table[code] = bool(_QUERY.search(module.strings[code]))
    return np.asarray(module.live & calls & table[module["name"]])


def graph_launches(module: Module) -> Mask:
    """Which rows are launches of graphs: by kind, or since a kernel that they launched names its graph.

    One call of several kernels is none by itself: operators of some runtimes launch a kernel after the other. O(n).
    """

    def compute() -> Mask:
        graph = module.is_kind("rt.graph_launch")
        call, kernel = of_several(module)
        plain = ~graph[call]
        call, first = np.unique(call[plain], return_index=True)
        chosen = Selection(module, kernel[plain][first])
        told = zip(chosen.field("graph"), chosen.field("graph_node"), strict=True)
        graph[call[np.array([bool(number or node) for number, node in told], bool)]] = True
        return graph

    return module.derive("graph launches", ("kind", "edges", "live", "parent"), compute)


def of_several(module: Module) -> tuple[Array, Array]:
    """The calls that launched more than one kernel, once for each of these, and the kernels."""
    kernels = np.flatnonzero(module.is_kind("dev.kernel") & module.live & (module.launch >= 0))
    call = module.launch[kernels]
    many = np.bincount(call, minlength=len(module))[call] > 1
    return call[many], kernels[many]


def processes(module: Module) -> tuple[Ints, int]:
    """For each lane the number of its process, and how many there are. Lanes without a pid share one."""
    pids = [str(lane.pid) for lane in module.lanes]
    known = {pid: number for number, pid in enumerate(dict.fromkeys(pids))}
    return np.array([known[pid] for pid in pids], np.int64), len(known)


@attrs.frozen(eq=False, slots=False)
class Blocks:
    """The blocking calls of one process, of all its threads: rows and times, in order of their ends."""

    rows: Array
    start: Ints
    end: Ints

    @classmethod
    def of(cls, module: Module, rows: Array) -> Blocks:
        """The calls in `rows` in order of (end, row)."""
        order = np.argsort(module.end[rows], kind="stable")
        return cls(rows[order], module["ts"][rows[order]], module.end[rows[order]])

    @cached_property
    def spans(self) -> Spans:
        """When any thread of the process is blocked."""
        return Spans.of(self.start, self.end)

    def returned(self, at: Ints, before: Ints) -> Array:
        """For each i the call that ran at the instant `at[i]` and returned by `before[i]`; -1 if there is none.

        Of several the last to return. `[at, before)` have to be disjoint, as gaps of one lane are, so that the
        calls looked at are no more than there are. O(calls + instants).
        """
        first, last = np.searchsorted(self.end, at, side="right"), np.searchsorted(self.end, before, side="right")
        owner, call = expand(first, np.maximum(last - first, 0))
        spans = self.start[call] <= at[owner]
        out = np.full(len(at), -1, np.int64)
        out[owner[spans]] = call[spans]  # of repeated owners numpy keeps the last
        return np.where(out >= 0, np.append(self.rows, -1)[out], -1)

    def longest(self, low: Ints, high: Ints) -> Array:
        """For each i the call that covers most of `[low[i], high[i])`; -1 if none does. The windows are disjoint.

        O((calls + windows) log calls).
        """
        order = np.argsort(self.start, kind="stable")
        start, end, rows = self.start[order], self.end[order], np.append(self.rows[order], -1)
        first, last = np.searchsorted(start, low, side="left"), np.searchsorted(start, high, side="left")
        owner, call = expand(first, np.maximum(last - first, 0))
        best, size = np.full(len(low), -1, np.int64), np.zeros(len(low), np.int64)
        inside = np.minimum(end[call], high[owner]) - start[call]
        rank = np.lexsort((-call, inside))
        best[owner[rank]], size[owner[rank]] = call[rank], inside[rank]
        # Of the calls that were already running, the one that ends last covers most.
        reach = np.maximum.accumulate(end) if len(end) else end
        leader = np.maximum.accumulate(np.where(end >= reach, np.arange(len(end)), 0)) if len(end) else end
        earlier = np.where(first > 0, np.append(leader, -1)[first - 1], -1)
        over = np.where(earlier >= 0, np.minimum(np.append(end, 0)[earlier], high) - low, 0)
        best = np.where(over > size, earlier, best)
        return rows[best]
