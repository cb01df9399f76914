"""The split of a device's time as lanes that a viewer shows: a table of spans, by the columns that printers know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

import traceir as tir
from traceir.ir import Array, Spans
from traceir_passes.overlap.scopes import Device

TABLE: Final = "overlap.lanes"
_DOMAIN: Final = f"table:{TABLE}"
LANES: Final = ("computing", "communication", "not overlapped", "copies", "fused", "free")
LABELS: Final = (
    "computing", "communication", "communication not overlapped", "copies and memsets",
    "fused communication", "free",
)  # fmt: skip

WRITES: Final = (
    tir.Annotation("overlap.lane", _DOMAIN, "enum", values=LANES, doc="The lane that the span is shown on."),
    tir.Annotation("overlap.lane_device", _DOMAIN, "i64", doc="The lane's device.", null="the device has no number"),
    tir.Annotation("overlap.lane_start", _DOMAIN, "i64", "ns", "Start of the span, from the module's origin."),
    tir.Annotation("overlap.lane_dur", _DOMAIN, "i64", "ns", "Length of the span."),
    tir.Annotation("overlap.lane_label", _DOMAIN, "enum", values=LABELS, doc="What the span is called."),
    tir.Annotation("overlap.lane_gap", _DOMAIN, "bool", doc="The device does nothing in the span."),
)


def table(found: Sequence[Device]) -> dict[str, Array]:
    """The columns of the table: spans in order of device, lane and start. O(n log n)."""
    parts = [
        (lane, device.number, spans) for device in found for lane, spans in enumerate(_spans(device)) if len(spans)
    ]
    sizes = [len(spans) for _, _, spans in parts]
    lane = np.repeat(np.array([lane for lane, _, _ in parts], np.int16), sizes)
    number = np.repeat(np.array([number for _, number, _ in parts], np.int64), sizes)
    starts = np.concatenate([np.empty(0, np.int64), *(spans.starts for _, _, spans in parts)])
    ends = np.concatenate([np.empty(0, np.int64), *(spans.ends for _, _, spans in parts)])
    return {
        "overlap.lane": lane,
        "overlap.lane_device": np.where(number < 0, tir.NULL_I64, number),
        "overlap.lane_start": starts,
        "overlap.lane_dur": ends - starts,
        "overlap.lane_label": lane.copy(),
        "overlap.lane_gap": lane == LANES.index("free"),
    }


def _spans(device: Device) -> tuple[Spans, ...]:
    """The spans of each lane, in the order of `LANES`."""
    sets = device.sets
    return sets.compute, sets.comm, sets.comm - sets.compute, sets.memory, sets.fused, sets.idle
