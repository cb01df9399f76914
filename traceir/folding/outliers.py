"""Outliers: instances far from the median of their like, and what in them makes the difference."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal

import attrs
import numpy as np

from traceir import units
from traceir.folding.model import Instances, Op, Outlier
from traceir.folding.work import Work
from traceir.ir import Array, Ints, Mask

OUTLIER: Final = 5.0
"""How many robust standard deviations (1.4826 median absolute deviations) from the median an instance is outlying.

Of a million normally distributed instances less than one lies as far, so what is named is not chance; and half of all
instances may be odd before the criterion moves, which a mean and its deviation would follow at once.
"""
NOISE: Final = 0.01
"""The least deviation, as a share of the median: clocks and temperatures alone move times by a percent."""
LEAST: Final = 5
"""Fewer instances have no spread to speak of, and none of them is called outlying."""
_SCALE: Final = 1.4826
_SPLIT: Final = 0.5


def far(values: Ints, threshold: float = OUTLIER) -> Mask:
    """Which values lie more than `threshold` robust standard deviations from the median. O(n)."""
    if len(values) < LEAST:
        return np.zeros(len(values), bool)
    middle = float(np.median(values))
    away = np.abs(values - middle)
    deviation = max(_SCALE * float(np.median(away)), NOISE * abs(middle), 1.0)
    return np.asarray(away > threshold * deviation)


def outliers(
    work: Work, instances: Instances, ops: Sequence[Op], numbers: Array, steps: Sequence[str], threshold: float
) -> tuple[Outlier, ...]:
    """The outlying layers of a template, ranked.

    By their work, and else by their extent where that is longer for want of work: a gap. `numbers` are the layers'
    numbers, `steps` the names of their steps. O(n log n).
    """
    by_work = far(instances.work_ns, threshold)
    idle = instances.span_ns - instances.busy_ns
    by_span = far(instances.span_ns, threshold) & ~by_work & (_over(idle) > _SPLIT * np.abs(_over(instances.span_ns)))
    found = []
    chosen = np.flatnonzero(by_work)
    if len(chosen):
        found += by_op(instances.work_ns, ops, chosen, "work")
    chosen = np.flatnonzero(by_span)
    if len(chosen):
        found += _by_gap(work, instances, ops, chosen)
    named = [_named(item, int(numbers[item.instance]), steps[item.instance]) for item in found]
    return ranked(named)


def ranked(found: Iterable[Outlier]) -> tuple[Outlier, ...]:
    """Outliers in the order in which people want them: by work before by extent, slow before fast, far before near."""
    return tuple(
        sorted(
            found,
            key=lambda item: (item.measure == "span", item.delta_ns < 0, -abs(item.delta_ns), item.instance),
        )
    )


def slowest(instances: Instances, ops: Sequence[Op], numbers: Array, steps: Sequence[str]) -> Outlier:
    """The layer with most work, outlying or not."""
    worst = np.array([int(np.argmax(instances.work_ns))])
    item = by_op(instances.work_ns, ops, worst, "work")[0]
    return _named(item, int(numbers[item.instance]), steps[item.instance])


def _named(item: Outlier, number: int, step: str) -> Outlier:
    return attrs.evolve(item, layer=number, step=step)


def _over(values: Ints) -> Array:
    return values - np.median(values)


def op_times(ops: Sequence[Op], chosen: Ints, count: int) -> Array:
    """The time of each op (row) in each chosen instance (column), in ns; 0 where it lacks it."""
    out = np.zeros((len(ops), len(chosen)), np.int64)
    column = np.full(count, -1)
    column[chosen] = np.arange(len(chosen))
    for number, op in enumerate(ops):
        here = column[op.of]
        out[number] = np.bincount(here[here >= 0], weights=op.dur[here >= 0], minlength=len(chosen))
    return out


def by_op(values: Ints, ops: Sequence[Op], chosen: Ints, measure: Literal["work", "span"]) -> list[Outlier]:
    """Outliers explained by the op that moves them most from the median, in the direction in which they lie."""
    times = op_times(ops, chosen, len(values))
    usual = np.array([op.median_ns if 2 * op.present > op.instances else 0 for op in ops])
    delta = _over(values)[chosen]
    over = (times - usual[:, None]) * np.sign(np.where(delta == 0, 1, delta))
    most = np.argmax(over, axis=0)
    out = []
    for place, instance in enumerate(chosen.tolist()):
        op, time = int(most[place]), int(times[most[place], place])
        out.append(
            Outlier(
                "", -1, int(values[instance]), ops[op].label, _factor(time, int(usual[op])), int(delta[place]),
                measure, "op", time, -1, instance, *spread(over[:, place]),
            )
        )  # fmt: skip
    return out


def spread(over: Array) -> tuple[int, int]:
    """How many parts lie on the side of a difference, and of how many; 0 and 0 if one of them makes half of it."""
    side = over[over > 0]
    return (0, 0) if not len(side) or 2 * side.max() >= side.sum() else (len(side), len(over))


def _factor(time: int, usual: int) -> float:
    return time / usual if usual else float("inf")


def _by_gap(work: Work, instances: Instances, ops: Sequence[Op], chosen: Ints) -> list[Outlier]:
    """Outliers explained by the longest stretch within them in which nothing of theirs ran."""
    column = np.full(len(instances), -1)
    column[chosen] = np.arange(len(chosen))
    owner = np.concatenate([column[op.of] for op in ops])
    number = np.repeat(np.arange(len(ops)), [len(op.of) for op in ops])[owner >= 0]
    rows = np.concatenate([op.rows for op in ops])[owner >= 0]
    gap, before = longest_gaps(work, rows, owner[owner >= 0], len(chosen))
    delta = _over(instances.span_ns)
    return [
        Outlier(
            "", -1, int(instances.span_ns[instance]), ops[int(number[before[place]])].label, float("inf"),
            int(delta[instance]), "span", "gap", int(gap[place]), instance=instance,
        )
        for place, instance in enumerate(chosen.tolist())
    ]  # fmt: skip


def longest_gaps(work: Work, rows: Array, owner: Array, count: int) -> tuple[Ints, Ints]:
    """For each of `count` owners of events the longest stretch without an event of its own, and the one after it.

    The latter as a position in `rows`. Measured from the running maximum of ends, since events may overlap.
    """
    ts, end = work.module["ts"][rows], work.module.end[rows]
    order = np.lexsort((rows, ts, owner))
    group, ts, end = owner[order], ts[order], end[order]
    new = np.append(True, group[1:] != group[:-1])
    base = ts[np.maximum.accumulate(np.where(new, np.arange(len(ts)), 0))]
    wide = int((end - base).max()) + 1
    reach = np.maximum.accumulate(end - base + group * wide)  # one axis for all, laid end to end
    idle = np.where(new, 0, ts - base + group * wide - np.append(0, reach[:-1]))
    best = np.lexsort((-np.arange(len(idle)), idle, group))
    last = best[np.searchsorted(group, np.arange(count), side="right") - 1]
    return np.maximum(idle[last], 0), order[last]


def why(item: Outlier) -> str:
    """What makes the difference: `qkv_proj ×7.0`, `layer 3 ×2.1, most in attention`, `gap of 3.1 ms before embed`.

    Where no op, layer or gap makes half of it: `all 11 ops slower, most down_proj ×1.2`, `gaps, the longest of …`.
    """
    times = f" ×{item.factor:.1f}" if item.factor < float("inf") else f" {units.time(item.cause_ns)}"
    if item.cause == "gap":
        where = f" in layer {item.at}" if item.at >= 0 else ""
        what = "gaps, the longest of" if 2 * item.cause_ns < abs(item.delta_ns) else "gap of"
        return f"{what} {units.time(item.cause_ns)} before {item.label}{where}"
    if item.moved:
        many = f"all {item.parts}" if item.moved == item.parts else f"{item.moved} of {item.parts}"
        kinds = "ops" if item.layer >= 0 else "ops and layers"
        what = f"layer {item.at}" if item.cause == "layer" else item.label
        return f"{many} {kinds} {'faster' if item.delta_ns < 0 else 'slower'}, most {what}{times}"
    if item.cause == "layer":
        return f"layer {item.at}{times}" + (f", most in {item.label}" if item.label else "")
    return f"{item.label}{times}"
