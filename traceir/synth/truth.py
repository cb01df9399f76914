"""What a synthetic trace says, known because it was made so: counts, times and causes, in integer ns."""

from __future__ import annotations

from typing import Literal

import attrs
import numpy as np
from numpy.typing import NDArray

GapClass = Literal["host_late", "host_sync", "after_sync"]
CLASSES = ("compute", "comm", "memory")


@attrs.frozen(kw_only=True)
class Times:
    """Device time of a set of events: lengths of unions, as the overlap accounting defines them."""

    span_ns: int
    busy_ns: int
    compute_ns: int
    comm_ns: int
    memory_ns: int
    overlap_ns: int
    exposed_ns: int
    exposed_any_ns: int
    idle_ns: int
    graph_internal_ns: int
    """Idle time between two kernels of one replay."""


@attrs.frozen(kw_only=True)
class StepTruth:
    """One step; `start_ns` and `end_ns` are the extent of its device work, in ns since the trace's base."""

    index: int
    label: str
    phase: str
    replayed: bool
    start_ns: int
    end_ns: int
    kernels: int
    all_reduces: int
    times: Times


@attrs.frozen(kw_only=True)
class Member:
    """One kernel of a layer's body."""

    label: str
    role: str
    kernel: str


@attrs.frozen(kw_only=True)
class Variant:
    """One distinct body of a layer, and the layers that have it."""

    name: str
    layers: tuple[int, ...]
    members: tuple[Member, ...]


@attrs.frozen(kw_only=True)
class StackTruth:
    """The layers of one forward pass; `step` is null for one that was launched before the window."""

    step: int | None
    layers: int
    partial: bool
    kernels: int


@attrs.frozen(kw_only=True)
class GapTruth:
    """A device gap that was made on purpose, with the class that a reader should give it."""

    start_ns: int
    end_ns: int
    gap_class: GapClass


@attrs.frozen(kw_only=True)
class Truth:
    """All that is known of a synthetic trace."""

    device: int
    base_ns: int
    events: int
    bytes: int
    layers: int
    kernels_per_layer: int
    """Kernels and collectives of the most frequent body; of the earlier one where two are as frequent."""
    variants: tuple[Variant, ...]
    stacks: tuple[StackTruth, ...]
    all_reduces: int
    all_gathers: int
    orphans: int
    """Kernels launched before the window."""
    kernels: int
    times: Times
    steps: tuple[StepTruth, ...]
    gaps: tuple[GapTruth, ...]

    def to_json(self) -> dict[str, object]:
        """Plain data for a truth file."""
        return attrs.asdict(self)


@attrs.frozen
class DeviceWork:
    """Device work of one step: starts, ends, classes (index into CLASSES) and replay number (-1: not replayed)."""

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    kind: NDArray[np.int64]
    replay: NDArray[np.int64]


def measure(work: DeviceWork) -> Times:
    """Measure a set of intervals by one sweep over their borders; exact, O(n log n)."""
    borders = np.unique(np.concatenate([work.start, work.end]))
    length = np.diff(borders)
    active = [_covered(work.start[work.kind == n], work.end[work.kind == n], borders) for n in range(len(CLASSES))]
    compute, comm, memory = active
    busy = compute | comm | memory

    def total(where: NDArray[np.bool_]) -> int:
        return int(length[where].sum())

    span = int(borders[-1] - borders[0])
    return Times(
        span_ns=span,
        busy_ns=total(busy),
        compute_ns=total(compute),
        comm_ns=total(comm),
        memory_ns=total(memory),
        overlap_ns=total(comm & compute),
        exposed_ns=total(comm & ~compute),
        exposed_any_ns=total(comm & ~compute & ~memory),
        idle_ns=span - total(busy),
        graph_internal_ns=_graph_internal(work),
    )


def _covered(start: NDArray[np.int64], end: NDArray[np.int64], borders: NDArray[np.int64]) -> NDArray[np.bool_]:
    change = np.zeros(borders.size, np.int64)
    np.add.at(change, np.searchsorted(borders, start), 1)
    np.add.at(change, np.searchsorted(borders, end), -1)
    return np.cumsum(change)[:-1] > 0


def _graph_internal(work: DeviceWork) -> int:
    order = np.lexsort((work.end, work.start))
    start, end, replay = work.start[order], work.end[order], work.replay[order]
    reach = np.maximum.accumulate(end)
    last = np.maximum.accumulate(np.where(end == reach, np.arange(end.size), 0))
    gap = start[1:] - reach[:-1]
    inside = (gap > 0) & (replay[1:] >= 0) & (replay[1:] == replay[last[:-1]])
    return int(gap[inside].sum())


def add_times(parts: list[Times], idle_between: int) -> Times:
    """The times of disjoint stretches that follow each other, with the idle time between them."""
    sums = {field.name: sum(getattr(part, field.name) for part in parts) for field in attrs.fields(Times)}
    sums["span_ns"] += idle_between
    sums["idle_ns"] += idle_between
    return Times(**sums)
