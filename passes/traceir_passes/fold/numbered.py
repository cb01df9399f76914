"""Templates with their numbers, ops and instances: what the columns and the report of the fold pass are made from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal

import attrs
import numpy as np

from traceir import folding
from traceir.ir import Ints, Module


@attrs.frozen(eq=False)
class Numbered:
    """One template: its name, the step template that it lies in (by position; -1: it is one), and its parts.

    `names` are those of the ops, and `exemplar` is the instance that stands for all: of those that have the most ops
    the one that is nearest to the median.
    """

    name: str
    of: Literal["step", "layer"]
    title: str
    inside: int
    step: folding.Step
    ops: tuple[folding.Op, ...]
    names: tuple[str, ...]
    instances: folding.Instances
    outliers: tuple[folding.Outlier, ...]
    exemplar: int
    template: folding.Template | None = None
    layers: int | None = None
    stacks: int | None = None

    @property
    def own(self) -> frozenset[int]:
        """The positions of the ops that other templates of the stack lack, or have otherwise."""
        return frozenset(self.template.own if self.template is not None else ())


def numbered(module: Module, steps: Sequence[folding.Step]) -> list[Numbered]:
    """The templates in order of time, each step's before those of its layers. O(n)."""
    out: list[Numbered] = []
    for step in steps:
        ops = tuple(item for item in step.items if isinstance(item, folding.Op))
        exemplar = _exemplar(step.instances, ops, np.arange(len(step.instances)))
        inside = len(out)
        name = f"fold.{len(out)}"
        out.append(
            Numbered(
                name, "step", step.phase, -1, step, ops, _names(name, ops), step.instances, step.outliers, exemplar
            )
        )
        region = int(step.instances.region[exemplar])
        for stack in step.items:
            if isinstance(stack, folding.Stack):
                out += _of_stack(module, step, stack, inside, len(out), region)
    return out


def _of_stack(
    module: Module, step: folding.Step, stack: folding.Stack, inside: int, number: int, region: int
) -> Iterator[Numbered]:
    """The templates of a stack, whose bodies come from the step `region` where they can."""
    leaf = module.tree("steps").at("step")
    for template in stack.templates:
        here = np.flatnonzero(leaf[template.instances.first] == region)
        some = here if len(here) else np.arange(template.count)
        name = f"fold.{number}"
        yield Numbered(
            name, "layer", template.title, inside, step, template.ops, _names(name, template.ops),
            template.instances, template.outliers, _exemplar(template.instances, template.ops, some), template,
            stack.layers, stack.instances,
        )  # fmt: skip
        number += 1


def _names(template: str, ops: Sequence[folding.Op]) -> tuple[str, ...]:
    """The names of ops' regions: the label, numbered where a template has several of one."""
    seen: Counter[str] = Counter()
    out = []
    for op in ops:
        seen[op.label] += 1
        out.append(f"{template}.{op.label}" + (f".{seen[op.label]}" if seen[op.label] > 1 else ""))
    return tuple(out)


def _exemplar(instances: folding.Instances, ops: Sequence[folding.Op], some: Ints) -> int:
    has = np.zeros(len(instances), np.int64)
    for op in ops:
        has[np.unique(op.of)] += 1
    away = np.abs(instances.work_ns - np.median(instances.work_ns))
    return int(some[np.lexsort((some, away[some], -has[some]))[0]])
