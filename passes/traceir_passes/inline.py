"""The pass `inline`: the flat list again, with what the templates say written at every event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Ints


def _column(name: str, doc: str, dtype: Literal["i64", "str"] = "i64", unit: str = "") -> tir.Annotation:
    return tir.Annotation(f"inline.{name}", "event", dtype, unit, doc, "no device work")


@attrs.frozen
class InlineReport(tir.Report):
    """What was written: events with their `templates`, and how far they are from these in all."""

    events: int
    templates: int
    time_ns: int
    median_ns: int
    slower_ns: int
    faster_ns: int

    def blocks(self) -> Sequence[tir.Block]:
        """Nothing: what is written are columns."""
        return ()


@attrs.frozen
class Inline(tir.Pass):
    """Write at every event what its template says: the flat list again, and nothing lost.

    The inverse of `fold`, as inlining is of outlining: the body of a template is put in the place of every reference
    to it. Each event gets the template's name, the usual time of what stands in its place, and its difference from
    that: `inline.median + inline.delta` is its duration, to the nanosecond, so the flat list can be made from the
    folded one. Events themselves are as before: neither pass touches any, or what another pass wrote.
    """

    reads = ("fold.op", "fold.instance", "fold.template", "fold.count", "tree.fold", "id", "dur", "live")
    writes = (
        _column("template", "The name of the template, as in the tree fold.", "str"),
        _column("place", "Which event of its op it is in its instance, from 0 on."),
        _column("present", "Instances that have an event in this place."),
        _column("count", "Instances of the template."),
        _column("median", "The median of the durations in this place, over all instances.", unit="ns"),
        _column("delta", "The difference of its duration from that median.", unit="ns"),
    )

    def run(self, module: tir.Module, context: tir.PassContext) -> tir.Module:
        """Write the columns. O(n log n) in device events."""
        rows = np.flatnonzero(module["fold.op"] >= 0)
        op, instance = module["fold.op"][rows].astype(np.int64), module["fold.instance"][rows].astype(np.int64)
        place = _place(op, instance)
        dur = module["dur"][rows]
        slot = np.unique(op * (int(place.max(initial=0)) + 1) + place, return_inverse=True)[1]
        template = module["fold.template"][instance]
        names = module.tree("fold").regions["name"][template]
        median = _medians(slot, dur)
        present = np.bincount(slot)
        return module.with_columns(
            {
                "inline.template": _spread(module, rows, names, -1, np.int32),
                "inline.place": _spread(module, rows, place),
                "inline.present": _spread(module, rows, present[slot]),
                "inline.count": _spread(module, rows, module["fold.count"][template]),
                "inline.median": _spread(module, rows, median[slot]),
                "inline.delta": _spread(module, rows, dur - median[slot]),
            }
        )

    def report(self, module: tir.Module) -> InlineReport:
        """How many events were written, and how far they are from the usual in all."""
        rows = np.flatnonzero(module["inline.template"] >= 0)
        delta = module["inline.delta"][rows]
        return InlineReport(
            events=len(rows),
            templates=len(np.unique(module["inline.template"][rows])),
            time_ns=int(module["dur"][rows].sum()),
            median_ns=int(module["inline.median"][rows].sum()),
            slower_ns=int(delta[delta > 0].sum()),
            faster_ns=-int(delta[delta < 0].sum()),
        )

    def check(self, module: tir.Module) -> list[str]:
        """The durations are those of the templates with the differences from them."""
        rows = np.flatnonzero(module["fold.op"] >= 0)
        made = module["inline.median"][rows] + module["inline.delta"][rows]
        if (made != module["dur"][rows]).any():
            return ["An event's duration is its place's median and its difference from it; here it is not."]
        return []


def _place(op: Ints, instance: Ints) -> Ints:
    """For each event which one of its op it is in its instance; events come in order of time."""
    order = np.lexsort((np.arange(len(op)), op, instance))
    same = (op[order][1:] == op[order][:-1]) & (instance[order][1:] == instance[order][:-1])
    new = np.append(True, ~same)[: len(op)]
    begin = np.maximum.accumulate(np.where(new, np.arange(len(op)), 0))
    out = np.empty(len(op), np.int64)
    out[order] = np.arange(len(op)) - begin
    return out


def _medians(slot: Array, values: Ints) -> Ints:
    """The median of each slot's values, rounded down."""
    order = np.lexsort((values, slot))
    bounds = np.searchsorted(slot[order], np.arange(int(slot.max(initial=-1)) + 2))
    first, last = bounds[:-1], bounds[1:] - 1
    low, high = values[order[(first + last) // 2]], values[order[(first + last + 1) // 2]]
    return np.asarray(low + (high - low) // 2)


def _spread(
    module: tir.Module, rows: Array, values: Array, null: int = tir.NULL_I64, dtype: type[np.generic] = np.int64
) -> Array:
    """A column of all events: these values in these rows, null elsewhere."""
    out: Array = np.full(len(module), null, dtype)
    out[rows] = values
    return out
