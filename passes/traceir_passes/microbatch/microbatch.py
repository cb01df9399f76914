"""The pass `microbatch`: its options and columns."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar, Final

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Region
from traceir_passes.group.stack import DIRECTIONS
from traceir_passes.microbatch import report
from traceir_passes.microbatch.hiding import Hidden, hidden
from traceir_passes.microbatch.joint import Joint, joint
from traceir_passes.microbatch.sets import HOWS, Copy, Interleaved, interleaved

_ROWS: Final = "table:microbatches"
_LAYERS: Final = "table:microbatch_layers"
_JOINT: Final = "table:microbatch_joint"


def _ns(name: str, table: str, doc: str, null: str = "") -> tir.Annotation:
    return tir.Annotation(f"microbatch.{name}", table, "i64", "ns", doc=doc, null=null or "never")


@attrs.frozen
class Microbatch(tir.Pass):
    """Find micro-batches that take turns in a step, how far they are apart, and who hides whose communication.

    A step may run several copies of the same work at once, so that the compute of one covers the communication of
    another: two halves of a batch on two streams or by two threads, or the forward pass of one with the backward pass
    of another. `group` tells them apart where they share a lane (by micro-batch ranges or by the launching thread);
    here the stacks of one step that overlap in time are put together. Copies that nothing tells apart stay one: then
    only their number and their joint period are known, and the pass says so. O(n log n).
    """

    min_overlap: tir.Share = tir.option(
        0.5, help="least share of the shorter one's extent that copies run at once; the ends of successive passes touch"
    )

    reads: ClassVar[tuple[str, ...]] = (
        "tree.layers", "group.lane", "group.step", "group.direction", "group.microbatch", "group.kernels_per_layer",
        "infer.class", "infer.role",
        "id", "kind", "ts", "dur", "lane", "live",
    )  # fmt: skip
    uses: ClassVar[tuple[str, ...]] = ("tree.steps",)
    writes: ClassVar[tuple[tir.Annotation, ...]] = (
        tir.Annotation("tree.microbatches", dtype="id", doc="The micro-batch of work.", null="in no micro-batch"),
        tir.Annotation("microbatch.region", _ROWS, "id", "region:microbatches", doc="The micro-batch.", null="never"),
        tir.Annotation(
            "microbatch.set", _ROWS, "i64", doc="The number of the set of those that run at once.", null="never"
        ),
        tir.Annotation("microbatch.step", _ROWS, "id", "region:steps", doc="Its step.", null="in no step"),
        tir.Annotation("microbatch.lane", _ROWS, "id", "lane", doc="Its lane.", null="never"),
        tir.Annotation(
            "microbatch.how", _ROWS, "enum", values=HOWS, null="never",
            doc="What tells it from the others: its turns on a lane, a lane of its own, or its direction alone.",
        ),
        tir.Annotation("microbatch.direction", _ROWS, "enum", values=DIRECTIONS, doc="Its direction.", null="never"),
        tir.Annotation("microbatch.layers", _ROWS, "i64", "layers", doc="Its layers.", null="never"),
        tir.Annotation("microbatch.kernels", _ROWS, "i64", "kernels", doc="Its kernels.", null="never"),
        _ns("offset_ns", _ROWS, "Median distance of its layers from the like ones of the first of its direction.",
            "the first of its direction, or of other layers"),
        tir.Annotation(
            "microbatch.offset_layers", _ROWS, "f64", "layers", null="the first of its direction, or of other layers",
            doc="That distance in layers of the first.",
        ),
        _ns("comm_ns", _ROWS, "Communication of its layers, a union for each layer."),
        _ns("by_others_ns", _ROWS, "Of that what compute of the others hides."),
        _ns("by_own_ns", _ROWS, "Of that what its own compute hides."),
        _ns("exposed_ns", _ROWS, "Of that what neither hides."),
        tir.Annotation(
            "microbatch.layer", _LAYERS, "id", "region:layers", doc="A layer of a micro-batch.", null="never"
        ),
        _ns("layer_comm_ns", _LAYERS, "Communication of the layer."),
        _ns("layer_by_others_ns", _LAYERS, "Of that what compute of other micro-batches hides."),
        _ns("layer_by_own_ns", _LAYERS, "Of that what compute of its own micro-batch hides."),
        _ns("layer_exposed_ns", _LAYERS, "Of that what neither hides."),
        tir.Annotation(
            "microbatch.joint", _JOINT, "id", "region:layers", null="never",
            doc="A stack whose layers are copies in turns that nothing tells apart.",
        ),
        tir.Annotation("microbatch.joint_copies", _JOINT, "i64", doc="How many copies a layer is.", null="never"),
        _ns("joint_period_ns", _JOINT, "Median distance of the layers' starts: what all copies take for one layer.",
            "a single layer"),
    )  # fmt: skip

    def run(self, module: tir.Module, context: tir.PassContext) -> tir.Module:
        """The module with the tree `microbatches`, and tables of micro-batches and of their layers."""
        found = interleaved(module, self.min_overlap)
        hiding = hidden(module, found)
        names = _names(module, found)
        leaf = np.full(len(module), -1, np.int32)
        regions: list[Region] = []
        for number, item in enumerate(found):
            for place, copy in enumerate(item.copies):
                leaf[copy.rows] = len(regions)
                regions.append(Region("microbatch", f"{names[number]}mb.{place}", place))
        module = module.with_tree("microbatches", regions, leaf)
        module = module.with_table("microbatches", _rows(module, found, hiding))
        module = module.with_table("microbatch_layers", _layers(found, hiding))
        module = module.with_table("microbatch_joint", _joint(joint(module, found)))
        for one in report.joint_kinds(report.joint_stacks(module)):
            context.remark(self.name(), one.sentence)
        return module

    def report(self, module: tir.Module) -> report.MicrobatchReport:
        """The micro-batches of each set, and the layers of which most is exposed."""
        return report.build(module)

    def check(self, module: tir.Module) -> list[str]:
        """No part of communication is larger than the whole, and what is exposed is what nothing hides."""
        broken = []
        for prefix in ("", "layer_"):
            comm, others, own, exposed = (
                module[f"microbatch.{prefix}{name}"] for name in ("comm_ns", "by_others_ns", "by_own_ns", "exposed_ns")
            )
            bad = (np.maximum(others, own) + exposed > comm) | (others + own + exposed < comm)
            if bad.any():
                broken.append(f"In {int(bad.sum())} rows hidden and exposed communication do not add up.")
        return broken


def _joint(found: list[Joint]) -> dict[str, Array]:
    """A row for each stack of copies that nothing tells apart."""
    period = [tir.NULL_I64 if one.period_ns is None else one.period_ns for one in found]
    return {
        "microbatch.joint": np.array([one.stack for one in found], np.int32),
        "microbatch.joint_copies": np.array([one.copies for one in found], np.int64),
        "microbatch.joint_period_ns": np.array(period, np.int64),
    }


def _names(module: tir.Module, found: list[Interleaved]) -> list[str]:
    """What stands before `mb.1` in each set: its step if there are several, its number if its step has several."""
    in_step = Counter(item.step for item in found)
    seen: Counter[int] = Counter()
    out = []
    for item in found:
        name = f"set.{seen[item.step]}." if in_step[item.step] > 1 else ""
        seen[item.step] += 1
        if len(in_step) > 1 and item.step >= 0 and module.has_tree("steps"):
            name = f"{module.tree('steps').region_name(item.step)}.{name}"
        out.append(name)
    return out


def _rows(module: tir.Module, found: list[Interleaved], hiding: list[list[Hidden]]) -> dict[str, Array]:
    """A row for each micro-batch."""
    kernels = module.is_kind("dev.kernel")
    copies = [(number, item, copy) for number, item in enumerate(found) for copy in item.copies]
    parts = [part for of_set in hiding for part in of_set]
    offsets = [_offset(item, copy) for _, item, copy in copies]
    columns: dict[str, Array] = {
        "region": np.arange(len(copies), dtype=np.int32),
        "set": np.array([number for number, _, _ in copies], np.int64),
        "step": np.array([item.step for _, item, _ in copies], np.int32),
        "lane": np.array([copy.lane for _, _, copy in copies], np.int32),
        "how": np.array([HOWS.index(item.how) for _, item, _ in copies], np.int16),
        "direction": np.array([copy.direction for _, _, copy in copies], np.int16),
        "layers": np.array([len(copy.layers) for _, _, copy in copies], np.int64),
        "kernels": np.array([int(kernels[copy.rows].sum()) for _, _, copy in copies], np.int64),
        "offset_ns": np.array([tir.NULL_I64 if ns is None else ns for ns, _ in offsets], np.int64),
        "offset_layers": np.array([np.nan if layers is None else layers for _, layers in offsets], np.float64),
    }
    for name in ("comm", "by_others", "by_own", "exposed"):
        columns[f"{name}_ns"] = np.array([int(getattr(part, name).sum()) for part in parts], np.int64)
    return {f"microbatch.{name}": values for name, values in columns.items()}


def _offset(item: Interleaved, copy: Copy) -> tuple[int | None, float | None]:
    """How far the layers of a copy begin behind those of the first of its direction, in ns and in its layers."""
    first = next(other for other in item.copies if other.direction == copy.direction)
    if first is copy or len(first.layers) != len(copy.layers):
        return None, None
    offset = int(np.median(copy.starts - first.starts))
    pitch = float(np.median(np.diff(first.starts))) if len(first.starts) > 1 else 0.0
    return offset, offset / pitch if pitch > 0 else None


def _layers(found: list[Interleaved], hiding: list[list[Hidden]]) -> dict[str, Array]:
    """A row for each layer that communicates."""
    empty = np.empty(0, np.int64)
    layers, values = [empty], {name: [empty] for name in ("comm", "by_others", "by_own", "exposed")}
    for item, parts in zip(found, hiding, strict=True):
        for copy, part in zip(item.copies, parts, strict=True):
            said = part.comm > 0
            layers.append(copy.layers[said])
            for name, out in values.items():
                out.append(getattr(part, name)[said])
    return {
        "microbatch.layer": np.concatenate(layers).astype(np.int32),
        **{f"microbatch.layer_{name}_ns": np.concatenate(parts).astype(np.int64) for name, parts in values.items()},
    }


__all__ = ["Microbatch"]
