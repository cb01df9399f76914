"""Stacks: like layers as templates, the ops that all of them have alike, and those that make them differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import attrs
import numpy as np

from traceir.folding.extents import extents, median_known
from traceir.folding.model import Op, Outlier, Stack, Template
from traceir.folding.ops import fold_ops
from traceir.folding.outliers import outliers, ranked, slowest
from traceir.folding.sums import median_sum
from traceir.folding.templates import Slots, slotted
from traceir.folding.work import Work
from traceir.ir import Array, Ints

DIFFERS: Final = 1.2
"""An op that templates share differs between them if its times lie apart and the medians by more than this factor."""


def fold_stack(work: Work, regions: Sequence[int], at: Array, threshold: float) -> Stack:
    """The like stacks `regions` as one, over the work `at` of all of them, in order of time in each. O(n log n)."""
    layers, instance = np.unique(work.layer[at], return_inverse=True)
    slots = slotted(work, at, instance, work.module.tree("layers").regions["index"][layers])
    code = _op_of_slot(work, at, slots)
    which, line = slots.template[instance], slots.line
    titles = _titles(work, layers, slots)
    templates = tuple(
        _template(work, titles[number], layers[slots.template == number], at[here], code[here], line[here], threshold)
        for number in range(slots.templates)
        for here in (which == number if slots.templates > 1 else slice(None),)
    )
    templates, common = _compared(work, templates, at, instance, len(layers))
    total = np.bincount(instance, weights=work.dur[at]).astype(np.int64)
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
        ops=common,
        slowest=_slowest(work, templates) if len(layers) > 2 else None,
        p90_ns=int(np.percentile(total, 90)),
        max_ns=int(total.max()),
        exposed_median_ns=work.exposed_median_of(at, instance),
        lanes=_by_lane(work, at, instance),
        sums=work.sums_of(at, instance),
        templates=templates,
        outliers=ranked(one for item in templates for one in item.outliers),
    )


def _op_of_slot(work: Work, at: Array, slots: Slots) -> Ints:
    """A code for each event's op: the slots of one template whose events mostly have one key are one op."""
    keys, key = np.unique(work.key[at], return_inverse=True)
    cell, count = np.unique(slots.slot * len(keys) + key, return_counts=True)
    slot = cell // len(keys)
    order = np.lexsort((cell, -count, slot))
    first = order[np.append(True, slot[order][1:] != slot[order][:-1])]
    most = np.empty(slots.slots, np.int64)
    most[slot[first]] = cell[first] % len(keys)
    return np.asarray(most[slots.slot])


def _titles(work: Work, layers: Array, slots: Slots) -> list[str]:
    """What each template is called: by the kind of most of its layers, numbered where several are of one kind."""
    variant = work.layers.find("group.variant")
    seen: Counter[str] = Counter()
    out = []
    for number in range(slots.templates):
        kind = "layer"
        if variant is not None:
            codes = work.module[variant][layers[slots.template == number]]
            codes = codes[codes >= 0]
            kind = work.name(int(np.bincount(codes).argmax())) if len(codes) else kind
        seen[kind] += 1
        out.append(kind if seen[kind] == 1 else f"{kind}.{seen[kind]}")
    return out


def _template(work: Work, title: str, layers: Array, at: Array, code: Array, line: Array, threshold: float) -> Template:
    """One template: its `layers`, and the work of all of them with the code and the line of each event's op."""
    instance = np.searchsorted(layers, work.layer[at])
    lane = work.lane[at]
    ops = fold_ops(work, at, instance, len(layers), code, line if (lane == lane[0]).all() else None)
    instances = extents(work, at, instance, layers)
    order = np.argsort(instances.first, kind="stable")
    if (order[1:] < order[:-1]).any():
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        instances = extents(work, at, rank[instance], layers[order])
        ops = tuple(attrs.evolve(op, of=rank[op.of]) for op in ops)
        layers, instance = layers[order], rank[instance]
    numbers = work.module.tree("layers").regions["index"][layers]
    times = instances.work_ns
    low, middle, high = np.percentile(times, [10, 50, 90])
    return Template(
        title=title,
        count=len(layers),
        numbers=tuple(np.unique(numbers).tolist()),
        median_ns=int(middle),
        p10_ns=int(low),
        p90_ns=int(high),
        max_ns=int(times.max()),
        total_ns=int(times.sum()),
        exposed_ns=work.exposed_of(at),
        exposed_median_ns=work.exposed_median_of(at, instance),
        span_ns=int(np.median(instances.span_ns)),
        busy_ns=int(np.median(instances.busy_ns)),
        host_ns=median_known(instances.host_ns),
        ops=ops,
        outliers=outliers(work, instances, ops, numbers, _Steps(work, instances.first), threshold),
        sums=work.sums_of(at, instance),
        instances=instances,
    )


class _Steps(Sequence[str]):
    """The names of the steps of instances, looked up where one is asked for."""

    def __init__(self, work: Work, first: Ints) -> None:
        self._work, self._first = work, first

    def __len__(self) -> int:
        return len(self._first)

    def __getitem__(self, number: int) -> str:  # type: ignore[override]
        position = int(np.searchsorted(self._work.rows, self._first[number]))
        return self._work.steps.name(int(self._work.step[position]))


def _slowest(work: Work, templates: Sequence[Template]) -> Outlier:
    found = [
        slowest(
            item.instances,
            item.ops,
            work.module.tree("layers").regions["index"][item.instances.region],
            _Steps(work, item.instances.first),
        )
        for item in templates
    ]
    return max(found, key=lambda one: one.time_ns)


def _compared(
    work: Work, templates: tuple[Template, ...], at: Array, instance: Array, layers: int
) -> tuple[tuple[Template, ...], tuple[Op, ...]]:
    """The templates with what is their own, and what all of them have alike, over all layers."""
    if len(templates) == 1:
        return templates, templates[0].ops
    having = [item.places for item in templates]
    alike = {
        key: number
        for number, (key, op) in enumerate(having[0].items())
        if all(key in found and _alike(op, found[key]) for found in having[1:])
    }
    shared = {id(found[key]) for found in having for key in alike}
    out = tuple(
        attrs.evolve(item, own=tuple(place for place, op in enumerate(item.ops) if id(op) not in shared))
        for item in templates
    )
    if not alike:
        return out, ()
    code = np.full(len(work.module), -1)
    for found in having:
        for key, number in alike.items():
            code[found[key].rows] = number
    codes = code[work.rows[at]]
    here = codes >= 0
    return out, fold_ops(work, at[here], instance[here], layers, codes[here])


def _alike(left: Op, right: Op) -> bool:
    """Whether two templates have an op of one label alike: the same kernels, at a like cost."""
    if left.symbols != right.symbols:
        return False
    low, high = sorted((left, right), key=lambda op: op.median_ns)
    return low.p90_ns >= high.p10_ns or high.median_ns <= DIFFERS * low.median_ns


def _by_lane(work: Work, at: Array, instance: Array) -> tuple[tuple[str, int], ...]:
    """The lanes of some work with the median per instance of the time there (of instances that use it), most first."""
    lane, dur = work.lane[at], work.dur[at]
    used = np.flatnonzero(np.bincount(lane)).tolist()
    out = []
    for number in used:
        here = lane == number if len(used) > 1 else slice(None)
        out.append((work.module.lanes[number].name, int(median_sum(instance[here], dur[here]))))
    return tuple(sorted(out, key=lambda item: -item[1]))
