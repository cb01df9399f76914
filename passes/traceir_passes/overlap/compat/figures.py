"""Figures of intervals that are counted in classes, by the merging that other tools do."""

from __future__ import annotations

from typing import Final

import attrs
import numpy as np

from traceir.ir import Array, Ints, Spans

KEYS: Final = (
    "span_ns", "busy_ns", "compute_ns", "comm_ns", "memory_ns", "overlap_ns", "exposed_ns", "memory_exposed_ns",
    "idle_ns",
)  # fmt: skip
"""The figures that are compared, in ns."""
CLASSES: Final = ("compute", "communication", "memory", "fused", "other")
COMPUTE, COMM, MEMORY, FUSED, OTHER = range(len(CLASSES))
NOT_COUNTED: Final = -1


@attrs.frozen(eq=False)
class Counted:
    """How a tool counts each row of a module: its class (`NOT_COUNTED` for none), and the times that it uses, in ns.

    `dropped` are positions in `reasons`: why a row that could be counted is not, -1 where nothing is to be said.
    """

    cls: Array
    start: Ints
    end: Ints
    dropped: Array
    reasons: tuple[str, ...] = ()


def figures(cls: Array, start: Ints, end: Ints) -> dict[str, int]:
    """The figures of all rows that are counted, of all devices as one. O(n log n).

    A class is the union of its intervals. An interval that rounding has turned round (end before start) stays one of
    its own with a negative length, if nothing reaches up to it: that is what the tools sum up.
    """
    counted = cls != NOT_COUNTED
    everything = _merged(start[counted], end[counted])
    parts = {code: _merged(start[cls == code], end[cls == code]) for code in (COMPUTE, COMM, MEMORY)}
    length = {code: int((ends - starts).sum()) for code, (starts, ends) in parts.items()}
    compute, comm, memory = (Spans.of(*parts[code]) for code in (COMPUTE, COMM, MEMORY))
    starts, ends = everything
    span = int(ends[-1] - starts[0]) if len(starts) else 0
    busy = int((ends - starts).sum())
    overlap = (comm & compute).length
    return {
        "span_ns": span,
        "busy_ns": busy,
        "compute_ns": length[COMPUTE],
        "comm_ns": length[COMM],
        "memory_ns": length[MEMORY],
        "overlap_ns": overlap,
        "exposed_ns": length[COMM] - overlap,
        "memory_exposed_ns": (memory - (compute | comm)).length,
        "idle_ns": span - busy,
    }


def _merged(starts: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """First start and last end of each run of intervals that reach each other, in order of starts."""
    if not len(starts):
        return starts, ends
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], ends[order]
    first = np.flatnonzero(np.append(True, starts[1:] > np.maximum.accumulate(ends)[:-1]))
    return starts[first], np.maximum.reduceat(ends, first)
