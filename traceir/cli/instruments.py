"""Instruments from the flags of the command line, and the file that they log to."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import attrs

from traceir import __version__
from traceir.cli import common
from traceir.errors import UsageError
from traceir.ir import Module
from traceir.passing import Instrument, PassContext, Timing
from traceir.passing.base import Pass
from traceir.registry import Registry

_VERIFIED_UNASKED = 1_000_000
"""Events up to which `--verify=auto` checks each pass: above, a fifth more time is worth a question."""


def chosen(arguments: argparse.Namespace, registry: Registry, *, reproduce: bool = True) -> list[Instrument]:
    """The instruments that the flags ask for, in the order in which they are called.

    With `reproduce`, what a failing pass was given is written as a text that fails the same way.
    """
    from traceir.passing import instruments

    out: list[Instrument] = []
    if arguments.verify != "off":
        most = _VERIFIED_UNASKED if arguments.verify == "auto" else None
        out.append(instruments.Verify("end" if arguments.verify == "end" else "each", most_events=most))
    if not arguments.quiet and sys.stderr.isatty():
        out.append(instruments.Progress())
    if arguments.timing:
        out.append(instruments.TimingTree())
    if arguments.diff:
        out.append(instruments.Diff())
    if arguments.statistics:
        out.append(instruments.Statistics())
    if arguments.remarks is not None:
        out.append(common.chosen("instruments", f"remarks{{kind={arguments.remarks}}}", registry))
    if arguments.print_after:
        out.append(instruments.Print(tuple(arguments.print_after)))
    out += [common.chosen("instruments", text, registry) for text in arguments.instrument]
    if arguments.log is not None:
        out.append(Log())
    out.append(instruments.Culprit())
    if reproduce and not any(isinstance(one, instruments.Reproducer) for one in out):
        out.append(instruments.Reproducer(verify=arguments.verify in ("each", "auto")))
    return out


@attrs.define(eq=False)
class Log(Instrument):
    """Notes which passes ran, so that the figures of other instruments can be put beside them."""

    rows: list[dict[str, Any]] = attrs.field(factory=list, init=False)
    left_out: list[dict[str, str]] = attrs.field(factory=list, init=False)

    def before(self, item: Pass, module: Module) -> None:
        """Begin a row."""
        self.rows.append({"pass": item.name(), "text": item.text(every=True), "failed": False})

    def after(self, item: Pass, before: Module, after: Module, timing: Timing) -> None:
        """Nothing: what it cost is noted by others."""

    def begin(self, module: Module, context: PassContext) -> None:
        """Start anew."""
        self.rows.clear()

    def failed(self, item: Pass, module: Module, error: Exception) -> None:
        """Note that it failed."""
        self.rows[-1] |= {"failed": True, "error": str(error)}

    def skipped(self, item: Pass, reason: str) -> None:
        """Note what did not run."""
        self.left_out.append({"pass": item.name(), "reason": reason})


def write_log(path: str, instruments: Sequence[Instrument]) -> None:
    """Write what the instruments noted, one object for each pass that ran; UsageError if that cannot be done."""
    log = next(one for one in instruments if isinstance(one, Log))
    figures = [one.figures() for one in instruments]
    passes = []
    for row, *more in zip_longest(log.rows, *figures, fillvalue={}):
        merged = dict(row)
        for one in more:
            merged |= one
        passes.append(merged)
    whole = {"schema": "traceir.log/1", "traceir": __version__, "passes": passes, "skipped": log.left_out}
    try:
        Path(path).write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", "utf-8")
    except OSError as error:
        raise UsageError(f"The log {path} cannot be written: {error.strerror or error}.") from error


__all__ = ["chosen", "write_log"]
