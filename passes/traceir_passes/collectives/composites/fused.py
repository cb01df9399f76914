"""Fused collectives: one kernel that communicates and computes."""

from __future__ import annotations

import attrs
import numpy as np

from traceir_passes.collectives.composites.base import Composite, Setting


@attrs.frozen
class Fused:
    """A kernel whose role is fused communication, such as all-reduce with residual and norm."""

    form: str = "fused"

    def find(self, setting: Setting) -> list[Composite]:
        """The fused collectives, one composite each. O(communication)."""
        rows, number = setting.found.rows, setting.found.instance
        fused = setting.module.is_in("infer.class", ["fused"])[rows] & (number >= 0)
        return [
            Composite(self.form, setting.instances[int(number[at])].kind, (int(rows[at]),), (int(number[at]),))
            for at in np.flatnonzero(fused).tolist()
        ]
