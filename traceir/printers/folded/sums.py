"""Columns of plug-ins on the page: those that passes declared to be summed, each under a name of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from traceir import units
from traceir.folding import Sum
from traceir.folding.model import Number

TAKEN = frozenset(
    ("exposed", "share", "time", "median", "p90", "start", "of median", "lane", "id", "events", "kernels")
)
"""Headings that the page has a meaning for: a plug-in's column of that name is headed by its full name."""


@attrs.frozen
class SumColumns:
    """The columns of one section beside its own: those of which any line has a value."""

    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()

    @classmethod
    def of(cls, parts: Iterable[Sequence[Sum]]) -> SumColumns:
        """The columns that have something to tell in any of the parts, in the order in which they were written."""
        found = {item.name: item.unit for part in parts for item in part if item.total is not None}
        return cls(tuple(found), tuple(found.values()))

    @property
    def headings(self) -> tuple[str, ...]:
        """The part of each name behind the dot; the full name where that part is taken, or not its alone."""
        lasts = [name.partition(".")[2] for name in self.names]
        return tuple(
            name if last in TAKEN or lasts.count(last) > 1 else last
            for name, last in zip(self.names, lasts, strict=True)
        )

    def positions(self, first: int) -> tuple[int, ...]:
        """Where the columns stand, from position `first` on, the one that gives way first in front."""
        return tuple(reversed(range(first, first + len(self.names))))

    def totals(self, sums: Sequence[Sum]) -> tuple[str, ...]:
        """The cells of one line: what each column comes to."""
        return self._cells({item.name: item.total for item in sums})

    def medians(self, sums: Sequence[Sum]) -> tuple[str, ...]:
        """The cells of one line: the median of each column per instance."""
        return self._cells({item.name: item.median for item in sums})

    def medians_added(self, parts: Sequence[Sequence[Sum]]) -> tuple[str, ...]:
        """The cells of a line that stands for several: the medians of each column added up."""
        added: dict[str, Number | None] = {}
        for item in (item for part in parts for item in part if item.median is not None):
            added[item.name] = (added.get(item.name) or 0) + (item.median or 0)
        return self._cells(added)

    def _cells(self, values: dict[str, Number | None]) -> tuple[str, ...]:
        pairs = zip(self.names, self.units, strict=True)
        return tuple(figure(values.get(name), unit) for name, unit in pairs)


def figure(value: Number | None, unit: str) -> str:
    """A value with its unit; empty if there is none."""
    if value is None:
        return ""
    if unit == "ns":
        return units.time(value)
    if unit == "B":
        return units.size(round(value))
    return units.count(value) if isinstance(value, int) else f"{value:.4g}"
