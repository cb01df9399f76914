"""What the passes found as tracks: regions, labels, collectives, the split of each device's time, and its gaps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args

import attrs
import numpy as np

from traceir.ir import Ints, Mask, Module
from traceir.printers.chrome.counters import Counter, counters_of
from traceir.printers.chrome.lanes import lane_tracks
from traceir.printers.chrome.regions import tree_tracks
from traceir.printers.chrome.tracks import Arrow, Track
from traceir.printers.chrome.values import fresh, shown, values_of

Sort = Literal["trees", "labels", "collectives", "overlap", "gaps", "lanes", "counters"]
SORTS: tuple[Sort, ...] = get_args(Sort)
_SPLIT = ("overlap",)
"""The pass whose lanes are the split of the device's time; those of all others are of the sort `lanes`."""


@attrs.frozen(eq=False)
class Found:
    """Tracks in the order in which they are shown, arrows into them, and counters."""

    tracks: Sequence[Track]
    arrows: Sequence[Arrow]
    counters: Sequence[Counter] = ()


def find(module: Module, wanted: Sequence[Sort], min_gap: int) -> Found:
    """All tracks of the wanted sorts for which the module has fresh columns. O(n log n)."""
    tracks = list(tree_tracks(module)) if "trees" in wanted else []
    arrows: list[Arrow] = []
    split = list(lane_tracks(module, _SPLIT, (), min_gap)) if "overlap" in wanted else []
    for device in module.devices:
        chosen = module.work & (module.device == device)
        if not chosen.any():
            continue
        label = None if device < 0 else device
        if "labels" in wanted:
            tracks += _labels(module, chosen, label)
        if "collectives" in wanted:
            tracks += _collectives(module, chosen, label)
        if "overlap" in wanted:
            tracks += [track for track in split if track.device == label]
        if "gaps" in wanted:
            gaps = _gaps(module, device, label, min_gap)
            if gaps is not None:
                arrows += _blames(module, gaps[1], len(tracks))
                tracks.append(gaps[0])
    if "lanes" in wanted:
        tracks += lane_tracks(module, None, _SPLIT, min_gap)
    counters = list(counters_of(module)) if "counters" in wanted else []
    return Found(*_in_order(tracks, arrows), counters)


def _in_order(tracks: list[Track], arrows: list[Arrow]) -> tuple[list[Track], list[Arrow]]:
    """The tracks that are not empty device by device, and the arrows with the tracks' new places."""
    order = [at for at, track in enumerate(tracks) if len(track.starts)]
    order.sort(key=lambda at: -1 if (found := tracks[at].device) is None else found)
    place = {old: new for new, old in enumerate(order)}
    return [tracks[at] for at in order], [attrs.evolve(arrow, track=place[arrow.track]) for arrow in arrows]


def _labels(module: Module, chosen: Mask, device: int | None) -> Iterator[Track]:
    """The device's ops by label (by role where there is none): a slice for each run of one label on one lane."""
    items = shown(module, "label", "role")
    if not items:
        return
    rows = np.flatnonzero(chosen)
    label = np.full(len(rows), -1, np.int32)
    for item in items:
        if item.dtype == "str":
            label = np.where(label < 0, module[item.name][rows], label)
    rows, label = rows[label >= 0], label[label >= 0]
    if not len(rows):
        return
    order = np.lexsort((module["ts"][rows], module["lane"][rows]))
    rows, label = rows[order], label[order]
    new = np.append(True, (label[1:] != label[:-1]) | (np.diff(module["lane"][rows]) != 0))
    for name in sorted(name for name in module.tables if name.startswith("region:")):
        if fresh(module, f"tree.{name[7:]}"):
            new[1:] |= np.diff(module[f"tree.{name[7:]}"][rows]) != 0
    at = np.flatnonzero(new)
    ends = np.maximum.reduceat(module.end[rows], at)
    counts = np.diff(np.append(at, len(rows)))
    names = [text or "" for text in module.strings.decode(label[at])]
    args = [{"events": count} for count in counts.tolist()]
    yield Track(f"{module.device_name(device)} ops", module["ts"][rows[at]], ends, names, args, device)


def _collectives(module: Module, chosen: Mask, device: int | None) -> Iterator[Track]:
    """Each communicating event by the kind of its collective, with what is known of the instance."""
    if not fresh(module, "coll.kind"):
        return
    rows = np.flatnonzero(chosen & (module["coll.kind"] >= 0))
    kinds = module.annotations["coll.kind"].annotation.values
    names = [kinds[code] for code in module["coll.kind"][rows].tolist()]
    args: list[dict[str, Any]] = [{} for _ in range(len(rows))]
    if fresh(module, "coll.instance"):
        instance = module["coll.instance"][rows]
        known = np.flatnonzero(instance >= 0)
        told = values_of(module, "table:collectives", instance[known])
        for at, values in zip(known.tolist(), told, strict=True):
            args[at] = values
    if fresh(module, "overlap.exposed"):
        for one, value in zip(args, module["overlap.exposed"][rows].tolist(), strict=True):
            if value >= 0:
                one["exposed_ns"] = value
    yield Track(f"{module.device_name(device)} collectives", module["ts"][rows], module.end[rows], names, args, device)


def _gaps(module: Module, device: int, label: int | None, min_gap: int) -> tuple[Track, Ints] | None:
    """The device's gaps above `min_gap` by class, with all that is known of each; and the event that each is due to."""
    if not fresh(module, "gaps.level", "gaps.device", "gaps.start", "gaps.dur", "gaps.class"):
        return None
    numbers = module["gaps.device"]
    mine = (numbers == device) if device >= 0 else (numbers < 0)
    rows = np.flatnonzero(module.is_in("gaps.level", ["device"]) & mine & (module["gaps.dur"] > min_gap))
    starts = module["gaps.start"][rows]
    classes = module.annotations["gaps.class"].annotation.values
    names = [classes[code] for code in module["gaps.class"][rows].tolist()]
    args = values_of(module, "table:gaps", rows)
    for one in args:
        for key in ("level", "lane", "device", "start_ns", "dur_ns", "class"):
            one.pop(key, None)
    track = Track(f"{module.device_name(label)} gaps", starts, starts + module["gaps.dur"][rows], names, args, label)
    blame = module["gaps.blame"][rows] if fresh(module, "gaps.blame") else np.full(len(rows), -1, np.int32)
    return track, blame.astype(np.int64)


def _blames(module: Module, blame: Ints, track: int) -> Iterator[Arrow]:
    """An arrow from each blamed live event to its gap."""
    for to in np.flatnonzero((blame >= 0) & np.append(module.live, False)[blame]).tolist():
        row = int(blame[to])
        yield Arrow(int(module["lane"][row]), int(module["ts"][row]), track, to)


__all__ = ["SORTS", "Found", "Sort", "find"]
