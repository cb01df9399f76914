"""Synthetic traces: Kineto documents of a configurable decoder, with the truth about each of them.

>>> from traceir import synth
>>> text, truth = synth.render(synth.Decoder(layers=2, steps=1, launch="graph"))
>>> truth.kernels_per_layer, truth.stacks[0].layers
(13, 2)

`write` streams a document of any size to a file; `python -m traceir.synth` does so from the command line.
"""

from __future__ import annotations

from traceir.synth.options import Decoder
from traceir.synth.truth import GapTruth, Member, StackTruth, StepTruth, Times, Truth, Variant
from traceir.synth.writer import render, write

__all__ = [
    "Decoder",
    "GapTruth",
    "Member",
    "StackTruth",
    "StepTruth",
    "Times",
    "Truth",
    "Variant",
    "render",
    "write",
]
