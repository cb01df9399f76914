"""The conservation laws of the accounts, which hold to the nanosecond."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from traceir.ir import Array, Mask, Module
from traceir_passes.overlap import compat, lanes
from traceir_passes.overlap.account import KEYS
from traceir_passes.overlap.scopes import SCOPES

_PARTED = ("step", "layer", "block", "microbatch")
"""Scopes that have a row for what none of them owns."""


def broken(module: Module) -> list[str]:
    """The laws that the tables of `overlap` break, a sentence each; none if all hold. O(rows of the tables)."""
    c = {key: module[f"overlap.{key}"] for key in KEYS}
    scope, device = module["overlap.scope"], module["overlap.device"]
    whole = scope == SCOPES.index("device")
    alone = c["compute_ns"] + c["exposed_ns"] + c["memory_exposed_ns"] + c["fused_exposed_ns"] + c["idle_ns"]
    times = [values for key, values in c.items() if key not in ("start_ns", "end_ns")]
    laws: list[tuple[str, Mask]] = [
        ("hidden and exposed communication make the communication", c["overlap_ns"] + c["exposed_ns"] == c["comm_ns"]),
        ("what nothing hides is no more than what compute does not hide", c["exposed_any_ns"] <= c["exposed_ns"]),
        ("one role hides no more than all", c["hidden_by_ns"] <= c["overlap_ns"]),
        ("kernels of unknown role hide no more than all", c["overlap_unknown_ns"] <= c["overlap_ns"]),
        ("busy, foreign and idle time make the span", c["busy_ns"] + c["foreign_ns"] + c["idle_ns"] == c["span_ns"]),
        ("no time is negative", np.logical_and.reduce([values >= 0 for values in times])),
        (
            "the classes one after the other and idle time make a device's span",
            ~whole | (alone == c["span_ns"]),
        ),
        ("nothing is foreign to its own device", ~whole | (c["foreign_ns"] == 0)),
    ]
    out = [f"{sentence}, but not in {int((~holds).sum())} rows." for sentence, holds in laws if not holds.all()]
    return [*out, *_parts(c, scope, device, whole), *_lanes(module, c, device, whole), *compat.broken(module)]


def _parts(c: dict[str, Array], scope: Array, device: Array, whole: Mask) -> Iterator[str]:
    """The regions of a kind and what none of them owns make the device; collectives are a part of it."""
    for kind in range(1, len(SCOPES)):
        for number in np.unique(device[scope == kind]).tolist():
            mine, all_of = (scope == kind) & (device == number), whole & (device == number)
            for key in ("events", "time_ns"):
                parts, total = c[key][mine].sum(), c[key][all_of].sum()
                if parts > total or (parts < total and SCOPES[kind] in _PARTED):
                    yield f"the {SCOPES[kind]}s of device {number} and their rest do not make its {key}."


def _lanes(module: Module, c: dict[str, Array], device: Array, whole: Mask) -> Iterator[str]:
    """The spans of each lane make the figure of its device."""
    keys = ("compute_ns", "comm_ns", "exposed_ns", "memory_ns", "fused_ns", "idle_ns")
    lane, number, dur = (module[f"overlap.{name}"] for name in ("lane", "lane_device", "lane_dur"))
    for row in np.flatnonzero(whole).tolist():
        mine = number == device[row]
        for code, key in enumerate(keys):
            if int(dur[mine & (lane == code)].sum()) != int(c[key][row]):
                yield f"the lane {lanes.LANES[code]} of device {int(device[row])} does not make its {key}."
