"""`traceir why`: where a value comes from, as far as it was recorded."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Final

import attrs
import numpy as np

from traceir.cli import common
from traceir.errors import UsageError
from traceir.ir import Annotation, Module, Tree, Written
from traceir.ir.module import CORE
from traceir.passing import Pass, PassManager
from traceir.passing.options import options_of, spell
from traceir.passing.removal import REMOVED_BY
from traceir.registry import Registry, nearest
from traceir.text.cells import Cell
from traceir.text.words import id_text, id_value, symbol, unquote
from traceir.units import count
from traceir.windows.named import lane_row, region_row

_CORE: Final = (*CORE, "edges")
_ARGUMENTS: Final = ("offset", "length")
"""Where in the source an event stands, which nobody reads but to decode its arguments."""
_MOST_ROWS: Final = 5
"""The most rows of a table that are explained for one event; beyond, their number says enough."""


def execute(arguments: argparse.Namespace) -> int:
    """Run the command: the value, what it means, the pass with its options, and the values that it was made from."""
    registry = common.registry(arguments)
    asked = None if arguments.passes is None else common.manager(arguments.passes, registry)
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
        yield from _liveness(module, _row(module, place, column))
        return
    known = module.annotations.get(column)
    if known is None:
        if _is_event(place):
            _row(module, place, column)  # the place is wrong too, and comes first
        raise UsageError(_no_column(module, column))
    annotation = known.annotation
    if annotation.domain.startswith("table:"):
        rows = _referring(module, annotation, _row(module, place, column) if _is_event(place) else None)
        event: int | None = rows[0].event
        yield str(module.event(rows[0].event))
        yield from _rows(module, annotation, rows)
        row = rows[0].row if len(rows) == 1 else None
        null = any(_text(module, annotation, one.row) is None for one in rows)
    else:
        row = _place(module, annotation, place)
        event = row if annotation.domain == "event" else None
        yield _heading(module, annotation.domain, row)
        yield f"  {column} = {_value(module, annotation, row)}"
        null = _text(module, annotation, row) is None
    yield f"    {annotation.doc or 'It has no description.'}"
    if annotation.null and null and annotation.dtype != "bool":
        yield f"    {'Here it is null' if row is not None else 'Where it is null'}: {annotation.null}"
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
    yield from _read(module, item, known, row, event)


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
        return _row(module, place, annotation.name)
    if domain == "module":
        return 0
    if domain == "lane":
        if _is_event(place):
            return int(module["lane"][_row(module, place, annotation.name)])
        return lane_row(module, _name(place))
    if domain == "region":
        tree = module.tree(name)
        if not _is_event(place):
            return region_row(module, tree, _name(place))
        return _around(module, annotation, tree, _row(module, place, annotation.name))
    raise UsageError(
        f"The column {annotation.name} is one of {annotation.domain}, not of events, regions, lanes or the module; "
        "print the table with --emit tir."
    )


@attrs.frozen
class _Link:
    """A row of a table that has to do with an event, and the column that says so."""

    table: str
    row: int
    event: int
    column: str

    def __str__(self) -> str:
        return f"row {self.row} of {self.table}, by {self.column}"


def _links(module: Module, domain: str, event: int) -> list[_Link]:
    """The rows of a table that refer to an event, or that the event refers to; each once. O(rows)."""
    found: dict[int, _Link] = {}
    for name, known in module.annotations.items():
        own, target = known.annotation.domain, known.annotation.target
        if (own, target) == (domain, "event"):
            rows = np.flatnonzero(module[name] == event).tolist()
        elif (own, target) == ("event", domain):
            rows = [row for row in (int(module[name][event]),) if row >= 0]
        else:
            continue
        for row in rows:
            found.setdefault(row, _Link(domain, row, event, name))
    return [found[row] for row in sorted(found)]


def _referring(module: Module, annotation: Annotation, event: int | None) -> list[_Link]:
    """The rows to explain; UsageError if the place is no event, or nothing refers to it."""
    domain = annotation.domain
    by = [
        name
        for name, known in module.annotations.items()
        if (known.annotation.domain, known.annotation.target) in ((domain, "event"), ("event", domain))
    ]
    if event is None or not by:
        how = "name an event that it speaks of, as %8812, or print" if by else "print"
        raise UsageError(
            f"The column {annotation.name} is one of {domain}, not of events, regions, lanes or the module; "
            f"{how} the table with --emit tir."
        )
    rows = _links(module, domain, event)
    if not rows:
        raise UsageError(
            f"No row of {domain} refers to the event {id_text(int(module['id'][event]))} (by {' or '.join(by)})."
        )
    return rows


def _rows(module: Module, annotation: Annotation, rows: Sequence[_Link]) -> Iterator[str]:
    """The value in each row, and what else is in it."""
    others = [
        known.annotation
        for known in module.annotations.values()
        if known.annotation.domain == annotation.domain and known.annotation.name != annotation.name
    ]
    for one in rows[:_MOST_ROWS]:
        yield f"  {annotation.name} = {_value(module, annotation, one.row)} ({one})"
        cells = [(other, _text(module, other, one.row)) for other in others]
        told = [f"{other.name} = {_value(module, other, one.row)}" for other, text in cells if text is not None]
        if told:
            yield f"    beside {', '.join(told)}"
    if len(rows) > _MOST_ROWS:
        yield f"  and so on in {count(len(rows) - _MOST_ROWS)} further rows"


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


def _read(module: Module, item: Pass, known: Written, row: int | None, event: int | None) -> Iterator[str]:
    """What the pass read: values of the same row, or of what has to do with the event, else the tables they are of."""
    declared = (*item.reads, *item.uses)
    core = [name for name in declared if name in _CORE]
    # What it was seen to read besides; one that declares no core column is bound to all of them.
    noticed = [name for name, _ in known.inputs if core or name not in _CORE]
    names = dict.fromkeys((*declared, *noticed))
    events = ", ".join(name for name in names if name in _CORE and name not in _ARGUMENTS) or "all core columns"
    inputs = [name for name in names if name not in (*_CORE, "args")]
    arguments = ", the source's arguments" if "args" in names else ""
    yield f"  from {events} of the events{arguments}{', and:' if inputs else ''}"
    for name in inputs:
        written = module.annotations.get(name)
        if written is None:
            yield f"    {name}: not there"
            continue
        annotation = written.annotation
        by = f"by {module.passes[written.by].text}" if written.by is not None else ""
        if annotation.domain == known.annotation.domain and row is not None:
            yield f"    {name} = {_value(module, annotation, row)}{f' ({by})' if by else ''}"
        elif event is None:
            yield f"    {name}: a column of {annotation.domain}{f' ({by})' if by else ''}"
        else:
            yield f"    {name}{_of_event(module, annotation, event, by)}"


def _of_event(module: Module, annotation: Annotation, event: int, by: str) -> str:
    """The value in the one row that an event is, lies in or is linked to, or why there is none: the end of a line."""
    domain, _, name = annotation.domain.partition(":")
    end = f" ({by})" if by else ""
    if domain == "event":
        row, place = event, id_text(int(module["id"][event]))
    elif domain == "module":
        row, place = 0, "the module"
    elif domain == "lane":
        row = int(module["lane"][event])
        place = symbol(module.lanes[row].name)
    elif domain == "region":
        tree = module.tree(name)
        if int(tree.leaf[event]) < 0:
            return f": the event lies in no region of the tree {name}{end}"
        row = _around(module, annotation, tree, event)
        place = symbol(tree.region_name(row))
    else:
        links = _links(module, annotation.domain, event) if domain == "table" else []
        if len(links) != 1:
            refer = f"{len(links)} rows of which refer" if links else "no row of which refers"
            return f": a column of {annotation.domain}, {refer} to the event{end}"
        row, place = links[0].row, f"row {links[0].row} of {annotation.domain}"
    return f" = {_value(module, annotation, row)} ({', '.join(filter(None, (f'of {place}', by)))})"


def _row(module: Module, event: str, column: str) -> int:
    if event.startswith("@") and len(event) > 1:
        raise UsageError(f"The column {column} is one of events, and {event} is none; name an event, as %8812.")
    try:
        id = id_value(event if event.startswith("%") else f"%{event}")
    except ValueError:
        raise UsageError(f"The event {event!r} is no id; write it as %8812.") from None
    try:
        return module.row_of(id)
    except KeyError:
        raise UsageError(f"There is no event {id_text(id)} in this trace.") from None


def _no_column(module: Module, column: str) -> str:
    if column in CORE and f"src.{column}" in module:
        changer = _changer(module, column)
        return f"The column {column} was changed by {changer}; what the source recorded is in src.{column}."
    if column in CORE:
        return f"The column {column} is what the source recorded; no pass wrote it."
    return f"No pass that ran wrote a column {column}{nearest(column, module.annotations)}."


def _changer(module: Module, column: str) -> str:
    """The pass that kept the originals of a column, as its text."""
    by = module.annotations[f"src.{column}"].by
    return "a pass" if by is None else module.passes[by].text


def _text(module: Module, annotation: Annotation, row: int) -> str | None:
    return Cell(module, annotation).text(module[annotation.name], row)


def _value(module: Module, annotation: Annotation, row: int) -> str:
    text = _text(module, annotation, row)
    if text is None:
        return "false" if annotation.dtype == "bool" else "null"
    if annotation.name.startswith("tree.") and annotation.dtype == "id":
        return f"@{module.tree(annotation.name.partition('.')[2]).region_name(int(module[annotation.name][row]))}"
    measured = annotation.unit and annotation.dtype in ("i64", "u32", "f64")
    return f"{text} {annotation.unit}" if measured else text


__all__ = ["explanation"]
