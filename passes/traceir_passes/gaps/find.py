"""Finding gaps: the stretches between a running maximum of ends and the next start, on lanes and devices."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import numpy as np

from traceir.ir import Array, Ints, Module


@attrs.frozen(eq=False)
class Line:
    """The gaps of one lane or of one device (`lane` is -1), in order of time.

    `[start, end)` are disjoint and none is empty. `prev` is the row whose end is the running maximum at the
    gap's start (of several the last one), `next` the first row that starts at its end.
    """

    device: int
    lane: int
    start: Ints
    end: Ints
    prev: Array
    next: Array

    @property
    def dur(self) -> Ints:
        """The gaps' lengths in ns, all positive."""
        return self.end - self.start

    def __len__(self) -> int:
        return len(self.start)


def grouped(values: Array) -> dict[int, Array]:
    """The positions of each value, ascending, in order of the values. O(n log n)."""
    order = np.argsort(values, kind="stable")
    keys, first = np.unique(values[order], return_index=True)
    return dict(zip(keys.tolist(), np.split(order, first[1:]), strict=True)) if len(keys) else {}


def lines(module: Module) -> Iterator[Line]:
    """The gaps of each device, then those of each of its lanes, for all devices and lanes that did work. O(n)."""
    rows = np.flatnonzero(module.work)
    if not len(rows):
        return
    device, lane = module.device[rows], module["lane"][rows]
    for number, at in grouped(device).items():
        yield between(module, rows[at], number, -1)
    # A lane has one device, so sorting by it keeps the lanes of each in their order.
    for which, at in sorted(grouped(lane).items(), key=lambda pair: int(device[pair[1][0]])):
        yield between(module, rows[at], int(device[at[0]]), which)


def between(module: Module, rows: Array, device: int, lane: int) -> Line:
    """The gaps between `rows`, which stand in order of their starts.

    A gap runs from the running maximum of ends, not from the last event's end: kernels of one stream may
    overlap, and a short one may end before a longer one that began earlier.
    """
    start, end = module["ts"][rows], module.end[rows]
    reach = np.maximum.accumulate(end)
    leads = np.append(True, end[1:] >= reach[:-1])
    leader = np.maximum.accumulate(np.where(leads, np.arange(len(rows)), 0))
    at = np.flatnonzero(start[1:] > reach[:-1]) + 1
    return Line(device, lane, reach[at - 1], start[at], rows[leader[at - 1]], rows[at])
