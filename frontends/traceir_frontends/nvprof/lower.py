"""From the tables of nvprof to a module."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from traceir.ir import NULL_I64, Array, Ints, Lane, Module, Source
from traceir.loading import Progress
from traceir_frontends.kineto.repair import Damage
from traceir_frontends.nvprof import tables
from traceir_frontends.tabular import (
    Assembly,
    Database,
    Joins,
    Rows,
    Table,
    Texts,
    Waits,
    add_edges,
    add_rows,
    distinct_rows,
    file_findings,
    matched,
    read_table,
)

_PROCESS, _THREAD = 1, 2
"""Sorts of objects that a marker or overhead is of; all others are of a device."""
_EPOCH_FROM: Final = 10**18
"""Instants from here on (the year 2001, in ns) are Unix time; older files count from when the machine started."""
_DEVICE: Final = {
    "id": "id", "totalGlobalMem": "globalMemorySize", "computeMajor": "computeCapabilityMajor",
    "computeMinor": "computeCapabilityMinor", "warpSize": "numThreadsPerWarp", "numSms": "numMultiprocessors",
    "l2CacheSize": "l2CacheSize",
}  # fmt: skip


def lower(path: str, database: Database, source: Source, texts: Texts, progress: Progress | None) -> Module:
    """The module of an open database. InputError if it holds no event. O(n log n)."""
    assembly = Assembly(path)
    size = os.stat(database.path).st_size
    found: dict[Table, Rows] = {}
    described = [table for table in tables.FORMAT.tables if any(map(database.has, table.names))]
    for done, table in enumerate(described):
        rows = read_table(database, table, texts, assembly)
        if rows is not None:
            rows.start = np.where(rows.start == 0, NULL_I64, rows.start)  # 0 stands for a time that nobody took
            found[table] = rows
        if progress is not None:
            progress(size * (done + 1) // (len(described) + 1), size)
    for table in tables.ON_OBJECT:
        if table in found:
            _owners(found[table])
    if tables.MARKERS in found:
        _pair(found[tables.MARKERS], assembly)
    if tables.SYNCHRONISED in found:
        _place(found[tables.SYNCHRONISED], [found[table] for table in tables.WORK if table in found])
    for table, rows in found.items():
        add_rows(assembly, rows, _lanes(assembly, table, rows))
    damage = Damage()
    for what, count in assembly.repaired.items():
        damage.note(what, assembly.first.get(what), count)
    health = add_edges(assembly, _joins(found), _waits(found), damage, ranges=False)
    gone = [table for table in (tables.KERNELS, tables.CALLS[0]) if table not in found]
    assembly.health += [*file_findings(database, tables.FORMAT, gone, len(texts.ids) > 0), *health]
    epoch = 0 if int(assembly.columns().ts.min()) >= _EPOCH_FROM else None
    return assembly.build(source, _about(database, texts), epoch, os.path.basename(path))


def _owners(rows: Rows) -> None:
    """The process and thread that a few bytes of each row name, as the structure of the library lays them out."""
    blobs: Any = rows.frame.columns.get("objectId", [])
    pairs = [_owner(blob) for blob in blobs] if not isinstance(blobs, np.ndarray) else []
    found = np.array(pairs or [(NULL_I64, NULL_I64)] * len(rows), np.int64).reshape(len(rows), 2)
    of_thread = np.isin(rows.key("object"), (_PROCESS, _THREAD))
    rows.keys["pid"] = np.where(of_thread, found[:, 0], NULL_I64)
    rows.keys["thread"] = np.where(rows.key("object") == _THREAD, found[:, 1], NULL_I64)


def _owner(blob: Any) -> tuple[int, int]:
    return struct.unpack_from("<II", blob) if isinstance(blob, bytes) and len(blob) >= 8 else (NULL_I64, NULL_I64)


def _pair(rows: Rows, assembly: Assembly) -> None:
    """Make one range of the two rows that begin and end it, which share an id; a point stays one."""
    flags = rows.key("flags")
    begin, end = np.flatnonzero(flags & tables.BEGIN), np.flatnonzero(flags & tables.END)
    last, first = matched([rows.key("id")[end]], [rows.key("id")[begin]])
    rows.end[begin[first]] = rows.start[end[last]]
    point = (flags & tables.MARK) > 0
    rows.open &= ~point
    rows.kind = np.where(point, assembly.kind("mark.instant"), rows.kind)
    rows.kind[end] = -1


def _place(rows: Rows, work: list[Rows]) -> None:
    """The device of each context, since rows of synchronisation name only that."""
    known = [distinct_rows([some.key("context"), some.key("device")])[0] for some in work]
    pairs = np.array([pair for some in known for pair in some], np.int64).reshape(-1, 2)
    source, target = matched([pairs[:, 0]], [rows.key("context")])
    rows.keys["device"] = rows.key("device").copy()
    rows.keys["device"][target] = pairs[source, 1]


def _lanes(assembly: Assembly, table: Table, rows: Rows) -> Array:
    words: tuple[str, ...] = ("device", "stream", "context") if table.lane == "stream" else ("pid", "thread")
    make: Callable[..., Lane] = _stream if table.lane == "stream" else _thread
    return assembly.lanes([rows.key(word) for word in words], make)


def _stream(device: int, stream: int, context: int) -> Lane:
    number = None if device == NULL_I64 else device
    prefix = "gpu" if number is None else f"gpu{number}"
    if stream in (NULL_I64, 0xFFFFFFFF):
        return Lane(f"{prefix}.sync", "derived", number, pid=number)
    return Lane(f"{prefix}.s{stream}", "dev.stream", number, stream, number, stream, f"context {context}")


def _thread(pid: int, thread: int) -> Lane:
    process = None if pid == NULL_I64 else pid
    if thread == NULL_I64:
        return Lane("cpu.process" if process is not None else "cpu.unknown", "host.thread", pid=process)
    return Lane("cpu.main" if thread == pid else f"cpu.{thread}", "host.thread", pid=process, tid=thread)


def _joins(found: dict[Table, Rows]) -> Joins:
    """Correlation alone joins calls and work: rows of work do not say their process."""
    joins = Joins()
    for table in (*tables.WORK, tables.SYNCHRONISED, *tables.CALLS):
        rows = found.get(table)
        if rows is not None:
            joins.add(rows.at, np.zeros(len(rows), np.int64), rows.key("correlation"), rows.key("graph"))
    return joins


def _waits(found: dict[Table, Rows]) -> Waits | None:
    rows = found.get(tables.SYNCHRONISED)
    if rows is None:
        return None
    kept = rows.at >= 0
    none: Ints = np.full(int(kept.sum()), NULL_I64)
    empty: Ints = none[:0]
    keys = (np.zeros(int(kept.sum()), np.int64), rows.key("event")[kept], none, rows.key("correlation")[kept])
    queued = rows.key("sort")[kept] == tables.QUEUED
    return Waits(rows.at[kept], keys, queued, empty, (empty, empty, empty, empty))


def _about(database: Database, texts: Texts) -> dict[str, Any]:
    table = database.first_of("CUPTI_ACTIVITY_KIND_DEVICE2", "CUPTI_ACTIVITY_KIND_DEVICE") or ""
    frame = database.read(table, ("name", "globalMemoryBandwidth", *_DEVICE.values()))
    devices: list[dict[str, Any]] = [{"name": name} if name else {} for name in texts.of(frame.ints("name"))]
    for word, column in _DEVICE.items():
        for device, value in zip(devices, frame.ints(column).tolist(), strict=True):
            if value != NULL_I64:
                device[word] = value
    version = database.read("Version", ("version",)).ints("version")
    return {
        "rank": None,
        "world": None,
        "vendor": "nvidia",
        "producer": "nvprof",
        "schema": str(int(version[0])) if len(version) and version[0] != NULL_I64 else "",
        "gpus": ", ".join(dict.fromkeys(str(device["name"]) for device in devices if device.get("name"))),
        "devices": devices,
        "processes": {},
        "metadata": {},
    }
