"""Waits between streams: work that a stream held back until work of another stream was done."""

from __future__ import annotations

import attrs
import numpy as np

from traceir.ir import Array, Ints, Module, Selection
from traceir_passes.gaps.keyed import Keyed, running

_NONE = np.int64(np.iinfo(np.int64).min)


@attrs.frozen(eq=False)
class Waits:
    """The waits whose awaited work is known, in order of (lane, time asked).

    `asked` is the instant the wait was put on its lane, `awaited` the row of the last work before the record,
    `released` when that work, and all before it on its lane, was done.
    """

    rows: Array
    lane: Ints
    asked: Ints
    awaited: Array
    released: Ints

    def __len__(self) -> int:
        return len(self.rows)

    def on(self, lane: int) -> Waits:
        """The waits of one lane."""
        low, high = np.searchsorted(self.lane, [lane, lane + 1])
        here = slice(low, high)
        return Waits(self.rows[here], self.lane[here], self.asked[here], self.awaited[here], self.released[here])


def waits(module: Module) -> Waits:
    """The event waits on device streams whose sync edge tells what they waited for."""
    on_device = np.append(module.device_lane, False)[module["lane"]]
    rows = np.flatnonzero(module.is_kind("event.wait") & module.live & on_device)
    record = _records(module, rows)
    known = np.flatnonzero(record >= 0)
    rows, record = rows[known], record[known]
    lane = _record_lanes(module, rows, record)
    awaited, released = _awaited(module, lane, record)
    good = np.flatnonzero((awaited >= 0) & (lane != module["lane"][rows]))
    rows, awaited, released = rows[good], awaited[good], released[good]
    asked = _enqueued(module, rows)
    order = np.lexsort((rows, asked, module["lane"][rows]))
    return Waits(
        rows[order], module["lane"][rows[order]].astype(np.int64), asked[order], awaited[order], released[order]
    )


def _enqueued(module: Module, rows: Array) -> Ints:
    """When a row was put on its lane: the start of its launch where that is known, else its own start."""
    launch = module.launch[rows]
    return np.asarray(module["ts"][np.where(launch >= 0, launch, rows)])


def _records(module: Module, rows: Array) -> Array:
    """For each wait the source of a sync edge to it, -1 if there is none.

    That is a record, or work itself; one on the device is preferred, since it says which lane was awaited.
    """
    out = np.full(len(module), -1, np.int64)
    src, dst = module.edges("sync")
    on_device = np.append(module.device_lane, False)[module["lane"][src]]
    for chosen in (~on_device, on_device):
        out[dst[chosen]] = src[chosen]
    return out[rows]


def _record_lanes(module: Module, rows: Array, record: Array) -> Ints:
    """For each wait the device lane that its record lies on, -1 if unknown."""
    lane = module["lane"][record]
    on_device = np.append(module.device_lane, False)[lane]
    out = np.where(on_device, lane, -1).astype(np.int64)
    open_ = np.flatnonzero(~on_device)
    lanes = {(lane.device, lane.stream): number for number, lane in enumerate(module.lanes) if lane.is_device}
    streams = Selection(module, rows[open_]).field("on_stream")
    devices = [module.lanes[number].device for number in module["lane"][rows[open_]].tolist()]
    out[open_] = [lanes.get(key, -1) for key in zip(devices, streams, strict=True)]
    return out


def _awaited(module: Module, lane: Ints, record: Array) -> tuple[Array, Ints]:
    """The last work on each lane enqueued before each record, and when all up to it was done; -1 if none.

    O((n + records) log n), whatever the number of lanes.
    """
    awaited, released = np.full(len(lane), -1, np.int64), np.full(len(lane), _NONE)
    itself = module.work[record]
    awaited[itself], released[itself] = record[itself], module.end[record[itself]]
    work = np.flatnonzero(module.work)
    work = work[np.argsort(module["lane"][work], kind="stable")]
    group = module["lane"][work].astype(np.int64)
    # A lane runs work in the order it was enqueued, so a row whose launch is unknown came before its successors.
    enqueued = running(group, np.where(module.launch[work] >= 0, _enqueued(module, work), _NONE))
    reach = running(group, module.end[work])
    on_host = ~np.append(module.device_lane, False)[module["lane"][record]] | (module.launch[record] >= 0)
    for by, times in ((on_host, enqueued), (~on_host, module["ts"][work])):
        asking = np.flatnonzero((lane >= 0) & by & ~itself)
        last = Keyed(group, times).last(lane[asking], _enqueued(module, record[asking]), to=True)
        awaited[asking], released[asking] = np.append(work, -1)[last], np.append(reach, _NONE)[last]
    return awaited, released
