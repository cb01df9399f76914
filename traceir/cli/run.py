"""`traceir run`: load, run the pipeline, print."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from traceir.cli import common
from traceir.errors import InputError, UsageError
from traceir.ir import Finding
from traceir.ir.health import DAMAGE
from traceir.passing import Instrument, PassManager
from traceir.printers import InputInfo, Result


def execute(arguments: argparse.Namespace) -> int:
    """Run the command; the pipeline and the format are checked before the input is read."""
    _check_output(arguments.output, arguments.input)
    common.style(arguments, sys.stdout)
    registry = common.registry(arguments)
    printer = common.printer(arguments.emit, registry)
    manager = PassManager.parse(
        arguments.passes,
        registry=registry,
        insert=not arguments.no_insert,
        instruments=_instruments(arguments),
    )
    module = common.read(arguments, registry)
    _refuse_damage(arguments, module.health)
    source = InputInfo(arguments.input, module.source.frontend if module.source else "", len(module))
    module = manager.run(module)
    result = Result(module, manager.reports(module), (source,))
    with _output(arguments.output) as out:
        printer.write(result, out, common.style(arguments, out))
    return 0


def _instruments(arguments: argparse.Namespace) -> list[Instrument]:
    if arguments.verify == "off" and not arguments.timing:
        return []
    from traceir.passing import instruments

    chosen: list[Instrument] = []
    if arguments.verify != "off":
        chosen.append(instruments.Verify(each=arguments.verify == "each"))
    if arguments.timing:
        chosen.append(instruments.TimingReport(sys.stderr))
    return chosen


def _refuse_damage(arguments: argparse.Namespace, health: tuple[Finding, ...]) -> None:
    if not arguments.strict:
        return
    damage = [finding for finding in health if finding.level == "error" or finding.code in DAMAGE]
    if damage:
        raise InputError(
            f"The input {arguments.input} is damaged, and --strict was given: {damage[0].code}: {damage[0].message}"
        )


def _check_output(path: str | None, source: str) -> None:
    """Refuse an output that cannot be written before the work is done, not after."""
    if path is None or path == "-":
        return
    folder = Path(path).parent
    if not folder.is_dir():
        raise UsageError(f"The output {path} cannot be written: there is no folder {folder}.")
    if Path(path).is_dir():
        raise UsageError(f"The output {path} cannot be written: it is a folder.")
    if source != "-" and Path(path).exists() and Path(source).exists() and Path(path).samefile(source):
        raise UsageError(f"The output {path} is the input itself; name another file.")


@contextlib.contextmanager
def _output(path: str | None) -> Iterator[TextIO]:
    """Standard output, or a file that is complete or as it was: it is written beside and then put in place."""
    if path is None or path == "-":
        yield sys.stdout
        return
    special = Path(path).exists() and not Path(path).is_file()  # a device or a pipe cannot be replaced
    beside = path if special else f"{path}.{os.getpid()}.part"
    try:
        with open(beside, "w", encoding="utf-8", newline="\n") as out:
            yield out
        if not special:
            os.replace(beside, path)
    except OSError as error:
        raise UsageError(f"The output {path} cannot be written: {error.strerror or error}.") from error
    finally:
        if not special:
            Path(beside).unlink(missing_ok=True)
