"""Exports: a chosen part of a module as a networkx graph or as plain numpy arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from traceir.errors import UsageError
from traceir.ir.column import Array, Mask, Rows
from traceir.ir.module import EDGE_KINDS, Module
from traceir.ir.view import Selection

if TYPE_CHECKING:
    import networkx as nx

MOST_NODES = 20_000
"""The default limit of `to_networkx`: a node costs over a kilobyte there, and its algorithms are pure Python."""


def to_networkx(
    chosen: Selection | Module,
    *,
    edges: Iterable[str] = EDGE_KINDS,
    nest: bool = False,
    stream: bool = False,
    columns: Sequence[str] = (),
    limit: int = MOST_NODES,
) -> nx.DiGraph[int]:
    """The events of a selection (or of a whole small module, its live ones) as a directed graph.

    Nodes are keyed by event id and have `kind`, `name`, `ts`, `dur` (ns), `lane` (its name) and the asked
    annotation `columns` (text for `str` and `enum`, None for null). Edges lead from cause to effect and carry `kinds`,
    a tuple, since two events may be joined in several ways: those in `edges` as recorded; `nest`, on request, from the
    nearest live parent to its child; `stream`, on request, from each event on a device stream to the next chosen one
    there. Only edges between chosen events are there. Raises UsageError beyond `limit` nodes.
    """
    import networkx as nx

    selection = chosen.select() if isinstance(chosen, Module) else chosen
    module, rows = selection.module, np.unique(selection.rows)
    if len(rows) > limit:
        raise UsageError(
            f"A graph of {len(rows)} events was asked for, and the limit is {limit}: select fewer (a layer, a step), "
            "or raise the limit."
        )
    graph: nx.DiGraph[int] = nx.DiGraph(name=module.name)
    for row in rows.tolist():  # bounded by the limit
        event = module.event(row)
        values = {column: event[column] for column in columns}
        graph.add_node(
            event.id, kind=event.kind, name=event.name, ts=event.ts, dur=event.dur, lane=event.lane.name, **values
        )
    inside = np.zeros(len(module) + 1, bool)
    inside[rows] = True
    for kind in edges:
        _join(graph, module, inside, kind, *module.edges(kind))
    if nest:
        _join(graph, module, inside, "nest", module.parent[rows], rows)
    if stream:
        _join(graph, module, inside, "stream", *_successors(module, rows))
    return graph


def to_numpy(
    chosen: Selection | Module, columns: Sequence[str] = ("id", "kind", "name", "ts", "dur", "lane", "parent", "launch")
) -> dict[str, Array]:
    """Columns of the chosen events (default: all live ones) as independent arrays of equal length.

    Texts (`kind`, `name`, `lane`, and annotations of dtype `str` and `enum`) come as object arrays of str, with
    None for null; `parent`, `launch` and `id` annotations of events as event ids, -1 for null; times as int64 ns.
    """
    selection = chosen.select() if isinstance(chosen, Module) else chosen
    return {name: _values(selection.module, name, selection.rows) for name in columns}


def _join(graph: Any, module: Module, inside: Mask, kind: str, src: Array, dst: Array) -> None:
    keep = (src >= 0) & inside[src] & inside[dst]
    ids = module["id"]
    for pair in zip(ids[src[keep]].tolist(), ids[dst[keep]].tolist(), strict=True):  # bounded by the limit
        known = graph.get_edge_data(*pair, {"kinds": ()})["kinds"]
        graph.add_edge(*pair, kinds=known if kind in known else (*known, kind))


def _successors(module: Module, rows: Rows) -> tuple[Array, Array]:
    """Each chosen event on a device stream and the next one there, in order of start."""
    on_device = rows[module.device_lane[module["lane"][rows]]]
    order = on_device[np.argsort(module["lane"][on_device], kind="stable")]
    same = module["lane"][order[:-1]] == module["lane"][order[1:]]
    return order[:-1][same], order[1:][same]


def _values(module: Module, name: str, rows: Array) -> Array:
    if name in ("kind", "lane"):
        texts = module.kinds if name == "kind" else tuple(lane.name for lane in module.lanes)
        return np.array([*texts, None], object)[module[name][rows]]
    if name == "name":
        return np.array([*module.strings.texts, None], object)[module["name"][rows]]
    if name in ("parent", "launch"):
        return _ids(module, getattr(module, name)[rows])
    if module.domain(name) != "event":
        raise UsageError(f"The column {name} is on {module.domain(name)}, and only columns of events can be exported.")
    values = module[name][rows]
    written = module.annotations.get(name)
    if written is None:
        return values
    if written.annotation.dtype in ("str", "enum"):
        texts = written.annotation.values if written.annotation.dtype == "enum" else module.strings.texts
        return np.array([*texts, None], object)[values]
    return _ids(module, values) if written.annotation.target == "event" else values


def _ids(module: Module, rows: Array) -> Array:
    return np.append(module["id"], np.int64(-1))[rows]
