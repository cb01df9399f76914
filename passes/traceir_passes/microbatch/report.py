"""What the pass `microbatch` reports."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import attrs
import numpy as np

import traceir as tir
from traceir import units


@attrs.frozen
class Batch:
    """One micro-batch: its region, step and lane, how many layers, its distance from the first, its communication."""

    name: str
    step: str | None
    lane: str
    direction: str
    layers: int
    kernels: int
    offset_ns: int | None
    offset_layers: float | None
    comm_ns: int
    by_others_ns: int
    by_own_ns: int
    exposed_ns: int


@attrs.frozen
class Set:
    """Micro-batches that run at once, and what tells them apart: `turns`, `lane` or `direction`."""

    how: str
    batches: tuple[Batch, ...]


@attrs.frozen
class JointStack:
    """A stack of which each layer holds one layer of each of `copies` that nothing tells apart; `period_ns` is joint.

    `kernels` are those of such a joint layer. `period_ns` is null for a stack of one layer.
    """

    stack: str
    step: str | None
    lane: str
    layers: int
    copies: int
    kernels: int
    period_ns: int | None


@attrs.frozen
class JointKind:
    """Like joint stacks: how many there are, and the median of their joint periods."""

    lane: str
    layers: int
    copies: int
    kernels: int
    stacks: int
    period_ns: int | None

    @property
    def sentence(self) -> str:
        """What is known of them, and why no more is."""
        number, often = _NUMBERS[self.copies]
        period = "unknown" if self.period_ns is None else units.time(self.period_ns)
        times = f" in each of {units.count(self.stacks)} stacks" if self.stacks > 1 else ""
        return (
            f"Each of {units.count(self.layers)} layers on @{self.lane}{times} looks like {number} micro-batches in "
            f"turns, since its {units.count(self.kernels)} kernels are those of one layer {often} over, interleaved. "
            "Neither ranges, launching threads nor lanes tell them apart, so the split is not unique; the joint period "
            f"is {period} a layer."
        )


_NUMBERS = {2: ("two", "twice"), 3: ("three", "three times"), 4: ("four", "four times")}


@attrs.frozen
class MicrobatchReport(tir.Report):
    """The sets of micro-batches, in order of time; none if nothing runs beside the layers of a step.

    `joint` are stacks that look like several micro-batches that nothing tells apart.
    """

    sets: tuple[Set, ...]
    joint: tuple[JointStack, ...] = ()

    def headline(self) -> Sequence[tir.Fact]:
        """How many run at once, and how much of their communication the others hide."""
        if self.joint and not self.sets:
            most = max(one.copies for one in self.joint)
            return (tir.Fact("micro-batches at once", f"{most} by the look of the layers, not told apart"),)
        if not self.sets:
            return ()
        batches = [batch for item in self.sets for batch in item.batches]
        comm = sum(batch.comm_ns for batch in batches)
        most = max(len(item.batches) for item in self.sets)
        hidden = sum(batch.by_others_ns for batch in batches) / comm if comm else None
        none = "" if comm else "there is none"
        return (
            tir.Fact("micro-batches at once", most),
            tir.Fact("hidden by another micro-batch", hidden, "share", of="their communication", note=none),
        )

    def blocks(self) -> Sequence[tir.Block]:
        """A row for each micro-batch, and for each kind of layers that looks like several."""
        return (*self._split(), *self._joint())

    def _joint(self) -> Sequence[tir.Block]:
        if not self.joint:
            return ()
        rows = tuple(
            (
                f"@{one.lane}", units.count(one.copies), units.count(one.layers), units.count(one.stacks),
                units.count(one.kernels), "unknown" if one.period_ns is None else units.time(one.period_ns),
            )
            for one in joint_kinds(self.joint)
        )  # fmt: skip
        columns = ("lane", "copies", "layers", "stacks", "kernels of a joint layer", "joint period")
        note = "nothing tells the copies apart: the split is not unique"
        return (tir.Block("micro-batches that are not told apart", columns, rows, note),)

    def _split(self) -> Sequence[tir.Block]:
        if not self.sets:
            return ()
        columns = ("micro-batch", "lane", "layers", "behind the first", "communication", "hidden by others", "exposed")
        rows = tuple(_row(batch) for item in self.sets for batch in item.batches)
        return (tir.Block("micro-batches", columns, rows),)


def _row(batch: Batch) -> tuple[str, ...]:
    behind = "–" if batch.offset_ns is None else units.time(batch.offset_ns)
    if batch.offset_layers is not None:
        behind += f" ({batch.offset_layers:.1f} layers)"
    backward = " backward" if batch.direction == "backward" else ""
    return (
        batch.name + backward,
        f"@{batch.lane}",
        units.count(batch.layers),
        behind,
        units.time(batch.comm_ns),
        units.share(batch.by_others_ns, batch.comm_ns),
        units.time(batch.exposed_ns),
    )


def build(module: tir.Module) -> MicrobatchReport:
    """The report of a module that the pass has run over."""
    columns = {name: module[f"microbatch.{name}"].tolist() for name in _COLUMNS}
    how, direction = module.text("microbatch.how"), module.text("microbatch.direction")
    tree = module.tree("microbatches")
    steps = module.tree("steps") if module.has_tree("steps") else None
    sets: dict[int, list[Batch]] = {}
    told: dict[int, str] = {}
    for row in range(len(columns["set"])):
        one = {name: values[row] for name, values in columns.items()}
        told[one["set"]] = how[row] or ""
        sets.setdefault(one["set"], []).append(
            Batch(
                name=tree.region_name(one["region"]),
                step=steps.region_name(one["step"]) if steps is not None and one["step"] >= 0 else None,
                lane=module.lanes[one["lane"]].name,
                direction=direction[row] or "",
                layers=one["layers"],
                kernels=one["kernels"],
                offset_ns=None if one["offset_ns"] == tir.NULL_I64 else one["offset_ns"],
                offset_layers=None if math.isnan(one["offset_layers"]) else round(one["offset_layers"], 3),
                comm_ns=one["comm_ns"],
                by_others_ns=one["by_others_ns"],
                by_own_ns=one["by_own_ns"],
                exposed_ns=one["exposed_ns"],
            )
        )
    return MicrobatchReport(
        tuple(Set(told[number], tuple(batches)) for number, batches in sets.items()), joint_stacks(module)
    )


def joint_stacks(module: tir.Module) -> tuple[JointStack, ...]:
    """The stacks of copies that nothing tells apart, of a module that holds the pass's tables."""
    layers = module.tree("layers")
    steps = module.tree("steps") if module.has_tree("steps") else None
    of_stack = np.bincount(layers.ancestor("stack")[layers.of_kind("layer")], minlength=len(layers))
    columns = (module[f"microbatch.{name}"].tolist() for name in ("joint", "joint_copies", "joint_period_ns"))
    out = []
    for stack, copies, period in zip(*columns, strict=True):
        step = int(module["group.step"][stack])
        out.append(
            JointStack(
                stack=layers.region_name(stack),
                step=steps.region_name(step) if steps is not None and step >= 0 else None,
                lane=module.lanes[int(module["group.lane"][stack])].name,
                layers=int(of_stack[stack]),
                copies=copies,
                kernels=int(module["group.kernels_per_layer"][stack]),
                period_ns=None if period == tir.NULL_I64 else period,
            )
        )
    return tuple(out)


def joint_kinds(stacks: Sequence[JointStack]) -> tuple[JointKind, ...]:
    """Like stacks as one, in order of the first of each."""
    kinds: dict[tuple[str, int, int, int], list[JointStack]] = {}
    for one in stacks:
        kinds.setdefault((one.lane, one.layers, one.copies, one.kernels), []).append(one)
    out = []
    for (lane, layers, copies, kernels), like in kinds.items():
        known = [one.period_ns for one in like if one.period_ns is not None]
        period = int(statistics.median(known)) if known else None
        out.append(JointKind(lane, layers, copies, kernels, len(like), period))
    return tuple(out)


_COLUMNS = (
    "region", "set", "step", "lane", "layers", "kernels", "offset_ns", "offset_layers", "comm_ns", "by_others_ns",
    "by_own_ns", "exposed_ns",
)  # fmt: skip


__all__ = ["Batch", "JointKind", "JointStack", "MicrobatchReport", "Set", "build", "joint_kinds", "joint_stacks"]
