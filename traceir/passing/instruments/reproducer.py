"""A small text that fails as the run did."""

from __future__ import annotations

import platform
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np

from traceir import __version__
from traceir.errors import TraceirError, UsageError
from traceir.ir import Array, Module
from traceir.passing import pipeline
from traceir.passing.base import Pass
from traceir.passing.instrument import Instrument
from traceir.passing.instruments.verifying import Verify
from traceir.passing.options import option
from traceir.text import Spelling, spell

REPRODUCE: Final = "reproduce"
"""The metadata that say what a reproducer runs."""
_NUMBER: Final = re.compile(r"%?-?\d[\d.,:]*")


@attrs.define(eq=False)
class Reproducer(Instrument):
    """When a pass fails, write a small text that fails the same way.

    It says what the pass was given and what was still to run. The text holds a small slice of which the pass still
    says the same (numbers apart): each is tried before it is taken, first around the event that the error names,
    then halves in order of time, ever smaller ones while the budget lasts. Slices are closed under launches and
    parents, of which in the end only those stay without which the pass does not fail; what lies outside is declared.
    `traceir run FILE` reads it and runs the recorded rest of the pipeline. Nothing is written for a UsageError, which
    is no failure of a pass.
    """

    path: str | None = option(None, help="The file to write; default: a new one among the temporary files.")
    budget_s: float = option(10.0, help="The most seconds to spend on making it small.", least=0)
    verify: bool = option(False, help="Check the IR's rules after each pass when trying, as the run did.")
    written: tuple[str, int] | None = attrs.field(default=None, init=False)
    """The file written, and how many events it holds."""
    _plan: tuple[Pass, ...] = attrs.field(default=(), init=False, repr=False)

    def planned(self, plan: Sequence[Pass]) -> None:
        """Note what will run."""
        self._plan = tuple(plan)

    def failed(self, item: Pass, module: Module, error: Exception) -> None:
        """Write the reproducer, and say where it is."""
        if isinstance(error, UsageError) or not isinstance(error, TraceirError):
            return
        at = next((i for i, one in enumerate(self._plan) if one is item), None)
        rest = self._plan[at:] if at is not None else (item,)
        said = _normal(error)
        rows = _reduced(
            module, lambda part: self._error(item, part) == said, getattr(error, "event", None), self.budget_s
        )
        small = module.window(rows) if len(rows) < len(module) else module
        recorded = {
            "pipeline": pipeline.spell(rest),
            "verify": self.verify,
            "error": str(error).partition("\n")[0],
            "traceir": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
        }
        small = attrs.evolve(small, meta={**small.meta, REPRODUCE: recorded})
        self._write(item, small)

    def _error(self, item: Pass, module: Module) -> str | None:
        """What the pass says of a slice, numbers apart; None if it does not fail."""
        from traceir.passing.manager import PassManager

        checks = (Verify(),) if self.verify else ()
        try:
            PassManager([item], None, insert=False, instruments=checks).run(module, fresh=False)
        except Exception as error:
            return _normal(error)
        return None

    def _write(self, item: Pass, module: Module) -> None:
        text = "".join(spell(module, Spelling("auto", args=True, dead=True)))
        try:
            if self.path is not None:
                Path(self.path).write_text(text, "utf-8", newline="\n")
                path = self.path
            else:
                with tempfile.NamedTemporaryFile(
                    "w", prefix=f"traceir-{item.name()}-", suffix=".tir", delete=False, encoding="utf-8", newline="\n"
                ) as file:
                    file.write(text)
                path = file.name
        except OSError as error:
            print(f"traceir: The reproducer cannot be written: {error.strerror or error}.", file=self.out)
            return
        self.written = path, len(module)
        events = f"{len(module)} event{'s' if len(module) != 1 else ''}"
        print(f"traceir: A text of {events} that fails the same way is in {path}.", file=self.out)


def _normal(error: Exception) -> str:
    """An error's first line without numbers, by which two failures are the same."""
    return f"{type(error).__name__}: {_NUMBER.sub('N', str(error).partition(chr(10))[0])}"


def _reduced(module: Module, fails: Callable[[Module], bool], event: int | None, budget_s: float) -> Array:
    """The rows of a small part that still fails; all rows if none smaller does within the time."""
    from traceir import windows

    until = time.monotonic() + budget_s
    rows: Array = np.arange(len(module), dtype=np.int32)
    asked: set[bytes] = set()

    def still(part: Array) -> bool:
        key = part.tobytes()
        if key in asked or len(part) >= len(rows) or time.monotonic() > until:
            return False
        asked.add(key)
        return fails(module.window(part))

    if event is not None and event in module["id"]:
        for hops, most in ((0, 1), (1, 20), (2, 200), (3, 2000)):
            near = windows.closed(module, windows.around(module, [event], hops, most).rows)
            if still(near):
                rows = near
                break
    parts = 2
    while len(rows) > 1 and time.monotonic() <= until:
        parts = min(parts, len(rows))
        pieces = np.array_split(rows, parts)
        kept = [windows.closed(module, piece) for piece in pieces]
        kept += [np.setdiff1d(rows, piece) for piece in pieces] if parts > 2 else []
        smaller = next((part for part in kept if still(part)), None)
        if smaller is not None:
            rows, parts = smaller, max(2, parts - 1)
        elif parts < len(rows):
            parts *= 2
        else:
            break
    return rows


def recorded(module: Module) -> dict[str, Any] | None:
    """What a reproducer says is to run (`pipeline`, `verify`, the error and versions); None if the module is none."""
    found = module.meta.get(REPRODUCE)
    if not isinstance(found, dict) or not isinstance(found.get("pipeline"), str):
        return None
    return found


__all__ = ["REPRODUCE", "Reproducer", "recorded"]
