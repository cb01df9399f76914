"""Tables: columns of equal length under one name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs
import numpy as np
import numpy.typing as npt

from traceir.errors import SchemaError
from traceir.ir.column import Array, Column


@attrs.frozen(eq=False)
class Table:
    """Columns of one length. `name` is the domain that annotations give: `event`, `edge`, `table:gaps`, …"""

    name: str
    length: int
    columns: Mapping[str, Column] = attrs.field(factory=dict)

    @classmethod
    def of(cls, name: str, columns: Mapping[str, npt.ArrayLike], length: int | None = None) -> Table:
        """A table of `columns`; `length` is needed only if there are none."""
        empty = cls(name, length if length is not None else _length(name, columns))
        return empty.with_columns(columns)

    def __len__(self) -> int:
        return self.length

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __getitem__(self, name: str) -> Array:
        """The read-only array of a column."""
        return self.columns[name].data

    def with_columns(self, columns: Mapping[str, npt.ArrayLike]) -> Table:
        """A table with `columns` added or replaced; a column with equal bytes keeps its token."""
        new = dict(self.columns)
        for name, values in columns.items():
            old = new.get(name)
            if old is not None and old.same(values):
                continue
            column = Column.own(values)
            if len(column) != self.length:
                raise SchemaError(
                    f"The column {name} has {len(column)} values, and the table {self.name} has {self.length} rows."
                )
            new[name] = column
        return attrs.evolve(self, columns=new)


def _length(name: str, columns: Mapping[str, npt.ArrayLike]) -> int:
    for values in columns.values():
        return len(np.atleast_1d(np.asarray(values)))
    raise SchemaError(f"The table {name} has no column, so its length must be given.")
