"""From a frontend's arrays to a module: sorting, rows, nesting and edges, the same for every format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from traceir.ir.column import Array, Column, Ints, Rows
from traceir.ir.health import Finding
from traceir.ir.kinds import nesting_kinds
from traceir.ir.lanes import Lane, unique_names
from traceir.ir.module import EDGE_KINDS, Module
from traceir.ir.nesting import Nesting, nest
from traceir.ir.source import Source
from traceir.ir.strings import Strings
from traceir.ir.table import Table


@attrs.define(eq=False)
class ModuleBuilder:
    """What a frontend fills in, in the order of its source, before `build` makes a module of it.

    All event arrays have one length. `kind` are positions in `kinds`, `name` codes in `strings`, `lane`
    positions in `lanes`, `offset` and `length` the event's bytes in the source (-1 and 0 if it has none).
    `edges` are (kind, src, dst) with positions in these arrays. `parent`, if given, overrides nesting by time.
    """

    name: str
    strings: Strings
    lanes: Sequence[Lane]
    kinds: Sequence[str]
    id: Ints
    kind: Array
    name_code: Array
    ts: Ints
    dur: Ints
    lane: Array
    offset: Ints | None = None
    length: Array | None = None
    parent: Array | None = None
    edges: list[tuple[str, Array, Array]] = attrs.field(factory=list)
    meta: Mapping[str, Any] = attrs.field(factory=dict)
    health: list[Finding] = attrs.field(factory=list)
    source: Source | None = None
    slack_ns: int = 0
    consume: bool = False
    """Let go of the event arrays as soon as they are sorted, so that a large trace is not held twice: build once."""

    def build(self) -> Module:
        """Sort by (ts, lane, order given), nest, remap edges, and freeze. O(n log n)."""
        n = len(self.ts)
        order = np.lexsort((self.lane, self.ts))
        row_of = np.empty(n + 1, np.int32)
        row_of[order] = np.arange(n, dtype=np.int32)
        row_of[n] = -1  # so that position -1 (none) maps to row -1
        columns: dict[str, npt.ArrayLike] = {
            "id": self.id[order].astype(np.int64, copy=False),
            "kind": self.kind[order].astype(np.uint16, copy=False),
            "name": self.name_code[order].astype(np.int32, copy=False),
            "ts": self.ts[order],
            "dur": self.dur[order],
            "lane": self.lane[order].astype(np.int32, copy=False),
            "offset": np.full(n, -1, np.int64) if self.offset is None else self.offset[order],
            "length": np.zeros(n, np.int32) if self.length is None else self.length[order].astype(np.int32, copy=False),
            "live": np.ones(n, bool),
        }
        if self.consume:
            self.id = self.kind = self.name_code = self.ts = self.dur = self.lane = order[:0]
            self.offset = self.length = None
        if self.parent is not None:
            columns["parent"] = row_of[self.parent[order]]
        else:
            nesting = self._nest(columns)
            columns["parent"] = nesting.parent
        return Module(
            name=self.name,
            strings=self.strings,
            lanes=tuple(unique_names(list(self.lanes))),
            kinds=tuple(self.kinds),
            tables={"event": Table.of("event", columns, n), "edge": self._edge_table(row_of)},
            meta=dict(self.meta),
            health=tuple(self.health),
            source=self.source,
        )

    def _nest(self, columns: Mapping[str, Any]) -> Nesting:
        """Nest the rows of nesting kinds and record what does not nest cleanly."""
        nests = np.array([kind in nesting_kinds() for kind in self.kinds] + [False])
        on_host = np.array([not lane.is_device for lane in self.lanes] + [False])
        rows = np.flatnonzero(nests[columns["kind"]] & on_host[columns["lane"]]).astype(np.int32)
        found = nest(columns["lane"][rows], columns["ts"][rows], columns["dur"][rows], self.slack_ns)
        parent = np.full(len(columns["ts"]), -1, np.int32)
        parent[rows] = np.where(found.parent >= 0, rows[found.parent], -1)
        if found.excess or found.crossing:
            first = int(columns["id"][rows[found.first]]) if found.first is not None else None
            self.health.append(
                Finding(
                    "nesting_broken",
                    "info",
                    found.excess + found.crossing,
                    f"{found.excess} events end up to {found.most_ns} ns after the event that encloses them, and "
                    f"{found.crossing} overlap a sibling without nesting; host self times are off by as much.",
                    first,
                )
            )
        return attrs.evolve(found, parent=parent)

    def _edge_table(self, row_of: Rows) -> Table:
        kinds = [np.full(len(src), EDGE_KINDS.index(kind), np.int8) for kind, src, _ in self.edges]
        empty = np.empty(0, np.int32)
        src = row_of[np.concatenate([empty, *(src for _, src, _ in self.edges)])]
        dst = row_of[np.concatenate([empty, *(dst for _, _, dst in self.edges)])]
        kind = np.concatenate([np.empty(0, np.int8), *kinds])
        order = np.lexsort((src, kind, dst))
        columns = {"src": src[order], "dst": dst[order], "kind": kind[order]}
        return Table("edge", len(src), {name: Column.own(values) for name, values in columns.items()})
