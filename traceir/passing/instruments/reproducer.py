"""A small text that fails as the run did."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
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
from traceir.registry import Registry

REPRODUCE: Final = "reproduce"
"""The metadata that say what a reproducer runs."""
_NUMBER: Final = re.compile(r"%?-?\d[\d.,:]*")
_PLACES: Final = re.compile(r" in (?:one|N) more places?| The first is .*")
"""What the verifier says of where a rule is broken, and how often: another part has other places."""
_AROUND: Final = ((0, 1), (1, 20), (2, 200), (3, 2000))
"""How many hops around the event that the error names are tried, and at most how many events."""


@attrs.define(eq=False)
class Reproducer(Instrument):
    """When a pass fails, write a small text that fails the same way.

    It says what the pass was given and what was still to run. The text holds a small slice of which the pass still
    says the same (numbers apart): each is tried before it is taken, first around the event that the error names,
    then halves in order of time, ever smaller ones while the budget lasts. Slices are closed under launches and
    parents, of which in the end only those stay without which the pass does not fail; what lies outside is declared.
    `traceir run FILE` reads it and runs the recorded rest of the pipeline; that is tried too before it is claimed to
    fail, and what happens instead is said. What passes print while they are tried is dropped, and an interrupt ends
    the search, so that the failure itself is reported. Nothing is written for a UsageError, which is no failure of a
    pass.
    """

    path: str | None = option(None, help="The file to write; default: a new one among the temporary files.")
    budget_s: float = option(10.0, help="The most seconds to spend on making it small.", least=0)
    most_events: int = option(
        100_000, help="The most events to write: what cannot be made smaller is no text to read or send.", least=0
    )
    written: tuple[str, int] | None = attrs.field(default=None, init=False)
    """The file written, and how many events it holds."""
    _plan: tuple[Pass, ...] = attrs.field(default=(), init=False, repr=False)
    _verifiers: tuple[Verify, ...] = attrs.field(default=(), init=False, repr=False)
    _registry: Registry | None = attrs.field(default=None, init=False, repr=False)
    _started: float | None = attrs.field(default=None, init=False, repr=False)

    def joined(self, instruments: Sequence[Instrument], registry: Registry | None) -> None:
        """Note the verifiers of the run, which each try has to have too, and what the run knows by name."""
        self._verifiers = tuple(one for one in instruments if isinstance(one, Verify))
        self._registry = registry

    def planned(self, plan: Sequence[Pass]) -> None:
        """Note what will run."""
        self._plan = tuple(plan)

    def before(self, item: Pass, module: Module) -> None:
        """Note when the pass began: the time that it took says which tries there is time for."""
        self._started = time.monotonic()

    def failed(self, item: Pass, module: Module, error: Exception) -> None:
        """Write the reproducer, and say where it is."""
        if isinstance(error, UsageError) or not isinstance(error, TraceirError):
            return
        took = time.monotonic() - self._started if self._started is not None else 0.0
        trial = _Trial(item, self._rest(item), self._checks(module), self._registry, _normal(error))
        budget = _Budget(self.budget_s, len(module), took)
        rows = _reduced(module, trial.fails, getattr(error, "event", None), budget)
        if len(rows) > self.most_events:
            self._say(
                f"No text that fails the same way was written: the smallest part found has {_events(len(rows))}, and "
                f"most_events of reproducer is {self.most_events}; raise it, or budget_s."
            )
            return
        small = module.window(rows) if len(rows) < len(module) else module
        small = attrs.evolve(small, meta={**small.meta, REPRODUCE: trial.record(error)})
        self._write(item, small, trial, budget)

    def _rest(self, item: Pass) -> tuple[Pass, ...]:
        """The passes from the failing one on."""
        at = next((i for i, one in enumerate(self._plan) if one is item), None)
        return self._plan[at:] if at is not None else (item,)

    def _checks(self, module: Module) -> tuple[Verify, ...]:
        """The verifiers that looked at this module, so that they look at each part of it."""
        asked = (one for one in self._verifiers if one.most_events is None or len(module) <= one.most_events)
        return tuple(attrs.evolve(one, most_events=None) for one in asked)

    def _write(self, item: Pass, module: Module, trial: _Trial, budget: _Budget) -> None:
        from traceir.text import Spelling, spell  # only where a pass failed: every run has this instrument

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
            self._say(f"The reproducer cannot be written: {error.strerror or error}.")
            return
        self.written = path, len(module)
        given = f"What {item.name()} was given, {_events(len(module))}, is in {path}"
        if budget.cost(len(module)) > self.budget_s:
            self._say(
                f"{given}; whether it fails again from there was not tried, since budget_s leaves no time for it."
            )
            return
        try:
            said = trial.again(text, path)
        except KeyboardInterrupt:
            self._say(f"{given}; whether it fails again from there was not tried to the end.")
            return
        if said is None:
            self._say(f"A text of {_events(len(module))} that fails the same way is in {path}.")
        else:
            self._say(f"{given}. It does not fail again from this text: {said}")

    def _say(self, sentence: str) -> None:
        print(f"traceir: {sentence}", file=self.out)


@attrs.frozen
class _Trial:
    """A failing pass, what runs behind it and around it, and what it said, numbers apart."""

    item: Pass
    rest: tuple[Pass, ...]
    checks: tuple[Verify, ...]
    registry: Registry | None
    said: str

    def fails(self, part: Module) -> bool:
        """Whether the pass says the same of a part of what it was given."""
        error = self._error((self.item,), part)
        return error is not None and _normal(error) == self.said

    def again(self, text: str, path: str) -> str | None:
        """What `traceir run` says of the text, in a sentence; None if it fails the same way."""
        from traceir.text import parse

        try:
            error = self._error(self.rest, parse(text, path=path, registry=self.registry))
        except TraceirError as refused:
            error = refused
        if error is None:
            return "the passes run through."
        return str(error).partition("\n")[0] if _normal(error) != self.said else None

    def record(self, error: Exception) -> dict[str, Any]:
        """What the text says of the run."""
        return {
            "pipeline": pipeline.spell(self.rest),
            "verify": ",".join(one.text() for one in self.checks) or False,
            "error": str(error).partition("\n")[0],
            "traceir": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
        }

    def _error(self, passes: Sequence[Pass], module: Module) -> Exception | None:
        from traceir.passing.manager import PassManager

        checks = tuple(attrs.evolve(one) for one in self.checks)
        try:
            with _silence():
                PassManager(passes, self.registry, instruments=checks).run(module, fresh=False)
        except Exception as error:
            return error
        return None


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Drop what passes print: they ran once already, and are tried dozens of times."""
    with (
        open(os.devnull, "w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


class _Budget:
    """The time that is left, and what a try is likely to take of it."""

    def __init__(self, seconds: float, events: int, took: float) -> None:
        self._until = time.monotonic() + seconds
        self._known = {events: took}
        """The seconds that runs over so many events took."""

    def allows(self, events: int) -> bool:
        """Whether a try of so many events is likely to end in time."""
        return time.monotonic() + self.cost(events) <= self._until

    def cost(self, events: int) -> float:
        """The likely seconds of a try: no less than smaller ones took, else its share of the next larger one."""
        smaller = max((took for n, took in self._known.items() if n <= events), default=0.0)
        larger = min((n for n in self._known if n >= events), default=None)
        return max(smaller, self._known[larger] * events / larger) if larger else smaller

    @contextlib.contextmanager
    def measured(self, events: int) -> Iterator[None]:
        """Note what a try takes."""
        started = time.monotonic()
        try:
            yield
        finally:
            self._known[events] = time.monotonic() - started


def _normal(error: Exception) -> str:
    """An error's first line without numbers and places, by which two failures are the same."""
    line = _NUMBER.sub("N", str(error).partition("\n")[0])
    return f"{type(error).__name__}: {_PLACES.sub('', line)}"


def _events(number: int) -> str:
    return f"{number} event{'s' if number != 1 else ''}"


def _reduced(module: Module, fails: Callable[[Module], bool], event: int | None, budget: _Budget) -> Array:
    """The rows of a small part that still fails; all rows if none smaller does within the time, or the whole not."""
    search = _Search(module, fails, budget)
    # An interrupt ends the search only: the pass has failed already, and its error is what is to be reported.
    with contextlib.suppress(KeyboardInterrupt):
        if search.near(event) or search.again():
            search.split()
    return search.rows


class _Search:
    """The smallest part that is known to fail, and what was tried already."""

    def __init__(self, module: Module, fails: Callable[[Module], bool], budget: _Budget) -> None:
        self.rows: Array = np.arange(len(module), dtype=np.int32)
        self._module, self._fails, self._budget = module, fails, budget
        self._asked: set[bytes] = set()

    def _try(self, part: Array) -> bool:
        """Whether a part is smaller and fails too; then it is the smallest known."""
        key = part.tobytes()
        if key in self._asked or len(part) >= len(self.rows) or not self._budget.allows(len(part)):
            return False
        self._asked.add(key)
        with self._budget.measured(len(part)):
            failed = self._fails(self._module.window(part))
        if failed:
            self.rows = part
        return failed

    def near(self, event: int | None) -> bool:
        """Whether the surroundings of an event fail, the closest first."""
        from traceir import windows

        if event is None or event not in self._module["id"]:
            return False
        around = (windows.around(self._module, [event], hops, most).rows for hops, most in _AROUND)
        return any(self._try(windows.closed(self._module, rows)) for rows in around)

    def again(self) -> bool:
        """Whether the whole fails again, or there is no time to see: what failed by chance has no part that fails."""
        if not self._budget.allows(len(self._module)):
            return True
        with self._budget.measured(len(self._module)):
            return self._fails(self._module)

    def split(self) -> None:
        """Try halves, quarters and so on, and the rest without each, as long as there is time."""
        from traceir import windows

        parts = 2
        while len(self.rows) > 1 and self._budget.allows(1):
            parts = min(parts, len(self.rows))
            pieces = np.array_split(self.rows, parts)
            kept = [windows.closed(self._module, piece) for piece in pieces]
            kept += [np.setdiff1d(self.rows, piece) for piece in pieces] if parts > 2 else []
            if any(self._try(part) for part in kept):
                parts = max(2, parts - 1)
            elif parts < len(self.rows):
                parts *= 2
            else:
                break


def recorded(module: Module) -> dict[str, Any] | None:
    """What a reproducer says is to run (`pipeline`, `verify`, the error and versions); None if the module is none.

    `verify` is the text of the verifiers that ran, or False; earlier texts say True for one with its defaults.
    """
    found = module.meta.get(REPRODUCE)
    if not isinstance(found, dict) or not isinstance(found.get("pipeline"), str):
        return None
    return found


__all__ = ["REPRODUCE", "Reproducer", "recorded"]
