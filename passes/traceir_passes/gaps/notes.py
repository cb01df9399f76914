"""What is noted beside the class of a gap: whom to blame, and attributes that are no cause."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Ints, Mask, Spans
from traceir_passes.gaps.blame import Threads
from traceir_passes.gaps.confirm import Counters
from traceir_passes.gaps.find import Line, grouped
from traceir_passes.gaps.keyed import Keyed
from traceir_passes.gaps.rules import CLASSES, Facts, Verdict

LEVELS = ("device", "lane")


@attrs.frozen(eq=False, slots=False)
class Notes:
    """Turns verdicts into the columns of `table:gaps`."""

    facts: Facts
    min_gap: int
    where: Literal["device", "all", "none"]
    utilisation: str
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
            "meanwhile": verdict.meanwhile.astype(np.int16),
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
        row[late], size[late] = self._threads.longest(lanes[late], line.start[late], verdict.until[late])
        self._blame_origin(line, verdict, late, row, size)
        blocked = np.flatnonzero(long_ & (verdict.kind == CLASSES.index("host_sync")))
        for number, at in grouped(self.facts.process[0][lanes[blocked]]).items():
            mine = blocked[at]
            row[mine] = self.facts.blocks[number].longest(line.start[mine], verdict.until[mine])

    def _blame_origin(self, line: Line, verdict: Verdict, late: Mask, row: Array, size: Ints) -> None:
        """Where another thread asked for the launch, and only then, what ran there for longer until it did."""
        module = self.facts.module
        origin = module.origin[verdict.launch]
        handed = np.flatnonzero(late & (origin != verdict.launch))
        if not len(handed):
            return
        asked = np.clip(module["ts"][origin[handed]], line.start[handed], verdict.until[handed])
        there, time = self._threads.longest(module["lane"][origin[handed]], line.start[handed], asked)
        more = time > size[handed]
        row[handed[more]], size[handed[more]] = there[more], time[more]

    @cached_property
    def _threads(self) -> Threads:
        """What the threads were doing that launch device work, or have it launched."""
        module = self.facts.module
        launch = module.launch[module.work]
        launch = launch[launch >= 0]
        return Threads.of(module, np.unique(module["lane"][np.concatenate([launch, module.origin[launch]])]))

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
        lane = self.facts.module["lane"][verdict.launch]
        calls, asks = self._runtime_calls
        asked, made = (keyed.count(lane, verdict.until) - keyed.count(lane, line.start) for keyed in (asks, calls))
        return np.asarray((verdict.launch >= 0) & (asked > 1) & (2 * asked > made))

    @cached_property
    def _runtime_calls(self) -> tuple[Keyed, Keyed]:
        """The starts of all threads' runtime calls, and of the queries among them."""
        module = self.facts.module
        calls = np.flatnonzero(module.live & module.is_kind("rt"))
        asks = calls[self.facts.asks[calls]]
        return Keyed(module["lane"][calls], module["ts"][calls]), Keyed(module["lane"][asks], module["ts"][asks])

    def _end_of_step(self, line: Line) -> Mask:
        step = self.facts.step
        if step is None:
            return np.zeros(len(line), bool)
        before, after = step[line.prev], step[line.next]
        return np.asarray((before >= 0) & (after >= 0) & (before != after))

    def _confirmed(self, line: Line) -> Ints:
        """The part of each gap in which the whole device is idle and its counters say so."""
        zero = self._counters.zero(line.device)
        if zero is None:
            return np.full(len(line), tir.NULL_I64)
        if line.lane >= 0 and line.device in self._of_device:
            device = self._of_device[line.device][0]
            zero = zero & Spans.of(device.start, device.end)
        return zero.covered(line.start, line.end)

    @cached_property
    def _counters(self) -> Counters:
        return Counters.of(self.facts.module, self.utilisation)
