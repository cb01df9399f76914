"""Ranges around whole forward passes: no layer crosses their borders."""

from __future__ import annotations

from collections import Counter

import numpy as np

import traceir as tir
from traceir.ir import Array, Ints
from traceir_passes.group.annotations import DIGITS, MAX_ANCHORS, MODULE
from traceir_passes.group.hosts import enclosing, nearest_of, owners, sums
from traceir_passes.group.tokens import LaneWork

MAX_SORTS = 16
"""Sorts of ranges that are looked at, those with most ranges first; programs nest a few."""


def pass_ranges(module: tir.Module, tokens: Array) -> list[Array]:
    """For each sort of range that holds whole passes: the range (row) that each event was launched in, or -1.

    A sort is a text without its numbers. Its ranges hold whole passes if at least two of them launched more attentions
    each than a layer has. One range alone says nothing: it may be around all that was measured. O(n · depth).
    """
    chosen = module.is_kind("host.range") & module.live
    rows = np.flatnonzero(chosen)
    work = np.flatnonzero(module.work & (module.launch >= 0))
    if len(rows) < 2 or not len(work):
        return []
    position = np.full(len(module) + 1, -1, np.int64)
    position[rows] = np.arange(len(rows))
    nearest = nearest_of(module, chosen)
    parent = position[enclosing(module, chosen, nearest)[rows]]
    chain = owners(position[nearest[module.launch[work]]], parent)
    anchors = sums(chain, np.isin(tokens[work], np.frombuffer(b"AL", np.uint8)), len(rows))
    big = np.flatnonzero(anchors > MAX_ANCHORS)
    texts = {code: module.strings[code] for code in np.unique(module["name"][rows[big]]).tolist()}
    sign = {code: DIGITS.sub("#", text) for code, text in texts.items() if not MODULE.match(text)}
    counts = Counter(sign.get(code, "") for code in module["name"][rows[big]].tolist())
    out = []
    for text, count in counts.most_common(MAX_SORTS):
        if count < 2 or not text:
            continue
        codes = np.array([code for code, mine in sign.items() if mine == text], np.int64)
        mine = np.append(np.isin(module["name"][rows], codes), False)
        inside = np.full(len(work), -1, np.int64)
        for level in chain:
            inside = np.where(mine[level], level, inside)
        owner = np.full(len(module), -1, np.int64)
        owner[work] = np.append(rows, -1)[inside]
        out.append(owner)
    return out


def range_cuts(work: LaneWork, sorts: list[Array]) -> Ints:
    """The lane positions at which a range begins or ends; of sorts whose ranges take turns on the lane, none."""
    cuts = [np.empty(0, np.int64)]
    for owner in sorts:
        mine = owner[work.rows]
        known = np.flatnonzero(mine >= 0)
        if not len(known):
            continue
        begins = np.append(0, np.flatnonzero(np.diff(mine[known])) + 1)
        if len(begins) > len(np.unique(mine[known])):
            continue
        after = known[np.append(begins[1:], len(known)) - 1] + 1
        after = after[after < len(work)]
        cuts += [known[begins], after[work.launch[after] >= 0]]
    return np.unique(np.concatenate(cuts))
