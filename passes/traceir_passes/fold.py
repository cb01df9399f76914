"""The pass `fold`: like steps and like layers as templates, in a table of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs
import numpy as np

import traceir as tir
from traceir import folding


@attrs.frozen
class Template:
    """One op of a template: `layers` is null outside a stack; times are over the instances that have the op."""

    step: str | None
    steps: int
    layers: int | None
    label: str
    block: str
    kernels: int
    present: int
    instances: int
    median_ns: int
    p10_ns: int
    p90_ns: int
    total_ns: int
    exposed_ns: int | None


@attrs.frozen
class FoldReport(tir.Report):
    """The templates in order of time; the folded page shows the same figures as its steps."""

    templates: tuple[Template, ...]

    def blocks(self) -> Sequence[tir.Block]:
        """Nothing: the page shows folded steps for itself."""
        return ()


@attrs.frozen
class Fold(tir.Pass):
    """Fold like steps and layers into one template each, with statistics per op.

    Steps are alike if they have one phase and the same stacks of layers (or, without layers, the same labels);
    the layers of a stack are alike by construction. Each label of a template gives a row of `table:fold`:
    the median, the 10th and the 90th percentile over its instances of the sum of durations per instance.
    """

    reads = (
        "tree.steps", "tree.layers", "group.label", "id", "kind", "name", "ts", "dur", "lane", "parent", "live",
        "edges",
    )  # fmt: skip
    uses = (
        "infer.role", "infer.class", "infer.op_kind", "infer.symbol", "overlap.exposed", "args",
        "group.confidence", "group.direction", "group.evidence", "group.mark", "group.mark_text", "group.partial",
        "group.phase", "group.variant", "coll.instance", "coll.kind", "coll.library", "gaps.blame", "gaps.class",
        "gaps.device", "gaps.dur", "gaps.lane", "gaps.level", "gaps.next", "gaps.prev", "gaps.start",
    )  # fmt: skip
    writes = (
        tir.Annotation("fold.step", "table:fold", "str", doc="The first of the folded steps.", null="outside any step"),
        tir.Annotation("fold.steps", "table:fold", "i64", doc="How many steps are folded."),
        tir.Annotation("fold.layers", "table:fold", "i64", doc="Layers in the stack.", null="outside a stack"),
        tir.Annotation("fold.label", "table:fold", "str", doc="The op's label."),
        tir.Annotation(
            "fold.block", "table:fold", "str", doc="The block of the layer that it stands in.", null="in no block"
        ),
        tir.Annotation("fold.kernels", "table:fold", "i64", doc="Its usual number of device events per instance."),
        tir.Annotation("fold.present", "table:fold", "i64", doc="Instances that have it."),
        tir.Annotation("fold.instances", "table:fold", "i64", doc="Instances in all."),
        tir.Annotation("fold.median", "table:fold", "i64", "ns", "Median per instance of the sum of durations."),
        tir.Annotation("fold.p10", "table:fold", "i64", "ns", "The 10th percentile."),
        tir.Annotation("fold.p90", "table:fold", "i64", "ns", "The 90th percentile."),
        tir.Annotation("fold.total", "table:fold", "i64", "ns", "The sum over all instances."),
        tir.Annotation(
            "fold.exposed",
            "table:fold",
            "i64",
            "ns",
            "Exposed communication.",
            "not communication, or overlap did not run",
        ),
    )

    def run(self, module: tir.Module, context: tir.PassContext) -> tir.Module:
        """Write `table:fold`, a row per op of a template. O(n log n) in device events."""
        rows = list(_templates(module))
        strings, step = module.strings.encode([row.step for row in rows])
        strings, label = strings.encode([row.label for row in rows])
        strings, block = strings.encode([row.block or None for row in rows])
        numbers = {
            "fold.steps": "steps", "fold.layers": "layers", "fold.kernels": "kernels", "fold.present": "present",
            "fold.instances": "instances", "fold.median": "median_ns", "fold.p10": "p10_ns", "fold.p90": "p90_ns",
            "fold.total": "total_ns", "fold.exposed": "exposed_ns",
        }  # fmt: skip
        columns = {name: _integers([getattr(row, field) for row in rows]) for name, field in numbers.items()}
        texts = {"fold.step": step, "fold.label": label, "fold.block": block}
        return module.with_strings(strings).with_table("fold", {**texts, **columns})

    def report(self, module: tir.Module) -> FoldReport:
        """The templates of the module."""
        return FoldReport(tuple(_templates(module)))


def _integers(values: Sequence[int | None]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([tir.NULL_I64 if value is None else value for value in values], np.int64)


def _templates(module: tir.Module) -> Iterator[Template]:
    for step in folding.fold(module):
        for item in step.items:
            ops = item.ops if isinstance(item, folding.Stack) else (item,)
            layers = item.layers if isinstance(item, folding.Stack) else None
            for op in ops:
                yield Template(
                    step.name, step.count, layers, op.label, op.block, op.kernels, op.present, op.instances,
                    op.median_ns, op.p10_ns, op.p90_ns, op.total_ns, op.exposed_ns,
                )  # fmt: skip
