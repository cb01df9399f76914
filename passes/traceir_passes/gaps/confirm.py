"""Confirmed idleness: when a utilisation counter says that a device did nothing."""

from __future__ import annotations

import re

import numpy as np

from traceir.ir import Array, Module, Selection, Spans


def confirmed_idle(module: Module, device: int, pattern: str) -> Spans | None:
    """When every utilisation counter of a device read 0; None if the trace has none for it.

    A counter is an event of kind `ctr.sample` on a lane of the device whose name, or whose lane's name, matches
    `pattern`. A sample holds from its instant to the next one; the last one says nothing of what follows.
    """
    named = re.compile(pattern, re.IGNORECASE)
    lanes = [lane.device == device and bool(named.search(f"{lane.name} {lane.label}")) for lane in module.lanes]
    of_device = np.array([lane.device == device for lane in module.lanes] + [False])[module["lane"]]
    texts = np.array([bool(named.search(text)) for text in module.strings.texts] + [False])
    chosen = module.is_kind("ctr.sample") & module.live & of_device
    chosen &= texts[module["name"]] | np.array([*lanes, False])[module["lane"]]
    rows = np.flatnonzero(chosen)
    idle: Spans | None = None
    for key in np.unique(np.stack([module["lane"][rows], module["name"][rows]]), axis=1).T:
        mine = rows[(module["lane"][rows] == key[0]) & (module["name"][rows] == key[1])]
        zero = _zeros(module, mine)
        idle = zero if idle is None else idle & zero
    return idle


def _zeros(module: Module, rows: Array) -> Spans:
    values = [_value(dict(args)) for args in Selection(module, rows).args()]
    at = module["ts"][rows]
    zero = np.array([value == 0 for value in values[:-1]], bool)
    return Spans.of(at[:-1][zero], at[1:][zero])


def _value(args: dict[str, object]) -> float | None:
    """The one number that a sample carries; None if there is none or several."""
    numbers = [value for value in args.values() if isinstance(value, int | float) and not isinstance(value, bool)]
    return numbers[0] if len(numbers) == 1 else None
