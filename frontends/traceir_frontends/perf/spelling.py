"""How `perf script` spells samples, their frames, and records that are no samples."""

from __future__ import annotations

import re
from typing import Final

import attrs

HEAD: Final = re.compile(
    rb"[ \t]*+(?P<comm>\S.{0,63}?)[ \t]++(?:(?P<pid>-?\d{1,10})/)?(?P<tid>-?\d{1,10})[ \t]++"
    rb"(?:\[(?P<cpu>\d{1,5})\][ \t]++)?(?:(?P<ts>\d{1,12}\.\d{1,12}):[ \t]++)?(?:(?P<period>\d{1,19})[ \t]++)?"
    rb"(?P<event>[A-Za-z_][\w:\-./@=,]{0,127}?):(?:[ \t]++(?P<rest>.*)|[ \t]*+$)"
)
"""The first line of a sample. The command may hold blanks; process, CPU, time and period may be missing."""
RECORD: Final = re.compile(
    rb"[ \t]*+(?:(?P<comm>\S.{0,63}?)[ \t]++)?(?:(?P<pid>-?\d{1,10})/)?(?P<tid>-?\d{1,10})?[ \t]*+"
    rb"(?:\[(?P<cpu>\d{1,5})\][ \t]++)?(?:(?P<ts>\d{1,12}\.\d{1,12}):[ \t]++)?.{0,64}?"
    rb"(?P<record>PERF_RECORD_[A-Z0-9_]+)(?P<rest>.*)"
)
"""A record that is no sample: a process that begins or ends, a mapping, a loss."""
LOSS: Final = re.compile(rb"PERF_RECORD_LOST(?:_SAMPLES)?\D{0,32}?lost[ \t:]*(?P<n>\d{1,18})")
_OFFSET: Final = re.compile(rb"\+0x[0-9a-f]+\Z")
_HEX: Final = re.compile(rb"[0-9a-f]{1,16}\Z")
_PARENTHESES: Final = re.compile(rb"[()]")
CLOCKS: Final = ("cpu-clock", "task-clock")
"""Events whose period is a time in ns."""


@attrs.frozen
class Place:
    """Where code lies: address, symbol (empty if unknown) and file (empty if not told)."""

    ip: bytes
    symbol: bytes
    dso: bytes


def place_of(text: bytes) -> Place | None:
    """What a frame's line says, or the end of a sample without a chain; None if it is none. O(length).

    The file stands in parentheses at the end, which may hold others; symbols may hold blanks and parentheses too.
    """
    ip, _, rest = text.strip().partition(b" ")
    if not _HEX.match(ip):
        return None
    rest = rest.strip()
    if not rest.endswith(b")"):
        return Place(ip, rest, b"")
    depth, start = 0, -1
    for found in reversed(list(_PARENTHESES.finditer(rest))):
        depth += 1 if found.group() == b")" else -1
        if depth == 0:
            start = found.start()
            break
    if start < 0 or rest[max(start - 1, 0) : start] not in (b"", b" ", b"\t"):
        return Place(ip, rest, b"")
    return Place(ip, rest[:start].strip(), rest[start + 1 : -1])


def is_clock(event: str) -> bool:
    """Whether an event's period is the time, in ns, that its sample stands for; modifiers as `:u` do not matter."""
    return event.split(":", maxsplit=1)[0] in CLOCKS


_TIME: Final = re.compile(r"clock|cycles", re.IGNORECASE)


def is_time(event: str) -> bool:
    """Whether samples of an event are spread as time is: clocks and cycles, but not page faults or tracepoints."""
    return _TIME.search(event) is not None and not event.startswith(("sched:", "syscalls:", "raw_syscalls:"))


def shown(place: Place) -> str:
    """The name of a frame: its symbol without offset, else where its code lies."""
    text = _OFFSET.sub(b"", place.symbol)
    if text and text != b"[unknown]":
        return text.decode("utf-8", "replace")
    where = place.dso.rpartition(b"/")[2].decode("utf-8", "replace")
    return f"[unknown] ({where})" if where and where != "[unknown]" else "[unknown]"
