"""The damage path: a walk over a piece of text, event by event, that mends what it can and steps over the rest."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from typing import Any, Final, Literal

import attrs
import msgspec
import numpy as np

from traceir_frontends.kineto import times
from traceir_frontends.kineto.decode import Args, Piece, Token, borders

_TOKEN: Final = msgspec.json.Decoder(Token)
_LEXEMES: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|"|[{}\[\]]', re.DOTALL)
_BLANKS: Final = re.compile(rb"[\s\x00]*")
_LOOK_AHEAD: Final = 64
"""Borders tried when an event cannot be read: enough to get past the objects nested in one event."""

BROKEN: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the decoder raises on text that it does not take."""

State = Literal["closed", "more", "cut"]


@attrs.define
class Damage:
    """What was mended or lost on reading; `first` has the ordinal of the first event concerned, by what happened."""

    counts: dict[str, int] = attrs.field(factory=dict)
    first: dict[str, int | None] = attrs.field(factory=dict)
    truncated: str | None = None
    cut_event: bool = False

    def note(self, what: str, event: int | None = None, count: int = 1) -> None:
        """Count one more of `what`."""
        if count:
            self.counts[what] = self.counts.get(what, 0) + count
            self.first.setdefault(what, event)


@attrs.frozen(eq=False)
class Walk:
    """What a walk found: the events before `stop`, and whether the list closed there, goes on, or is cut."""

    piece: Piece
    stop: int
    state: State


@attrs.define(eq=False)
class Walker:
    """Walks one buffer. `ordinal` is the number of the first event, for messages."""

    buffer: bytes
    start: int
    final: bool
    ordinal: int
    damage: Damage
    events: list[Token] = attrs.field(factory=list)
    starts: list[int] = attrs.field(factory=list)
    ends: list[int] = attrs.field(factory=list)
    _border_starts: list[int] = attrs.field(factory=list)
    _border_ends: list[int] = attrs.field(factory=list)

    def walk(self) -> Walk:
        """Read events from `start` (which is at the list's `[` or at a comma) as far as the buffer goes."""
        found = borders(np.frombuffer(self.buffer, np.uint8)[self.start :])
        self._border_starts, self._border_ends = ((side + self.start).tolist() for side in found)
        at = self.start + 1
        mark = self.start  # no byte of an event that is still to be read lies at or before it
        separated = True
        while True:
            at = _BLANKS.match(self.buffer, at).end()  # type: ignore[union-attr]
            if at >= len(self.buffer):
                return self._done(mark, "cut" if self.final else "more")
            byte = self.buffer[at]
            if byte in b",]":
                if separated and self.events:
                    self.damage.note("comma", self._number())
                if byte == 0x5D:
                    return self._done(at, "closed")
                separated, mark, at = True, at, at + 1
                continue
            after = self._event(at) if byte == 0x7B else self._other(at)
            if after is None:
                return self._done(mark, "cut" if self.final else "more")
            if not separated:
                self.damage.note("comma", self._number() - 1)
            separated, mark, at = self.buffer[after : after + 1] == b"{", after - 1, after

    def _done(self, stop: int, state: State) -> Walk:
        ts = times.from_tokens([event.ts for event in self.events])
        dur = times.from_tokens([event.dur for event in self.events])
        ranges = np.array(self.starts, np.int64), np.array(self.ends, np.int64)
        return Walk(Piece(self.events, *ranges, ts, dur), stop, state)

    def _number(self) -> int:
        return self.ordinal + len(self.events)

    def _event(self, at: int) -> int | None:
        """Read the event at `at`; where to go on, or None if its end is not in the buffer."""
        border = bisect_left(self._border_starts, at + 1)
        if border < len(self._border_ends) and self._take(at, self._border_ends[border]):
            return self._border_ends[border]
        end = self._balanced(at)
        if end is not None and self._take(at, end):
            return end
        after = self._resume(border)
        if after is None:
            after = end
        return None if after is None else self._lose(at, after)

    def _other(self, at: int) -> int | None:
        """Step over an element that is no object: to the next event, or to the end of the list."""
        border = bisect_left(self._border_starts, at)
        ends = [self.buffer.find(b"]", at), self.buffer.find(b"{", at), *self._border_starts[border : border + 1]]
        return self._lose(at, min(end for end in ends if end >= 0)) if max(ends) >= 0 else None

    def _lose(self, start: int, end: int) -> int:
        """Keep the place of an element that cannot be read, so that the numbers of the others stay right."""
        self.damage.note("unreadable", self._number())
        self._keep(Token(), start, end)
        return end

    def _resume(self, border: int) -> int | None:
        """The first of the next borders after which a sound event stands."""
        for at in range(border, min(border + _LOOK_AHEAD, len(self._border_starts) - 1)):
            start, end = self._border_starts[at], self._border_ends[at + 1]
            try:
                if _TOKEN.decode(memoryview(self.buffer)[start:end]).ph:
                    return start
            except BROKEN:
                continue
        return None

    def _balanced(self, at: int) -> int | None:
        """The end of the object at `at` by its brackets and strings alone."""
        depth = 0
        for found in _LEXEMES.finditer(self.buffer, at):
            lexeme = found.group()
            if lexeme in (b"{", b"["):
                depth += 1
            elif lexeme in (b"}", b"]"):
                depth -= 1
                if depth == 0:
                    return found.end()
            elif lexeme == b'"':
                return None
        return None

    def _take(self, start: int, end: int) -> bool:
        """Decode one event and keep it; False if its bytes are no object."""
        raw = memoryview(self.buffer)[start:end]
        try:
            event = _TOKEN.decode(raw)
        except BROKEN:
            mended = mend(bytes(raw))
            if mended is None:
                return False
            event = mended
            self.damage.note("mended", self._number())
        if bytes(memoryview(event.ts)[:1]) == b'"' or bytes(memoryview(event.dur)[:1]) == b'"':
            self.damage.note("string_time", self._number())
        self._keep(event, start, end)
        return True

    def _keep(self, event: Token, start: int, end: int) -> None:
        self.events.append(event)
        self.starts.append(start)
        self.ends.append(end)


def mend(raw: bytes) -> Token | None:
    """An event from bytes that are not strict JSON or not of the usual types; None if they are no object at all."""
    value = loose(raw)
    if not isinstance(value, dict):
        return None
    args = value.get("args")
    return Token(
        ph=_text(value.get("ph")),
        cat=None if value.get("cat") is None else _text(value.get("cat")),
        name=_text(value.get("name")),
        pid=_plain(value.get("pid")),
        tid=_plain(value.get("tid")),
        ts=msgspec.Raw(times.to_token(value.get("ts"))),
        dur=msgspec.Raw(times.to_token(value.get("dur"))),
        id=_plain(value.get("id")),
        args=_args(args) if isinstance(args, dict) else None,
    )


def loose(raw: bytes) -> Any:
    """JSON read tolerantly: NaN, raw control characters, bad UTF-8 and lone surrogates pass; None if it is no JSON."""
    try:
        return _LOOSE.decode(raw.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


class _Number(float):
    """A float that prints as its source has it."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> _Number:
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __str__(self) -> str:
        return self.text


_LOOSE: Final = json.JSONDecoder(strict=False, parse_float=_Number)
_FIELDS: Final = {field.encode_name: field.name for field in msgspec.structs.fields(Args)}


def _args(args: dict[str, Any]) -> Args:
    return Args(**{_FIELDS[key]: value for key, value in args.items() if key in _FIELDS})


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return "" if value is None else json.dumps(value)


def _plain(value: Any) -> int | str | float | None:
    if isinstance(value, str):
        return _text(value)
    return value if value is None or isinstance(value, int | float) else json.dumps(value)
