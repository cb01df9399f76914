"""Confirmed idleness: when a utilisation counter says that a device did nothing."""

from __future__ import annotations

import re

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Module, Selection, Spans
from traceir_passes.gaps.find import grouped


def check_pattern(item: tir.Pass, utilisation: str) -> None:
    """Refuse an option `utilisation` that is no regular expression: a UsageError that names the pass."""
    try:
        re.compile(utilisation)
    except re.error as error:
        raise tir.UsageError(
            f"The option utilisation of {item.name()} is {utilisation!r}, which is no regular expression: {error}."
        ) from error


@attrs.frozen(eq=False)
class Counters:
    """The utilisation counters of a trace: their samples, by the device of their lane."""

    module: Module
    samples: dict[int, Array]

    @classmethod
    def of(cls, module: Module, pattern: str) -> Counters:
        """The counters whose name, or whose lane's name, matches a regular expression. O(n)."""
        named = re.compile(pattern, re.IGNORECASE)
        lanes = np.array([bool(named.search(f"{lane.name} {lane.label}")) for lane in module.lanes] + [False])
        rows = np.flatnonzero(module.is_kind("ctr.sample") & module.live)
        codes, at = np.unique(module["name"][rows], return_inverse=True)
        texts = np.array([bool(named.search(module.strings[code])) for code in codes.tolist()], bool)
        rows = rows[lanes[module["lane"][rows]] | texts[at.reshape(-1)]]
        devices = np.array([-1 if lane.device is None else lane.device for lane in module.lanes] + [-1])
        return cls(module, {number: rows[at] for number, at in grouped(devices[module["lane"][rows]]).items()})

    def zero(self, device: int) -> Spans | None:
        """When every utilisation counter of a device read 0; None if the trace has none for it.

        A sample holds from its instant to the next one; the last one says nothing of what follows.
        """
        rows = self.samples.get(device)
        if rows is None or device < 0:
            return None
        idle: Spans | None = None
        lane, name = self.module["lane"][rows].astype(np.int64), self.module["name"][rows]
        for at in grouped(lane * len(self.module.strings) + name).values():
            zero = _zeros(self.module, rows[at])
            idle = zero if idle is None else idle & zero
        return idle


def _zeros(module: Module, rows: Array) -> Spans:
    values = [_value(dict(args)) for args in Selection(module, rows).args()]
    at = module["ts"][rows]
    zero = np.array([value == 0 for value in values[:-1]], bool)
    return Spans.of(at[:-1][zero], at[1:][zero])


def _value(args: dict[str, object]) -> float | None:
    """The one number that a sample carries; None if there is none or several."""
    if "value" in args:  # where a table's own columns stand beside it
        args = {"value": args["value"]}
    numbers = [value for value in args.values() if isinstance(value, int | float) and not isinstance(value, bool)]
    return numbers[0] if len(numbers) == 1 else None
