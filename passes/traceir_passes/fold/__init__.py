"""The pass `fold`: like steps and like layers as templates, with statistics per op and the instances of each."""

from __future__ import annotations

from traceir_passes.fold.columns import TABLES, WRITES
from traceir_passes.fold.fold import Fold
from traceir_passes.fold.report import FoldReport

__all__ = ["TABLES", "WRITES", "Fold", "FoldReport"]
