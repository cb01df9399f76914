"""From the tables of an export to a module."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

import attrs
import numpy as np

from traceir.ir import NULL_I64, Array, Ints, Lane, Module
from traceir.loading import Progress
from traceir_frontends.kineto.classify import HostAsync
from traceir_frontends.kineto.repair import Damage
from traceir_frontends.nsys import tables
from traceir_frontends.nsys.about import about, session_start
from traceir_frontends.nsys.decoding import Decoder
from traceir_frontends.nsys.devices import Devices
from traceir_frontends.nsys.health import health_of
from traceir_frontends.nsys.system import name_metrics, name_samples, pair_schedule
from traceir_frontends.nsys.threads import Threads
from traceir_frontends.tabular import (
    Assembly,
    Database,
    Joins,
    Rows,
    Table,
    TableSource,
    Texts,
    Waits,
    add_edges,
    add_rows,
    distinct_rows,
    matched,
    plain,
    read_table,
)

_ASYNC: Final = Lane("async.nvtx", "derived")
_EMPTY: Final = np.empty(0, np.int64)


def lower(path: str, database: Database, source: TableSource, decoder: Decoder, progress: Progress | None) -> Module:
    """The module of an open export. InputError if it holds no event. O(n log n)."""
    texts = decoder.texts
    assembly = Assembly(path)
    size = os.stat(database.path).st_size
    found: dict[Table, Rows] = {}
    described = [table for table in tables.FORMAT.tables if any(map(database.has, table.names))]
    for done, table in enumerate(described):
        rows = read_table(database, table, texts, assembly)
        if rows is not None:
            found[table] = rows
        if progress is not None:
            progress(size * (done + 1) // (len(described) + 1), size)
    _complete(database, texts, assembly, found)
    decoder.sync_shift = _sync_shift(assembly, found)
    for table, lane in _Lanes.of(database, texts, assembly, found).all():
        add_rows(assembly, found[table], lane)
    damage = Damage()
    for what, count in assembly.repaired.items():
        damage.note(what, assembly.first.get(what), count)
    health = add_edges(assembly, _joins(found), _waits(found), damage, ranges=False)
    assembly.health += [*health_of(database, found, texts), *health]
    meta = about(database, assembly.lane_list())
    return assembly.build(source, meta, session_start(database), os.path.basename(path))


def _complete(database: Database, texts: Texts, assembly: Assembly, found: dict[Table, Rows]) -> None:
    """Add to rows what stands in other tables: devices, times of records, ends of time slices, names."""
    devices = Devices.of(database, [found[table] for table in tables.WORK if table in found])
    for table in tables.WORK:
        if table in found:
            devices.number(found[table])
    for table in (tables.SYNCHRONISED, tables.RECORDED):
        if table in found:
            devices.place(found[table])
    if tables.RECORDED in found and tables.CALLS in found:
        _date(found[tables.RECORDED], found[tables.CALLS])
    if tables.SCHEDULED in found:
        found[tables.SCHEDULED] = pair_schedule(found[tables.SCHEDULED], Threads.of(database, texts), assembly)
    if tables.SAMPLED in found:
        name_samples(found[tables.SAMPLED], database, texts, assembly)
    if tables.NVTX in found:
        _cross(found[tables.NVTX], assembly)
    if tables.METRICS in found:
        name_metrics(found[tables.METRICS], database, assembly)


def _date(records: Rows, calls: Rows) -> None:
    """Give records of events, which the exporter writes without a time, the start of the call that made them."""
    keys = [(rows.key("process"), rows.key("correlation")) for rows in (calls, records)]
    call, record = matched(*keys)
    without = records.start[record] == NULL_I64
    records.start[record[without]] = calls.start[call[without]]


def _cross(rows: Rows, assembly: Assembly) -> None:
    """Ranges that end on another thread than they began on belong to none of them, unless they mark a step."""
    until = rows.key("until")
    crosses = (until != NULL_I64) & (until != 0) & (until != rows.key("thread"))
    crosses &= rows.kind == assembly.kind("host.range")
    rows.keys["crosses"] = crosses.astype(np.int64)
    rows.kind[crosses] = assembly.kind(HostAsync.name)


def _sync_shift(assembly: Assembly, found: dict[Table, Rows]) -> int:
    """By how much the numbers of the sorts of synchronisation are off, which the names of their calls show.

    Schema 3.24 numbers them one lower than its own table of words does. Corrects the rows.
    """
    rows, calls = found.get(tables.SYNCHRONISED), found.get(tables.CALLS)
    if rows is None or calls is None:
        return 0
    call, row = matched(*[(some.key("process"), some.key("correlation")) for some in (calls, rows)])
    spelled = assembly.spelled()
    codes, inverse = np.unique(calls.name[call], return_inverse=True)
    meant = np.array([tables.sync_of(spelled[code]) for code in codes.tolist()] or [-1], np.int64)[inverse.reshape(-1)]
    known = (meant >= 0) & (rows.key("sort")[row] != NULL_I64)
    shifts = np.unique(meant[known] - rows.key("sort")[row][known])
    if len(shifts) != 1 or shifts[0] == 0:
        return 0
    shift = int(shifts[0])
    sort = rows.keys["sort"] = np.where(rows.key("sort") == NULL_I64, NULL_I64, rows.key("sort") + shift)
    values, inverse = np.unique(sort, return_inverse=True)
    rows.name = assembly.texts(tables.SYNCS.get(value, "Unknown Sync") for value in values.tolist())[
        inverse.reshape(-1)
    ]
    return shift


@attrs.frozen(eq=False)
class _Lanes:
    """Gives rows their lanes by the rules that the format names."""

    assembly: Assembly
    found: dict[Table, Rows]
    threads: Threads
    main: int
    shared: frozenset[tuple[int, int]]
    """Streams (device and number) that several processes or contexts have; their lanes are told apart."""
    labels: dict[tuple[int, int, int], str]
    """What the program calls a stream, by process, context and number."""

    @classmethod
    def of(cls, database: Database, texts: Texts, assembly: Assembly, found: dict[Table, Rows]) -> _Lanes:
        """With what the names of lanes depend on: the process that launches most, and streams of one number."""
        calls = found.get(tables.CALLS)
        pids = calls.key("pid") if calls is not None else _EMPTY
        values, counts = np.unique(pids[pids != NULL_I64], return_counts=True)
        main = int(values[np.argmax(counts)]) if len(values) else -1
        owners: dict[tuple[int, int], set[tuple[int, int]]] = {}
        for rows in (found[table] for table in tables.WORK if table in found):
            keys = [rows.key(word) for word in ("device", "stream", "process", "context")]
            for device, stream, process, context in distinct_rows(keys)[0]:
                owners.setdefault((device, stream), set()).add((process, context))
        shared = frozenset(key for key, some in owners.items() if len(some) > 1)
        return cls(assembly, found, Threads.of(database, texts), main, shared, _stream_names(database))

    def all(self) -> list[tuple[Table, Array]]:
        """The lane of each row of each table, in the order in which the tables are described."""
        return [(table, self._of(table, rows)) for table, rows in self.found.items()]

    def _of(self, table: Table, rows: Rows) -> Array:
        rules: dict[str, tuple[tuple[str, ...], Callable[..., Lane]]] = {
            "thread": (("thread",), self._thread),
            "range": (("thread", "crosses"), self._range),
            "stream": (("device", "stream", "process", "context"), self._stream),
            "wait": (("device", "stream", "process", "context"), self._stream),
            "cpu": (("cpu",), lambda cpu: Lane(f"os.cpu{cpu}", "os.cpu")),
            "memory": (("device",), lambda device: Lane(f"gpu{_number(device)}.memory", "derived", _known(device))),
            "counter": (("device", "name"), self._counter),
        }
        words, make = rules[table.lane]
        keys = {"name": rows.name.astype(np.int64)}
        return self.assembly.lanes([keys[word] if word in keys else rows.key(word) for word in words], make)

    def _thread(self, thread: int) -> Lane:
        if thread == NULL_I64:
            return Lane("cpu.unknown", "host.thread")
        pid, tid = thread >> 24 & 0xFFFFFF, thread & 0xFFFFFF
        name = "cpu.main" if pid == tid == self.main else f"cpu.{tid}"
        return Lane(name, "host.thread", pid=pid, tid=tid, label=self.threads.name(thread))

    def _range(self, thread: int, crosses: int) -> Lane:
        return _ASYNC if crosses else self._thread(thread)

    def _stream(self, device: int, stream: int, process: int, context: int) -> Lane:
        number, prefix = _known(device), f"gpu{_number(device)}"
        if stream in (NULL_I64, tables.NO_STREAM):
            return Lane(f"{prefix}.sync", "derived", number, pid=number)
        pid = process & 0xFFFFFF
        label = self.labels.get((pid, context, stream), "")
        if (device, stream) not in self.shared:
            return Lane(f"{prefix}.s{stream}", "dev.stream", number, stream, number, stream, label)
        label = ", ".join(text for text in (label, f"process {pid}, context {context}") if text)
        return Lane(f"{prefix}.s{stream}", "dev.stream", number, stream, number, f"{pid}.{context}.{stream}", label)

    def _counter(self, device: int, name: int) -> Lane:
        text = self.assembly.spelled()[name]
        return Lane(f"ctr.gpu{_number(device)}.{plain(text)}", "counter", _known(device))


def _stream_names(database: Database) -> dict[tuple[int, int, int], str]:
    frame = database.read("TARGET_INFO_NVTX_CUDA_STREAM", ("name", "processId", "contextId", "streamId"))
    keys = zip(*(frame.ints(column).tolist() for column in ("processId", "contextId", "streamId")), strict=True)
    return {key: name for key, name in zip(keys, frame.texts("name"), strict=True) if name}


def _known(number: int) -> int | None:
    return None if number == NULL_I64 else number


def _number(number: int) -> str:
    return "" if number == NULL_I64 else str(number)


def _joins(found: dict[Table, Rows]) -> Joins:
    joins = Joins()
    for table in (*tables.WORK, tables.SYNCHRONISED, tables.RECORDED, tables.CALLS):
        rows = found.get(table)
        if rows is None:
            continue
        at = rows.at
        if table is tables.CALLS:  # what the collector of backtraces repeats launches nothing
            at = np.where(rows.key("class") == tables.BACKTRACE, -1, at)
        joins.add(at, rows.key("process"), rows.key("correlation"), rows.key("graph"))
    return joins


def _waits(found: dict[Table, Rows]) -> Waits | None:
    waits, records = found.get(tables.SYNCHRONISED), found.get(tables.RECORDED)
    if waits is None and records is None:
        return None

    def keys(rows: Rows | None) -> tuple[Ints, tuple[Ints, Ints, Ints, Ints]]:
        if rows is None:
            return _EMPTY, (_EMPTY, _EMPTY, _EMPTY, _EMPTY)
        kept = rows.at >= 0
        columns = [rows.key(word)[kept] for word in ("process", "event", "once", "correlation")]
        for column in columns[1:3]:
            column[(column == tables.NO_EVENT) | (column == 0)] = NULL_I64
        return rows.at[kept], (columns[0], columns[1], columns[2], columns[3])

    at, wait_keys = keys(waits)
    queued = np.zeros(0, bool) if waits is None else (waits.key("sort") == tables.QUEUED)[waits.at >= 0]
    record, record_keys = keys(records)
    return Waits(at, wait_keys, queued, record, record_keys)
