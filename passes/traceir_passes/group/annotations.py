"""Layers from ranges that the program marked: one period of their sequence is a layer."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import Final

import numpy as np

import traceir as tir
from traceir.ir import Array, Ints
from traceir_passes.group.hosts import enclosing, is_below, nearest_of, owners, split, sums
from traceir_passes.group.similarity import periods
from traceir_passes.group.stack import Direction, Stack

START: Final = 0.90
MAX_ANCHORS: Final = 3
DIGITS: Final = re.compile(r"\d+")
_BACKWARD: Final = re.compile(r"backward|bwd", re.IGNORECASE)
MODULE: Final = re.compile(r"^nn\.Module: ")


def annotation_stacks(
    module: tir.Module, tokens: Array, step: Array, *, min_cover: float, min_layers: int
) -> list[Stack]:
    """Stacks of ranges that repeat as siblings and cover most of what their parent launched.

    Ranges are told apart by their text without numbers. The sequence of siblings that own device work has a
    period of one range (a layer) or several (attention, mlp); forward and backward ranges are sequences apart.
    A range or period that holds many attention anchors is a forward pass or a step, not a layer.
    """
    chosen = module.is_kind("host.range") & module.live
    rows = np.flatnonzero(chosen)
    work = np.flatnonzero(module.work & (module.launch >= 0))
    if len(rows) < min_layers or not len(work):
        return []
    position = np.full(len(module) + 1, -1, np.int64)
    position[rows] = np.arange(len(rows))
    nearest = nearest_of(module, chosen)
    parent = position[enclosing(module, chosen, nearest)[rows]]
    chain = owners(position[nearest[module.launch[work]]], parent)
    time = sums(chain, module["dur"][work], len(rows))
    anchors = sums(chain, np.isin(tokens[work], np.frombuffer(b"AL", np.uint8)), len(rows))
    launched = np.zeros(max(int(step.max(initial=-1)) + 2, 1), np.int64)
    np.add.at(launched, step[work], module["dur"][work])
    owner_step = np.full(len(rows), -1, np.int64)
    for level in chain:
        owner_step[level[level >= 0]] = step[work[level >= 0]]
    accepted: list[tuple[Direction, list[list[int]], str]] = []
    taken = np.zeros(len(rows), bool)
    anchors_of, time_of = anchors.tolist(), time.tolist()  # of few ranges each, which lists add up faster
    for siblings in _siblings(module, rows, parent, owner_step, time, min_layers):
        above = int(parent[siblings[0]])
        if is_below(above, taken, parent):
            continue
        whole = int(time[above]) if above >= 0 else int(launched[owner_step[siblings[0]]])
        found = [
            (direction, layers, title)
            for direction, layers, title in _periodic(module, rows, siblings, min_layers)
            if _is_layer([sum(anchors_of[k] for k in layer) for layer in layers])
        ]
        covered = sum(time_of[k] for _, layers, _ in found for layer in layers for k in layer)
        if found and covered >= min_cover * whole:
            accepted += found
            taken[[k for _, layers, _ in found for layer in layers for k in layer]] = True
    return _stacks(module, work, chain, len(rows), accepted)


def _siblings(
    module: tir.Module, rows: Ints, parent: Array, step: Array, time: Ints, min_layers: int
) -> list[list[int]]:
    """Groups of ranges under one parent (or in one step on one thread) that own device work, outer groups first."""
    groups: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    lanes = module["lane"][rows].tolist()
    for k, above in enumerate(parent.tolist()):
        if time[k] > 0:
            groups[(above, -1, -1) if above >= 0 else (-1, lanes[k], int(step[k]))].append(k)
    return [members for members in groups.values() if len(members) >= min_layers]


def _periodic(
    module: tir.Module, rows: Ints, siblings: list[int], min_layers: int
) -> list[tuple[Direction, list[list[int]], str]]:
    """For each direction the layers that the siblings' texts repeat by, if they do."""
    codes = module["name"][rows[siblings]].tolist()
    texts = {code: module.strings[code] for code in dict.fromkeys(codes)}
    sign_of = {code: DIGITS.sub("#", text) for code, text in texts.items()}
    is_back = {code: bool(_BACKWARD.search(text)) for code, text in texts.items()}
    out: list[tuple[Direction, list[list[int]], str]] = []
    sides: tuple[Direction, ...] = ("forward", "backward")
    for direction in sides:
        mine = [
            (k, sign_of[code])
            for k, code in zip(siblings, codes, strict=True)
            if is_back[code] == (direction == "backward")
        ]
        counts = Counter(sign for _, sign in mine)
        kept = [(k, sign) for k, sign in mine if counts[sign] >= min_layers]
        ordered = [sign for _, sign in kept]
        whole = (p for p in periods(ordered) if p * min_layers <= len(kept) and len(kept) % p == 0)
        period = next(whole, None)
        if period is not None:
            layers = [[k for k, _ in kept[i : i + period]] for i in range(0, len(kept), period)]
            title = " + ".join(DIGITS.sub("", sign.replace("#", "")).strip(" ._:#") for sign in ordered[:period])
            out.append((direction, layers, title))
    return out


def _is_layer(anchors: list[int]) -> bool:
    """Whether each holds at least one and few anchors, and about the same number."""
    return min(anchors) >= 1 and max(anchors) <= MAX_ANCHORS


def _stacks(
    module: tir.Module,
    work: Ints,
    chain: list[Array],
    size: int,
    accepted: list[tuple[Direction, list[list[int]], str]],
) -> list[Stack]:
    place = np.full((size + 1, 2), -1, np.int64)
    for group, (_, layers, _) in enumerate(accepted):
        for layer, members in enumerate(layers):
            place[members] = group, layer
    found = np.full((len(work), 2), -1, np.int64)
    for level in chain[::-1]:
        mine = place[level]
        found = np.where(mine[:, :1] >= 0, mine, found)
    out = []
    for (direction, _, title), chosen in zip(accepted, split(found[:, 0], len(accepted)), strict=True):
        used, order = np.unique(found[chosen, 1], return_inverse=True)
        rows = work[chosen]
        lane = int(np.bincount(module["lane"][rows]).argmax())
        out.append(Stack(lane, "annotations", direction, len(used), rows, order.astype(np.int64), START, title=title))
    return out
