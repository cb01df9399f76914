"""From tables to a module: names, lanes, events and edges, whatever the format calls them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from traceir.errors import InputError
from traceir.ir import NULL_I64, Array, Finding, Ints, Lane, Mask, Module, ModuleBuilder, Source, Strings
from traceir.ir.kinds import find


@attrs.define(eq=False)
class Assembly:
    """Collects events table by table; `build` makes a module of them.

    Positions are ordinals in the order of adding, and become the events' ids: they are the same whenever the file is
    read. Times are ns of the file's own clock, until `build` makes the first event's start the origin.
    """

    path: str
    health: list[Finding] = attrs.field(factory=list)
    _texts: dict[str, int] = attrs.field(factory=dict)
    _lanes: dict[Lane, int] = attrs.field(factory=dict)
    _kinds: dict[str, int] = attrs.field(factory=dict)
    _parts: list[tuple[Array, ...]] = attrs.field(factory=list)
    _edges: list[tuple[str, Array, Array]] = attrs.field(factory=list)
    _dropped: dict[str, int] = attrs.field(factory=dict)
    count: int = 0
    """How many events there are so far: the position that the next one gets."""

    def text(self, text: str) -> int:
        """The code of a name."""
        return self._texts.setdefault(text, len(self._texts))

    def texts(self, texts: Iterable[str | None], missing: str = "") -> Array:
        """The codes of names, of `missing` where there is none."""
        return np.array([self.text(missing if text is None else text) for text in texts], np.int32)

    def lane(self, lane: Lane) -> int:
        """The number of a lane; equal lanes are one."""
        return self._lanes.setdefault(lane, len(self._lanes))

    def lanes(self, keys: Sequence[Array], make: Any) -> Array:
        """The lane of each row by its key: `make` is called once for each distinct key with its values.

        O(n log n) and one call per lane.
        """
        stacked = np.stack([np.asarray(key, np.int64) for key in keys])
        if not stacked.shape[1]:
            return np.empty(0, np.int32)
        distinct, inverse = np.unique(stacked, axis=1, return_inverse=True)
        numbers = [self.lane(make(*key)) for key in distinct.T.tolist()]
        return np.array(numbers, np.int32)[inverse.reshape(-1)]

    def kind(self, name: str) -> int:
        """The number of a kind. ValueError for one that no dialect has."""
        if find(name) is None:
            raise ValueError(f"There is no kind {name!r}.")
        return self._kinds.setdefault(name, len(self._kinds))

    def add(
        self, kind: str | Sequence[str], name: Array, start: Ints, end: Ints, lane: Array, *, table: int, rows: Ints
    ) -> Ints:
        """Add the rows of a table as events and give their positions, -1 for those that cannot be one.

        `kind` is one kind, or one per row; `end` null means open (a mark, or a range that nobody closed), which
        becomes an event without length. A row without a start is left out, and counted in `health`; a negative
        length becomes none, and is counted too. `table` and `rows` say where it stands in the source.
        """
        n = len(start)
        timed = start != NULL_I64
        self._count("no_time", int(n - timed.sum()))
        closed = np.where(end == NULL_I64, start, end)
        backwards = timed & (closed < start)
        self._count("negative_dur", int(backwards.sum()))
        dur = np.where(backwards | ~timed, 0, closed - np.where(timed, start, 0))
        if isinstance(kind, str):
            kinds = np.full(n, self.kind(kind), np.uint16)
        else:
            kinds = np.array([self.kind(item) for item in kind], np.uint16)
        place = np.full(n, table + 1, np.int32)
        columns = (kinds, name, start, dur, lane, rows, place)
        self._parts.append(tuple(np.asarray(column)[timed] for column in columns))
        out = np.full(n, -1, np.int64)
        out[timed] = np.arange(self.count, self.count + int(timed.sum()))
        self.count += int(timed.sum())
        return out

    def edges(self, kind: str, source: Ints, target: Ints) -> None:
        """Add edges between positions; pairs with -1 are left out."""
        both = (source >= 0) & (target >= 0)
        self._edges.append((kind, source[both], target[both]))

    def build(
        self, source: Source, meta: Mapping[str, Any], origin_ns: int | None, name: str, slack_ns: int = 0
    ) -> Module:
        """The module. `origin_ns` is the Unix time of the file's own instant 0, None if it is not known.

        InputError if nothing was added. O(n log n).
        """
        if not self.count:
            raise InputError(f"The input {self.path} holds no event with a time; record or export it again.")
        kind, text, start, dur, lane, rows, place = (
            np.concatenate(column) for column in zip(*self._parts, strict=True)
        )
        first = int(start.min())
        for code, found in self._dropped.items():
            self._tell(code, found)
        return ModuleBuilder(
            name=name,
            strings=Strings(list(self._texts)),
            lanes=list(self._lanes),
            kinds=list(self._kinds),
            id=np.arange(self.count, dtype=np.int64),
            kind=kind,
            name_code=text,
            ts=start - first,
            dur=dur,
            lane=lane,
            offset=rows.astype(np.int64),
            length=place,
            edges=self._edges,
            meta={"origin_ns": None if origin_ns is None else origin_ns + first, **meta},
            health=self.health,
            source=source,
            slack_ns=slack_ns,
            consume=True,
        ).build()

    def _count(self, code: str, found: int) -> None:
        if found:
            self._dropped[code] = self._dropped.get(code, 0) + found

    def _tell(self, code: str, found: int) -> None:
        sentence = {
            "no_time": f"Left out {found} rows without a start.",
            "negative_dur": f"Given a duration of 0 ns in place of a negative one: {found} rows.",
        }[code]
        self.health.append(Finding(code, "warning", found, sentence))


def matched(source: Sequence[Array], target: Sequence[Array]) -> tuple[Ints, Ints]:
    """For each target with a key that some source has: the last such source, and the target, as positions.

    `source` and `target` are the columns of the keys; a key with a null in it matches nothing. O(n log n).
    """
    mine, theirs = _stacked(source), _stacked(target)
    known = [~(keys == NULL_I64).any(axis=0) for keys in (mine, theirs)]
    positions = [np.flatnonzero(mask) for mask in known]
    both = np.concatenate([mine[:, positions[0]], theirs[:, positions[1]]], axis=1)
    if not both.shape[1]:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    number = np.unique(both, axis=1, return_inverse=True)[1].reshape(-1)
    last = np.full(int(number.max()) + 1, -1, np.int64)
    last[number[: len(positions[0])]] = positions[0]
    found = last[number[len(positions[0]) :]]
    has: Mask = found >= 0
    return found[has], positions[1][has]


def _stacked(columns: Sequence[Array]) -> Array:
    return np.stack([np.asarray(column, np.int64) for column in columns])
