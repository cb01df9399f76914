"""From lines to samples: who, when, which event, and the stack, each distinct one kept once."""

from __future__ import annotations

import re
from typing import Final

import attrs

from traceir.loading import Progress
from traceir_frontends.lines import LineText, seconds_to_ns
from traceir_frontends.perf import spelling

Series = tuple[bytes, bytes, bytes]
"""What samples lie on one lane: process (empty if unknown), thread, event."""
NO_TIME: Final = -(1 << 62)
_CHAIN_MOST: Final = 4096
"""Frames of the longest chain that is kept: the kernel records at most some hundreds."""


@attrs.define(eq=False)
class Sample:
    """A sample: its place in the file, its time (`NO_TIME` if none), period (-1 if none), and its stack by number."""

    ordinal: int
    ts: int
    period: int
    stack: int
    offset: int
    length: int


@attrs.define(eq=False)
class Note:
    """A record that is no sample."""

    ordinal: int
    ts: int
    name: str
    pid: bytes
    tid: bytes
    offset: int
    length: int


@attrs.define(eq=False)
class Reading:
    """All samples by lane, the frames and stacks that occur, and what was met on the way."""

    series: dict[Series, list[Sample]] = attrs.field(factory=dict)
    comms: dict[bytes, bytes] = attrs.field(factory=dict)
    frames: dict[str, int] = attrs.field(factory=dict)
    places: list[tuple[int, int]] = attrs.field(factory=list)
    """Where in the text each frame is first told of: offset and length."""
    stacks: dict[tuple[int, ...], int] = attrs.field(factory=dict)
    """Distinct stacks, the outermost frame first."""
    notes: list[Note] = attrs.field(factory=list)
    lost: int = 0
    losses: int = 0
    timed: int = 0
    timeless: int = 0
    unread: int = 0
    first_unread: int = 0
    clipped: int = 0
    continued: int = 0
    line: int = 0
    ordinal: int = 0
    _sample: Sample | None = None
    _chain: list[int] = attrs.field(factory=list)
    _known: dict[bytes, int] = attrs.field(factory=dict)

    def read(self, text: LineText, progress: Progress | None = None) -> None:
        """Take all lines of a text. O(bytes)."""
        for base, block in text.blocks(progress):
            offset = base
            # what follows the last newline of a block is the next block's, not an empty line
            for line in block.removesuffix(b"\n").split(b"\n"):
                self.line += 1
                self._take(line, offset)
                offset += len(line) + 1
        self._finish()

    def _take(self, line: bytes, offset: int) -> None:
        if self._sample is not None and line[:1] == b"\t":
            self._frame(line, offset)
            return
        if not line.strip():
            self._finish()
            return
        if line[:1] == b"#":
            return
        if b"PERF_RECORD_" in line and (record := spelling.RECORD.match(line)):
            self._finish()
            self._record(record, offset, len(line))
            return
        head = spelling.HEAD.match(line)
        if head is not None:
            self._finish()
            self._begin(head, line, offset)
        elif self._sample is not None and line[:1] == b" ":
            self._frame(line, offset)
        else:
            self.unread += 1
            self.first_unread = self.first_unread or self.line

    def _begin(self, head: re.Match[bytes], line: bytes, offset: int) -> None:
        time, period = head["ts"], head["period"]
        ts = NO_TIME if time is None else seconds_to_ns(time)
        if time is None:
            self.timeless += 1
        else:
            self.timed += 1
        sample = Sample(self.ordinal, ts, -1 if period is None else int(period), -1, offset, len(line))
        self.ordinal += 1
        tid: bytes = head["tid"]
        self.comms[tid] = head["comm"]
        if tid == b"0" and head["cpu"]:
            tid = b"0.%d" % int(head["cpu"])
        self.series.setdefault((head["pid"] or b"", tid, head["event"]), []).append(sample)
        self._sample = sample
        place = spelling.place_of(head["rest"]) if head["rest"] else None
        if place is not None and place.symbol:
            self._add(head["rest"], place, offset + head.start("rest"))

    def _frame(self, line: bytes, offset: int) -> None:
        sample = self._sample
        assert sample is not None
        sample.length = offset + len(line) - sample.offset
        known = self._known.get(line)
        if known is not None:
            self._push(known)
            return
        found = spelling.place_of(line)
        if found is None:
            self.continued += 1  # source lines and the like, told below their frame
            return
        self._known[line] = self._add(line, found, offset)

    def _add(self, text: bytes, place: spelling.Place, offset: int) -> int:
        name = spelling.shown(place)
        code = self.frames.setdefault(name, len(self.frames))
        if code == len(self.places):
            self.places.append((offset, len(text)))
        self._push(code)
        return code

    def _push(self, code: int) -> None:
        if len(self._chain) < _CHAIN_MOST:
            self._chain.append(code)
        else:
            self.clipped += 1

    def _finish(self) -> None:
        if self._sample is not None:
            stack = tuple(reversed(self._chain))
            self._sample.stack = self.stacks.setdefault(stack, len(self.stacks))
        self._sample, self._chain = None, []

    def _record(self, found: re.Match[bytes], offset: int, length: int) -> None:
        said = found["record"] + found["rest"]
        loss = spelling.LOSS.match(said)
        if loss is not None:
            self.lost += int(loss["n"])
            self.losses += 1
        ts = NO_TIME if found["ts"] is None else seconds_to_ns(found["ts"])
        name = found["record"].decode("ascii")
        tid, pid = found["tid"] or b"", found["pid"] or b""
        self.notes.append(Note(self.ordinal, ts, name, pid, tid, offset, length))
        self.ordinal += 1
