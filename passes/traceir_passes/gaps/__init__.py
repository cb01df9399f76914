"""The pass `gaps`: the idle stretches of devices and lanes, each with a cause."""

from __future__ import annotations

from traceir_passes.gaps.gaps import Gaps
from traceir_passes.gaps.report import GapsReport

__all__ = ["Gaps", "GapsReport"]
