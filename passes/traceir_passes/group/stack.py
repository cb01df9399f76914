"""Stacks: runs of like layers, as every method hands them on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import attrs
import numpy as np

from traceir.ir import Array, Ints

Evidence = Literal["modules", "annotations", "capture", "device"]
EVIDENCE: Final = ("modules", "annotations", "capture", "device", "mixed", "none")
Direction = Literal["forward", "backward"]
DIRECTIONS: Final = ("forward", "backward")


@attrs.frozen(eq=False)
class Stack:
    """One maximal run of like layers on one lane.

    `rows` are event rows in order of time (sorted), `layer` the layer (0 … layers - 1) of each. `checks` are the
    outcomes of independent checks by name, which `confidence` is made from. `cut` says that the window cuts
    the first or the last layer; `guessed` that the border between layers is not decided by the evidence.
    `title` is the class or range that the program names the layer by, if it does.
    """

    lane: int
    evidence: Evidence
    direction: Direction
    layers: int
    rows: Ints
    layer: Array
    start: float
    checks: dict[str, bool] = attrs.field(factory=dict)
    cut: bool = False
    guessed: bool = False
    title: str = ""
    partial: bool = False
    step: int = -1

    @property
    def confidence(self) -> float:
        """The evidence's own, a third closer to 1 for each check that holds, times 0.7 for each that fails."""
        value = self.start
        for name in sorted(self.checks, key=lambda name: (self.checks[name], name)):
            value = value + (1 - value) / 3 if self.checks[name] else value * 0.7
        return round(value, 4)


def joined(stacks: Sequence[Stack]) -> tuple[Ints, Ints]:
    """The rows of all stacks one after the other, and the position of each one's stack."""
    sizes = [len(stack.rows) for stack in stacks]
    rows = np.concatenate([np.empty(0, np.int64), *(stack.rows for stack in stacks)])
    return rows.astype(np.int64, copy=False), np.repeat(np.arange(len(stacks)), sizes)
