"""SQLite files, read column-wise, read-only, and without executing anything that stands in them."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np

from traceir.errors import InputError
from traceir.loading import Head, Progress
from traceir_frontends.tabular.frame import Frame

_MAGIC: Final = b"SQLite format 3\x00"
_AT_ONCE: Final = 1 << 16
_ALLOWED: Final = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_PRAGMA})
_PRAGMAS: Final = frozenset({"table_info", "trusted_schema", "query_only", "cell_size_check"})
_LONGEST: Final = 1 << 26
"""Bytes of the longest value or statement: a profiler's longest text is far shorter, and a larger one is a bomb."""


def is_database(head: Head) -> bool:
    """Whether an input begins as a SQLite file does."""
    return head.raw.startswith(_MAGIC)


@attrs.define(eq=False)
class Database:
    """An open SQLite file. Only its tables are read: no view, trigger, virtual table or function of it runs.

    `tables` gives the columns of each table in order, by the table's name; `damage` what could not be read. Use it
    as a context.
    """

    path: str
    tables: Mapping[str, tuple[str, ...]]
    _connection: sqlite3.Connection
    damage: list[str] = attrs.field(factory=list)

    @classmethod
    def open(cls, path: str) -> Database:
        """Open a file; InputError if it is no SQLite file, or too damaged for its list of tables to be read."""
        if path == "-":
            raise InputError("The input - is a database, which cannot be read from standard input; name its file.")
        address = Path(os.path.abspath(path)).as_uri() + "?mode=ro&immutable=1"
        try:
            connection = sqlite3.connect(address, uri=True)
            connection.text_factory = _text
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
            for pragma in ("trusted_schema = OFF", "query_only = ON", "cell_size_check = ON"):
                connection.execute(f"PRAGMA {pragma}")
            connection.set_authorizer(_authorize)
            tables = _tables(connection)
        except sqlite3.Error as error:
            raise InputError(
                f"The input {path} begins like a SQLite file and cannot be read as one ({error}); export it again."
            ) from error
        return cls(path, tables, connection)

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def has(self, table: str) -> bool:
        """Whether there is such a table (it may be empty)."""
        return table in self.tables

    def read(self, table: str, columns: Sequence[str], progress: Progress | None = None) -> Frame:
        """Those of the columns that the table has, for all its rows in order; an empty frame without the table.

        A file that is damaged inside the table gives the rows before the damage, and a sentence in `damage`.
        """
        known = self.tables.get(table, ())
        chosen = [column for column in dict.fromkeys(columns) if column in known]
        number = list(self.tables).index(table) if table in self.tables else -1
        parts: list[list[Any]] = [[] for _ in range(len(chosen) + 1)]
        for rows in self._pieces(table, chosen):
            for part, values in zip(parts, zip(*rows, strict=True), strict=True):
                part.extend(values)
            if progress is not None:
                progress(len(parts[0]), None)
        frame_rows = np.array([row if isinstance(row, int) else -1 for row in parts[0]], np.int64)
        return Frame(table, number, frame_rows, dict(zip(chosen, parts[1:], strict=True)))

    def rows(self, number: int, wanted: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Whole rows of the table with this number, by what the table calls them. O(wanted log n)."""
        table = list(self.tables)[number]
        names = self.tables[table]
        listed = ", ".join(_quoted(name) for name in names)
        out = {}
        for row in wanted:
            statement = f"SELECT {listed} FROM {_quoted(table)} WHERE rowid = ?"
            with contextlib.suppress(sqlite3.Error):
                found = self._connection.execute(statement, (row,)).fetchone()
                if found is not None:
                    out[row] = dict(zip(names, found, strict=True))
        return out

    def _pieces(self, table: str, columns: Sequence[str]) -> Iterator[list[tuple[Any, ...]]]:
        if table not in self.tables:
            return
        listed = ", ".join(["rowid", *(_quoted(column) for column in columns)])
        try:
            cursor = self._connection.execute(f"SELECT {listed} FROM {_quoted(table)} NOT INDEXED ORDER BY rowid")
            while rows := cursor.fetchmany(_AT_ONCE):
                yield rows
        except sqlite3.Error as error:
            self.damage.append(f"the table {table} cannot be read to its end ({error})")


def _tables(connection: sqlite3.Connection) -> dict[str, tuple[str, ...]]:
    """The columns of all ordinary tables that have row ids, in the order in which they were made."""
    listed = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY rowid").fetchall()
    out = {}
    for name, text in listed:
        words = str(text or "").upper().split()
        if not isinstance(name, str) or words[:2] != ["CREATE", "TABLE"] or words[-2:] == ["WITHOUT", "ROWID"]:
            continue
        with contextlib.suppress(sqlite3.Error):
            found = connection.execute(f"PRAGMA table_info({_quoted(name)})").fetchall()
            out[name] = tuple(column[1] for column in found)
    return out


def _authorize(action: int, first: str | None, *_: str | None) -> int:
    """Allow what reads tables, and nothing that a file could hide: functions, attached files, writing."""
    if action not in _ALLOWED or (action == sqlite3.SQLITE_PRAGMA and first not in _PRAGMAS):
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
