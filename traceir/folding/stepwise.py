"""Outlying steps: which of many like steps took another time, and whether an op, a layer or a gap made it."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

from traceir.folding.model import Instances, Op, Outlier, Stack, Template
from traceir.folding.outliers import by_op, far, longest_gaps, ranked
from traceir.folding.work import OneStep, Work
from traceir.ir import Array, Ints

_SPLIT = 0.5
"""A step is outlying by a gap if more than this share of its difference is idle time."""


@attrs.frozen(eq=False)
class _Part:
    """What makes steps differ: the time of one op or layer in each step, ns, and what it is."""

    time: Ints
    op: Op | None
    stack: Stack | None = None
    layer: int = -1


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
    found = []
    for number in chosen.tolist():
        if idle[number] * np.sign(delta[number]) > _SPLIT * abs(delta[number]):
            item = _by_gap(work, at[instance == number])
        else:
            item = _by_part(work, parts[int(np.argmax(over[:, number] * np.sign(delta[number])))], number, instances)
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


def _by_part(work: Work, part: _Part, number: int, steps: Instances) -> Outlier:
    time, usual = int(part.time[number]), int(np.median(part.time))
    factor = time / usual if usual else float("inf")
    if part.op is not None:
        return Outlier("", -1, 0, part.op.label, factor, cause="op", cause_ns=time)
    assert part.stack is not None
    label = ""
    for template in part.stack.templates:
        where = np.flatnonzero(_numbers(work, template) == part.layer)
        mine = where[_steps_of(work, template, steps)[where] == number]
        if len(mine):
            label = by_op(template.instances.work_ns, template.ops, mine[:1], "work")[0].label
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
        times = np.zeros((max(most, 0) + 1, len(steps)), np.int64)
        for template in item.templates:
            where = np.maximum(_numbers(work, template), 0), _steps_of(work, template, steps)
            np.add.at(times, where, template.instances.work_ns)
        out += [_Part(times[layer], None, item, layer) for layer in range(len(times)) if times[layer].any()]
    return out
