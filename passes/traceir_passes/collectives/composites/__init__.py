"""Composites: communication that is more than one event, or less than a whole one. A recogniser per file."""

from __future__ import annotations

from traceir_passes.collectives.composites.base import Composite, Recogniser, Setting
from traceir_passes.collectives.composites.bucketed import Bucketed
from traceir_passes.collectives.composites.fused import Fused
from traceir_passes.collectives.composites.moe_pair import MoePair
from traceir_passes.collectives.composites.staged import Staged

__all__ = ["Composite", "Recogniser", "Setting", "recognisers"]


def recognisers(staged_share: float) -> tuple[Recogniser, ...]:
    """All recognisers, in the order in which they are asked."""
    return Staged(share=staged_share), Fused(), MoePair(), Bucketed()
