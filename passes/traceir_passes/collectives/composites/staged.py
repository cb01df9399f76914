"""Staged collectives: the data is copied into a buffer of the library's, and back."""

from __future__ import annotations

from collections import Counter

import attrs

from traceir.pattern import event
from traceir_passes.collectives.composites.base import Composite, Setting

COPY = event("infer.class", "memory") & event("infer.op_kind", "injective")
COLLECTIVE = event("infer.class", "comm", "fused") & ~event("infer.role", "comm-meta")
STAGED = COPY >> COLLECTIVE.named("collective") >> COPY


@attrs.frozen
class Staged:
    """Copy, collective, copy, adjacent on one lane.

    The copies are device to device and belong to the composite's cost. One such sequence may be chance, so the
    form is recognised only where more than `share` of a library's collectives of a kind look so.
    """

    share: float
    form: str = "staged"

    def find(self, setting: Setting) -> list[Composite]:
        """The staged collectives. O(n log n)."""
        found = [(match, setting.instance_of(match.row("collective"))) for match in STAGED.find(setting.module)]
        found = [(match, at) for match, at in found if at >= 0 and setting.instances[at].kernels == 1]
        sort = [(item.kind, item.library) for item in setting.instances]
        whole, part = Counter(sort), Counter(sort[at] for _, at in found)
        out = []
        for match, at in found:
            first, row, last = match.rows.tolist()
            if part[sort[at]] > self.share * whole[sort[at]]:
                kind = setting.instances[at].kind
                out.append(Composite(self.form, kind, (first, row, last), (at,), extra=(first, last)))
        return sorted(out, key=lambda item: item.members)
