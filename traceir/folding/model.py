"""What folding gives: steps, stacks and ops as plain data."""

from __future__ import annotations

import attrs

OTHER = "other"


@attrs.frozen
class Op:
    """One label of a template over its instances.

    Times are ns: `median_ns`, `p10_ns` and `p90_ns` of the sum per instance in which it is present, `total_ns`
    over all. `present` of `instances` instances have it. `kernels` is the usual number per instance, `symbols`
    the usual names in order. `exposed_ns` is the sum of what a pass declared to be summed here, None if nothing
    was. `lanes` are the lanes it ran on, `roles` its roles, most time first.
    """

    label: str
    kernels: int
    symbols: tuple[str, ...]
    roles: tuple[str, ...]
    lanes: tuple[str, ...]
    present: int
    instances: int
    median_ns: int
    p10_ns: int
    p90_ns: int
    total_ns: int
    exposed_ns: int | None
    block: str = ""


@attrs.frozen
class Outlier:
    """The slowest instance of a layer: which, how long, and the op that is most above its median there."""

    step: str
    layer: int
    time_ns: int
    label: str
    factor: float


@attrs.frozen
class Stack:
    """Like layers, folded: `layers` in each of `instances` stacks, the ops of one layer, the slowest layer."""

    layers: int
    instances: int
    evidence: str
    confidence: float | None
    partial: bool
    median_ns: int
    total_ns: int
    exposed_ns: int | None
    ops: tuple[Op, ...]
    slowest: Outlier | None
    variants: int = 1


@attrs.frozen
class Step:
    """Like steps, folded: their names, extents, and their items in order of time.

    `mark` is the text of what marked the (first) step in the trace, empty if nothing did.
    `work_ns` is the sum of durations of device work over all `count` steps, `span_ns` and `idle_ns` the medians
    of extent and of its part in which the device did nothing. `name` is that of the first step and `last` that of
    the last; both are None for work outside any step. `grouped` is false where no pass has looked for steps,
    `contiguous` where other steps lie between the first and the last.
    """

    name: str | None
    count: int
    phase: str
    kernels: int
    launches: int
    span_ns: int
    idle_ns: int
    work_ns: int
    exposed_ns: int | None
    lanes: tuple[str, ...]
    items: tuple[Op | Stack, ...]
    slowest: tuple[str, int] | None = None
    mark: str = ""
    grouped: bool = True
    last: str | None = None
    contiguous: bool = True
