"""Edges of a database: launches by connection, and what the framework's connections join."""

from __future__ import annotations

import numpy as np

from traceir.ir import NULL_I64, Ints
from traceir_frontends.ascend import links, schema
from traceir_frontends.ascend.dialect import rank_of_call
from traceir_frontends.ascend.reading import Reading
from traceir_frontends.tabular import Rows, matched


def find_edges(reading: Reading) -> dict[str, tuple[Ints, Ints]]:
    """Launches by connection: from CANN's calls, else from the framework's operators; operators with those calls."""
    size, none = reading.assembly.count, np.empty(0, np.int64)
    framework, calls = reading.found.get("PYTORCH_API"), reading.found.get("CANN_API")
    ops, queue = _connections(reading, framework, schema.OP), _connections(reading, framework, schema.QUEUE)
    targets = _targets(reading)
    called, rank = links.Some(none, none, none, none), none
    if calls is not None:
        called = _placed(reading, calls)
        ranks = np.array([rank_of_call(name) for name in reading.assembly.spelled()], np.int64)
        rank = ranks[reading.assembly.columns().name[called.at]]
    by_call = links.launches(called, rank, targets)
    source, target = matched([ops.connection], [targets.connection])
    by_operator = ops.at[source], targets.at[target]
    launched = links.joined(by_call, links.without(by_operator, by_call[1], size))
    answered = np.isin(ops.connection, targets.connection) | np.isin(ops.connection, called.connection)
    return {
        "launch": launched,
        "enqueue": links.joined(_first_to_rest(queue), links.chained(by_operator, by_call, size)),
        "flow": _first_to_rest(ops.only(~answered)),
    }


def _connections(reading: Reading, framework: Rows | None, type: int) -> links.Some:
    """Each pair of an event of the framework, of one type, and a connection of its."""
    none = np.empty(0, np.int64)
    if framework is None:
        return links.Some(none, none, none, none)
    table = reading.database.read("CONNECTION_IDS", ("id", "connectionId"))
    id, connection = table.ints("id"), table.ints("connectionId")
    order = np.argsort(id, kind="stable")
    mine = np.flatnonzero(
        (framework.at >= 0) & (framework.key("type") == type) & (framework.key("connection") != NULL_I64)
    )
    own = framework.key("connection")[mine]
    low, high = (np.searchsorted(id[order], own, side) for side in ("left", "right"))
    counts = high - low
    row = np.repeat(mine, counts)
    at = np.repeat(low - np.append(0, np.cumsum(counts)[:-1])[: len(low)], counts) + np.arange(int(counts.sum()))
    return _some(reading, framework.at[row], connection[order][at])


def _placed(reading: Reading, rows: Rows) -> links.Some:
    """The events of a table, those of its rows that are none left out."""
    mine = np.flatnonzero(rows.at >= 0)
    return _some(reading, rows.at[mine], rows.key("connection")[mine])


def _some(reading: Reading, at: Ints, connection: Ints) -> links.Some:
    columns = reading.assembly.columns()
    start = columns.ts[at]
    return links.Some(at, start, start + columns.dur[at], links.known(connection))


def _targets(reading: Reading) -> links.Some:
    """What calls can launch: tasks that are no parts, and collectives."""
    some = [
        _placed(reading, rows) for name in ("TASK", "COMMUNICATION_OP") if (rows := reading.found.get(name)) is not None
    ]
    gone = np.concatenate([np.empty(0, np.int64), *reading.parts])
    none = np.empty(0, np.int64)
    columns = [
        np.concatenate([none, *(getattr(item, name) for item in some)])
        for name in ("at", "start", "end", "connection")
    ]  # fmt: skip
    out = links.Some(*columns)
    return out.only(~np.isin(out.at, gone))


def _first_to_rest(some: links.Some) -> tuple[Ints, Ints]:
    """From the first event of each connection to all others of it."""
    some = some.only(some.connection != NULL_I64)
    order = np.lexsort((some.start, some.connection))
    connection, at = some.connection[order], some.at[order]
    if not len(at):
        return at, at
    head = np.append(True, connection[1:] != connection[:-1])
    first = at[np.maximum.accumulate(np.where(head, np.arange(len(at)), 0))]
    rest = ~head & (first != at)
    return first[rest], at[rest]
