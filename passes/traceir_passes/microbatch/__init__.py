"""The pass `microbatch`: copies of a model that take turns in a step, and who hides whose communication."""

from __future__ import annotations

from traceir_passes.microbatch.microbatch import Microbatch
from traceir_passes.microbatch.report import MicrobatchReport

__all__ = ["Microbatch", "MicrobatchReport"]
