"""The text and the event list read once more, for printers: every element with its place, kept as an event or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import attrs

from traceir.errors import InputError
from traceir.ir.source import Elements
from traceir_frontends.kineto.decode import Piece
from traceir_frontends.kineto.reader import Document
from traceir_frontends.kineto.stream import Checkpoints, GzipText, Origin, PlainText, Text, Window

_PIECE: Final = 1 << 20
_HARMLESS: Final = frozenset({"string_time"})
"""What is noted as damage on reading and is strict JSON all the same."""


@attrs.define(eq=False)
class KinetoListing:
    """One reading of a file, from its beginning, or from the end of the element that ends at `after` on."""

    origin: Origin
    checkpoints: Checkpoints | None
    after: int = 0
    metadata: dict[str, Any] = attrs.field(factory=dict)
    truncated: bool = False

    def __iter__(self) -> Iterator[Elements]:
        with closing(text_at(self.origin, self.checkpoints, self.after)) as text:
            window = Window(text, _PIECE, base=self.after)
            kind = _Rest if self.after else Document
            document = kind(self.origin.path, window, self.metadata)
            noted = 0
            for piece in document.pieces():
                now = sum(count for what, count in document.damage.counts.items() if what not in _HARMLESS)
                yield _elements(document, piece, sound=now == noted)
                noted = now
            self.truncated = document.damage.truncated is not None


class _Rest(Document):
    """The list from an element's end on; what stands behind the list is not read."""

    def pieces(self) -> Iterator[Piece]:
        """The elements that follow, if any."""
        self.window.fill()
        if self._byte() == b",":
            yield from self._list()


def _elements(document: Document, piece: Piece, *, sound: bool) -> Elements:
    """A piece with its text, which is still in the window's buffer."""
    low, high, base = int(piece.starts[0]), int(piece.ends[-1]), document.window.base
    text = bytes(memoryview(document.window.buffer)[low - base : high - base])
    return Elements(
        document.events, low, text, piece.starts - low, piece.ends - low, piece.ts, piece.dur, piece.events, sound
    )


def text_at(origin: Origin, checkpoints: Checkpoints | None, offset: int) -> Text:
    """The text from an offset on; InputError if it does not go that far."""
    if checkpoints is None:
        plain = PlainText(origin)
        plain.seek(offset)
        return plain
    text = GzipText(origin, checkpoints, offset)
    scratch = bytearray(_PIECE)
    with memoryview(scratch) as view:
        while text.position < offset:
            if not text.readinto(view[: offset - text.position]):
                text.close()
                raise InputError(f"The input {origin.path} has no byte {offset} any more; load it again.")
    return text


def pieces_of(text: Text, length: int | None) -> Iterator[bytes]:
    """The next `length` bytes of a text in pieces, fewer if it ends before; all of it without `length`."""
    buffer = bytearray(_PIECE)
    while length is None or length > 0:
        with memoryview(buffer) as view:
            count = text.readinto(view if length is None else view[:length])
        if not count:
            return
        length = None if length is None else length - count
        yield bytes(buffer) if count == _PIECE else bytes(buffer[:count])
