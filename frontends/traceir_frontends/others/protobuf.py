"""Just enough of protobuf to tell what wrote a file: which fields its first messages have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_TRIED: Final = 3
_PACKET: Final = frozenset({1, 2, 6, 8, 10, 11, 33, 35, 36, 44, 53, 56, 60})
"""Of a Perfetto packet: scheduling, processes, clocks, time, sequence, events, configuration, system, GPU, tracks."""
_PLANES: Final = (b"/host:", b"/device:", b"Task Environment")


def is_perfetto(text: bytes) -> bool:
    """Whether a text begins with packets of a Perfetto trace, the first of which say something that only they do."""
    try:
        found = [fields for _, fields in _messages(text)]
    except ValueError:
        return False
    return bool(found) and all(fields & _PACKET for fields in found) and not any(0 in fields for fields in found)


def is_xspace(text: bytes) -> bool:
    """Whether a text begins with a plane of XLA's profiler, which is called after the host, a device or its task."""
    try:
        return any(name in text[at : at + 64] for at, _ in _messages(text) for name in _PLANES)
    except ValueError:
        return False


def _messages(text: bytes) -> Iterator[tuple[int, set[int]]]:
    """The first messages of a list of them: where each begins, and its fields. ValueError if it is no such list."""
    at = 0
    for number in range(_TRIED):
        if number and at >= len(text):
            return
        if text[at : at + 1] != b"\x0a":
            raise ValueError
        size, at = _number(text, at + 1)
        yield at, _fields(text, at, at + size)
        at += size


def _fields(text: bytes, at: int, end: int) -> set[int]:
    """The numbers of the fields of a message, which may end behind the text; ValueError if it is none."""
    found = set()
    while at < min(end, len(text)):
        tag, at = _number(text, at)
        found.add(tag >> 3)
        if tag & 7 == 0:
            at = _number(text, at)[1]
        elif tag & 7 == 2:
            size, at = _number(text, at)
            at += size
        elif tag & 7 in (1, 5):
            at += 8 if tag & 7 == 1 else 4
        else:
            raise ValueError
        if at > end:
            raise ValueError
    return found


def _number(text: bytes, at: int) -> tuple[int, int]:
    """A number of variable length, and where it ends; ValueError if there is none."""
    value = 0
    for place, byte in enumerate(text[at : at + 10]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    raise ValueError
