"""The event graph of time: instants, the edges between them with their lags, and what the edges leave unexplained."""

from __future__ import annotations

from typing import Final

import attrs
import numpy as np

from traceir.ir import Array, Ints, Mask, Module
from traceir_passes.replay.order import topological

KINDS: Final = (
    "work", "call", "host", "launch", "queue", "graph", "beside", "sync", "full", "wait", "wait_guessed",
    "collective", "handover", "enqueue", "flow",
)  # fmt: skip
"""The kinds of edges; the documentation of `critical-path` says what each stands for."""
CODE: Final = {name: code for code, name in enumerate(KINDS)}
_PREFERRED: Final = (
    "work", "collective", "beside", "graph", "queue", "wait", "wait_guessed", "sync", "full", "launch", "handover",
    "enqueue", "flow", "call", "host",
)  # fmt: skip
"""Which edge a path takes where several are tight: device work first."""
_RANK: Final = np.array([_PREFERRED.index(name) for name in KINDS])
NEVER: Final = int(np.iinfo(np.int64).min)


@attrs.frozen(eq=False)
class Contradiction:
    """Edges of one kind that go back in time, which no cause can: how many, the worst in ns, and its event's row."""

    kind: str
    count: int
    worst_ns: int
    row: int


@attrs.frozen(eq=False)
class Draft:
    """Nodes and edges in any order, as they are collected."""

    time: Ints
    row: Array
    end: Mask
    lane: Array
    src: Array
    dst: Array
    lag: Ints
    kind: Array
    of: Array


@attrs.frozen(eq=False)
class Graph:
    """Instants in topological order, and edges in order of their targets.

    `time` is when each instant was observed, `row` the event that begins or (`end`) ends there (-1 for none), `lane`
    its lane (-1 for none). An edge says that `dst` cannot be before `src` and its `lag`; `kind` is a position in
    `KINDS`, `of` the event that the lag is spent in (-1 for none). `residual` is what remains of each instant's
    observed time after the latest of its edges: an unexplained lag, never negative, since edges that go back in time
    are no edges but contradictions. Instants without edges to them are `given`; `held` is the residual of the span's
    first start, which stays in every replay, since what came before the span is no part of it. `begin` and `finish`
    are the nodes of each event's start and end, -1 for events out of scope; `sink` marks the instants whose last one
    ends the span.
    """

    module: Module
    time: Ints
    row: Array
    end: Mask
    lane: Array
    src: Array
    dst: Array
    lag: Ints
    kind: Array
    of: Array
    residual: Ints
    given: Mask
    held: Ints
    begin: Array
    finish: Array
    sink: Mask
    contradictions: tuple[Contradiction, ...]

    def __len__(self) -> int:
        """The number of instants."""
        return len(self.time)

    @property
    def span(self) -> tuple[int, int]:
        """First start and last end of device work, or of all instants where there is none."""
        return extent(self, self.time)

    def replay(self, residuals: bool = True) -> Ints:
        """When each instant comes by the edges alone, or with what they leave unexplained. O(edges)."""
        return replay(self, self.src, self.dst, self.lag, self.residual if residuals else self.held)


def extent(graph: Graph, time: Ints) -> tuple[int, int]:
    """First start and last end of the sinks' events at other times than those observed; (0, 0) without any."""
    if not graph.sink.any():
        return 0, 0
    starts = graph.begin[graph.row[graph.sink]]
    starts = starts[starts >= 0]
    low = time[starts].min() if len(starts) else time.min()
    return int(low), int(time[graph.sink].max())


def build(module: Module, draft: Draft) -> Graph:
    """The graph of a draft: contradictions told apart, sorted, residuals worked out. O(n log n)."""
    draft, contradictions = _possible(module, draft)
    order, good = topological(draft.time, draft.src, draft.dst, np.arange(len(draft.time)))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    src, dst = place[draft.src[good]], place[draft.dst[good]]
    by_dst = np.lexsort((src, dst))
    src, dst, lag = src[by_dst], dst[by_dst], draft.lag[good][by_dst]
    time, row, end = draft.time[order], draft.row[order].astype(np.int64), draft.end[order]
    latest = np.full(len(order), NEVER)
    np.maximum.at(latest, dst, time[src] + lag)
    given = latest == NEVER
    begin, finish = np.full(len(module) + 1, -1, np.int64), np.full(len(module) + 1, -1, np.int64)
    starts, ends = np.flatnonzero((row >= 0) & ~end), np.flatnonzero((row >= 0) & end)
    begin[row[starts]], finish[row[ends]] = starts, ends
    work = np.append(module.work, False)
    sink = end & work[row] if work.any() else np.ones(len(order), bool)
    residual = np.where(given, 0, time - np.where(given, 0, latest))
    held = np.zeros(len(order), np.int64)
    first = np.flatnonzero(~end & work[row]) if work.any() else np.empty(0, np.int64)
    if len(first):
        at = first[np.argmin(time[first])]
        held[at] = residual[at]
    return Graph(
        module, time, row, end, draft.lane[order], src, dst, lag, draft.kind[good][by_dst], draft.of[good][by_dst],
        residual, given, held, begin[:-1], finish[:-1], sink, contradictions,
    )  # fmt: skip


def _possible(module: Module, draft: Draft) -> tuple[Draft, tuple[Contradiction, ...]]:
    """The draft without edges that go back in time, and a note on these."""
    late = draft.time[draft.src] + draft.lag - draft.time[draft.dst]
    wrong = np.flatnonzero(late > 0)
    if not len(wrong):
        return draft, ()
    found = []
    for kind in np.unique(draft.kind[wrong]).tolist():
        mine = wrong[draft.kind[wrong] == kind]
        worst = mine[np.argmax(late[mine])]
        found.append(Contradiction(KINDS[kind], len(mine), int(late[worst]), int(draft.of[worst])))
    keep = late <= 0
    kept = {name: getattr(draft, name)[keep] for name in ("src", "dst", "lag", "kind", "of")}
    return attrs.evolve(draft, **kept), tuple(found)


def replay(graph: Graph, src: Array, dst: Array, lag: Ints, residual: Ints) -> Ints:
    """When each instant comes by some edges, which are in order of their targets and go forward in the graph's order.

    Instants without an edge come when they were observed. One Python step per edge, O(edges).
    """
    lag = lag + residual[dst]
    reached = np.zeros(len(graph), bool)
    reached[dst] = True
    time: list[int] = np.where(reached, NEVER, graph.time).tolist()
    for one, other, delay in zip(src.tolist(), dst.tolist(), lag.tolist(), strict=True):
        at = time[one] + delay
        if at > time[other]:  # noqa: PLR1730 - a call of max for each edge takes twice as long
            time[other] = at
    return np.array(time, np.int64)


def latest(graph: Graph, src: Array, dst: Array, lag: Ints, residual: Ints, end: int) -> Ints:
    """When each instant may come at the latest for all sinks to come by `end`; the int64 maximum if no sink follows.

    The edges are as in `replay`. One Python step per edge, O(edges log edges).
    """
    forever = int(np.iinfo(np.int64).max)
    time: list[int] = np.where(graph.sink, end, forever).tolist()
    order = np.lexsort((dst, src))[::-1]
    lag = lag + residual[dst]
    for one, other, delay in zip(src[order].tolist(), dst[order].tolist(), lag[order].tolist(), strict=True):
        follows = time[other]
        if follows != forever and follows - delay < time[one]:
            time[one] = follows - delay
    return np.array(time, np.int64)


def tightest(graph: Graph, time: Ints, src: Array, dst: Array, lag: Ints, kind: Array) -> Array:
    """For each instant the edge that it waited for longest: of several device work first, then the latest source.

    A position among the edges, -1 for instants without one. O(edges log edges).
    """
    out = np.full(len(graph), -1, np.int64)
    arrival = time[src] + lag
    order = np.lexsort((-src, -_RANK[kind], arrival, dst))
    out[dst[order]] = order  # of repeated targets numpy keeps the last: the latest arrival, the most preferred kind
    return out
