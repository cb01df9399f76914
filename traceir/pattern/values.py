"""The value of a column for each event, whatever table the column lies in."""

from __future__ import annotations

import numpy as np

from traceir.errors import SchemaError
from traceir.ir import Array, Mask, Module, null_mask

LAUNCH = "launch"
"""What stands for the host call that launched an event, where a column is asked for."""


def joint(module: Module, name: str) -> Array | None:
    """For each event the row of the table that `name` lies in, -1 none; None if it is a column of events.

    A table is joined by the event column of dtype `id` whose unit is the table, as `coll.instance` joins
    `table:collectives`. SchemaError if no such column leads there; KeyError if nobody wrote `name`.
    """
    domain = module.domain(name)
    if domain == "event":
        return None
    for column, written in module.annotations.items():
        declared = written.annotation
        if declared.domain == "event" and declared.dtype == "id" and declared.unit == domain:
            return module[column]
    raise SchemaError(f"The column {name} lies in {domain}, and no column of events leads there.")


def of_events(module: Module, name: str) -> tuple[Array, Mask]:
    """The value of `name` for each event, and where it is null. O(n).

    Texts are codes of the pool or positions in the enum: two of one column are equal if their codes are.
    """
    if name == LAUNCH:
        return module.launch, module.launch < 0
    at = joint(module, name)
    values = module[name]
    null = _nulls(module, name, values)
    if at is None:
        return values, null
    inside = at >= 0
    if not len(values):
        return np.zeros(len(module), values.dtype), ~inside
    return values[np.where(inside, at, 0)], ~inside | null[at]


def is_among(module: Module, name: str, texts: frozenset[str]) -> Mask:
    """Which events hold one of `texts` in a column of texts, of theirs or of a table that they lead to. O(n)."""
    at = joint(module, name)
    mask = module.is_in(name, texts)
    return mask if at is None else np.append(mask, False)[at]


def _nulls(module: Module, name: str, values: Array) -> Mask:
    written = module.annotations.get(name)
    if written is None:
        return np.zeros(len(values), bool)
    return np.asarray(null_mask(values, written.annotation))
