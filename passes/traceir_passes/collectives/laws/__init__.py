"""Count laws: how many collectives a parallel program must have, and which names a broken law suspects."""

from __future__ import annotations

import attrs

import traceir as tir
from traceir_passes.collectives.laws.base import Counted, Law, Steps
from traceir_passes.collectives.laws.experts import experts
from traceir_passes.collectives.laws.gradients import gradients, parameters, sharded
from traceir_passes.collectives.laws.layers import Layers
from traceir_passes.collectives.laws.ranks import ranks
from traceir_passes.collectives.laws.tensor_parallel import tensor_parallel

__all__ = ["INCOMPLETE", "Counted", "Law", "laws"]

INCOMPLETE = ("sampled", "missing_replays")
"""Findings that say that not all events were recorded: under them a count that is short proves nothing."""


def laws(module: tir.Module, counted: Counted) -> list[Law]:
    """All laws that this trace can be held to; without collectives, that there are none. O(n log n)."""
    if not len(counted.rows):
        return [Law("no collectives", 0, 0, True)]
    steps = Steps.find(module)
    layers = Layers.find(module, steps)
    told = [
        *tensor_parallel(counted, steps, layers),
        *experts(counted, steps, layers),
        *gradients(counted, steps),
        *parameters(counted, steps),
        *sharded(counted, steps, layers),
        *ranks(counted, steps),
    ]
    codes = [finding.code for finding in module.health if finding.code in INCOMPLETE]
    return [_doubted(law, codes[0]) if codes and law.holds is False else law for law in told]


def _doubted(law: Law, code: str) -> Law:
    note = f"{law.note}; {code}" if law.note else code
    return attrs.evolve(law, holds=None, note=note, suspects=())
