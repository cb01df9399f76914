"""Passes and the manager that runs them in the user's order."""

from __future__ import annotations

from traceir.passing.base import Pass
from traceir.passing.context import Analysis, PassContext, Remark
from traceir.passing.instrument import Instrument, Timing
from traceir.passing.manager import PassManager
from traceir.passing.options import Duration, Share, option
from traceir.passing.report import Block, Fact, Report, to_json

__all__ = [
    "Analysis",
    "Block",
    "Duration",
    "Fact",
    "Instrument",
    "Pass",
    "PassContext",
    "PassManager",
    "Remark",
    "Report",
    "Share",
    "Timing",
    "option",
    "to_json",
]
