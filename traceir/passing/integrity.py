"""Integrity: what a pass must leave as it was, and what it may write only where it has declared it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from traceir.errors import PassError
from traceir.ir import Annotation, Array, Module
from traceir.ir.module import CORE, FIXED
from traceir.ir.trees import STRUCTURE
from traceir.passing.base import Pass

_EDGE: Final = ("src", "dst", "kind")
_HEADER: Final = ("name", "lanes", "kinds", "meta", "passes", "annotations", "source")
"""What a module is besides its tables: the frontend's and the manager's, and not a pass's, to say."""


def check_promises(item: Pass, before: Module, after: Module, written: frozenset[str]) -> None:
    """Raise PassError if a pass changed what it must not, or wrote what it did not declare.

    Columns are compared by their tokens, so what was not touched costs nothing; codes and rows in new columns are
    checked against what they point into. O(n) per new column that holds codes or rows.
    """
    for sentence in _kept(item, before, after):
        raise PassError(f"The pass {item.name()} {sentence}")
    declared = {annotation.name: annotation for annotation in item.writes}
    for domain, name in _changed(before, after, written, {one.name: one.domain for one in item.writes}):
        if name in CORE and domain == "event":
            continue
        if name not in declared:
            raise PassError(f"The pass {item.name()} wrote the column {name}, which it does not declare.")
        owner = before.annotations.get(name)
        if owner is not None and owner.by is not None and before.passes[owner.by].name != item.name():
            raise PassError(
                f"The pass {item.name()} wrote the column {name}, which is {before.passes[owner.by].name}'s; "
                "a column has one writer, so write one of another name."
            )
        _check_type(item, declared[name], domain, after)


def _kept(item: Pass, before: Module, after: Module) -> Iterator[str]:
    """What a pass did to what is not its own, as ends of sentences."""
    if len(before) != len(after):
        yield "changed the number of rows; removal is done by the column live."
    yield from _core(item, before, after)
    yield from _header(before, after)
    for domain in before.tables.keys() - after.tables.keys():
        columns = before.tables[domain].columns.keys()
        meant = bool(columns) and columns <= {*item.drops}
        if not meant and not _made_anew(item, domain.replace("region:", "tree.", 1), domain):
            yield f"dropped the table {domain}, which is not its own."
    for name, written in before.annotations.items():
        domain = written.annotation.domain
        gone = name in before.tables.get(domain, ()) and name not in after.tables.get(domain, ())
        if gone and name not in item.drops and not _made_anew(item, name, domain):
            yield f"dropped the column {name}, which is not its own."


def _core(item: Pass, before: Module, after: Module) -> Iterator[str]:
    """What a pass did to the columns that every module has, as ends of sentences."""
    for name in CORE:
        if before.token(name) == after.token(name):
            continue
        if name in FIXED:
            yield f"changed {name}, which is what the source recorded."
        if item.annotates:
            yield f"changed {name}, though it only annotates."
        old, new = before.column(name).data.dtype, after.column(name).data.dtype
        if old != new:
            yield f"wrote {name} as {new}, and it is {old}."


def _made_anew(item: Pass, name: str, domain: str) -> bool:
    """Whether a column may go: the pass's own, and those on regions of a tree or rows of a table of its own.

    Others' columns on these spoke of regions and rows that are no more; the manager has them computed again.
    """
    mine = {annotation.name for annotation in item.writes}
    tables = {annotation.domain for annotation in item.writes if annotation.domain.startswith("table:")}
    tables |= {f"region:{name.partition('.')[2]}" for name in mine if name.startswith("tree.")}
    return name in mine or domain in tables


def _header(before: Module, after: Module) -> Iterator[str]:
    """What a pass did to the module around its events, as ends of sentences."""
    if before.token("edges") != after.token("edges") or len(before.tables["edge"]) != len(after.tables["edge"]):
        yield "changed the edges, which are what the source recorded."
    for name in _HEADER:
        old, new = getattr(before, name), getattr(after, name)
        if old is not new and old != new:
            yield f"changed the module's {name}, which is not a pass's to change."
    if before.strings is not after.strings and after.strings.texts[: len(before.strings)] != before.strings.texts:
        yield "changed the string pool; a pool can only grow."


def _changed(
    before: Module, after: Module, written: frozenset[str], home: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """The columns that are other ones now or were set again, with their tables; for a tree's structure its leaf.

    `home` is where the pass declares a column: one that was set is that, though other tables may have its like.
    """
    for domain, table in after.tables.items():
        old = before.tables.get(domain)
        tree = domain.removeprefix("region:")
        for name, column in table.columns.items():
            same = old is not None and name in old and old.columns[name].token == column.token
            if domain == "edge" and name in _EDGE:
                continue
            if tree != domain and name in STRUCTURE:
                if not same:
                    yield "event", f"tree.{tree}"
            elif not same or ("." in name and name in written and home.get(name, domain) == domain):
                yield domain, name


def _check_type(item: Pass, annotation: Annotation, domain: str, after: Module) -> None:
    """Raise PassError if a column is not of the declared table and type, or points to what there is not."""
    if annotation.domain != domain:
        raise PassError(
            f"The pass {item.name()} wrote {annotation.name} on {domain}, and declares it on {annotation.domain}."
        )
    data = after.tables[domain][annotation.name]
    if annotation.numpy_type != data.dtype:
        hint = "; texts are written with module.with_texts" if annotation.dtype == "str" else ""
        raise PassError(
            f"The pass {item.name()} wrote {annotation.name} as {data.dtype}, "
            f"and {annotation.dtype} is {annotation.numpy_type}{hint}."
        )
    size = _size(after, annotation)
    if size is not None and len(data) and not _within(data, size):
        wrong = int(data[(data < -1) | (data >= size)][0])
        what = {"str": "code of the string pool", "enum": "value of the enum"}.get(annotation.dtype, "row")
        raise PassError(
            f"The pass {item.name()} wrote {wrong} into {annotation.name}, and there is no such {what}; "
            f"there are {size}, and -1 is null."
        )


def _within(data: Array, size: int) -> bool:
    return bool(data.min() >= -1) and bool(data.max() < size)


def _size(module: Module, annotation: Annotation) -> int | None:
    """How many codes or rows there are for a column to point to; None if it holds plain values."""
    if annotation.dtype == "str":
        return len(module.strings)
    if annotation.dtype == "enum":
        return len(annotation.values)
    if annotation.dtype != "id":
        return None
    if annotation.target == "lane":
        return len(module.lanes)
    table = module.tables.get(annotation.target)
    return len(table) if table is not None else int(np.iinfo(np.int32).max)


__all__ = ["check_promises"]
