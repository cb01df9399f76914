"""The pass `critical-path`: the longest chain of what waited for what, and the slack of everything else."""

from __future__ import annotations

from traceir_passes.critical_path.critical_path import CriticalPath
from traceir_passes.critical_path.report import CriticalPathReport

__all__ = ["CriticalPath", "CriticalPathReport"]
