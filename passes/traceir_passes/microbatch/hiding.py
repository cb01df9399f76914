"""Hiding: of each layer's communication, what another micro-batch's compute covers, and what its own does."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, GroupedSpans, Ints, Mask
from traceir_passes.microbatch.sets import Copy, Interleaved


@attrs.frozen(eq=False)
class Hidden:
    """For each layer of a copy, in ns: its communication, and of that what others' compute and its own compute hide.

    `exposed` is what neither hides; what both hide counts in both.
    """

    comm: Ints
    by_others: Ints
    by_own: Ints
    exposed: Ints


def hidden(module: tir.Module, sets: Sequence[Interleaved]) -> list[list[Hidden]]:
    """For each copy of each set. Unions of intervals, exact. O(n log n) for all."""
    compute, comm = module.is_in("infer.class", {"compute"}), module.is_in("infer.class", {"comm"})
    at = module.tree("layers").at("layer") if sets else np.empty(0, np.int32)
    return [_hidden(module, found, compute, comm, at) for found in sets]


def _hidden(module: tir.Module, found: Interleaved, compute: Mask, comm: Mask, at: Array) -> list[Hidden]:
    computes = [_spans(module, item.rows[compute[item.rows]]) for item in found.copies]
    out = []
    for number, item in enumerate(found.copies):
        others = tir.Spans.empty()
        for other, spans in enumerate(computes):
            if other != number:
                others = others | spans
        rows = item.rows[comm[item.rows]]
        said = GroupedSpans.of(_layer(at[rows], item), module["ts"][rows], module.end[rows], len(item.layers))
        own = computes[number]
        out.append(
            Hidden(said.lengths, said.covered(others), said.covered(own), said.lengths - said.covered(own | others))
        )
    return out


def _spans(module: tir.Module, rows: Ints) -> tir.Spans:
    return tir.Spans.of(module["ts"][rows], module.end[rows])


def _layer(at: Array, item: Copy) -> Ints:
    """The place of each event's layer among those of its copy."""
    order = np.argsort(item.layers, kind="stable")
    return order[np.searchsorted(item.layers[order], at)]


__all__ = ["Hidden", "hidden"]
