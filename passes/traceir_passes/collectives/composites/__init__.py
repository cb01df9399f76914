"""Composites: communication that is more than one event, or less than a whole one. A recogniser per file."""

from __future__ import annotations

from traceir_passes.collectives.composites.base import Composite, Recogniser, Setting
from traceir_passes.collectives.composites.bucketed import Bucketed
from traceir_passes.collectives.composites.chunked import Chunked
from traceir_passes.collectives.composites.decomposed import Decomposed
from traceir_passes.collectives.composites.fused import Fused
from traceir_passes.collectives.composites.moe_pair import MoePair
from traceir_passes.collectives.composites.pieces import Pieces
from traceir_passes.collectives.composites.sends import Sends
from traceir_passes.collectives.composites.staged import Staged

__all__ = ["Composite", "Recogniser", "Setting", "recognisers"]


def recognisers(staged_share: float, pair_share: float, small: int, few: int) -> tuple[Recogniser, ...]:
    """All recognisers, in the order in which they are asked."""
    return (
        Staged(share=staged_share),
        Fused(),
        Decomposed(share=pair_share),
        Decomposed(share=pair_share, moved=True),
        Chunked(),
        Pieces(),
        Sends(),
        MoePair(),
        Bucketed(small=small, few=few),
        Bucketed(small=small, few=few, per_tensor=True),
    )
