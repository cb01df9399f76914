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
    where (an event's id, or a row's number), the value before and after as text (null is None). `rows_before` is
    given where the table has another number of rows now: then its rows are others, and all values are new.
    """

    what: Literal["+", "~", "-"]
    name: str
    domain: str
    cells: int
    rows: int
    examples: tuple[tuple[str, str | None, str | None], ...] = ()
    rows_before: int | None = None


@attrs.frozen
class TreeChange:
    """The regions of one kind in a tree that a pass built (`+`), changed (`~`) or took away (`-`).

    `before` and `after` count them. `changed` counts those that have another parent, kind, name or index; None where
    the tree has another number of regions now, and no region can be told to be the one that it was.
    """

    what: Literal["+", "~", "-"]
    tree: str
    kind: str
    before: int
    after: int
    changed: int | None = None


@attrs.frozen
class Changes:
    """All that a pass changed: columns, trees by kind of region, and events `removed` and `restored` by kind."""

    columns: tuple[Change, ...]
    trees: tuple[TreeChange, ...] = ()
    removed: tuple[tuple[str, int], ...] = ()
    restored: tuple[tuple[str, int], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.columns or self.trees)

    @classmethod
    def between(cls, before: Module, after: Module, most: int = 3) -> Changes:
        """What is different in `after`; empty exactly if all columns are the same. O(n) per changed column."""
        gone, back = before.live & ~after.live, after.live & ~before.live
        return cls(
            tuple(_columns(before, after, most)),
            tuple(_trees(before, after)),
            _by_kind(after, gone),
            _by_kind(after, back),
        )


def lines(changes: Changes) -> Iterator[str]:
    """The changes as text, a line each; `no change` if there are none."""
    if not changes:
        yield "no change"
    empty = {one.domain: one.what for one in changes.columns if one.rows == 0 and one.domain.startswith("table:")}
    for domain, what in empty.items():
        yield f"{what} {domain}  no rows"
    for one in changes.columns:
        if one.domain not in empty or one.rows != 0:
            yield f"{one.what} {one.name} : {one.domain}  {_cells(one)}"
    for tree in changes.trees:
        yield f"{tree.what} tree {tree.tree}: {_count(tree)}"
    for sign, counts in (("-", changes.removed), ("+", changes.restored)):
        for kind, count in counts:
            yield f"{sign} {count} {kind}"


def _cells(change: Change) -> str:
    if change.rows_before is not None:
        return f"{change.rows} rows, {change.rows_before} before"
    word = {"+": "values", "~": "changed", "-": "values gone"}[change.what]
    shown = [f"{where} {new if change.what == '+' else f'{old} -> {new}'}" for where, old, new in change.examples]
    more = ", …" if change.cells > len(shown) and shown else ""
    return f"{change.cells} of {change.rows} {word}{': ' if shown else ''}{', '.join(shown)}{more}"


def _count(tree: TreeChange) -> str:
    if tree.what != "~":
        return f"{tree.after or tree.before} {tree.kind}"
    if tree.before != tree.after:
        return f"{tree.before} -> {tree.after} {tree.kind}"
    return f"{tree.changed} of {tree.after} {tree.kind} changed"


def _trees(before: Module, after: Module) -> Iterator[TreeChange]:
    old, new = _tree_names(before), _tree_names(after)
    for tree in dict.fromkeys((*old, *new)):
        domain = f"region:{tree}"
        if tree in old and tree in new:
            if _tokens(before, domain) != _tokens(after, domain):
                yield from _changed_tree(before, after, tree)
            continue
        what: Literal["+", "-"] = "+" if tree in new else "-"
        for kind, count in sorted(Counter(_kinds(after if tree in new else before, tree)).items()):
            yield TreeChange(what, tree, kind, *((0, count) if tree in new else (count, 0)))


def _changed_tree(before: Module, after: Module, tree: str) -> Iterator[TreeChange]:
    """The kinds of region that are other ones, or other in number."""
    old, new = _kinds(before, tree), _kinds(after, tree)
    changed = None
    if len(old) == len(new):
        rows = zip(_structure(before, tree), _structure(after, tree), new, strict=True)
        changed = Counter(kind for one, other, kind in rows if one != other)
    then, now = Counter(old), Counter(new)
    for kind in sorted({*then, *now}):
        count = changed[kind] if changed is not None else None
        if then[kind] != now[kind] or count:
            yield TreeChange("~", tree, kind, then[kind], now[kind], count)


def _structure(module: Module, tree: str) -> list[tuple[object, ...]]:
    """What each region is; texts, since the codes of two modules may differ."""
    table = module.tables[f"region:{tree}"]
    texts = (module.strings.decode(table[name]) for name in ("kind", "name"))
    return list(zip(table["parent"].tolist(), table["index"].tolist(), *texts, strict=True))


def _tree_names(module: Module) -> list[str]:
    return [domain.partition(":")[2] for domain in module.tables if domain.startswith("region:")]


def _kinds(module: Module, tree: str) -> list[str]:
    regions = module.tree(tree)
    return [regions.kind(region) for region in range(len(regions))]


def _tokens(module: Module, domain: str) -> dict[str, int]:
    return {name: module.tables[domain].columns[name].token for name in STRUCTURE}


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
            elif name not in old:
                yield _added(after, name, domain, new[name].data, most)
            elif len(old[name].data) != len(new[name].data):
                now = _added(after, name, domain, new[name].data, 0)
                yield attrs.evolve(now, what="~", rows_before=len(old[name].data))
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


__all__ = ["Change", "Changes", "TreeChange", "lines"]
