"""The scopes that are accounted for: devices, regions of trees, collectives, and what no region owns."""

from __future__ import annotations

from typing import Final

import attrs
import numpy as np

from traceir.ir import Array, Ints, Module
from traceir_passes.overlap.account import HIDER, KEYS, Intervals, Sets, account
from traceir_passes.overlap.classes import Work, has_column

SCOPES: Final = ("device", "step", "layer", "block", "microbatch", "collective")
TREES: Final = {
    "step": ("steps",), "layer": ("layers",), "block": ("blocks", "layers"), "microbatch": ("microbatches",),
}  # fmt: skip
"""The trees in which the regions of a kind are looked for; the first that is there and has some is taken."""
INSTANCES: Final = "table:collectives"


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
    role = module["infer.role"][work.rows]
    out = []
    for number in np.unique(work.device).tolist():
        mine = work.device == number
        intervals = Intervals(
            start[mine],
            end[mine],
            role[mine],
            work.compute[mine],
            work.comm[mine],
            work.memory[mine],
            work.fused[mine],
            work.unknown[mine],
            work.meta[mine],
        )
        out.append(Device(number, work.rows[mine], intervals, intervals.sets()))
    return out


def accountable(found: list[Device]) -> list[Device]:
    """The devices that have an account: those of which a 64 bit number holds the span, and the sum of durations."""
    return [device for device in found if device.work.fits]


def tree_of(module: Module, kind: str) -> str | None:
    """The tree that holds the regions of a kind; None if there are none."""
    for name in TREES[kind]:
        if module.has_tree(name) and len(module.tree(name).of_kind(kind)):
            return name
    return None


def owners(module: Module, kind: str) -> Ints | None:
    """For each event the region of `kind`, or the row of the table of collectives, that owns it; None without any."""
    if kind == "collective":
        if INSTANCES not in module.tables or not has_column(module, "coll.instance", "event"):
            return None
        return module["coll.instance"].astype(np.int64)
    tree = tree_of(module, kind)
    return None if tree is None else module.tree(tree).at(kind).astype(np.int64)


def table(module: Module, found: list[Device]) -> dict[str, Array]:
    """One row per device, then per region of each kind with the unattributed rest last, then per collective.

    As columns: `scope` is a position in `SCOPES`, `device` the number, `region` a row of the tree's region table or of
    the table of collectives (-1 for the device itself and for the rest); the others are those of `account`.
    """
    parts = []
    for scope, kind in enumerate(SCOPES):
        owner = None if kind == "device" else owners(module, kind)
        for device in found:
            regions, accounts = _accounts(device, kind, owner)
            head = {
                "scope": np.full(len(regions), scope, np.int16),
                "device": np.full(len(regions), device.number, np.int64),
                "region": regions,
            }
            parts.append({**head, **accounts})
    empty = {"scope": np.empty(0, np.int16), **{key: np.empty(0, np.int64) for key in ("device", "region", *KEYS)}}
    empty[HIDER] = np.empty(0, np.int32)
    return {key: np.concatenate([empty[key], *(part[key] for part in parts)]) for key in empty}


def _accounts(device: Device, kind: str, owner: Ints | None) -> tuple[Ints, dict[str, Array]]:
    """The regions of one kind that own work of the device, and an account of each; -1 is the rest."""
    if kind == "device":
        return np.array([-1]), account(device.work, device.sets, np.zeros(len(device.rows), np.int64), 1)
    own = np.empty(0, np.int64) if owner is None else owner[device.rows]
    regions = np.unique(own[own >= 0])
    if not len(regions):
        return regions, {**{key: np.empty(0, np.int64) for key in KEYS}, HIDER: np.empty(0, np.int32)}
    if kind == "collective":  # what is no collective has no rest: it is the device's other work
        inside = own >= 0
        return regions, account(_chosen(device.work, inside), device.sets, np.searchsorted(regions, own[inside]),
                                len(regions))  # fmt: skip
    group = np.where(own >= 0, np.searchsorted(regions, own), len(regions))
    regions = np.append(regions, -1)[: len(regions) + int((own < 0).any())]
    return regions, account(device.work, device.sets, group, len(regions))


def _chosen(work: Intervals, inside: Array) -> Intervals:
    return Intervals(*(getattr(work, field.name)[inside] for field in attrs.fields(Intervals)))
