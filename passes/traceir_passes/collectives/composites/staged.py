"""Staged collectives: the data is copied into a buffer of the library's, and back."""

from __future__ import annotations

from collections import Counter

import attrs
import numpy as np

from traceir_passes.collectives.composites.base import Composite, Setting


@attrs.frozen
class Staged:
    """Copy, collective, copy, adjacent on one lane.

    The copies are device to device and belong to the composite's cost. One such sequence may be chance, so the
    form is recognised only where more than `share` of a library's collectives of a kind look so.
    """

    share: float
    form: str = "staged"

    def find(self, setting: Setting) -> list[Composite]:
        """The staged collectives. O(instances)."""
        module = setting.module
        copies = module.work & module.is_in("infer.class", ["memory"]) & module.is_in("infer.op_kind", ["injective"])
        rows = np.array([item.row for item in setting.instances], np.int64)
        before, after = setting.neighbour(rows, -1), setting.neighbour(rows, 1)
        fits = (before >= 0) & (after >= 0) & copies[before] & copies[after]
        fits &= np.array([item.kernels == 1 for item in setting.instances], bool)
        sort = [(item.kind, item.library) for item in setting.instances]
        whole, part = Counter(sort), Counter(kind for kind, fit in zip(sort, fits.tolist(), strict=True) if fit)
        return [
            Composite(
                self.form,
                setting.instances[at].kind,
                (int(before[at]), int(rows[at]), int(after[at])),
                (at,),
                extra=(int(before[at]), int(after[at])),
            )
            for at in np.flatnonzero(fits).tolist()
            if part[sort[at]] > self.share * whole[sort[at]]
        ]
