"""The handle on a loaded file: event bytes and arguments, read again when somebody asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Final

import attrs
import msgspec
import numpy as np

from traceir.errors import InputError
from traceir.ir import Ints, Module
from traceir.ir.source import Loaded
from traceir_frontends.kineto import times
from traceir_frontends.kineto.listing import KinetoListing, pieces_of, text_at
from traceir_frontends.kineto.repair import BROKEN, loose, mend
from traceir_frontends.kineto.stream import STRIDE, Checkpoints, GzipText, Origin

_SPAN: Final = 1 << 20
"""Text read at once where events lie close together."""


class _Arguments(msgspec.Struct):
    args: Any = None


_ARGUMENTS: Final = msgspec.json.Decoder(_Arguments)
_MANY: Final = msgspec.json.Decoder(list[_Arguments])
_TOGETHER: Final = 1 << 8
"""Events whose arguments are decoded together: few enough that one broken event costs little."""


@attrs.define(eq=False)
class KinetoSource:
    """A Kineto file. Plain text is read by offset, gzip inflated from the nearest checkpoint; nothing is kept."""

    origin: Origin
    checkpoints: Checkpoints | None
    frontend: str = "kineto"
    _made: tuple[int, int, int] | None = attrs.field(default=None, init=False)
    _first: tuple[int, int, int] = attrs.field(default=(0, 0, 0), init=False)
    _ahead: int | None = attrs.field(default=None, init=False)
    path: str = attrs.field(init=False)
    """The path that the user gave (`-` for standard input)."""

    def __attrs_post_init__(self) -> None:
        self.path = self.origin.path

    def raw(self, offset: int, length: int) -> bytes:
        """The event's own bytes; InputError if the file has changed since it was loaded."""
        return self._texts(np.array([offset]), np.array([length]))[0]

    def args(self, offsets: Ints, lengths: Ints) -> Sequence[Mapping[str, Any]]:
        """The arguments of events by their place in the text, empty mappings where there are none."""
        raws = self._texts(offsets, lengths)
        out: list[Mapping[str, Any]] = []
        for begin in range(0, len(raws), _TOGETHER):
            out += _all_decoded(raws[begin : begin + _TOGETHER])
        return out

    def remember(self, module: Module) -> None:
        """Note what the frontend made of the file: a module with the same rows and times can be copied as text."""
        if len(module):
            self._made = len(module), module.token("ts"), module.token("dur")
            self._first = int(module["offset"][0]), int(module["length"][0]), int(module["ts"][0])

    @property
    def loaded(self) -> Loaded | None:
        """What was made of the file; the first event is read again to see by how much its times are ahead."""
        if self._made is None:
            return None
        if self._ahead is None:
            offset, length, ts = self._first
            event = mend(self.raw(offset, length))
            time = None if event is None else times.from_token(bytes(event.ts))
            if time is None:
                raise InputError(f"The input {self.path} has no event at byte {offset} any more; load it again.")
            self._ahead = time - ts
        return Loaded(*self._made, self._ahead)

    def listing(self, after: int = 0) -> KinetoListing:
        """The elements of the event list in order, those behind the element that ends at `after`."""
        return KinetoListing(self.origin, self.checkpoints, after)

    def text(self, start: int, end: int | None = None) -> Iterator[bytes]:
        """The text between two offsets in pieces, to its end without `end`."""
        with closing(text_at(self.origin, self.checkpoints, start)) as text:
            yield from pieces_of(text, None if end is None else end - start)

    def _texts(self, offsets: Ints, lengths: Ints) -> list[bytes]:
        """The bytes of ranges in any order; each part of the text is read once, forwards."""
        out = [b""] * len(offsets)
        wanted = np.flatnonzero(offsets >= 0)
        order = wanted[np.argsort(offsets[wanted], kind="stable")]
        if not len(order):
            return out
        starts, ends = offsets[order].tolist(), (offsets + lengths)[order].tolist()
        with _Cursor(self.origin, self.checkpoints) as cursor:
            for low, high in _spans(starts, ends):
                begin, text = starts[low], cursor.read(starts[low], max(ends[low:high]) - starts[low])
                for at in range(low, high):
                    out[order[at]] = text[starts[at] - begin : ends[at] - begin]
        return out


def _spans(starts: list[int], ends: list[int]) -> Iterator[tuple[int, int]]:
    """Runs of ranges that are read together: none lies further than a span from its run's beginning."""
    low = 0
    for at in range(1, len(starts) + 1):
        if at == len(starts) or ends[at] > starts[low] + _SPAN:
            yield low, at
            low = at


class _Cursor:
    """Reads a text at rising offsets."""

    def __init__(self, origin: Origin, checkpoints: Checkpoints | None) -> None:
        self._ahead = origin
        self._checkpoints = checkpoints
        self._file = None if checkpoints is not None else origin.open()
        self._text: GzipText | None = None

    def __enter__(self) -> _Cursor:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
        if self._text is not None:
            self._text.close()

    def read(self, offset: int, length: int) -> bytes:
        """The bytes at an offset; InputError if the text no longer goes that far."""
        if self._checkpoints is None:
            assert self._file is not None
            self._file.seek(offset)
            data = self._file.read(length)
            while len(data) < length and (more := self._file.read(length - len(data))):
                data += more
        else:
            data = self._inflated(offset, length, self._checkpoints)
        if len(data) != length:
            raise InputError(f"The input {self._ahead.path} has no {length} bytes at {offset} any more; load it again.")
        return data

    def _inflated(self, offset: int, length: int, checkpoints: Checkpoints) -> bytes:
        text = self._text
        if text is None or not text.position <= offset < text.position + 2 * STRIDE:
            if text is not None:
                text.close()
            text = self._text = GzipText(self._ahead, checkpoints, offset)
        scratch = bytearray(min(max(offset - text.position, 0), _SPAN))
        while text.position < offset:
            with memoryview(scratch) as view:
                if not text.readinto(view[: offset - text.position]):
                    return b""
        out = bytearray(length)
        with memoryview(out) as view:
            return bytes(out) if text.readinto(view) == length else b""


def _all_decoded(raws: list[bytes]) -> list[Mapping[str, Any]]:
    """The arguments of events, decoded in one go as a list, or one by one where that cannot be done."""
    try:
        found = _MANY.decode(b"[" + b",".join(raw or b"{}" for raw in raws) + b"]")
    except BROKEN:
        found = []
    if len(found) != len(raws):
        return [_decoded(raw) for raw in raws]
    return [item.args if isinstance(item.args, dict) else {} for item in found]


def _decoded(raw: bytes) -> Mapping[str, Any]:
    """The arguments of one event, read tolerantly where they are not strict JSON."""
    if not raw:
        return {}
    try:
        args = _ARGUMENTS.decode(raw).args
    except BROKEN:
        value = loose(raw)
        args = value.get("args") if isinstance(value, dict) else None
    return args if isinstance(args, dict) else {}
