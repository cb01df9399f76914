"""The sequences that patterns are held against: the work of each lane or device, in order of start."""

from __future__ import annotations

from typing import Literal

import attrs
import numpy as np

from traceir.ir import Ints, Mask, Module, Rows
from traceir.pattern.values import of_events

Per = Literal["lane", "device"]


@attrs.frozen(eq=False)
class Order:
    """Rows in sequences: `rows` of all of them one after another, `first` where a new one begins."""

    rows: Rows
    first: Mask

    @classmethod
    def of(cls, module: Module, per: Per = "lane", within: tuple[str, ...] = (), among: Mask | None = None) -> Order:
        """The sequences of live device work, or of the live events `among`, in order of start.

        A sequence is a lane or a device, or such a part of it in which the columns `within` are equal: with
        `within=("tree.layers",)` no match crosses the border of a layer. Events whose value is null are in none.
        O(n log n).
        """
        chosen = module.work if among is None else among & module.live
        keys = [module["lane"] if per == "lane" else module.device]
        for name in within:
            values, null = of_events(module, name)
            chosen = chosen & ~null
            keys.append(values)
        rows = np.flatnonzero(chosen)
        sort = [key[rows] for key in keys]
        order = np.lexsort((rows, module["ts"][rows], *reversed(sort)))
        first = np.zeros(len(rows), bool)
        first[:1] = True
        for key in sort:
            first[1:] |= key[order][1:] != key[order][:-1]
        return cls(rows[order].astype(np.int32), first)

    @property
    def sequence(self) -> Ints:
        """The number of each row's sequence."""
        return np.cumsum(self.first) - 1
