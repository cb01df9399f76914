"""Outlying steps: which of many like steps took another time, and whether an op, a layer or a gap made it."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

from traceir.folding.model import Instances, Op, Outlier, Stack, Template
from traceir.folding.outliers import by_op, far, longest_gaps, ranked, spread
from traceir.folding.work import OneStep, Work
from traceir.ir import Array, Ints

_SPLIT = 0.5
"""A step is outlying by a gap if more than this share of its difference is idle time."""


@attrs.frozen(eq=False)
class _Part:
    """What makes steps differ: the time of one op or layer in each step, ns, and what it is.

    Of a layer with the template that it is of in each step and its instance there, as positions (-1 none).
    """

    time: Ints
    op: Op | None
    stack: Stack | None = None
    layer: int = -1
    template: Ints = attrs.field(factory=lambda: np.empty(0, np.int64))
    instance: Ints = attrs.field(factory=lambda: np.empty(0, np.int64))


def outlying_steps(
    work: Work,
    members: Sequence[OneStep],
    instances: Instances,
    items: Sequence[Op | Stack],
    at: Array,
    instance: Array,
    threshold: float,
) -> tuple[Outlier, ...]:
    """The steps whose extent lies far from the median, the greatest difference first, each with what makes it so.

    That is the gap in it, if most of the difference is idle time, else the op or the layer that is furthest from its
    own median in the direction of the difference. O(n) where there are any.
    """
    chosen = np.flatnonzero(far(instances.span_ns, threshold))
    if not len(chosen):
        return ()
    delta = instances.span_ns - int(np.median(instances.span_ns))
    idle = np.array([member.idle_ns for member in members])
    idle = idle - int(np.median(idle))
    parts = _parts(work, instances, items)
    over = np.array([part.time - np.median(part.time) for part in parts])
    order = np.argsort(instance, kind="stable")
    bounds = np.searchsorted(instance[order], np.arange(len(members) + 1))
    waits = idle * np.sign(delta) > _SPLIT * np.abs(delta)
    most = np.argmax(over * np.sign(delta), axis=0)
    labels = _labels(parts, [(int(most[number]), number) for number in chosen[~waits[chosen]].tolist()])
    found = []
    for number in chosen.tolist():
        if waits[number]:
            item = _by_gap(work, at[order[bounds[number] : bounds[number + 1]]])
        else:
            item = _by_part(parts[most[number]], number, labels.get(number, ""))
            moved, count = spread(over[:, number] * np.sign(delta[number]))
            item = attrs.evolve(item, moved=moved, parts=count)
        step = work.steps.name(int(instances.region[number]))
        time, away = int(instances.span_ns[number]), int(delta[number])
        found.append(
            attrs.evolve(item, step=step, time_ns=time, delta_ns=away, measure="span", layer=-1, instance=number)
        )
    return ranked(found)


def _by_gap(work: Work, at: Array) -> Outlier:
    gap, after = longest_gaps(work, work.rows[at], np.zeros(len(at), np.int64), 1)
    position = int(at[after[0]])
    layer = int(work.layer[position])
    number = int(work.module.tree("layers").regions["index"][layer]) if layer >= 0 else -1
    return Outlier("", -1, 0, work.label_of(position), float("inf"), cause="gap", cause_ns=int(gap[0]), at=number)


def _labels(parts: Sequence[_Part], asked: Sequence[tuple[int, int]]) -> dict[int, str]:
    """For steps, each with the part that differs most: the op in it that does, where the part is a layer."""
    by_template: dict[int, tuple[Template, list[int], list[int]]] = {}
    for place, number in asked:
        part = parts[place]
        if part.stack is not None and part.template[number] >= 0:
            template = part.stack.templates[int(part.template[number])]
            _, layers, steps = by_template.setdefault(id(template), (template, [], []))
            layers.append(int(part.instance[number]))
            steps.append(number)
    out = {}
    for template, layers, steps in by_template.values():
        order = np.argsort(layers, kind="stable")
        said = by_op(template.instances.work_ns, template.ops, np.array(layers)[order], "work")
        out.update({steps[k]: item.label for k, item in zip(order.tolist(), said, strict=True)})
    return out


def _by_part(part: _Part, number: int, label: str) -> Outlier:
    time, usual = int(part.time[number]), int(np.median(part.time))
    factor = time / usual if usual else float("inf")
    if part.op is not None:
        return Outlier("", -1, 0, part.op.label, factor, cause="op", cause_ns=time)
    return Outlier("", -1, 0, label, factor, cause="layer", cause_ns=time, at=part.layer)


def _numbers(work: Work, template: Template) -> Ints:
    return np.asarray(work.module.tree("layers").regions["index"][template.instances.region], np.int64)


def _steps_of(work: Work, template: Template, steps: Instances) -> Ints:
    """For each layer of a template the number of its step among these."""
    region = work.step[np.searchsorted(work.rows, template.instances.first)]
    order = np.argsort(steps.region, kind="stable")
    return np.asarray(order[np.searchsorted(steps.region[order], region)])


def _parts(work: Work, steps: Instances, items: Sequence[Op | Stack]) -> list[_Part]:
    """The time of every op outside layers, and of every layer by its number, in each step."""
    out = []
    for item in items:
        if isinstance(item, Op):
            out.append(_Part(np.bincount(item.of, weights=item.dur, minlength=len(steps)).astype(np.int64), item))
            continue
        most = max(number for template in item.templates for number in template.numbers)
        shape = max(most, 0) + 1, len(steps)
        times, which, place = np.zeros(shape, np.int64), np.full(shape, -1), np.full(shape, -1)
        for number, template in enumerate(item.templates):
            where = np.maximum(_numbers(work, template), 0), _steps_of(work, template, steps)
            np.add.at(times, where, template.instances.work_ns)
            which[where], place[where] = number, np.arange(template.count)
        out += [
            _Part(times[layer], None, item, layer, which[layer], place[layer])
            for layer in range(len(times))
            if times[layer].any()
        ]
    return out
