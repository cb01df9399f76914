"""Idle time by host frame: under which functions and ranges of the program the blamed events ran."""

from __future__ import annotations

from typing import Final

import attrs
import numpy as np

from traceir.ir import Array, Ints, Module
from traceir_passes.gaps.keyed import running

_BUILTIN: Final = "<built-in"
"""How the names of frames begin that are no place in a program; such a name may hold an address."""
_PASSED_ON: Final = 0.9
"""Share of a frame's idle time that one frame under it has, above which the outer one says nothing more."""


@attrs.frozen(kw_only=True)
class Under:
    """Gap time above the threshold whose blamed events ran under one frame or range, or under what that called.

    Frames of one name are one, and a frame within itself counts once; outer frames hold what inner ones have, so that
    these do not sum to anything.
    """

    frame: str
    count: int
    gap_ns: int


def under(module: Module, blamed: Array, dur: Ints, most: int) -> tuple[Under, ...]:
    """The frames with most gap time under them, at most `most`.

    Left out are frames that pass (nearly) all of it on to one other: the innermost of such a chain stands for it.
    Where the trace has neither frames nor ranges above any blamed event, operators take their place. O(n log n).
    """
    rows, time, count = _above(module, blamed, dur)
    for kinds in (("host.frame", "host.range"), ("host.op",)):
        codes = [code for code, kind in enumerate(module.kinds) if kind in kinds]
        place = np.isin(module["kind"][rows], codes) & ~_builtin(module, rows)
        if place.any():
            return _by_name(module, rows[place], time[place], count[place], most)
    return ()


def _above(module: Module, blamed: Array, dur: Ints) -> tuple[Array, Ints, Ints]:
    """The blamed events and all above them, with the gap time and number of gaps under each. A round a level."""
    caller = module.caller
    found = _summed(blamed, np.stack([dur, np.ones(len(dur), np.int64)]))
    levels = [found]
    while len(levels[-1][0]):
        rows, sums = levels[-1]
        goes_on = caller[rows] >= 0
        levels.append(_summed(caller[rows][goes_on], sums[:, goes_on]))
    rows, sums = _summed(*(np.concatenate(parts, axis=-1) for parts in zip(*levels, strict=True)))
    return rows, sums[0], sums[1]


def _summed(rows: Array, values: Ints) -> tuple[Array, Ints]:
    """The different rows, ascending, and the sums of each one's values."""
    rows, group = np.unique(rows, return_inverse=True)
    out = np.zeros((len(values), len(rows)), np.int64)
    for total, own in zip(out, values, strict=True):
        np.add.at(total, group.reshape(-1), own)
    return rows, out


def _builtin(module: Module, rows: Array) -> Array:
    codes, at = np.unique(module["name"][rows], return_inverse=True)
    table = np.array([module.strings[code].startswith(_BUILTIN) for code in codes.tolist()], bool)
    return table[at.reshape(-1)]


def _by_name(module: Module, rows: Array, time: Ints, count: Ints, most: int) -> tuple[Under, ...]:
    outer = ~_within_itself(module, rows)
    names, of = np.unique(module["name"][rows], return_inverse=True)
    of = of.reshape(-1)
    total, gaps = np.zeros((2, len(names)), np.int64)
    np.add.at(total, of[outer], time[outer])
    np.add.at(gaps, of[outer], count[outer])
    passes_on = _passes_on(module, rows, of, time, total)
    texts = [module.strings[code] for code in names.tolist()]
    best = sorted(np.flatnonzero(~passes_on).tolist(), key=lambda at: (-int(total[at]), texts[at]))[:most]
    return tuple(Under(frame=texts[at], count=int(gaps[at]), gap_ns=int(total[at])) for at in best)


def _within_itself(module: Module, rows: Array) -> Array:
    """Which events run within another of these with the same name on their thread."""
    keys = np.stack([module["lane"][rows], module["name"][rows]]).astype(np.int64)
    group = np.unique(keys, axis=1, return_inverse=True)[1].reshape(-1)
    order = np.lexsort((-module["dur"][rows], module["ts"][rows], group))
    here, reach = group[order], running(group[order], module.end[rows[order]])
    inside = np.zeros(len(rows), bool)
    inside[order[1:]] = (here[1:] == here[:-1]) & (module["ts"][rows[order]][1:] < reach[:-1])
    return inside


def _passes_on(module: Module, rows: Array, of: Array, time: Ints, total: Ints) -> Array:
    """Which names have (nearly) all of their gap time under one other name right below them."""
    up = module.caller[rows]
    at = np.minimum(np.searchsorted(rows, up), len(rows) - 1)
    while (open_ := np.flatnonzero((up >= 0) & (rows[at] != up))).size:
        up[open_] = module.caller[up[open_]]
        at[open_] = np.minimum(np.searchsorted(rows, up[open_]), len(rows) - 1)
    below = np.flatnonzero(up >= 0)
    above = of[at[below]]
    pairs, group = np.unique(np.stack([above, of[below]]), axis=1, return_inverse=True)
    sums = np.zeros(pairs.shape[1], np.int64)
    np.add.at(sums, group.reshape(-1), time[below])
    out = np.zeros(len(total), bool)
    heavy = (sums >= _PASSED_ON * total[pairs[0]]) & (pairs[0] != pairs[1])
    out[pairs[0][heavy]] = True
    return out
