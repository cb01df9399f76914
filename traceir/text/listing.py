"""Statements: a line an event, regions around the events of one tree, other trees and tables after them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from traceir.ir import Array, Module, Tree, kinds
from traceir.ir.module import EDGE_KINDS
from traceir.ir.trees import STRUCTURE
from traceir.ir.view import arguments
from traceir.ir.window import EXTERN, RELATIONS
from traceir.text.cells import Cell
from traceir.text.events import in_order
from traceir.text.regions import usual_index
from traceir.text.words import BARE, id_text, json_text, quote, symbol, word

_Ids = dict[int, list[int]]
_CLAUSES: Final = {
    "parent": "in",
    "launch": "<-",
    "enqueue": "enqueue",
    "sync": "after",
    "flow": "flow",
    "peer": "peer",
}
_KIND: Final = re.compile(r"[A-Za-z0-9_]+\Z")
_RUN: Final = 3
"""Ids in a row from which on a range is shorter to read."""


class Listing:
    """A module's events as statements. `hidden` are the columns whose declaration the form says otherwise."""

    def __init__(self, module: Module, tree: str | None = None, *, args: bool = False) -> None:
        self.module = module
        self.args = args
        self.extern = _extern(module)
        self.edge_block = any(item.annotation.domain == "edge" for item in module.annotations.values())
        self.written_order = not in_order({name: module[name] for name in ("ts", "lane", "id")})
        self.trees = {name: module.tree(name) for name in _trees(module)}
        self.blocks = [name for name, tree in self.trees.items() if not _preorder(tree)]
        self.of = self._collectives()
        self.nested = None if self.written_order else self._nested(tree)
        self.hidden = frozenset(item.name for item in EXTERN) if self.extern is not None else frozenset()

    def _nested(self, wanted: str | None) -> str | None:
        """The tree whose regions hold their events: the wanted one, or the one with most regions."""
        able = [name for name in self.trees if name not in self.blocks]
        if wanted is not None:
            return wanted if wanted in able else None
        return max(sorted(able), key=lambda name: len(self.trees[name]), default=None)

    def lines(self) -> Iterator[str]:
        """The lines below the declarations."""
        if self.written_order:
            yield "  order written;\n"
        if self.extern is not None:
            ids = _ranges(sorted(set(self.extern[0])))
            yield f"  extern {ids};\n" if ids else "  extern;\n"
        events = self._events()
        if self.nested is None:
            yield from (f"  {event}\n" for event in events)
        else:
            yield from self._tree(self.trees[self.nested], events)
        for name, tree in self.trees.items():
            if name not in self.blocks and name != self.nested:
                yield from self._listed(tree)
        for name in self.blocks:
            yield from self._block(f"regions {name}", f"region:{name}")
        if self.edge_block:
            yield from self._block("edges", "edge")
        for domain in self.module.tables:
            if domain.startswith("table:") and not (domain == "table:extern" and self.extern is not None):
                yield from self._block(f"table {domain.partition(':')[2]}", domain)

    # --- events ------------------------------------------------------------------------------------------

    def _events(self) -> list[str]:
        module = self.module
        ids = [id_text(id) for id in module["id"].tolist()]
        lanes = [symbol(lane.name) for lane in module.lanes]
        names = [kind if kinds.find(kind) is not None and BARE.match(kind) else quote(kind) for kind in module.kinds]
        texts = module.strings.texts
        clauses, pairs, of = self._clauses(ids), self._pairs(), self.of
        parent, live = module["parent"].tolist(), module.live.tolist()
        columns = (module[name].tolist() for name in ("kind", "name", "lane", "ts", "dur"))
        out = []
        for row, (kind, name, lane, ts, dur) in enumerate(zip(*columns, strict=True)):
            inside = f" in {ids[parent[row]]}" if parent[row] >= 0 else ""
            given = f" {{{', '.join(pairs[row])}}}" if row in pairs else ""
            launch, rest = clauses.get(row, ("", ""))
            dead = "" if live[row] else " dead"
            out.append(
                f"{ids[row]} = {of.get(row, '')}{names[kind]}({quote(texts[name])}) {lanes[lane]} [{ts} +{dur}]"
                f"{launch}{inside}{rest}{dead}{given};"
            )
        return out

    def _clauses(self, ids: Sequence[str]) -> dict[int, tuple[str, str]]:
        """For each row its launch, and all its other relations, but for a parent that is here."""
        incoming, outgoing = self._relations()
        launches: dict[int, str] = {}
        rest: dict[int, str] = defaultdict(str)
        for relation in RELATIONS:
            for row, found in incoming[relation].items():
                clause = f" {_CLAUSES[relation]} {_ranges(sorted(found))}"
                if relation == "launch":
                    launches[row] = clause
                else:
                    rest[row] += clause
        for relation in EDGE_KINDS:
            for row, found in outgoing[relation].items():
                rest[row] += f" to {relation} {_ranges(sorted(found))}"
        return {row: (launches.get(row, ""), rest.get(row, "")) for row in launches.keys() | rest.keys()}

    def _relations(self) -> tuple[dict[str, _Ids], dict[str, _Ids]]:
        """By relation and row the ids at the other end: of what leads to the row, and of what leads outside from it."""
        incoming: dict[str, _Ids] = {relation: defaultdict(list) for relation in RELATIONS}
        outgoing: dict[str, _Ids] = {relation: defaultdict(list) for relation in RELATIONS}
        if not self.edge_block:
            edges, numbers = self.module.tables["edge"], self.module["id"].tolist()
            for src, dst, kind in zip(*(edges[name].tolist() for name in ("src", "dst", "kind")), strict=True):
                incoming[EDGE_KINDS[kind]][dst].append(numbers[src])
        if self.extern is not None:
            for id, row, relation, leads_out in zip(*self.extern, strict=True):
                (outgoing if leads_out else incoming)[RELATIONS[relation]][row].append(id)
        return incoming, outgoing

    def _pairs(self) -> dict[int, list[str]]:
        """For each row its attributes: columns in the order of their declarations, then arguments."""
        module, out = self.module, defaultdict(list)
        for name, item in module.annotations.items():
            if item.annotation.domain != "event" or (name.startswith("tree.") and self._is_told(name[5:])):
                continue
            told = self.of if name == "coll.kind" else {}
            for row, text in enumerate(Cell(module, item.annotation).texts(module[name])):
                if text is not None and row not in told:
                    out[row].append(f"{name}={text}")
        if self.args:
            for row, args in enumerate(arguments(module, np.arange(len(module)))):
                out[row] += [f"{_key(key)}={json_text(value)}" for key, value in args.items()]
        return {row: pairs for row, pairs in out.items() if pairs}

    def _is_told(self, tree: str) -> bool:
        """Whether regions say what their events are, so that the leaf column need not."""
        return tree in self.trees and tree not in self.blocks

    def _collectives(self) -> dict[int, str]:
        """For each row that `coll.kind` calls a collective what stands before its kind."""
        item = self.module.annotations.get("coll.kind")
        if item is None or item.annotation.domain != "event" or item.annotation.dtype not in ("enum", "str"):
            return {}
        kinds = enumerate(self.module.text("coll.kind"))
        return {row: f"coll.{kind} of " for row, kind in kinds if kind is not None and _KIND.match(kind)}

    # --- trees -------------------------------------------------------------------------------------------

    def _tree(self, tree: Tree, events: Sequence[str]) -> Iterator[str]:
        """Regions around their events. A region stands before the first event of its own place in time."""
        own: dict[int, list[int]] = defaultdict(list)
        for row, leaf in enumerate(tree.leaf.tolist()):
            own[leaf].append(row)
        first = _first_rows(tree)
        heads = self._heads(tree)
        parents = tree.parent.tolist()
        open_regions: list[int] = [-1]
        done: dict[int, int] = defaultdict(int)

        def until(region: int, row: float) -> Iterator[str]:
            rows, at = own[region], done[region]
            while at < len(rows) and rows[at] < row:
                yield f"{'  ' * len(open_regions)}{events[rows[at]]}\n"
                at += 1
            done[region] = at

        for region, parent in enumerate(parents):
            while open_regions[-1] != parent:
                yield from until(open_regions[-1], np.inf)
                open_regions.pop()
                yield f"{'  ' * len(open_regions)}}}\n"
            yield from until(parent, first[region])
            yield f"{'  ' * len(open_regions)}{heads[region]} {{\n"
            open_regions.append(region)
        while len(open_regions) > 1:
            yield from until(open_regions[-1], np.inf)
            open_regions.pop()
            yield f"{'  ' * len(open_regions)}}}\n"
        yield from until(-1, np.inf)

    def _listed(self, tree: Tree) -> Iterator[str]:
        """Regions with their members listed."""
        members, heads = self._members(tree), self._heads(tree)
        parents = tree.parent.tolist()
        open_regions: list[int] = [-1]
        for region, parent in enumerate(parents):
            while open_regions[-1] != parent:
                open_regions.pop()
                yield f"{'  ' * len(open_regions)}}}\n"
            inner = region + 1 < len(parents) and parents[region + 1] == region
            held = members.get(region, "")
            yield f"{'  ' * len(open_regions)}{heads[region]} = {{{held}}}{' {' if inner else ';'}\n"
            if inner:
                open_regions.append(region)
        while len(open_regions) > 1:
            open_regions.pop()
            yield f"{'  ' * len(open_regions)}}}\n"

    def _members(self, tree: Tree) -> dict[int, str]:
        """For each region its own events: by lane, ids that follow each other there as a range."""
        module = self.module
        rows = np.flatnonzero(tree.leaf >= 0)
        id, lane = module["id"], module["lane"]
        by_lane = np.lexsort((id, lane))
        place = np.empty(len(module), np.int64)  # among the events of the lane, by id
        place[by_lane] = np.arange(len(module))
        rows = rows[np.lexsort((id[rows], lane[rows], tree.leaf[rows]))]
        out: dict[int, str] = {}
        names = [symbol(item.name) for item in module.lanes]
        for region, some in _split(rows, tree.leaf[rows]):
            parts = []
            for on, here in _split(some, lane[some]):
                cuts = np.flatnonzero(np.diff(place[here]) > 1) + 1
                runs = [_run(id[run].tolist()) for run in np.split(here, cuts)]
                parts.append(f"{names[on]}: {', '.join(runs)}")
            out[region] = f" {', '.join(parts)} "
        return out

    def _heads(self, tree: Tree) -> list[str]:
        """`region @name : kind {…} by p2` for each region."""
        module, table = self.module, tree.regions
        item = module.annotations.get(f"tree.{tree.name}")
        by = item.by if item is not None and item.by is not None and 0 <= item.by < len(module.passes) else None
        given: dict[int, list[str]] = defaultdict(list)
        among: dict[int, int] = {}
        texts = module.strings.texts
        names, sorts = ([texts[code] for code in table[column].tolist()] for column in ("name", "kind"))
        for region, (parent, index) in enumerate(zip(tree.parent.tolist(), table["index"].tolist(), strict=True)):
            sibling = among[parent] = among.get(parent, -1) + 1
            if index != usual_index(names[region], sibling):
                given[region].append(f"index={index}")
        prefix = f"{module.passes[by].name}." if by is not None else ""
        for name in module.annotations:
            if name in table and name not in STRUCTURE:
                short = name.removeprefix(prefix) if prefix and name.startswith(prefix) else name
                key = name if "." in short or short in ("index", "region") or not BARE.match(short) else short
                for region, text in enumerate(Cell(module, module.annotations[name].annotation).texts(table[name])):
                    if text is not None:
                        given[region].append(f"{key}={text}")
        label = f" by p{by + 1}" if by is not None else ""
        out = []
        for region, parent in enumerate(tree.parent.tolist()):
            of = f" of {tree.name}" if parent < 0 and sorts[region] != tree.name else ""
            pairs = f" {{{', '.join(given[region])}}}" if region in given else ""
            out.append(
                f"region {symbol(names[region])} : {word(sorts[region])}{of}{pairs}{label if parent < 0 else ''}"
            )
        return out

    # --- tables ------------------------------------------------------------------------------------------

    def _block(self, head: str, domain: str) -> Iterator[str]:
        """A table as rows that can be read: names for codes."""
        table = self.module.tables[domain]
        columns = [self._column(domain, name, table[name]) for name in table]
        yield f"  {head} [{' '.join(table)}] {{\n"
        for row in zip(*columns, strict=True):
            yield f"    {' '.join(row)}\n"
        yield "  }\n"

    def _column(self, domain: str, name: str, values: Array) -> list[str]:
        module = self.module
        if domain == "edge" and name in ("src", "dst"):
            return [id_text(id) for id in module["id"][values].tolist()]
        if domain == "edge" and name == "kind":
            return [EDGE_KINDS[kind] for kind in values.tolist()]
        if domain.startswith("region:") and name in STRUCTURE:
            texts = module.strings.texts
            return [quote(texts[v]) if name in ("kind", "name") else str(v) for v in values.tolist()]
        annotation = module.annotations[name].annotation
        null = "false" if annotation.dtype == "bool" else "_"
        return [text if text is not None else null for text in Cell(module, annotation).texts(values, bare=True)]


def _trees(module: Module) -> list[str]:
    return [name.partition(":")[2] for name in module.tables if name.startswith("region:")]


def _preorder(tree: Tree) -> bool:
    """Whether each region's descendants follow it without a gap, so that nesting says what the table says."""
    path: list[int] = []
    for region, parent in enumerate(tree.parent.tolist()):
        while path and path[-1] != parent:
            path.pop()
        if not path and parent >= 0:
            return False
        path.append(region)
    return True


def _first_rows(tree: Tree) -> list[float]:
    """For each region the first row that it or a descendant owns, no earlier than that of an elder sibling."""
    first = np.full(len(tree) + 1, np.inf)
    np.minimum.at(first, tree.leaf, np.arange(len(tree.leaf)))
    parents = tree.parent.tolist()
    for region in range(len(tree) - 1, -1, -1):
        if parents[region] >= 0:
            first[parents[region]] = min(first[parents[region]], first[region])
    latest: dict[int, float] = defaultdict(lambda: -1.0)
    out = []
    for region, parent in enumerate(parents):
        row = float(first[region])
        latest[parent] = max(latest[parent], row) if np.isfinite(row) else latest[parent]
        out.append(latest[parent])
    return out


def _extern(module: Module) -> tuple[list[int], list[int], list[int], list[bool]] | None:
    """The references outside as (id, row, relation, outgoing), if the window's own table says them and nothing else."""
    table = module.tables.get("table:extern")
    if table is None or set(table) != {item.name for item in EXTERN}:
        return None
    declared = {item.name: module.annotations.get(item.name) for item in EXTERN}
    if any(found is None or found.annotation != item for item, found in zip(EXTERN, declared.values(), strict=True)):
        return None
    ids, rows, relation, outgoing = (table[f"extern.{name}"] for name in ("id", "row", "relation", "outgoing"))
    order = np.lexsort((ids, outgoing, relation, rows))
    parents = rows[relation == 0]
    sound = not len(rows) or (int(rows.min()) >= 0 and int(relation.min()) >= 0 and int(ids.min()) >= 0)
    single = len(np.unique(parents)) == len(parents) and not outgoing[relation == 0].any()
    if not sound or not single or not np.array_equal(order, np.arange(len(order))) or np.isin(ids, module["id"]).any():
        return None
    return ids.tolist(), rows.tolist(), relation.tolist(), outgoing.tolist()


def _split(rows: Array, keys: Array) -> Iterator[tuple[int, Array]]:
    """Rows in runs of equal keys."""
    if len(rows):
        starts = np.concatenate([[0], np.flatnonzero(np.diff(keys)) + 1])
        yield from zip(keys[starts].tolist(), np.split(rows, starts[1:]), strict=True)


def _ranges(ids: Sequence[int]) -> str:
    """Ids, three or more that follow each other as a range."""
    out: list[str] = []
    at = 0
    while at < len(ids):
        end = at
        while end + 1 < len(ids) and ids[end + 1] == ids[end] + 1:
            end += 1
        if end - at + 1 >= _RUN:
            out.append(f"{id_text(ids[at])}..{id_text(ids[end])}")
        else:
            out += [id_text(id) for id in ids[at : end + 1]]
        at = end + 1
    return ", ".join(out)


def _run(ids: Sequence[int]) -> str:
    """The ids of a lane's events that follow each other there."""
    return f"{id_text(ids[0])}..{id_text(ids[-1])}" if len(ids) >= _RUN else ", ".join(map(id_text, ids))


def _key(key: str) -> str:
    return key if BARE.match(key) and "." not in key else quote(key)
