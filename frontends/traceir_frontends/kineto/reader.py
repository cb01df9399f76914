"""The document: its top level read key by key, its event list in pieces cut only where that is provably right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import attrs
import msgspec

from traceir.errors import InputError
from traceir_frontends.kineto.decode import Piece, PieceDecoder, end_of_list
from traceir_frontends.kineto.repair import BROKEN, Damage, Walker, loose
from traceir_frontends.kineto.stream import Window

_BORDER: Final = re.compile(rb"\}\s*,\s*\{")
_FIRST_KEY: Final = re.compile(rb'\[\s*\{\s*("[^"]*")')
_BLANKS: Final = re.compile(rb"[\s\x00]*")
_LEXEMES: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|"|[{}\[\]]', re.DOTALL)
_SCALAR: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[^\s,{}\[\]":]+', re.DOTALL)
_LAST_BORDER_WITHIN: Final = (1 << 13, 1 << 16)
"""Bytes at the end of a piece that are searched for its last border, the few first; all of it if there is none."""


@attrs.define(eq=False)
class Document:
    """One Chrome-trace document, read once from its window: iterate over `pieces`, then look at the rest."""

    path: str
    window: Window
    metadata: dict[str, Any] = attrs.field(factory=dict)
    damage: Damage = attrs.field(factory=Damage)
    events: int = 0
    """Elements of the event list read so far."""
    _at: int = 0
    _unfinished: bool = False
    _decoder: PieceDecoder = attrs.field(factory=PieceDecoder)

    def pieces(self) -> Iterator[Piece]:
        """The events piece by piece. A piece's ranges are offsets in the text. InputError if there is no list."""
        self.window.fill()
        if self.window.buffer[:3] == b"\xef\xbb\xbf":
            self._at = 3
        first = self._byte()
        if first == b"[":
            yield from self._list()
        elif first == b"{":
            self._at += 1
            yield from self._members()
        elif not first:
            size = self.window.base + self.window.end
            what = f"holds nothing but {size} bytes of white space" if size else "is empty (0 bytes)"
            raise InputError(f"The input {self.path} {what}; copy it again from where it was recorded.")
        else:
            raise InputError(
                f"The input {self.path} is no JSON: at byte {self._offset()} it has {self._excerpt()} where {{ or [ "
                "has to stand; name a file that a profiler wrote."
            )

    # --- top level ---------------------------------------------------------------------------------------

    def _members(self) -> Iterator[Piece]:
        """The members of the top-level object."""
        found = False
        while (byte := self._byte()) not in (b"}", b""):
            if byte == b",":
                self._at += 1
                continue
            key = self._key()
            if key is None:
                break
            if key == "traceEvents" and self._byte() == b"[":
                found = True
                yield from self._list()
                if self.damage.truncated:
                    return
            elif not self._value(key):
                break
        if not found:
            raise self._no_list()
        if byte != b"}":
            self._cut("after its last event")

    def _no_list(self) -> InputError:
        known = ", ".join(list(self.metadata)[:6]) or "none at all"
        if "traceEvents" in self.metadata:
            return InputError(f"The input {self.path} has traceEvents that are no list; it is no Kineto trace.")
        if self._byte() == b"}":
            return InputError(
                f"The input {self.path} is JSON without a list traceEvents (it has the keys: {known}); "
                "it is no Kineto trace."
            )
        if self._unfinished or self._at >= self.window.end or self.window.text.damage:
            return InputError(
                f"The input {self.path} ends at byte {self.window.base + self.window.end} before its list traceEvents "
                "begins; copy it again from where it was recorded."
            )
        return InputError(
            f"The input {self.path} is no JSON: at byte {self._offset()} it has {self._excerpt()} where a key or a "
            "value has to stand."
        )

    def _key(self) -> str | None:
        """The key at the window's position, which moves behind its colon."""
        raw = self._whole(_SCALAR) if self._byte() == b'"' else None
        if raw is None:
            return None
        key = loose(raw)
        if self._byte() != b":":
            return None
        self._at += 1
        return key if isinstance(key, str) else None

    def _value(self, key: str) -> bool:
        """Read a member's value into the metadata; False if it is cut or is none."""
        byte = self._byte()
        raw = self._balanced() if byte in (b"{", b"[") else self._whole(_SCALAR)
        if raw is None:
            self._unfinished = byte in (b"{", b"[", b'"')
            return False
        value = loose(raw)
        if value is None and raw != b"null":
            return False
        self.metadata[key] = value
        return True

    def _whole(self, pattern: re.Pattern[bytes]) -> bytes | None:
        """The lexeme at the position, which moves behind it; None if there is none or it is cut."""
        self._byte()
        while True:
            found = pattern.match(self.window.buffer, self._at, self.window.end)
            if self.window.final or (found is not None and found.end() < self.window.end):
                break
            self.window.fill()
        if found is None:
            return None
        self._at = found.end()
        return found.group()

    def _balanced(self) -> bytes | None:
        """The object or list at the position, which moves behind it; None if it is cut."""
        while True:
            depth = 0
            for found in _LEXEMES.finditer(self.window.buffer, self._at, self.window.end):
                lexeme = found.group()
                if lexeme == b'"':
                    break  # a string whose end is not in the window
                depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(lexeme, 0)
                if depth == 0:
                    raw = bytes(memoryview(self.window.buffer)[self._at : found.end()])
                    self._at = found.end()
                    return raw
            if self.window.final:
                return None
            self.window.fill()

    def _byte(self) -> bytes:
        """The next byte that is not blank, not taken; empty at the end."""
        while True:
            at = _BLANKS.match(self.window.buffer, self._at, self.window.end).end()  # type: ignore[union-attr]
            self._at = at
            if at < self.window.end:
                return bytes(self.window.buffer[at : at + 1])
            if self.window.final:
                return b""
            self.window.drop(self._at)
            self._at = 0
            self.window.fill()

    def _offset(self) -> int:
        return self.window.base + self._at

    def _excerpt(self) -> str:
        return repr(bytes(self.window.buffer[self._at : min(self._at + 16, self.window.end)]))[1:]

    def _cut(self, where: str) -> None:
        """Note that the text ends too early."""
        why = self.window.text.damage or f"it ends at byte {self.window.base + self.window.end}"
        self.damage.truncated = f"{why}, {where}"

    # --- the event list ----------------------------------------------------------------------------------

    def _list(self) -> Iterator[Piece]:
        """The pieces of the list whose `[` is at the window's position, which moves behind its `]`."""
        closed = False
        while not closed:
            if self._at:
                self.window.drop(self._at)
                self._at = 0
            if not self.window.final:
                self.window.fill()
            piece, closed = self._piece()
            if piece is None:
                continue
            if piece.events:
                piece = attrs.evolve(piece, starts=piece.starts + self.window.base, ends=piece.ends + self.window.base)
                count = len(piece.events)
                yield piece
                self.events += count
            del piece  # before the next one is decoded
            if self.damage.truncated:
                return

    def _piece(self) -> tuple[Piece | None, bool]:
        """The next piece and whether the list closed after it; no piece if more of the text is needed first.

        The text from here is known to begin between two events (or at the `[`). Cut at the last border: if
        `[` events `]` parses, the cut was between two events too. If the list ended before, the decoder says where.
        """
        window = self.window
        window.buffer[0] = 0x5B
        border = self._last_border()
        if border is None and not window.final:
            return None, False
        stop = window.end if border is None else border
        if border is not None:
            window.buffer[border] = 0x5D
        try:
            with memoryview(window.buffer) as view:
                return self._decoded(view, stop if border is None else stop + 1, border)
        except BROKEN:
            if border is not None:
                window.buffer[border] = 0x2C
            return self._walk()

    def _decoded(self, view: memoryview, stop: int, border: int | None) -> tuple[Piece, bool]:
        try:
            piece = self._decoder.decode(view[:stop], 0)
        except msgspec.DecodeError as error:
            end = end_of_list(error, view[:stop])
            if end is None:
                raise
            piece = self._decoder.decode(view[:end], 0)
            stop = end
        else:
            if border is not None:
                self._at = border
                return piece, False
        if border is not None:
            view[border] = 0x2C
        self._at = stop
        return piece, True

    def _last_border(self) -> int | None:
        """Where the comma of the last `}, {` of the window stands.

        One whose next object has the first event's first key goes before: objects nested in an event look otherwise.
        """
        window = self.window
        head = _FIRST_KEY.match(window.buffer, 0, window.end)
        alike = None if head is None else re.compile(rb"\s*" + re.escape(head.group(1)))
        few, more = _LAST_BORDER_WITHIN
        for within in (few, more, window.end):
            borders = list(_BORDER.finditer(window.buffer, max(window.end - within, 0), window.end))
            same = (border for border in reversed(borders) if alike and alike.match(window.buffer, border.end()))
            border = next(same, borders[-1] if borders and within != few else None)
            if border is not None:
                return window.buffer.index(b",", border.start())
        return None

    def _walk(self) -> tuple[Piece | None, bool]:
        """The slow way, event by event, through text that does not parse as it stands."""
        window = self.window
        text = bytes(memoryview(window.buffer)[: window.end])
        found = Walker(text, 0, window.final, self.events, self.damage).walk()
        if found.state == "more" and not found.piece.events:
            return None, False
        self._at = found.stop + (1 if found.state == "closed" else 0)
        if found.state == "cut":
            inside = text[found.stop + 1 :].strip(b" \t\r\n\0,") != b""
            self.damage.cut_event = inside
            self._cut(f"{'inside' if inside else 'after'} event {self.events + len(found.piece.events)}")
        return found.piece, found.state == "closed"
