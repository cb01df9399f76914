"""How far a run has come."""

from __future__ import annotations

import time
from collections.abc import Sequence

import attrs

from traceir.ir import Module
from traceir.passing.base import Pass
from traceir.passing.instrument import Instrument, Timing

_PATIENCE_S = 1.0
"""Progress is shown for what takes longer than this; anything shorter would only flicker."""


@attrs.define(eq=False)
class Progress(Instrument):
    """Say on a terminal which pass runs.

    One line, redrawn, once a run has taken longer than a second.
    """

    _plan: list[str] = attrs.field(factory=list, init=False, repr=False)
    _done: int = attrs.field(default=0, init=False, repr=False)
    _shown: bool = attrs.field(default=False, init=False, repr=False)
    _started: float = attrs.field(factory=time.monotonic, init=False, repr=False)

    def planned(self, plan: Sequence[Pass]) -> None:
        """Note how many passes will run."""
        self._plan, self._done, self._started = [item.name() for item in plan], 0, time.monotonic()

    def before(self, item: Pass, module: Module) -> None:
        """Say which pass runs."""
        if time.monotonic() - self._started >= _PATIENCE_S and self.out.isatty():
            self._shown = True
            done = f" ({min(self._done + 1, len(self._plan))} of {len(self._plan)})"
            print(f"\r\x1b[Krunning {item.name()}{done}", end="", file=self.out, flush=True)

    def after(self, item: Pass, before: Module, after: Module, timing: Timing) -> None:
        """Count it."""
        self._done += 1

    def closed(self) -> None:
        """Clear the line."""
        if self._shown:
            print("\r\x1b[K", end="", file=self.out, flush=True)
            self._shown = False


__all__ = ["Progress"]
