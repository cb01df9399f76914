"""One table as columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import numpy as np

from traceir.ir import NULL_I64, Array, Ints, Mask

LEAST: Final = -(1 << 62)
MOST: Final = 1 << 62
"""Integers beyond these are damage: no clock, size or id of a profiler is as large, and sums of them would wrap."""
_TEXTS: Final = {str, type(None)}
_INTS: Final = {int}


@attrs.define(eq=False)
class Frame:
    """Some columns of a table, in the order of its rows.

    `rows` are what the source calls its rows (i64), `number` the table's place in the file. A column is an i64 array
    (null where the table has null) or a list of whatever values it has; one that the table lacks reads as null. `odd`
    counts, by column, values that are neither null nor of the type asked for.
    """

    name: str
    number: int
    rows: Ints
    columns: Mapping[str, Array | Sequence[Any]]
    odd: dict[str, int] = attrs.field(factory=dict)

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.rows)

    def __contains__(self, column: str) -> bool:
        """Whether the table has this column."""
        return column in self.columns

    def first_of(self, *columns: str) -> str | None:
        """The first of some columns that the table has: versions of a format spell them differently."""
        return next((column for column in columns if column in self.columns), None)

    def ints(self, *columns: str) -> Ints:
        """The first of these columns that is there, as i64; null where it is null or no integer. O(rows)."""
        column = self.first_of(*columns)
        if column is None:
            return np.full(len(self), NULL_I64)
        out, wrong = integers(self.columns[column])
        outside = ((out < LEAST) | (out > MOST)) & (out != NULL_I64)
        if outside.any():
            wrong += int(outside.sum())
            out = np.where(outside, NULL_I64, out)
        if wrong:
            self.odd[column] = wrong
        return out

    def coalesced(self, *columns: str) -> Ints:
        """Of each row the first of these columns that is not null, as i64. O(rows · columns)."""
        out = self.ints(*columns[:1])
        for column in columns[1:]:
            if column in self and (out == NULL_I64).any():
                out = np.where(out == NULL_I64, self.ints(column), out)
        return out

    def floats(self, *columns: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """The first of these columns that is there, as f64; NaN where it is null or no number. O(rows)."""
        column = self.first_of(*columns)
        if column is None:
            return np.full(len(self), np.nan)
        values = self.columns[column]
        if isinstance(values, np.ndarray):
            return np.where(values == NULL_I64, np.nan, values.astype(np.float64))
        return np.array([_real(value) for value in values], np.float64).reshape(len(self))

    def texts(self, *columns: str) -> list[str | None]:
        """The first of these columns that is there, as texts; None where it is null. O(rows)."""
        column = self.first_of(*columns)
        if column is None:
            return [None] * len(self)
        values = self.columns[column]
        if isinstance(values, np.ndarray):
            return [None if value == NULL_I64 else str(value) for value in values.tolist()]
        if set(map(type, values)) <= _TEXTS:
            return list(values)
        return [None if value is None else text_of(value) for value in values]

    def only(self, mask: Mask) -> Frame:
        """The chosen rows."""
        at = np.flatnonzero(mask).tolist()
        columns = {
            name: values[mask] if isinstance(values, np.ndarray) else [values[row] for row in at]
            for name, values in self.columns.items()
        }
        return Frame(self.name, self.number, self.rows[mask], columns, self.odd)


def integers(values: Array | Sequence[Any]) -> tuple[Ints, int]:
    """Values as i64, null where they are null or no integer, and how many are neither. O(n)."""
    if isinstance(values, np.ndarray):
        return values.astype(np.int64, copy=False), 0
    if set(map(type, values)) <= _INTS:
        try:
            return np.array(values, np.int64).reshape(len(values)), 0
        except OverflowError:
            pass
    out = np.array([_integer(value) for value in values], np.int64).reshape(len(values))
    empty = sum(value is None for value in values)
    return out, int((out == NULL_I64).sum()) - empty


def text_of(value: Any) -> str:
    """A value as text; bytes are read as UTF-8, with replacement signs for what is none."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _integer(value: Any) -> int:
    """An integer as any version of a format spells it (`12`, `"12"`, `12.0`), else null."""
    if isinstance(value, str):
        try:
            value = int(value.strip()) if len(value) < 40 else None
        except ValueError:
            return NULL_I64
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and LEAST <= value <= MOST else NULL_I64


def _real(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")
