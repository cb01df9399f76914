"""Columns: read-only arrays with a token that says whether two of them are the same."""

from __future__ import annotations

import itertools
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]

_next_token = itertools.count(1).__next__


@attrs.frozen(eq=False)
class Column:
    """A read-only one-dimensional array and a token that no other column of this process has.

    Two columns hold the same data if their tokens are equal; the reverse need not hold. Tokens, unlike
    `id()`, are never used twice, so a token may outlive its column (staleness, caches, diffs rely on it).
    """

    data: Array
    token: int

    @classmethod
    def own(cls, values: npt.ArrayLike) -> Column:
        """Take ownership of `values` and freeze it.

        An array that is a view of somebody else's writable memory is copied; anything else is frozen in
        place, so that writing to it through the caller's name raises from then on. What the column holds is a view
        of the frozen array, which numpy does not let anybody make writable again. Views that the caller took before
        stay writable: numpy does not know them, and only a copy would help. O(1), or O(n) for a copy.
        """
        data = np.asarray(values)
        if data.ndim != 1:
            raise ValueError(f"A column needs one dimension, and this array has {data.ndim}.")
        if _writable_elsewhere(data):
            data = data.copy()
        data.flags.writeable = False
        return cls(data.view() if data.flags.owndata else data, _next_token())

    def same(self, values: npt.ArrayLike) -> bool:
        """Whether `values` has this column's dtype and bytes (NaN equals NaN). O(n)."""
        other = np.asarray(values)
        mine = self.data
        if other is mine or other is mine.base:
            return True
        if other.dtype != mine.dtype or other.shape != mine.shape:
            return False
        if mine.dtype.kind == "f":
            bits = f"u{mine.itemsize}"
            return bool(np.array_equal(mine.view(bits), np.ascontiguousarray(other).view(bits)))
        return bool(np.array_equal(mine, other))

    def __len__(self) -> int:
        return len(self.data)

    def __reduce__(self) -> Any:
        """A copy in another process is another column: its token there would be somebody else's."""
        return Column.own, (self.data,)


def _writable_elsewhere(data: Array) -> bool:
    """Whether some other array object can still write to the memory of `data`."""
    base = data.base
    while isinstance(base, np.ndarray):
        if base.flags.writeable:
            return True
        base = base.base
    return base is not None and not _read_only(base)


def _read_only(memory: object) -> bool:
    """Whether a buffer that is no array (bytes, a bytearray, a memory map) can be written to by nobody."""
    try:
        return memoryview(memory).readonly  # type: ignore[arg-type]
    except TypeError:
        return False
