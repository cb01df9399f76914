"""Host threads as chains of instants: where calls begin and end, and where one thread hands over to another."""

from __future__ import annotations

from typing import Final

import attrs
import numpy as np

from traceir.ir import Array, Ints, Mask, Module, Spans
from traceir.ir.kinds import nesting_kinds
from traceir_passes.replay.calls import calls, distinct

NONE: Final = np.empty(0, np.int64)


@attrs.frozen(eq=False)
class Handovers:
    """Stretches `[start, end)` of a thread that only waited for a burst `[first, last)` of another: lanes and times."""

    lane: Array
    start: Ints
    end: Ints
    other: Array
    first: Ints
    last: Ints

    def __len__(self) -> int:
        return len(self.lane)


def in_scope(module: Module) -> Array:
    """The rows of host events that are nodes: runtime calls, and what enqueue edges and flows between threads join.

    Without device work there is nothing that calls lead to, so then the outermost host events are nodes, too.
    """
    lanes = module["lane"]
    on_host = np.array([lane.kind == "host.thread" for lane in module.lanes] + [False])[lanes] & module.live
    chosen = calls(module)
    launching = module.launch[module.work]
    chosen[launching[launching >= 0]] = True
    chosen &= on_host
    for kind in ("enqueue", "flow"):
        src, dst = module.edges(kind)
        across = on_host[src] & on_host[dst] & (lanes[src] != lanes[dst])
        chosen[src[across]] = chosen[dst[across]] = True
    if not module.work.any():
        chosen |= on_host & module.is_kind(*nesting_kinds()) & (module.parent < 0)
    return np.flatnonzero(chosen)


def handovers(module: Module, scope: Array, least: int, filled: float) -> Handovers:
    """Where a thread does hardly anything while a burst of another thread of its process fills the time.

    A burst is what a thread does with pauses of less than `least` ns, `least` ns or more in all. The other thread,
    from the last instant before it to the first one after it, calls nothing (no `scope` event begins, ends or runs
    there), is quiet for `least` ns or more at a time, and that makes `filled` of the time, as the burst does.
    O(pairs of threads that call the runtime × events log events).
    """
    active = distinct(module["lane"][calls(module)])
    if len(active) < 2:
        return Handovers(*(NONE,) * 6)
    rows = np.flatnonzero(module.live & module.is_kind(*nesting_kinds()))
    threads = {lane: _Thread.of(module, lane, rows, scope, least) for lane in active}
    found: list[tuple[Array, ...]] = []
    for lane, thread in threads.items():
        for other, bursts in threads.items():
            if other != lane and module.lanes[other].pid == module.lanes[lane].pid:
                part = thread.waits(bursts.bursts, filled)
                found.append((np.full(len(part[0]), lane), *part[:2], np.full(len(part[0]), other), *part[2:]))
    return Handovers(*(np.concatenate(parts) for parts in zip((NONE,) * 6, *found, strict=True)))


@attrs.frozen(eq=False)
class _Thread:
    """A thread: the instants at which anything begins or ends, how long it was quiet before each, and its bursts.

    `called` is when it was inside an event of the scope, `marks` when these begin and end.
    """

    bounds: Ints
    quiet: Ints
    bursts: Spans
    called: Spans
    marks: Ints

    @classmethod
    def of(cls, module: Module, lane: int, rows: Array, scope: Array, least: int) -> _Thread:
        """The thread of a lane. O(n log n)."""
        mine, own = rows[module["lane"][rows] == lane], scope[module["lane"][scope] == lane]
        start, end = module["ts"][mine], module.end[mine]
        bounds = _instants(np.concatenate([start, end]))
        steps = np.diff(bounds, prepend=bounds[:1])
        busy = Spans.of(start, end)
        merged = Spans.of(busy.starts, np.append(np.where(_pauses(busy) < least, busy.starts[1:], busy.ends[:-1]),
                                                 busy.ends[-1:]))  # fmt: skip
        long = merged.ends - merged.starts >= least
        marks = np.sort(np.concatenate([module["ts"][own], module.end[own]]))
        return cls(
            bounds, np.cumsum(np.where(steps >= least, steps, 0)), Spans(merged.starts[long], merged.ends[long]),
            Spans.of(module["ts"][own], module.end[own]), marks,
        )  # fmt: skip

    def waits(self, bursts: Spans, filled: float) -> tuple[Ints, Ints, Ints, Ints]:
        """The stretches in which it waited for bursts of another thread, and from when to when these were."""
        low = np.searchsorted(self.bounds, bursts.starts, side="right") - 1
        high = np.searchsorted(self.bounds, bursts.ends, side="left")
        good = (low >= 0) & (high < len(self.bounds))
        # Several bursts before the same instant are one wait.
        ends, at = np.unique(high[good], return_index=True)
        last = np.append(at[1:], good.sum()) - 1
        low, first, done = low[good][at], bursts.starts[good][at], bursts.ends[good][last[: len(at)]]
        start, end = self.bounds[low], self.bounds[ends]
        quiet = self.quiet[ends] - self.quiet[low]
        fits = np.minimum(done - first, quiet) >= filled * (end - start)
        fits &= self.called.covered(start, end) == 0
        fits &= np.searchsorted(self.marks, end, side="left") == np.searchsorted(self.marks, start, side="right")
        # A stretch that begins before the one before it ended is of the same wait, which that one has.
        fits &= np.append(True, start[1:] >= end[:-1])[: len(start)]
        return start[fits], end[fits], first[fits], done[fits]


def _pauses(busy: Spans) -> Ints:
    """The time between each span and the next."""
    return busy.starts[1:] - busy.ends[:-1]


def _instants(times: Ints) -> Ints:
    """Distinct times in order; by sorting, since hashing of times that lie close is slow."""
    times = np.sort(times)
    return np.asarray(times[np.append(True, times[1:] != times[:-1])[: len(times)]])


@attrs.frozen(eq=False)
class Chain:
    """The instants of host threads, in order of (lane, time): nodes of the graph, and the steps between them.

    `row` is the event that begins or (`end`) ends there, -1 for a mere cut. `call` marks instants from which the
    thread is inside a runtime call, `owner` is that call. `weak` marks those before which the thread only waited.
    """

    lane: Array
    time: Ints
    row: Array
    end: Mask
    call: Mask
    owner: Array
    weak: Mask
    cut: Array
    """For handover i the positions of its four instants, in `cut[:, i]`: start, end, first, last."""


def chain(module: Module, rows: Array, found: Handovers) -> Chain:
    """The instants at which `rows` begin and end, and those of handovers. O(n log n)."""
    ts, dur = module["ts"][rows], module["dur"][rows]
    n, extra = len(rows), len(found)
    bare = np.full(extra, -1, np.int64)
    lane = np.concatenate([module["lane"][rows]] * 2 + [found.lane, found.lane, found.other, found.other])
    time = np.concatenate([ts, ts + dur, found.start, found.end, found.first, found.last])
    row = np.concatenate([rows, rows, *[bare] * 4])
    is_end = np.concatenate([np.zeros(n, bool), np.ones(n, bool), np.zeros(4 * extra, bool)])
    lasting = dur > 0
    # Of instants that fall together: ends (the inner one first), then starts (the outer one first), each event of no
    # length between its start and what follows; cuts lie outside what begins or ends with them.
    phase = np.concatenate([np.ones(n), np.where(lasting, 0, 1), *[np.full(extra, p) for p in (2, -1, -1, 2)]])
    outer = np.concatenate([-dur, np.where(lasting, -ts, 0), np.zeros(4 * extra, np.int64)])
    within = np.concatenate([rows, np.where(lasting, -rows, rows), np.zeros(4 * extra, np.int64)])
    order = np.lexsort((is_end, within, outer, phase, time, lane))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    lane, row, is_end = lane[order], row[order], is_end[order]
    is_call = np.append(calls(module), False)[row] & (row >= 0)
    depth = np.cumsum(np.where(is_call, np.where(is_end, -1, 1), 0))  # every lane's calls close, so it starts at 0
    parent = np.append(module.parent, -1)[row]
    owner = np.where(is_call & ~is_end, row, np.where(is_call, parent, -1))
    weak = np.zeros(len(order), bool)
    cut = place[2 * n :].reshape(4, extra)
    weak[cut[2]] = True
    return Chain(lane, time[order], row, is_end, depth > 0, np.where(depth > 0, owner, -1), weak, cut)
