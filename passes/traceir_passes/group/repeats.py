"""Method A: tandem repeats in a lane's core tokens."""

from __future__ import annotations

import attrs
import numpy as np

from traceir.ir import Array, Ints
from traceir_passes.group.tokens import IS_HEAVY, letters

_ANCHOR_LIKE = letters(frozenset("ALSv"))


@attrs.frozen
class Repeat:
    """A maximal stretch `[start, stop)` of core tokens with `x[i] == x[i + period]` throughout."""

    start: int
    stop: int
    period: int


def tandem_repeats(tokens: Array, segment: Ints, *, max_period: int, copies: int = 3) -> list[Repeat]:
    """Maximal runs of at least `copies` copies of a body that has two heavy tokens and an attention, conv or softmax.

    `tokens` are core tokens (uint8) and `segment` the stretch each lies in; no repeat crosses a stretch. Smallest
    periods first, and no body is a repeat itself; runs do not overlap. O(n · max_period) at most, with one comparison
    per period; the search ends when no stretch has room for a longer one.
    """
    n = len(tokens)
    free = np.ones(n, bool)
    found: list[Repeat] = []
    heavy = np.append(0, np.cumsum(IS_HEAVY[tokens]))
    anchors = np.append(0, np.cumsum(_ANCHOR_LIKE[tokens]))
    place = segment - segment.min() if n else segment
    longest = int(np.bincount(place).max()) if n else 0
    fits = longest // copies
    for period in range(3, min(max_period, longest // copies) + 1):
        if period > fits:
            break
        before = len(found)
        same = (tokens[:-period] == tokens[period:]) & (segment[:-period] == segment[period:])
        for start, stop in _long_runs(same, (copies - 1) * period):
            end = stop + period
            body = start + period
            if heavy[body] - heavy[start] < 2 or anchors[body] - anchors[start] < 1:
                continue
            if free[start:end].sum() < copies * period or not _primitive(tokens[start:body]):
                continue
            free[start:end] = False
            found.append(Repeat(start, end, period))
        if len(found) > before:  # longer periods need room that is still free
            fits = int(np.bincount(place[free], minlength=1).max()) // copies
    return sorted(found, key=lambda repeat: repeat.start)


def _primitive(body: Array) -> bool:
    """Whether a body is no repeat itself: one that was refused as such would come back as its double."""
    size = len(body)
    return not any(size % part == 0 and (body[part:] == body[:-part]).all() for part in range(1, size // 2 + 1))


def _long_runs(same: Array, length: int) -> list[tuple[int, int]]:
    """The maximal runs of true values that are at least `length` long."""
    breaks = np.flatnonzero(~same)
    edges = np.concatenate([[-1], breaks, [len(same)]])
    gaps = np.diff(edges) - 1
    chosen = np.flatnonzero(gaps >= length)
    return [(int(edges[i]) + 1, int(edges[i + 1])) for i in chosen]
