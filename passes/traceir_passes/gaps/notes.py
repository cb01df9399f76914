"""What is noted beside the class of a gap: whom to blame, and attributes that are no cause."""

from __future__ import annotations

from typing import Literal

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Ints, Mask
from traceir_passes.gaps.blame import Thread
from traceir_passes.gaps.confirm import confirmed_idle
from traceir_passes.gaps.find import Line
from traceir_passes.gaps.rules import CLASSES, Facts, Verdict

LEVELS = ("device", "lane")


@attrs.frozen(eq=False)
class Notes:
    """Turns verdicts into the columns of `table:gaps`."""

    facts: Facts
    min_gap: int
    where: Literal["device", "all", "none"]
    utilisation: str
    _threads: dict[int, Thread] = attrs.field(factory=dict, init=False)
    _calls: dict[int, tuple[Ints, Ints]] = attrs.field(factory=dict, init=False)
    _of_device: dict[int, tuple[Line, Array, Ints]] = attrs.field(factory=dict, init=False)

    def columns(self, line: Line, verdict: Verdict) -> dict[str, Array]:
        """The columns of one line's gaps; a device's line has to come before those of its lanes."""
        blame, blame_ns = self._blame(line, verdict)
        count = len(line)
        return {
            "level": np.full(count, LEVELS.index("device" if line.lane < 0 else "lane"), np.int16),
            "lane": np.full(count, line.lane, np.int32),
            "device": np.full(count, tir.NULL_I64 if line.device < 0 else line.device, np.int64),
            "start": line.start,
            "dur": line.dur,
            "class": verdict.kind.astype(np.int16),
            "host": verdict.host,
            "call": verdict.call,
            "post": verdict.post,
            "cover": verdict.cover,
            "confirmed": self._confirmed(line),
            "prev": line.prev.astype(np.int32),
            "next": line.next.astype(np.int32),
            "blame": blame.astype(np.int32),
            "blame_ns": blame_ns,
            "wait": verdict.waited.astype(np.int32),
            "by": verdict.by.astype(np.int16),
            "graph_entry": verdict.graph_entry,
            "polling": self._polling(line, verdict),
            "end_of_step": self._end_of_step(line),
        }

    def _blame(self, line: Line, verdict: Verdict) -> tuple[Array, Ints]:
        """The event each long gap is due to, and how long a blamed host event was the innermost one."""
        row, size = np.full(len(line), -1, np.int64), np.full(len(line), tir.NULL_I64)
        for name, culprit in (
            ("launch_latency", verdict.launch),
            ("after_sync", verdict.sync),
            ("other_stream", verdict.awaited),
        ):
            mine = verdict.kind == CLASSES.index(name)
            row[mine] = culprit[mine]
        if self.where == "all" or (self.where == "device" and line.lane < 0):
            self._blame_host(line, verdict, row, size)
        elif self.where == "device":
            self._inherit(line, row, size)
        row[line.dur <= self.min_gap] = -1
        size[row < 0] = tir.NULL_I64
        if line.lane < 0:
            self._of_device[line.device] = line, row, size
        return row, size

    def _blame_host(self, line: Line, verdict: Verdict, row: Array, size: Ints) -> None:
        """Fill in whom a late or blocked host is due to: the event innermost for longest, or the blocking call."""
        lanes = self.facts.module["lane"][verdict.launch]
        long_ = (line.dur > self.min_gap) & (verdict.launch >= 0)
        late = long_ & (verdict.kind == CLASSES.index("host_late"))
        for lane in np.unique(lanes[late]).tolist():
            mine = np.flatnonzero(late & (lanes == lane))
            if lane not in self._threads:
                self._threads[lane] = Thread.of(self.facts.module, lane)
            row[mine], size[mine] = self._threads[lane].longest(line.start[mine], verdict.until[mine])
        blocked = long_ & (verdict.kind == CLASSES.index("host_sync"))
        process = self.facts.process[0][lanes]
        for number in np.unique(process[blocked]).tolist():
            mine = np.flatnonzero(blocked & (process == number))
            row[mine] = self.facts.blocks[number].longest(line.start[mine], verdict.until[mine])

    def _inherit(self, line: Line, row: Array, size: Ints) -> None:
        """Take the blame of the device's gap where a lane's gap is the same one."""
        if line.device not in self._of_device:
            return
        device, rows, sizes = self._of_device[line.device]
        if not len(device):
            return
        at = np.minimum(np.searchsorted(device.start, line.start), len(device) - 1)
        same = (device.start[at] == line.start) & (device.next[at] == line.next)
        row[same], size[same] = rows[at[same]], sizes[at[same]]

    def _polling(self, line: Line, verdict: Verdict) -> Mask:
        """Whether most of several calls of the launching thread in the host part were queries."""
        out = np.zeros(len(line), bool)
        lanes = np.where(verdict.launch >= 0, self.facts.module["lane"][verdict.launch], -1)
        for lane in np.unique(lanes[lanes >= 0]).tolist():
            mine = lanes == lane
            calls, asks = self._runtime_calls(lane)
            asked, made = (
                np.searchsorted(times, verdict.until[mine]) - np.searchsorted(times, line.start[mine])
                for times in (asks, calls)
            )
            out[mine] = (asked > 1) & (2 * asked > made)
        return out

    def _runtime_calls(self, lane: int) -> tuple[Ints, Ints]:
        """The starts of a thread's runtime calls, and of the queries among them."""
        if lane not in self._calls:
            module = self.facts.module
            calls = module.live & module.is_kind("rt") & (module["lane"] == lane)
            self._calls[lane] = module["ts"][calls], module["ts"][calls & self.facts.asks]
        return self._calls[lane]

    def _end_of_step(self, line: Line) -> Mask:
        step = self.facts.step
        if step is None:
            return np.zeros(len(line), bool)
        before, after = step[line.prev], step[line.next]
        return np.asarray((before >= 0) & (after >= 0) & (before != after))

    def _confirmed(self, line: Line) -> Ints:
        zero = confirmed_idle(self.facts.module, line.device, self.utilisation) if line.lane < 0 else None
        return np.full(len(line), tir.NULL_I64) if zero is None else zero.covered(line.start, line.end)
