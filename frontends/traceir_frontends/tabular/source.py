"""The handle on a database that was loaded: its rows, read again when somebody asks."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import msgspec

from traceir.errors import InputError
from traceir.ir import Ints
from traceir_frontends.tabular.database import Database

Decode = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
"""Makes of a table's name and one of its rows the arguments as every frontend spells them (`correlation`, `grid`)."""


@attrs.define(eq=False)
class TableSource:
    """A database file. An event's offset is its row, and its length the number of its table plus one.

    `path` is what the user named; `file` is the database itself where that is another one, such as an export of it in
    a temporary folder, which `keeps` holds on to.
    """

    path: str
    frontend: str
    decode: Decode
    file: str = ""
    keeps: object = None
    _stamp: tuple[int, int] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.file = self.file or self.path
        self._stamp = _stamp_of(self.file, self.path)

    def raw(self, offset: int, length: int) -> bytes:
        """The event's row as JSON, column by column; empty if it has none."""
        row = self._rows([offset], [length])[0][1]
        return msgspec.json.encode({name: _plain(value) for name, value in row.items()}) if row else b""

    def args(self, offsets: Ints, lengths: Ints) -> Sequence[Mapping[str, Any]]:
        """The decoded arguments of events by their place, empty mappings where there are none. O(rows log n)."""
        return [self.decode(table, row) if row else {} for table, row in self._rows(offsets.tolist(), lengths.tolist())]

    def _rows(self, offsets: Sequence[int], lengths: Sequence[int]) -> list[tuple[str, Mapping[str, Any]]]:
        if _stamp_of(self.file, self.path) != self._stamp:
            raise InputError(f"The input {self.path} has changed since it was loaded; load it again.")
        with Database.open(self.file) as database:
            names = list(database.tables)
            wanted: dict[int, list[int]] = {}
            for offset, length in zip(offsets, lengths, strict=True):
                if 0 < length <= len(names):
                    wanted.setdefault(length - 1, []).append(offset)
            found = {number: database.rows(number, sorted(set(rows))) for number, rows in wanted.items()}
            return [
                (names[length - 1], found[length - 1].get(offset, {})) if length - 1 in found else ("", {})
                for offset, length in zip(offsets, lengths, strict=True)
            ]


@attrs.define(eq=False)
class LateSource:
    """The handle on a file whose module came from a cache: it is looked into when somebody asks, and not before.

    `make` opens it then. InputError if the file has changed since this was made.
    """

    path: str
    frontend: str
    make: Callable[[], TableSource]
    _stamp: tuple[int, int] = attrs.field(init=False)
    _made: TableSource | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._stamp = _stamp_of(self.path, self.path)

    def raw(self, offset: int, length: int) -> bytes:
        """The event's row as JSON, as the handle of a fresh module gives it."""
        return self._source().raw(offset, length)

    def args(self, offsets: Ints, lengths: Ints) -> Sequence[Mapping[str, Any]]:
        """The decoded arguments of events, as the handle of a fresh module gives them."""
        return self._source().args(offsets, lengths)

    def _source(self) -> TableSource:
        if _stamp_of(self.path, self.path) != self._stamp:
            raise InputError(f"The input {self.path} has changed since it was loaded; load it again.")
        if self._made is None:
            self._made = self.make()
        return self._made


def _stamp_of(file: str, path: str) -> tuple[int, int]:
    try:
        status = os.stat(file)
    except OSError as error:
        raise InputError(f"The input {path} cannot be read: {error.strerror or error}.") from error
    return status.st_size, status.st_mtime_ns


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value
