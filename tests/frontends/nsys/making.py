"""Writes SQLite files as Nsight Systems exports them: tables and columns come into being with their first row."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import attrs

EPOCH = 1_700_000_000_000_000_000
HARDWARE = 1 << 48
"""Virtual machine 1 in the bits above the process."""


def process(pid: int) -> int:
    """The serialised id of a process."""
    return HARDWARE | pid << 24


def thread(pid: int, tid: int) -> int:
    """The serialised id of a thread."""
    return process(pid) | tid


@attrs.define
class Export:
    """Rows by table, in order; `write` makes the file."""

    tables: dict[str, list[dict[str, Any]]] = attrs.field(factory=dict)
    texts: dict[str, int] = attrs.field(factory=dict)

    def id(self, text: str) -> int:
        """The id of a text."""
        return self.texts.setdefault(text, len(self.texts) + 1)

    def add(self, table: str, **row: Any) -> Export:
        """One more row."""
        self.tables.setdefault(table, []).append(row)
        return self

    def about(self, version: str = "3.25.0", table: str = "META_DATA_EXPORT") -> Export:
        """What every export says of itself."""
        for name, value in (
            ("EXPORT_PRODUCT_NAME", "NVIDIA Nsight Systems"),
            ("EXPORT_PRODUCT_VERSION", "2026.2.1"),
            ("EXPORT_SCHEMA_VERSION", version),
        ):
            self.add(table, name=name, value=value)
        return self.add("TARGET_INFO_SESSION_START_TIME", utcEpochNs=EPOCH)

    def call(self, name: str, start: int, end: int, correlation: int | None, *, pid: int = 10, tid: int | None = None,
             cls: int = 0) -> Export:  # fmt: skip
        """A runtime (0) or driver (1) call."""
        return self.add(
            "CUPTI_ACTIVITY_KIND_RUNTIME", start=start, end=end, eventClass=cls, correlationId=correlation,
            globalTid=thread(pid, pid if tid is None else tid), nameId=self.id(name), returnValue=0,
        )  # fmt: skip

    def kernel(self, name: str, start: int, end: int, correlation: int | None, *, stream: int = 7, pid: int = 10,
               device: int = 0, context: int = 1, **more: Any) -> Export:  # fmt: skip
        """A kernel."""
        return self.add(
            "CUPTI_ACTIVITY_KIND_KERNEL", start=start, end=end, deviceId=device, contextId=context, streamId=stream,
            correlationId=correlation, globalPid=process(pid), demangledName=self.id(name),
            shortName=self.id(name.partition("<")[0]), gridX=4, gridY=2, gridZ=1, blockX=128, blockY=1, blockZ=1,
            registersPerThread=32, staticSharedMemory=16, dynamicSharedMemory=1024, **more,
        )  # fmt: skip

    def range(self, text: str, start: int, end: int | None, *, pid: int = 10, tid: int | None = None, type: int = 59,
              domain: int = 0, **more: Any) -> Export:  # fmt: skip
        """An NVTX range (or whatever else the type says)."""
        return self.add(
            "NVTX_EVENTS", start=start, end=end, eventType=type, text=text, domainId=domain,
            globalTid=thread(pid, pid if tid is None else tid), **more,
        )  # fmt: skip

    def write(self, path: Path) -> Path:
        """Write the file and give its path back."""
        texts = [{"id": id, "value": text} for text, id in self.texts.items()]
        write(path, self.tables | ({"StringIds": texts} if texts else {}))
        return path


def write(path: Path, tables: dict[str, list[dict[str, Any]]]) -> None:
    """Write a database: a column of a table is one that some row has, an integer unless some row has a text there."""
    connection = sqlite3.connect(path)
    for table, rows in tables.items():
        columns = list(dict.fromkeys(column for row in rows for column in row))
        sorts = [_sort([row.get(column) for row in rows]) for column in columns]
        listed = ", ".join(f'"{column}" {sort}' for column, sort in zip(columns, sorts, strict=True))
        connection.execute(f'CREATE TABLE "{table}" ({listed})')
        marks = ", ".join("?" * len(columns))
        connection.executemany(
            f'INSERT INTO "{table}" VALUES ({marks})', [[row.get(column) for column in columns] for row in rows]
        )
    connection.commit()
    connection.close()


def _sort(values: list[Any]) -> str:
    if any(isinstance(value, str) for value in values):
        return "TEXT"
    if any(isinstance(value, bytes) for value in values):
        return "BLOB"
    return "REAL" if any(isinstance(value, float) for value in values) else "INTEGER"
