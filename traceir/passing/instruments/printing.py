"""The module as text, around passes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import attrs
import numpy as np

from traceir.errors import UsageError
from traceir.ir import Module
from traceir.passing.base import Pass
from traceir.passing.changes import Changes
from traceir.passing.context import PassContext
from traceir.passing.instrument import Instrument, Timing
from traceir.passing.options import option
from traceir.registry import nearest
from traceir.text import Spelling, spell

ALL: Final = "all"
"""The word for whichever pass runs."""


@attrs.define(eq=False)
class Print(Instrument):
    """Print the module around passes, as text: a page of it, or a window.

    With a folder, each goes to a file of its own, `003_overlap.tir`, numbered in the order of the run. A window that
    the module does not have at that point is said in a comment.
    """

    passes: tuple[str, ...] = option((ALL,), help="The passes to print around, by name.")
    when: Literal["after", "before", "both", "changed", "failure"] = option(
        "after",
        help="After the pass, before it, both, after it if it changed a column, or what it was given if it failed.",
    )
    window: str | None = option(None, help="The part to print, as layer.3, @step.17 or %8812.")
    limit: int = option(200, help="The most events that are printed.", least=1)
    form: Literal["auto", "statements", "table"] = option("statements", help="The spelling of the text.")
    folder: str | None = option(None, help="The folder to write files to; default: standard error.")
    _ran: int = attrs.field(default=0, init=False, repr=False)
    _plan: tuple[str, ...] = attrs.field(default=(), init=False, repr=False)

    def planned(self, plan: Sequence[Pass]) -> None:
        """Note what will run."""
        self._plan = tuple(item.name() for item in plan)

    def begin(self, module: Module, context: PassContext) -> None:
        """Start counting; UsageError for a pass that does not run, or if the folder cannot be made."""
        self._ran = 0
        # What the module records may run again, if what it read has changed.
        known = dict.fromkeys((ALL, *self._plan, *(record.name for record in module.passes)))
        for name in self.passes:
            if name not in known:
                raise UsageError(f"There is no pass {name!r} to print around in this run{nearest(name, known)}.")
        if self.folder is not None:
            try:
                Path(self.folder).mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UsageError(f"The folder {self.folder} cannot be made: {error.strerror or error}.") from error

    def before(self, item: Pass, module: Module) -> None:
        """Print what the pass is given, if that was asked for."""
        self._ran += 1
        if self.when in ("before", "both"):
            self._print(item, module, "before", "_before" if self.when == "both" else "")

    def after(self, item: Pass, before: Module, after: Module, timing: Timing) -> None:
        """Print what the pass made, if that was asked for."""
        if self.when in ("after", "both") or (self.when == "changed" and Changes.between(before, after, 0)):
            self._print(item, after, "after", "")

    def failed(self, item: Pass, module: Module, error: Exception) -> None:
        """Print what the failing pass was given, if that was asked for."""
        if self.when == "failure":
            self._print(item, module, "before the failing", "")

    def _print(self, item: Pass, module: Module, where: str, suffix: str) -> None:
        if not {ALL, item.name()} & set(self.passes):
            return
        part, note = self._part(module)
        text = f"// {where} {item.text()}{f': {note}' if note else ''}\n{''.join(spell(part, Spelling(self.form)))}"
        if self.folder is None:
            print(text, end="", file=self.out)
            return
        path = Path(self.folder) / f"{self._ran:03}_{item.name()}{suffix}.tir"
        try:
            path.write_text(text, "utf-8")
        except OSError as error:
            raise UsageError(f"The file {path} cannot be written: {error.strerror or error}.") from error

    def _part(self, module: Module) -> tuple[Module, str]:
        """The events to print, and what has to be said of the choice."""
        from traceir import windows

        rows, notes = np.arange(len(module), dtype=np.int32), []
        if self.window is not None:
            try:
                chosen = windows.select_window(module, self.window)
            except UsageError as error:
                return module.window(rows[:0]), str(error)
            rows = chosen.rows
            notes += [chosen.note] if chosen.note else []
        if len(rows) > self.limit:
            chosen = windows.limit(module, rows, self.limit)
            rows = chosen.rows
            notes += [chosen.note] if chosen.note else []
        return (module.window(rows) if len(rows) < len(module) else module), " ".join(notes)


__all__ = ["Print"]
