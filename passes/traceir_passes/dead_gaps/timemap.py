"""The time map: from the source's times to those of a module whose dead gaps were closed up."""

from __future__ import annotations

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Ints, Module, Spans


@attrs.frozen(eq=False)
class TimeMap:
    """Where instants of the source lie once some time is removed: t less what is removed before it.

    `start`, `dur` (ns) and `kind` (a position in `columns.REMOVABLE`) are the removed intervals in order, disjoint;
    inside one of them the map is constant. It is not invertible: what stood inside a removed interval, or at either
    border of it, is at one instant now, so the originals are kept beside it.
    """

    start: Ints
    dur: Ints
    kind: Array
    removed: Spans

    @classmethod
    def of(cls, start: Ints, dur: Ints, kind: Array) -> TimeMap:
        """The map of some disjoint intervals, put in order. O(n log n)."""
        order = np.argsort(start, kind="stable")
        start, dur, kind = start[order], dur[order], kind[order]
        return cls(start, dur, kind, Spans.of(start, start + dur))

    @classmethod
    def read(cls, module: Module) -> TimeMap:
        """The map that a module's table says; the identity where `dead-gaps` did not run."""
        if "dead-gaps.start" not in module:
            none = np.empty(0, np.int64)
            return cls(none, none, np.empty(0, np.int16), Spans.empty())
        return cls.of(module["dead-gaps.start"], module["dead-gaps.dur"], module["dead-gaps.class"])

    @property
    def length(self) -> int:
        """All that is removed, in ns."""
        return int(self.dur.sum())

    def at(self, times: Array) -> Ints:
        """The new instants of some of the source's. Monotone. O(m log n)."""
        return np.asarray(times - self.removed.before(times))


def source_times(module: Module) -> tuple[Ints, Ints]:
    """Start and end of each event as the source recorded them; a PassError for a module that has only half of them."""
    if "src.ts" not in module and "src.dur" not in module:
        return module["ts"], module.end
    if "src.ts" not in module or "src.dur" not in module:
        gone = "src.dur" if "src.ts" in module else "src.ts"
        raise tir.PassError(
            f"The module has the original starts or durations without the others: {gone} is missing, so its times "
            "cannot be put back; load the trace again."
        )
    return module["src.ts"], module["src.ts"] + module["src.dur"]
