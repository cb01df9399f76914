"""The declared columns of a table's rows as plain values, whoever wrote them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from traceir.ir import Annotation, Array, Ints, Module, null_mask

_LONGEST: Final = 60
"""Characters of a name that is only mentioned; the full one stands at the event."""


def fresh(module: Module, *names: str) -> bool:
    """Whether the module has all these columns, and none of them is stale."""
    return all(name in module and not module.stale(name) for name in names)


def values_of(module: Module, domain: str, rows: Ints) -> list[dict[str, Any]]:
    """For each of some rows of a table its declared values that are not null and not stale, by column name.

    Keys are the column's name without its word; times get `_ns`. References to events read `%id name`, those to lanes
    and regions their names; other references, which a reader could not follow, and flags that are not set are left
    out. O(rows × columns).
    """
    out: list[dict[str, Any]] = [{} for _ in range(len(rows))]
    table = module.tables.get(domain)
    for name, written in module.annotations.items():
        item = written.annotation
        if item.domain != domain or table is None or name not in table or module.stale(name):
            continue
        chosen = table[name][rows]
        key = name.partition(".")[2]
        if item.unit == "ns" and not key.endswith("_ns"):
            key += "_ns"
        texts = _texts(module, item, chosen)
        told = ~null_mask(chosen, item) if item.dtype != "bool" else chosen
        for at in np.flatnonzero(told).tolist():
            if texts is None or texts[at] is not None:
                out[at][key] = texts[at] if texts is not None else chosen[at].item()
    return out


def _texts(module: Module, item: Annotation, values: Array) -> list[str | None] | None:
    """The values of a column that holds codes or references, as texts; None for one of numbers."""
    if item.dtype == "enum":
        return [None if code < 0 else item.values[code] for code in values.tolist()]
    if item.dtype == "str":
        return module.strings.decode(values)
    if item.dtype != "id":
        return None
    target = item.target
    if target == "event":
        return event_names(module, values)
    if target == "lane":
        return [None if code < 0 else module.lanes[code].name for code in values.tolist()]
    if target.startswith("region:") and module.has_tree(target[7:]):
        names = module.tables[target]["name"]
        return module.strings.decode(np.append(names, np.int32(-1))[values])
    return [None] * len(values)


def event_names(module: Module, rows: Array) -> list[str | None]:
    """Events as people speak of them, `%id name`, long names cut; None for -1."""
    if not len(module):
        return [None] * len(rows)
    ids, names = module["id"][rows].tolist(), module.strings.decode(module["name"][rows])
    short = [text if text is None or len(text) <= _LONGEST else text[: _LONGEST - 1] + "…" for text in names]
    return [None if row < 0 else f"%{id} {name}" for row, id, name in zip(rows.tolist(), ids, short, strict=True)]


def shown(module: Module, *uses: str) -> list[Annotation]:
    """The event annotations that are meant for these uses (`label`, `role`, …), fresh ones, in order of the uses."""
    items = [written.annotation for written in module.annotations.values()]
    return [
        item
        for use in uses
        for item in items
        if item.shown == use and item.domain == "event" and fresh(module, item.name)
    ]
