"""The rules of the IR that every module keeps, whatever its format and whichever passes ran."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from traceir.ir import kinds
from traceir.ir.annotation import null_mask
from traceir.ir.column import Array
from traceir.ir.lanes import LANE_KINDS
from traceir.ir.module import CORE, EDGE_KINDS, Module
from traceir.ir.table import Table
from traceir.ir.trees import STRUCTURE
from traceir.ir.verify import Found, at, outside, rule

DTYPES: Final = {
    "id": "int64",
    "kind": "uint16",
    "name": "int32",
    "ts": "int64",
    "dur": "int64",
    "lane": "int32",
    "parent": "int32",
    "live": "bool",
    "offset": "int64",
    "length": "int32",
}
_EDGE = {"src": "int32", "dst": "int32", "kind": "int8"}
_ENDS: Final[dict[str, tuple[frozenset[str], frozenset[str]]]] = {
    "launch": (frozenset({"rt", "npu", "host", "mark"}), frozenset({"dev", "event", "npu"})),
    "enqueue": (frozenset({"host", "rt", "mark", "npu"}), frozenset({"rt", "npu"})),
}
"""The dialects at the ends of edges whose meaning fixes them; the other kinds of edge may join any two events.

A launch may come from what encloses the call, since removing a call leaves its launch to the nearest live ancestor.
"""


def _schema(module: Module, _: str) -> tuple[Any, ...]:
    columns = (column.token for table in module.tables.values() for column in table.columns.values())
    return (*module.tables, *columns)


@rule("V01", "column-length", "error", basic=True, key=_schema)
def _lengths(module: Module, _: str, __: int) -> Iterator[Found]:
    """Every table has its columns, each as long as the table."""
    for name, wanted in (("event", CORE), ("edge", tuple(_EDGE))):
        missing = [column for column in wanted if column not in module.tables.get(name, ())]
        if missing:
            yield Found(f"The table {name} lacks {', '.join(missing)}.", len(missing))
    fixed = {"lane": len(module.lanes), "module": 1}
    for name, table in module.tables.items():
        if name in fixed and len(table) != fixed[name]:
            yield Found(f"The table {name} has {len(table)} rows, and it has to have {fixed[name]}.", 1)
        for column in table:
            if len(table[column]) != len(table):
                yield Found(
                    f"The column {column} has {len(table[column])} values, and the table {name} has {len(table)} rows.",
                    1,
                )
        if name.startswith("region:") and (gone := [column for column in STRUCTURE if column not in table]):
            yield Found(f"The table {name} lacks {', '.join(gone)}.", len(gone))


@rule("V02", "column-dtype", "error", basic=True, key=_schema)
def _dtypes(module: Module, _: str, __: int) -> Iterator[Found]:
    """Core columns have their dtypes, and no array can be written to."""
    wanted = {"event": DTYPES, "edge": _EDGE}
    for name, table in module.tables.items():
        dtypes = dict.fromkeys(STRUCTURE, "int32") if name.startswith("region:") else wanted.get(name, {})
        for column in table:
            data = table[column]
            if column in dtypes and data.dtype != np.dtype(dtypes[column]):
                yield Found(f"The column {column} of {name} is {data.dtype}, and it has to be {dtypes[column]}.", 1)
            if data.flags.writeable:
                yield Found(f"The column {column} of {name} can be written to.", 1)


@rule("V03", "rows-sorted", "error", "ts")
def _sorted(module: Module, _: str, __: int) -> Iterator[Found]:
    """Rows stand in order of time."""
    back = module["ts"][:-1] - module["ts"][1:]
    late = np.flatnonzero(module["ts"][:-1] > module["ts"][1:])
    yield from at(late + 1, "{n} events start before the one in the row before, by up to {ns} ns.", back[late])


@rule("V04", "id-unique", "error", "id")
def _ids(module: Module, _: str, __: int) -> Iterator[Found]:
    """No two events have one id, and none is negative."""
    ids = module["id"]
    if not len(ids):
        return
    yield from at(np.flatnonzero(ids < 0), "{n} events have a negative id.")
    low, high = int(ids.min()), int(ids.max())
    # Dense ordinals, as every frontend gives them, need no sorting.
    if high - low < 8 * len(ids) and int(np.bincount(ids - low).max()) == 1:
        return
    _values, first = np.unique(ids, return_index=True)
    again = np.ones(len(ids), bool)
    again[first] = False
    yield from at(np.flatnonzero(again), "{n} events have the id of an earlier one.")


def _codes_key(module: Module, _: str) -> tuple[Any, ...]:
    return len(module.kinds), len(module.lanes), len(module.strings)


@rule("V05", "code-known", "error", "kind", "lane", "name", basic=True, key=_codes_key)
def _codes(module: Module, _: str, __: int) -> Iterator[Found]:
    """Every event's kind, lane and name are among the module's."""
    for column, known in (("kind", module.kinds), ("lane", module.lanes), ("name", module.strings)):
        wrong = outside(module[column], 0, len(known))
        yield from at(wrong, f"{{n}} events have a {column} that the module does not know.")


@rule("V06", "parent-known", "error", "parent", basic=True)
def _parents(module: Module, _: str, __: int) -> Iterator[Found]:
    """Every parent is another event of the module, or none."""
    parent = module["parent"]
    yield from at(outside(parent, -1, len(module)), "{n} events have a parent that is no row.")
    yield from at(np.flatnonzero(parent == np.arange(len(parent))), "{n} events are their own parents.")


@rule("V07", "nest-contains", "warning", "parent", "ts", "dur")
def _contains(module: Module, _: str, slack_ns: int) -> Iterator[Found]:
    """An event ends no later than its parent."""
    child, parent = _families(module)
    over = module.end[child] - module.end[parent]
    late = over > slack_ns
    yield from at(child[late], "{n} events end after their parent, by up to {ns} ns.", over[late])


@rule("V08", "parent-lane", "error", "parent", "lane")
def _same_lane(module: Module, _: str, __: int) -> Iterator[Found]:
    """An event lies on its parent's lane."""
    child, parent = _families(module)
    yield from at(
        child[module["lane"][child] != module["lane"][parent]], "{n} events lie on another lane than their parent."
    )


@rule("V09", "parent-acyclic", "error", "parent")
def _acyclic(module: Module, _: str, __: int) -> Iterator[Found]:
    """No event is its own ancestor."""
    parent = module["parent"]
    if bool((parent < np.arange(len(parent))).all()):
        return
    up = np.append(parent, np.int32(-1))
    for _round in range(len(up).bit_length() + 1):  # each round doubles the number of steps up
        up = up[up]
        if int(up.max()) < 0:
            return
    yield from at(np.flatnonzero(up >= 0), "{n} events have a circle of parents above them.")


@rule("V10", "parent-earlier", "warning", "parent", "ts")
def _earlier(module: Module, _: str, slack_ns: int) -> Iterator[Found]:
    """An event starts no earlier than its parent."""
    child, parent = _families(module)
    ahead = module["ts"][parent] - module["ts"][child]
    early = ahead > slack_ns
    yield from at(child[early], "{n} events start before their parent, by up to {ns} ns.", ahead[early])


@rule("V11", "dur-negative", "error", "dur")
def _durations(module: Module, _: str, __: int) -> Iterator[Found]:
    """No event ends before it starts."""
    wrong = outside(module["dur"], 0, np.iinfo(np.int64).max)
    yield from at(wrong, "{n} events end before they start, by up to {ns} ns.", -module["dur"][wrong])


@rule("V12", "lane-allowed", "error", "kind", "lane", key=lambda module, _: (module.kinds, module.lanes))
def _allowed(module: Module, _: str, __: int) -> Iterator[Found]:
    """Every event lies on a lane of a kind that its own kind allows."""
    table = np.ones((len(module.kinds), len(LANE_KINDS)), bool)
    for code, name in enumerate(module.kinds):
        allowed = cls.lanes if (cls := kinds.find(name)) is not None else ()
        if allowed:
            table[code] = [kind in allowed for kind in LANE_KINDS]
    lanes = np.array([LANE_KINDS.index(lane.kind) for lane in module.lanes], np.int64)
    if bool(table[:, lanes].all()):
        return
    wrong = np.flatnonzero(~table[:, lanes][module["kind"], module["lane"]])
    if len(wrong):
        kind, lane = module.kinds[module["kind"][wrong[0]]], module.lanes[module["lane"][wrong[0]]]
        yield from at(wrong, f"{{n}} events lie on a lane that is not for them, such as {kind} on a {lane.kind} lane.")


@rule("V13", "edge-known", "error", "edges", basic=True, key=lambda module, _: (len(module),))
def _edges(module: Module, _: str, __: int) -> Iterator[Found]:
    """Every edge joins two events of the module and is of a known kind."""
    edges = module.tables["edge"]
    for column, known in (("src", len(module)), ("dst", len(module)), ("kind", len(EDGE_KINDS))):
        wrong = len(outside(edges[column], 0, known))
        if wrong:
            what = "is of an unknown kind" if column == "kind" else f"has a {column} that is no row"
            yield Found(f"{wrong} edges: the first {what}.", wrong)


@rule("V14", "edge-kinds", "error", "edges", "kind", key=lambda module, _: (module.kinds,))
def _edge_kinds(module: Module, _: str, __: int) -> Iterator[Found]:
    """A launch leads from the host to device work, an enqueue from the host to a runtime call."""
    for kind, ends in _ENDS.items():
        for rows, dialects in zip(module.edges(kind), ends, strict=True):
            fits = [name.partition(".")[0] in dialects or kinds.find(name) is None for name in module.kinds]
            wrong = rows[~np.array(fits, bool)[module["kind"][rows]]]
            if len(wrong):
                found = module.kinds[module["kind"][wrong[0]]]
                yield from at(wrong, f"{{n}} {kind} edges end at an event that cannot have one, such as {found}.")


@rule("V15", "launch-order", "warning", "edges", "ts")
def _launch_order(module: Module, _: str, slack_ns: int) -> Iterator[Found]:
    """Device work starts no earlier than the call that launched it."""
    src, dst = module.edges("launch")
    ahead = module["ts"][src] - module["ts"][dst]
    early = ahead > slack_ns
    yield from at(dst[early], "{n} events start on the device before their launch, by up to {ns} ns.", ahead[early])


@rule("V16", "launch-once", "error", "edges", key=lambda module, _: (len(module),))
def _launch_once(module: Module, _: str, __: int) -> Iterator[Found]:
    """An event is launched at most once."""
    _src, dst = module.edges("launch")
    yield from at(np.flatnonzero(np.bincount(dst, minlength=len(module)) > 1), "{n} events have several launches.")


def _trees(module: Module) -> list[str]:
    return [name.partition(":")[2] for name in module.tables if name.startswith("region:")]


def _tree_key(module: Module, name: str) -> tuple[Any, ...]:
    return (module.token(f"tree.{name}"), module.tables[f"region:{name}"].columns["parent"].token)


@rule("V17", "tree-order", "error", basic=True, parts=_trees, key=_tree_key)
def _tree(module: Module, name: str, __: int) -> Iterator[Found]:
    """In a tree, parents stand before their children, and every event's leaf is a region or none."""
    regions = module.tables[f"region:{name}"]
    parent = regions["parent"]
    wrong = int(((parent < -1) | (parent >= np.arange(len(parent)))).sum())
    if wrong:
        yield Found(f"{wrong} regions of the tree {name} do not stand after their parent.", wrong)
    if f"tree.{name}" not in module.tables["event"]:
        yield Found(f"The tree {name} has regions, and the events have no column tree.{name}.", 1)
        return
    yield from at(
        outside(module[f"tree.{name}"], -1, len(regions)), f"{{n}} events have a leaf in {name} that is no region."
    )


def _annotations(module: Module) -> list[str]:
    known = {"event": CORE, "edge": tuple(_EDGE)}
    out = dict.fromkeys(module.annotations)
    for domain, table in module.tables.items():
        structure = STRUCTURE if domain.startswith("region:") else known.get(domain, ())
        out.update(dict.fromkeys(name for name in table if name not in structure))
    return list(out)


def _annotation_key(module: Module, name: str) -> tuple[Any, ...]:
    written = module.annotations.get(name)
    annotation = written.annotation if written is not None else None
    target = _rows_of(module, annotation.target) if annotation is not None else 0
    return (module.token(name), annotation, len(module.strings), target)


@rule("V18", "annotation-schema", "error", parts=_annotations, key=_annotation_key)
def _annotation(module: Module, name: str, __: int) -> Iterator[Found]:
    """Every annotation is declared, is where and what it is declared to be, and holds codes that exist."""
    written = module.annotations.get(name)
    if written is None:
        yield Found(f"The column {name} is not declared.", 1)
        return
    annotation = written.annotation
    table = module.tables.get(annotation.domain)
    if table is None or name not in table:
        yield Found(f"The annotation {name} is declared on {annotation.domain}, and there is no such column there.", 1)
        return
    values = table[name]
    if values.dtype != annotation.numpy_type:
        yield Found(f"The annotation {name} is {values.dtype}, and {annotation.dtype} is {annotation.numpy_type}.", 1)
        return
    limits = {"enum": len(annotation.values), "str": len(module.strings)}
    if annotation.dtype == "id":
        limits["id"] = _rows_of(module, annotation.target)
    if annotation.dtype in limits:
        wrong = outside(values, -1, limits[annotation.dtype])
        message = f"The annotation {name} holds {len(wrong)} values that are no {annotation.dtype}."
        yield from _in(table, wrong, message)


@rule("V19", "provenance-known", "error", key=lambda module, _: (tuple(_makers(module)), len(module.passes)))
def _provenance(module: Module, _: str, __: int) -> Iterator[Found]:
    """Every annotation names a pass that the module records as its writer, or none."""
    wrong = [name for name, by in _makers(module) if by is not None and not 0 <= by < len(module.passes)]
    if wrong:
        yield Found(f"{', '.join(wrong)}: written by a pass that the module does not record.", len(wrong))


@rule(
    "V20", "dead-referenced", "warning", "live",
    parts=lambda module: [name for name, written in module.annotations.items() if written.annotation.target == "event"],
    key=lambda module, name: (module.token(name), module.stale(name)),
)  # fmt: skip
def _dead(module: Module, name: str, __: int) -> Iterator[Found]:
    """An annotation that is not stale refers to no removed event (parents and edges may)."""
    annotation = module.annotations[name].annotation
    table = module.tables.get(annotation.domain)
    if table is None or name not in table or module.stale(name):
        return
    values = table[name]
    live = module.live
    if bool(live.all()) or len(outside(values, -1, len(module))):
        return
    dead = ~null_mask(values, annotation) & ~live[values]
    if annotation.domain == "event":
        dead &= live
    rows = np.flatnonzero(dead)
    yield from _in(table, rows, f"The annotation {name} refers {len(rows)} times to an event that was removed.")


@rule("V21", "stream-overlap", "info", "ts", "dur", "lane", "kind", "live")
def _overlap(module: Module, _: str, __: int) -> Iterator[Found]:
    """Device work on one stream does not overlap (programmatic dependent launch makes it)."""
    rows = np.flatnonzero(module.work)
    rows = rows[np.argsort(module["lane"][rows], kind="stable")]
    starts, ends, lanes = module["ts"][rows], module.end[rows], module["lane"][rows]
    inside = np.zeros(len(rows), np.int64)
    bounds = np.flatnonzero(np.diff(lanes, prepend=-1, append=-1)).tolist()
    for low, high in itertools.pairwise(bounds):  # one turn per stream
        reached = np.maximum.accumulate(ends[low:high])
        inside[low + 1 : high] = np.minimum(reached[:-1], ends[low + 1 : high]) - starts[low + 1 : high]
    found = np.flatnonzero(inside > 0)
    yield from at(rows[found], "{n} events overlap an earlier one on their stream, by up to {ns} ns.", inside[found])


@rule("V22", "dialect-known", "info", "kind", key=lambda module, _: (module.kinds,))
def _dialects(module: Module, _: str, __: int) -> Iterator[Found]:
    """Every kind of event is registered by a dialect (others are kept and printed in a quoted form)."""
    unknown = [name for name in module.kinds if kinds.find(name) is None]
    if unknown:
        rows = np.flatnonzero(module.is_kind(*unknown))
        yield from at(rows, f"{{n}} events are of kinds that no dialect registers: {', '.join(unknown)}.")


@rule("V23", "names-distinct", "error", key=lambda module, _: (module.lanes, module.strings.texts))
def _distinct(module: Module, _: str, __: int) -> Iterator[Found]:
    """No two lanes have one name, and the string pool holds every string once."""
    names = [lane.name for lane in module.lanes]
    for what, texts in (("lanes", names), ("strings of the pool", module.strings.texts)):
        again = len(texts) - len(set(texts))
        if again:
            yield Found(f"{again} {what} have the text of an earlier one.", again)


def _rows_of(module: Module, domain: str) -> int:
    """The number of rows that a domain has, or would have if it had a column; 0 if there is no such domain."""
    table = module.tables.get(domain)
    return len(table) if table is not None else len(module.lanes) if domain == "lane" else int(domain == "module")


def _families(module: Module) -> tuple[Array, Array]:
    """The rows that have a parent, and the parents."""

    def compute() -> tuple[Array, Array]:
        child = np.flatnonzero(module["parent"] >= 0)
        return child, module["parent"][child]

    return module.derive("families", ("parent",), compute)


def _makers(module: Module) -> Iterator[tuple[str, int | None]]:
    return ((name, written.by) for name, written in module.annotations.items())


def _in(table: Table, rows: Array, message: str) -> Iterator[Found]:
    """A finding in a table; its first row is an event's only in the event table."""
    if len(rows):
        yield Found(message, len(rows), int(rows[0]) if table.name == "event" else None)
