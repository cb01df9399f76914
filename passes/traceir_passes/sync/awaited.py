"""What each call waited for: the last work to end of all that it could not return before."""

from __future__ import annotations

from typing import Final

import attrs
import numpy as np

from traceir.ir import Array, Ints, Mask, Module
from traceir_passes.gaps.waits import Waits
from traceir_passes.sync.calls import Calls
from traceir_passes.sync.enqueued import Work

BASES: Final = ("recorded", "derived", "guessed")
VERDICTS: Final = ("needed", "done")
PARTS: Final = ("busy", "copy", "other", "idle", "back")
"""The parts of a call, in the order in which reports list them."""
_RECORDED, _DERIVED, _GUESSED = range(3)
_NEEDED, _DONE = range(2)


@attrs.frozen(eq=False)
class Awaited:
    """What calls waited for, one entry a call.

    `row` is the work that ended last of what was awaited (-1 unknown, or none was), `basis` a position in `BASES` (-1
    with it), `verdict` one in `VERDICTS` (-1 unknown), `whole` whether all of the device was awaited, `own` the row of
    a copy's own work (-1 if none), `device` a number for the device that the call is for (-1 unknown).
    """

    row: Array
    basis: Ints
    verdict: Ints
    whole: Mask
    own: Array
    device: Ints


def find(module: Module, calls: Calls, known: Waits, slack: int) -> Awaited:
    """What each call waited for; `known` are the waits of streams. O((n + calls) log n).

    What the trace recorded comes first: a sync edge from work or from a row that stands for the wait, a blocking copy's
    own work. Else a device's synchronisation waits for all work that was launched before it, a stream's for that of the
    stream (of the one that the thread launched on last, where the trace does not say which), an event's for the latest
    that ended by its end. Work without a launch counts if it had ended when the call did. Work that runs on for more
    than `slack` ns after a call returned was not what it waited for.
    """
    work = Work(module)
    row, basis = np.full(len(calls), -1, np.int64), np.full(len(calls), -1, np.int64)
    own = _own(module, calls)
    lane, edge = _edges(module, calls)
    device, stream = work.place(module["lane"][calls.rows], calls.start)
    host = ~calls.of("wait", "poll")
    streams = np.full(len(module), -1, np.int64)
    streams[known.rows] = known.awaited
    for mask, found in (
        (calls.of("wait"), streams[calls.rows]),
        (calls.of("copy"), own),
        (host, edge),
        (host & (lane >= 0), work.by_lane.enqueued(lane, calls.start, calls.end)),
    ):
        _put(row, basis, mask, found, _RECORDED)
    of_stream = work.by_lane.enqueued(stream, calls.start, calls.end)
    of_device = work.by_device.enqueued(device, calls.start, calls.end)
    only = (stream >= 0) & (np.append(work.only_lane, -1)[device] == stream)
    _put(row, basis, calls.of("stream"), of_stream, np.where(only, _DERIVED, _GUESSED))
    _put(row, basis, calls.of("device"), of_device, _DERIVED)
    _put(row, basis, calls.of("memory"), of_device, _GUESSED)
    ran_on = (basis > _RECORDED) & (np.append(module.end, 0)[row] > calls.end + slack)
    row[ran_on], basis[ran_on] = -1, -1
    latest = (row < 0) & calls.of("device", "stream", "event")
    _put(row, basis, latest, work.by_device.ended(device, calls.end), _GUESSED)
    verdict = _verdict(module, calls, row, ran_on, latest)
    none = calls.of("memory") & (verdict == _DONE)
    row[none], basis[none] = -1, -1
    whole = (row >= 0) & (lane < 0) & calls.of("device", "memory")
    return Awaited(row, basis, verdict, whole, own, np.where(row >= 0, np.append(work.device, -1)[row], device))


def _verdict(module: Module, calls: Calls, row: Array, ran_on: Mask, latest: Mask) -> Ints:
    """Whether there was work to wait for. Nobody can tell where the work is but the latest that ended by the call's
    end, nor whether a call that takes memory waited for what ended in it; one that gives memory back does wait."""
    late = np.append(module.end, 0)[row] > calls.start
    memory = calls.of("memory")
    unsure = latest | (memory & ~calls.frees)
    known = np.where(late, np.where(unsure, -1, _NEEDED), _DONE)
    return np.where(row >= 0, known, np.where(ran_on & memory, _DONE, -1))


def _put(row: Array, basis: Ints, mask: Mask, found: Array, how: Ints | int) -> None:
    """Enter what was found where nothing is yet."""
    open_ = mask & (row < 0) & (found >= 0)
    row[open_], basis[open_] = found[open_], np.broadcast_to(how, len(row))[open_]


def _own(module: Module, calls: Calls) -> Array:
    """The work that each copying call launched, of several the one that ends last; -1 if none is known."""
    rows = np.flatnonzero(module.work & (module.launch >= 0))
    rows = rows[np.argsort(module.end[rows], kind="stable")]
    out = np.full(len(module), -1, np.int64)
    out[module.launch[rows]] = rows
    return np.where(calls.of("copy"), out[calls.rows], -1)


def _edges(module: Module, calls: Calls) -> tuple[Ints, Array]:
    """What sync edges say of each call: the lane that a recorded wait lies on, and the work waited for; -1 if none."""
    src, dst = module.edges("sync")
    ends, work = module.end, module.work
    on_device = np.append(module.device_lane, False)[module["lane"]]
    latest = np.full(len(module) + 1, -1, np.int64)
    direct = np.flatnonzero(work[src])
    direct = direct[np.argsort(ends[src[direct]], kind="stable")]
    latest[dst[direct]] = src[direct]
    stands = np.flatnonzero(module.is_kind("event.wait")[src])
    lane = np.full(len(module) + 1, -1, np.int64)
    placed = stands[on_device[src[stands]]]
    lane[dst[placed]] = module["lane"][src[placed]]
    through = latest[src[stands]]
    better = through >= 0
    out = latest.copy()
    out[dst[stands][better]] = through[better]
    return lane[calls.rows], out[calls.rows]
