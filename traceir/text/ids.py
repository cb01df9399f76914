"""Ids of a text's events, and the rows that they stand for."""

from __future__ import annotations

import bisect
import functools
from collections.abc import Iterable

import attrs
import numpy as np

from traceir.ir import Array, Ints, Rows
from traceir.text.draft import Range
from traceir.text.errors import MistakeError
from traceir.text.words import id_text

_LONGEST = 1_000_000
"""The most ids that the ranges of a text may stand for: some characters must not grow into gigabytes."""
_DENSE = 4


@attrs.define(eq=False, slots=False)
class Ids:
    """The ids of a module's events in the order of its rows, and those declared to lie outside."""

    ids: Ints
    outside: list[tuple[int, int]] = attrs.field(factory=list)
    """Ranges of ids outside, inclusive, sorted and apart from each other."""
    _spread_so_far: int = attrs.field(default=0, init=False)

    def rows(self, ids: Array) -> Rows:
        """The rows of some ids, -1 where there is none. O(n), or O(n log n) if the ids are sparse."""
        if not len(self.ids) or not len(ids):
            return np.full(len(ids), -1, np.int32)
        low, table = self._table
        if table is not None:
            at = ids.astype(np.int64) - low
            inside = (at >= 0) & (at < len(table))
            return np.where(inside, table[np.where(inside, at, 0)], np.int32(-1))
        order, ordered = self.sorted
        at = np.minimum(np.searchsorted(ordered, ids), len(ordered) - 1)
        return np.where(ordered[at] == ids, order[at], np.int32(-1)).astype(np.int32)

    @functools.cached_property
    def _table(self) -> tuple[int, Rows | None]:
        low, high = int(self.ids.min()), int(self.ids.max())
        if high - low >= _DENSE * len(self.ids) + 1024:
            return low, None
        table = np.full(high - low + 1, -1, np.int32)
        table[self.ids - low] = np.arange(len(self.ids), dtype=np.int32)
        return low, table

    @functools.cached_property
    def sorted(self) -> tuple[Array, Ints]:
        """The rows in order of ids, and the ids in that order."""
        order = np.argsort(self.ids, kind="stable").astype(np.int32)
        return order, self.ids[order]

    @functools.cached_property
    def _by_id(self) -> dict[int, int]:
        return dict(zip(self.ids.tolist(), range(len(self.ids)), strict=True))

    def get(self, id: int) -> int:
        """The row of an id, or -1."""
        return self._by_id.get(id, -1)

    def row(self, id: int, at: int) -> int:
        """The row of an id that has to be in the text."""
        row = self.get(id)
        if row < 0:
            raise MistakeError(f"The event {id_text(id)} is not in this text.", at)
        return row

    def is_outside(self, id: int) -> bool:
        """Whether an id is declared to lie outside."""
        at = bisect.bisect_right(self.outside, (id, 1 << 64)) - 1
        return at >= 0 and self.outside[at][1] >= id

    def known(self, range: Range) -> Iterable[int]:
        """The ids of a range, each of which has to be in the text or declared to lie outside."""
        first, last, at = range
        if first == last:
            self.require(first, at)
            return (first,)
        return self._spread(first, last, at)

    def _spread(self, first: int, last: int, at: int) -> list[int]:
        self._spread_so_far += last - first + 1
        if last - first >= _LONGEST:
            raise MistakeError(f"The range stands for {last - first + 1} events, and {_LONGEST} is the most.", at)
        if self._spread_so_far > _LONGEST:
            raise MistakeError(f"The ranges up to here stand for more than {_LONGEST} events; use a block.", at)
        ids = list(range(first, last + 1))
        for id in ids:
            self.require(id, at)
        return ids

    def require(self, id: int, at: int) -> None:
        """Raise a MistakeError if an id is neither in the text nor declared to lie outside."""
        if self.get(id) < 0 and not self.is_outside(id):
            raise MistakeError(
                f"The event {id_text(id)} is not in this text; if it lies outside, declare it: extern {id_text(id)};",
                at,
            )


def merged(ranges: Iterable[Range]) -> list[tuple[int, int]]:
    """Ranges sorted and joined where they touch. O(n log n)."""
    out: list[tuple[int, int]] = []
    for first, last, _ in sorted(ranges):
        if out and first <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(out[-1][1], last))
        else:
            out.append((first, last))
    return out
