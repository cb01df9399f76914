"""Pairs of a mixture-of-experts layer: tokens are sent to their experts, and come back."""

from __future__ import annotations

import attrs
import numpy as np

from traceir_passes.collectives.composites.base import Composite, Setting


@attrs.frozen
class MoePair:
    """[layout, notify,] dispatch … [notify,] combine: paired in order on each device.

    The n-th combine on a device belongs to the n-th dispatch; a combine that comes before its dispatch, or a
    dispatch without one, is left alone.
    """

    form: str = "moe_pair"

    def find(self, setting: Setting) -> list[Composite]:
        """The pairs, with the notifications that were joined to either half. O(communication log communication)."""
        module, found = setting.module, setting.found
        device, ts = module.device, module["ts"]
        out = []
        for number in np.unique(device[found.rows]).tolist() if len(found.rows) else []:
            halves = [
                [
                    at
                    for at, item in enumerate(setting.instances)
                    if item.role == role and int(device[item.row]) == number
                ]
                for role in ("dispatch", "combine")
            ]
            for sent, back in zip(*halves, strict=False):
                first, last = setting.instances[sent].row, setting.instances[back].row
                if ts[first] <= ts[last]:
                    rows = setting.rows_of(sent, back)
                    out.append(Composite(self.form, "all_to_all", rows, (sent, back)))
        return sorted(out, key=lambda item: item.members)
