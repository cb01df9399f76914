"""Reductions of gradients: few large buckets of one group in the backward pass, or one for each parameter."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict

import attrs

from traceir_passes.collectives.composites.base import Composite, Setting
from traceir_passes.collectives.gradients import Reduction, gradients
from traceir_passes.collectives.instances import Instance


@attrs.frozen
class Bucketed:
    """At least two reductions of one group that autograd's engine started in one step.

    More than half of the steps that have any have to have the same sizes; the others (a first step of other buckets)
    are left out. With one step only, that cannot be checked and the note says so. Σ elements of a step is the number
    of parameters, if each is reduced once. Where the median is below `small` bytes and there are more than `few`,
    they are reduced `per_tensor`, and buckets would save most of their latency; a few small ones are what buckets of
    a small model look like.
    """

    small: int
    few: int
    per_tensor: bool = False

    @property
    def form(self) -> str:
        """`per_tensor` or `bucketed`."""
        return "per_tensor" if self.per_tensor else "bucketed"

    def find(self, setting: Setting) -> list[Composite]:
        """One composite per step and group. O(instances)."""
        module = setting.module
        if not module.has_tree("steps"):
            return []
        step = module.tree("steps").at("step")
        buckets: dict[tuple[str, str | None], dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        for at in gradients([Reduction.of(item) for item in setting.instances]):
            item = setting.instances[at]
            if step[item.row] >= 0 and item.in_elements is not None:
                buckets[item.kind, item.group][int(step[item.row])].append(at)
        out = []
        for (kind, _), by_step in buckets.items():
            sizes = {number: tuple(setting.instances[at].in_elements for at in own) for number, own in by_step.items()}
            ((usual, count),) = Counter(sizes.values()).most_common(1)
            if 2 * count <= len(sizes) or len(usual) < 2:
                continue
            alike = [own for number, own in by_step.items() if sizes[number] == usual]
            first = [setting.instances[at] for at in alike[0]]
            if self._are_small(first) != self.per_tensor:
                continue
            note = self._note(first, len(alike))
            for bucket in alike:
                out.append(Composite(self.form, kind, setting.rows_of(*bucket), tuple(bucket), note=note))
        return sorted(out, key=lambda item: item.members)

    def _are_small(self, items: list[Instance]) -> bool:
        known = [item.bytes for item in items if item.bytes is not None]
        return len(items) > self.few and bool(known) and statistics.median(known) < self.small

    @staticmethod
    def _note(items: list[Instance], steps: int) -> str:
        total = sum(item.in_elements or 0 for item in items)
        told = f"{len(items)} reductions, {total} elements"
        return told if steps > 1 else f"{told}; one step only, so repetition is unchecked"
