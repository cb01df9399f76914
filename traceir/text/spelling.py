"""Spelling: a module as text, statement by statement or block by block."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, Final, Literal

import attrs

from traceir.errors import UsageError
from traceir.ir import Annotation, Module
from traceir.ir.window import without_dead
from traceir.registry import Registry
from traceir.text.blocks import Blocks
from traceir.text.cells import Cell
from traceir.text.declared import brief, written_by
from traceir.text.listing import Listing
from traceir.text.names import suggestion
from traceir.text.parser import VERSION
from traceir.text.source import TextSource
from traceir.text.words import BARE, bounded, id_text, json_text, quote, symbol, word

Form = Literal["auto", "statements", "table"]

_MOST_STATEMENTS: Final = 20_000
"""Events above which `auto` takes blocks: statements are read at ten thousand in a second."""
_PIPELINE: Final = re.compile(
    r'[a-z][a-z0-9]*(?:-[a-z0-9]+)*(?:\{[^{}"\n]*(?:"[^"\\\n]*(?:\\[^\n][^"\\\n]*)*"[^{}"\n]*)*\})?\Z'
)
KEYWORDS: Final = frozenset(
    "lane pass column kinds order extern health meta region strings events values edges regions table".split()  # noqa: SIM905
)


@attrs.frozen
class Spelling:
    """How a module is written.

    `form`: statements or blocks, `auto` by size. `args`: the source's arguments too, as statements only. `dead`:
    removed events too. `tree`: the tree whose regions hold their events (default: the one with most regions).
    `columns`: the annotations to write, by name or by the word before the dot; all if empty.
    """

    form: Form = "auto"
    args: bool = False
    dead: bool = False
    tree: str | None = None
    columns: tuple[str, ...] = ()
    ascii: bool = False
    """Escape what is not ASCII, which means the same."""


def spell(module: Module, spelling: Spelling = Spelling(), *, registry: Registry | None = None) -> Iterator[str]:
    """The text of a module in pieces; `parse` reads it back to an equal module.

    Stale annotations are left out, since their values are of a module that is no more. Raises UsageError for a tree or
    column that the module does not have, and for arguments in blocks. O(n): over a million events in a second as
    blocks, a hundred thousand as statements.
    """
    if spelling.args and spelling.form == "table":
        raise UsageError("Blocks hold no arguments of events; print them as statements.")
    module = module if spelling.dead else without_dead(module)
    # Asked before columns are left out, since what was computed from those would look stale then.
    old = frozenset(name for name in module.annotations if module.stale(name))
    module = _chosen(module, spelling)
    stale = [name for name in module.annotations if name in old]
    module = _without(module, old)
    table = spelling.form == "table" or (
        spelling.form == "auto" and not spelling.args and len(module) > _MOST_STATEMENTS
    )
    out = Blocks(module) if table else Listing(module, spelling.tree, args=spelling.args)
    yield f'#[traceir "{VERSION}"]\n'
    yield f"module {symbol(module.name)}{_attributes(_header(module))} {{\n"
    yield from (f"  // The column {name} is stale and left out.\n" for name in stale)
    yield from _declarations(module, registry or Registry.default(), hidden=out.hidden)
    yield from out.lines()
    for key, value in module.meta.items():
        if not _is_short(key, value) and not (key == "origin_ns" and _has_origin(module)):
            shallow = bounded(value)
            text = json.dumps(shallow, ensure_ascii=False)
            text = text if text.isprintable() and not spelling.ascii else json.dumps(shallow)
            yield f"  meta {word(key)} = {text};\n"
    yield "}\n"


def _chosen(module: Module, spelling: Spelling) -> Module:
    if spelling.tree is not None and not module.has_tree(spelling.tree):
        trees = [name.partition(":")[2] for name in module.tables if name.startswith("region:")]
        raise UsageError(f"The module has no tree {spelling.tree}{suggestion(spelling.tree, trees)}")
    if not spelling.columns:
        return module
    words = {name for column in module.annotations for name in (column, column.partition(".")[0])}
    for name in spelling.columns:
        if name not in words:
            raise UsageError(f"The module has no column {name}{suggestion(name, words)}")
    wanted = set(spelling.columns) | {"extern"}
    kept = {name for name in module.annotations if name in wanted or name.partition(".")[0] in wanted}
    # A region's columns mean nothing without the regions.
    domains = {module.annotations[name].annotation.domain for name in kept}
    kept |= {f"tree.{domain.partition(':')[2]}" for domain in domains if domain.startswith("region:")}
    return _without(module, frozenset(module.annotations.keys() - kept))


def _without(module: Module, names: frozenset[str]) -> Module:
    """The module without some annotations; a table or tree of which nothing is left goes with them."""
    if not names:
        return module
    annotations = {name: item for name, item in module.annotations.items() if name not in names}
    gone_trees = {f"region:{name.partition('.')[2]}" for name in names if name.startswith("tree.")}
    tables = {}
    for domain, table in module.tables.items():
        left = {name: column for name, column in table.columns.items() if name not in names}
        if domain in gone_trees or (domain not in ("event", "edge") and not left):
            continue
        tables[domain] = attrs.evolve(table, columns=left)
    annotations = {name: item for name, item in annotations.items() if item.annotation.domain in tables}
    return attrs.evolve(module, tables=tables, annotations=annotations, derived={})


def _header(module: Module) -> Iterator[str]:
    yield 'clock="ns"'
    if _has_origin(module):
        yield f"origin={json_text(module.meta['origin_ns'])}"
    source = module.source
    recorded = source.recorded if isinstance(source, TextSource) else source.frontend if source is not None else ""
    if recorded:
        yield f"source={quote(recorded)}"
    for key, value in module.meta.items():
        if not (key == "origin_ns" and _has_origin(module)) and _is_short(key, value):
            bare = BARE.match(key) and "." not in key and key not in KEYWORDS
            yield f"{key if bare else quote(key)}={json_text(value)}"
    for name, item in module.annotations.items():
        if item.annotation.domain == "module":
            cell = Cell(module, item.annotation).text(module.tables["module"][name], 0)
            if cell is not None:
                yield f"{name}={cell}"


def _declarations(module: Module, registry: Registry, hidden: frozenset[str]) -> Iterator[str]:
    lane_columns = [item.annotation for item in module.annotations.values() if item.annotation.domain == "lane"]
    for number, lane in enumerate(module.lanes):
        fields = {
            "device": lane.device,
            "stream": lane.stream,
            "pid": lane.pid,
            "tid": lane.tid,
            "label": lane.label or None,
        }
        given = [f"{key}={json_text(value)}" for key, value in fields.items() if value is not None]
        for annotation in lane_columns:
            cell = Cell(module, annotation).text(module.tables["lane"][annotation.name], number)
            given += [f"{annotation.name}={cell}"] if cell is not None else []
        yield f"  lane {symbol(lane.name)} : {word(lane.kind)}{_attributes(given)};\n"
    for number, record in enumerate(module.passes):
        plain = (
            _PIPELINE.match(record.text) and record.text.isprintable() and record.text.partition("{")[0] == record.name
        )
        text = record.text if plain else f"{quote(record.text)} named {quote(record.name)}"
        yield f"  pass p{number + 1} = {text};\n"
    for name, item in module.annotations.items():
        if name not in hidden:
            yield _column(module, item.annotation, item.by, registry)
    for finding in module.health:
        given = [f"count={finding.count}"]
        given += [f"first={id_text(finding.first)}"] if finding.first is not None else []
        given += [f"poisons={json_text(list(finding.poisons))}"] if finding.poisons else []
        given += [f"by={quote(finding.by)}"] if finding.by else []
        given.append(f"message={quote(finding.message)}")
        yield f"  health {word(finding.code)} : {finding.level}{_attributes(given)};\n"


def _column(module: Module, annotation: Annotation, by: int | None, registry: Registry) -> str:
    """A column's declaration; what the installed pass that wrote it declares anyway is not said again.

    An enum's values are always said: blocks hold codes of them, and another version of the pass may have others.
    """
    known = by is not None and 0 <= by < len(module.passes)
    maker = written_by(module.passes[by].name, registry) if known and by is not None else None
    offered = next((a for a in (maker.writes if maker else ()) if brief(a) == brief(annotation)), None)
    given = _fields(annotation, offered)
    unit = f", {word(annotation.unit)}" if annotation.unit else ""
    label = f" by p{by + 1}" if known and by is not None else ""
    return f"  column {annotation.name} : {annotation.domain}<{annotation.dtype}{unit}>{label}{_attributes(given)};\n"


def _fields(annotation: Annotation, offered: Annotation | None) -> Iterator[str]:
    base = offered or Annotation(annotation.name, annotation.domain, annotation.dtype, annotation.unit)
    for key in ("doc", "null", "basis", "shown"):
        if getattr(annotation, key) != getattr(base, key):
            yield f"{key}={quote(getattr(annotation, key))}"
    if annotation.values or base.values:
        yield f"values={json_text(list(annotation.values))}"


def _has_origin(module: Module) -> bool:
    """Whether the metadata say when instant 0 was, or that nobody knows."""
    origin = module.meta.get("origin_ns", "")
    return origin is None or (isinstance(origin, int) and not isinstance(origin, bool))


def _is_short(key: str, value: Any) -> bool:
    """Whether a value of the metadata stands in the header; others follow the events.

    So do those whose keys mean something else there.
    """
    return (
        key not in ("clock", "origin", "source")
        and not isinstance(value, dict | list | tuple)
        and not (isinstance(value, float) and not math.isfinite(value))
    )


def _attributes(given: Any) -> str:
    text = ", ".join(given)
    return f" {{{text}}}" if text else ""


__all__ = ["Spelling", "spell"]
