"""The pass `metrics`: hardware metrics of a kernel profiler on the kernels of a timeline."""

from __future__ import annotations

from traceir_passes.metrics.metrics import Metrics
from traceir_passes.metrics.report import MetricsReport

__all__ = ["Metrics", "MetricsReport"]
