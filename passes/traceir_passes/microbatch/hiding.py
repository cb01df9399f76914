"""Hiding: of each layer's communication, what another micro-batch's compute covers, and what its own does."""

from __future__ import annotations

import attrs
import numpy as np

import traceir as tir
from traceir.ir import GroupedSpans, Ints
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


def hidden(module: tir.Module, found: Interleaved) -> list[Hidden]:
    """For each copy of a set. Unions of intervals, exact. O(n log n)."""
    kinds = module.text("infer.class")
    of_class = np.array([text or "" for text in kinds], object)
    computes = [_spans(module, item.rows[of_class[item.rows] == "compute"]) for item in found.copies]
    out = []
    for number, item in enumerate(found.copies):
        others = tir.Spans.empty()
        for other, spans in enumerate(computes):
            if other != number:
                others = others | spans
        rows = item.rows[of_class[item.rows] == "comm"]
        comm = GroupedSpans.of(_layer(module, item, rows), module["ts"][rows], module.end[rows], len(item.layers))
        own = computes[number]
        out.append(
            Hidden(comm.lengths, comm.covered(others), comm.covered(own), comm.lengths - comm.covered(own | others))
        )
    return out


def _spans(module: tir.Module, rows: Ints) -> tir.Spans:
    return tir.Spans.of(module["ts"][rows], module.end[rows])


def _layer(module: tir.Module, item: Copy, rows: Ints) -> Ints:
    """The place of each row's layer among those of its copy."""
    at = module.tree("layers").at("layer")[rows]
    order = np.argsort(item.layers, kind="stable")
    return order[np.searchsorted(item.layers[order], at)]


__all__ = ["Hidden", "hidden"]
