"""What waits cost: the parts of blocking calls, and how long waits held streams up."""

from __future__ import annotations

import numpy as np

import traceir as tir
from traceir.ir import Ints, Module
from traceir_passes.gaps.keyed import Keyed, Laid
from traceir_passes.gaps.waits import Waits
from traceir_passes.sync.awaited import Awaited
from traceir_passes.sync.calls import Calls
from traceir_passes.sync.enqueued import devices


def split(module: Module, calls: Calls, found: Awaited) -> dict[str, Ints]:
    """Each call in five parts, ns, that sum to its length, and how long the device did nothing in it.

    Up to the end of what was awaited `busy` the awaited lane (or device) works, `copy` the call's own copy runs,
    `other` only other lanes of the device work, `idle` the device does nothing; `back` is what comes after.
    `device_idle` is known wherever the device is. O((n + calls) log n).
    """
    work = np.flatnonzero(module.work)
    number = devices(module)
    row = found.row
    known = (row >= 0) | (found.verdict >= 0)
    until = np.clip(np.where(row >= 0, np.append(module.end, 0)[row], calls.start), calls.start, calls.end)
    on_lanes, on_devices = (
        Laid.of(group[work], module["ts"][work], module.end[work])
        for group in (module["lane"].astype(np.int64), number)
    )
    on_lane = on_lanes.covered(np.append(module["lane"], -1)[row], calls.start, until)
    on_device = on_devices.covered(np.append(number, -1)[row], calls.start, until)
    mine = np.where(found.whole, on_device, on_lane)
    ts, end = np.append(module["ts"], 0), np.append(module.end, 0)
    copy = np.where(found.own >= 0, np.minimum(end[found.own], until) - np.maximum(ts[found.own], calls.start), 0)
    copy = np.maximum(copy, 0)
    parts = {
        "busy": mine - copy,
        "copy": copy,
        "other": on_device - mine,
        "idle": until - calls.start - on_device,
        "back": calls.end - until,
    }
    out = {name: np.where(known, values, tir.NULL_I64) for name, values in parts.items()}
    starved = calls.end - calls.start - on_devices.covered(found.device, calls.start, calls.end)
    out["device_idle"] = np.where((found.device >= 0) & ~calls.of("poll"), starved, tir.NULL_I64)
    return out


def held(module: Module, calls: Calls, known: Waits) -> Ints:
    """For each wait of a stream how long it kept the stream from going on, in ns; null for all else.

    From when the wait was asked and all before it on the lane was done, to when what it waited for was done.
    """
    out = np.full(len(calls) + 1, tir.NULL_I64)
    place = np.full(len(module), -1, np.int64)
    place[calls.rows] = np.arange(len(calls))
    work = np.flatnonzero(module.work)
    before = Keyed(module["lane"][work], module["ts"][work])
    last = before.count(known.lane, known.released) - 1
    holder = np.append(work[before.greatest(module.end[work])], -1)[last]
    same = (last >= 0) & (np.append(module["lane"], -1)[holder] == known.lane)
    free = np.where(same, np.append(module.end, 0)[holder], known.asked)
    out[place[known.rows]] = np.maximum(known.released - np.maximum(known.asked, free), 0)
    return out[:-1]
