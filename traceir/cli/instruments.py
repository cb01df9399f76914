"""Instruments from the flags of the command line, and the file that they log to."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import attrs

from traceir import __version__
from traceir.cli import common
from traceir.errors import UsageError
from traceir.ir import Module
from traceir.passing import Instrument, PassContext
from traceir.passing.base import Pass
from traceir.passing.instruments.printing import ALL
from traceir.passing.pipeline import parse_items
from traceir.registry import Registry, nearest

_VERIFIED_UNASKED = 1_000_000
"""Events up to which `--verify=auto` checks each pass: above, a fifth more time is worth a question."""


def chosen(
    arguments: argparse.Namespace, registry: Registry, reproducing: Mapping[str, Any] | None = None
) -> list[Instrument]:
    """The instruments that the flags ask for, in the order in which they are called.

    What a failing pass was given is written as a text that fails the same way, unless it comes from such a text:
    then `reproducing` is what that says, and it is verified as the run was unless a flag says otherwise.
    """
    from traceir.passing import instruments

    out = _verifiers(arguments, registry, reproducing)
    flags: tuple[tuple[bool, type[Instrument]], ...] = (
        (not arguments.quiet and sys.stderr.isatty(), instruments.Progress),
        (arguments.timing, instruments.TimingTree),
        (arguments.diff, instruments.Diff),
        (arguments.statistics, instruments.Statistics),
    )
    out += [kind() for given, kind in flags if given]
    if arguments.remarks is not None:
        out.append(common.chosen("instruments", f"remarks{{kind={arguments.remarks}}}", registry))
    if arguments.print_after:
        out.append(_print_after(arguments.print_after, registry))
    out += [common.chosen("instruments", text, registry) for text in arguments.instrument]
    if arguments.log is not None:
        out.append(Log())
    always = [instruments.Culprit] if reproducing is not None else [instruments.Culprit, instruments.Reproducer]
    out += [kind() for kind in always if not any(isinstance(one, kind) for one in out)]
    return out


def _print_after(names: Sequence[str], registry: Registry) -> Instrument:
    """What `--print-after` asks for; a name that no pass has is a UsageError now, not when the trace has been read."""
    from traceir.passing.instruments import Print

    for name in names:
        if name not in (ALL, *registry.entries["passes"]):
            raise UsageError(f"There is no pass {name!r} to print after{nearest(name, registry.entries['passes'])}.")
    return Print(tuple(names))


def _verifiers(
    arguments: argparse.Namespace, registry: Registry, reproducing: Mapping[str, Any] | None
) -> list[Instrument]:
    """What `--verify` asks for, or a reproducer records; UsageError if that is anything else, which a text may not."""
    from traceir.passing.instruments import Verify

    if arguments.verify == "off":
        return []
    if reproducing is None or arguments.verify != "auto":
        most = _VERIFIED_UNASKED if arguments.verify == "auto" else None
        return [Verify("end" if arguments.verify == "end" else "each", most_events=most)]
    said = reproducing.get("verify")
    text = "verify" if said is True else said if isinstance(said, str) else ""
    found: list[Instrument] = []
    for item in parse_items(text) if text else ():
        if item.word != "verify":
            raise UsageError(f"The text records {item.word!r} as what verified the run; only verify can be.")
        found.append(registry.find("instruments", item.word).from_text(dict(item.settings)))
    return found


@attrs.define(eq=False)
class Log(Instrument):
    """Notes which passes ran, so that the figures of other instruments can be put beside them."""

    rows: list[dict[str, Any]] = attrs.field(factory=list, init=False)
    left_out: list[dict[str, str]] = attrs.field(factory=list, init=False)

    def before(self, item: Pass, module: Module) -> None:
        """Begin a row."""
        self.rows.append({"pass": item.name(), "text": item.text(every=True), "failed": False})

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
