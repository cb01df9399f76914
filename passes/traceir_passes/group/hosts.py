"""Host frames as trees: for each event its nearest enclosing frame of one sort, and what each frame launched."""

from __future__ import annotations

import itertools

import numpy as np

import traceir as tir
from traceir.ir import Array, Ints, Mask
from traceir.ir.callers import nearest


def nearest_of(module: tir.Module, chosen: Mask) -> Array:
    """For each event the nearest event-or-self in `chosen` up its chain of callers, or -1. O(n log depth)."""
    return nearest(module.caller, chosen)


def enclosing(module: tir.Module, chosen: Mask, found: Array | None = None) -> Array:
    """For each event the nearest *other* event in `chosen` up its chain of callers, or -1.

    `found` is what `nearest_of` gives for these, if it is known.
    """
    found = nearest_of(module, chosen) if found is None else found
    return np.where(module.caller >= 0, found[module.caller], -1)


def is_below(frame: int, taken: Array, parent: Array) -> bool:
    """Whether a frame (-1 none) or one above it is taken already, as a layer is."""
    while frame >= 0:
        if taken[frame]:
            return True
        frame = int(parent[frame])
    return False


def owners(first: Array, above: Array) -> list[Array]:
    """The chain of frames over each item, level by level: innermost, the one above it, … (-1 where it ended)."""
    chain = []
    here = first.copy()
    padded = np.append(above, -1)
    while (here >= 0).any():
        chain.append(here)
        here = padded[here]
    return chain


def sums(chain: list[Array], values: Array, size: int) -> Ints:
    """Inclusive integer sums: for each frame the total of `values` over the items below it."""
    total = np.zeros(size, np.int64)
    for level in chain:
        inside = level >= 0
        np.add.at(total, level[inside], values[inside])
    return total


def split(group: Array, count: int) -> list[Ints]:
    """The positions that belong to each of `count` groups, in order; -1 belongs to none. O(n log n) for all."""
    order = np.argsort(group, kind="stable")
    edges = np.searchsorted(group[order], np.arange(count + 1)).tolist()
    return [order[start:stop] for start, stop in itertools.pairwise(edges)]
