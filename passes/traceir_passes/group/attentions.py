"""Anchors: attention kernels that count layers, of each direction, within the segments that no layer crosses."""

from __future__ import annotations

import re
from typing import Final

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Ints, Mask
from traceir_passes.group.tokens import LaneWork

_BACKWARD: Final = re.compile(r"(?i:bwd|backward)|Grad(?![a-z])")
_BIAS: Final = re.compile(rb"(?<=g)E(?=S|gSg)")
MOST_RECOMPUTED: Final = 2
"""Attentions that a layer runs again before its backward pass: a layer has one or two, three in a row are a pass."""


@attrs.frozen(eq=False)
class Anchors:
    """The anchors of one direction on one lane: core positions in order, and the segment of each.

    `begin` and `end` bound by the last anchor of the other direction before each and the next one behind it, as core
    positions: passes that take turns (accumulated gradients) are passes apart though nothing stands between them.
    """

    at: Ints
    segment: Ints
    begin: Ints
    end: Ints


def leaf_is_backward(name: str) -> bool:
    """Whether a kernel name says, outside its template arguments and parameters, that it is a backward kernel."""
    head = re.split(r"[<(]", name.removeprefix("void "), maxsplit=1)[0]
    return bool(_BACKWARD.search(head or name))


def segments(work: LaneWork, cuts: Ints) -> tuple[Ints, Mask]:
    """For each lane position its segment, and which positions are separators, which no layer crosses.

    A segment ends at an embedding or sampling token and at each position in `cuts` (the first of a new
    stretch). A position bias is an embedding inside attention and separates nothing.
    """
    separator = np.zeros(len(work), bool)
    core = work.tokens[work.core]
    parts = ((core == ord("E")) | (core == ord("Z"))) & ~_biases(core)
    separator[work.core[parts]] = True
    step = separator.astype(np.int64)
    step[1:] |= separator[:-1]
    step[cuts[cuts < len(work)]] = 1
    return np.cumsum(step), separator


def _biases(core: Array) -> Mask:
    """Which core tokens are embeddings inside attention: a position bias, computed before the scores or after them.

    It stands right between a gemm and its softmax, or between two gemms of which the second is that of the scores, with
    softmax and gemm right behind it: what a model embeds has to be projected first, which takes a gemm more.
    """
    text = core.astype(np.uint8).tobytes()
    out = np.zeros(len(core), bool)
    out[[found.start() for found in _BIAS.finditer(text)]] = True
    return out


def find_anchors(work: LaneWork, segment: Ints, module: tir.Module) -> dict[str, Anchors]:
    """The anchors of each direction: attention, linear attention, and a softmax between two gemms.

    Anchors with no gemm between them are one (a prefill and a decode kernel, the parts of a linear attention).
    One or two forward anchors between backward ones are recomputation and belong to the backward layer.
    """
    core = work.tokens[work.core]
    chosen = (core == ord("A")) | (core == ord("L"))
    near = np.flatnonzero(~_biases(core))  # a position bias stands between a gemm and its softmax without parting them
    if len(near) > 2:
        left, mine, right = core[near[:-2]], core[near[1:-1]], core[near[2:]]
        chosen[near[1:-1][(mine == ord("S")) & (left == ord("g")) & (right == ord("g"))]] = True
    at = np.flatnonzero(chosen)
    if not len(at):
        return {}
    codes = work.names[work.core[at]]
    distinct, inverse = np.unique(codes, return_inverse=True)
    backward = np.array([leaf_is_backward(module.strings[int(code)]) for code in distinct])[inverse]
    gemms = np.append(0, np.cumsum((core == ord("g")) | (core == ord("M"))))[at]
    mine = segment[work.core[at]]
    joined = np.zeros(len(at), bool)
    joined[1:] = (gemms[1:] == gemms[:-1]) & (backward[1:] == backward[:-1]) & (mine[1:] == mine[:-1])
    at, backward, mine = at[~joined], backward[~joined], mine[~joined]
    forward = ~backward & ~_recomputed(backward)
    out = {}
    for name, wanted, other in (("forward", forward, backward), ("backward", backward, forward)):
        if wanted.any():
            bounds = np.concatenate([[-1], at[other], [len(core)]])
            after = np.searchsorted(bounds, at[wanted])
            out[name] = Anchors(at[wanted], mine[wanted], bounds[after - 1] + 1, bounds[after])
    return out


def _recomputed(backward: Mask) -> Mask:
    """Which anchors are forward ones that stand, at most `MOST_RECOMPUTED` in a row, between two backward ones."""
    edges = np.append(np.flatnonzero(np.diff(backward, prepend=~backward[0])), len(backward))
    sizes = np.diff(edges)
    inner = (sizes <= MOST_RECOMPUTED) & ~backward[edges[:-1]]
    inner[[0, -1]] = False
    return np.repeat(inner, sizes)
