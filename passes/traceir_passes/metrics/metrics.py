"""The pass itself: columns of metrics on kernels, and what bounds each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array
from traceir_passes.metrics import report
from traceir_passes.metrics.join import Joined, Profiled, join

ROLE: Final = "metrics"
"""The further input that holds the profile (`--metrics FILE`)."""
BOUNDS: Final = ("compute", "memory", "latency")
BASES: Final = ("measured", "guessed")
_NULL: Final = "no device work, no kernel, or the profile does not say"


@attrs.frozen
class Metrics(tir.Pass):
    """Join a kernel profiler's metrics to the timeline: how busy each kernel kept the device, and what bounds it.

    A kernel profiler (`ncu`) replays kernels one by one and knows nothing of time; the timeline knows when they ran
    and not how well. Kernels are the same by name and, where recorded, launch shape, the n-th to the n-th. As in the
    profiler's own reading, a kernel is bound by what it uses most, and by latency where it uses neither compute nor
    memory for `busy` of their peak. O(n log n).
    """

    busy: tir.Share = tir.option(
        0.6, help="share of a peak below which a unit is no bound; the profiler's own rules warn below 60 %"
    )
    spread: bool = tir.option(
        True,
        help="give kernels that were not profiled the median of those of their name and launch shape, as a guess",
    )

    reads: ClassVar[tuple[str, ...]] = ("kind", "name", "ts", "dur", "lane", "live", "args")
    uses: ClassVar[tuple[str, ...]] = ("infer.role", "group.label", "tree.layers")
    writes: ClassVar[tuple[tir.Annotation, ...]] = (
        tir.Annotation("metrics.sm", dtype="f64", doc="Compute throughput as a share of its peak.", null=_NULL),
        tir.Annotation("metrics.memory", dtype="f64", doc="Memory throughput as a share of its peak.", null=_NULL),
        tir.Annotation("metrics.dram", dtype="f64", doc="DRAM throughput as a share of its peak.", null=_NULL),
        tir.Annotation("metrics.occupancy", dtype="f64", doc="Warps that were active, as a share of all.", null=_NULL),
        tir.Annotation("metrics.bandwidth", dtype="f64", unit="B/s", doc="Achieved DRAM bandwidth.", null=_NULL),
        tir.Annotation("metrics.bound", dtype="enum", values=BOUNDS, doc="What bounds the kernel.", null=_NULL),
        tir.Annotation(
            "metrics.basis", dtype="enum", values=BASES, null=_NULL,
            doc="Whether the metrics are its own, or the median of its like.",
        ),
    )  # fmt: skip

    def run(self, module: tir.Module, context: tir.PassContext) -> tir.Module:
        """The module with the metrics of the profile that the context holds; all null, and a remark, without one."""
        profile = context.inputs.get(ROLE)
        if profile is None:
            context.remark(self.name(), "There is no profile to join; give one with --metrics FILE.", kind="missed")
            return module.with_columns(self._columns(module, Joined(np.empty(0, np.int64), [], [], 0)))
        found = join(module, profile, spread=self.spread)
        if found.unused:
            context.remark(self.name(), f"{found.unused} kernels of the profile have no partner here.", kind="missed")
        return module.with_columns(self._columns(module, found))

    def _columns(self, module: tir.Module, found: Joined) -> dict[str, Array]:
        out: dict[str, Array] = {}
        for field in attrs.fields(Profiled):
            values = np.full(len(module), np.nan)
            values[found.rows] = [_real(None if item is None else getattr(item, field.name)) for item in found.found]
            out[f"metrics.{field.name}"] = values
        bound, basis = np.full(len(module), -1, np.int16), np.full(len(module), -1, np.int16)
        bound[found.rows] = [self._bound(item) for item in found.found]
        basis[found.rows] = _bases(found.found, found.own)
        return {**out, "metrics.bound": bound, "metrics.basis": basis}

    def _bound(self, item: Profiled | None) -> int:
        if item is None or item.sm is None or item.memory is None:
            return -1
        if max(item.sm, item.memory) < self.busy:
            return BOUNDS.index("latency")
        return BOUNDS.index("compute" if item.sm >= item.memory else "memory")

    def report(self, module: tir.Module) -> report.MetricsReport:
        """Metrics by label (or role), and how much of the kernel time has any."""
        return report.build(module)

    def check(self, module: tir.Module) -> list[str]:
        """Only kernels have metrics, and no share is negative."""
        has = module["metrics.basis"] >= 0
        out = []
        if (has & ~module.is_kind("dev.kernel")).any():
            out.append("What is no kernel has metrics.")
        if any((module[f"metrics.{name}"] < 0).any() for name in ("sm", "memory", "dram", "occupancy", "bandwidth")):
            out.append("A metric is negative.")
        return out


def _real(value: float | None) -> float:
    return np.nan if value is None else value


def _bases(found: Sequence[Profiled | None], own: Sequence[bool]) -> list[int]:
    return [
        -1 if item is None else BASES.index("measured" if mine else "guessed")
        for item, mine in zip(found, own, strict=True)
    ]
