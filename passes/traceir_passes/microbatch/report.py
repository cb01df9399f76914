"""What the pass `microbatch` reports."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

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
class MicrobatchReport(tir.Report):
    """The sets of micro-batches, in order of time; none if nothing runs beside the layers of a step."""

    sets: tuple[Set, ...]

    def headline(self) -> Sequence[tir.Fact]:
        """How many run at once, and how much of their communication the others hide."""
        if not self.sets:
            return ()
        batches = [batch for item in self.sets for batch in item.batches]
        comm = sum(batch.comm_ns for batch in batches)
        most = max(len(item.batches) for item in self.sets)
        hidden = sum(batch.by_others_ns for batch in batches) / comm if comm else None
        return (
            tir.Fact("micro-batches at once", most),
            tir.Fact("hidden by another micro-batch", hidden, "share", of="their communication", note="there is none"),
        )

    def blocks(self) -> Sequence[tir.Block]:
        """A row for each micro-batch."""
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
    return MicrobatchReport(tuple(Set(told[number], tuple(batches)) for number, batches in sets.items()))


_COLUMNS = (
    "region", "set", "step", "lane", "layers", "kernels", "offset_ns", "offset_layers", "comm_ns", "by_others_ns",
    "by_own_ns", "exposed_ns",
)  # fmt: skip


__all__ = ["Batch", "MicrobatchReport", "Set", "build"]
