"""Ops and stacks: statistics per label over the instances of a layer or a step."""

from __future__ import annotations

import numpy as np

from traceir.folding.model import Op, Outlier, Stack
from traceir.folding.sums import median_sum
from traceir.folding.work import Work
from traceir.ir import Array, Ints, Mask


def fold_stack(work: Work, regions: list[int], at: Array) -> Stack:
    """The like stacks `regions` as one, over the work `at` of all of them."""
    layers, instance = np.unique(work.layer[at], return_inverse=True)
    total = np.bincount(instance, weights=work.dur[at]).astype(np.int64)
    ops = fold_ops(work, at, instance, len(layers))
    variant = work.layers.find("group.variant")
    confidence = [work.layers.number("group.confidence", region) for region in regions]
    return Stack(
        layers=round(len(layers) / len(regions)),
        instances=len(regions),
        evidence=work.layers.text("group.evidence", regions[0]),
        confidence=min(confidence) if any(confidence) else None,
        partial=bool(work.layers.number("group.partial", regions[0])),
        median_ns=int(np.median(total)),
        total_ns=int(total.sum()),
        exposed_ns=work.exposed_of(at),
        ops=ops,
        slowest=_slowest(work, at, layers, instance, total, ops),
        variants=len(np.unique(work.module[variant][layers])) if variant else 1,
        p90_ns=int(np.percentile(total, 90)),
        max_ns=int(total.max()),
        exposed_median_ns=work.exposed_median_of(at, instance),
        lanes=_by_lane(work, at, instance),
        sums=work.sums_of(at, instance),
    )


def _by_lane(work: Work, at: Array, instance: Array) -> tuple[tuple[str, int], ...]:
    """The lanes of some work with the median per instance of the time there (of instances that use it), most first."""
    lane, dur = work.lane[at], work.dur[at]
    used = np.flatnonzero(np.bincount(lane)).tolist()
    out = []
    for number in used:
        here = lane == number if len(used) > 1 else slice(None)
        out.append((work.module.lanes[number].name, int(median_sum(instance[here], dur[here]))))
    return tuple(sorted(out, key=lambda item: -item[1]))


def _slowest(work: Work, at: Array, layers: Array, instance: Array, total: Ints, ops: tuple[Op, ...]) -> Outlier | None:
    if len(layers) < 3:
        return None
    worst = int(np.argmax(total))
    tree = work.module.tree("layers")
    inside = instance == worst
    times: dict[tuple[str, str], int] = {}
    for position in np.flatnonzero(inside).tolist():
        name = (work.label_of(at[position]), work.block_of(at[position]))
        times[name] = times.get(name, 0) + int(work.dur[at[position]])
    medians = {(op.label, op.block): op.median_ns for op in ops}
    worst_op = max(times, key=lambda name: (times[name] - medians.get(name, 0), name))
    step = int(work.step[at[inside]][0])
    return Outlier(
        step=work.steps.name(step),
        layer=int(tree.regions["index"][layers[worst]]),
        time_ns=int(total[worst]),
        label=worst_op[0],
        factor=times[worst_op] / medians[worst_op] if medians.get(worst_op) else float("inf"),
    )


def fold_ops(work: Work, at: Array, instance: Array, instances: int) -> tuple[Op, ...]:
    """The labels of some work over its instances, in order of their median place in an instance."""
    keys, inverse = np.unique(work.key[at], return_inverse=True)
    place = _place(instance)
    cell, cell_of = _cells(inverse * np.int64(instances) + instance, len(keys) * instances)
    times = np.bincount(cell_of, weights=work.dur[at]).astype(np.int64)
    counts = np.bincount(cell_of)
    ops = []
    for number in range(len(keys)):
        chosen = cell // instances == number
        here = at[inverse == number]
        usual = np.bincount(counts[chosen]).argmax()
        sample = _sample(cell, counts, chosen, int(usual))
        low, middle, high = np.percentile(times[chosen], [10, 50, 90])
        op = Op(
            label=work.label_of(here[0]),
            kernels=int(usual),
            symbols=tuple(work.name(c) for c in work.symbol[at[cell_of == sample]].tolist()),
            roles=work.roles_of(here),
            lanes=work.lanes_of(here),
            present=int(chosen.sum()),
            instances=instances,
            median_ns=int(middle),
            p10_ns=int(low),
            p90_ns=int(high),
            total_ns=int(times[chosen].sum()),
            exposed_ns=work.exposed_of(here),
            block=work.block_of(here[0]),
            max_ns=int(times[chosen].max()),
            exposed_median_ns=work.exposed_median_of(here, instance[inverse == number]),
            sums=work.sums_of(here, instance[inverse == number]),
        )
        ops.append((float(np.median(place[inverse == number])), op.label, op))
    return tuple(op for _, _, op in sorted(ops, key=lambda item: item[:2]))


def _cells(code: Array, most: int) -> tuple[Array, Array]:
    """The distinct codes below `most` in order, and which of them each code is: by counting, where that is not far."""
    if most > 4 * len(code) + 2**20:
        return np.unique(code, return_inverse=True)
    used = np.bincount(code, minlength=most) > 0
    return np.flatnonzero(used), (np.cumsum(used) - 1)[code]


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
