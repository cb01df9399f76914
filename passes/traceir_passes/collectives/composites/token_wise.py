"""Which work treats each token by itself, so that it may run on a shard of the tokens."""

from __future__ import annotations

from typing import Final

from traceir.pattern import event

TOKEN_WISE: Final = (
    event("infer.op_kind", "elemwise", "broadcast", "injective") | event("infer.role", "norm", "norm-part", "quant")
) & event("infer.class", "compute", "memory")
"""Elementwise work and reductions over the hidden dimension only: norms, and the scales of a quantisation."""
