"""The event graph while it is edited: edges that change, and what the edits did."""

from __future__ import annotations

from typing import Final

import attrs
import numpy as np

from traceir.errors import UsageError
from traceir.ir import Array, Ints, Mask, Spans
from traceir_passes.replay import CODE, Graph, Path, path, replay, tightest

LONGEST: Final = 1 << 60
"""What scaled lags may sum up to in ns: so much can be added to any time of the graph."""


@attrs.define(eq=False)
class Edited:
    """A graph's edges and residuals as edits leave them; edges keep to the graph's order of instants.

    `notes` are sentences on what an edit could not know, `touched` how many events each edit changed.
    """

    graph: Graph
    src: Array
    dst: Array
    lag: Ints
    kind: Array
    of: Array
    residual: Ints
    notes: list[str] = attrs.field(factory=list)
    touched: list[int] = attrs.field(factory=list)

    @classmethod
    def of_graph(cls, graph: Graph) -> Edited:
        """The graph as it is."""
        src, dst, lag = np.array(graph.src), np.array(graph.dst), np.array(graph.lag)
        return cls(graph, src, dst, lag, np.array(graph.kind), np.array(graph.of), np.array(graph.residual))

    def is_kind(self, *names: str) -> Mask:
        """Which edges are of one of these kinds."""
        return np.isin(self.kind, [CODE[name] for name in names])

    def keep(self, chosen: Mask) -> None:
        """Leave out all edges but those chosen."""
        for name in ("src", "dst", "lag", "kind", "of"):
            setattr(self, name, getattr(self, name)[chosen])

    def add(self, kind: str, src: Array, dst: Array, lag: Ints, of: Array) -> None:
        """Add edges, which have to go forward in the graph's order, and sort all by their targets again."""
        if (src >= dst).any():
            forward = src < dst
            src, dst, lag, of = src[forward], dst[forward], lag[forward], of[forward]
        parts = (src, dst, lag, np.full(len(src), CODE[kind]), of)
        names = ("src", "dst", "lag", "kind", "of")
        joined = {name: np.concatenate([getattr(self, name), part]) for name, part in zip(names, parts, strict=True)}
        order = np.lexsort((joined["src"], joined["dst"]))
        for name in names:
            setattr(self, name, joined[name][order])

    def into(self, *kinds: str) -> Array:
        """For each instant the edge of one of these kinds that leads to it, -1 if none does (of several the last)."""
        out = np.full(len(self.graph), -1, np.int64)
        at = np.flatnonzero(self.is_kind(*kinds))
        out[self.dst[at]] = at
        return out

    def tight(self) -> Array:
        """For each instant the edge that it waited for longest as observed, by the edges as they are now."""
        return tightest(self.graph, self.graph.time, self.src, self.dst, self.lag, self.kind)

    def replay(self, residuals: bool) -> Ints:
        """When each instant comes, with what is unexplained or without."""
        rest = self.residual if residuals else np.minimum(self.graph.held, self.residual)
        return replay(self.graph, self.src, self.dst, self.lag, rest)

    def path(self, time: Ints) -> Path:
        """The critical path of a replay with residuals."""
        return path(self.graph, time, self.src, self.dst, self.lag, self.kind, self.of, self.residual)

    def streams(self) -> list[Array]:
        """The rows of device work of each lane, in order of time."""
        module = self.graph.module
        rows = np.flatnonzero(module.work & (self.graph.begin >= 0))
        order = rows[np.argsort(module["lane"][rows], kind="stable")]
        _, first = np.unique(module["lane"][order], return_index=True)
        return np.split(order, first[1:]) if len(order) else []

    def scale(self, edges: Array, factor: float | Array) -> None:
        """Multiply the lags of some edges; UsageError where times would no longer fit into 64 bits."""
        scaled = np.rint(self.lag[edges] * factor)
        if scaled.sum() > LONGEST:
            raise UsageError(
                "The edit of what-if makes the trace longer than 36 years, which times cannot hold: write a smaller "
                "factor."
            )
        self.lag[edges] = scaled.astype(np.int64)

    def scale_host(self, lane: int, spans: Spans, factor: float) -> int:
        """Multiply what of a thread's own time lies in some spans; how many steps of it that changes."""
        graph = self.graph
        steps = np.flatnonzero(self.is_kind("host", "call") & (graph.lane[self.src] == lane))
        start, end = graph.time[self.src[steps]], graph.time[self.dst[steps]]
        inside = spans.covered(start, end) / np.maximum(end - start, 1)
        self.scale(steps, 1 - inside * (1 - factor))
        return int((inside > 0).sum())
