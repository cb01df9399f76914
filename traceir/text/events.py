"""The events of a text: their columns, sorted; their edges; and what refers to events outside."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import numpy as np

from traceir.ir import Annotation, Array, Rows, Table, kinds
from traceir.ir.column import Column
from traceir.ir.module import EDGE_KINDS
from traceir.ir.window import EXTERN, RELATIONS
from traceir.passing.options import duration
from traceir.text.declared import Columns
from traceir.text.draft import BlockItem, Pair, Quantity, Ref, Statement, Symbol, Word
from traceir.text.errors import MistakeError
from traceir.text.ids import Ids
from traceir.text.names import Names, suggestion
from traceir.text.rows import Cells, place, read_rows
from traceir.text.source import TextSource
from traceir.text.values import Values, plain
from traceir.text.words import id_text, symbol

NEEDED: Final = ("id", "kind", "name", "ts", "dur", "lane")
OPTIONAL: Final = ("parent", "launch", "live")
_LEAST, _LARGEST = int(np.iinfo(np.int64).min), int(np.iinfo(np.int64).max)
_ID: Final = Annotation("event.id", dtype="i64")


@attrs.define(eq=False)
class Events:
    """The events of a text as they are met, and then as columns.

    `order` sorts what was met into rows; `ids` and `row_of` (positions as met to rows) are there after `settle`.
    """

    kinds: Names
    names: Names
    lanes: Names
    source: TextSource
    statements: list[Statement] = attrs.field(factory=list)
    columns: dict[str, list[Array]] = attrs.field(factory=lambda: {name: [] for name in (*NEEDED, *OPTIONAL)})
    places: list[tuple[int, BlockItem]] = attrs.field(factory=list)
    ids: Ids = attrs.field(factory=lambda: Ids(np.empty(0, np.int64)))
    row_of: Rows = attrs.field(factory=lambda: np.empty(0, np.int32))
    lane_of: Rows = attrs.field(factory=lambda: np.empty(0, np.int32))

    # --- meeting events ----------------------------------------------------------------------------------

    def add_statements(self, items: Sequence[Statement]) -> None:
        """Take the statements of the text, before its blocks."""
        self.statements = list(items)
        for item in items:
            if not item.quoted and kinds.find(item.kind) is None:
                raise MistakeError(
                    f"There is no kind of event {item.kind}{suggestion(item.kind, kinds.names())} "
                    f'An unknown dialect\'s is written in quotes: "{item.kind}"(…).',
                    item.at,
                    item.kind,
                )
            if item.lane not in self.lanes.codes:
                known = suggestion(item.lane, self.lanes.codes, sigil="@")
                raise MistakeError(f"There is no lane @{item.lane}{known}", item.at, symbol(item.lane))
        made: dict[str, tuple[list[Any], Any]] = {
            "id": ([item.id for item in items], np.int64),
            "kind": ([self.kinds.code(item.kind) for item in items], np.uint16),
            "name": ([self.names.code(item.name) for item in items], np.int32),
            "ts": ([item.ts for item in items], np.int64),
            "dur": ([item.dur for item in items], np.int64),
            "lane": ([self.lanes.codes[item.lane] for item in items], np.int32),
            "parent": ([-1] * len(items), np.int64),
            "launch": ([-1] * len(items), np.int64),
            "live": ([not item.dead for item in items], np.bool_),
        }
        for name, (values, dtype) in made.items():
            self.columns[name].append(np.array(values, dtype))

    def add_block(self, block: BlockItem) -> None:
        """Take an `events` block."""
        for name in block.columns:
            if name not in self.columns:
                known = suggestion(name, self.columns)
                raise MistakeError(f"There is no column {name} of events{known}", block.at, name)
        missing = [name for name in NEEDED if name not in block.columns]
        if missing:
            raise MistakeError(f"The events block lacks the column {missing[0]}.", block.at)
        cells = read_rows(block)
        self.places.append((len(cells["id"]), block))
        pools = {"kind": self.kinds, "name": self.names, "lane": self.lanes}
        for name, dtype in (("kind", np.uint16), ("name", np.int32), ("lane", np.int32)):
            self.columns[name].append(_codes(cells[name], pools[name], block, name).astype(dtype))
        for name in ("id", "ts", "dur"):
            self.columns[name].append(_integers(cells[name], block, name))
        wrong = self.columns["id"][-1] < 0
        if wrong.any():
            raise MistakeError("The id of an event is not negative.", place(block, int(np.argmax(wrong))))
        for name in ("parent", "launch"):
            given = cells.get(name)
            none = np.full(len(cells["id"]), -1, np.int64)
            self.columns[name].append(none if given is None else _integers(given, block, name, null=-1))
        live = cells.get("live")
        alive = np.ones(len(cells["id"]), np.int64) if live is None else _integers(live, block, "live")
        wrong = (alive < 0) | (alive > 1)
        if wrong.any():
            at = place(block, int(np.argmax(wrong)), block.columns.index("live"))
            raise MistakeError("The column live holds 1 for an event that is there, and 0 for one removed.", at)
        self.columns["live"].append(alive == 1)

    # --- settling them -----------------------------------------------------------------------------------

    def settle(self, outside: list[tuple[int, int]], *, written: bool) -> dict[str, Array]:
        """The event columns in order of rows; from here on ids stand for rows. `written`: keep the text's order."""
        joined = {name: np.concatenate(parts) for name, parts in self.columns.items()}
        n = len(joined["id"])
        self._check_times(joined["ts"], joined["dur"])
        order = np.arange(n) if written else _order(joined)
        self.row_of = np.empty(n, np.int32)
        self.row_of[order] = np.arange(n, dtype=np.int32)
        if not written and bool((order == np.arange(n)).all()):
            columns = joined
        else:
            columns = {name: values[order] for name, values in joined.items()}
        self.columns = {}
        self.lane_of = columns["lane"]
        self.ids = Ids(columns["id"], outside)
        self._check_ids(order)
        for name in ("parent", "launch"):
            columns[name] = self._references(columns[name], name, order)
        columns["offset"], columns["length"] = np.full(n, -1, np.int64), np.zeros(n, np.int32)
        self._relate_parents(columns["parent"])
        return columns

    def where(self, met: int, column: str = "") -> int:
        """The offset of an event by the order in which it was met, or of its cell if it is a row with this column."""
        if met < len(self.statements):
            return self.statements[met].at
        met -= len(self.statements)
        for count, block in self.places:
            if met < count:
                return place(block, met, block.columns.index(column) if column in block.columns else 0)
            met -= count
        return 0

    def _check_times(self, ts: Array, dur: Array) -> None:
        # Numbers are 64-bit already; what is left is that their sum is, too.
        wrong = np.where(dur > 0, ts > _LARGEST - np.maximum(dur, 0), ts < _LEAST - np.minimum(dur, 0))
        if wrong.any():
            raise MistakeError(
                "The event ends beyond the range of times, which are 64-bit.", self.where(int(np.argmax(wrong)))
            )

    def _check_ids(self, order: Array) -> None:
        back = self.ids.rows(self.ids.ids)
        again = np.flatnonzero(back != np.arange(len(back)))
        if len(again):
            met = max(int(order[again[0]]), int(order[back[again[0]]]))
            raise MistakeError(f"The id {id_text(int(self.ids.ids[again[0]]))} is given twice.", self.where(met))
        for id in self._outside_and_inside():
            at = self.where(int(order[self.ids.get(id)]))
            raise MistakeError(f"The event {id_text(id)} is declared to lie outside, and it is here.", at)

    def _outside_and_inside(self) -> list[int]:
        if not self.ids.outside:
            return []
        firsts = np.array([first for first, _ in self.ids.outside])
        lasts = np.array([last for _, last in self.ids.outside])
        at = np.searchsorted(firsts, self.ids.ids, side="right") - 1
        inside = (at >= 0) & (lasts[np.maximum(at, 0)] >= self.ids.ids)
        return self.ids.ids[inside][:1].tolist()  # type: ignore[no-any-return]

    def _references(self, ids: Array, what: str, order: Array) -> Rows:
        rows = self.ids.rows(ids)
        wrong = (rows < 0) & (ids >= 0)
        if wrong.any():
            at = int(np.argmax(wrong))
            where = self.where(int(order[at]), what)
            raise MistakeError(f"The {what} {id_text(int(ids[at]))} is not in the text.", where)
        return rows

    def _relate_parents(self, parent: Rows) -> None:
        for met, item in enumerate(self.statements):
            for clause in item.clauses:
                if clause.relation == "parent":
                    id, _, at = clause.ranges[0]
                    self.ids.require(id, at)
                    parent[self.row_of[met]] = self.ids.get(id)

    # --- edges -------------------------------------------------------------------------------------------

    def relations(self, launch: Rows) -> tuple[list[Array], list[tuple[int, int, int, bool]]]:
        """The edges of statements and of the column `launch` as [kind, src, dst] arrays, and the references outside.

        A reference is (row, relation, id, outgoing), as `table:extern` has it.
        """
        edges: list[tuple[int, int, int]] = []
        outer: list[tuple[int, int, int, bool]] = []
        for met, item in enumerate(self.statements):
            row = int(self.row_of[met])
            for clause in item.clauses:
                if clause.relation not in RELATIONS or (clause.outgoing and clause.relation == "parent"):
                    known = suggestion(clause.relation, EDGE_KINDS)
                    raise MistakeError(f"There is no kind of edge {clause.relation}{known}", item.at, clause.relation)
                relation = RELATIONS.index(clause.relation)
                for ids in clause.ranges:
                    for id in self.ids.known(ids):
                        other = self.ids.get(id)
                        if other < 0:
                            outer.append((row, relation, id, clause.outgoing))
                        elif relation:
                            ends = (row, other) if clause.outgoing else (other, row)
                            edges.append((relation - 1, *ends))
        launched = np.flatnonzero(launch >= 0).astype(np.int32)
        parts = [np.array(edges, np.int32).reshape(-1, 3).T] if edges else []
        if len(launched):
            parts.append(np.stack([np.zeros(len(launched), np.int32), launch[launched], launched]))
        return parts, outer

    # --- annotations -------------------------------------------------------------------------------------

    def attributes(self, columns: Columns, values: Values) -> dict[str, Array]:
        """The annotation columns that statements give; other attributes become the events' arguments."""
        written: dict[str, tuple[list[int], list[Any]]] = {}
        for met, item in enumerate(self.statements):
            for pair in _with_kind(item):
                if pair.dotted:
                    annotation = columns.find(pair.key, pair.at)
                    if annotation.domain != "event":
                        raise MistakeError(
                            f"The column {pair.key} is one of {annotation.domain}, not of events.", pair.at
                        )
                    rows, stored = written.setdefault(pair.key, ([], []))
                    rows.append(int(self.row_of[met]))
                    stored.append(values.stored(annotation, pair.value, pair.at))
        out = {}
        for name, (rows, stored) in written.items():
            annotation = columns.find(name, 0)
            out[name] = values.empty(annotation, len(self.row_of))
            out[name][rows] = stored
        return out

    def arguments(self, offset: Array, length: Array) -> None:
        """Keep the attributes that are no columns as the events' arguments, and note where they are."""
        for met, item in enumerate(self.statements):
            args = {pair.key: plain(pair) for pair in item.pairs if not pair.dotted}
            if args:
                offset[self.row_of[met]] = len(self.source.arguments)
                length[self.row_of[met]] = len(item.text.encode("utf-8", "surrogatepass"))
                self.source.arguments.append(args)
                self.source.statements.append(item.text)


def edge_table(parts: Sequence[Array], extra: dict[str, Array]) -> Table:
    """The edge table, sorted by (dst, kind, src); `extra` are columns of edges that all come from one block."""
    kind, src, dst = np.concatenate([np.empty((3, 0), np.int32), *parts], axis=1)
    order = np.lexsort((src, kind, dst))
    columns = {"src": src[order], "dst": dst[order], "kind": kind[order].astype(np.int8)}
    columns |= {name: values[order] for name, values in extra.items()}
    return Table("edge", len(src), {name: Column.own(values) for name, values in columns.items()})


def extern_table(outer: list[tuple[int, int, int, bool]]) -> Table:
    """`table:extern` for references outside, in its canonical order: row, relation, direction, id."""
    rows = sorted((row, relation, outgoing, id) for row, relation, id, outgoing in outer)
    row, relation, outgoing, id = zip(*rows, strict=True) if rows else ((), (), (), ())
    values = {"extern.row": row, "extern.id": id, "extern.relation": relation, "extern.outgoing": outgoing}
    return Table.of("table:extern", {item.name: np.array(values[item.name], item.numpy_type) for item in EXTERN})


def _with_kind(item: Statement) -> list[Pair]:
    if item.collective is None:
        return item.pairs
    return [*item.pairs, Pair("coll.kind", False, item.collective, item.at)]


def in_order(columns: Mapping[str, Array]) -> bool:
    """Whether rows stand by (ts, lane, id), as they do where no pass has moved events."""
    ts, lane, id = columns["ts"], columns["lane"], columns["id"]
    later = ts[1:] > ts[:-1]
    same = ts[1:] == ts[:-1]
    further = same & ((lane[1:] > lane[:-1]) | ((lane[1:] == lane[:-1]) & (id[1:] > id[:-1])))
    return bool((later | further).all())


def _order(columns: Mapping[str, Array]) -> Array:
    """Rows by (ts, lane, id); the identity where they stand so already."""
    if in_order(columns):
        return np.arange(len(columns["ts"]))
    return np.lexsort((columns["id"], columns["lane"], columns["ts"]))


def _codes(cells: Cells, pool: Names, block: BlockItem, name: str) -> Array:
    """Codes of a pool, or names that are looked up in it (names of events and kinds may be new)."""
    if cells.values is not None and cells.null is not None:
        wrong = (cells.values < 0) | (cells.values >= len(pool)) | cells.null
        if wrong.any():
            row = int(np.argmax(wrong))
            known = f"the codes are 0 to {len(pool) - 1}" if len(pool) else "there are none"
            said = "null" if cells.null[row] else int(cells.values[row])
            raise MistakeError(f"The {name} {said} is no code: {known}.", place(block, row, block.columns.index(name)))
        return cells.values
    out = np.empty(len(cells.objects), np.int64)
    for code, value in enumerate(cells.objects):
        if isinstance(value, str) and _may_be_named(name, value, pool):
            out[code] = pool.code(str(value))
        elif isinstance(value, int) and 0 <= value < len(pool):
            out[code] = value
        else:
            at = place(block, int(np.argmax(cells.codes == code)), block.columns.index(name))
            raise MistakeError(f"The {name} is neither a code nor a known name.", at)
    found: Array = out[cells.codes]
    return found


def _may_be_named(column: str, name: str, pool: Names) -> bool:
    """Whether a name may stand in a column: a lane is declared, a kind is registered, listed or in quotes."""
    if column == "kind" and isinstance(name, Word):
        return name in pool.codes or kinds.find(name) is not None
    return column == "name" or (column == "kind" and not isinstance(name, Symbol)) or name in pool.codes


def _integers(cells: Cells, block: BlockItem, name: str, null: int | None = None) -> Array:
    """Whole numbers (or ids); null is only where it may be."""
    if cells.values is not None and cells.null is not None:
        if null is None and cells.null.any():
            raise MistakeError(
                f"The column {name} has no null.", place(block, int(np.argmax(cells.null)), block.columns.index(name))
            )
        return np.where(cells.null, null or 0, cells.values) if null is not None else cells.values
    out = np.empty(len(cells.objects), np.int64)
    for code, value in enumerate(cells.objects):
        number = null if value is None else _integer(name, value)
        if number is None or not _LEAST <= number <= _LARGEST:
            at = place(block, int(np.argmax(cells.codes == code)), block.columns.index(name))
            raise MistakeError(f"The column {name} holds {_WHAT.get(name, 'whole numbers of 64 bits')}.", at)
        out[code] = number
    found: Array = out[cells.codes]
    return found


_WHAT: Final = {"ts": "times of 64 bits in ns, or with a unit", "dur": "times of 64 bits in ns, or with a unit"}


def _integer(column: str, value: Any) -> int | None:
    """The number that a cell stands for, by the column that it is in: an id, a time with its unit, true or false."""
    if column in ("id", "parent", "launch") and isinstance(value, Ref):
        return value.id
    if column in ("ts", "dur") and isinstance(value, Quantity):
        with contextlib.suppress(ValueError):
            return duration(value.text)
    if column == "live" and isinstance(value, Word):
        return {"true": 1, "false": 0}.get(value)
    return value if isinstance(value, int) else None
