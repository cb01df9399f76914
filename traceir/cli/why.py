"""`traceir why`: where a value comes from, as far as it was recorded."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from traceir.cli import common
from traceir.errors import UsageError
from traceir.ir import Annotation, Module, Tree
from traceir.ir.module import CORE
from traceir.passing import Pass, PassManager
from traceir.passing.options import options_of, spell
from traceir.passing.removal import REMOVED_BY
from traceir.registry import Registry, nearest
from traceir.text.cells import Cell
from traceir.text.words import id_text, id_value, symbol, unquote
from traceir.units import count
from traceir.windows.named import lane_row, region_row


def execute(arguments: argparse.Namespace) -> int:
    """Run the command: the value, what it means, the pass with its options, and the values that it was made from."""
    registry = common.registry(arguments)
    asked = None if arguments.passes is None else PassManager.parse(arguments.passes, registry=registry)
    module = common.read(arguments, registry)
    with common.aside():
        module = (asked or _manager(module, arguments.column, registry)).run(module)
    print("\n".join(list(explanation(module, arguments.place, arguments.column, registry))))
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


def explanation(module: Module, place: str, column: str, registry: Registry) -> Iterator[str]:
    """The lines that explain one value. UsageError for a place or column that the module does not have."""
    if column == "live":
        yield from _liveness(module, _row(module, place))
        return
    known = module.annotations.get(column)
    if known is None:
        if _is_event(place):
            _row(module, place)  # the place is wrong too, and comes first
        raise UsageError(_no_column(module, column))
    annotation = known.annotation
    row = _place(module, annotation, place)
    yield _heading(module, annotation.domain, row)
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
    item = PassManager((), registry).instance(record)
    if item is None:
        yield "    The pass is not installed, so what it reads is unknown."
        return
    for option in options_of(type(item)):
        value = getattr(item, option.name)
        asked = "" if value == option.default else ", not the default"
        yield f"    {option.name}={spell(option.type, value)}{asked}: {option.help}"
    yield from _read(module, item, annotation.domain, row)


def _liveness(module: Module, row: int) -> Iterator[str]:
    """Whether an event counts, and which pass removed it."""
    yield str(module.event(row))
    if module["live"][row]:
        yield "  live = true"
        yield "    No pass has removed the event."
        return
    by = _text(module, REMOVED_BY, row) if REMOVED_BY.name in module else None
    yield "  live = false"
    yield f"  by {unquote(by)}" if by is not None else "    Which pass removed the event is not recorded."


def _is_event(place: str) -> bool:
    return place.removeprefix("%").isdecimal()


def _place(module: Module, annotation: Annotation, place: str) -> int:
    """The row that the word for a place means in the annotation's table; an event stands for what it lies in."""
    domain, _, name = annotation.domain.partition(":")
    if domain == "event":
        return _row(module, place)
    if domain == "module":
        return 0
    if domain == "lane":
        if _is_event(place):
            return int(module["lane"][_row(module, place)])
        return lane_row(module, _name(place))
    if domain == "region":
        tree = module.tree(name)
        if not _is_event(place):
            return region_row(module, tree, _name(place))
        return _around(module, annotation, tree, _row(module, place))
    raise UsageError(
        f"The column {annotation.name} is one of {annotation.domain}, not of events, regions, lanes or the module; "
        "print the table with --emit tir."
    )


def _around(module: Module, annotation: Annotation, tree: Tree, row: int) -> int:
    """The innermost region around an event that has a value, or just the innermost if none has."""
    region = leaf = int(tree.leaf[row])
    if leaf < 0:
        raise UsageError(f"The event {id_text(int(module['id'][row]))} lies in no region of the tree {tree.name}.")
    while region >= 0:
        if _text(module, annotation, region) is not None:
            return region
        region = int(tree.parent[region])
    return leaf


def _name(place: str) -> str:
    """A name without its sigil and quotes."""
    bare = place.removeprefix("@")
    try:
        return unquote(bare) if bare.startswith('"') else bare
    except ValueError as error:
        raise UsageError(f"The name {place} cannot be read: {error}") from None


def _heading(module: Module, domain: str, row: int) -> str:
    """What the place is."""
    kind, _, name = domain.partition(":")
    if kind == "event":
        return str(module.event(row))
    if kind == "lane":
        return f"{symbol(module.lanes[row].name)} : {module.lanes[row].kind}"
    if kind == "region":
        tree = module.tree(name)
        events = count(len(tree.events(row)))
        return f"{symbol(tree.region_name(row))} : {tree.kind(row)} of the tree {name}, {events} events"
    return f"{symbol(module.name)} : the module, {count(len(module))} events"


def _read(module: Module, item: Pass, domain: str, row: int) -> Iterator[str]:
    """What the pass read: the values of the same row where there are any, else the tables that they are of."""
    inputs = [name for name in (*item.reads, *item.uses) if name not in CORE and name != "edges"]
    core = [name for name in (*item.reads, *item.uses) if name in CORE or name == "edges"]
    yield f"  from {', '.join(core) or 'all core columns'} of the events" + (", and:" if inputs else "")
    for name in inputs:
        known = module.annotations.get(name)
        if known is None:
            yield f"    {name}: not there"
        elif known.annotation.domain != domain:
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


__all__ = ["explanation"]
