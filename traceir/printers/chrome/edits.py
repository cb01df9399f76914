"""Edits in place: new numbers for the times of some elements, all their other bytes as they are."""

from __future__ import annotations

import json
import re
from typing import Final

import attrs
import numpy as np

from traceir.errors import InputError
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
    whole stays so where it can. A new duration of an element that has none is put behind its start. An element whose
    text has no such number is an error: its time cannot be edited.
    """
    text = np.frombuffer(part.text, np.uint8)
    low, high, new = _patches(part, text, b'"ts"', times.ts, part.ts != NULL_I64)
    more = _patches(part, text, b'"dur"', times.dur, part.dur != NULL_I64)
    added = _added(part, np.flatnonzero((times.dur != NULL_I64) & (part.dur == NULL_I64)), times.dur)
    low, high = np.concatenate([low, more[0], added[0]]), np.concatenate([high, more[1], added[1]])
    new = [*new, *more[2], *added[2]]
    order = np.argsort(low, kind="stable")
    low, high, new = low[order], high[order], [new[at] for at in order.tolist()]
    growth = np.cumsum(np.append(0, np.array([len(item) for item in new], np.int64) - (high - low)))
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
    # an element has the key itself; so if the key stands there once, that is its own, and not one of its arguments;
    # but not where it may be spelled with escapes too
    once = (np.bincount(owner, minlength=len(part)) == 1) & ~_escaped(part, text)
    chosen = wanted[owner] & once[owner]
    low, high, owner = low[chosen], high[chosen], owner[chosen]
    for at in np.flatnonzero(wanted & ~once).tolist():
        found = _place(part, at, key)
        low, high, owner = np.append(low, found[0]), np.append(high, found[1]), np.append(owner, at)
    return low, high, _numbers(text, low, high, new[owner])


def _escaped(part: Elements, text: Array) -> Mask:
    """Which elements hold an escape of an ASCII character, and so perhaps a key that is not spelled as it reads."""
    owner = np.searchsorted(part.starts, _find(text, b"\\u00"), side="right") - 1
    return np.asarray(np.bincount(owner, minlength=len(part)) > 0)


def _find(text: Array, wanted: bytes) -> Ints:
    """Where some bytes stand that are not the last of the text."""
    count = max(len(text) - len(wanted), 0)
    hit = text[:count] == wanted[0]
    for at, byte in enumerate(wanted[1:], 1):
        hit &= text[at : count + at] == byte
    return np.flatnonzero(hit)


def _values(text: Array, key: bytes) -> tuple[Ints, Ints]:
    """Where the numbers (or numbers in quotes) stand that follow a key, wherever it occurs."""
    low = _skip(text, _find(text, key) + len(key), _BETWEEN)
    named = text[low - 1] != key[-1]  # a colon or a blank; else it was a text
    low = low[named]
    high = _skip(text, low, _NUMBER)
    # a text that is more than a number, like one with blanks around it, is left to those who read lexemes
    whole = (high > low) & ((text[low] != 0x22) | ((text[high - 1] == 0x22) & (high > low + 1)))
    return low[whole], high[whole]


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


def _added(part: Elements, at: Ints, new: Ints) -> tuple[Ints, Ints, list[bytes]]:
    """A duration put behind the start of elements that have none."""
    behind = np.array([_place(part, one, b'"ts"')[1] for one in at.tolist()], np.int64)
    return behind, behind, [f', "dur": {item}'.encode() for item in all_micros(new[at])]


def _place(part: Elements, at: int, key: bytes) -> tuple[int, int]:
    """Where the value of an element's own key stands; an error where there is none."""
    found = _own(part.text, int(part.starts[at]), int(part.ends[at]), key)
    if found is None:
        raise InputError(
            f"The time of %{part.first + at} cannot be edited: its text has no {key.decode()} of its own that can be "
            "found. Write the trace from its columns instead, by way of --emit tir."
        )
    return found


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
            key = _plain(lexeme)
    return None


def _plain(lexeme: bytes) -> bytes:
    """A text without the escapes that it needs not have."""
    if b"\\" not in lexeme:
        return lexeme
    try:
        return json.dumps(json.loads(lexeme)).encode()
    except ValueError:
        return lexeme
