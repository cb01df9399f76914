"""The words of a window as parts: names of regions and lanes, ids and times, each narrowed by the next after `in`."""

from __future__ import annotations

import re
from typing import Final

import attrs

from traceir.errors import UsageError
from traceir.passing.options import Duration, Option, parse
from traceir.text.words import id_text, id_value, unquote

FORMS: Final = (
    "a region such as layer.3, an event such as %8812, ids such as %10..%40, a lane such as @gpu0.s7, a time range "
    "such as 1.2ms..3ms, or one in another, such as 'layer.3 in step.0'"
)
_QUOTED: Final = re.compile(r'@?("(?:\\.|[^"\\])*")\Z', re.S)
_IN: Final = re.compile(r'"(?:\\.|[^"\\])*"|(\s+in\s+)', re.S)
_ID: Final = re.compile(r"%\d+(?::\d+)?\Z", re.ASCII)
_INSTANT: Final = Option("time", Duration, None, "")
_OPEN: Final = 1 << 63


@attrs.frozen
class Name:
    """A region's name, or the end of one, or a lane's; with `@` a lane of just this name goes before."""

    text: str
    lane_first: bool = False


@attrs.frozen
class Ids:
    """Events by their ids, both ends included."""

    low: int
    high: int


@attrs.frozen
class Times:
    """Events that intersect `[low, high)`, in ns from the module's origin; `low` alone if `high` is not later."""

    low: int
    high: int


@attrs.frozen
class Part:
    """One part of a window: what it says, and its own words."""

    says: Name | Ids | Times
    text: str


def plain(text: str) -> Part | None:
    """The whole text as one part that is no bare name (ids, times, a quoted name), or None."""
    text = text.strip()
    quoted = _QUOTED.match(text)
    if quoted:
        try:
            return Part(Name(unquote(quoted.group(1)), text[0] == "@"), text)
        except ValueError as error:
            raise UsageError(f"The name {text} cannot be read: {error}") from None
    if text.startswith("%"):
        return None if _IN.search(text) else Part(_ids(text), text)
    times = _times(text)
    return Part(times, text) if times else None


def bare(text: str) -> Part:
    """The whole text as a bare name."""
    text = text.strip()
    return Part(Name(text.removeprefix("@").strip(), text.startswith("@")), text)


def parts(text: str) -> list[Part]:
    """The parts of a window in order; a UsageError says what would be right."""
    cuts = [found.span() for found in _IN.finditer(text) if found.group(1)]
    edges = [0, *(at for cut in cuts for at in cut), len(text)]
    words = [text[low:high] for low, high in zip(edges[::2], edges[1::2], strict=True)]
    if not all(word.strip().strip("@") for word in words):
        raise UsageError(f"The window {text.strip()!r} says nothing of which events it holds; write {FORMS}.")
    return [plain(word) or _named(word) for word in words]


def _named(text: str) -> Part:
    """A bare name; what was meant as a time range is refused."""
    low, dots, high = text.strip().partition("..")
    if dots and all(not end or end.lstrip("-")[:1].isdigit() for end in (low, high.strip())):
        raise UsageError(
            f"The time range {text.strip()!r} has to be two times from the start of the trace, such as 1.2ms..3ms."
        )
    return bare(text)


def _ids(text: str) -> Ids:
    low, dots, high = (end.strip() for end in text.partition(".."))
    ends = [low, high] if dots else [low]
    if not all(_ID.match(end) for end in ends):
        raise UsageError(f"The text {text!r} names no event and no range of events; write %8812 or %10..%40.")
    try:
        first, last = id_value(ends[0]), id_value(ends[-1])
    except ValueError as error:
        raise UsageError(str(error)) from None
    if last < first:
        raise UsageError(f"The range {text} ends before it begins; write {id_text(last)}..{id_text(first)}.")
    return Ids(first, last)


def _times(text: str) -> Times | None:
    """A time range, either end of which may be open; None if the text is none."""
    low, dots, high = (end.strip() for end in text.partition(".."))
    if not dots or not (low or high):
        return None
    try:
        first, last = (_instant(end) if end else None for end in (low, high))
    except UsageError:
        return None
    if first is not None and last is not None and last < first:
        raise UsageError(f"The time range {text} ends before it begins; write {high}..{low}.")
    return Times(-_OPEN if first is None else first, _OPEN - 1 if last is None else last)


def _instant(text: str) -> int:
    found: int = parse("--window", _INSTANT, text)
    return min(max(found, -_OPEN), _OPEN - 1)
