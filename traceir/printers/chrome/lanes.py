"""Lanes that passes made: tables of spans, whoever wrote them, known by their columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import attrs
import numpy as np

from traceir.ir import NULL_I64, Array, Ints, Module
from traceir.printers.chrome.tracks import Track
from traceir.printers.chrome.values import fresh, values_of

START: Final = ".lane_start"
"""How the column's name ends that makes a table one of spans; the word before it is the pass's."""
_OWN: Final = ("lane", "lane_device", "lane_start", "lane_dur", "lane_label", "lane_gap")
"""The columns that say what a span is; all others of its table are its arguments."""


@attrs.frozen(eq=False)
class _Table:
    """The table of a pass's spans: its word and its domain."""

    module: Module
    word: str
    domain: str

    def column(self, name: str, *dtypes: str) -> Array | None:
        """A column of the table by the end of its name; None if there is none of these types, or it is stale."""
        full = f"{self.word}.{name}"
        written = self.module.annotations.get(full)
        if written is None or written.annotation.domain != self.domain or written.annotation.dtype not in dtypes:
            return None
        return self.module[full] if fresh(self.module, full) else None

    def texts(self, name: str, codes: Array) -> list[str]:
        """The texts of codes of a column of texts."""
        annotation = self.module.annotations[f"{self.word}.{name}"].annotation
        if annotation.dtype == "enum":
            return ["" if code < 0 else annotation.values[code] for code in codes.tolist()]
        return [text or "" for text in self.module.strings.decode(codes)]

    @property
    def says_more(self) -> bool:
        """Whether the table says more of its spans than where they are shown."""
        own = {f"{self.word}.{name}" for name in _OWN}
        return any(item.annotation.domain == self.domain and name not in own
                   for name, item in self.module.annotations.items())  # fmt: skip


def lane_tracks(module: Module, words: tuple[str, ...] | None, but: tuple[str, ...], min_gap: int) -> Iterator[Track]:
    """A track for each lane and device of the tables of spans, in the order of their first rows.

    `words` are the passes whose tables are wanted (None: all but those in `but`). A table is one of spans if it has the
    columns `<word>.lane` (a text), `<word>.lane_start` and `<word>.lane_dur` (i64, ns); a text `<word>.lane_label`
    names the spans, an i64 `<word>.lane_device` says whose they are, and a bool `<word>.lane_gap` that nothing runs in
    them. Spans of one label that lie no further apart than `min_gap` are one slice, and gaps up to that are not shown;
    in a table with more columns each span is a slice with those as arguments. O(n log n).
    """
    for name in list(module.annotations):
        word, domain = name.removesuffix(START), module.annotations[name].annotation.domain
        if not name.endswith(START) or not domain.startswith("table:"):
            continue
        if word not in but if words is None else word in words:
            yield from _tracks(_Table(module, word, domain), min_gap)


def _tracks(table: _Table, min_gap: int) -> Iterator[Track]:
    start, dur = table.column("lane_start", "i64"), table.column("lane_dur", "i64")
    title = table.column("lane", "str", "enum")
    if start is None or dur is None or title is None:
        return
    device, gap = table.column("lane_device", "i64"), table.column("lane_gap", "bool")
    number = np.full(len(start), NULL_I64) if device is None else device
    known = np.flatnonzero((start != NULL_I64) & (dur != NULL_I64) & (dur >= 0))
    keys, first, lane = np.unique(np.stack([title[known], number[known]]), axis=1, return_index=True,
                                  return_inverse=True)  # fmt: skip
    for which in np.argsort(first, kind="stable").tolist():
        rows = known[lane.ravel() == which]
        rows = rows[np.argsort(start[rows], kind="stable")]
        if gap is not None:
            rows = rows[~gap[rows] | (dur[rows] > min_gap)]
        code, of = keys[:, which].tolist()
        (name,) = table.texts("lane", np.array([code]))
        place = "" if device is None else f"{table.module.device_name(None if of == NULL_I64 else of)} "
        yield _track(table, f"{place}{name}", rows, None if of == NULL_I64 else of, min_gap)


def _track(table: _Table, name: str, rows: Ints, device: int | None, min_gap: int) -> Track:
    """The track of some spans in order of their starts: each a slice, or those joined that are close to each other."""
    module, word = table.module, table.word
    column = "lane" if (label := table.column("lane_label", "str", "enum")) is None else "lane_label"
    codes = (module[f"{word}.lane"] if label is None else label)[rows]
    starts = module[f"{word}.lane_start"][rows]
    ends = starts + module[f"{word}.lane_dur"][rows]
    if table.says_more:
        own = {name.removesuffix("_ns") for name in _OWN}
        args: list[dict[str, Any]] = [
            {key: value for key, value in one.items() if key.removesuffix("_ns") not in own}
            for one in values_of(module, table.domain, rows)
        ]
        return Track(name, starts, ends, table.texts(column, codes), args, device)
    if not len(rows):
        return Track(name, starts, ends, [], [], device)
    gap = table.column("lane_gap", "bool")
    joins = np.full(len(rows), min_gap) if gap is None else np.where(gap[rows], 0, min_gap)
    reach = np.maximum.accumulate(ends)
    first = np.flatnonzero(np.append(True, (starts[1:] - reach[:-1] > joins[1:]) | (codes[1:] != codes[:-1])))
    exact = np.add.reduceat(ends - starts, first)
    return Track(
        name, starts[first], np.maximum.reduceat(ends, first), table.texts(column, codes[first]),
        [{"exact_ns": value} for value in exact.tolist()], device,
    )  # fmt: skip


__all__ = ["lane_tracks"]
