"""The pass `overlap`: communication time, hidden behind compute or exposed."""

from __future__ import annotations

from traceir_passes.overlap.overlap import Overlap
from traceir_passes.overlap.report import OverlapReport

__all__ = ["Overlap", "OverlapReport"]
