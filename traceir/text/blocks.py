"""Blocks: a row an event, numbers only, names once in a pool; the spelling for whole traces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from traceir.ir import Annotation, Array, Module, null_mask
from traceir.ir.module import EDGE_KINDS
from traceir.ir.trees import STRUCTURE
from traceir.ir.window import EXTERN
from traceir.text.digits import Digits, lines
from traceir.text.events import in_order
from traceir.text.words import quote, word

_LAUNCH: Final = EDGE_KINDS.index("launch")


class Blocks:
    """A module's tables as blocks of numbers. `hidden` are the columns whose declaration the form says otherwise."""

    def __init__(self, module: Module) -> None:
        self.module = module
        declared = {name: item.annotation for name, item in module.annotations.items()}
        same = all(declared.get(item.name) == item for item in EXTERN)
        self.hidden = frozenset(item.name for item in EXTERN) if same else frozenset()
        self.codes, self.texts = _used(module)
        self.kind_codes, self.kinds = _used_kinds(module)

    def lines(self) -> Iterator[str]:
        """The lines below the declarations, in pieces of many."""
        module = self.module
        if not in_order({name: module[name] for name in ("ts", "lane", "id")}):
            yield "  order written;\n"
        if self.kinds:
            yield f"  kinds {', '.join(map(word, self.kinds))};\n"
        yield "  strings {\n"
        for low in range(0, len(self.texts), 1 << 14):
            yield "".join(f"{quote(text)}\n" for text in self.texts[low : low + (1 << 14)])
        yield "  }\n"
        own_edges = any(item.annotation.domain == "edge" for item in module.annotations.values())
        yield from self._events(launches=not own_edges)
        yield from self._values()
        yield from self._edges(launches=own_edges)
        for sort, head in (("region", "regions"), ("table", "table")):
            for domain, table in module.tables.items():
                if domain.startswith(f"{sort}:"):
                    columns = {column: self._digits(domain, column, table[column]) for column in table}
                    yield from _block(f"{head} {domain.partition(':')[2]}", columns)

    def _events(self, *, launches: bool) -> Iterator[str]:
        module = self.module
        id, parent = module["id"], module["parent"]
        ids = np.append(id, -1)
        columns = {
            "id": Digits(id),
            "kind": Digits(self.kind_codes[module["kind"]]),
            "name": Digits(self.codes[module["name"]]),
            "ts": Digits(module["ts"]),
            "dur": Digits(module["dur"]),
            "lane": Digits(module["lane"]),
            "parent": Digits(ids[parent], parent < 0),
        }
        if launches:
            src, dst = module.edges("launch")
            launch = np.full(len(module), -1, np.int32)
            launch[dst] = src
            columns["launch"] = Digits(ids[launch], launch < 0)
        if not module.live.all():
            columns["live"] = Digits(module.live)
        yield from _block("events", columns)

    def _values(self) -> Iterator[str]:
        """The annotations of events: a block for each pass, with the rows that it says anything of."""
        module = self.module
        made: dict[int | None, list[Annotation]] = defaultdict(list)
        for item in module.annotations.values():
            if item.annotation.domain == "event":
                made[item.by].append(item.annotation)
        for written in made.values():
            said = np.zeros(len(module), bool)
            for annotation in written:
                values = module[annotation.name]
                said |= values if annotation.dtype == "bool" else ~null_mask(values, annotation)
            rows = np.flatnonzero(said)
            columns = {"id": Digits(module["id"][rows])}
            columns |= {a.name: self._digits("event", a.name, module[a.name][rows]) for a in written}
            if len(rows):
                yield from _block("values", columns)

    def _edges(self, *, launches: bool) -> Iterator[str]:
        """The edges that the events block does not say, sorted by destination, kind and source."""
        table = self.module.tables["edge"]
        rows = np.lexsort((table["src"], table["kind"], table["dst"]))
        if not launches:
            rows = rows[table["kind"][rows] != _LAUNCH]
        if len(rows) or launches:
            yield from _block("edges", {name: self._digits("edge", name, table[name][rows]) for name in table})

    def _digits(self, domain: str, name: str, values: Array) -> Digits:
        """A column as it is written: ids for rows of events, codes of the text's pool for texts."""
        if domain == "edge" and name in ("src", "dst"):
            return Digits(self.module["id"][values])
        if (domain == "edge" and name == "kind") or (domain.startswith("region:") and name in STRUCTURE):
            return Digits(self.codes[values] if domain != "edge" and name in ("kind", "name") else values)
        annotation = self.module.annotations[name].annotation
        null = null_mask(values, annotation)
        if annotation.dtype == "f64":
            return Digits(np.array([repr(value).encode() for value in values.tolist()], np.bytes_), null)
        if annotation.dtype == "str":
            return Digits(np.where(null, 0, self.codes[values]), null)
        if annotation.target == "event":
            return Digits(np.append(self.module["id"], 0)[values], null)
        return Digits(values, null if null.any() else None)


def _block(head: str, columns: Mapping[str, Digits]) -> Iterator[str]:
    yield f"  {head} [{' '.join(columns)}] {{\n"
    yield from lines(list(columns.values()))
    yield "  }\n"


def _used(module: Module) -> tuple[Array, list[str]]:
    """For each code of the module's pool its code in the text, which holds only what is used, in the same order."""
    used = np.zeros(len(module.strings) + 1, bool)
    used[module["name"]] = True
    for domain, table in module.tables.items():
        if domain.startswith("region:"):
            used[table["kind"]] = used[table["name"]] = True
    for name, item in module.annotations.items():
        if item.annotation.dtype == "str" and item.annotation.domain not in ("lane", "module"):
            used[module.tables[item.annotation.domain][name]] = True
    codes = np.append(np.cumsum(used[:-1]) - 1, -1)
    return codes, [text for text, wanted in zip(module.strings.texts, used.tolist(), strict=False) if wanted]


def _used_kinds(module: Module) -> tuple[Array, list[str]]:
    used = np.zeros(len(module.kinds) + 1, bool)
    used[module["kind"]] = True
    codes = np.cumsum(used) - 1
    return codes, [kind for kind, wanted in zip(module.kinds, used.tolist(), strict=False) if wanted]
