"""A strategy of modules: whatever the IR can hold."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from traceir.ir import Annotation, Module, PassRecord, Region, Written
from traceir.ir.module import CORE
from traceir.testing.declarations import declarations, findings, pass_records, values
from traceir.testing.drawing import cycled, several
from traceir.testing.events import builders
from traceir.testing.texts import json_values, texts


@attrs.frozen
class _Wanted:
    """What the modules of one strategy may have; the parameters of `modules`."""

    text: SearchStrategy[str]
    kinds: Sequence[str] | None
    min_events: int
    max_events: int
    edges: bool
    trees: bool
    tables: bool
    annotations: bool
    dead: bool
    extern: bool
    health: bool
    passes: bool
    meta: bool
    stale: bool


def modules(
    *,
    text: SearchStrategy[str] | None = None,
    kinds: Sequence[str] | None = None,
    min_events: int = 0,
    max_events: int = 10,
    edges: bool = True,
    trees: bool = True,
    tables: bool = True,
    annotations: bool = True,
    dead: bool = True,
    extern: bool = True,
    health: bool = True,
    passes: bool = True,
    meta: bool = True,
    stale: bool = False,
) -> SearchStrategy[Module]:
    """Any module that keeps the rules of the IR (no violation of level error), at the limits of what it can hold.

    Drawn are every registered kind and unknown ones, on every kind of lane; hostile names wherever a string may
    stand; ids in any order of time, with holes and of several inputs; times from the least to the most of int64, equal
    ones, durations of 0; nesting by time and parents that do not fit their children; edges of all kinds, several
    between the same events; trees (empty ones, and tables in any topological order); annotations of every domain
    and dtype with nulls, NaN and extremes; tables without rows; removed rows; and windows of all that.

    `kinds` restricts the kinds of event, `text` gives all names (`plain_texts()` for tests that are not about them).
    Each flag leaves a part out when false: `annotations` leaves the columns of trees and of windows (`extern.*`), and
    with `tables` false the only table is that of windows. What annotations were computed from is as it was, unless
    `stale` is true. Modules have no source. Shrinks towards the empty module.
    """
    chosen = texts() if text is None else text
    return _modules(
        _Wanted(
            chosen, kinds, min_events, max_events,
            edges, trees, tables, annotations, dead, extern, health, passes, meta, stale,
        )
    )  # fmt: skip


@st.composite
def _modules(draw: DrawFn, wanted: _Wanted) -> Module:
    ran = draw(several(pass_records(wanted.text), 3)) if wanted.passes else []
    builder = draw(
        builders(
            wanted.text,
            wanted.kinds,
            wanted.min_events,
            wanted.max_events,
            8 if wanted.edges else 0,
            name=draw(wanted.text),
            meta=draw(_metas(wanted.text)) if wanted.meta else {},
        )
    )
    if draw(st.booleans()):
        builder.offset, builder.length = builder.id * 64, np.full(len(builder.id), 63, np.int32)
    module = attrs.evolve(builder.build(), passes=tuple(ran))
    if not wanted.health:
        module = attrs.evolve(module, health=())
    elif found := draw(several(findings(module["id"].tolist(), wanted.text), 3)):
        module = module.with_health(*found)
    if wanted.dead and draw(st.booleans()):
        module = module.with_columns({"live": np.array(draw(cycled(st.booleans(), len(module), True)), bool)})
    if wanted.trees:
        for name in draw(st.lists(_TREE_NAMES, max_size=2, unique=True)):
            module = draw(_with_tree(module, name, wanted.text))
    module = draw(_with_annotations(module, wanted))
    if wanted.extern and draw(_SELDOM):
        module = module.window(np.array(draw(cycled(st.booleans(), len(module), True)), bool))
    return module


_SELDOM = st.sampled_from((False, False, True))


@functools.cache
def _metas(text: SearchStrategy[str]) -> SearchStrategy[dict[str, Any]]:
    """What a file says of itself: the keys that frontends agree on, and any others."""
    known = {
        "origin_ns": st.one_of(st.none(), st.integers(-(2**63), 2**63)),
        "rank": st.one_of(st.none(), st.integers(0, 9)),
        "world": st.integers(1, 9),
        "vendor": st.one_of(st.none(), st.sampled_from(("nvidia", "amd")), text),
    }
    usual = st.fixed_dictionaries({}, optional=known)
    other = st.dictionaries(text, json_values(None if text is texts() else text), max_size=3)
    return st.tuples(other, usual).map(lambda both: {**both[0], **both[1]})


# --- trees -----------------------------------------------------------------------------------------------

_TREE_NAMES = st.sampled_from(("layers", "steps", "t", "a_1", "a.b"))


@st.composite
def _with_tree(draw: DrawFn, module: Module, name: str, text: SearchStrategy[str]) -> Module:
    """The module with a tree of a few regions: each with its subtree after it, or in any other topological order."""
    given = draw(_regions(text))
    preorder, path, regions = draw(st.booleans()), [-1], []
    for row, (kind_, text_, index_, choice) in enumerate(given):
        at = choice % (len(path) if preorder else row + 1)
        # In preorder a parent is one of the open regions, whose list then begins anew below it.
        parent = path[at] if preorder else at - 1
        path = [*path[: at + 1], row]
        regions.append(Region(kind_, text_, index_, parent))
    leaves = draw(cycled(st.integers(-1, len(regions) - 1), len(module), -1))
    item = Annotation(f"tree.{name}", dtype="id", doc="The innermost region that owns the event.")
    by = draw(_writers(module.passes))
    module = module.with_tree(name, regions, np.array(leaves, np.int32))
    return attrs.evolve(module, annotations={**module.annotations, item.name: Written(item, by)})


@functools.cache
def _regions(text: SearchStrategy[str]) -> SearchStrategy[list[tuple[str, str, int, int]]]:
    """Kind, name, index of regions, and a number that chooses their parent."""
    kind = st.one_of(st.sampled_from(("step", "layer", "block")), text)
    index = st.one_of(st.integers(-1, 3), st.integers(-(2**31), 2**31 - 1))
    return several(st.tuples(kind, text, index, st.integers(0, 7)), 6)


def _writers(passes: Sequence[PassRecord]) -> SearchStrategy[int | None]:
    return st.sampled_from((None, *range(len(passes))))


# --- annotations -----------------------------------------------------------------------------------------

_TABLE_NAMES = st.sampled_from(("pairs", "t", "a-b.c", "critical_path.segments", "layers"))


@st.composite
def _with_annotations(draw: DrawFn, module: Module, wanted: _Wanted) -> Module:
    """The module with tables of its passes' own and columns on everything that it has."""
    sizes = {"event": len(module), "edge": len(module.tables["edge"]), "lane": len(module.lanes), "module": 1}
    sizes |= {name: len(table) for name, table in module.tables.items() if name.startswith("region:")}
    own: dict[str, int] = {}
    if wanted.tables:
        drawn = draw(st.dictionaries(_TABLE_NAMES, st.integers(0, 4), max_size=2))
        own = {f"table:{name}": rows for name, rows in drawn.items()}
        sizes |= own
    places = [name for name in sizes if name not in own and name != "region:a.b"]
    free = st.sampled_from((None, None, None, *places))
    targets = tuple(name for name in sizes if name != "module")
    columns: dict[str, list[tuple[Annotation, Any]]] = {}
    items: dict[str, Annotation] = {}
    for slot in [*own, *own, *["anywhere"] * (5 if wanted.annotations else 0)]:
        domain = draw(free) if slot == "anywhere" else slot
        if domain is None:
            continue
        item = draw(declarations(wanted.text, domain, targets))
        while item.name in items:
            item = attrs.evolve(item, name=f"{item.name}_")
        items[item.name] = item
        columns.setdefault(domain, []).append((item, draw(values(item, sizes, wanted.text))))
    for domain, given in columns.items():
        module = _written(module, domain, {item.name: column for item, column in given})
    return draw(_with_provenance(module, items, wanted))


def _written(module: Module, domain: str, columns: Mapping[str, Any]) -> Module:
    """The module with columns of one domain, texts (given as lists) among them."""
    stored = {}
    for name, column in columns.items():
        stored[name] = column
        if isinstance(column, list):
            strings, stored[name] = module.strings.encode(column)
            module = module.with_strings(strings)
    if domain.startswith("table:"):
        return module.with_table(domain.partition(":")[2], stored)
    return module.with_columns(stored, domain)


@st.composite
def _with_provenance(draw: DrawFn, module: Module, items: Mapping[str, Annotation], wanted: _Wanted) -> Module:
    """The module with its annotations declared, each by a pass or none and bound to columns that it has."""
    written = dict(module.annotations)
    for item in items.values():
        names = draw(st.lists(st.sampled_from((*CORE, "edges", *written)), max_size=2, unique=True))
        tokens = [-1 if wanted.stale and draw(st.booleans()) else module.token(name) for name in names]
        written[item.name] = Written(item, draw(_writers(module.passes)), tuple(zip(names, tokens, strict=True)))
    return attrs.evolve(module, annotations=written)
