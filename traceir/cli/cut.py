"""`traceir cut`: one layer, step or stretch of time as a small trace."""

from __future__ import annotations

import argparse
from typing import Any

import attrs

from traceir import windows
from traceir.cli import common
from traceir.cli.output import check_outputs, writing
from traceir.errors import UsageError
from traceir.ir.window import without_dead
from traceir.passing import PassManager
from traceir.passing.options import options_of
from traceir.printers import InputInfo, Printer, Result

_FORMATS = {".json": "chrome", ".json.gz": "chrome", ".tir": "tir", ".tir.gz": "tir"}


def execute(arguments: argparse.Namespace) -> int:
    """Run the command: the events that the window names, with the calls that launched them and what encloses those."""
    check_outputs((arguments.input, *arguments.plugin), ("output", arguments.output))
    registry = common.registry(arguments)
    printer = _printer(arguments, registry.find("printers", _format(arguments.output)))
    asked = None if arguments.passes is None else common.manager(arguments.passes, registry)
    module = without_dead(common.read(arguments, registry))
    # A text that records passes has their regions, which other passes would replace.
    manager = asked or PassManager.parse("" if module.passes else "group", registry=registry)
    with common.aside():
        after = manager.run(module)
    chosen = windows.select_window(after, arguments.window, registry)
    common.note(arguments, chosen.note)
    # The rows are those of the module as it was read, so what the passes wrote stays out of the small trace; only
    # redaction looks at it, since a pseudonym keeps the role.
    small = (after if arguments.redact else module).window(windows.closed(module, chosen.rows))
    source = InputInfo(arguments.input, module.source.frontend if module.source else "", len(module))
    with writing(arguments.output) as out, common.named(f"The printer {printer.name()}"):
        printer.write(Result(small, {}, (source,)), out, common.style(arguments, out))
    common.note(arguments, f"{len(small)} of {len(module)} events are in {arguments.output}.")
    return 0


def _format(path: str) -> str:
    for ending, word in _FORMATS.items():
        if path.endswith(ending):
            return word
    raise UsageError(f"The output {path} has to end in {', '.join(_FORMATS)}, which says what is written.")


def _printer(arguments: argparse.Namespace, kind: Any) -> Printer:
    printer: Printer = kind()
    given: dict[str, Any] = {"args": True} if kind.word == "tir" else {}
    if arguments.redact:
        if "redact" not in {option.name for option in options_of(kind)}:
            raise UsageError(f"The flag --redact is for .json files; {arguments.output} is none.")
        given |= {"redact": True, "add": ()}
    return attrs.evolve(printer, **given)  # type: ignore[misc]
