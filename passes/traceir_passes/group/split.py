"""The tensor-parallel reading: which products are split by rows of their weight, and which by columns."""

from __future__ import annotations

from typing import Final

import numpy as np

import traceir as tir
from traceir.ir import Array
from traceir_passes.group.attach import ended_before_within
from traceir_passes.group.stack import DIRECTIONS
from traceir_passes.group.tokens import letters

SPLITS: Final = ("column", "row")
REDUCES: Final = letters(frozenset("RXF"))
PRODUCES: Final = letters(frozenset("gM"))
FEEDS: Final = frozenset({
    "qkv_proj", "q_proj", "k_proj", "v_proj", "qkv_b_proj", "in_proj", "gate_up_proj", "gate_proj", "up_proj",
    "shared_gate_up_proj", "shared_gate_proj", "shared_up_proj",
})  # fmt: skip
"""Labels of products whose outputs a rank keeps for itself. Routers and what compresses are whole on every rank."""


def splits(module: tir.Module, tokens: Array, labels: list[str], label: Array) -> Array:
    """For each event a position in `SPLITS`, or -1. `label` are positions in `labels`, -1 for none.

    An all-reduce or a reduce-scatter (alone or fused with the norm of the next block or layer) completes partial sums:
    so the last product of its stack that ended before it is split by rows of its weight, and the products of that
    one's block that feed it are split by columns. A block without a reduction says nothing, nor does a backward
    layer, where reductions are of gradients. Nothing is said of heads: tensor parallelism cuts matrices. O(n log n).
    """
    out = np.full(len(module), -1, np.int16)
    if not module.has_tree("layers"):
        return out
    tree, leaf = module.tree("layers"), module["tree.layers"].astype(np.int64)
    forward = module["group.direction"] == DIRECTIONS.index("forward")
    stack = np.append(tree.ancestor("stack"), -1).astype(np.int64)
    inside = np.append(forward, False)[stack]
    rows = np.flatnonzero(inside[leaf] & module.work)
    products, sums = rows[PRODUCES[tokens[rows]]], rows[REDUCES[tokens[rows]]]
    if not len(products) or not len(sums):
        return out
    last = ended_before_within((module.end[products], stack[leaf[products]]), (module["ts"][sums], stack[leaf[sums]]))
    made = products[last[last >= 0]]
    out[made] = SPLITS.index("row")
    feeds = np.array([text in FEEDS for text in labels] + [False])[label[products]]
    reduced = np.zeros(int(leaf.max()) + 1, bool)
    reduced[leaf[made]] = True
    fed = products[feeds & reduced[leaf[products]]]
    out[fed[out[fed] < 0]] = SPLITS.index("column")
    return out
