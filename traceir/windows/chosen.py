"""What a choice of events is: rows, and a sentence where the words left something open or something was left out."""

from __future__ import annotations

import attrs
import numpy as np

from traceir.errors import UsageError
from traceir.ir import Array, Module, Rows
from traceir.units import count


@attrs.frozen(eq=False)
class Chosen:
    """Some rows of a module, ascending, and what the reader has to know of the choice: a sentence, or None."""

    rows: Rows
    note: str | None = None


def limit(module: Module, rows: Array, n: int) -> Chosen:
    """The first `n` of the rows (a mask or positions) in time, with a note if that leaves any out.

    Of events that start together the one that stands first in the module comes first. A limit below 1 is a
    UsageError. O(rows log rows).
    """
    at_least("limit of events", n, 1)
    chosen = positions(rows)
    if len(chosen) <= n:
        return Chosen(chosen)
    first = np.argsort(module["ts"][chosen], kind="stable")[:n]
    note = f"Only the first {count(n)} of {count(len(chosen))} events are taken; raise the limit or choose fewer."
    return Chosen(np.sort(chosen[first]), note)


def positions(rows: Array) -> Rows:
    """A mask or positions in any order as positions, ascending and each once."""
    return (np.flatnonzero(rows) if rows.dtype == bool else np.unique(rows)).astype(np.int32)


def at_least(what: str, value: int, least: int) -> None:
    """Raise a UsageError if a number is too small."""
    if value < least:
        raise UsageError(f"The {what} is {value}, and it has to be {least} or more.")
