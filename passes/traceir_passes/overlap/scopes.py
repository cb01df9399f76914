"""The scopes that are accounted for: devices, steps and layers, and what no step or layer owns."""

from __future__ import annotations

import attrs
import numpy as np

from traceir.ir import Array, Ints, Module
from traceir_passes.overlap.account import KEYS, Intervals, Sets, account
from traceir_passes.overlap.classes import Work

SCOPES = ("device", "step", "layer")
TREES = {"step": "steps", "layer": "layers"}


@attrs.frozen(eq=False)
class Device:
    """The work of one device: its number (-1 unknown), event rows, intervals and sets."""

    number: int
    rows: Array
    work: Intervals
    sets: Sets


def devices(module: Module, work: Work) -> list[Device]:
    """The devices that did anything, in order of their numbers."""
    start, end = module["ts"][work.rows], module.end[work.rows]
    out = []
    for number in np.unique(work.device).tolist():
        mine = work.device == number
        intervals = Intervals(
            start[mine],
            end[mine],
            work.compute[mine],
            work.comm[mine],
            work.memory[mine],
            work.fused[mine],
            work.unknown[mine],
            work.meta[mine],
        )
        out.append(Device(number, work.rows[mine], intervals, intervals.sets()))
    return out


def table(module: Module, found: list[Device]) -> dict[str, Array]:
    """One row per device, then per step and per layer with the unattributed rest last, as columns.

    `scope` is a position in `SCOPES`, `device` the number, `region` a row of the tree's region table (-1 for
    the device itself and for the rest); the others are those of `account`.
    """
    parts = []
    for scope, kind in enumerate(SCOPES):
        for device in found:
            regions, accounts = _accounts(module, device, kind)
            head = {
                "scope": np.full(len(regions), scope, np.int16),
                "device": np.full(len(regions), device.number, np.int64),
                "region": regions,
            }
            parts.append({**head, **accounts})
    empty = {"scope": np.empty(0, np.int16), **{key: np.empty(0, np.int64) for key in ("device", "region", *KEYS)}}
    return {key: np.concatenate([empty[key], *(part[key] for part in parts)]) for key in empty}


def _accounts(module: Module, device: Device, kind: str) -> tuple[Ints, dict[str, Ints]]:
    """The regions of one kind that own work of the device, and an account of each; -1 is the rest."""
    if kind == "device":
        return np.array([-1]), account(device.work, device.sets, np.zeros(len(device.rows), np.int64), 1)
    if not module.has_tree(TREES[kind]):
        return np.empty(0, np.int64), {key: np.empty(0, np.int64) for key in KEYS}
    owner = module.tree(TREES[kind]).at(kind)[device.rows]
    owned = np.unique(owner[owner >= 0]).astype(np.int64)
    if not len(owned):
        return owned, {key: np.empty(0, np.int64) for key in KEYS}
    group = np.where(owner >= 0, np.searchsorted(owned, owner), len(owned))
    regions = np.append(owned, -1)[: len(owned) + int((owner < 0).any())]
    return regions, account(device.work, device.sets, group, len(regions))
