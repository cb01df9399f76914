"""Columns that passes declared to be summed (`shown="sum"`): overlap's exposed time, and those of plug-ins."""

from __future__ import annotations

import attrs
import numpy as np

from traceir.folding.model import Number, Sum
from traceir.ir import Array, Mask, Module
from traceir.ir.annotation import null_mask

EXPOSED = "overlap.exposed"
"""The column that the page calls exposed: communication that nothing hides. Others keep to their own names."""
_NUMBERS = ("i64", "u32", "f64")


@attrs.frozen(eq=False)
class Summand:
    """One such column over the device work: its full name, its unit, its values there and which are not null."""

    name: str
    unit: str
    values: Array
    known: Mask

    def total(self, at: Array) -> Number | None:
        """The sum over some work, None where it is null throughout."""
        values = self.values[at][self.known[at]]
        return values.sum().item() if len(values) else None

    def median(self, at: Array, instance: Array) -> Number | None:
        """The median over instances of `total`, over those in which it is known."""
        known = self.known[at]
        if not known.any():
            return None
        return self._number(median_sum(instance[known], self.values[at][known]))

    def _number(self, value: float) -> Number:
        return int(value) if self.values.dtype.kind in "iu" else value

    def summed(self, at: Array, instance: Array | None = None) -> Sum:
        """What it comes to over some work, and per instance if these are given."""
        return Sum(self.name, self.unit, self.total(at), None if instance is None else self.median(at, instance))


def median_sum(instance: Array, values: Array) -> float:
    """The median over instances of the sum of their values; instances without any do not count."""
    sums = np.bincount(instance, weights=values)
    return float(np.median(sums[np.bincount(instance) > 0]))


def summands(module: Module, rows: Array) -> tuple[Summand, ...]:
    """The columns of events that passes declared to be summed, in the order in which they were written.

    Stale columns are left out, and so are texts and flags, which have no sum. O(rows) for each column.
    """
    found = []
    for name, written in module.annotations.items():
        item = written.annotation
        if item.shown != "sum" or item.domain != "event" or item.dtype not in _NUMBERS or module.stale(name):
            continue
        values = module[name][rows]
        found.append(Summand(name, item.unit, values, ~null_mask(values, item)))
    return tuple(found)
