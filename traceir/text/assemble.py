"""From a draft to a module: names resolved, columns made, everything checked that a text can get wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar

import attrs
import numpy as np

from traceir.ir import Annotation, Array, Finding, Lane, Module, Strings, Table, Written, null_mask
from traceir.ir.health import LEVELS
from traceir.ir.lanes import LANE_KINDS
from traceir.ir.module import EDGE_KINDS
from traceir.ir.verify import verify
from traceir.registry import Registry
from traceir.text import draft
from traceir.text.declared import Columns
from traceir.text.errors import MistakeError
from traceir.text.events import Events, edge_table, extern_table
from traceir.text.ids import merged
from traceir.text.names import Names, suggestion
from traceir.text.regions import Trees, region_block
from traceir.text.rows import place, read_rows, read_strings
from traceir.text.source import TextSource
from traceir.text.values import Values, plain

T = TypeVar("T")

_LANE: Final = ("device", "stream", "pid", "tid", "label")
_HEALTH: Final = ("count", "message", "first", "poisons", "by")
_CLOCK: Final = "ns"
_HALF: Final = 1 << 63


def assemble(found: draft.Draft, registry: Registry, path: str, *, check: bool = True) -> Module:
    """The module that a draft describes; a MistakeError says where it contradicts itself.

    With `check`, a module that breaks an error-level rule of the verifier is a MistakeError too. O(length).
    """
    return _Assembly(found, registry, path).module(check=check)


class _Assembly:
    """What is known while a module is made of a draft; the order of the steps is that of `module`."""

    def __init__(self, found: draft.Draft, registry: Registry, path: str) -> None:
        self.draft = found
        self.columns = Columns.read(self.all(draft.PassItem), self.all(draft.ColumnItem), registry)
        self.source = TextSource(path)
        self.tables: dict[str, dict[str, Array]] = {}

    def all(self, kind: type[T]) -> list[T]:
        """The items of one kind, in order."""
        return [item for item in self.draft.items if isinstance(item, kind)]

    def blocks(self, sort: str) -> list[draft.BlockItem]:
        """The blocks of one sort, in order."""
        return [item for item in self.all(draft.BlockItem) if item.sort == sort]

    def module(self, *, check: bool) -> Module:
        """All steps in their order."""
        lanes = self._lanes()
        pool = Names.of(text for block in self.blocks("strings")[:1] for text in read_strings(block))
        self._once("strings")
        kinds = Names.of(dict.fromkeys(name for item in self.all(draft.KindsItem) for name in item.names))
        events = Events(kinds, pool, Names.of(lane.name for lane in lanes), self.source)
        trees = Trees(self.columns)
        events.add_statements(trees.flatten(self.draft.items))
        for block in self.blocks("events"):
            events.add_block(block)
        externs = self.all(draft.ExternItem)
        outside = merged(one for item in externs for one in item.ranges)
        columns = events.settle(outside, written=bool(self.all(draft.OrderItem)))
        values = Values(pool, events.lanes, events.ids)
        events.arguments(columns["offset"], columns["length"])
        launch = columns.pop("launch")
        self.tables["event"] = columns | self._event_columns(events, values)
        edges = self._edges(events, launch, values, declared=bool(externs))
        self._trees(trees, events, values, pool)
        self._tables(values)
        self._attributes(values)
        self._fill(values)
        meta = self._meta()
        health = tuple(self._finding(item) for item in self.all(draft.HealthItem))
        module = Module(
            name=self.draft.name, strings=Strings(pool.texts), lanes=lanes, kinds=kinds.texts,
            tables=self._made(edges), meta=meta, passes=tuple(self.columns.passes), health=health, source=self.source,
        )  # fmt: skip
        module = attrs.evolve(module, annotations=self._written(module))
        if check:
            self._check(module, events)
        return module

    # --- header ------------------------------------------------------------------------------------------

    def _lanes(self) -> tuple[Lane, ...]:
        out: dict[str, Lane] = {}
        for item in self.all(draft.LaneItem):
            if item.name in out:
                raise MistakeError(f"The lane @{item.name} is declared twice.", item.at)
            if item.kind not in LANE_KINDS:
                known = suggestion(item.kind, LANE_KINDS)
                raise MistakeError(f"There is no kind of lane {item.kind}{known}", item.at, item.kind)
            given = {pair.key: _lane_field(pair) for pair in item.pairs if not pair.dotted}
            out[item.name] = Lane(item.name, item.kind, **given)
        return tuple(out.values())

    def _meta(self) -> dict[str, Any]:
        meta: dict[str, Any] = {}
        members = [(item.key, item.value, item.at) for item in self.all(draft.MetaItem)]
        for key, value, at in (*self._header(), *members):
            if key in meta:
                raise MistakeError(f"The metadata {key} is given twice.", at)
            meta[key] = value
        return meta

    def _header(self) -> Iterator[tuple[str, Any, int]]:
        """The metadata in the module's attributes; those with a meaning of their own are taken as what they mean."""
        for pair in self.draft.pairs:
            if pair.dotted:
                continue
            value = plain(pair)
            if pair.quoted or pair.key not in ("clock", "source", "origin"):
                yield pair.key, value, pair.at
            elif pair.key == "source":
                self.source.recorded = _of_type(pair, value, str, "a text")
            elif pair.key == "origin":
                what = "a whole number of ns, or null"
                yield "origin_ns", None if value is None else _of_type(pair, value, int, what), pair.at
            elif value != _CLOCK:
                raise MistakeError(f'The clock is "{_CLOCK}": all times of a text are in nanoseconds.', pair.at)

    def _finding(self, item: draft.HealthItem) -> Finding:
        if item.level not in LEVELS:
            raise MistakeError(f"There is no level {item.level}{suggestion(item.level, LEVELS)}", item.at, item.level)
        given: dict[str, Any] = {"count": 1, "message": ""}
        for pair in item.pairs:
            if pair.key not in _HEALTH:
                raise MistakeError(f"A finding has no attribute {pair.key}{suggestion(pair.key, _HEALTH)}", pair.at)
            if pair.key == "first":
                first = pair.value.id if isinstance(pair.value, draft.Ref) else pair.value
                given["first"] = _in_range(pair, first, "an id such as %4")
            elif pair.key == "count":
                given["count"] = _in_range(pair, pair.value, "a whole number from 0 on")
            elif pair.key == "poisons":
                texts = _of_type(pair, pair.value, list, "a list of texts")
                given["poisons"] = tuple(_of_type(pair, text, str, "a list of texts") for text in texts)
            else:
                given[pair.key] = str(_of_type(pair, pair.value, str, "a text in quotes"))
        return Finding(item.code, item.level, **given)

    # --- tables ------------------------------------------------------------------------------------------

    def _event_columns(self, events: Events, values: Values) -> dict[str, Array]:
        out = events.attributes(self.columns, values)
        for block in self.blocks("values"):
            if not block.columns or block.columns[0] != "id":
                raise MistakeError("The first column of a values block is id.", block.at)
            declared = {name: self.columns.find(name, block.at) for name in block.columns[1:]}
            self._in_domain(declared, "event", block)
            cells = read_rows(block, _decimals(declared))
            rows = values.column(Annotation("event.row", dtype="id"), cells["id"], block, "id")
            if (rows < 0).any():
                raise MistakeError("The column id has no null.", place(block, int(np.argmax(rows < 0))))
            _, first = np.unique(rows, return_index=True)
            if len(first) < len(rows):
                again = int(np.setdiff1d(np.arange(len(rows)), first)[0])
                raise MistakeError("This event stands in the block twice.", place(block, again))
            for name, annotation in declared.items():
                if name not in out:
                    out[name] = values.empty(annotation, len(events.row_of))
                old = out[name][rows]
                given = np.flatnonzero(old if annotation.dtype == "bool" else ~null_mask(old, annotation))
                if len(given):
                    at = place(block, int(given[0]), block.columns.index(name))
                    raise MistakeError(f"The column {name} is given twice for this event.", at)
                out[name][rows] = values.column(annotation, cells[name], block, name)
        return out

    def _edges(self, events: Events, launch: Array, values: Values, *, declared: bool) -> Table:
        parts, outer = events.relations(launch)
        if declared:
            if any(block.name == "extern" for block in self.blocks("table")):
                raise MistakeError("What lies outside is given twice: by extern and by a table.", self.draft.at)
            table = extern_table(outer)
            self.tables["table:extern"] = {name: table[name] for name in table}
            for name in table:
                self.columns.find(name, 0)
        self._once("edges")
        extra: dict[str, Array] = {}
        for block in self.blocks("edges"):
            given = {"src": _EVENT_ID, "dst": _EVENT_ID, "kind": _EDGE_KIND}
            if missing := [name for name in given if name not in block.columns]:
                raise MistakeError(f"The edges block lacks the column {missing[0]}.", block.at)
            given |= {name: self.columns.find(name, block.at) for name in block.columns if name not in given}
            self._in_domain({name: a for name, a in given.items() if "." in name}, "edge", block)
            cells = read_rows(block, _decimals(given))
            made = {name: values.column(annotation, cells[name], block, name) for name, annotation in given.items()}
            none = [i for i in ("src", "dst", "kind") if (made[i] < 0).any()]
            if none:
                raise MistakeError(f"The column {none[0]} of edges has no null.", block.at)
            extra = {name: made[name] for name in made if "." in name}
            if parts and extra:
                raise MistakeError("Edges with columns of their own all stand in the block.", block.at)
            parts.append(np.stack([made[name].astype(np.int32) for name in ("kind", "src", "dst")]))
        if not extra:
            count = sum(part.shape[1] for part in parts)
            extra = {a.name: values.empty(a, count) for a in self.columns.of_domain("edge")}
        return edge_table(parts, extra)

    def _trees(self, trees: Trees, events: Events, values: Values, pool: Names) -> None:
        for name in trees.trees:
            by = next((one.by for one in trees.trees[name] if one.by is not None), None)
            at = trees.trees[name][0].item.at
            leaf = self.columns.imply(Annotation(f"tree.{name}", dtype="id"), by, at)
            self.tables[f"region:{name}"] = trees.structure(name, pool) | trees.attributes(name, values)
            self.tables["event"][leaf.name] = trees.leaf(name, events)
        for block in self.blocks("regions"):
            if f"region:{block.name}" in self.tables:
                raise MistakeError(f"The tree {block.name} is given twice.", block.at)
            self.tables[f"region:{block.name}"] = region_block(block, self.columns, values, pool)
        for annotation in list(self.columns.of_domain("event")):
            word, _, name = annotation.name.partition(".")
            if word == "tree" and f"region:{name}" not in self.tables:
                empty = np.empty(0, np.int32)
                self.tables[f"region:{name}"] = {"parent": empty, "kind": empty, "name": empty, "index": empty}

    def _tables(self, values: Values) -> None:
        for block in self.blocks("table"):
            domain = f"table:{block.name}"
            if domain in self.tables:
                raise MistakeError(f"The table {block.name} is given twice.", block.at)
            declared = {name: self.columns.find(name, block.at) for name in block.columns}
            self._in_domain(declared, domain, block)
            cells = read_rows(block, _decimals(declared))
            self.tables[domain] = {n: values.column(a, cells[n], block, n) for n, a in declared.items()}

    def _attributes(self, values: Values) -> None:
        """The columns of lanes and of the module, which stand as attributes of theirs."""
        for number, item in enumerate(self.all(draft.LaneItem)):
            self._attribute("lane", item.pairs, number, len(values.lanes), values)
        self._attribute("module", self.draft.pairs, 0, 1, values)

    def _attribute(self, domain: str, pairs: list[draft.Pair], row: int, length: int, values: Values) -> None:
        for pair in pairs:
            if pair.dotted:
                annotation = self.columns.find(pair.key, pair.at)
                if annotation.domain != domain:
                    raise MistakeError(
                        f"The column {pair.key} is one of {annotation.domain}, not of {domain}.", pair.at
                    )
                table = self.tables.setdefault(domain, {})
                if pair.key not in table:
                    table[pair.key] = values.empty(annotation, length)
                table[pair.key][row] = values.stored(annotation, pair.value, pair.at)

    def _fill(self, values: Values) -> None:
        """Give every declared column its table: what no row says is null."""
        for name, (annotation, _) in self.columns.known.items():
            domain = annotation.domain
            if domain == "edge":
                continue
            if domain in ("lane", "module"):
                self.tables.setdefault(domain, {})
            if domain not in self.tables:
                raise MistakeError(
                    f"The column {name} is one of {domain}, and the text has no such table.",
                    self.columns.places[name],
                    name,
                )
            table = self.tables[domain]
            if name not in table:
                fixed = {"lane": len(values.lanes), "module": 1}
                length = fixed[domain] if domain in fixed else len(next(iter(table.values())))
                table[name] = values.empty(annotation, length)

    def _in_domain(self, declared: Mapping[str, Annotation], domain: str, block: draft.BlockItem) -> None:
        for name, annotation in declared.items():
            if annotation.domain != domain:
                raise MistakeError(f"The column {name} is one of {annotation.domain}, not of {domain}.", block.at, name)

    def _once(self, sort: str) -> None:
        found = self.blocks(sort)
        if len(found) > 1:
            raise MistakeError(f"The block {sort} is given twice.", found[1].at)

    # --- the whole ---------------------------------------------------------------------------------------

    def _made(self, edges: Table) -> dict[str, Table]:
        tables = {name: Table.of(name, columns) for name, columns in self.tables.items()}
        return {"event": tables.pop("event"), "edge": edges} | tables

    def _written(self, module: Module) -> dict[str, Written]:
        """The annotations, bound to the columns as they were read: a text holds no stale ones."""
        return {
            name: Written(annotation, by, tuple((column, module.token(column)) for column in self.columns.inputs(by)))
            for name, (annotation, by) in self.columns.known.items()
        }

    def _check(self, module: Module, events: Events) -> None:
        for broken in verify(module):
            if broken.level == "error":
                at = self.draft.at
                if broken.first is not None and (row := events.ids.get(broken.first)) >= 0:
                    at = events.where(int(np.argmax(events.row_of == row)))
                raise MistakeError(f"This breaks a rule of the IR, {broken}", at)


_EVENT_ID: Final = Annotation("edge.end", "edge", "id")
_EDGE_KIND: Final = Annotation("edge.kind", "edge", "enum", values=EDGE_KINDS)


def _decimals(declared: Mapping[str, Annotation]) -> frozenset[str]:
    return frozenset(name for name, annotation in declared.items() if annotation.dtype == "f64")


def _lane_field(pair: draft.Pair) -> Any:
    if pair.key not in _LANE:
        raise MistakeError(f"A lane has no attribute {pair.key}{suggestion(pair.key, _LANE)}", pair.at)
    value = plain(pair)
    # Streams and threads are at times addresses, which have all 64 bits.
    if isinstance(value, int) and not -_HALF <= value < (_HALF if pair.key == "device" else 2 * _HALF):
        raise MistakeError(f"The attribute {pair.key} has to be a whole number of 64 bits.", pair.at)
    if pair.key in ("device", "stream"):
        return _of_type(pair, value, int, "a whole number")
    if pair.key == "label":
        return _of_type(pair, value, str, "a text in quotes")
    return _of_type(pair, value, (int, str), "a whole number or a text in quotes")


def _in_range(pair: draft.Pair, value: Any, what: str) -> int:
    number: int = _of_type(pair, value, int, what)
    if not 0 <= number < _HALF:
        raise MistakeError(f"The attribute {pair.key} has to be {what}.", pair.at)
    return number


def _of_type(pair: draft.Pair, value: Any, kind: Any, what: str) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool | draft.Word | draft.Symbol):
        raise MistakeError(f"The attribute {pair.key} has to be {what}.", pair.at)
    return value
