"""The protocol of instruments: what may happen around a run, each of its passes, and each analysis."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TextIO

import attrs

from traceir.passing.options import Optioned
from traceir.passing.words import hyphened

if TYPE_CHECKING:
    from traceir.ir import Module
    from traceir.passing.base import Pass
    from traceir.passing.context import PassContext
    from traceir.registry import Registry


@attrs.frozen
class Timing:
    """What a pass or an analysis cost: wall and CPU seconds, events of the module, bytes of new columns."""

    wall_s: float
    cpu_s: float
    events: int
    new_bytes: int = 0

    @property
    def events_per_s(self) -> float | None:
        """Events in a second of wall time; None where no time has passed."""
        return self.events / self.wall_s if self.wall_s > 0 else None


@attrs.define(eq=False)
class Instrument(Optioned):
    """Base of instruments. Subclass it, decorate with `@attrs.define(eq=False)`, override the hooks that are needed.

    The order of calls: `joined`, `planned`, `skipped` for what does not run, `begin`; for each pass `before`, `check`,
    then `after` or `failed`; `end`; and `closed`, however the run ends. `analysis` comes between `before` and `after`
    of the pass that asked. At each of these all instruments are called, in their order, before an error of one of them
    is raised; an error in `failed` or, after a failure, in `closed` is a note of that failure. What they print goes
    to `stream` (default: standard error, looked up when something is written), since standard output carries the
    product only. Fields made by `option` are options, as in `--instrument 'print{passes=group}'`.
    """

    _what: ClassVar[str] = "instrument"

    stream: TextIO | None = attrs.field(default=None, kw_only=True, metadata={"option": False})

    @classmethod
    def name(cls) -> str:
        """The word of the instrument on the command line."""
        return hyphened(cls.__name__)

    @property
    def out(self) -> TextIO:
        """Where it prints."""
        return self.stream if self.stream is not None else sys.stderr

    def joined(self, instruments: Sequence[Instrument], registry: Registry | None) -> None:
        """Called first: with all instruments of the run, this one among them, and its registry (None: the default)."""

    def planned(self, plan: Sequence[Pass]) -> None:
        """Called with the passes that will run, inserted ones included."""

    def begin(self, module: Module, context: PassContext) -> None:
        """Called before the first pass runs."""

    def before(self, item: Pass, module: Module) -> None:
        """Called before a pass runs."""

    def check(self, item: Pass, before: Module, after: Module) -> None:
        """Called after a pass has run and its promises held; raising a PassError here fails the pass."""

    def after(self, item: Pass, before: Module, after: Module, timing: Timing) -> None:
        """Called after a pass has run and every check has let it pass."""

    def failed(self, item: Pass, module: Module, error: Exception) -> None:
        """Called when a pass raised, broke a promise or did not pass a check; the error is raised afterwards."""

    def skipped(self, item: Pass, reason: str) -> None:
        """Called, after `planned`, for each pass of the pipeline that does not run."""

    def analysis(self, name: str, timing: Timing | None) -> None:
        """Called when a pass has got an analysis: what it cost, or None if it was kept from before."""

    def end(self, module: Module) -> None:
        """Called with the final module when all passes have run; a PassError raised here fails the run."""

    def closed(self) -> None:
        """Called last, whether the run has ended, failed or was interrupted."""

    def figures(self) -> Sequence[Mapping[str, Any]]:
        """What it noted of each pass that ran, in order, as plain JSON data; `--log` writes it. Empty by default."""
        return ()


__all__ = ["Instrument", "Timing"]
