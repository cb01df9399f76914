"""Edits in place: new numbers for the times of some elements, all their other bytes as they are."""

from __future__ import annotations

import re
from typing import Final

import attrs
import numpy as np

from traceir.ir import NULL_I64, Array, Ints, Mask
from traceir.ir.source import Elements
from traceir.printers.chrome.text import all_micros

_LEXEMES: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)
_NUMBER: Final = np.zeros(256, bool)
_NUMBER[list(b'+-.0123456789eE"')] = True
_WHOLE: Final = np.zeros(256, bool)
_WHOLE[list(b'+-0123456789"')] = True
_BETWEEN: Final = np.zeros(256, bool)
_BETWEEN[list(b" \t\r\n:")] = True
Edited = tuple[bytes, Ints, Ints]


@attrs.frozen(eq=False)
class Times:
    """New times of the elements of a part, i64 ns in the clock of the file, null where the old one stays."""

    ts: Ints
    dur: Ints

    @classmethod
    def none(cls, count: int) -> Times:
        """No new times."""
        return cls(np.full(count, NULL_I64), np.full(count, NULL_I64))

    @property
    def any(self) -> bool:
        """Whether there is a new time at all."""
        return bool((self.ts != NULL_I64).any() or (self.dur != NULL_I64).any())


def edit(part: Elements, times: Times) -> Edited:
    """The text of a part with new times in some of its elements, and where its elements stand then. O(n).

    The numbers are found as the elements' own keys, never as keys of their arguments. A number that was in quotes or
    whole stays so where it can. A new duration of an element that has none is put behind its start.
    """
    text = np.frombuffer(part.text, np.uint8)
    low, high, new = _patches(part, text, b'"ts"', times.ts, part.ts != NULL_I64)
    more = _patches(part, text, b'"dur"', times.dur, part.dur != NULL_I64)
    added = _added(part, text, np.flatnonzero((times.dur != NULL_I64) & (part.dur == NULL_I64)), times.dur)
    low, high = np.concatenate([low, more[0], added[0]]), np.concatenate([high, more[1], added[1]])
    new = [*new, *more[2], *added[2]]
    order = np.argsort(low, kind="stable")
    low, high, new = low[order], high[order], [new[at] for at in order.tolist()]
    growth = np.cumsum(np.append(0, [len(item) for item in new] - (high - low)))
    pieces, at = [], 0
    for start, end, item in zip(low.tolist(), high.tolist(), new, strict=True):
        pieces += [part.text[at:start], item]
        at = end
    pieces.append(part.text[at:])
    # a patch lies inside its element: it moves that element's end, and all that follows
    starts = part.starts + growth[np.searchsorted(high, part.starts, side="right")]
    return b"".join(pieces), starts, part.ends + growth[np.searchsorted(high, part.ends, side="right")]


def _patches(part: Elements, text: Array, key: bytes, new: Ints, has: Mask) -> tuple[Ints, Ints, list[bytes]]:
    """Where the values of a key stand in the elements that get a new one, and what to put there."""
    wanted = (new != NULL_I64) & has
    if not wanted.any():
        return np.empty(0, np.int64), np.empty(0, np.int64), []
    low, high = _values(text, key)
    owner = np.searchsorted(part.starts, low, side="right") - 1
    # an element has the key itself; so if the key stands there once, that is its own, and not one of its arguments
    once = np.bincount(owner, minlength=len(part)) == 1
    chosen = wanted[owner] & once[owner]
    low, high, owner = low[chosen], high[chosen], owner[chosen]
    for at in np.flatnonzero(wanted & ~once).tolist():
        found = _own(part.text, int(part.starts[at]), int(part.ends[at]), key)
        if found is not None:
            low, high, owner = np.append(low, found[0]), np.append(high, found[1]), np.append(owner, at)
    return low, high, _numbers(text, low, high, new[owner])


def _values(text: Array, key: bytes) -> tuple[Ints, Ints]:
    """Where the numbers (or numbers in quotes) stand that follow a key, wherever it occurs."""
    hit = text[: len(text) - len(key)] == key[0]
    for at, byte in enumerate(key[1:], 1):
        hit &= text[at : len(text) - len(key) + at] == byte
    low = _skip(text, np.flatnonzero(hit) + len(key), _BETWEEN)
    named = text[low - 1] != key[-1]  # a colon or a blank; else it was a text
    low = low[named]
    high = _skip(text, low, _NUMBER)
    return low[high > low], high[high > low]


def _skip(text: Array, at: Ints, over: Mask) -> Ints:
    """Positions moved right over some bytes."""
    at = at.copy()
    moving = np.arange(len(at))
    while len(moving := moving[over[text[np.minimum(at[moving], len(text) - 1)]] & (at[moving] < len(text))]):
        at[moving] += 1
    return at


def _numbers(text: Array, low: Ints, high: Ints, new: Ints) -> list[bytes]:
    """The new numbers: in quotes where the old one is, whole where it is and that is exact."""
    whole = (_skip(text, low, _WHOLE) == high) & (new % 1000 == 0)
    texts = all_micros(new)
    for at in np.flatnonzero(whole).tolist():
        texts[at] = texts[at][:-4]
    for at in np.flatnonzero(text[low] == 0x22).tolist():
        texts[at] = f'"{texts[at]}"'
    return [item.encode() for item in texts]


def _added(part: Elements, text: Array, at: Ints, new: Ints) -> tuple[Ints, Ints, list[bytes]]:
    """A duration put behind the start of elements that have none."""
    places = [_own(part.text, int(part.starts[one]), int(part.ends[one]), b'"ts"') for one in at.tolist()]
    found = [(place[1], one) for place, one in zip(places, at.tolist(), strict=True) if place is not None]
    behind = np.array([place for place, _ in found], np.int64)
    texts = all_micros(new[[one for _, one in found]]) if found else []
    return behind, behind, [f', "dur": {item}'.encode() for item in texts]


def _own(text: bytes, start: int, end: int, wanted: bytes) -> tuple[int, int] | None:
    """Where the value of an object's own key stands, lexeme by lexeme."""
    depth, key, after_colon = 0, b"", False
    for match in _LEXEMES.finditer(text, start, end):
        lexeme = match.group()
        if lexeme in (b"{", b"["):
            depth, after_colon = depth + 1, False
        elif lexeme in (b"}", b"]"):
            depth -= 1
        elif depth != 1:
            continue
        elif lexeme == b":":
            after_colon = True
        elif lexeme == b",":
            key, after_colon = b"", False
        elif after_colon:
            if key == wanted:
                return match.span()
            after_colon = False
        else:
            key = lexeme
    return None
