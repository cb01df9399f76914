"""Rows of a program's own trace: what is timed is a range on its thread, whatever its category is called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs
import numpy as np

from traceir.ir import Array
from traceir_frontends.kineto.classify import OWN, Class
from traceir_frontends.kineto.rows import Rows

FRAMES: Final = ("py-spy", "fee", "function", "python", "functionentryexit")
"""Categories, in lower case, by which tracers of functions (py-spy, VizTracer) name them."""
_RANGE: Final = Class("event", "host.range")
_FRAME: Final = Class("event", "host.frame")
_INSTANT: Final = Class("event", "mark.instant")
_BY_PHASE: Final = {
    "s": Class("flow"),
    "t": Class("flow"),
    "f": Class("flow"),
    "M": Class("meta"),
    "C": Class("event", "ctr.sample", "counter"),
    "b": Class("event", "host.async", "async"),
    "e": Class("event", "host.async", "async"),
    "n": Class("event", "mark.instant", "async"),
    "": Class("drop"),
}


def classify(ph: str, cat: str | None) -> Class:
    """How rows with this phase and category are read; no category means a device here."""
    word = (cat or "").lower()
    if word.partition(".")[0] == OWN and ph != "M":
        return Class("drop")
    if ph in ("X", "B", "E"):
        return _FRAME if word in FRAMES else _RANGE
    return _BY_PHASE.get(ph, _INSTANT)


@attrs.define(eq=False)
class NeutralRows(Rows):
    """The rows of Kineto's reader without the meaning that Kineto gives to categories."""

    def _learn(self, keys: Array, events: Sequence[Any]) -> None:
        known = len(self.classes)
        if len(self.keys) == known:
            return
        Rows._learn(self, keys, events)
        self.classes[known:] = [classify(ph, cat) for ph, cat, _, _ in list(self.keys)[known:]]
        self.device_args.clear()
        actions = ("drop", "event", "flow", "meta", "window")
        self._action = np.array([actions.index(item.action) for item in self.classes], np.int8)
        self._paired = np.array([item.side == "async" for item in self.classes], bool)
        self._joined = self._waits = self._memory = np.zeros(len(self.classes), bool)
