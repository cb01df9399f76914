"""`--log`: what the instruments noted of each pass, as one JSON file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import attrs

from traceir import __version__
from traceir.cli.output import writing
from traceir.errors import PassError, SchemaError, TraceirError
from traceir.ir import Module
from traceir.passing import Instrument, PassContext
from traceir.passing.base import Pass
from traceir.passing.instrument import Timing
from traceir.passing.report import to_json
from traceir.passing.words import said


@attrs.define(eq=False)
class Log(Instrument):
    """Notes which passes ran, so that the figures of other instruments can be put beside them."""

    rows: list[dict[str, Any]] = attrs.field(factory=list, init=False)
    left_out: list[dict[str, str]] = attrs.field(factory=list, init=False)
    done: int = attrs.field(default=0, init=False)
    """How many of the rows are of passes that ran to their end; the last may be of one that failed."""

    def before(self, item: Pass, module: Module) -> None:
        """Begin a row."""
        self.rows.append({"pass": item.name(), "text": item.text(every=True), "failed": False})

    def begin(self, module: Module, context: PassContext) -> None:
        """Start anew."""
        self.rows.clear()
        self.done = 0

    def after(self, item: Pass, before: Module, after: Module, timing: Timing) -> None:
        """Count it."""
        self.done = len(self.rows)

    def failed(self, item: Pass, module: Module, error: Exception) -> None:
        """Note that it failed."""
        self.rows[-1] |= {"failed": True, "error": str(error)}

    def skipped(self, item: Pass, reason: str) -> None:
        """Note what did not run."""
        self.left_out.append({"pass": item.name(), "reason": reason})


@contextmanager
def logged(path: str | None, instruments: Sequence[Instrument]) -> Iterator[None]:
    """Write the log at the end of a run, however it ends; what goes wrong with that hides no error of the run."""
    try:
        yield
    except BaseException as error:
        for trouble in _write(path, instruments):
            error.add_note(str(trouble))
        raise
    troubles = _write(path, instruments)
    if troubles:
        for other in troubles[1:]:
            troubles[0].add_note(str(other))
        raise troubles[0]


def _write(path: str | None, instruments: Sequence[Instrument]) -> list[TraceirError]:
    """Write one object for each pass that ran; whatever cannot be had or written is an error, and the rest is there."""
    log = next((one for one in instruments if isinstance(one, Log)), None)
    if path is None or log is None:
        return []
    troubles: list[TraceirError] = []
    rows: list[dict[str, Any]] = [dict(row) for row in log.rows]
    for one in instruments:
        try:
            _put(one.text(), _figures(one, log), rows)
        except TraceirError as error:
            troubles.append(error)
    whole = {"schema": "traceir.log/1", "traceir": __version__, "passes": rows, "skipped": log.left_out}
    text = json.dumps(whole, indent=1, ensure_ascii=False)
    try:
        with writing(path, "log") as out:
            # A file name that is no Unicode stands in an error as lone surrogates, which JSON can escape.
            out.write(text.encode("utf-8", "backslashreplace").decode() + "\n")
    except TraceirError as error:
        troubles.append(error)
    return troubles


def _figures(one: Instrument, log: Log) -> list[dict[str, Any]]:
    """The figures of an instrument as plain data, one for each row from the first on; PassError if they are none."""
    try:
        given: object = one.figures()
    except (Exception, SystemExit) as error:
        raise PassError(f"The instrument {one.name()} failed in figures: {said(error)}") from error
    who = f"The figures of the instrument {one.name()}"
    if isinstance(given, str) or not isinstance(given, Sequence) or not all(isinstance(row, Mapping) for row in given):
        raise PassError(f"{who} are {given!r}, and they have to be a list of dicts.")
    if len(given) not in (0, log.done, len(log.rows)):
        passes = f"{len(given)} pass{'es' if len(given) != 1 else ''}"
        raise PassError(f"{who} are of {passes}, and {len(log.rows)} ran, so the log leaves them out.")
    try:
        plain: list[dict[str, Any]] = to_json(given)
    except SchemaError as error:
        raise PassError(f"{who} cannot be written: {error}") from error
    return plain


def _put(text: str, figures: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]]) -> None:
    """Put figures into the rows: as they are if none of their keys is taken, else as an object of the instrument's."""
    pairs = list(zip(rows, figures, strict=False))
    if any(key in row and row[key] != value for row, own in pairs for key, value in own.items()):
        while any(text in row for row in rows):
            text += "'"
        pairs = [(row, {text: own}) for row, own in pairs]
    for row, own in pairs:
        row.update(own)


__all__ = ["Log", "logged"]
