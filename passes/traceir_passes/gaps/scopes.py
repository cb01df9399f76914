"""Idle time by region: of steps, of layers, and of blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

import traceir as tir
from traceir.ir import Array, Module
from traceir_passes.gaps.notes import LEVELS
from traceir_passes.gaps.report import Scope
from traceir_passes.gaps.rules import CLASSES

_TREES: Final = {"step": ("steps",), "layer": ("layers",), "block": ("blocks", "layers")}
"""The trees in which the regions of a kind are looked for; the first that has some is taken."""


def scopes(module: Module, kind: str) -> tuple[Scope, ...]:
    """The idle time of each device by the region of `kind` that owns the event after each gap.

    In order of devices and regions, and last what no region owns; empty without such regions. The idle time of a
    device's scopes sums to its own. O(gaps log gaps).
    """
    name = next((name for name in _TREES[kind] if module.has_tree(name) and len(module.tree(name).of_kind(kind))), None)
    return () if name is None else tuple(_scopes(module, name, module.tree(name).at(kind)))


def _scopes(module: Module, name: str, owner: Array) -> Iterator[Scope]:
    tree = module.tree(name)
    gaps = np.flatnonzero(module["gaps.level"] == LEVELS.index("device"))
    region, before = (owner[module[f"gaps.{side}"][gaps]].astype(np.int64) for side in ("next", "prev"))
    region = np.where(region < 0, len(tree), region)
    keys, group = np.unique(np.stack([module["gaps.device"][gaps], region]), axis=1, return_inverse=True)
    group = group.reshape(-1)
    dur, kind = module["gaps.dur"][gaps], module["gaps.class"][gaps]
    sums = np.zeros((keys.shape[1], len(CLASSES)), np.int64)
    np.add.at(sums, (group, kind), dur)
    inside = np.zeros(keys.shape[1], np.int64)
    np.add.at(inside, group, np.where(before == region, dur, 0))
    counts = np.bincount(group, minlength=keys.shape[1])
    for at, (device, row) in enumerate(keys.T.tolist()):
        known = row < len(tree)
        yield Scope(
            region=tree.region_name(row) if known else None,
            index=int(tree.regions["index"][row]) if known else None,
            device=None if device == tir.NULL_I64 else device,
            count=int(counts[at]),
            idle_ns=int(sums[at].sum()),
            inside_ns=int(inside[at]),
            classes={name: time for name, time in zip(CLASSES, sums[at].tolist(), strict=True) if time},
        )
