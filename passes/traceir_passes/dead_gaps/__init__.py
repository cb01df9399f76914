"""The pass `dead-gaps`: closes up the idle time that is proved dead on every device."""

from __future__ import annotations

from traceir_passes.dead_gaps.columns import GAPS, INTERVALS, WRITES
from traceir_passes.dead_gaps.dead_gaps import DeadGaps
from traceir_passes.dead_gaps.report import DeadGapsReport
from traceir_passes.dead_gaps.timemap import TimeMap, source_times

__all__ = ["GAPS", "INTERVALS", "WRITES", "DeadGaps", "DeadGapsReport", "TimeMap", "source_times"]
