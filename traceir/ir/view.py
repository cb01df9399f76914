"""Views: events and selections of them, made when somebody looks, never kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from traceir.errors import SchemaError
from traceir.ir import kinds
from traceir.ir.column import Array, Ints, Mask, Rows
from traceir.ir.lanes import Lane

if TYPE_CHECKING:
    from traceir.ir.module import Module


@attrs.frozen
class Event:
    """One event of a module. Attributes are read from the columns at each access."""

    module: Module = attrs.field(repr=False)
    row: int

    @property
    def id(self) -> int:
        """The event's ordinal in its source: stable over passes, windows and files."""
        return int(self.module["id"][self.row])

    @property
    def kind(self) -> str:
        """What the source recorded, such as `dev.kernel`."""
        return self.module.kinds[int(self.module["kind"][self.row])]

    @property
    def name(self) -> str:
        """The name as recorded."""
        return self.module.strings[int(self.module["name"][self.row])]

    @property
    def ts(self) -> int:
        """Start in ns from the module's origin."""
        return int(self.module["ts"][self.row])

    @property
    def dur(self) -> int:
        """Duration in ns."""
        return int(self.module["dur"][self.row])

    @property
    def end(self) -> int:
        """End in ns from the module's origin."""
        return self.ts + self.dur

    @property
    def lane(self) -> Lane:
        """The lane it lies on."""
        return self.module.lanes[int(self.module["lane"][self.row])]

    @property
    def parent(self) -> Event | None:
        """The nearest live event that encloses it on its lane."""
        return self._at(self.module.parent)

    @property
    def ancestors(self) -> Iterator[Event]:
        """Its parent, its parent's parent, and so on."""
        event = self.parent
        while event is not None:
            yield event
            event = event.parent

    @property
    def launch(self) -> Event | None:
        """The host call that launched it."""
        return self._at(self.module.launch)

    @property
    def launched(self) -> Selection:
        """The device work that it launched."""
        return Selection(self.module, np.flatnonzero((self.module.launch == self.row) & self.module.live))

    @property
    def args(self) -> Mapping[str, Any]:
        """The source's own arguments, decoded now; empty if the source is gone or has none."""
        return arguments(self.module, np.array([self.row]))[0]

    def field(self, name: str) -> Any:
        """A field of the event's side table, such as `bytes` or `grid`; None if absent."""
        return fields(self.module, name, np.array([self.row]))[0]

    def __getitem__(self, column: str) -> Any:
        """The value of a column here: text for `str` and `enum`, None for null, else a number."""
        written = self.module.annotations.get(column)
        value = _of_events(self.module, column)[self.row].item()
        if written is None:
            return value
        annotation = written.annotation
        from traceir.ir.annotation import null_mask

        if null_mask(np.array([value], annotation.numpy_type), annotation)[0]:
            return None
        if annotation.dtype == "enum":
            return annotation.values[value]
        return self.module.strings[value] if annotation.dtype == "str" else value

    def _at(self, rows: Rows) -> Event | None:
        row = int(rows[self.row])
        return Event(self.module, row) if row >= 0 else None

    def __str__(self) -> str:
        return f"%{self.id} = {self.kind}({self.name!r}) @{self.lane.name} [{self.ts} +{self.dur}]"


@attrs.frozen(eq=False)
class Selection:
    """Some rows of a module, in order; iterating makes a view per event, columns come as arrays."""

    module: Module
    rows: Array

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Event]:
        return (Event(self.module, int(row)) for row in self.rows)

    def __getitem__(self, column: str) -> Array:
        """The values of a column at these rows."""
        return _of_events(self.module, column)[self.rows]

    @property
    def names(self) -> list[str]:
        """The events' names."""
        return [text or "" for text in self.module.strings.decode(self["name"])]

    @property
    def total_ns(self) -> int:
        """The sum of durations, which counts concurrent time twice; `union_ns` does not."""
        return int(self["dur"].sum())

    @property
    def union_ns(self) -> int:
        """The length of the union of the events' intervals."""
        from traceir.ir.intervals import Spans

        return Spans.of(self["ts"], self["ts"] + self["dur"]).length

    def select(self, **criteria: Any) -> Selection:
        """Those of these events that meet further criteria (see `Module.select`)."""
        wanted = np.zeros(len(self.module), bool)
        wanted[self.module.select(**criteria).rows] = True
        return Selection(self.module, self.rows[wanted[self.rows]])

    def by(self, column: str) -> Iterator[tuple[Any, Selection]]:
        """The events grouped by a column's value, in order of first appearance; text for names and `str`."""
        values = self[column]
        _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
        order = np.argsort(inverse, kind="stable")
        bounds = np.searchsorted(inverse[order], np.arange(len(first) + 1))
        for group in np.argsort(first, kind="stable"):
            rows = self.rows[order[bounds[group] : bounds[group + 1]]]
            event = Event(self.module, int(rows[0]))
            value = getattr(event, column) if column in ("name", "kind") else event[column]
            yield (event.lane.name if column == "lane" else value), Selection(self.module, rows)

    def args(self) -> Sequence[Mapping[str, Any]]:
        """The source's arguments of these events, decoded now."""
        return arguments(self.module, self.rows)

    def field(self, name: str) -> list[Any]:
        """A side-table field of each of these events, None where it is absent."""
        return fields(self.module, name, self.rows)


def _of_events(module: Module, column: str) -> Array:
    """An event column; the rows of any other table are no events."""
    domain = module.domain(column)
    if domain != "event":
        raise SchemaError(f"The column {column} belongs to {domain} and has no value for an event.")
    return module[column]


def select(
    module: Module,
    *,
    kind: str | Sequence[str] = (),
    lane: str | Sequence[str] = (),
    region: tuple[str, int] | None = None,
    where: Mask | Ints | None = None,
) -> Selection:
    """Live events that meet all criteria given; a dialect's name (`dev`) stands for all its kinds."""
    chosen = module.live.copy()
    if kind:
        chosen &= module.is_kind(*([kind] if isinstance(kind, str) else kind))
    if lane:
        wanted = {lane} if isinstance(lane, str) else set(lane)
        chosen &= np.array([item.name in wanted for item in module.lanes] + [False])[module["lane"]]
    if region is not None:
        inside = np.zeros(len(module), bool)
        inside[module.tree(region[0]).events(region[1])] = True
        chosen &= inside
    if where is not None:
        chosen &= np.asarray(where, bool) if where.dtype == bool else np.isin(np.arange(len(module)), where)
    return Selection(module, np.flatnonzero(chosen))


def arguments(module: Module, rows: Array) -> Sequence[Mapping[str, Any]]:
    """The source's arguments of the events in `rows`; empty mappings if there is no source."""
    module.note_read("args")
    if module.source is None:
        return [{} for _ in range(len(rows))]
    return module.source.args(module["offset"][rows], module["length"][rows])


def fields(module: Module, name: str, rows: Array) -> list[Any]:
    """One side-table field of the events in `rows`, by the keys that their kinds declare for it."""
    out: list[Any] = []
    codes = module["kind"][rows].tolist()
    keys = {code: _keys(module.kinds[code], name) for code in set(codes)}
    for code, args in zip(codes, arguments(module, rows), strict=True):
        out.append(next((args[key] for key in keys[code] if key in args), None))
    return out


def _keys(kind: str, name: str) -> tuple[str, ...]:
    cls = kinds.find(kind)
    for attribute in attrs.fields(cls) if cls is not None and attrs.has(cls) else ():
        if attribute.name == name:
            return tuple(attribute.metadata.get("keys") or (name,))
    return (name,)
