"""Phrases that the parts of the page share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise

from traceir import units
from traceir.folding import Outlier, why

_MARK_MOST = 32


def many(number: int, one: str, several: str = "") -> str:
    """A number with its noun: `1 launch`, `2 launches`."""
    return f"{units.count(number)} {one if number == 1 else several or one + 's'}"


def short(mark: str) -> str:
    """A mark's text, cut where it is longer than a person reads in passing."""
    return mark if len(mark) <= _MARK_MOST else mark[: _MARK_MOST - 1] + "…"


def runs(symbols: Sequence[str]) -> str:
    """Kernel names in order, a repeated one as `name ×3`, at most four of them."""
    parts = []
    for name, run in groupby(symbols):
        number = len(list(run))
        parts.append(f"{name} ×{number}" if number > 1 else name)
    if len(parts) > 4:
        distinct = list(dict.fromkeys(symbols))
        left = len(distinct) - 3
        more = f" … {many(left, 'more name')}" if left > 0 else ""
        return f"{len(symbols)} kernels: " + " · ".join(distinct[:3]) + more
    return " · ".join(parts)


def lanes(names: Sequence[str]) -> str:
    """Lanes by name, at most two of them."""
    shown = ", ".join(f"@{name}" for name in names[:2])
    return shown + (f" and {len(names) - 2} more" if len(names) > 2 else "")


def causes(parts: Sequence[tuple[str, int]], total: int, room: int, most: int = 3) -> str:
    """Gap time by cause as shares of all gap time, the largest first; one alone has no share to tell."""
    if len(parts) == 1:
        return parts[0][0]
    shown = [f"{name} {units.share(time, total)}" for name, time in parts[:most]]
    return listed(shown, max(len(parts) - most, 0), room)


def listed(parts: Sequence[str], more: int, room: int) -> str:
    """As many parts as fit `room` characters, at least one, and how many are left out with the `more` there are."""
    text = ""
    for number in range(len(parts), 0, -1):
        left = len(parts) - number + more
        text = ", ".join(parts[:number]) + (f" and {left} more" if left else "")
        if len(text) <= room:
            break
    return text


def numbers(values: Sequence[int], most: int = 3) -> str:
    """Numbers in order as ranges, those of an even step written out: `0–2`, `1, 3, 5 … 11`, `0, 5, 9 and 4 more`."""
    values = list(values)
    steps = {b - a for a, b in pairwise(values)}
    if len(values) > 2 and steps == {1}:
        return f"{values[0]}–{values[-1]}"
    if len(values) > most + 1 and len(steps) == 1:
        return f"{', '.join(map(str, values[:most]))} … {values[-1]}"
    left = len(values) - most
    if left <= 1:
        return ", ".join(map(str, values))
    return f"{', '.join(map(str, values[:most]))} and {left} more"


def outliers(found: Sequence[Outlier], *, several: bool, most: int = 1) -> list[str]:
    """The instances furthest from the median and why, and how many more there are; `several` steps are told apart."""
    if not found:
        return []
    word = "slowest" if found[0].delta_ns > 0 else "fastest"
    text = f"{word}: " + "; ".join(_outlier(item, several=several) for item in found[:most])
    return [text + (f" and {units.count(len(found) - most)} more outlying" if len(found) > most else "")]


def _outlier(item: Outlier, *, several: bool) -> str:
    which = item.step if item.layer < 0 else f"layer {item.layer}"
    if item.layer >= 0 and item.step and several:
        which += f" of {item.step}"
    spans = item.layer >= 0 and item.measure == "span"
    return f"{which}{' spans' if spans else ','} {units.time(item.time_ns)} ({why(item)})"
