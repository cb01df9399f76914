"""Columns of numbers as lines of text, written at once: a matrix of digits whose unused places are dropped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import attrs
import numpy as np
import numpy.typing as npt

from traceir.ir import Array, Mask

_CHUNK: Final = 1 << 15
"""Rows written at once: few enough that the matrix stays in the cache."""
_GROUP: Final = 4
_SCALE: Final = 10**_GROUP
_LEAST: Final = int(np.iinfo(np.int64).min)
_GROUPS: Final = np.frombuffer(b"".join(b"%04d" % number for number in range(_SCALE)), np.dtype((np.uint8, _GROUP)))
"""The digits of each number below 10000."""
_POWERS: Final = 10 ** np.arange(1, 19, dtype=np.int64)

Bytes = npt.NDArray[np.uint8]


@attrs.frozen(eq=False)
class Digits:
    """A column to be written: whole numbers (any integer dtype), or texts as an array of bytes; `_` where null."""

    values: Array
    null: Mask | None = None


def lines(columns: Sequence[Digits]) -> Iterator[str]:
    """The rows as lines, cells apart by one blank, in pieces of many lines. O(characters)."""
    rows = len(columns[0].values)
    for low in range(0, rows, _CHUNK):
        high = min(low + _CHUNK, rows)
        parts: list[Bytes] = []
        for number, column in enumerate(columns):
            null = column.null[low:high] if column.null is not None else None
            parts.append(_cells(column.values[low:high], null))
            end = b"\n" if number == len(columns) - 1 else b" "
            parts.append(np.full((high - low, 1), end[0], np.uint8))
        matrix = np.concatenate(parts, axis=1)
        yield matrix[matrix != 0].tobytes().decode("ascii")


def _cells(values: Array, null: Mask | None) -> Bytes:
    """A row of characters for each value, unused places 0."""
    if values.dtype.kind == "S":
        cells = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), values.dtype.itemsize).copy()
    else:
        cells = _numbers(values.astype(np.int64) if null is None else np.where(null, 0, values).astype(np.int64))
    if null is not None and null.any():
        cells[null] = 0
        cells[null, -1] = ord("_")
    return cells


def _numbers(values: npt.NDArray[np.int64]) -> Bytes:
    low, high = int(values.min()), int(values.max())
    if low == _LEAST:  # its size is no 64-bit integer
        return _spelled(values)
    size = np.abs(values) if low < 0 else values
    most = max(high, -low)
    groups = max(1, -(-len(str(most)) // _GROUP))
    cells = np.empty((len(values), groups * _GROUP + (low < 0)), np.uint8)
    for group in range(groups - 1, 0, -1):
        rest = size // _SCALE
        at = group * _GROUP + (low < 0)
        cells[:, at : at + _GROUP] = _GROUPS[size - rest * _SCALE]
        size = rest
    first = int(low < 0)
    cells[:, first : first + _GROUP] = _GROUPS[size]
    _drop_zeros(cells, values if low >= 0 else np.abs(values), first)
    if low < 0:
        cells[:, 0] = np.where(values < 0, ord("-"), 0)
    return cells


def _drop_zeros(cells: Bytes, size: npt.NDArray[np.int64], first: int) -> None:
    """Set leading zeros to unused; the last digit stays."""
    width = cells.shape[1] - first
    for place in range(width - 1):
        behind = width - 2 - place
        # A place holds a digit if the number has as many digits as there are places from it on.
        used = size >= _POWERS[behind] if behind < len(_POWERS) else np.zeros(len(size), bool)
        np.multiply(cells[:, first + place], used, out=cells[:, first + place])


def _spelled(values: Array) -> Bytes:
    texts = np.array([str(value).encode() for value in values.tolist()])
    return texts.view(np.uint8).reshape(len(values), texts.dtype.itemsize)
