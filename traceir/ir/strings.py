"""The string pool of a module: every name is stored once and referred to by its code."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

import numpy as np

from traceir.ir.column import Array, Mask, Rows

_FEW: Final = 8
"""Codes up to which comparing with each is faster than a look into a table."""


def one_of(codes: Array, wanted: Collection[int], size: int) -> Mask:
    """Which codes (-1 null, else below `size`) are among some of them, which are not null. O(n)."""
    if not wanted:
        return np.zeros(len(codes), bool)
    if len(wanted) > _FEW:
        table = np.zeros(size + 1, bool)
        table[list(wanted)] = True
        return np.take(table, codes, mode="wrap")
    first, *others = wanted
    mask = np.asarray(codes == first)
    for code in others:
        mask |= codes == code
    return mask


class Strings:
    """An append-only view of a list of distinct strings; a code is a position in it, -1 is null.

    `extend` gives a larger pool that keeps all codes, so columns that share a module's pool stay valid.
    """

    __slots__ = ("_codes", "_texts")

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._texts: tuple[str, ...] = tuple(texts)
        self._codes: dict[str, int] | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """All strings in order of their codes."""
        return self._texts

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, code: int) -> str:
        """The string of `code`; a negative code is a KeyError, since null has no text."""
        if code < 0:
            raise KeyError(code)
        return self._texts[code]

    def _index(self) -> dict[str, int]:
        if self._codes is None:
            self._codes = {text: code for code, text in enumerate(self._texts)}
        return self._codes

    def code(self, text: str) -> int:
        """The code of `text`, or -1 if the pool does not hold it. O(1) after the first call."""
        return self._index().get(text, -1)

    def extend(self, texts: Iterable[str]) -> Strings:
        """A pool that holds `texts` too; the same pool if it already does."""
        known = self._index()
        new = [text for text in dict.fromkeys(texts) if text not in known]
        return Strings(self._texts + tuple(new)) if new else self

    def encode(self, texts: Sequence[str | None]) -> tuple[Strings, Rows]:
        """The pool extended by `texts`, and their codes (int32, None is -1)."""
        pool = self.extend(text for text in texts if text is not None)
        index = pool._index()
        codes = np.fromiter((-1 if text is None else index[text] for text in texts), np.int32, len(texts))
        return pool, codes

    def decode(self, codes: Array) -> list[str | None]:
        """The strings of `codes`, None for null. O(n)."""
        texts = self._texts
        return [None if code < 0 else texts[code] for code in codes.tolist()]

    def is_in(self, codes: Array, texts: Iterable[str]) -> Mask:
        """Which of `codes` stand for one of `texts`. O(n)."""
        index = self._index()
        return one_of(codes, [index[text] for text in texts if text in index], len(self._texts))
