"""Mangled names (Itanium C++ ABI): the path of a function, without substitutions or parameter types."""

from __future__ import annotations

import contextlib
import re
from typing import Final

_LENGTH: Final = re.compile(r"\d+")
_SUBSTITUTION: Final = re.compile(r"S[0-9A-Z]*_|S[tabsiod]|T[0-9A-Z]*_|TL\d+_[0-9A-Z]*_")
_FLOAT: Final = re.compile(r"DF\d+[_bx]?")
_VALUE: Final = re.compile(r"n?[0-9a-f]*")
_CONSTRAINT: Final = re.compile(r"T[yn]")
_SPECIAL: Final = re.compile(r"[CD][0-5]|on|L(?=\d)")
_OPENS: Final = "NIJXF"


class CutError(Exception):
    """The name is cut, or uses a production that this reader does not know."""


def demangled_path(text: str) -> str:
    """The path of a mangled function, such as `aiter::add_rmsnorm_quant_kernel`; empty if there is none.

    Reads length-prefixed parts, and steps over template arguments inside the path. Where a name is cut or holds
    something unknown, the parts read so far are the answer. O(length).
    """
    at = 3 if text.startswith("__Z") else 2
    parts: list[str] = []
    with contextlib.suppress(CutError, RecursionError):
        _read(text, at, parts)
    return "::".join(parts)


def _read(text: str, at: int, parts: list[str]) -> None:
    nested = text[at : at + 1] == "N"
    at += nested
    while text[at : at + 1] in ("K", "V", "r") and nested:
        at += 1
    while at < len(text):
        special = _SPECIAL.match(text, at)
        known = _SUBSTITUTION.match(text, at)
        if text[at].isdigit():
            at, part = _word(text, at)
            parts.append("anonymous" if part.startswith("_GLOBAL__N_") else part)
        elif text[at] == "I":
            at = skip(text, at)
        elif known:
            parts.extend(["std"] if known[0] == "St" else [])
            at = known.end()
            continue
        elif special:
            at = special.end()
            continue
        else:
            return
        if not nested and text[at : at + 1] != "I":
            return


def _word(text: str, at: int) -> tuple[int, str]:
    """A length-prefixed part and where it ends."""
    length = _LENGTH.match(text, at)
    if length is None:
        raise CutError
    end = length.end() + int(length[0])
    if end > len(text):
        raise CutError
    return end, text[length.end() : end]


def skip(text: str, at: int) -> int:
    """The position behind one type, literal or bracketed list that begins at `at`."""
    if at >= len(text):
        raise CutError
    char = text[at]
    if char.isdigit():
        return _word(text, at)[0]
    for pattern in (_FLOAT, _CONSTRAINT, _SUBSTITUTION):
        found = pattern.match(text, at)
        if found:
            return found.end()
    if char == "L":
        return _skip_literal(text, at + 1)
    if char in _OPENS:
        at += 1
        while text[at : at + 1] != "E":
            at = skip(text, at)
        return at + 1
    return at + (2 if char == "D" else 1)


def _skip_literal(text: str, at: int) -> int:
    """The position behind a literal whose `L` has been read: a type and a value, or a mangled name."""
    if text.startswith("_Z", at):
        at += 2
        while text[at : at + 1] != "E":
            at = skip(text, at)
        return at + 1
    at = skip(text, at)
    value = _VALUE.match(text, at)
    at = value.end() if value else at
    if text[at : at + 1] != "E":
        raise CutError
    return at + 1
