"""Text of lines: read once in pieces, and later again by place, plain or gzip, a file or standard input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Final

import attrs
import numpy as np

from traceir.errors import InputError
from traceir.ir import Ints
from traceir.loading import Progress
from traceir_frontends.kineto.listing import text_at
from traceir_frontends.kineto.stream import Checkpoints, Origin, Window, open_text

_PIECE: Final = 1 << 20
_LONGEST: Final = 1 << 20
"""Bytes of the longest line: tracers cut theirs at some kilobytes, so what is longer is a bomb or no text of lines."""
_LARGE: Final = 1 << 30
_BOMB: Final = 400
"""Text of more than `_LARGE` bytes that is this many times its gzip file is a bomb: traces shrink to a twentieth."""
_SPAN: Final = 1 << 20
"""Text read at once where places lie close together."""


@attrs.define(eq=False)
class LineText:
    """The text of an input: iterate over `blocks` once, then look at `damage`, and read any part of it again."""

    path: str
    origin: Origin = attrs.field(init=False)
    damage: str | None = None
    """What is wrong with the gzip file, if something is."""
    _checkpoints: Checkpoints | None = None

    def __attrs_post_init__(self) -> None:
        self.origin = Origin(self.path)

    @classmethod
    def again(cls, path: str) -> LineText:
        """The text of an input that was read before, of which parts may be read; of gzip from its beginning on."""
        out = cls(path)
        text, out._checkpoints = open_text(out.origin)
        text.close()
        return out

    def blocks(self, progress: Progress | None = None) -> Iterator[tuple[int, bytes]]:
        """Whole lines in blocks of about 1 MiB, each with its offset in the text; the last may end without a newline.

        InputError if the input cannot be read, is a gzip file of which nothing can be, holds a line that no tracer
        writes, or a bomb.
        """
        text, self._checkpoints = open_text(self.origin)
        with closing(text):
            window = Window(text, _PIECE, progress)
            while not window.final:
                window.fill()
                last = window.buffer.rfind(b"\n", 0, window.end)
                stop = window.end if window.final else last + 1
                self._check(window, stop)
                if stop:
                    yield window.base, bytes(memoryview(window.buffer)[:stop])
                    window.drop(stop)
            self.damage = text.damage
            if self.damage and not window.base:
                raise InputError(
                    f"The input {self.path} begins like gzip, but nothing of it can be decompressed: {self.damage}; "
                    "copy it again from where it was recorded."
                )

    def texts(self, offsets: Ints, lengths: Ints) -> list[bytes]:
        """The bytes of ranges in any order, empty where the offset is negative; InputError if the file has changed."""
        out = [b""] * len(offsets)
        wanted = np.flatnonzero((offsets >= 0) & (lengths > 0))
        order = wanted[np.argsort(offsets[wanted], kind="stable")]
        starts, ends = offsets[order].tolist(), (offsets + lengths)[order].tolist()
        low = 0
        for at in range(1, len(starts) + 1):
            if at < len(starts) and ends[at] <= starts[low] + _SPAN:
                continue
            begin, block = starts[low], self._read(starts[low], max(ends[low:at]) - starts[low])
            for one in range(low, at):
                out[order[one]] = block[starts[one] - begin : ends[one] - begin]
            low = at
        return out

    def _read(self, offset: int, length: int) -> bytes:
        block = bytearray(length)
        with closing(text_at(self.origin, self._checkpoints, offset)) as text, memoryview(block) as view:
            count = text.readinto(view)
        if count != length:
            raise InputError(f"The input {self.path} has no {length} bytes at {offset} any more; load it again.")
        return bytes(block)

    def _check(self, window: Window, stop: int) -> None:
        if window.end - stop > _LONGEST:
            raise InputError(
                f"The input {self.path} has a line of more than {_LONGEST} bytes at byte {window.base + stop}; it is "
                "no text that a tracer wrote."
            )
        made = window.base + window.end
        if self._checkpoints is not None and made > max(_LARGE, _BOMB * (window.text.total or made)):
            raise InputError(
                f"The input {self.path} is a gzip file of {window.text.total} bytes that holds more than {made}; it is "
                "no trace, so unpack it yourself if you trust it."
            )


Pairs = tuple[Ints, Ints, Ints]
"""Events that end with lines of their own: offsets of their begins (sorted), offsets and lengths of their ends."""
NO_PAIRS: Final[Pairs] = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))
Decode = Callable[[bytes, bytes], Mapping[str, Any]]
"""Makes of an event's own lines, and of those that end it (empty if none do), the arguments that it carries."""


@attrs.define(eq=False)
class LineSource:
    """A text whose events are lines: an event's offset is where its lines begin.

    `find_pairs` says which events end with lines of their own; it is asked when arguments are first wanted.
    """

    text: LineText
    frontend: str
    decode: Decode
    find_pairs: Callable[[], Pairs] = lambda: NO_PAIRS
    path: str = attrs.field(init=False)
    _pairs: Pairs | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.path = self.text.path

    @property
    def pairs(self) -> Pairs:
        """The events that end with lines of their own."""
        if self._pairs is None:
            self._pairs = self.find_pairs()
        return self._pairs

    def raw(self, offset: int, length: int) -> bytes:
        """The event's own lines, exactly as the input has them."""
        return self.text.texts(np.array([offset]), np.array([length]))[0]

    def args(self, offsets: Ints, lengths: Ints) -> Sequence[Mapping[str, Any]]:
        """What the lines of events say, empty mappings where there are none. O(n log n)."""
        begins, ends, sizes = self.pairs
        at = np.searchsorted(begins, offsets)
        there = at < len(begins)
        there[there] = begins[at[there]] == offsets[there]
        second = np.full(len(offsets), -1, np.int64)
        size = np.zeros(len(offsets), np.int64)
        second[there], size[there] = ends[at[there]], sizes[at[there]]
        first, last = self.text.texts(offsets, lengths.astype(np.int64)), self.text.texts(second, size)
        return [self.decode(one, other) if one else {} for one, other in zip(first, last, strict=True)]


def seconds_to_ns(text: bytes) -> int:
    """Decimal seconds as ns, exactly; digits beyond the ninth are dropped."""
    whole, _, fraction = text.partition(b".")
    return int(whole) * 1_000_000_000 + int(fraction[:9].ljust(9, b"0"))
