"""Steps: which are alike, their extents, and their items in order of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from traceir.folding.extents import extents, median_known
from traceir.folding.gaps import GapTable
from traceir.folding.model import Op, Stack, Step
from traceir.folding.ops import fold_ops
from traceir.folding.outliers import LEAST, OUTLIER
from traceir.folding.stacks import fold_stack
from traceir.folding.stepwise import outlying_steps
from traceir.folding.work import OneStep, Work, gather
from traceir.ir import Array, Ints, Module, Spans
from traceir.ir.window import outside_launches

ALIKE: Final = 2
"""Steps fold if none costs more than this many times the least of them: a median has to describe them all."""
FEW: Final = 4
"""Steps of another cost are outliers of so many times as many, if these are more than `LEAST` together."""
PASSES: Final = 3
"""Like stacks of one step that are one item: of fewer, the order in which they come says more."""
NEW: Final = 0.1
"""The most of a slow step's work that kernels may do which its like do not run: else it does something else."""


def fold(module: Module, threshold: float = OUTLIER) -> tuple[Step, ...]:
    """Fold a module's device work. O(n log n) in the number of device events.

    Steps are alike if they have the same phase, the same stacks (or, without stacks, the same labels) and a like cost;
    a few that cost more or less and run the same kernels are outliers among these. Labels come from the column shown
    as `label`, else from roles, else from names. Instances more than `threshold` robust standard deviations from the
    median of their like are named as outliers.
    """
    work = gather(module)
    judged = GapTable.of(work)
    return tuple(_fold_steps(work, members, judged, threshold) for members in alike(work))


def alike(work: Work) -> list[list[OneStep]]:
    """The steps that fold into one, in order of the first of each."""
    groups: dict[tuple[object, ...], list[OneStep]] = {}
    for step in _steps(work):
        groups.setdefault(step.signature, []).append(step)
    out = [members for group in groups.values() for members in _of_like_cost(work, group)]
    return sorted(out, key=lambda members: int(members[0].at[0]))


def _of_like_cost(work: Work, steps: list[OneStep]) -> list[list[OneStep]]:
    """Steps of one shape parted where their cost differs by more than ALIKE: prefill and decode run the same layers.

    The cost that most of them are within comes first, so that one quick step moves no border. A few steps of another
    cost that run what the most do are slow or quick ones of these: outliers, and no steps of another kind.
    """
    windows = _windows(sorted((float(step.work_ns), k) for k, step in enumerate(steps)))
    parts = [[steps[k] for k in sorted(k for _, k in part)] for part in windows]
    if len(parts) < 2 or len(steps) <= LEAST:
        return parts
    main, *others = parts
    few = [part for part in others if FEW * len(part) <= len(main)]
    names, replayed = _names(work, main), _replayed(work, main)
    odd = [part for part in few if _new(work, part, names) <= NEW and _replayed(work, part) == replayed]
    if FEW * sum(map(len, odd)) > len(main):
        return parts
    joined = sorted([*main, *(step for part in odd for step in part)], key=lambda step: int(step.at[0]))
    return [joined, *(part for part in others if not any(part is one for one in odd))]


def _names(work: Work, steps: Sequence[OneStep]) -> Array:
    """The kernels of some steps."""
    return np.unique(work.symbol[np.concatenate([step.at for step in steps])])


def _new(work: Work, steps: Sequence[OneStep], names: Array) -> float:
    """The share of some steps' work that other kernels than these do."""
    at = np.concatenate([step.at for step in steps])
    dur, total = work.dur[at], int(work.dur[at].sum())
    return float(dur[~np.isin(work.symbol[at], names)].sum() / total) if total else 0.0


def _replayed(work: Work, steps: Sequence[OneStep]) -> bool:
    """Whether graphs started most of the work of some steps."""
    launch = work.module.launch[work.rows[np.concatenate([step.at for step in steps])]]
    known = launch[launch >= 0]
    return bool(2 * work.module.is_kind("rt.graph_launch")[known].sum() > len(launch))


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
    places = stack_places(work, members)
    place = np.concatenate([_segments(work, member, places) for member in members])
    order = np.argsort(place, kind="stable")
    used, begins = np.unique(place[order], return_index=True)
    items: list[Op | Stack] = []
    for number, here in zip(used.tolist(), np.split(order, begins[1:]), strict=True):
        if number % 2:
            items.append(fold_stack(work, _in_order(work.stack[at[here]]), at[here], threshold))
        else:
            items.extend(fold_ops(work, at[here], instance[here], len(members)))
    return tuple(items)


def stack_places(work: Work, members: Sequence[OneStep]) -> dict[int, int]:
    """For each stack of like steps the place where it folds: those of one place are one item.

    The k-th stacks of all steps are of one place. If each step holds PASSES like stacks or more (of equal layers, lane,
    direction and body, and of a like cost), these are too: as when one mark is around all tokens of an answer.
    """
    cost = np.bincount(work.stack[work.stack >= 0], weights=work.dur[work.stack >= 0], minlength=1)
    depth = max(len(member.stacks) for member in members)
    alike: dict[tuple[object, ...], list[tuple[float, int]]] = {}
    for k in range(depth):
        regions = [member.stacks[k] for member in members if k < len(member.stacks)]
        usual = float(np.median(cost[regions]))
        alike.setdefault(_kind(work, regions[0], members[0].signature, k), []).append((usual, k))
    kind = np.arange(depth)
    for found in alike.values():
        for part in _windows(sorted(found)) if len(found) >= PASSES else []:
            if len(part) >= PASSES:
                kind[[k for _, k in part]] = min(k for _, k in part)
    number = np.unique(kind, return_inverse=True)[1].tolist()
    return {region: number[k] for member in members for k, region in enumerate(member.stacks)}


def _kind(work: Work, stack: int, signature: tuple[object, ...], k: int) -> tuple[object, ...]:
    """What stacks of one step have to have in common to fold: layers, whether cut, lane, direction, and body."""
    shape = signature[2]
    return (
        shape[k] if isinstance(shape, tuple) else None,
        work.layers.number("group.lane", stack),
        work.layers.number("group.direction", stack),
        work.layers.text("group.template", stack),
    )


def _windows(ordered: Sequence[tuple[float, int]]) -> list[list[tuple[float, int]]]:
    """Pairs in order of their cost as parts of which none costs more than ALIKE times the least, the largest first."""
    out, left = [], list(ordered)
    while left:
        cost = np.array([max(value, 1.0) for value, _ in left])
        most = np.searchsorted(cost, ALIKE * cost, side="right") - np.arange(len(left))
        first = int(np.argmax(most))
        stop = first + int(most[first])
        out.append(left[first:stop])
        left = left[:first] + left[stop:]
    return out


def _segments(work: Work, member: OneStep, places: dict[int, int]) -> Ints:
    """For each event of a step its place: 2·k+1 inside a stack of place k, 2·k+2 after one has begun, before others."""
    starts, stack = work.module["ts"][work.rows[member.at]], work.stack[member.at]
    if not member.stacks:
        return np.zeros(len(member.at), np.int64)
    _, first = np.unique(stack[stack >= 0], return_index=True)
    begun = np.sort(starts[stack >= 0][first])  # events come in order of time, and so do the stacks
    of = np.array([-1, *(places[region] for region in member.stacks)])
    table = np.full(int(work.stack.max()) + 2, -1)
    table[list(member.stacks)] = of[1:]
    outside = 2 * of[np.searchsorted(begun, starts, side="right")] + 2
    return np.where(stack >= 0, 2 * table[stack] + 1, outside)
