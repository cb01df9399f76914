"""One table as columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import numpy as np

from traceir.ir import NULL_I64, Ints, Mask

LEAST: Final = -(1 << 62)
MOST: Final = 1 << 62
"""Integers beyond these are damage: no clock, size or id of a profiler is as large, and sums of them would wrap."""


@attrs.define(eq=False)
class Frame:
    """Some columns of a table, in the order of its rows.

    `rows` are what the source calls its rows (i64), `number` the table's place in the file. A column that the
    table lacks reads as null. `odd` counts, by column, values that are neither null nor of the type asked for.
    """

    name: str
    number: int
    rows: Ints
    columns: Mapping[str, Sequence[Any]]
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
        values = self.columns[column]
        try:
            out = np.array(values, np.int64)
        except (TypeError, ValueError, OverflowError):
            out = np.array([_integer(value) for value in values], np.int64)
            wrong = sum(
                1 for value, got in zip(values, out.tolist(), strict=True) if got == NULL_I64 and value is not None
            )
            if wrong:
                self.odd[column] = wrong
        out = out.reshape(len(self))
        outside = ((out < LEAST) | (out > MOST)) & (out != NULL_I64)
        if outside.any():
            self.odd[column] = self.odd.get(column, 0) + int(outside.sum())
            out[outside] = NULL_I64
        return out

    def floats(self, *columns: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """The first of these columns that is there, as f64; NaN where it is null or no number. O(rows)."""
        column = self.first_of(*columns)
        if column is None:
            return np.full(len(self), np.nan)
        return np.array([_real(value) for value in self.columns[column]], np.float64).reshape(len(self))

    def texts(self, *columns: str) -> list[str | None]:
        """The first of these columns that is there, as texts; None where it is null. O(rows)."""
        column = self.first_of(*columns)
        if column is None:
            return [None] * len(self)
        return [None if value is None else _text(value) for value in self.columns[column]]

    def only(self, mask: Mask) -> Frame:
        """The chosen rows."""
        at = np.flatnonzero(mask).tolist()
        columns = {name: [values[row] for row in at] for name, values in self.columns.items()}
        return Frame(self.name, self.number, self.rows[mask], columns, self.odd)


def _integer(value: Any) -> int:
    """An integer as any version of a format spells it (`12`, `"12"`), else null."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str):
        try:
            value = int(value.strip())
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


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
