"""Exact integer nanoseconds from decimal microseconds, digit by digit, many at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from traceir.ir import NULL_I64, Ints
from traceir_frontends.kineto.times import LATEST, from_token

_LONGEST: Final = 40
"""Bytes of a token that is read with the others; a longer one is read by itself."""
_MOST_DIGITS: Final = 19
"""Digits that fit 64 bits without a sign; Unix times in ns have as many."""
_QUOTE, _DOT, _BLANK, _TAB = 0x22, 0x2E, 0x20, 0x09


def nanoseconds(tokens: Sequence[bytes]) -> Ints:
    """Nanoseconds of decimal microseconds as text, quoted or not; half to even beyond three decimals.

    Blanks and tabs around the digits do not count; null where there is no usable time. O(n), vectorised: floating
    point, which is a quarter of a microsecond off for Unix times, is nowhere used.
    """
    if not len(tokens):
        return np.empty(0, np.int64)
    short = [token if len(token) <= _LONGEST else b"!" for token in tokens]
    packed = np.array(short, np.bytes_)
    table = packed.view(np.uint8).reshape(len(tokens), packed.dtype.itemsize)
    value = np.zeros(len(tokens), np.uint64)
    digits, decimals, rest = (np.zeros(len(tokens), np.int16) for _ in range(3))
    sticky, odd, dotted, blank = (np.zeros(len(tokens), bool) for _ in range(4))
    for column in table.T:
        digit = (column >= 0x30) & (column <= 0x39)
        dot = column == _DOT
        odd |= (dot & dotted) | (digit & blank)
        dotted |= dot
        space = (column == 0) | (column == _BLANK) | (column == _TAB)
        blank |= space & (digits > 0)
        odd |= ~(digit | dot | space | (column == _QUOTE))
        kept = digit & (decimals < 3)
        value = np.where(kept & (digits < _MOST_DIGITS), value * np.uint64(10) + (column - 0x30), value)
        first = digit & (decimals == 3)
        rest = np.where(first, column.astype(np.int16) - 0x30, rest)
        sticky |= digit & (decimals > 3) & (column != 0x30)
        digits += kept
        decimals += digit & dotted
    scale = np.array([1000, 100, 10, 1], np.uint64)[np.minimum(decimals, 3)]
    odd |= (digits == 0) | (digits + np.maximum(3 - decimals, 0) > _MOST_DIGITS)
    value = np.where(odd, np.uint64(0), value * scale)
    odd |= value >= LATEST
    out = np.where(odd, np.uint64(0), value).astype(np.int64)
    out += (rest > 5) | ((rest == 5) & (sticky | (out % 2 == 1)))
    out[packed == b""] = NULL_I64
    for at in np.flatnonzero(odd & (packed != b"")).tolist():
        time = from_token(tokens[at].strip())
        out[at] = NULL_I64 if time is None else time
    return out


def of_texts(texts: Sequence[str | None]) -> Ints:
    """The same of texts, such as a column of a table has."""
    return nanoseconds([b"" if text is None else text.encode("ascii", "replace") for text in texts])
