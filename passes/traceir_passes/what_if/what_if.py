"""The pass itself: replays the event graph as it is and as edited, and writes down what comes of it."""

from __future__ import annotations

from typing import ClassVar, Final

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Ints
from traceir_passes.replay import CLASSES, NEAR, Graph, by_class, extent, graph_of, observed
from traceir_passes.what_if import report
from traceir_passes.what_if.edited import Edited
from traceir_passes.what_if.edits import Costs, apply
from traceir_passes.what_if.grammar import parse
from traceir_passes.what_if.report import CASES, EDITS, TABLE


@attrs.frozen
class WhatIf(tir.Pass):
    """Predict the span after an edit by replaying the event graph, with bounds.

    The graph is that of `critical-path`. First it is replayed as it is and without what its lags leave unexplained; how
    far that misses the measured span says what the answer is worth. Then the edges are edited and replayed twice, with
    what is unexplained and without: the answer lies between. Several edits are replayed together, since savings do not
    add up. The module keeps its times. O(n log n).
    """

    edit: str = tir.option(
        "",
        help="Edits, parted by ;: speed WHAT FACTOR, scale WHAT FACTOR, drop WHAT, drop gaps [WHAT], drop sync [CALL], "
        "remove launch-gaps, move "
        "WHAT before WHAT (or past NUMBER), split WHAT before WHAT (or past NUMBER), fuse WHAT WHAT … [saving SHARE], "
        "bandwidth GROUP FACTOR. WHAT is a class, kind of collective, role, label, lane, name or %id.",
    )
    max_residual_share: tir.Share = tir.option(
        0.1, help="Share of the span left unexplained, or missed by the replay, above which the answer is unreliable."
    )
    graph_launch: tir.Duration = tir.option(
        20_000,
        least=0,
        help="What one graph launch costs the host where the trace has none to measure: the magnitude of a few launch "
        "calls.",
    )
    graph_gap: tir.Duration | None = tir.option(
        None,
        least=0,
        help="The gap from one kernel of a graph to the next where the trace has no graph to measure it in; none takes "
        "that of the lane's queue.",
    )
    near: tir.Duration = tir.option(
        NEAR,
        least=0,
        help="How close after the end of other work a start has to be to be taken for having waited for it where the "
        "trace does not say: a few times what devices take from one event to the next.",
    )

    reads: ClassVar[tuple[str, ...]] = (
        "infer.role", "infer.class", "id", "kind", "name", "ts", "dur", "lane", "parent", "live", "edges",
    )  # fmt: skip
    uses: ClassVar[tuple[str, ...]] = (
        "coll.kind", "coll.instance", "coll.group", "coll.bytes", "coll.wait", "coll.wait_basis",
        "group.label", "tree.steps",
    )  # fmt: skip
    writes: ClassVar[tuple[tir.Annotation, ...]] = (
        tir.Annotation(
            "what-if.start", dtype="i64", unit="ns", null="no event of the graph",
            doc="When the event would begin after the edits, with what is unexplained.",
        ),
        tir.Annotation(
            "what-if.end", dtype="i64", unit="ns", null="no event of the graph", doc="When it would end.",
        ),
        tir.Annotation("what-if.case", TABLE, "enum", values=CASES, doc="Which replay the row is of."),
        tir.Annotation("what-if.span", TABLE, unit="ns", doc="The span."),
        tir.Annotation(
            "what-if.step", TABLE, unit="ns", null="no steps",
            doc="Median over steps of the time from the first start to the last end of their device work.",
        ),
        tir.Annotation(
            "what-if.pitch", TABLE, unit="ns", null="less than two steps",
            doc="Median distance of the starts of successive steps' device work.",
        ),
        *(
            tir.Annotation(f"what-if.{name}_ns", TABLE, unit="ns", doc=f"Time on the critical path of class {name}.",
                           null="not worked out for this case")
            for name in CLASSES
        ),
        tir.Annotation("what-if.text", EDITS, "str", doc="An edit."),
        tir.Annotation("what-if.events", EDITS, doc="How many events it changed."),
        tir.Annotation("what-if.note", EDITS, "str", doc="What it had to assume.", null="nothing"),
    )  # fmt: skip

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        parse(self.edit)

    def run(self, module: tir.Module, context: tir.PassContext) -> tir.Module:
        """Write the predicted times of events, the cases, and what the edits did."""
        graph = graph_of(module, self.near)
        edits = parse(self.edit)
        edited, notes = Edited.of_graph(graph), []
        for edit in edits:
            apply(edited, edit, self.edit, Costs(self.graph_launch, self.graph_gap))
            notes.append("; ".join(edited.notes) or None)
            edited.notes.clear()
        times = {
            "measured": graph.time,
            "unchanged": graph.replay(residuals=False),
            "kept": edited.replay(residuals=True),
            "dropped": edited.replay(residuals=False),
        }
        steps = _Steps.of(module, graph)
        rows = [self._case(module, graph, edited, steps, case, times[case]) for case in CASES]
        module = module.with_table("what_if", {f"what-if.{key}": np.array([row[key] for row in rows], kind)
                                               for key, kind in _TYPES.items()})  # fmt: skip
        strings, text = module.strings.encode([edit.text for edit in edits])
        strings, note = strings.encode(notes)
        module = module.with_strings(strings).with_table("what_if_edits", {
            "what-if.text": text, "what-if.events": np.array(edited.touched, np.int64), "what-if.note": note,
        })  # fmt: skip
        module = module.with_columns({
            f"what-if.{name}": _placed(nodes, times["kept"]) for name, nodes in
            (("start", graph.begin), ("end", graph.finish))
        })  # fmt: skip
        reason = report.doubt(module, self.max_residual_share)
        if reason is None:
            return module
        context.remark(self.name(), reason)
        return module.with_health(
            tir.Finding("replay_unreliable", "warning", 1, f"{reason[0].upper()}{reason[1:]}.", None, ("what-if",))
        )

    def _case(
        self, module: tir.Module, graph: Graph, edited: Edited, steps: _Steps, case: str, time: Ints
    ) -> dict[str, int]:
        """One row of the table: the span, the step times and the critical path of a replay."""
        low, high = extent(graph, time)
        step, pitch = steps.measure(graph, time)
        row = {"case": CASES.index(case), "span": high - low, "step": step, "pitch": pitch}
        sums = dict.fromkeys(CLASSES, tir.NULL_I64)
        if case in ("measured", "kept"):
            found = observed(graph) if case == "measured" else edited.path(time)
            sums = dict(zip(CLASSES, by_class(module, found).tolist(), strict=True))
        return row | {f"{name}_ns": value for name, value in sums.items()}

    def report(self, module: tir.Module) -> report.WhatIfReport:
        """The answer and what it is worth."""
        return report.build(module, self.max_residual_share)

    def check(self, module: tir.Module) -> list[str]:
        """The parts of each path sum to its span, and without what is unexplained nothing comes later."""
        out = []
        spans = dict(zip(module.text("what-if.case"), module["what-if.span"].tolist(), strict=True))
        for case in ("measured", "kept"):
            at = CASES.index(case)
            total = sum(int(module[f"what-if.{name}_ns"][at]) for name in CLASSES)
            if total != spans[case]:
                out.append(
                    f"The critical path of the case {case} sums to {total} ns, and its span is {spans[case]} ns."
                )
        return out


_TYPES: Final[dict[str, type[np.generic]]] = {
    "case": np.int16, "span": np.int64, "step": np.int64, "pitch": np.int64,
    **{f"{name}_ns": np.int64 for name in CLASSES},
}  # fmt: skip


def _placed(nodes: Array, time: Ints) -> Ints:
    """The times of some nodes, null for none (-1)."""
    return np.where(nodes >= 0, np.append(time, tir.NULL_I64)[nodes], tir.NULL_I64)


@attrs.frozen(eq=False)
class _Steps:
    """The device work of steps: rows, and for each the number of its step, in order of time."""

    rows: Array
    step: Array
    count: int

    @classmethod
    def of(cls, module: tir.Module, graph: Graph) -> _Steps:
        if not module.has_tree("steps"):
            return cls(np.empty(0, np.int64), np.empty(0, np.int64), 0)
        step = module.tree("steps").at("step")
        rows = np.flatnonzero(module.work & (step >= 0) & (graph.begin >= 0))
        numbers, owner = np.unique(step[rows], return_inverse=True)
        return cls(rows, owner, len(numbers))

    def measure(self, graph: Graph, time: Ints) -> tuple[int, int]:
        """The median step and the median distance of steps at given times, null if there are none."""
        if not self.count:
            return tir.NULL_I64, tir.NULL_I64
        first, last = np.full(self.count, np.iinfo(np.int64).max), np.full(self.count, np.iinfo(np.int64).min)
        np.minimum.at(first, self.step, time[graph.begin[self.rows]])
        np.maximum.at(last, self.step, time[graph.finish[self.rows]])
        pitch = np.diff(np.sort(first))
        return int(np.median(last - first)), int(np.median(pitch)) if len(pitch) else tir.NULL_I64
