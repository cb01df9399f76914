"""From the text of a piece of the event list to event objects, their byte ranges and exact times."""

from __future__ import annotations

import re
from typing import Any, Final

import attrs
import msgspec
import numpy as np

from traceir.ir import NULL_I64, Array, Ints
from traceir_frontends.kineto import times

NONE: Final = float("nan")


class Args(msgspec.Struct, gc=False):
    """The arguments that the frontend itself needs; whatever else an event carries is skipped, and decoded later."""

    correlation: Any = NULL_I64
    external: Any = msgspec.field(name="External id", default=NULL_I64)
    stream: Any = None
    device: Any = None
    graph: Any = msgspec.field(name="graph id", default=NULL_I64)
    on_stream: Any = msgspec.field(name="wait_on_stream", default=NULL_I64)
    on_record: Any = msgspec.field(name="wait_on_cuda_event_record_corr_id", default=NULL_I64)
    bytes: Any = msgspec.field(name="Bytes", default=None)
    name: Any = None
    labels: Any = None


class Event(msgspec.Struct, gc=False):
    """An event as most files have it: numbers are numbers."""

    ph: str = ""
    cat: str | None = None
    name: str = ""
    pid: int | str | float | None = None
    tid: int | str | float | None = None
    ts: int | float = NONE
    dur: int | float = NONE
    id: int | str | float | None = None
    args: Args | None = None


class Token(msgspec.Struct, gc=False):
    """The same with times left as text, where floating point would not be exact or they are no numbers."""

    ph: str = ""
    cat: str | None = None
    name: str = ""
    pid: int | str | float | None = None
    tid: int | str | float | None = None
    ts: msgspec.Raw = msgspec.Raw(b"")
    dur: msgspec.Raw = msgspec.Raw(b"")
    id: int | str | float | None = None
    args: Args | None = None


_EVENTS: Final = msgspec.json.Decoder(list[Event])
_TOKENS: Final = msgspec.json.Decoder(list[Token])
_RAWS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_TRAILING: Final = re.compile(r"trailing characters \(byte (\d+)\)")
_BETWEEN: Final = re.compile(rb"[\s,]*")


@attrs.frozen(eq=False)
class Piece:
    """Some consecutive events: objects, byte ranges within the window's buffer, and times in ns (null for none)."""

    events: list[Any]
    starts: Ints
    ends: Ints
    ts: Ints
    dur: Ints


def ranges_of(text: Array, count: int) -> tuple[Ints, Ints] | None:
    """Where the `count` objects of a JSON list stand, given that the list parses; None if text alone cannot tell.

    A border is `}` `,` `{` with only white space between. Every true border is one, so if there are as many as
    needed they are exactly the borders; more mean that a nested list of objects, or a string, holds one too.
    """
    starts, ends = borders(text)
    if len(starts) != count - 1:
        return None
    first, last = 1, len(text)
    while text[first] <= 32:
        first += 1
    while text[last - 1] != 0x5D:
        last -= 1
    last -= 1
    while text[last - 1] <= 32:
        last -= 1
    return np.concatenate([[first], starts]), np.concatenate([ends, [last]])


def borders(text: Array) -> tuple[Ints, Ints]:
    """Starts of the objects that follow a border, and ends of those before it. O(n), vectorised."""
    starts = np.flatnonzero(text == 0x7B)
    if len(starts) and starts[0] == 0:
        starts = starts[1:]
    commas = _back(text, starts - 1)
    chosen = text[commas] == 0x2C
    starts, commas = starts[chosen], commas[chosen]
    ends = _back(text, commas - 1)
    chosen = text[ends] == 0x7D
    return starts[chosen], ends[chosen] + 1


def _back(text: Array, at: Ints) -> Ints:
    """Positions moved left over white space (not below 0)."""
    at = np.maximum(at, 0)
    while True:
        blank = (text[at] <= 32) & (at > 0)
        if not blank.any():
            return at
        at = at - blank


def exact_ranges(text: bytes) -> tuple[Ints, Ints]:
    """The byte ranges of a parsed list's elements, from the elements' own lengths. O(n) with a loop per event."""
    starts, ends, at = [], [], 1
    for raw in _RAWS.decode(text):
        at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]
        starts.append(at)
        at += len(memoryview(raw))
        ends.append(at)
    return np.array(starts, np.int64), np.array(ends, np.int64)


@attrs.define
class PieceDecoder:
    """Decodes lists of events; once a file needs exact text for its times, all that follows is read so."""

    by_text: bool = False

    def decode(self, view: memoryview, at: int) -> Piece:
        """The events of the JSON list in `view`, which begins at `at` of the buffer; DecodeError if it is none."""
        if not self.by_text:
            events = _EVENTS.decode(view)
            ts = times.from_numbers([event.ts for event in events])
            dur = times.from_numbers([event.dur for event in events]) if ts is not None else None
            if ts is not None and dur is not None:
                return self._placed(view, at, events, ts, dur)
            self.by_text = True
        tokens = _TOKENS.decode(view)
        ts = times.from_tokens([token.ts for token in tokens])
        return self._placed(view, at, tokens, ts, times.from_tokens([token.dur for token in tokens]))

    def _placed(self, view: memoryview, at: int, events: list[Any], ts: Ints, dur: Ints) -> Piece:
        found = ranges_of(np.frombuffer(view, np.uint8), len(events)) if events else (ts, ts)
        starts, ends = found if found is not None else exact_ranges(bytes(view))
        return Piece(events, starts + at, ends + at, ts, dur)


def end_of_list(error: msgspec.DecodeError, text: memoryview) -> int | None:
    """The end of a list after which the text goes on, which the decoder reports; None if that is not the error.

    The list is sound up to there, so its end is the last bracket before the first byte that is too many.
    """
    found = _TRAILING.search(str(error))
    if found is None:
        return None
    end = int(found.group(1)) - 1
    while end > 0 and text[end - 1] <= 32:
        end -= 1
    return end if end > 0 and text[end - 1] == 0x5D else None
