"""`traceir why`: where a value comes from, as far as it was recorded."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from traceir.cli import common
from traceir.errors import UsageError
from traceir.ir import Annotation, Module, PassRecord
from traceir.ir.module import CORE
from traceir.passing import Pass, PassManager
from traceir.passing.options import options_of, spell
from traceir.registry import Registry, nearest
from traceir.text.cells import Cell
from traceir.text.words import id_text, id_value


def execute(arguments: argparse.Namespace) -> int:
    """Run the command: the value, what it means, the pass with its options, and the values that it was made from."""
    registry = common.registry(arguments)
    asked = None if arguments.passes is None else PassManager.parse(arguments.passes, registry=registry)
    module = common.read(arguments, registry)
    manager = asked or _manager(module, arguments.column, registry)
    print("\n".join(list(explanation(manager.run(module), arguments.event, arguments.column, registry))))
    return 0


def _manager(module: Module, column: str, registry: Registry) -> PassManager:
    """The default pipeline, and behind it the pass that writes the column if none of that does; nothing for a text."""
    manager = PassManager.parse("" if module.passes else "default", registry=registry)
    planned = {annotation.name for item in manager.resolve(module) for annotation in item.writes}
    if column not in {*planned, *module.annotations, *CORE}:
        for _, cls in registry.loaded("passes"):
            if any(annotation.name == column for annotation in cls.writes):
                return PassManager((*manager.passes, cls.from_text({})), registry)
    return manager


def explanation(module: Module, event: str, column: str, registry: Registry) -> Iterator[str]:
    """The lines that explain one value. UsageError for an event or column that the module does not have."""
    row = _row(module, event)
    yield str(module.event(row))
    known = module.annotations.get(column)
    if known is None:
        raise UsageError(_no_column(module, column))
    annotation = known.annotation
    if annotation.domain != "event":
        raise UsageError(
            f"The column {column} is one of {annotation.domain}, not of events; "
            "name one of events, or print the table with --emit tir."
        )
    yield f"  {column} = {_value(module, annotation, row)}"
    yield f"    {annotation.doc or 'It has no description.'}"
    if annotation.null and _text(module, annotation, row) is None:
        yield f"    Here it is null: {annotation.null}"
    yield f"    It is {annotation.basis}{', and stale' if module.stale(column) else ''}."
    if known.by is None:
        yield "  No pass is recorded as its writer."
        return
    record = module.passes[known.by]
    yield f"  by {record.text} (pass {known.by + 1} of {len(module.passes)})"
    item = _instance(record, registry)
    if item is None:
        yield "    The pass is not installed, so what it reads is unknown."
        return
    for option in options_of(type(item)):
        value = getattr(item, option.name)
        asked = "" if value == option.default else ", not the default"
        yield f"    {option.name}={spell(option.type, value)}{asked}: {option.help}"
    yield from _read(module, item, row)


def _read(module: Module, item: Pass, row: int) -> Iterator[str]:
    inputs = [name for name in (*item.reads, *item.uses) if name not in CORE and name != "edges"]
    core = [name for name in (*item.reads, *item.uses) if name in CORE or name == "edges"]
    yield f"  from {', '.join(core) or 'all core columns'} of the events" + (", and:" if inputs else "")
    for name in inputs:
        known = module.annotations.get(name)
        if known is None:
            yield f"    {name}: not there"
        elif known.annotation.domain != "event":
            yield f"    {name}: a column of {known.annotation.domain}{_maker(module, known.by)}"
        else:
            yield f"    {name} = {_value(module, known.annotation, row)}{_maker(module, known.by)}"


def _maker(module: Module, by: int | None) -> str:
    return f" (by {module.passes[by].text})" if by is not None else ""


def _row(module: Module, event: str) -> int:
    try:
        id = id_value(event if event.startswith("%") else f"%{event}")
    except ValueError:
        raise UsageError(f"The event {event!r} is no id; write it as %8812.") from None
    try:
        return module.row_of(id)
    except KeyError:
        raise UsageError(f"There is no event {id_text(id)} in this trace.") from None


def _no_column(module: Module, column: str) -> str:
    if column in CORE:
        return f"The column {column} is what the source recorded; no pass wrote it."
    return f"No pass that ran wrote a column {column}{nearest(column, module.annotations)}."


def _text(module: Module, annotation: Annotation, row: int) -> str | None:
    return Cell(module, annotation).text(module[annotation.name], row)


def _value(module: Module, annotation: Annotation, row: int) -> str:
    text = _text(module, annotation, row)
    if text is None:
        return "null"
    if annotation.name.startswith("tree.") and annotation.dtype == "id":
        return f"@{module.tree(annotation.name.partition('.')[2]).region_name(int(module[annotation.name][row]))}"
    measured = annotation.unit and annotation.dtype in ("i64", "u32", "f64")
    return f"{text} {annotation.unit}" if measured else text


def _instance(record: PassRecord, registry: Registry) -> Pass | None:
    try:
        return PassManager.parse(record.text, registry=registry).passes[0]
    except UsageError:
        return None


__all__ = ["explanation"]
