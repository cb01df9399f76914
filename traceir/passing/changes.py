"""What a pass changed, column by column: tokens say where to look, values say what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal

import attrs
import numpy as np

from traceir.ir import Annotation, Array, Module, null_mask
from traceir.ir.trees import STRUCTURE
from traceir.passing.removal import REMOVED_BY
from traceir.text.cells import Cell
from traceir.text.words import id_text


@attrs.frozen
class Change:
    """One column that a pass added (`+`), changed (`~`) or took away (`-`).

    `cells` counts the values concerned, nulls of a new column left out, of `rows`. `examples` are the first of them:
    where (an event's id, or a row's number), the value before and after as text (null is None).
    """

    what: Literal["+", "~", "-"]
    name: str
    domain: str
    cells: int
    rows: int
    examples: tuple[tuple[str, str | None, str | None], ...] = ()


@attrs.frozen
class Changes:
    """All that a pass changed. `regions` counts by tree and kind, `removed` and `restored` events by kind."""

    columns: tuple[Change, ...]
    regions: tuple[tuple[str, str, int], ...] = ()
    removed: tuple[tuple[str, int], ...] = ()
    restored: tuple[tuple[str, int], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.columns)

    @classmethod
    def between(cls, before: Module, after: Module, most: int = 3) -> Changes:
        """What is different in `after`; empty exactly if all columns are the same. O(n) per changed column."""
        columns = tuple(_columns(before, after, most))
        regions = [
            (tree, kind, count)
            for tree in _trees(after)
            if tree not in _trees(before) or _tokens(before, f"region:{tree}") != _tokens(after, f"region:{tree}")
            for kind, count in sorted(Counter(_kinds(after, tree)).items())
        ]
        gone, back = before.live & ~after.live, after.live & ~before.live
        return cls(columns, tuple(regions), _by_kind(after, gone), _by_kind(after, back))


def _trees(module: Module) -> list[str]:
    return [domain.partition(":")[2] for domain in module.tables if domain.startswith("region:")]


def _kinds(module: Module, tree: str) -> list[str]:
    regions = module.tree(tree)
    return [regions.kind(region) for region in range(len(regions))]


def _tokens(module: Module, domain: str) -> dict[str, int]:
    return {name: column.token for name, column in module.tables[domain].columns.items()}


def _by_kind(module: Module, rows: Array) -> tuple[tuple[str, int], ...]:
    counts = np.bincount(module["kind"][rows], minlength=len(module.kinds))
    return tuple((module.kinds[kind], int(counts[kind])) for kind in np.flatnonzero(counts).tolist())


def _columns(before: Module, after: Module, most: int) -> Iterator[Change]:
    for domain in dict.fromkeys((*before.tables, *after.tables)):
        old = before.tables[domain].columns if domain in before.tables else {}
        new = after.tables[domain].columns if domain in after.tables else {}
        for name in dict.fromkeys((*old, *new)):
            if domain.startswith("region:") and name in STRUCTURE:
                continue  # the regions are counted by kind
            if name == REMOVED_BY.name:
                continue  # the manager's note of what the column live says, which is counted by kind too
            if name not in new:
                yield Change("-", name, domain, len(old[name].data), len(old[name].data))
            elif name not in old or len(old[name].data) != len(new[name].data):
                yield _added(after, name, domain, new[name].data, most)
            elif old[name].token != new[name].token:
                yield _changed(before, after, name, domain, most)


def _added(module: Module, name: str, domain: str, data: Array, most: int) -> Change:
    known = module.annotations.get(name)
    given = np.flatnonzero(~null_mask(data, known.annotation)) if known is not None else np.arange(len(data))
    if known is not None and known.annotation.dtype == "bool":
        given = np.flatnonzero(data)
    examples = tuple((_where(module, domain, row), None, _text(module, name, domain, row)) for row in given[:most])
    return Change("+", name, domain, len(given), len(data), examples)


def _changed(before: Module, after: Module, name: str, domain: str, most: int) -> Change:
    old, new = before.tables[domain][name], after.tables[domain][name]
    same = old == new
    if old.dtype.kind == "f":
        same |= np.isnan(old) & np.isnan(new)
    rows = np.flatnonzero(~same)
    examples = tuple(
        (_where(after, domain, row), _text(before, name, domain, row), _text(after, name, domain, row))
        for row in rows[:most]
    )
    return Change("~", name, domain, len(rows), len(new), examples)


def _where(module: Module, domain: str, row: Any) -> str:
    return id_text(int(module["id"][row])) if domain == "event" else f"row {row}"


def _text(module: Module, name: str, domain: str, row: Any) -> str | None:
    data = module.tables[domain][name]
    known = module.annotations.get(name)
    annotation = known.annotation if known is not None else Annotation("core.value", dtype="i64")
    if known is None:
        return str(data[row])
    text = Cell(module, annotation).text(data, int(row))
    measured = annotation.unit and annotation.dtype in ("i64", "u32", "f64")
    return f"{text} {annotation.unit}" if text is not None and measured else text


__all__ = ["Change", "Changes"]
