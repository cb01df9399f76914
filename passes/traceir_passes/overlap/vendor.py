"""A vendor's own analysis of overlap, read as data and compared with ours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import attrs
import numpy as np

from traceir.ir import Lane, Module, Spans
from traceir_passes.overlap.scopes import Device

CLASSES: Final = ("computing", "communication", "not_overlapped", "free")
_NAMES: Final = {
    "computing": "computing",
    "communication": "communication",
    "communicationnotoverlapped": "not_overlapped",
    "free": "free",
}
_PROCESS: Final = "overlapanalysis"


@attrs.frozen
class Difference:
    """One class of a vendor's analysis beside ours, in ns; both are unions.

    `only_vendor_ns` is the time that only the vendor gives to the class, `only_ours_ns` that which only we do, so that
    `vendor_ns - ours_ns` is their difference. All but the vendor's figure is null where the lanes do not say whose
    device they are of.
    """

    device: int | None
    cls: str
    lane: str
    spans: int
    vendor_ns: int
    ours_ns: int | None
    difference_ns: int | None
    only_vendor_ns: int | None
    only_ours_ns: int | None


def compare(module: Module, found: Sequence[Device]) -> Iterator[Difference]:
    """The classes that the vendor's lanes give, device by device, with our figures by the vendor's definitions.

    A lane counts if it is derived, or of a process "Overlap Analysis", and its name is one of Computing,
    Communication, Communication(Not Overlapped) and Free. Computing is the union of compute, Communication that of
    collectives, Not Overlapped the latter without the former, and Free the time of the device's span in neither
    (copies and waits are free by that). O(events of these lanes).
    """
    for at, lane in enumerate(module.lanes):
        cls = _class(module, lane)
        if cls is None:
            continue
        rows = np.flatnonzero(module.live & (module["lane"] == at))
        spans = Spans.of(module["ts"][rows], module.end[rows])
        device = _device(lane, found)
        if device is None:
            yield Difference(lane.device, cls, lane.name, len(rows), spans.length, None, None, None, None)
            continue
        ours = _ours(cls, device)
        yield Difference(
            None if device.number < 0 else device.number, cls, lane.name, len(rows), spans.length, ours.length,
            spans.length - ours.length, (spans - ours).length, (ours - spans).length,
        )  # fmt: skip


def _class(module: Module, lane: Lane) -> str | None:
    """The class of the vendor's that a lane holds; None for any other lane."""
    process = module.meta.get("processes")
    named = process.get(str(lane.pid), "") if isinstance(process, dict) else ""
    if lane.kind != "derived" and _letters(str(named)) != _PROCESS:
        return None
    texts = (lane.label, lane.name, lane.name.rpartition(".")[2])
    return next((_NAMES[word] for word in map(_letters, texts) if word in _NAMES), None)


def _letters(text: str) -> str:
    return re.sub(r"[^a-z]", "", text.lower())


def _device(lane: Lane, found: Sequence[Device]) -> Device | None:
    """The device that a lane is of: the one it names, else the only one that there is."""
    if lane.device is None:
        return found[0] if len(found) == 1 else None
    return next((device for device in found if device.number == lane.device), None)


def _ours(cls: str, device: Device) -> Spans:
    sets = device.sets
    if cls == "computing":
        return sets.compute
    if cls == "communication":
        return sets.comm
    if cls == "not_overlapped":
        return sets.comm - sets.compute
    return (sets.idle | sets.memory | sets.fused) - (sets.compute | sets.comm)
