"""The pass itself."""

from __future__ import annotations

import attrs

import traceir as tir
from traceir import folding
from traceir_passes.fold.columns import WRITES
from traceir_passes.fold.laws import broken
from traceir_passes.fold.numbered import numbered
from traceir_passes.fold.report import FoldReport, report
from traceir_passes.fold.write import write


@attrs.frozen
class Fold(tir.Pass):
    """Fold like steps and layers into one template each, with statistics per op.

    Steps are alike if they have one phase, the same stacks of layers (or, without layers, the same labels) and a like
    cost; a few of another cost that run the same kernels are outliers of these. Three like stacks of one step or more
    are one, as for the tokens of an answer. The layers of a stack are aligned by banded edit distance on the roles of
    their ops, lane by lane: layers with the same telling ops (attention, its kernel, experts) are one template, others
    another, so that dense and MoE layers, or sliding and full attention, each have a median of their own. An op that
    some instances lack is present in fewer; a layer that merely lost events is none of another kind. An instance
    is an outlier beyond `outlier` robust standard deviations (of the median absolute deviation) from the median, since
    half of the instances may be odd before that criterion moves.

    Templates and their ops are the regions of the tree `fold`, with their statistics. Its events are those of one
    instance of each template, the body. Every device event has its op (`fold.op`) and its instance
    (`fold.instance`, a row of `table:fold.instances`), so nothing is lost: `--window fold` prints the templates
    with their bodies and the list of all instances, and `inline` makes the flat list from them again.

    Nothing is removed. In this IR `live` says that an event is no part of the program any more: totals are over live
    rows, every pass reads it, and what was computed from it is computed again when it changes. Were all instances but
    one removed, totals would be those of one layer, and `group` would then look for layers where one is left. A
    template that stands for its instances is a view of the module, and a window shows it.
    """

    outlier: float = tir.option(
        folding.OUTLIER,
        least=0,
        help="Robust standard deviations from the median beyond which an instance is an outlier: at 5 less than one in "
        "a million is so by chance.",
    )

    reads = (
        "tree.steps", "tree.layers", "group.label", "id", "kind", "name", "ts", "dur", "lane", "parent", "live",
        "edges",
    )  # fmt: skip
    uses = (
        "infer.role", "infer.class", "infer.op_kind", "infer.symbol", "overlap.exposed", "args",
        "group.confidence", "group.direction", "group.evidence", "group.lane", "group.mark", "group.mark_text",
        "group.partial", "group.phase", "group.template", "group.variant",
        "coll.instance", "coll.kind", "coll.library", "gaps.blame", "gaps.class",
        "gaps.device", "gaps.dur", "gaps.lane", "gaps.level", "gaps.next", "gaps.prev", "gaps.start",
    )  # fmt: skip
    writes = WRITES

    def run(self, module: tir.Module, context: tir.PassContext) -> tir.Module:
        """Write the tree `fold`, `table:fold.instances` and the events' ops. O(n log n) in device events."""
        return write(module, numbered(module, self._folded(module)))

    def report(self, module: tir.Module) -> FoldReport:
        """The templates of the module, their differences and their outliers."""
        return report(numbered(module, self._folded(module)))

    def check(self, module: tir.Module) -> list[str]:
        """Each device event is in one op of the template of its instance, and the ops' totals are those of its work."""
        return list(broken(module))

    def _folded(self, module: tir.Module) -> tuple[folding.Step, ...]:
        """The folded steps, computed once for the run and the report."""
        reads = tuple(name for name in (*self.reads, *self.uses) if name == "edges" or name in module)
        return module.derive(f"fold {self.outlier}", reads, lambda: folding.fold(module, self.outlier))
