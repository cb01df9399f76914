"""What a pass makes of a module, as text: before, after, and the difference."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence

import attrs

from traceir.errors import UsageError
from traceir.ir import Module, Table
from traceir.passing import Pass, PassManager
from traceir.registry import Entry, Registry
from traceir.testing.checks import assert_sound
from traceir.text import Spelling, parse, spell


def assert_pass(
    before: str, after: str, pass_: Pass | str, columns: Sequence[str] = (), *, registry: Registry | None = None
) -> Module:
    """Fail with a diff unless a pass makes of the module `before` what the text `after` says.

    `pass_` is a pass or a pipeline; what it needs and `before` does not have is inserted, as on the command line.
    Compared are the events (removed ones too), their edges, and the `columns`, by name or by the word before the
    dot; by default those that the pass writes. Both texts may use the columns of every pass that runs, without
    declaring any. Not compared are the order of columns, the module's name and metadata, findings, and which passes
    ran; nulls need not be written. The result also has to be sound, and to keep the promises of its passes.

    Returns the module after the pass, for further assertions (on a report, say). `registry` is where pipelines and
    inserted passes are looked up (default: all that is installed). Raises AssertionError with a unified diff,
    ParseError for a text that cannot be read, UsageError for a pipeline or column that does not exist.
    """
    registry = registry or Registry.default()
    if isinstance(pass_, str):
        manager = PassManager.parse(pass_, registry=registry)
    else:
        registry = _with_pass(registry, type(pass_))
        manager = PassManager([pass_], registry)
    result = manager.run(parse(before, path="<before>", registry=registry))
    assert_sound(result)
    ran = list(dict.fromkeys(record.text for record in result.passes))
    expected = parse(_recording(after, ran), path="<after>", registry=registry)
    chosen = tuple(columns) or tuple(item.name for one in manager.passes for item in type(one).writes)
    _known(columns, result, expected)
    wanted, found = (_lines(module, chosen, registry) for module in (expected, result))
    names = "after, as the test says", f"after {manager.text}"
    diff = "\n".join(difflib.unified_diff(wanted, found, *names, lineterm=""))
    assert not diff, f"The pass {manager.text} gives something else:\n{diff}"
    return result


def _with_pass(registry: Registry, cls: type[Pass]) -> Registry:
    """The registry with a class that need not be installed, so that texts may name it."""
    if cls.name() in registry.entries["passes"]:
        return registry
    entries = {group: dict(known) for group, known in registry.entries.items()}
    entries["passes"][cls.name()] = Entry(cls.name(), cls, cls.summary(), cls.__module__)
    return attrs.evolve(registry, entries=entries)


def _recording(text: str, ran: Sequence[str]) -> str:
    """The text with records of the passes that ran, whose columns it may then use without declaring them.

    They stand before the last bracket, so that no line of a parse error moves.
    """
    at = text.rfind("}")
    records = " ".join(f"pass ran_{number} = {one};" for number, one in enumerate(ran))
    return text if at < 0 else f"{text[:at]}{records} {text[at:]}"


def _known(columns: Sequence[str], *modules: Module) -> None:
    names = {name for module in modules for column in module.annotations for name in (column, column.partition(".")[0])}
    for name in columns:
        if name not in names:
            raise UsageError(f"There is no column {name} before or after the pass.")


def _lines(module: Module, chosen: Sequence[str], registry: Registry) -> list[str]:
    """The module's text in one spelling: chosen columns in order of their names, without what is not compared.

    A column is its values here: how a test declares it, and who wrote it, is no part of what the pass found.
    """
    kept = {
        name: attrs.evolve(module.annotations[name], by=None, inputs=())
        for name in sorted(module.annotations)
        if {name, name.partition(".")[0]} & {*chosen, "extern"}
    }
    module = attrs.evolve(
        module, name="module", meta={}, passes=(), health=(), annotations=kept, tables=_tables(module, kept), derived={}
    )
    lines = "".join(spell(module, Spelling("statements", dead=True), registry=registry)).splitlines()
    return [line for line in lines if not line.startswith("  column ")]


def _tables(module: Module, kept: Collection[str]) -> dict[str, Table]:
    """The tables with the kept columns, and those that no declaration makes; none of which nothing is kept."""
    out = {}
    for domain, table in sorted(module.tables.items()):
        columns = {
            name: column
            for name, column in sorted(table.columns.items())
            if name in kept or name not in module.annotations
        }
        tree = f"tree.{domain.partition(':')[2]}" if domain.startswith("region:") else None
        if domain in ("event", "edge") or (tree in kept if tree else columns):
            out[domain] = attrs.evolve(table, columns=columns)
    return out


__all__ = ["assert_pass"]
