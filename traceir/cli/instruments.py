"""Instruments from the flags of the command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from traceir.cli import common
from traceir.cli.log import Log
from traceir.errors import UsageError
from traceir.passing import Instrument
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
    # By their names, so that each is imported where its flag is given, and only there.
    flags = (
        (not arguments.quiet and sys.stderr.isatty(), "Progress"),
        (arguments.timing, "TimingTree"),
        (arguments.diff, "Diff"),
        (arguments.statistics, "Statistics"),
    )
    out += [getattr(instruments, name)() for given, name in flags if given]
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
    from traceir.passing.instruments.printing import ALL

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


def files(instruments: Sequence[Instrument]) -> Iterator[tuple[str, str]]:
    """What instruments may write besides the log, as (what it is, path)."""
    from traceir.passing.instruments import Reproducer

    for one in instruments:
        if isinstance(one, Reproducer) and one.path is not None:
            yield "reproducer", one.path


__all__ = ["chosen", "files"]
