"""What folding gives: steps, stacks and ops as plain data."""

from __future__ import annotations

import attrs

OTHER = "other"

Number = int | float


@attrs.frozen
class Sum:
    """What a column that a pass declared to be summed (`shown="sum"`) comes to, over some work.

    `name` is the column's full name and `unit` its own. `total` is the sum, and `median` that of the sums per
    instance that knows it; both None where it is null throughout, `median` also where there are no instances.
    """

    name: str
    unit: str
    total: Number | None
    median: Number | None = None


@attrs.frozen
class Op:
    """One label of a template over its instances.

    Times are ns: `median_ns`, `p10_ns` and `p90_ns` of the sum per instance in which it is present, `total_ns`
    over all. `present` of `instances` instances have it. `kernels` is the usual number per instance, `symbols`
    the usual names in order. `exposed_ns` is the sum of communication that nothing hides (`overlap.exposed`) and
    `exposed_median_ns` the median of it per instance that has the op; both None if nothing told. `sums` are the
    other columns that passes declared to be summed. `lanes` are the lanes it ran on, `roles` its roles, most time
    first.
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
    max_ns: int = 0
    exposed_median_ns: int | None = None
    sums: tuple[Sum, ...] = ()


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
    """Like layers, folded: `layers` in each of `instances` stacks, the ops of one layer, the slowest layer.

    `lanes` are the lanes that a layer's work lies on, each with the median time of a layer there, most first.
    """

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
    p90_ns: int = 0
    max_ns: int = 0
    exposed_median_ns: int | None = None
    lanes: tuple[tuple[str, int], ...] = ()
    sums: tuple[Sum, ...] = ()


@attrs.frozen
class Place:
    """Where gaps lie: `label` of the op after them, `layer` its number (-1 outside layers), and the step's name.

    `border` says that the op before lies in another layer, or in none. `times` such gaps sum to `total_ns`.
    """

    label: str
    layer: int
    border: bool
    step: str
    times: int
    total_ns: int


@attrs.frozen
class Cause:
    """The gaps of one cause in folded steps: `count` gaps of `total_ns` in `present` steps, `median_ns` per step.

    The median is over all steps, those without it too. `longest` is one gap; `common` is the kind of place with most
    time, told by its longest gap (its layer is -1, since there may be many).
    """

    name: str
    count: int
    total_ns: int
    median_ns: int
    present: int
    longest: Place
    common: Place


@attrs.frozen
class Gaps:
    """The idle time within folded steps: in all `count` gaps of `total_ns`, per step `median_ns`.

    `causes` come with most time first, and sum to `total_ns`. `devices` is on how many devices the time is summed.
    """

    count: int
    total_ns: int
    median_ns: int
    causes: tuple[Cause, ...]
    devices: int = 1


@attrs.frozen
class Step:
    """Like steps, folded: their names, extents, and their items in order of time.

    `mark` is the text of what marked the (first) step in the trace, empty if nothing did.
    `work_ns` is the sum of durations of device work over all `count` steps, `span_ns` and `idle_ns` the medians
    of extent and of its part in which the device did nothing. `name` is that of the first step and `last` that of
    the last; both are None for work outside any step. `grouped` is false where no pass has looked for steps,
    `contiguous` where other steps lie between the first and the last. `slowest` is the name and the extent of the
    longest of several steps, `fastest_ns` the extent of the shortest. `gaps` is None if no pass has judged gaps,
    `unknown_ns` the part of `work_ns` that has no known role, None if no pass has told roles.
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
    fastest_ns: int = 0
    exposed_median_ns: int | None = None
    gaps: Gaps | None = None
    unknown_ns: int | None = None
    sums: tuple[Sum, ...] = ()
