"""Folding: like steps and like layers become one template with statistics over its instances.

A trace of fifty steps with thirty-six layers each is, for a person, one step and one layer. `fold` finds what
repeats from the trees and labels of a module and gives it as plain data; it changes nothing.
"""

from __future__ import annotations

import attrs
import numpy as np

from traceir.ir import NULL_I64, Array, Ints, Mask, Module, Spans
from traceir.ir.annotation import Shown

OTHER = "other"
ALIKE = 2
"""Steps fold only if none costs more than this many times the least of them: a median has to describe them all."""


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
    of extent and of its part in which the device did nothing. `name` is None for work outside any step.
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


@attrs.frozen(eq=False)
class _Work:
    """The device work of a module as parallel arrays, in row order."""

    module: Module
    rows: Array
    dur: Ints
    label: Array
    key: Array
    names: tuple[str, ...]
    symbol: Array
    role: Array
    lane: Array
    step: Array
    layer: Array
    stack: Array
    block: Array
    exposed: Ints | None


def shown_column(module: Module, shown: Shown) -> str | None:
    """The event column that a pass declared for this purpose (the last one, if several did)."""
    found = [
        name
        for name, written in module.annotations.items()
        if written.annotation.shown == shown and written.annotation.domain == "event" and not module.stale(name)
    ]
    return found[-1] if found else None


def fold(module: Module) -> tuple[Step, ...]:
    """Fold a module's device work. O(n log n) in the number of device events.

    Steps are alike if they have the same phase, the same stacks (or, without stacks, the same labels) and a like cost.
    Labels come from the column shown as `label`, else from roles, else from names.
    """
    work = _gather(module)
    steps = [_OneStep.of(work, step) for step in _step_order(work)]
    groups: dict[tuple[object, ...], list[_OneStep]] = {}
    for step in steps:
        groups.setdefault(step.signature, []).append(step)
    alike = [members for group in groups.values() for members in _of_like_cost(work, group)]
    return tuple(_fold_steps(work, members) for members in sorted(alike, key=lambda members: members[0].at[0]))


def _of_like_cost(work: _Work, steps: list[_OneStep]) -> list[list[_OneStep]]:
    """Steps of one shape parted where their work differs by more than ALIKE: prefill and decode run the same layers."""
    cost = {step.region: int(work.dur[step.at].sum()) for step in steps}
    out: list[list[_OneStep]] = []
    for step in sorted(steps, key=lambda step: cost[step.region]):
        if not out or cost[step.region] > ALIKE * max(cost[out[-1][0].region], 1):
            out.append([])
        out[-1].append(step)
    return [sorted(members, key=lambda step: int(step.at[0])) for members in out]


def _codes(module: Module, shown: Shown, rows: Array) -> Array:
    name = shown_column(module, shown)
    return module[name][rows] if name is not None else np.full(len(rows), -1, np.int32)


def _gather(module: Module) -> _Work:
    rows = np.flatnonzero(module.work)
    label, role = _codes(module, "label", rows), _codes(module, "role", rows)
    symbol = _codes(module, "symbol", rows)
    symbol = np.where(symbol >= 0, symbol, module["name"][rows])
    label = np.where(label >= 0, label, np.where(role >= 0, role, symbol))
    exposed = shown_column(module, "sum")
    steps = module.tree("steps").at("step")[rows] if module.has_tree("steps") else np.full(len(rows), -1, np.int32)
    layers = stacks = blocks = np.full(len(rows), -1, np.int32)
    if module.has_tree("layers"):
        tree = module.tree("layers")
        layers, stacks, blocks = tree.at("layer")[rows], tree.at("stack")[rows], tree.at("block")[rows]
    return _Work(
        module=module,
        rows=rows,
        dur=module["dur"][rows],
        label=label,
        key=_keys(module, label, blocks),
        names=module.strings.texts,
        symbol=symbol,
        role=role,
        lane=module["lane"][rows],
        step=steps,
        layer=layers,
        stack=stacks,
        block=blocks,
        exposed=module[exposed][rows] if exposed else None,
    )


def _keys(module: Module, label: Array, blocks: Array) -> Array:
    """One code per (label, kind of block): the all-reduce of the attention and that of the MLP are two ops."""
    if not module.has_tree("layers"):
        return label
    tree = module.tree("layers")
    names = [tree.region_name(region).rpartition(".")[2] for region in range(len(tree))]
    code = {name: number for number, name in enumerate(sorted(set(names)))}
    table = np.array([*(code[name] for name in names), -1], np.int64)
    return np.asarray((table[blocks] + 1) * np.int64(len(module.strings) + 1) + label)


def _step_order(work: _Work) -> list[int]:
    values, first = np.unique(work.step, return_index=True)
    return [int(values[at]) for at in np.argsort(first, kind="stable")]


@attrs.frozen(eq=False)
class _OneStep:
    """One step before folding: positions in the work arrays, its stacks in order, its signature."""

    region: int
    at: Array
    stacks: tuple[int, ...]
    signature: tuple[object, ...]

    @classmethod
    def of(cls, work: _Work, region: int) -> _OneStep:
        at = np.flatnonzero(work.step == region)
        stacks = work.stack[at]
        values, first = np.unique(stacks[stacks >= 0], return_index=True)
        ordered = tuple(int(values[i]) for i in np.argsort(first, kind="stable"))
        shape: tuple[object, ...] = tuple(
            (len(np.unique(work.layer[at][stacks == stack])), bool(_region_value(work.module, "partial", stack)))
            for stack in ordered
        )
        if not shape:
            shape = tuple(np.unique(work.label[at]).tolist())
        phase = _region_text(work.module, "steps", "phase", region)
        return cls(region, at, ordered, (region < 0, phase, shape))


def _region_column(module: Module, tree: str, column: str) -> str | None:
    for name, written in module.annotations.items():
        if written.annotation.domain == f"region:{tree}" and name.partition(".")[2] == column and name in module:
            return name
    return None


def _region_value(module: Module, column: str, region: int) -> float:
    name = _region_column(module, "layers", column)
    return float(module[name][region]) if name is not None else 0.0


def _region_text(module: Module, tree: str, column: str, region: int) -> str:
    name = _region_column(module, tree, column)
    if name is None or region < 0:
        return ""
    return module.text(name)[region] or ""


def _fold_steps(work: _Work, members: list[_OneStep]) -> Step:
    module = work.module
    at = np.concatenate([member.at for member in members])
    instance = np.repeat(np.arange(len(members)), [len(member.at) for member in members])
    spans, idles = zip(*(_extent(work, member.at) for member in members), strict=True)
    launches = module.launch[work.rows[at]]
    slow = int(np.argmax(spans))
    first = members[0].region
    named = module.tree("steps").region_name(members[slow].region) if first >= 0 else None
    return Step(
        name=module.tree("steps").region_name(first) if first >= 0 else None,
        count=len(members),
        phase=_region_text(module, "steps", "phase", first),
        kernels=round(len(at) / len(members)),
        launches=round(len(np.unique(launches[launches >= 0])) / len(members)),
        span_ns=int(np.median(spans)),
        idle_ns=int(np.median(idles)),
        work_ns=int(work.dur[at].sum()),
        exposed_ns=_sum_exposed(work, at),
        lanes=_lane_names(work, at),
        items=_items(work, members, at, instance),
        slowest=(named, spans[slow]) if named is not None and len(members) > 1 else None,
        mark=_region_text(module, "steps", "mark_text", first),
    )


def _extent(work: _Work, at: Array) -> tuple[int, int]:
    """The extent of a step's work and how much of it the step's devices were all idle."""
    rows = work.rows[at]
    module = work.module
    low, high = int(module["ts"][rows].min()), int(module.end[rows].max())
    busy = _busy(module, tuple(np.unique(module.device[rows]).tolist()))
    return high - low, high - low - int(busy.covered(np.array([low]), np.array([high]))[0])


def _busy(module: Module, devices: tuple[int, ...]) -> Spans:
    def compute() -> Spans:
        chosen = module.work & np.isin(module.device, devices)
        return Spans.of(module["ts"][chosen], module.end[chosen])

    return module.derive(f"busy {devices}", ("ts", "dur", "kind", "lane", "live"), compute)


def _lane_names(work: _Work, at: Array) -> tuple[str, ...]:
    """The lanes of some work, most time first."""
    lanes, inverse = np.unique(work.lane[at], return_inverse=True)
    total = np.bincount(inverse, weights=work.dur[at])
    return tuple(work.module.lanes[int(lanes[i])].name for i in np.argsort(-total, kind="stable"))


def _sum_exposed(work: _Work, at: Array) -> int | None:
    if work.exposed is None:
        return None
    values = work.exposed[at]
    known = values != NULL_I64
    return int(values[known].sum()) if known.any() else None


def _items(work: _Work, members: list[_OneStep], at: Array, instance: Array) -> tuple[Op | Stack, ...]:
    """The stacks and, before, between and after them, the ops outside layers, in order of time."""
    depth = max(len(member.stacks) for member in members)
    order = np.concatenate([_segments(work, member) for member in members])
    items: list[Op | Stack] = []
    for place in range(2 * depth + 1):
        here = order == place
        if not here.any():
            continue
        if place % 2:
            items.append(_fold_stack(work, members, at[here], place // 2))
        else:
            items.extend(_ops(work, at[here], instance[here], len(members)))
    return tuple(items)


def _segments(work: _Work, member: _OneStep) -> Array:
    """For each event of a step its place: 2·k+1 inside its k-th stack, 2·k after k stacks have begun."""
    starts = work.module["ts"][work.rows[member.at]]
    stack = work.stack[member.at]
    out = np.zeros(len(member.at), np.int64)
    for number, region in enumerate(member.stacks):
        begun = int(starts[stack == region].min())
        out[(stack < 0) & (starts >= begun)] = 2 * (number + 1)
        out[stack == region] = 2 * number + 1
    return out


def _fold_stack(work: _Work, members: list[_OneStep], at: Array, number: int) -> Stack:
    module = work.module
    regions = [member.stacks[number] for member in members if number < len(member.stacks)]
    layers, instance = np.unique(work.layer[at], return_inverse=True)
    total = np.bincount(instance, weights=work.dur[at]).astype(np.int64)
    ops = _ops(work, at, instance, len(layers))
    variant = _region_column(module, "layers", "variant")
    confidence = [_region_value(module, "confidence", region) for region in regions]
    return Stack(
        layers=round(len(layers) / len(regions)),
        instances=len(regions),
        evidence=_region_text(module, "layers", "evidence", regions[0]),
        confidence=min(confidence) if any(confidence) else None,
        partial=bool(_region_value(module, "partial", regions[0])),
        median_ns=int(np.median(total)),
        total_ns=int(total.sum()),
        exposed_ns=_sum_exposed(work, at),
        ops=ops,
        slowest=_slowest(work, at, layers, instance, total, ops),
        variants=len(np.unique(module[variant][layers])) if variant else 1,
    )


def _slowest(
    work: _Work, at: Array, layers: Array, instance: Array, total: Ints, ops: tuple[Op, ...]
) -> Outlier | None:
    if len(layers) < 3:
        return None
    worst = int(np.argmax(total))
    tree = work.module.tree("layers")
    inside = instance == worst
    times: dict[tuple[str, str], int] = {}
    for position in np.flatnonzero(inside).tolist():
        code = int(work.label[at[position]])
        name = (work.names[code] if code >= 0 else OTHER, _block(work, at[position : position + 1]))
        times[name] = times.get(name, 0) + int(work.dur[at[position]])
    medians = {(op.label, op.block): op.median_ns for op in ops}
    worst_op = max(times, key=lambda name: (times[name] - medians.get(name, 0), name))
    step = int(work.step[at[inside]][0])
    return Outlier(
        step=work.module.tree("steps").region_name(step) if step >= 0 else "",
        layer=int(tree.regions["index"][layers[worst]]),
        time_ns=int(total[worst]),
        label=worst_op[0],
        factor=times[worst_op] / medians[worst_op] if medians.get(worst_op) else float("inf"),
    )


def _ops(work: _Work, at: Array, instance: Array, instances: int) -> tuple[Op, ...]:
    """The labels of some work over its instances, in order of their median place in an instance."""
    keys, inverse = np.unique(work.key[at], return_inverse=True)
    place = _place(instance)
    cell, cell_of = np.unique(inverse * np.int64(instances) + instance, return_inverse=True)
    times = np.bincount(cell_of, weights=work.dur[at]).astype(np.int64)
    counts = np.bincount(cell_of)
    ops = []
    for number in range(len(keys)):
        chosen = cell // instances == number
        here = at[inverse == number]
        code = int(work.label[here[0]])
        usual = np.bincount(counts[chosen]).argmax()
        sample = _sample(cell, counts, chosen, int(usual))
        low, middle, high = np.percentile(times[chosen], [10, 50, 90])
        op = Op(
            label=work.names[code] if code >= 0 else OTHER,
            kernels=int(usual),
            symbols=tuple(work.names[c] for c in work.symbol[at[cell_of == sample]].tolist()),
            roles=_most(work, work.role[here], work.dur[here]),
            lanes=_lane_names(work, here),
            present=int(chosen.sum()),
            instances=instances,
            median_ns=int(middle),
            p10_ns=int(low),
            p90_ns=int(high),
            total_ns=int(times[chosen].sum()),
            exposed_ns=_sum_exposed(work, here),
            block=_block(work, here),
        )
        ops.append((float(np.median(place[inverse == number])), op.label, op))
    return tuple(op for _, _, op in sorted(ops, key=lambda item: item[:2]))


def _place(instance: Array) -> Array:
    """Each event's position within its instance (events come in order of time)."""
    order = np.argsort(instance, kind="stable")
    ordered = instance[order]
    first = np.searchsorted(ordered, ordered)
    out = np.empty(len(instance), np.int64)
    out[order] = np.arange(len(instance)) - first
    return out


def _sample(cell: Array, counts: Array, chosen: Mask, usual: int) -> int:
    """An instance in the middle that has the usual number of kernels of the label."""
    typical = np.flatnonzero(chosen & (counts == usual))
    return int(typical[len(typical) // 2])


def _most(work: _Work, codes: Array, weights: Ints) -> tuple[str, ...]:
    values, inverse = np.unique(codes, return_inverse=True)
    total = np.bincount(inverse, weights=weights)
    return tuple(work.names[int(values[i])] for i in np.argsort(-total, kind="stable") if values[i] >= 0)


def _block(work: _Work, at: Array) -> str:
    region = int(work.block[at[0]])
    return work.module.tree("layers").region_name(region).rpartition(".")[2] if region >= 0 else ""
