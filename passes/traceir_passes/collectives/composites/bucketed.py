"""Bucketed gradients: few large all-reduces of one group in the backward pass, the same sizes in every step."""

from __future__ import annotations

from collections import defaultdict

import attrs

from traceir_passes.collectives.composites.base import Composite, Setting

REDUCING = ("all_reduce", "reduce_scatter")


@attrs.frozen
class Bucketed:
    """At least two reductions of one group that autograd's engine started in one step.

    Their sizes have to repeat in every further step that has any; with one step only, that cannot be checked and
    the note says so. Σ elements of a step is the number of parameters, if each is reduced once.
    """

    form: str = "bucketed"

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
            note = "" if len(by_step) > 1 else "one step only, so repetition is unchecked"
            for bucket in by_step.values():
                out.append(Composite(self.form, kind, setting.rows_of(*bucket), tuple(bucket), note=note))
        return sorted(out, key=lambda item: item.members)
