"""The pass itself: the parts of the path as a table, and for each event its time on the path and its slack."""

from __future__ import annotations

from typing import ClassVar, Final

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array
from traceir_passes.critical_path import report
from traceir_passes.replay import CLASSES, KINDS, NEAR, Graph, classes, extent, graph_of, observed, per_event, slack_of

TABLE: Final = "table:critical_path"
WRONG: Final = "table:critical_path_wrong"
_SPAN: Final = "module"


@attrs.frozen
class CriticalPath(tir.Pass):
    """Find the chain of host code, launches, device work and waits that makes the span as long as it is.

    Every event's start and end is an instant; what has to come before what (host order, launches, streams, waits,
    synchronisations, collectives) is an edge with the lag that it explains. The path is walked back from the last end,
    each time to what was waited for longest, so its parts sum to the span. What no lag explains is a part of its own,
    `unexplained`. O(n log n).
    """

    near: tir.Duration = tir.option(
        NEAR,
        least=0,
        help="How close after the end of other work a start has to be to be taken for having waited for it where the "
        "trace does not say: a few times what devices take from one event to the next.",
    )
    max_residual_share: tir.Share = tir.option(
        0.1, help="Share of the span left unexplained on the path above which the path is unreliable."
    )

    reads: ClassVar[tuple[str, ...]] = (
        "infer.role", "infer.class", "id", "kind", "name", "ts", "dur", "lane", "parent", "live", "edges",
    )  # fmt: skip
    uses: ClassVar[tuple[str, ...]] = (
        "coll.kind", "coll.instance", "coll.wait", "tree.steps", "tree.layers",
    )  # fmt: skip
    writes: ClassVar[tuple[tir.Annotation, ...]] = (
        tir.Annotation(
            "critical-path.time", dtype="i64", unit="ns", shown="sum", null="not on the path",
            doc="How much of the critical path the event has: work what of it is on the path, a host event what of "
            "the path it was innermost in.",
        ),
        tir.Annotation(
            "critical-path.slack", dtype="i64", unit="ns",
            null="the end of the span does not follow from it, or it is no event of a thread or stream",
            doc="How much later the event could have begun without the span's end coming later.",
        ),
        tir.Annotation(
            "critical-path.lane", TABLE, "enum", values=("critical path",), doc="The lane that viewers show it on.",
        ),
        tir.Annotation(
            "critical-path.lane_label", TABLE, "enum", values=CLASSES, doc="What the part of the path is.",
        ),
        tir.Annotation(
            "critical-path.edge", TABLE, "enum", values=KINDS, null="nothing leads there",
            doc="The kind of edge that the part is, or of that beyond whose lag it is unexplained.",
        ),
        tir.Annotation("critical-path.lane_start", TABLE, unit="ns", doc="When the part begins."),
        tir.Annotation("critical-path.lane_dur", TABLE, unit="ns", doc="How long it is, at least 1."),
        tir.Annotation(
            "critical-path.event", TABLE, "id", null="host code between calls",
            doc="The event that the part is spent in, or that came late by it.",
        ),
        tir.Annotation(
            "critical-path.on", TABLE, "id", "lane", doc="The thread or stream of the part.", null="of several lanes",
        ),
        tir.Annotation("critical-path.span", _SPAN, unit="ns", doc="The span that the parts sum to."),
        tir.Annotation(
            "critical-path.replayed", _SPAN, unit="ns",
            doc="The span of a replay of the unchanged graph without what is unexplained.",
        ),
        tir.Annotation("critical-path.begin", _SPAN, unit="ns", doc="When the span begins."),
        tir.Annotation("critical-path.wrong", WRONG, "enum", values=KINDS, doc="A kind of edge that goes back."),
        tir.Annotation("critical-path.wrong_count", WRONG, doc="How many of them do."),
        tir.Annotation("critical-path.wrong_ns", WRONG, unit="ns", doc="How far back the worst of them goes."),
        tir.Annotation("critical-path.wrong_event", WRONG, "id", doc="The event of the worst.", null="none"),
    )  # fmt: skip

    def run(self, module: tir.Module, context: tir.PassContext) -> tir.Module:
        """Write the parts of the path, and time on it and slack of each event."""
        graph = graph_of(module, self.near)
        found = observed(graph)
        time, slack = per_event(module, found), slack_of(graph)
        low, high = graph.span
        replayed = extent(graph, graph.replay(residuals=False))
        table: dict[str, Array] = {
            "lane": np.zeros(len(found), np.int16),
            "lane_label": classes(module, found).astype(np.int16),
            "edge": found.kind.astype(np.int16),
            "lane_start": found.start,
            "lane_dur": found.dur,
            "event": found.of.astype(np.int32),
            "on": found.lane.astype(np.int32),
        }
        module = module.with_columns({
            "critical-path.time": np.where(time > 0, time, tir.NULL_I64), "critical-path.slack": slack,
        })  # fmt: skip
        module = module.with_table("critical_path", {f"critical-path.{name}": part for name, part in table.items()})
        module = module.with_table("critical_path_wrong", _wrong(graph))
        module = module.with_columns(
            {
                "critical-path.span": np.array([high - low]),
                "critical-path.replayed": np.array([replayed[1] - replayed[0]]),
                "critical-path.begin": np.array([low]),
            },
            _SPAN,
        )
        found_doubts = tuple(report.findings(module, self.max_residual_share))
        for finding in found_doubts:
            context.remark(self.name(), finding.message, event=finding.first)
        return module.with_health(*found_doubts)

    def report(self, module: tir.Module) -> report.CriticalPathReport:
        """The path by class, role, layer and host event, and how well the edges alone explain the span."""
        return report.build(module, self.max_residual_share)

    def check(self, module: tir.Module) -> list[str]:
        """The parts follow each other without gaps and sum to the span, to the ns."""
        start, dur = module["critical-path.lane_start"], module["critical-path.lane_dur"]
        span, broken = int(module["critical-path.span"][0]), []
        if int(dur.sum()) != span:
            broken.append(f"The parts of the critical path sum to {int(dur.sum())} ns, and the span is {span} ns.")
        if (start[1:] != (start + dur)[:-1]).any() or (dur <= 0).any():
            broken.append("The parts of the critical path do not follow each other.")
        return broken


def _wrong(graph: Graph) -> dict[str, Array]:
    """The edges that contradict the times."""
    found = graph.contradictions
    return {
        "critical-path.wrong": np.array([KINDS.index(item.kind) for item in found], np.int16),
        "critical-path.wrong_count": np.array([item.count for item in found], np.int64),
        "critical-path.wrong_ns": np.array([item.worst_ns for item in found], np.int64),
        "critical-path.wrong_event": np.array([item.row for item in found], np.int32),
    }
