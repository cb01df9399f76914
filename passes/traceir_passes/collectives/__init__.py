"""The pass `collectives`: collective operations, what they move, and the laws that they obey."""

from __future__ import annotations

from traceir_passes.collectives.collectives import Collectives
from traceir_passes.collectives.composites import Composite, Recogniser, Setting
from traceir_passes.collectives.laws import Law
from traceir_passes.collectives.report import CollectivesReport
from traceir_passes.collectives.vocabulary import KINDS

__all__ = ["KINDS", "Collectives", "CollectivesReport", "Composite", "Law", "Recogniser", "Setting"]
