"""Stacks to events: what samplers and tracers of stacks have in common."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import msgspec
import numpy as np

from traceir.errors import InputError
from traceir.ir import Finding, Ints, Lane, Module, ModuleBuilder, Strings

_FIELDS: Final = 5
"""Numbers that an event has while it is built: frame, start, end, lane, parent."""


@attrs.frozen
class Frame:
    """A function: its name as shown, and what the source says of it besides."""

    name: str
    told: Mapping[str, Any] = attrs.field(factory=dict, eq=False)


@attrs.define(eq=False)
class FrameSource:
    """The frames of a file, which are few and kept. An event's offset is its frame."""

    path: str
    frontend: str
    frames: Sequence[Frame]

    def raw(self, offset: int, length: int) -> bytes:
        """What the source says of the event's frame, as JSON."""
        return msgspec.json.encode(self.frames[offset].told) if 0 <= offset < len(self.frames) else b""

    def args(self, offsets: Ints, lengths: Ints) -> Sequence[Mapping[str, Any]]:
        """What the source says of the frames of events."""
        return [self.frames[at].told if 0 <= at < len(self.frames) else {} for at in offsets.tolist()]


@attrs.define(eq=False)
class Stacks:
    """Builds events of open and closed frames, lane by lane. Times are i64 ns of the file's own clock."""

    path: str
    frames: Sequence[Frame]
    _lanes: list[Lane] = attrs.field(factory=list)
    _events: array[int] = attrs.field(factory=lambda: array("q"))
    _open: list[int] = attrs.field(factory=list)

    def begin(self, lane: Lane) -> None:
        """Go on with a new lane, on which nothing is open."""
        self._lanes.append(lane)
        self._open = []

    def open(self, frame: int, at: int) -> None:
        """A frame begins, inside those that are open."""
        parent = self._open[-1] if self._open else -1
        self._open.append(len(self._events) // _FIELDS)
        self._events.extend((frame, at, at, len(self._lanes) - 1, parent))

    def close(self, at: int) -> None:
        """The innermost open frame ends."""
        self._events[self._open.pop() * _FIELDS + 2] = at

    @property
    def innermost(self) -> int | None:
        """The innermost open frame, None if nothing is open."""
        return self._events[self._open[-1] * _FIELDS] if self._open else None

    def become(self, stack: Sequence[int], at: int) -> None:
        """The stack is this one from now on, root first: frames that it shares with the one before stay open."""
        same = 0
        for event, frame in zip(self._open, stack, strict=False):
            if self._events[event * _FIELDS] != frame:
                break
            same += 1
        while len(self._open) > same:
            self.close(at)
        for frame in stack[same:]:
            self.open(frame, at)

    def end(self, at: int) -> int:
        """Everything that is open ends; how many frames that were."""
        still = len(self._open)
        while self._open:
            self.close(at)
        return still

    def columns(self) -> tuple[Ints, Ints, Ints, Ints, Ints]:
        """Frame, start, end, lane and parent (a position, -1 none) of all frames so far, in the order of opening."""
        table = np.array(self._events, np.int64).reshape(-1, _FIELDS)
        frame, start, end, lane, parent = np.ascontiguousarray(table.T)
        return frame, start, end, lane, parent

    def build(self, frontend: str, name: str, health: Sequence[Finding], meta: Mapping[str, Any]) -> Module:
        """The module; InputError if there is no frame at all. O(n log n)."""
        if not self._events:
            raise InputError(f"The input {self.path} holds no stack; record it again.")
        frame, start, end, lane, parent = self.columns()
        names = list(dict.fromkeys(item.name for item in self.frames))
        code = {text: at for at, text in enumerate(names)}
        codes = np.array([code[item.name] for item in self.frames], np.int32)
        first = int(start.min())
        return ModuleBuilder(
            name=name,
            strings=Strings(names),
            lanes=self._lanes,
            kinds=["host.frame"],
            id=np.arange(len(frame)),
            kind=np.zeros(len(frame), np.uint16),
            name_code=codes[frame],
            ts=start - first,
            dur=end - start,
            lane=lane.astype(np.int32),
            offset=frame,
            length=np.ones(len(frame), np.int32),
            parent=parent,
            meta={"origin_ns": None, **meta},
            health=list(health),
            source=FrameSource(self.path, frontend, self.frames),
        ).build()
