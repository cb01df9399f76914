"""The report of the fold pass: templates with their ops, what tells them apart, and what lies far from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, Literal

import attrs
import numpy as np

import traceir as tir
from traceir import folding, units
from traceir_passes.fold.numbered import Numbered

_LISTED: Final = 4
"""Layers of one template in one step that are listed each: of more, as in a step that is slow throughout, the first."""
_SHOWN: Final = 1000
"""Outliers that are reported of one template; `table:fold.instances` has them all."""


@attrs.frozen
class FoldedOp:
    """One op of a template: times are over the instances that have it, `share` is of the like steps' device work."""

    label: str
    block: str | None
    kernels: int
    present: int
    instances: int
    median_ns: int
    p10_ns: int
    p90_ns: int
    total_ns: int
    share: float | None
    exposed_ns: int | None


@attrs.frozen
class FoldedTemplate:
    """One template: of `layers` in each of `stacks` (passes of the model) in `steps` like steps, or a step itself.

    A step has no `layers` and no `stacks` (null).

    `numbers` are those of its layers in their stacks. The times of an instance are its `median_ns` of summed durations
    with percentiles, and the medians of its extent, of its busy part and of its launches' extent on the host (null if
    no launch is its own).
    """

    name: str
    of: Literal["step", "layer"]
    title: str | None
    step: str | None
    steps: int
    layers: int | None
    stacks: int | None
    numbers: tuple[int, ...]
    instances: int
    median_ns: int
    p10_ns: int
    p90_ns: int
    total_ns: int
    exposed_ns: int | None
    span_ns: int
    busy_ns: int
    host_ns: int | None
    outliers: int
    ops: tuple[FoldedOp, ...]


@attrs.frozen
class FoldedOutlier:
    """An instance far from the median of its template, and what makes the difference; `layer` is null for a step."""

    template: str
    step: str | None
    layer: int | None
    measure: Literal["work", "span"]
    time_ns: int
    delta_ns: int
    reason: str


@attrs.frozen
class TemplateCost:
    """What an op costs in one template; null if the template lacks it."""

    template: str
    median_ns: int | None


@attrs.frozen
class FoldedDifference:
    """An op that the templates of one stack do not have alike. `number` is its place among the ops of its label."""

    label: str
    number: int
    costs: tuple[TemplateCost, ...]


@attrs.frozen
class FoldReport(tir.Report):
    """The templates in order of time; the folded page shows the same figures as its steps."""

    templates: tuple[FoldedTemplate, ...]
    differences: tuple[FoldedDifference, ...]
    outliers: tuple[FoldedOutlier, ...]

    def blocks(self) -> Sequence[tir.Block]:
        """The outliers; the page shows folded steps, and what tells their layers apart, for itself."""
        layers = Counter((item.template, item.step) for item in self.outliers if item.layer is not None)
        rows = []
        for item in self.outliers:
            many = layers[item.template, item.step] if item.layer is not None else 0
            if many > _LISTED:
                layers[item.template, item.step] = -many  # told once, by the furthest of them, which comes first
            if many >= 0:
                rows.append(_row(item, many))
        if not rows:
            return ()
        columns = ("step", "layer", "time", "from the median", "what makes it")
        return (
            tir.Block(
                "outliers", columns, tuple(rows), "steps and layers far from the median of their like", detail=True
            ),
        )


def _row(item: FoldedOutlier, many: int) -> tuple[str, ...]:
    """What is said of an outlier; of `many` layers of one template in one step the one that stands for all."""
    more = f" and {many - 1} more" if many > _LISTED else ""
    return (
        item.step or "outside any step",
        "" if item.layer is None else f"{item.layer}{more}",
        units.time(item.time_ns) + ("" if item.measure == "work" else " of extent"),
        ("+" if item.delta_ns > 0 else "") + units.time(item.delta_ns),
        item.reason,
    )


def report(templates: Sequence[Numbered]) -> FoldReport:
    """The report on some templates."""
    return FoldReport(
        tuple(map(_template, templates)),
        tuple(one for item in templates if item.of == "step" for one in _differences(item, templates)),
        tuple(_outlier(item, one) for item in templates for one in item.outliers[:_SHOWN]),
    )


def _template(item: Numbered) -> FoldedTemplate:
    work, own = item.instances.work_ns, item.template if item.template is not None else item.step
    low, middle, high = np.percentile(work, [10, 50, 90])
    return FoldedTemplate(
        name=item.name,
        of=item.of,
        title=item.title or None,
        step=item.step.name,
        steps=item.step.count,
        layers=item.layers,
        stacks=item.stacks,
        numbers=item.template.numbers if item.template is not None else (),
        instances=len(work),
        median_ns=int(middle),
        p10_ns=int(low),
        p90_ns=int(high),
        total_ns=int(work.sum()),
        exposed_ns=own.exposed_ns,
        span_ns=own.span_ns,
        busy_ns=own.busy_ns,
        host_ns=own.host_ns,
        outliers=len(item.outliers),
        ops=tuple(_op(one, item.step.work_ns) for one in item.ops),
    )


def _op(op: folding.Op, whole: int) -> FoldedOp:
    return FoldedOp(
        op.label, op.block or None, op.kernels, op.present, op.instances, op.median_ns, op.p10_ns, op.p90_ns,
        op.total_ns, op.total_ns / whole if whole else None, op.exposed_ns,
    )  # fmt: skip


def _outlier(item: Numbered, one: folding.Outlier) -> FoldedOutlier:
    layer = one.layer if item.of == "layer" else None
    return FoldedOutlier(item.name, one.step or None, layer, one.measure, one.time_ns, one.delta_ns, folding.why(one))


def _differences(step: Numbered, templates: Sequence[Numbered]) -> list[FoldedDifference]:
    """What tells the templates of a step's stacks apart."""
    names = {id(item.template): item.name for item in templates if item.template is not None}
    return [
        FoldedDifference(
            one.label,
            one.number,
            tuple(
                TemplateCost(names[id(template)], median)
                for template, median in zip(stack.templates, one.median_ns, strict=True)
            ),
        )
        for stack in step.step.items
        if isinstance(stack, folding.Stack)
        for one in stack.differences
    ]
