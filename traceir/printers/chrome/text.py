"""The text of a Chrome trace: exact decimal microseconds, rows, and a sink that takes bytes."""

from __future__ import annotations

import codecs
import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TextIO

import attrs
import msgspec
import numpy as np

from traceir.ir import Array

SEPARATOR: Final = b",\n  "
_BATCH: Final = 1 << 9
_DEEPEST: Final = 100
"""Levels of a value that are written where it has to be written anew in parts."""
_BEYOND_ASCII: Final = re.compile(r"[^\x00-\x7f]")


def micros(ns: int) -> str:
    """Nanoseconds as decimal microseconds with three decimals, exactly: 1234567 is `1234.567`."""
    whole, part = divmod(abs(ns), 1000)
    return f"{'-' if ns < 0 else ''}{whole}.{part:03d}"


def all_micros(ns: Array) -> list[str]:
    """The same for a column of i64 ns. O(n)."""
    if len(ns) and int(ns.min()) < 0:
        return [micros(value) for value in ns.tolist()]
    whole, part = np.divmod(ns, 1000)
    return [f"{one}.{rest:03d}" for one, rest in zip(whole.tolist(), part.tolist(), strict=True)]


def dumps(value: Any) -> str:
    """A value as strict JSON on one line: what JSON cannot hold (NaN, infinity, odd types) becomes null or text.

    So does what nests too deep for the interpreter: what lies deeper than 100 levels becomes null then.
    """
    try:
        return msgspec.json.encode(value).decode()
    except (ValueError, TypeError, UnicodeEncodeError, RecursionError, msgspec.MsgspecError):
        return json.dumps(_plain(value), allow_nan=False)


def _plain(value: Any, depth: int = 0) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item, depth + 1) for key, item in value.items()} if depth < _DEEPEST else None
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value] if depth < _DEEPEST else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int | bool) else str(value)


def is_strict(text: bytes) -> bool:
    """Whether a text is strict JSON, in UTF-8."""
    try:
        json.loads(text.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


@attrs.define(eq=False)
class Sink:
    """Takes the bytes of a document in pieces. What is no UTF-8 becomes U+FFFD, so that the document is valid.

    Where the output takes ASCII only, other characters become JSON escapes (they can only stand in strings).
    """

    out: TextIO
    unicode: bool = True
    _decoder: codecs.IncrementalDecoder = attrs.field(factory=lambda: codecs.getincrementaldecoder("utf-8")("replace"))

    def write(self, data: bytes) -> None:
        """Write some bytes; a character may be split over two calls."""
        self.text(self._decoder.decode(data))

    def text(self, text: str) -> None:
        """Write some text that is known to be whole."""
        self.out.write(text if self.unicode else _BEYOND_ASCII.sub(_escape, text))

    def rows(self, rows: Iterable[str], *, first: bool = False) -> None:
        """Write elements behind others, or (`first`) as the first ones of their list."""
        behind = SEPARATOR.decode()
        for batch in batched(rows):
            self.write((("" if first else behind) + behind.join(batch)).encode("utf-8", "replace"))
            first = False

    def copy(self, pieces: Iterable[bytes]) -> None:
        """Write all pieces."""
        for piece in pieces:
            self.write(piece)

    def close(self) -> None:
        """Write what is left of a character that was cut."""
        self.text(self._decoder.decode(b"", final=True))


def batched(rows: Iterable[str]) -> Iterator[list[str]]:
    """The rows in lists of some hundred, so that each is not written by itself."""
    iterator = iter(rows)
    while batch := list(itertools.islice(iterator, _BATCH)):
        yield batch


def _escape(found: re.Match[str]) -> str:
    return json.dumps(found.group())[1:-1]
