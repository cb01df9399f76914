"""Reductions of gradients: few large buckets of one group in the backward pass, or one for each parameter."""

from __future__ import annotations

import statistics
from collections import defaultdict

import attrs

from traceir_passes.collectives.composites.base import Composite, Setting
from traceir_passes.collectives.instances import Instance

REDUCING = ("all_reduce", "reduce_scatter")


@attrs.frozen
class Bucketed:
    """At least two reductions of one group that autograd's engine started in one step.

    Their sizes have to repeat in every further step that has any; with one step only, that cannot be checked and
    the note says so. Σ elements of a step is the number of parameters, if each is reduced once. Where the median
    is below `small` bytes and there are more than `few`, they are reduced `per_tensor`, and buckets would save most
    of their latency; a few small ones are what buckets of a small model look like.
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
        for at, item in enumerate(setting.instances):
            if item.backward and item.kind in REDUCING and step[item.row] >= 0 and item.in_elements is not None:
                buckets[item.kind, item.group][int(step[item.row])].append(at)
        out = []
        for (kind, _), by_step in buckets.items():
            sizes = {tuple(setting.instances[at].in_elements for at in bucket) for bucket in by_step.values()}
            if len(sizes) > 1 or len(next(iter(sizes))) < 2:
                continue
            first = [setting.instances[at] for at in next(iter(by_step.values()))]
            if self._are_small(first) != self.per_tensor:
                continue
            note = self._note(first, len(by_step))
            for bucket in by_step.values():
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
