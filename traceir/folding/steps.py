"""Steps: which are alike, their extents, and their items in order of time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from traceir.folding.extents import extents, median_known
from traceir.folding.gaps import GapTable
from traceir.folding.model import Op, Stack, Step
from traceir.folding.ops import fold_ops
from traceir.folding.outliers import OUTLIER
from traceir.folding.stacks import fold_stack
from traceir.folding.stepwise import outlying_steps
from traceir.folding.work import OneStep, Work, gather
from traceir.ir import Array, Ints, Module, Spans
from traceir.ir.window import outside_launches

ALIKE = 2
"""Steps fold only if none costs more than this many times the least of them: a median has to describe them all."""


def fold(module: Module, threshold: float = OUTLIER) -> tuple[Step, ...]:
    """Fold a module's device work. O(n log n) in the number of device events.

    Steps are alike if they have the same phase, the same stacks (or, without stacks, the same labels) and a like
    cost. Labels come from the column shown as `label`, else from roles, else from names. Instances more than
    `threshold` robust standard deviations from the median of their like are named as outliers.
    """
    work = gather(module)
    judged = GapTable.of(work)
    return tuple(_fold_steps(work, members, judged, threshold) for members in alike(work))


def alike(work: Work) -> list[list[OneStep]]:
    """The steps that fold into one, in order of the first of each."""
    groups: dict[tuple[object, ...], list[OneStep]] = {}
    for step in _steps(work):
        groups.setdefault(step.signature, []).append(step)
    out = [members for group in groups.values() for members in _of_like_cost(group)]
    return sorted(out, key=lambda members: int(members[0].at[0]))


def _of_like_cost(steps: list[OneStep]) -> list[list[OneStep]]:
    """Steps of one shape parted where their cost differs by more than ALIKE: prefill and decode run the same layers."""
    out: list[list[OneStep]] = []
    for step in sorted(steps, key=lambda step: step.work_ns):
        if not out or step.work_ns > ALIKE * max(out[-1][0].work_ns, 1):
            out.append([])
        out[-1].append(step)
    return [sorted(members, key=lambda step: int(step.at[0])) for members in out]


def _steps(work: Work) -> list[OneStep]:
    """The steps in order of their regions, and the work outside any step as a step of region -1."""
    if not len(work.rows):
        return []
    order = np.argsort(work.step, kind="stable")
    regions, begins = np.unique(work.step[order], return_index=True)
    parts = np.split(order, begins[1:])
    low = np.minimum.reduceat(work.module["ts"][work.rows[order]], begins)
    high = np.maximum.reduceat(work.module.end[work.rows[order]], begins)
    cost = np.add.reduceat(work.dur[order], begins)
    idle = high - low - _busy_within(work, parts, low, high)
    sizes = _layers_in(work)
    out = []
    for number, region in enumerate(regions.tolist()):
        at = parts[number]
        stacks = _in_order(work.stack[at])
        shape: tuple[object, ...] = tuple(
            (sizes[stack], bool(work.layers.number("group.partial", stack))) for stack in stacks
        )
        shape = shape or tuple(np.unique(work.label[at]).tolist())
        signature = (region < 0, work.steps.text("group.phase", region), shape)
        extent = int(low[number]), int(high[number])
        out.append(OneStep(region, at, *extent, int(idle[number]), int(cost[number]), stacks, signature))
    return out


def _in_order(regions: Array) -> tuple[int, ...]:
    """The distinct regions in order of first appearance, without -1."""
    values, first = np.unique(regions, return_index=True)
    return tuple(int(values[i]) for i in np.argsort(first, kind="stable") if values[i] >= 0)


def _layers_in(work: Work) -> dict[int, int]:
    """How many layers of each stack have device work."""
    inside = work.layer >= 0
    _, first = np.unique(work.layer[inside], return_index=True)
    stacks, counts = np.unique(work.stack[inside][first], return_counts=True)
    found = dict(zip(stacks.tolist(), counts.tolist(), strict=True))
    return {**dict.fromkeys(np.unique(work.stack).tolist(), 0), **found}


def _busy_within(work: Work, parts: Sequence[Array], low: Ints, high: Ints) -> Ints:
    """How long within each step's extent any of the step's devices was busy, whoever's work it was."""
    module = work.module
    device = module.device[work.rows]
    if (device == device[0]).all():
        return Spans.of(module["ts"][work.rows], module.end[work.rows]).covered(low, high)
    out = np.zeros(len(parts), np.int64)
    used = [tuple(np.unique(device[part]).tolist()) for part in parts]
    for devices in dict.fromkeys(used):
        rows = work.rows[np.isin(device, devices)]
        mine = np.array([item == devices for item in used])
        out[mine] = Spans.of(module["ts"][rows], module.end[rows]).covered(low[mine], high[mine])
    return out


def _fold_steps(work: Work, members: list[OneStep], judged: GapTable | None, threshold: float) -> Step:
    at = np.concatenate([member.at for member in members])
    instance = np.repeat(np.arange(len(members)), [len(member.at) for member in members])
    spans = [member.high - member.low for member in members]
    slow = int(np.argmax(spans))
    first = members[0].region
    rows = work.rows[at]
    inside, outside = work.module.launch[rows], outside_launches(work.module)[rows]
    launches = np.where(inside >= 0, work.module["id"][inside], outside)
    items = _items(work, members, at, instance, threshold)
    instances = extents(work, at, instance, np.array([member.region for member in members]))
    return Step(
        name=work.steps.name(first) or None,
        count=len(members),
        phase=work.steps.text("group.phase", first),
        kernels=round(len(at) / len(members)),
        launches=round(len(np.unique(launches[launches >= 0])) / len(members)),
        span_ns=int(np.median(spans)),
        idle_ns=int(np.median([member.idle_ns for member in members])),
        work_ns=sum(member.work_ns for member in members),
        exposed_ns=work.exposed_of(at),
        lanes=work.lanes_of(at),
        items=items,
        slowest=(work.steps.name(members[slow].region), spans[slow]) if first >= 0 and len(members) > 1 else None,
        mark=work.steps.text("group.mark_text", first),
        grouped=work.module.has_tree("steps"),
        last=work.steps.name(members[-1].region) or None,
        contiguous=members[-1].region - first == len(members) - 1,
        fastest_ns=min(spans),
        exposed_median_ns=work.exposed_median_of(at, instance),
        gaps=judged.within(work, members, at, instance) if judged is not None else None,
        unknown_ns=work.unknown_of(at),
        sums=work.sums_of(at, instance),
        busy_ns=int(np.median(instances.busy_ns)),
        host_ns=median_known(instances.host_ns),
        outliers=outlying_steps(work, members, instances, items, at, instance, threshold),
        instances=instances,
    )


def _items(work: Work, members: list[OneStep], at: Array, instance: Array, threshold: float) -> tuple[Op | Stack, ...]:
    """The stacks and, before, between and after them, the ops outside layers, in order of time."""
    depth = max(len(member.stacks) for member in members)
    order = np.concatenate([_segments(work, member) for member in members])
    items: list[Op | Stack] = []
    for place in range(2 * depth + 1):
        here = order == place
        if not here.any():
            continue
        if place % 2:
            regions = [member.stacks[place // 2] for member in members if place // 2 < len(member.stacks)]
            items.append(fold_stack(work, regions, at[here], threshold))
        else:
            items.extend(fold_ops(work, at[here], instance[here], len(members)))
    return tuple(items)


def _segments(work: Work, member: OneStep) -> Array:
    """For each event of a step its place: 2·k+1 inside its k-th stack, 2·k after k stacks have begun."""
    starts = work.module["ts"][work.rows[member.at]]
    stack = work.stack[member.at]
    out = np.zeros(len(member.at), np.int64)
    for number, region in enumerate(member.stacks):
        inside = stack == region
        begun = int(starts[np.argmax(inside)])  # events come in order of time
        out[(stack < 0) & (starts >= begun)] = 2 * (number + 1)
        out[inside] = 2 * number + 1
    return out
