"""The columns that the fold pass writes, declared."""

from __future__ import annotations

from typing import Final, Literal

import traceir as tir

TREE: Final = "region:fold"
INSTANCES: Final = "table:fold.instances"
TABLES: Final = (TREE, INSTANCES)
"""The tables that are fold's own."""
_Types = Literal["i64", "f64", "str", "id"]
KINDS: Final = ("step", "layer")


def _of_templates(name: str, doc: str, null: str, dtype: _Types = "i64", unit: str = "") -> tir.Annotation:
    return tir.Annotation(f"fold.{name}", TREE, dtype, unit, doc, null)


def _of_instances(name: str, doc: str, null: str = "", dtype: _Types = "i64", unit: str = "") -> tir.Annotation:
    return tir.Annotation(f"fold.{name}", INSTANCES, dtype, unit, doc, null)


WRITES: Final = (
    tir.Annotation(
        "tree.fold",
        dtype="id",
        doc="The op of which the event is the body: one instance of each template stands for all.",
        null="not of an instance that stands for its template",
    ),
    tir.Annotation(
        "fold.op", dtype="id", unit=TREE, doc="The op that the event is an instance of.", null="no device work"
    ),
    tir.Annotation(
        "fold.instance",
        dtype="id",
        unit=INSTANCES,
        doc="The instance of a template that the event is part of.",
        null="no device work",
    ),
    tir.Annotation(
        "fold.of",
        TREE,
        "enum",
        values=KINDS,
        doc="Whether the instances are steps or layers.",
        null="an op, or the root",
    ),
    _of_templates("title", "The kind of layer; a step's phase.", "an op, or nothing is known of it", "str"),
    _of_templates("label", "The op's label.", "a template", "str"),
    _of_templates("block", "The block of the layer that the op stands in.", "in no block, or a template", "str"),
    _of_templates("count", "Instances of the template.", "an op, or the root"),
    _of_templates("present", "Instances that have the op.", "a template"),
    _of_templates("kernels", "The op's usual number of device events in an instance.", "a template"),
    _of_templates("median", "Median over instances of the sum of durations.", "the root", unit="ns"),
    _of_templates("p10", "The 10th percentile.", "the root", unit="ns"),
    _of_templates("p90", "The 90th percentile.", "the root", unit="ns"),
    _of_templates("total", "The sum over all instances.", "the root", unit="ns"),
    _of_templates("share", "The share of the total in the device work of the like steps.", "the root", "f64"),
    _of_templates("exposed", "Exposed communication in all.", "none is known", unit="ns"),
    _of_templates("span", "Median extent of an instance on the device.", "an op, or the root", unit="ns"),
    _of_templates("busy", "Median of the part of it in which its work runs.", "an op, or the root", unit="ns"),
    _of_templates("host", "Median extent of the calls that launched an instance.", "an op, or not known", unit="ns"),
    tir.Annotation("fold.own", TREE, "bool", doc="The op is not alike in all templates of its stack."),
    _of_instances("name", "The name of its region, as step.3 or stack.3.layer.7.", "outside any step", "str"),
    _of_instances("template", "The template.", dtype="id", unit=TREE),
    _of_instances("body", "The event with which the body of the template begins.", dtype="id"),
    _of_instances("first", "The event with which the instance begins.", "outside of the window", dtype="id"),
    _of_instances("step", "The step that it is, or lies in.", "in no step", dtype="id", unit="region:steps"),
    _of_instances("layer", "The layer that it is.", "a step", dtype="id", unit="region:layers"),
    _of_instances("work", "The sum of the durations of its device events.", unit="ns"),
    _of_instances("delta", "The difference of that from the median of its like.", unit="ns"),
    _of_instances("device_span", "Its extent on the device.", unit="ns"),
    _of_instances("device_busy", "The part of that in which its work runs.", unit="ns"),
    _of_instances("host_span", "The extent of the calls that launched it.", "not known, or not its alone", unit="ns"),
    _of_instances("outlier", "What makes it an outlier: an op, a layer or a gap.", "it is none", "str"),
)
"""Templates and ops are the regions of the tree `fold`, instances the rows of a table that refer to them."""
