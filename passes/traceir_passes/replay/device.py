"""Device work lane by lane, the shortest of like lags, and collectives over several lanes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs
import numpy as np

from traceir.ir import Array, Ints, Mask, Module, expand

NEVER: Final = int(np.iinfo(np.int64).max)
FAR: Final = 1 << 60
"""How far in ns from the origin an event may be: 36 years."""
FEW: Final = 3
"""How many like lags it takes before the shortest of them stands for all: of one or two all may have waited."""
BELIEVED: Final = 100_000
"""The longest lag in ns that is taken from one or two: far above what launches and queues take, far below a hole."""
LEAST: Final = int(np.iinfo(np.int64).min)


@attrs.frozen(eq=False)
class Streams:
    """Device work in order of (lane, time): `rows`, and for each the position of what precedes it on its lane.

    `before` is the position of the running maximum of ends (-1 for a lane's first), `beside` marks work that began
    before that end, which happens where a stream lets its kernels overlap.
    """

    rows: Array
    lane: Array
    before: Array
    beside: Mask


def streams(module: Module) -> Streams:
    """The device work lane by lane. O(n log n)."""
    work = np.flatnonzero(module.work)
    rows = work[np.argsort(module["lane"][work], kind="stable")]
    lane = module["lane"][rows].astype(np.int64)
    before = np.full(len(rows), -1, np.int64)
    bounds = np.append(np.flatnonzero(np.append(True, lane[1:] != lane[:-1])[: len(lane)]), len(rows))
    end = module.end[rows]
    for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        reach = np.maximum.accumulate(end[low:high])
        leader = np.maximum.accumulate(np.where(end[low:high] >= reach, np.arange(low, high), low))
        before[low + 1 : high] = leader[:-1]
    beside = (before >= 0) & (end[before] > module["ts"][rows])
    return Streams(rows, lane, before, beside)


def shortest(values: Ints, keys: Sequence[Array], chosen: Mask | None = None) -> Ints:
    """For each value the least of those that share its first key; never above it.

    With `chosen`, the least of these alone, as long as no other is shorter; where fewer than `FEW` of a key are
    chosen, the next, coarser key is asked. Then one or two are believed, up to `BELIEVED`; where there are none,
    nothing is known of the least, so that it is 0.
    """
    every = _least(values, np.ones(len(values), bool), keys[0])
    if chosen is None:
        return every
    out = np.full(len(values), NEVER)
    for few, most in ((FEW, NEVER), (1, BELIEVED)):
        for key in keys:
            of = _least(values, chosen, key, few)
            out = np.where((out == NEVER) & (of <= most), of, out)
    return np.where(out == NEVER, 0, np.minimum(out, every))


def after_return(values: Ints, key: Array, chosen: Mask) -> Ints:
    """For each value, which may be negative, the least chosen one of its key, and never above it.

    Far below all where of a key fewer than `FEW` are chosen.
    """
    out, every = _least(values, chosen, key, FEW), _least(values, np.ones(len(values), bool), key)
    return np.where(out == NEVER, -FAR, np.minimum(out, every))


def _least(values: Ints, chosen: Mask, key: Array, few: int = 1) -> Ints:
    """The least chosen value of each key, `NEVER` where fewer than `few` are chosen."""
    codes, at = np.unique(key, return_inverse=True)
    out = np.full(len(codes), NEVER)
    np.minimum.at(out, at[chosen], values[chosen])
    out[np.bincount(at[chosen], minlength=len(codes)) < few] = NEVER
    return np.asarray(out[at])


def coded(*columns: Array) -> Array:
    """One number for each distinct combination of the columns' values."""
    out = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        _, code = np.unique(column, return_inverse=True)
        out = out * (int(code.max(initial=0)) + 1) + code
    return out


@attrs.frozen(eq=False)
class Groups:
    """Collective operations whose members lie on several lanes: for each member its row and its operation."""

    rows: Array
    group: Array
    count: int


def groups(module: Module) -> Groups:
    """The collectives that have an event on several lanes each, which begin together at the last one's start."""
    none = Groups(np.empty(0, np.int64), np.empty(0, np.int64), 0)
    if "coll.instance" not in module or module.domain("coll.instance") != "event":
        return none
    rows = np.flatnonzero(module.work & (module["coll.instance"] >= 0))
    if not len(rows):
        return none
    rows = rows[np.argsort(module["coll.instance"][rows], kind="stable")]
    instance = module["coll.instance"][rows]
    _, first, size = np.unique(instance, return_index=True, return_counts=True)
    member, at = expand(first, size)
    lanes = module.device[rows]
    low, high = np.minimum.reduceat(lanes, first), np.maximum.reduceat(lanes, first)
    latest = np.maximum.reduceat(module["ts"][rows], first)
    done = np.minimum.reduceat(module.end[rows], first)
    # Several kernels of one operation on one device follow each other; those of several devices run together.
    parties = np.zeros(len(first), np.int64)
    np.add.at(parties, member, 1)
    several = (low != high) & (latest <= done)
    number = np.cumsum(several) - 1
    keep = several[member]
    return Groups(rows[at[keep]], number[member[keep]], int(several.sum()))
