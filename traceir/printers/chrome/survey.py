"""A first reading of the text of an edited module: what it recorded of the events, and which other elements it has."""

from __future__ import annotations

from typing import Any, Final

import attrs
import numpy as np

from traceir.ir import NULL_I64, Array, Ints, Module
from traceir.ir.source import ChromeSource, Elements

Place = tuple[Any, Any]
"""Process and thread of an element, as the file has them."""
ARROW_PHASES: Final = ("s", "t", "f")
_BELONGING: Final = ("M", "B", "E", "b", "e")
"""Phases of elements that may belong to events of a window."""


@attrs.frozen(eq=False)
class Other:
    """An element that is neither an event of the module (`row` -1) nor a point of an arrow, or a begin row.

    `ts` and `dur` are i64 ns, `ts` from the module's origin; null where the element has none.
    """

    ordinal: int
    row: int
    ph: str
    cat: str | None
    name: str
    place: Place
    id: Any
    ts: int
    dur: int


class _Codes(dict[Any, int]):
    def __missing__(self, key: Any) -> int:
        code = self[key] = len(self)
        return code


@attrs.define(eq=False)
class Arrows:
    """The points of arrows: one entry each in the columns; `places` and `cats` are what the codes stand for.

    `ordinal`, `ts` (ns from the module's origin, null without) and `id` are i64, `phase` is a position in
    `ARROW_PHASES`. Ids that are no whole numbers have codes below zero.
    """

    places: _Codes = attrs.field(factory=_Codes)
    cats: _Codes = attrs.field(factory=_Codes)
    _ids: _Codes = attrs.field(factory=_Codes)
    _parts: list[tuple[Array, ...]] = attrs.field(factory=list)

    def add(self, part: Elements, at: Ints, origin: int) -> None:
        """Take the points of a part."""
        rows = [part.rows[one] for one in at.tolist()]
        ids = (row.id for row in rows)
        codes = [id if type(id) is int and 0 <= id < 2**62 else -1 - self._ids[id] for id in ids]
        ts = part.ts[at]
        self._parts.append(
            (
                at + part.first,
                np.where(ts == NULL_I64, ts, ts - origin),
                np.array(codes, np.int64),
                np.array([ARROW_PHASES.index(row.ph) for row in rows], np.int8),
                np.array([self.cats[row.cat] for row in rows], np.int32),
                np.array([self.places[row.pid, row.tid] for row in rows], np.int32),
            )
        )

    def columns(self) -> tuple[Ints, Ints, Ints, Array, Array, Array]:
        """Ordinal, ts, id, phase, category and place of all points."""
        types = (np.int64, np.int64, np.int64, np.int8, np.int32, np.int32)
        empty = tuple(np.empty(0, dtype) for dtype in types)
        ordinal, ts, id, phase, cat, place = (np.concatenate(side) for side in zip(empty, *self._parts, strict=True))
        return ordinal, ts, id, phase, cat, place


@attrs.define(eq=False)
class Survey:
    """What the text recorded of the module's events (i64 ns from the module's origin), and all other elements."""

    module: Module
    origin: int
    was_ts: Ints
    was_dur: Ints
    window: bool = False
    """Whether the module is a part of what the text holds."""
    others: list[Other] = attrs.field(factory=list)
    begins: list[Other] = attrs.field(factory=list)
    """Rows of the module whose element is a begin, which has no duration."""
    arrows: Arrows = attrs.field(factory=Arrows)
    outside: list[Ints] = attrs.field(factory=list)
    """Ordinals of the elements of a text that a window leaves out, whatever else they are."""
    _ids: Ints = attrs.field(factory=lambda: np.empty(0, np.int64))
    _order: Ints = attrs.field(factory=lambda: np.empty(0, np.int64))

    @classmethod
    def of(cls, module: Module, source: ChromeSource) -> Survey:
        """Read the text once. O(elements log events); memory for some numbers of what are no events of the module."""
        loaded = source.loaded
        window = "table:extern" in module.tables or (loaded is not None and loaded.events > len(module))
        survey = cls(module, loaded.origin if loaded else 0, module["ts"].copy(), module["dur"].copy(), window)
        survey._order = np.argsort(module["id"], kind="stable")
        survey._ids = module["id"][survey._order]
        for part in source.listing():
            survey._take(part)
        return survey

    @property
    def moved(self) -> bool:
        """Whether the module has other times than the text."""
        return not (np.array_equal(self.was_ts, self.module["ts"]) and np.array_equal(self.was_dur, self.module["dur"]))

    def rows(self, part: Elements) -> Ints:
        """For each element the module's row, or -1."""
        ordinals = np.arange(part.first, part.first + len(part))
        if not len(self._ids):
            return np.full(len(part), -1, np.int64)
        at = np.minimum(np.searchsorted(self._ids, ordinals), len(self._ids) - 1)
        return np.where(self._ids[at] == ordinals, self._order[at], -1)

    def _take(self, part: Elements) -> None:
        rows = self.rows(part)
        phases = np.array([row.ph for row in part.rows])
        known, whole = rows >= 0, phases == "X"
        self.was_ts[rows[known]] = part.ts[known] - self.origin
        timed = known & whole & (part.dur != NULL_I64) & (part.dur >= 0)
        self.was_dur[rows[timed]] = part.dur[timed]
        self.begins += [self._other(part, at, int(rows[at])) for at in np.flatnonzero(known & ~whole).tolist()]
        arrow = ~known & np.isin(phases, ARROW_PHASES)
        if arrow.any():
            self.arrows.add(part, np.flatnonzero(arrow), self.origin)
        other = ~known & ~arrow
        if self.window:
            far = other & ~np.isin(phases, _BELONGING)
            self.outside.append(np.flatnonzero(far) + part.first)
            other &= ~far
        self.others += [self._other(part, at, -1) for at in np.flatnonzero(other).tolist()]

    def _other(self, part: Elements, at: int, row: int) -> Other:
        item, ts = part.rows[at], int(part.ts[at])
        return Other(
            part.first + at, row, item.ph, item.cat, item.name, (item.pid, item.tid), item.id,
            ts if ts == NULL_I64 else ts - self.origin, int(part.dur[at]),
        )  # fmt: skip
