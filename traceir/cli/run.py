"""`traceir run` and `traceir print`: load, run the pipeline, print."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, cast

import attrs
import numpy as np

from traceir.cli import common
from traceir.cli.instruments import chosen, files
from traceir.cli.log import logged
from traceir.cli.output import check_outputs, same_file, writing, writing_bytes
from traceir.cli.roles import with_roles
from traceir.errors import InputError, UsageError
from traceir.ir import Finding, Module
from traceir.ir.health import DAMAGE
from traceir.ir.window import without_dead
from traceir.passing import PassContext, PassManager
from traceir.passing.instruments.reproducer import recorded
from traceir.passing.options import options_of
from traceir.passing.pipeline import spell
from traceir.printers import InputInfo, Printer, Result
from traceir.registry import Registry
from traceir.text.words import id_value

_OF_A_RUN = ("timing", "diff", "statistics", "remarks", "print_after", "instrument", "log")
"""The flags that ask for something of the passes as they run."""
_FURTHER = ("capture", "metrics")
"""The passes that flags of the same name run, found by their word like any other, each with the input so named."""
_AROUND_MOST = 200
"""How many events --around prints unless --limit says otherwise: a page or two of statements."""


def execute(arguments: argparse.Namespace) -> int:
    """Run the command; the pipeline and the format are checked before the input is read."""
    outputs = ("output", arguments.output), ("log", arguments.log)
    sources = arguments.input, arguments.capture, arguments.metrics, arguments.roles, *arguments.plugin
    check_outputs(sources, *outputs)
    common.style(arguments, sys.stdout)
    registry = common.registry(arguments)
    with common.aside():
        printer = _with_flags(common.printer(arguments.emit, registry), arguments)
        passes = arguments.passes if arguments.passes is not None else "default"
        passes = _with_inputs(with_roles(passes, arguments.roles, registry), arguments, registry)
        manager = _manager(arguments, passes, registry)
        check_outputs(sources, *outputs, *files(manager.instruments))
        module = common.read(arguments, registry)
        _refuse_damage(arguments, module.health)
        manager = _recorded_instead(arguments, module, registry) or manager
    if arguments.dump_pipeline:
        return _dump(arguments, manager, module)
    given = module
    others = {word: common.read(arguments, registry, path) for word, path in _further(arguments).items()}
    inputs = _info(arguments.input, module), *(_info(path, others[word]) for word, path in _further(arguments).items())
    with logged(arguments.log, manager.instruments):
        with common.aside():
            module = manager.run(given, PassContext(inputs=others))
        _say_what_is_not_there(arguments, manager, given)
        _print(arguments, manager, module, printer, inputs)
    return 0


def _print(
    arguments: argparse.Namespace,
    manager: PassManager,
    module: Module,
    printer: Printer,
    sources: tuple[InputInfo, ...],
) -> None:
    """Write the product: the whole of what the passes made, or the part that the flags name."""
    # A window is one of what is printed: removed events are not in it unless they are asked for.
    printed = module if getattr(printer, "dead", False) or not _cuts(arguments) else without_dead(module)
    windowed = _windowed(printed, printer, arguments, manager.registry or Registry.default())
    with common.aside():
        reports = manager.reports(module) if windowed is module else {}
    result = Result(windowed, reports, sources)
    if printer.is_binary:
        with writing_bytes(arguments.output) as raw, common.named(f"The printer {printer.name()}"):
            printer.write_bytes(result, raw)
        return
    with writing(arguments.output) as out, common.named(f"The printer {printer.name()}"):
        printer.write(result, out, common.style(arguments, out))


def _info(path: str, module: Module) -> InputInfo:
    return InputInfo(path, module.source.frontend if module.source else "", len(module))


def _further(arguments: argparse.Namespace) -> dict[str, str]:
    """The further inputs that flags name."""
    given = {word: getattr(arguments, word) for word in _FURTHER}
    return {word: path for word, path in given.items() if path is not None}


def _with_inputs(passes: str, arguments: argparse.Namespace, registry: Registry) -> str:
    """The pipeline with the passes that join further inputs: a capture before all others, metrics behind them."""
    for word, path in _further(arguments).items():
        if not path:
            raise UsageError(f"The flag --{word} names no file; leave it out, or name one.")
        if path != "-" and not Path(path).exists():
            raise InputError(f"The {word} {path} {'do' if word == 'metrics' else 'does'} not exist.")
        if path != "-" and same_file(path, arguments.input):
            mend = "a capture in the input is joined by the pass capture" if word == "capture" else "name another file"
            raise UsageError(f"The {word} {'is' if word == 'capture' else 'are'} the input itself; {mend}.")
        if not any(item.name() == word for item in PassManager.parse(passes, registry=registry).passes):
            pair = (word, passes) if word == "capture" else (passes, word)
            passes = ",".join(filter(None, pair))
    return passes


def _dump(arguments: argparse.Namespace, manager: PassManager, module: Module) -> int:
    """Write the passes that would run, and nothing else."""
    with common.aside():
        plan = manager.resolve(module)[: arguments.stop_after]
    _say_what_is_not_there(arguments, manager, module)
    flags = {f"--{name.replace('_', '-')}": getattr(arguments, name) for name in _OF_A_RUN}
    idle = [flag for flag, value in flags.items() if value not in (None, False, [])]
    if idle:
        common.note(arguments, f"Nothing runs with --dump-pipeline, so {_listed(idle)} did nothing.")
    with writing(arguments.output) as out:
        print(spell(plan, every=True), file=out)
    return 0


def _say_what_is_not_there(arguments: argparse.Namespace, manager: PassManager, module: Module) -> None:
    """Name what was to be left out of a pipeline that does not have it (nor needs it, which is an error before)."""
    known = {item.name() for item in manager.passes} | {record.name for record in module.passes}
    for name in dict.fromkeys(arguments.disable):
        if name not in known:
            common.note(arguments, f"The pipeline has no pass {name} to leave out.")


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _manager(
    arguments: argparse.Namespace, passes: str, registry: Registry, reproducing: dict[str, Any] | None = None
) -> PassManager:
    return common.manager(
        passes,
        registry,
        insert=not arguments.no_insert,
        instruments=chosen(arguments, registry, reproducing),
        disabled=arguments.disable,
        stop_after=arguments.stop_after,
    )


def _recorded_instead(arguments: argparse.Namespace, module: Module, registry: Registry) -> PassManager | None:
    """The manager for an input that says what is to run, or what has run, if no passes were asked for.

    A reproducer says the former; a text that records passes holds their results, and nothing runs again.
    """
    if arguments.passes is not None:
        return None
    found = recorded(module)
    if found is None:
        if module.passes:
            names = ", ".join(dict.fromkeys(record.name for record in module.passes))
            named = [f"--{word}" for word in (*_further(arguments), *(["roles"] if arguments.roles else []))]
            idle = f" {_listed(named)} did nothing;" if named else ""
            common.note(arguments, f"The text holds the results of {names};{idle} ask for passes with --passes.")
        return _manager(arguments, "", registry) if module.passes else None
    common.note(arguments, f"This is a reproducer of: {found.get('error')}")
    common.note(arguments, f"It was made by traceir {found.get('traceir')}; running {found['pipeline']}.")
    try:
        return _manager(arguments, found["pipeline"], registry, found)
    except UsageError as error:
        error.add_note("If a plug-in brings the pass, name its file with --plugin, as the run did that failed.")
        raise


def _with_flags(printer: Printer, arguments: argparse.Namespace) -> Printer:
    """The printer with the options that have flags of their own; UsageError if it has no such option."""
    given: dict[str, Any] = {"by": arguments.by, "expand": tuple(arguments.expand), "form": arguments.form}
    given |= {"args": arguments.args, "dead": arguments.dead}
    wanted = {name: value for name, value in given.items() if value}
    if not wanted:
        return printer
    known = {option.name for option in options_of(type(printer))}
    for name in wanted:
        if name not in known:
            raise UsageError(f"The flag --{name} sets an option that the printer {printer.name()} does not have.")
    if "expand" in wanted:
        wanted["expand"] = (*getattr(printer, "expand", ()), *wanted["expand"])
    changed: Printer = attrs.evolve(cast(Any, printer), **wanted)
    return changed


def _cuts(arguments: argparse.Namespace) -> bool:
    """Whether the flags name a part of the module."""
    if arguments.hops is not None and not arguments.around:
        raise UsageError("The flag --hops says how far --around reaches; name an event with --around.")
    return arguments.window is not None or bool(arguments.around) or arguments.limit is not None


def _windowed(module: Module, printer: Printer, arguments: argparse.Namespace, registry: Registry) -> Module:
    """The part of the module that the flags name; the module itself if they name none."""
    if not _cuts(arguments):
        return module
    if not printer.prints_parts:
        raise UsageError(
            f"The printer {printer.name()} sums up the whole run; print a part with --emit tir or --emit chrome."
        )
    from traceir import windows

    rows = np.arange(len(module), dtype=np.int32)
    parts = [windows.select_window(module, arguments.window, registry)] if arguments.window is not None else []
    if arguments.around:
        most = arguments.limit if arguments.limit is not None else _AROUND_MOST
        if arguments.window is not None:  # which narrows the choice too, so that it is cut off last
            most = max(len(module), 1)
        parts.append(
            windows.around(module, map(_id, arguments.around), 1 if arguments.hops is None else arguments.hops, most)
        )
    for part in parts:
        rows = np.intersect1d(rows, part.rows)
    if arguments.limit is not None:
        parts.append(windows.limit(module, rows, arguments.limit))
        rows = parts[-1].rows
    for part in parts:
        common.note(arguments, part.note)
    if not len(rows):
        raise UsageError("The window holds no event: what --window and --around name have none in common.")
    return module.window(rows)


def _id(text: str) -> int:
    try:
        return id_value(text if text.startswith("%") else f"%{text}")
    except ValueError:
        raise UsageError(f"The event {text!r} is no id; write it as %8812.") from None


def _refuse_damage(arguments: argparse.Namespace, health: tuple[Finding, ...]) -> None:
    if not arguments.strict:
        return
    damage = [finding for finding in health if finding.level == "error" or finding.code in DAMAGE]
    if damage:
        raise InputError(
            f"The input {arguments.input} is damaged, and --strict was given: {damage[0].code}: {damage[0].message}"
        )
