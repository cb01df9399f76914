"""Trees as tracks: each region as a slice over the device work that it owns, device by device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from traceir.ir import Array, Ints, Mask, Module, Tree
from traceir.printers.chrome.tracks import Track
from traceir.printers.chrome.values import fresh, shown, values_of


def tree_tracks(module: Module) -> Iterator[Track]:
    """A track for each tree and device (and for what owns no device work, one for the host), whoever built the tree.

    A region lasts from the first start to the last end of the live work that it or its descendants own there.
    Arguments are the region's declared columns, the number of events and their summed time, and the sums of what
    passes mark as summable. Coarse trees (of few regions) come first. O(events × depth).
    """
    names = [domain.removeprefix("region:") for domain in module.tables if domain.startswith("region:")]
    trees = [module.tree(name) for name in names if fresh(module, f"tree.{name}")]
    for tree in sorted(trees, key=len):
        yield from _tracks(module, tree)


def _tracks(module: Module, tree: Tree) -> Iterator[Track]:
    if not len(tree):
        return
    levels = _levels(tree)
    work = module.work & (tree.leaf >= 0)
    told = np.zeros(len(tree), bool)
    for device in module.devices:
        chosen = work & (module.device == device)
        number = None if device < 0 else device
        place = module.device_name(number)
        track, owners = _track(module, tree, levels, chosen, place, number)
        told |= owners
        if owners.any():
            yield track
    rest = module.live & (tree.leaf >= 0) & ~module.is_kind("dev") & ~np.append(told, False)[tree.leaf]
    track, owners = _track(module, tree, levels, rest, "host", None)
    if owners.any():
        yield track


def _levels(tree: Tree) -> list[Ints]:
    """The regions that have a parent, the deepest first, by level. Parents stand before their children."""
    parent = tree.parent
    depth = np.zeros(len(tree), np.int64)
    moved = np.flatnonzero(parent >= 0)
    at = parent[moved]
    while len(moved):
        depth[moved] += 1
        at = parent[at]
        moved, at = moved[at >= 0], at[at >= 0]
    return [np.flatnonzero(depth == level) for level in range(int(depth.max(initial=0)), 0, -1)]


def _track(
    module: Module, tree: Tree, levels: list[Ints], chosen: Mask, place: str, device: int | None
) -> tuple[Track, Mask]:
    """The track of the regions that own chosen events, and which regions these are."""
    rows = np.flatnonzero(chosen)
    leaf = tree.leaf[rows]
    starts, ends = np.full(len(tree), np.iinfo(np.int64).max), np.full(len(tree), np.iinfo(np.int64).min)
    np.minimum.at(starts, leaf, module["ts"][rows])
    np.maximum.at(ends, leaf, module.end[rows])
    sums = {"events": np.bincount(leaf, minlength=len(tree)), "time_ns": _sum(leaf, module["dur"][rows], len(tree))}
    for item in shown(module, "sum"):
        values = module[item.name][rows]
        known = values != np.iinfo(np.int64).min
        if item.dtype == "i64":
            sums[item.name + ("_ns" if item.unit == "ns" else "")] = _sum(leaf[known], values[known], len(tree))
    for level in levels:
        above = tree.parent[level]
        np.minimum.at(starts, above, starts[level])
        np.maximum.at(ends, above, ends[level])
        for values in sums.values():
            np.add.at(values, above, values[level])
    owners = sums["events"] > 0
    at = np.flatnonzero(owners)
    names = tree.strings.decode(tree.regions["name"][at])
    place_of = np.full(len(tree) + 1, -1, np.int64)
    place_of[at] = np.arange(len(at))
    track = Track(
        f"{place} {tree.name}", starts[at], ends[at], [name or "" for name in names], _args(module, tree, at, sums),
        device, place_of[tree.parent[at]],
    )  # fmt: skip
    return track, owners


def _sum(group: Array, values: Ints, count: int) -> Ints:
    """Sums by group as i64 (bincount's weights are floats, which lose ns)."""
    out = np.zeros(count, np.int64)
    np.add.at(out, group, values)
    return out


def _args(module: Module, tree: Tree, at: Ints, sums: dict[str, Ints]) -> list[dict[str, Any]]:
    args = values_of(module, f"region:{tree.name}", at)
    for key, values in sums.items():
        for one, value in zip(args, values[at].tolist(), strict=True):
            one[key] = value
    return args
