"""Windows: a module of chosen events only, with their trees, tables and annotations, and what lies outside declared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import attrs
import numpy as np
import numpy.typing as npt

from traceir.ir.annotation import Annotation, Written
from traceir.ir.column import Array, Column, Ints, Mask, Rows
from traceir.ir.module import EDGE_KINDS, Module
from traceir.ir.table import Table

RELATIONS = ("parent", *EDGE_KINDS)
EXTERN = (
    Annotation("extern.row", "table:extern", "id", doc="The event in this window that refers to one outside."),
    Annotation("extern.id", "table:extern", "i64", doc="The id of the event outside."),
    Annotation("extern.relation", "table:extern", "enum", values=RELATIONS, doc="How the two are related."),
    Annotation("extern.outgoing", "table:extern", "bool", doc="Whether the edge goes from the window to the outside."),
)
"""The table of references that a window cuts: a row each, the outside named by its id, in order of the columns row,
relation, outgoing, id: windows of windows say the same as the window of both."""


def window(module: Module, rows: Array) -> Module:
    """The module of the chosen rows (a mask or positions, in any order); times, ids, lanes and pools are kept.

    Edges with both ends inside are kept. Parents and edges that lead outside are dropped and declared in
    `table:extern`. Of a tree, the regions that own a chosen event stay, with their ancestors. Of a table whose `id`
    columns refer to events, the rows stay that refer to a chosen one (their other references become null), and of the
    tables that those refer to in turn, the rows that they need. Any other table, and what is said of the module as one,
    sums up the whole, would be wrong of a part, and is dropped: run its pass again where it is wanted. Annotations
    that stay keep their values, provenance and freshness. O(n), and O(c log c) for c cut references.
    """
    chosen = _positions(rows)
    return module if len(chosen) == len(module) else _cut(module, _Cut(module, chosen))


def without_dead(module: Module) -> Module:
    """The module of its live rows alone, as the accessors show it; ids, times, lanes, trees and sums are kept.

    A parent is the nearest live ancestor, a launch comes from the nearest live ancestor of the call (or is dropped,
    where there is none), and of the other edges those stay whose ends are both live. Nothing that was removed is
    declared in `table:extern`. Totals are over live rows in any case, so what is said of the module, its regions and
    in tables stays, but for the table rows that refer to removed events alone. Annotations keep their values,
    provenance and freshness. O(n log depth).
    """
    live = module.live
    if live.all():
        return module
    edge, event = module.tables["edge"], module.tables["event"]
    call = np.where(edge["kind"] == EDGE_KINDS.index("launch"), edge["src"], -1)
    src = np.where((call >= 0) & ~live[call], module.parent[call], edge["src"]).astype(np.int32)
    # Edges keep their rows until they are cut, since columns may refer to them.
    tables = {
        **module.tables,
        "event": event.with_columns({"parent": module.parent}),
        "edge": edge.with_columns({"src": src}),
    }
    bridged = attrs.evolve(module, tables=tables, derived={})
    written = {name: _rebound(item, module, bridged) for name, item in module.annotations.items()}
    bridged = attrs.evolve(bridged, annotations=written)
    return _cut(bridged, _Cut(bridged, _positions(live), whole=True))


def _cut(module: Module, cut: _Cut) -> Module:
    tables = {name: cut.table(table) for name, table in module.tables.items() if cut.keeps(name)}
    extern = cut.extern(tables.pop("table:extern", None))
    if extern is not None:
        tables[extern.name] = extern
    result = attrs.evolve(module, tables=tables, derived={})
    stay = {name: item for name, item in module.annotations.items() if item.annotation.domain in tables}
    written = {name: _rebound(item, module, result) for name, item in stay.items()}
    if extern is not None:
        written |= {item.name: Written(item, None) for item in EXTERN}
    return attrs.evolve(result, annotations=written)


def extern_ids(module: Module) -> Ints:
    """The ids of the events outside that this module refers to, ascending."""
    return np.unique(module["extern.id"]) if "table:extern" in module.tables else np.empty(0, np.int64)


def outside_launches(module: Module) -> Ints:
    """For each event the id of the launch outside of this window, or -1. O(n)."""
    out = np.full(len(module), -1, np.int64)
    if "table:extern" in module.tables:
        launch = (module["extern.relation"] == RELATIONS.index("launch")) & ~module["extern.outgoing"]
        out[module["extern.row"][launch]] = module["extern.id"][launch]
    return out


def _positions(rows: Array) -> Rows:
    return (np.flatnonzero(rows) if rows.dtype == bool else np.unique(rows)).astype(np.int32)


def _rebound(written: Written, old: Module, new: Module) -> Written:
    """An annotation bound to the window's columns where it was bound to the whole module's, so stale stays stale."""
    inputs = tuple((name, new.token(name) if old.token(name) == token else token) for name, token in written.inputs)
    return attrs.evolve(written, inputs=inputs)


class _Cut:
    """What stays of each table, and where its rows went. A `whole` one keeps all that does not speak of other rows."""

    def __init__(self, module: Module, rows: Rows, *, whole: bool = False) -> None:
        self.module, self._whole = module, whole
        self._kept: dict[str, Rows] = {"event": rows}
        self._where: dict[str, Rows] = {}
        for name, table in module.tables.items():
            if name == "edge":
                both = self._inside(table["src"]) & self._inside(table["dst"])
                self._kept[name] = np.flatnonzero(both).astype(np.int32)
            elif name.startswith("region:") and not whole:
                self._kept[name] = self._regions(name.partition(":")[2], table)
            elif name.startswith("table:") and (referring := self._referring(table)) is not None:
                self._kept[name] = referring
        if not whole:
            self._follow()

    def keeps(self, domain: str) -> bool:
        """Whether anything of a table can stay."""
        return self._whole or domain in self._kept or domain == "lane"

    def where(self, domain: str) -> Rows:
        """For each row of a table its row in the window, or -1; a last entry keeps null null."""
        if domain not in self._where:
            length = len(self.module.tables[domain])
            out = np.full(length + 1, -1, np.int32)
            kept = self._kept.get(domain)
            if not self.keeps(domain):
                pass  # the table is dropped, and what was said of its rows is null
            elif kept is None:
                out[:length] = np.arange(length, dtype=np.int32)
            else:
                out[kept] = np.arange(len(kept), dtype=np.int32)
            self._where[domain] = out
        return self._where[domain]

    def table(self, table: Table) -> Table:
        """The window's part of a table."""
        kept = self._kept.get(table.name)
        columns = {}
        for name, column in table.columns.items():
            target = self._target(table.name, name)
            if kept is None and target not in self._kept and (not target or self.keeps(target)):
                columns[name] = column
                continue
            values = column.data if kept is None else column.data[kept]
            columns[name] = Column.own(values if not target else self.where(target)[values])
        return Table(table.name, len(table) if kept is None else len(kept), columns)

    def extern(self, old: Table | None) -> Table | None:
        """The table of cut references, those that an earlier window cut included; None if there are none."""
        event, edge, where = self.module.tables["event"], self.module.tables["edge"], self.where("event")
        parent, rows = event["parent"], self._kept["event"]
        cut = rows[(parent[rows] >= 0) & (where[parent[rows]] < 0)]
        src, dst, kind = edge["src"], edge["dst"], edge["kind"]
        out, into = self._inside(src) & ~self._inside(dst), ~self._inside(src) & self._inside(dst)
        if self._whole:  # what was removed is gone, and not outside
            out, into = np.zeros_like(out), np.zeros_like(into)
        inner = np.concatenate([cut, src[out], dst[into]])
        outer = np.concatenate([parent[cut], dst[out], src[into]])
        relation = np.concatenate([np.zeros(len(cut), np.int16), kind[out] + 1, kind[into] + 1])
        columns: Mapping[str, npt.ArrayLike] = {
            "extern.row": where[inner],
            "extern.id": event["id"][outer],
            "extern.relation": relation.astype(np.int16),
            "extern.outgoing": np.repeat([False, True, False], [len(cut), int(out.sum()), int(into.sum())]),
        }
        if old is not None and len(old):
            columns = {name: np.concatenate([old[name], np.asarray(values)]) for name, values in columns.items()}
        row, id, relation, outgoing = (np.asarray(columns[item.name]) for item in EXTERN)
        order = np.lexsort((id, outgoing, relation, row))
        table = Table.of("table:extern", {name: np.asarray(values)[order] for name, values in columns.items()})
        return table if len(table) else None

    def _inside(self, rows: Rows) -> Mask:
        return np.asarray(self.where("event")[rows] >= 0)

    def _target(self, domain: str, name: str) -> str:
        """The table that a column's values are rows of, or nothing."""
        if name == "parent" and (domain == "event" or domain.startswith("region:")):
            return domain
        if domain == "edge" and name in ("src", "dst"):
            return "event"
        written = self.module.annotations.get(name)
        target = written.annotation.target if written is not None and written.annotation.domain == domain else ""
        return target if target in self.module.tables else ""

    def _regions(self, tree: str, table: Table) -> Rows:
        keep = np.zeros(len(table) + 1, bool)
        leaf = self.module.tables["event"].columns.get(f"tree.{tree}")
        fresh = np.unique(leaf.data[self._kept["event"]]) if leaf is not None else np.arange(len(table))
        while len(fresh):
            keep[fresh] = True
            up = np.unique(table["parent"][fresh[fresh >= 0]])
            fresh = up[(up >= 0) & ~keep[up]]
        return np.flatnonzero(keep[:-1]).astype(np.int32)

    def _referring(self, table: Table) -> Rows | None:
        """The rows of a table that refer to a chosen event; None if it does not speak of events."""
        columns = [table[name] for name in table if self._target(table.name, name) == "event"]
        if not columns:
            return None
        keep = np.any([self._inside(rows) for rows in columns], axis=0)
        if self._whole:
            keep |= np.all([rows < 0 for rows in columns], axis=0)
        return np.flatnonzero(keep).astype(np.int32)

    def _follow(self) -> None:
        """Keep of all other tables the rows that kept rows refer to, and those that these refer to, and so on.

        Each round follows the rows that the one before has added, so the order of the tables does not matter. O(rows).
        """
        fixed, fresh = frozenset(self._kept), dict(self._kept)
        keep: dict[str, Mask] = {}
        while fresh:
            named = self._named(fresh)
            fresh = {}
            for name in named.keys() - fixed:
                rows = np.unique(np.concatenate(named[name]))
                first = name not in keep
                mask = keep.setdefault(name, np.zeros(len(self.module.tables[name]), bool))
                rows = rows[rows >= 0]
                rows = rows[~mask[rows]]
                mask[rows] = True
                if first or len(rows):
                    fresh[name] = rows
        self._kept |= {name: np.flatnonzero(mask).astype(np.int32) for name, mask in keep.items()}

    def _named(self, rows: Mapping[str, Rows]) -> Mapping[str, list[Rows]]:
        """What some rows of tables refer to in the tables that passes made."""
        named: dict[str, list[Rows]] = defaultdict(list)
        for name, some in rows.items():
            for column in self.module.tables[name]:
                target = self._target(name, column)
                if target.startswith("table:"):
                    named[target].append(self.module.tables[name][column][some])
        return named
