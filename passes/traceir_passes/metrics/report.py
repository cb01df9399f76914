"""What the pass `metrics` reports."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

import traceir as tir
from traceir import units
from traceir.ir import Array

_FIGURES = ("sm", "memory", "dram", "occupancy", "bandwidth")


@attrs.frozen(kw_only=True)
class OpRow:
    """All kernels of one label (or role): time, that of kernels with metrics, and means weighted by time.

    `sm`, `memory`, `dram`, `occupancy` are shares of a peak, `bandwidth_b_s` bytes a second; null where no kernel
    says so. `bound_ns` is the time of kernels by what bounds them.
    """

    op: str
    kernels: int
    time_ns: int
    known_ns: int
    sm: float | None
    memory: float | None
    dram: float | None
    occupancy: float | None
    bandwidth_b_s: float | None
    bound_ns: dict[str, int]


@attrs.frozen
class MetricsReport(tir.Report):
    """How busy kernels kept the device, by label or role; `by` says which of the two.

    `kernel_time_ns` sums all kernels, `known_ns` those with metrics, of it `guessed_ns` those that got the median of
    their like.
    """

    kernel_time_ns: int
    known_ns: int
    guessed_ns: int
    by: str
    bound_ns: dict[str, int]
    ops: tuple[OpRow, ...]

    def headline(self) -> Sequence[tir.Fact]:
        """How much of the kernel time has metrics."""
        if not self.kernel_time_ns:
            return ()
        share = self.known_ns / self.kernel_time_ns
        return (tir.Fact("metrics known", share, "share", of="kernel time"),)

    def blocks(self) -> Sequence[tir.Block]:
        """The ops that take most time, with their metrics."""
        rows = tuple(
            (row.op, units.time(row.time_ns), *(_share(getattr(row, name)) for name in _FIGURES[:4]), _rate(row),
             _bound(row))
            for row in self.ops
            if row.known_ns
        )  # fmt: skip
        columns = (self.by, "time", "compute", "memory", "dram", "occupancy", "bandwidth", "bound by")
        return [tir.Block("use of the device, shares of the peak", columns, rows)] if rows else []


def build(module: tir.Module) -> MetricsReport:
    """The report of a module that the pass has run over. O(n log n)."""
    rows = np.flatnonzero(module.work & module.is_kind("dev.kernel"))
    by = "label" if "group.label" in module else "role" if "infer.role" in module else "name"
    column = {"label": "group.label", "role": "infer.role", "name": "name"}[by]
    codes = module[column][rows]
    dur, basis = module["dur"][rows], module["metrics.basis"][rows]
    ops = []
    for code in np.unique(codes).tolist():
        mine = rows[codes == code]
        ops.append(_row(module, "none" if code < 0 else module.strings[code], mine))
    return MetricsReport(
        kernel_time_ns=int(dur.sum()),
        known_ns=int(dur[basis >= 0].sum()),
        guessed_ns=int(dur[basis == 1].sum()),
        by=by,
        bound_ns=_bounds(module, rows),
        ops=tuple(sorted(ops, key=lambda row: (-row.time_ns, row.op))),
    )


def _row(module: tir.Module, op: str, rows: Array) -> OpRow:
    dur = module["dur"][rows]
    known = module["metrics.basis"][rows] >= 0
    means = {name: _mean(module[f"metrics.{name}"][rows], dur) for name in _FIGURES}
    return OpRow(
        op=op,
        kernels=len(rows),
        time_ns=int(dur.sum()),
        known_ns=int(dur[known].sum()),
        bandwidth_b_s=means.pop("bandwidth"),
        bound_ns=_bounds(module, rows),
        **means,
    )


def _mean(values: Array, weights: Array) -> float | None:
    known = ~np.isnan(values)
    total = int(weights[known].sum())
    return float((values[known] * weights[known]).sum() / total) if total else None


def _bounds(module: tir.Module, rows: Array) -> dict[str, int]:
    values = module.annotations["metrics.bound"].annotation.values
    bound, dur = module["metrics.bound"][rows], module["dur"][rows]
    return {name: int(dur[bound == code].sum()) for code, name in enumerate(values)}


def _share(value: float | None) -> str:
    return "unknown" if value is None else units.share(value, 1)


def _rate(row: OpRow) -> str:
    return "unknown" if row.bandwidth_b_s is None else f"{row.bandwidth_b_s / 1e9:.0f} GB/s"


def _bound(row: OpRow) -> str:
    total = sum(row.bound_ns.values())
    if not total:
        return "unknown"
    name, most = max(row.bound_ns.items(), key=lambda pair: pair[1])
    return name if most == total else f"{name} {units.share(most, total)}"
