"""SQLite files, read column-wise, read-only, and without executing anything that stands in them."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np

from traceir.errors import InputError
from traceir.ir import NULL_I64, Array, Ints
from traceir.loading import Head
from traceir_frontends.tabular.frame import Frame, integers

_MAGIC: Final = b"SQLite format 3\x00"
_AT_ONCE: Final = 1 << 15
_IN_STATEMENT: Final = 500
_ALLOWED: Final = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_PRAGMA})
_PRAGMAS: Final = frozenset({"table_info", "trusted_schema", "query_only", "cell_size_check", "writable_schema"})
_FUNCTIONS: Final = frozenset({"group_concat", "ifnull", "coalesce"})
_LONGEST: Final = 1 << 26
"""Bytes of the longest value or statement: a profiler's longest text is far shorter, and a larger one is a bomb."""
_BESIDE: Final = {"-wal": "write-ahead log", "-journal": "rollback journal"}


def is_database(head: Head) -> bool:
    """Whether an input begins as a SQLite file does."""
    return head.raw.startswith(_MAGIC)


def is_packed_database(head: Head) -> bool:
    """Whether an input is a SQLite file inside gzip, which has to be unpacked to be read in any order."""
    return head.gzipped and head.text.startswith(_MAGIC)


@attrs.define(eq=False)
class Database:
    """An open SQLite file. Only its tables are read: no view, trigger, virtual table or function of it runs.

    `tables` gives the columns of each table in order, by the table's name; `damage` what could not be read. Use it
    as a context.
    """

    path: str
    tables: Mapping[str, tuple[str, ...]]
    _connection: sqlite3.Connection
    _whole: Mapping[str, frozenset[str]]
    """The columns that are declared as integers."""
    damage: list[str] = attrs.field(factory=list)

    @classmethod
    def open(cls, path: str) -> Database:
        """Open a file; InputError if it is no SQLite file, or too damaged for its list of tables to be read."""
        if path == "-":
            raise InputError("The input - is a database, which cannot be read from standard input; name its file.")
        _check(path)
        address = Path(os.path.abspath(path)).as_uri() + "?mode=ro&immutable=1"
        damage: list[str] = []
        try:
            connection = sqlite3.connect(address, uri=True)
            connection.text_factory = _text
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
            for pragma in ("trusted_schema = OFF", "query_only = ON", "cell_size_check = ON"):
                connection.execute(f"PRAGMA {pragma}")
            connection.set_authorizer(_authorize)
            try:
                tables, whole = _tables(connection)
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # of a message that is no text
                # The one thing that this changes here: a file that is shorter than it says can be opened all the same.
                connection.execute("PRAGMA writable_schema = ON")
                tables, whole = _tables(connection)
                damage.append(f"it is not as long as it says, or not whole ({said(error)})")
        except (sqlite3.Error, RecursionError, UnicodeDecodeError) as error:
            beside = _beside(path)
            raise InputError(
                f"The input {path} begins like a SQLite file and cannot be read as one ({said(error)}"
                f"{'; ' + beside if beside else ''}); export it again."
            ) from error
        beside = _beside(path)
        if beside:
            damage.append(beside)
        return cls(path, tables, connection, whole, damage)

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def has(self, table: str) -> bool:
        """Whether there is such a table (it may be empty)."""
        return table in self.tables

    def first_of(self, *tables: str) -> str | None:
        """The first of some tables that the file has and that has rows, else the first that it has at all."""
        there = [table for table in tables if table in self.tables]
        return next((table for table in there if not self.is_empty(table)), there[0] if there else None)

    def is_empty(self, table: str) -> bool:
        """Whether a table has no rows, is not there, or cannot be read at all. O(1)."""
        if table not in self.tables:
            return True
        try:
            found = self._connection.execute(f"SELECT rowid FROM {_quoted(table)} LIMIT 1").fetchone()
        except sqlite3.Error as error:
            self._note(table, error)
            return True
        return found is None

    def read(self, table: str, columns: Sequence[str]) -> Frame:
        """Those of the columns that the table has, for all its rows in order; an empty frame without the table.

        A file that is damaged inside the table gives the rows before the damage, and a sentence in `damage`. Columns
        that are declared as integers and hold nothing else are never Python objects: 0.1 µs a value.
        """
        known = self.tables.get(table, ())
        chosen = [column for column in dict.fromkeys(columns) if column in known]
        number = list(self.tables).index(table) if table in self.tables else -1
        whole = [column for column in chosen if column in self._whole.get(table, ())]
        rest = [column for column in chosen if column not in whole]
        rows: list[Ints] = []
        parts: dict[str, list[Any]] = {column: [] for column in chosen}
        for piece, values in self._pieces(table, whole, rest) if known else ():
            rows.append(piece)
            for column in chosen:
                parts[column].append(values[column])
        joined = {column: _joined(parts[column]) for column in chosen}
        return Frame(table, number, np.concatenate([np.empty(0, np.int64), *rows]), joined)

    def rows(self, number: int, wanted: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Whole rows of the table with this number, by what the table calls them. O(wanted log n)."""
        table = list(self.tables)[number]
        names = self.tables[table]
        listed = ", ".join(["rowid", *(_quoted(name) for name in names)])
        out = {}
        for at in range(0, len(wanted), _IN_STATEMENT):
            some = list(wanted[at : at + _IN_STATEMENT])
            marks = ", ".join("?" * len(some))
            with contextlib.suppress(sqlite3.Error):
                for row, *values in self._connection.execute(
                    f"SELECT {listed} FROM {_quoted(table)} WHERE rowid IN ({marks})", some
                ):
                    out[row] = dict(zip(names, values, strict=True))
        return out

    def _pieces(
        self, table: str, whole: Sequence[str], rest: Sequence[str]
    ) -> Iterator[tuple[Ints, dict[str, Array | list[Any]]]]:
        """Runs of rows in order: what they are called, and their values by column."""
        after = None
        while True:
            try:
                rows, values = self._columns(table, whole, after)
            except _OddError:
                rows, values = self._plain(table, whole, after)
            except sqlite3.Error:
                rows, values = self._plain(table, whole, after)  # it gives what stands before the damage
            if not len(rows):
                return
            if rest:
                others, more = self._plain(table, rest, after)
                same = min(len(rows), len(others))  # damage may end one of them earlier
                rows, values = rows[:same], {name: column[:same] for name, column in values.items()}
                values |= {name: column[:same] for name, column in more.items()}
                if not same:
                    return
            # A page that is cut off reads as zeros, and numbers of rows that do not rise might go round for ever.
            before = np.append(rows[0] - 1 if after is None else after, rows[:-1])
            good = int(np.argmin(np.append(rows > before, False)))
            if good == 1 < len(rows) and rows[0] == 0:
                good = 0
            yield rows[:good], {name: column[:good] for name, column in values.items()}
            if good < len(rows):
                self._note(table, sqlite3.DatabaseError("its rows are out of order"))
                return
            after = int(rows[-1])

    def _columns(
        self, table: str, columns: Sequence[str], after: int | None
    ) -> tuple[Ints, dict[str, Array | list[Any]]]:
        """The next run of rows as integers, which SQLite prints and numpy parses, with no object for each."""
        names = ["rowid", *(_quoted(column) for column in columns)]
        joined = ", ".join(f"group_concat(ifnull(c{at}, {NULL_I64 + 1} - 1))" for at in range(len(names)))
        listed = ", ".join(f"{name} AS c{at}" for at, name in enumerate(names))
        inner = self._next(listed, table, after)
        found = self._connection.execute(f"SELECT {joined} FROM ({inner})").fetchone()
        if found[0] is None:
            return np.empty(0, np.int64), {column: np.empty(0, np.int64) for column in columns}
        arrays = [_parsed(text) for text in found]
        if any(len(array) != len(arrays[0]) for array in arrays):
            raise _OddError
        return arrays[0], dict(zip(columns, arrays[1:], strict=True))

    def _plain(
        self, table: str, columns: Sequence[str], after: int | None
    ) -> tuple[Ints, dict[str, Array | list[Any]]]:
        """The next run of rows as whatever they hold; those before the damage if there is any."""
        listed = ", ".join(["rowid", *(_quoted(column) for column in columns)])
        found = self._found(table, self._next(listed, table, after))
        if not found:
            return np.empty(0, np.int64), {column: [] for column in columns}
        rows, *values = (list(column) for column in zip(*found, strict=True))
        return integers(rows)[0], dict(zip(columns, values, strict=True))

    def _found(self, table: str, statement: str) -> list[tuple[Any, ...]]:
        """What a statement finds; row by row where that fails, since what comes before an error counts."""
        try:
            self._connection.text_factory = str  # the fast way, which takes no text but UTF-8
            return self._connection.execute(statement).fetchall()
        except sqlite3.Error:
            pass
        finally:
            self._connection.text_factory = _text
        out = []
        try:
            for row in self._connection.execute(statement):
                out.append(row)
        except sqlite3.Error as error:
            self._note(table, error)
            with contextlib.suppress(sqlite3.Error):  # the row before the damage is lost with what is behind it
                body = statement.rpartition(" LIMIT ")[0]
                return self._connection.execute(f"{body} LIMIT {len(out) + 1}").fetchall()
        return out

    def _next(self, listed: str, table: str, after: int | None) -> str:
        since = "" if after is None else f"WHERE rowid > {after}"
        return f"SELECT {listed} FROM {_quoted(table)} NOT INDEXED {since} ORDER BY rowid LIMIT {_AT_ONCE}"

    def _note(self, table: str, error: sqlite3.Error) -> None:
        sentence = f"the table {table} cannot be read to its end ({said(error)})"
        if sentence not in self.damage:
            self.damage.append(sentence)


class _OddError(Exception):
    """A column that is declared as integers holds something else."""


def _tables(connection: sqlite3.Connection) -> tuple[dict[str, tuple[str, ...]], dict[str, frozenset[str]]]:
    """The columns of all ordinary tables that have row ids, in the order in which they were made."""
    listed = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY rowid").fetchall()
    tables, whole = {}, {}
    for name, text in listed:
        words = str(text or "").upper().split()
        if not isinstance(name, str) or words[:2] != ["CREATE", "TABLE"] or "\x00" in name:
            continue
        with contextlib.suppress(sqlite3.Error, UnicodeDecodeError):
            found = connection.execute(f"PRAGMA table_info({_quoted(name)})").fetchall()
            connection.execute(f"SELECT rowid FROM {_quoted(name)} LIMIT 0")
            tables[name] = tuple(column[1] for column in found)
            whole[name] = frozenset(column[1] for column in found if "INT" in str(column[2]).upper())
    return tables, whole


def _authorize(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    """Allow what reads tables, and nothing that a file could hide: functions, attached files, writing."""
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_OK if second in _FUNCTIONS else sqlite3.SQLITE_DENY
    if action not in _ALLOWED or (action == sqlite3.SQLITE_PRAGMA and first not in _PRAGMAS):
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def _parsed(text: str) -> Ints:
    """Integers parted by commas; `_OddError` if it is anything else."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return np.fromstring(text, np.int64, sep=",")
        except (DeprecationWarning, ValueError) as error:
            raise _OddError from error


def _joined(parts: Sequence[Array | list[Any]]) -> Array | list[Any]:
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate([np.empty(0, np.int64), *parts])
    out: list[Any] = []
    for part in parts:
        if isinstance(part, np.ndarray):
            out.extend(None if value == NULL_I64 else value for value in part.tolist())
        else:
            out.extend(part)
    return out


def _check(path: str) -> None:
    """InputError unless the file is there and begins as a database does."""
    try:
        with open(path, "rb") as file:
            begin = file.read(len(_MAGIC))
    except OSError as error:
        raise InputError(f"The input {path} cannot be read: {error.strerror or error}.") from error
    if begin != _MAGIC:
        raise InputError(f"The input {path} is no SQLite file; name the database that the profiler exported.")


def _beside(path: str) -> str:
    """What lies beside a file that SQLite would read together with it, and that is not read here."""
    for ending, name in _BESIDE.items():
        with contextlib.suppress(OSError):
            if size := os.stat(path + ending).st_size:
                return (
                    f"a {name} of {size} bytes lies beside it and is not read, so its last changes may be missing "
                    "(close the program that writes it)"
                )
    return ""


def said(error: BaseException) -> str:
    """An error in one short line."""
    return " ".join(str(error).split())[:200]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
