"""A database on its way to a module: what has been read of it so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import numpy as np

from traceir.ir import Array, Ints, Mask
from traceir_frontends.ascend.decoding import Decoder
from traceir_frontends.tabular import Assembly, Database, Rows, Table, distinct_rows, read_table


@attrs.define(eq=False)
class Reading:
    """A database on its way to a module."""

    database: Database
    assembly: Assembly
    decoder: Decoder
    process: int | None = None
    """The process of the framework."""
    found: dict[str, Rows] = attrs.field(factory=dict)
    planes: Ints = attrs.field(factory=lambda: np.empty(0, np.int64))
    parts: list[Ints] = attrs.field(factory=list)
    """Positions of what is part of something."""

    def read(self, table: Table) -> Rows | None:
        """The rows of a table, None if there are none."""
        rows = read_table(self.database, table, self.decoder.texts, self.assembly)
        if rows is not None:
            self.found[table.names[0]] = rows
        return rows

    def text(self, code: int) -> str:
        """A name by its code."""
        return self.assembly.spelled()[code]

    def kinds(self, codes: Sequence[Array], tell: Callable[..., str]) -> Array:
        """Kinds by names (and whatever else), each combination looked at once."""
        distinct, inverse = distinct_rows(codes)
        spelled = self.assembly.spelled()
        made = [self.assembly.kind(tell(*(spelled[code] for code in row))) for row in distinct]
        return np.array(made, np.int64)[inverse] if made else np.empty(0, np.int64)


def marked(rows: Ints, size: int) -> Mask:
    """A mask of the chosen rows."""
    out = np.zeros(size, bool)
    out[rows] = True
    return out
