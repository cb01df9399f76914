"""Structural equality: whether two modules say the same, whatever their codes, tokens and sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

import numpy as np

from traceir.ir.column import Array, Rows
from traceir.ir.module import Module
from traceir.ir.strings import Strings
from traceir.ir.table import Table

_SOURCE = frozenset({"offset", "length"})


def difference(left: Module, right: Module) -> str | None:
    """The first difference between two modules as a sentence, or None if they are equal.

    Compared are the name, metadata, lanes, events, edges, trees, tables, annotations with their provenance, passes
    and health. Strings are compared as texts, so the pools may be ordered differently and hold unused strings;
    kinds likewise. Where the events stand in a source (`offset`, `length`, the source itself) and the tokens do not
    count. NaN equals NaN, whatever its payload; 0.0 is not -0.0, and in metadata 1, 1.0 and True are three values.
    O(n), after O(pool) for the codes.
    """
    return next(_differences(left, right), None)


def _differences(left: Module, right: Module) -> Iterator[str]:
    for what in ("name", "lanes", "passes", "health"):
        if getattr(left, what) != getattr(right, what):
            yield f"The {what} differ: {getattr(left, what)!r} and {getattr(right, what)!r}."
    yield from _of_mappings("metadata", left.meta, right.meta)
    yield from _of_annotations(left, right)
    yield from _of_sets("tables", left.tables, right.tables)
    texts, kinds = _translation(left.strings, right.strings), _translation(Strings(left.kinds), Strings(right.kinds))
    order = _edge_order(left), _edge_order(right)
    for domain in left.tables:
        mine, other = left.tables[domain], right.tables[domain]
        if len(mine) != len(other):
            yield f"The table {domain} has {len(mine)} and {len(other)} rows."
            continue
        yield from _of_sets(f"columns of {domain}", mine, other, _SOURCE if domain == "event" else frozenset())
        for name in mine:
            if domain == "event" and name in _SOURCE:
                continue
            codes: tuple[Rows | None, Rows | None] = (None, None)
            if (domain, name) == ("event", "kind"):
                codes = (None, kinds)
            elif _is_text(left, domain, name):
                codes = (None, texts)
            elif _is_of_edges(left, domain, name):
                codes = (_inverse(order[0]), _inverse(order[1]))
            yield from _of_columns(domain, name, (mine, other), codes, order if domain == "edge" else None)


def _of_columns(
    domain: str,
    name: str,
    tables: tuple[Table, Table],
    codes: tuple[Rows | None, Rows | None],
    order: tuple[Rows, Rows] | None,
) -> Iterator[str]:
    """How one column differs, after both are put in order and their codes are translated."""
    mine, other = tables[0].columns[name].data, tables[1].columns[name].data
    if mine.dtype != other.dtype:
        yield f"The column {name} of {domain} is {mine.dtype} and {other.dtype}."
        return
    if order is not None:
        mine, other = mine[order[0]], other[order[1]]
    mine, other = (
        _comparable(values if table is None else table[values])
        for values, table in zip((mine, other), codes, strict=True)
    )
    if not np.array_equal(mine, other):
        yield f"The column {name} of {domain} differs, first in row {int(np.argmin(mine == other))}."


def _of_annotations(left: Module, right: Module) -> Iterator[str]:
    yield from _of_sets("annotations", left.annotations, right.annotations)
    for name, mine in left.annotations.items():
        other = right.annotations[name]
        if mine.annotation != other.annotation:
            yield f"The annotation {name} is declared as {mine.annotation} and as {other.annotation}."
        if mine.by != other.by:
            yield f"The annotation {name} was written by pass {mine.by} and by pass {other.by}."


def _of_mappings(what: str, left: Mapping[str, object], right: Mapping[str, object]) -> Iterator[str]:
    yield from _of_sets(what, left, right)
    for key, value in left.items():
        if not _same(value, right[key]):
            yield f"The {what} differ in {key}: {value!r} and {right[key]!r}."


def _same(left: object, right: object) -> bool:
    """Whether two decoded values are the same: 1, 1.0 and True are three values, and NaN is one."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_same(value, right[key]) for key, value in left.items())
    if type(left) is not type(right):
        return False
    if isinstance(left, list | tuple):
        other = cast("Sequence[object]", right)
        return len(left) == len(other) and all(map(_same, left, other))
    return repr(left) == repr(right) if isinstance(left, float) else left == right


def _of_sets(
    what: str, left: Iterable[str], right: Iterable[str], ignored: frozenset[str] = frozenset()
) -> Iterator[str]:
    odd = sorted((set(left) ^ set(right)) - ignored)
    if odd:
        yield f"The {what} differ: only one has {', '.join(odd)}."


def _is_text(module: Module, domain: str, name: str) -> bool:
    """Whether a column holds codes of the string pool."""
    written = module.annotations.get(name)
    if written is not None and written.annotation.domain == domain:
        return written.annotation.dtype == "str"
    return (domain == "event" and name == "name") or (domain.startswith("region:") and name in ("kind", "name"))


def _is_of_edges(module: Module, domain: str, name: str) -> bool:
    """Whether a column refers to edges, whose order does not count."""
    written = module.annotations.get(name)
    return written is not None and (written.annotation.domain, written.annotation.target) == (domain, "edge")


def _translation(left: Strings, right: Strings) -> Rows:
    """For each code of `right` the code of `left` for the same text (-2 if it has none); null stays null."""
    if left is right or left.texts == right.texts:
        return np.append(np.arange(len(left), dtype=np.int32), np.int32(-1))
    codes = (left.code(text) for text in right.texts)
    table = np.fromiter((-2 if code < 0 else code for code in codes), np.int32, len(right))
    return np.append(table, np.int32(-1))


def _edge_order(module: Module) -> Rows:
    """The order of the edges by destination, kind and source; as stored if the table is not a proper edge table."""
    edges = module.tables["edge"]
    return np.lexsort((edges["src"], edges["kind"], edges["dst"])).astype(np.int32)


def _inverse(order: Rows) -> Rows:
    """For each edge as stored its place in this order; null stays null."""
    out = np.full(len(order) + 1, -1, np.int32)
    out[order] = np.arange(len(order), dtype=np.int32)
    return out


def _comparable(values: Array) -> Array:
    """Values of which equal ones are the same: floats by their bits, so that -0.0 is not 0.0, and NaN is one value."""
    if values.dtype.kind != "f":
        return values
    out = values.copy()
    out[np.isnan(out)] = np.nan
    return out.view(f"u{out.itemsize}")
