"""What folding gives: steps, stacks and ops as plain data."""

from __future__ import annotations

from typing import Literal

import attrs
import numpy as np

from traceir.ir import Array, Ints

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


def _none() -> Ints:
    return np.empty(0, np.int64)


@attrs.frozen
class Op:
    """One op of a template over its instances.

    Times are ns: `median_ns`, `p10_ns` and `p90_ns` of the sum per instance in which it is present, `total_ns`
    over all. `present` of `instances` instances have it. `kernels` is the usual number per instance, `symbols`
    the usual names in order. `exposed_ns` is the sum of communication that nothing hides (`overlap.exposed`) and
    `exposed_median_ns` the median of it per instance that has the op; both None if nothing told. `sums` are the
    other columns that passes declared to be summed. `lanes` are the lanes it ran on, `roles` its roles, most time
    first. `rows` are the rows of all its events, `dur` their durations, and `of` says which instance each is part of.
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
    rows: Array = attrs.field(factory=_none, eq=False, repr=False)
    dur: Ints = attrs.field(factory=_none, eq=False, repr=False)
    of: Array = attrs.field(factory=_none, eq=False, repr=False)


@attrs.frozen
class Outlier:
    """An instance that lies far from the median of its like, and what makes the difference.

    `layer` is its number in the stack (-1 for a step), `instance` its number in its template. `measure` says what is
    far off: the `work` (the sum of durations) or the `span` (the extent); `time_ns` is that and `delta_ns` its
    difference from the median. `cause` says what differs most: an `op`, for a step a `layer` (then `at` is the layer's
    number and `label` the op in it), or a `gap`, the longest stretch without the instance's work, which is in front of
    `label`. `cause_ns` is how long that takes here, `factor` how many times its own median (inf where that is 0).
    Where no part makes half of the difference, `moved` of `parts` ops (for a step: ops and layers) lie on the same side
    of their own medians, and the one that is named is the first among them; else both are 0.
    """

    step: str
    layer: int
    time_ns: int
    label: str
    factor: float
    delta_ns: int = 0
    measure: Literal["work", "span"] = "work"
    cause: Literal["op", "layer", "gap"] = "op"
    cause_ns: int = 0
    at: int = -1
    instance: int = -1
    moved: int = 0
    parts: int = 0


@attrs.frozen(eq=False)
class Instances:
    """The instances of a template as parallel arrays, in order of time.

    `region` is each one's row in its tree (-1: what lies outside any step), `first` the row of its first event.
    `work_ns` is the sum of its events' durations, `span_ns` their extent, `busy_ns` their union, and `host_ns` the
    extent of the host's calls that launched them: NULL_I64 where none is known, or one call launched several instances.
    """

    region: Ints
    first: Ints
    work_ns: Ints
    span_ns: Ints
    busy_ns: Ints
    host_ns: Ints

    def __len__(self) -> int:
        """How many there are."""
        return len(self.region)


def no_instances() -> Instances:
    """None at all."""
    return Instances(_none(), _none(), _none(), _none(), _none(), _none())


@attrs.frozen
class Template:
    """One kind of layer of a stack: `count` instances, `numbers` of layers (over all like stacks), and its ops.

    `median_ns`, `p10_ns`, `p90_ns` and `max_ns` are of the work of an instance, `total_ns` of all. `span_ns`, `busy_ns`
    and `host_ns` are the medians of what `Instances` has (`host_ns` None if unknown throughout). `own` are the
    positions of the ops that not all templates of the stack have alike. `outliers` come with the greatest difference
    first.
    """

    title: str
    count: int
    numbers: tuple[int, ...]
    median_ns: int
    p10_ns: int
    p90_ns: int
    max_ns: int
    total_ns: int
    exposed_ns: int | None
    exposed_median_ns: int | None
    span_ns: int
    busy_ns: int
    host_ns: int | None
    ops: tuple[Op, ...]
    own: tuple[int, ...] = ()
    outliers: tuple[Outlier, ...] = ()
    sums: tuple[Sum, ...] = ()
    instances: Instances = attrs.field(factory=no_instances, eq=False, repr=False)

    @property
    def places(self) -> dict[tuple[str, int], Op]:
        """The ops by what stands for them in other templates: their label, and which of that label they are."""
        seen: dict[str, int] = {}
        out = {}
        for op in self.ops:
            number = seen[op.label] = seen.get(op.label, -1) + 1
            out[op.label, number] = op
        return out


@attrs.frozen
class Difference:
    """An op that the templates of a stack do not have alike: its median in each, None where one lacks it.

    `number` says which op of its label it is in a layer, from 0 on.
    """

    label: str
    number: int
    median_ns: tuple[int | None, ...]


@attrs.frozen
class Stack:
    """Like layers, folded: `layers` in each of `instances` stacks, and the slowest layer.

    `templates` are the kinds of layers in it, in order of time, and `ops` what all of them have alike (everything, if
    there is one template). `outliers` are those of all templates, the greatest difference first.
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
    p90_ns: int = 0
    max_ns: int = 0
    exposed_median_ns: int | None = None
    lanes: tuple[tuple[str, int], ...] = ()
    sums: tuple[Sum, ...] = ()
    templates: tuple[Template, ...] = ()
    outliers: tuple[Outlier, ...] = ()

    @property
    def differences(self) -> tuple[Difference, ...]:
        """What not all templates have alike, in order of the templates and of the ops in each."""
        places = [item.places for item in self.templates]
        keys = dict.fromkeys(
            key
            for item, found in zip(self.templates, places, strict=True)
            for key, op in found.items()
            if any(item.ops[place] is op for place in item.own)
        )
        return tuple(
            Difference(key[0], key[1], tuple(found[key].median_ns if key in found else None for found in places))
            for key in keys
        )


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
    `unknown_ns` the part of `work_ns` that has no known role, None if no pass has told roles. `outliers` are steps
    whose extent lies far from the median, the greatest difference first.
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
    busy_ns: int = 0
    host_ns: int | None = None
    outliers: tuple[Outlier, ...] = ()
    instances: Instances = attrs.field(factory=no_instances, eq=False, repr=False)
