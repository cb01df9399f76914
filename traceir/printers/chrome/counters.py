"""Counters that passes made: tables of values over time, whoever wrote them, known by their columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import attrs
import numpy as np

from traceir.ir import NULL_I64, Ints, Module
from traceir.printers.chrome.text import all_micros, dumps
from traceir.printers.chrome.values import fresh

AT: Final = ".counter_at"
"""How the column's name ends that makes a table one of counters; the word before it is the pass's."""


@attrs.frozen(eq=False)
class Counter:
    """One counter: instants in order (i64 ns from the module's origin), and the value from each on."""

    name: str
    at: Ints
    values: Ints


def counters_of(module: Module) -> Iterator[Counter]:
    """A counter for each name of the tables of counters, in order of their names.

    A table is one of counters if it has the columns `<word>.counter` (a text, its name), `<word>.counter_at` (i64, ns)
    and `<word>.counter_value` (i64 or f64). O(n log n).
    """
    for name in list(module.annotations):
        if not name.endswith(AT) or not module.annotations[name].annotation.domain.startswith("table:"):
            continue
        word = name.removesuffix(AT)
        wanted = (f"{word}.counter", name, f"{word}.counter_value")
        if all(column in module.annotations and fresh(module, column) for column in wanted):
            yield from _counters(module, word)


def _counters(module: Module, word: str) -> Iterator[Counter]:
    titles, at, values = (module[f"{word}.{end}"] for end in ("counter", "counter_at", "counter_value"))
    names = module.text(f"{word}.counter")
    known = np.flatnonzero((at != NULL_I64) & ~np.isnan(values.astype(float)) & (values != NULL_I64) & (titles >= 0))
    order = known[np.lexsort((at[known], titles[known]))]
    new = np.flatnonzero(np.append(True, titles[order][1:] != titles[order][:-1])) if len(order) else order
    for rows in np.split(order, new[1:]) if len(order) else ():
        yield Counter(f"{word} {names[int(rows[0])]}", at[rows], values[rows])


def counter_rows(counters: Sequence[Counter], pid: int, origin: int, category: str) -> Iterator[str]:
    """The elements of counters as JSON texts; `origin` is added to all times."""
    for counter in counters:
        name = dumps(counter.name)
        for at, value in zip(all_micros(counter.at + origin), counter.values.tolist(), strict=True):
            yield (
                f'{{"ph": "C", "cat": "{category}", "name": {name}, "pid": {pid}, "tid": 0, "ts": {at}, '
                f'"args": {{"value": {value}}}}}'
            )
