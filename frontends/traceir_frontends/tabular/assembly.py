"""From tables to a module: names, lanes, events and edges, whatever the format calls them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import attrs
import numpy as np

from traceir.errors import InputError
from traceir.ir import NULL_I64, Array, Finding, Ints, Lane, Mask, Module, ModuleBuilder, Source, Strings
from traceir.ir.kinds import find

_LEAST: Final = -(1 << 61)
"""Instants before this are damage: with the latest one that is read (2^62) no length can wrap."""
_ODD: Final = re.compile(r"[^A-Za-z0-9_.:-]+")


@attrs.frozen(eq=False)
class Columns:
    """The events of an assembly as columns, in the order of adding; times are of the file's own clock."""

    kind: Array
    name: Array
    ts: Ints
    dur: Ints
    lane: Array
    offset: Ints
    length: Array
    open: Mask
    """Ranges that nobody closed, which last to the end of the record."""

    def __len__(self) -> int:
        return len(self.ts)


@attrs.define(eq=False)
class Assembly:
    """Collects events table by table; `build` makes a module of them.

    Positions are ordinals in the order of adding, and become the events' ids: they are the same whenever the file is
    read. Times are ns of the file's own clock, until `build` makes the first event's start the origin.
    """

    path: str
    health: list[Finding] = attrs.field(factory=list)
    repaired: dict[str, int] = attrs.field(factory=dict)
    """How many rows were left out or mended, by what was wrong with them (`no_time`, `negative_dur`)."""
    first: dict[str, int | None] = attrs.field(factory=dict)
    """The position of the first of them, where it has one."""
    _texts: dict[str, int] = attrs.field(factory=dict)
    _lanes: dict[Lane, int] = attrs.field(factory=dict)
    _kinds: dict[str, int] = attrs.field(factory=dict)
    _parts: list[tuple[Array, ...]] = attrs.field(factory=list)
    _edges: list[tuple[str, Array, Array]] = attrs.field(factory=list)
    _columns: Columns | None = None
    count: int = 0
    """How many events there are so far: the position that the next one gets."""

    def text(self, text: str) -> int:
        """The code of a name."""
        return self._texts.setdefault(text, len(self._texts))

    def texts(self, texts: Iterable[str | None], missing: str = "") -> Array:
        """The codes of names, of `missing` where there is none."""
        return np.array([self.text(missing if text is None else text) for text in texts], np.int32)

    def spelled(self) -> list[str]:
        """All names in order of their codes."""
        return list(self._texts)

    def lane(self, lane: Lane) -> int:
        """The number of a lane; equal lanes are one."""
        return self._lanes.setdefault(lane, len(self._lanes))

    def lane_list(self) -> list[Lane]:
        """All lanes in order of their numbers."""
        return list(self._lanes)

    def lanes(self, keys: Sequence[Array], make: Callable[..., Lane]) -> Array:
        """The lane of each row by its key: `make` is called once for each distinct key with its values.

        O(n log n) and one call per lane.
        """
        if not len(keys[0]):
            return np.empty(0, np.int32)
        distinct, inverse = distinct_rows(keys)
        numbers = [self.lane(make(*key)) for key in distinct]
        return np.array(numbers, np.int32)[inverse]

    def kind(self, name: str) -> int:
        """The number of a kind. ValueError for one that no dialect has."""
        if find(name) is None:
            raise ValueError(f"There is no kind {name!r}.")
        return self._kinds.setdefault(name, len(self._kinds))

    def kind_list(self) -> list[str]:
        """All kinds in order of their numbers."""
        return list(self._kinds)

    def add(
        self,
        kind: str | Sequence[str] | Array,
        name: Array,
        start: Ints,
        end: Ints,
        lane: Array,
        *,
        table: int,
        rows: Ints,
        open_ends: Mask | bool = False,
    ) -> Ints:
        """Add the rows of a table as events and give their positions, -1 for those that cannot be one.

        `kind` is one kind, or one per row (or its number). A null `end` is an event without length (a mark), but
        where `open_ends` holds it is a range that nobody closed, which lasts to the end of the record. A row without
        a start is left out, and counted in `repaired`; a negative length becomes none, and is counted too. `table`
        and `rows` say where it stands in the source.
        """
        n = len(start)
        timed = (start != NULL_I64) & (start >= _LEAST)
        never = end == NULL_I64
        closed = np.where(never, start, end)
        backwards = timed & (closed < start)
        dur = np.where(backwards | ~timed, 0, np.where(timed, closed, 0) - np.where(timed, start, 0))
        self._count("no_time", n - int(timed.sum()), None)
        if backwards.any():
            before = int(timed[: int(np.flatnonzero(backwards)[0])].sum())
            self._count("negative_dur", int(backwards.sum()), self.count + before)
        if isinstance(kind, str):
            kinds = np.full(n, self.kind(kind), np.uint16)
        elif isinstance(kind, np.ndarray):
            kinds = kind.astype(np.uint16)
        else:
            kinds = np.array([self.kind(item) for item in kind], np.uint16)
        place = np.full(n, table + 1, np.int32)
        columns = (kinds, name, start, dur, lane, rows, place, never & np.broadcast_to(open_ends, n))
        self._parts.append(tuple(np.asarray(column)[timed] for column in columns))
        self._columns = None
        out = np.full(n, -1, np.int64)
        added = int(timed.sum())
        out[timed] = np.arange(self.count, self.count + added)
        self.count += added
        return out

    def edges(self, kind: str, source: Ints, target: Ints) -> None:
        """Add edges between positions; pairs with -1 are left out."""
        both = (source >= 0) & (target >= 0)
        self._edges.append((kind, source[both], target[both]))

    def columns(self) -> Columns:
        """All events so far as columns. InputError if nothing was added."""
        if not self.count:
            raise InputError(f"The input {self.path} holds no event with a time; record or export it again.")
        if self._columns is None:
            kind, text, start, dur, lane, rows, place, open_ = (
                np.concatenate(column) for column in zip(*self._parts, strict=True)
            )
            self._parts = []
            if open_.any():
                dur[open_] = int((start + dur).max()) - start[open_]
            self._columns = Columns(kind, text, start, dur, lane, rows.astype(np.int64), place, open_)
            self._parts = [attrs.astuple(self._columns, recurse=False)]
        return self._columns

    def build(
        self, source: Source, meta: Mapping[str, Any], origin_ns: int | None, name: str, slack_ns: int = 0
    ) -> Module:
        """The module. `origin_ns` is the Unix time of the file's own instant 0, None if it is not known.

        Of the lanes threads come first (a main thread first of all), then streams by device and number, then the
        rest. InputError if nothing was added. O(n log n).
        """
        columns = self.columns()
        first = int(columns.ts.min())
        lanes, texts, kinds = list(self._lanes), list(self._texts), list(self._kinds)
        lane_order = sorted(_used(columns.lane, len(lanes)), key=lambda at: _order(lanes[at]))
        text_order, kind_order = _used(columns.name, len(texts)), _used(columns.kind, len(kinds))
        self._parts, self._columns = [], None
        return ModuleBuilder(
            name=name,
            strings=Strings(texts[at] for at in text_order),
            lanes=[lanes[at] for at in lane_order],
            kinds=[kinds[at] for at in kind_order],
            id=np.arange(self.count, dtype=np.int64),
            kind=_renumbered(columns.kind, kind_order, len(kinds)),
            name_code=_renumbered(columns.name, text_order, len(texts)),
            ts=columns.ts - first,
            dur=columns.dur,
            lane=_renumbered(columns.lane, lane_order, len(lanes)),
            offset=columns.offset,
            length=columns.length,
            edges=[edge for edge in self._edges if len(edge[1])],
            meta={"origin_ns": None if origin_ns is None else origin_ns + first, **meta},
            health=self.health,
            source=source,
            slack_ns=slack_ns,
            consume=True,
        ).build()

    def _count(self, code: str, found: int, first: int | None) -> None:
        if found:
            self.repaired[code] = self.repaired.get(code, 0) + found
            self.first.setdefault(code, first)


def _used(codes: Array, count: int) -> list[int]:
    """Which of `count` codes occur, in order."""
    found: list[int] = np.flatnonzero(np.bincount(codes, minlength=count)).tolist()
    return found


def _renumbered(codes: Array, order: Sequence[int], count: int) -> Array:
    """Codes as positions in `order`."""
    place = np.full(count, -1, np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    return place[codes]


def plain(text: Any) -> str:
    """A text as part of a lane's name: letters, digits and a few signs."""
    return _ODD.sub("_", str(text)) or "none"


def row_codes(keys: Sequence[Array]) -> Ints:
    """A number for each row that two rows share exactly if all their keys are equal; not dense. O(n) as a rule."""
    code, span = np.zeros(len(keys[0]), np.int64), 1
    for key in keys:
        values = np.asarray(key, np.int64)
        if not len(values):
            return code
        low, high = int(values.min()), int(values.max())
        width = high - low + 1
        if span * width >= 1 << 62:  # too wide to be put side by side: the numbers of the distinct values do
            code = np.unique(code, return_inverse=True)[1].reshape(-1)
            values = np.unique(values, return_inverse=True)[1].reshape(-1)
            low, width, span = 0, int(values.max()) + 1, int(code.max()) + 1
        code = code * width + (values - low)
        span *= width
    return code


def distinct_rows(keys: Sequence[Array]) -> tuple[list[tuple[int, ...]], Ints]:
    """The distinct combinations of some columns, and for each row the number of its own. O(n log n)."""
    _, first, inverse = np.unique(row_codes(keys), return_index=True, return_inverse=True)
    return [tuple(int(key[at]) for key in keys) for at in first.tolist()], inverse.reshape(-1)


def matched(source: Sequence[Array], target: Sequence[Array]) -> tuple[Ints, Ints]:
    """For each target with a key that some source has: the last such source, and the target, as positions.

    `source` and `target` are the columns of the keys; a key with a null in it matches nothing. O(n log n).
    """
    n = len(source[0])
    both = [np.concatenate([np.asarray(side, np.int64) for side in pair]) for pair in zip(source, target, strict=True)]
    known: Mask = np.logical_and.reduce([column != NULL_I64 for column in both])
    code = row_codes([np.where(known, column, 0) for column in both])
    mine, theirs = np.flatnonzero(known[:n]), np.flatnonzero(known[n:])
    order = mine[np.argsort(code[mine], kind="stable")]
    if not len(order) or not len(theirs):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    at = np.searchsorted(code[order], code[n + theirs], side="right") - 1
    found = order[np.maximum(at, 0)]
    has: Mask = (at >= 0) & (code[found] == code[n + theirs])
    return found[has], theirs[has]


def _order(lane: Lane) -> tuple[int, int, int]:
    big = 1 << 62
    if lane.kind == "host.thread":
        return (0 if lane.name == "cpu.main" else 1, 0, 0)
    if lane.kind != "dev.stream":
        return 3, 0, 0
    return 2, big if lane.device is None else lane.device, big if lane.stream is None else lane.stream
