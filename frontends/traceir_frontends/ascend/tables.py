"""The tables beside a timeline: kernels, communication, step times; read when there, and joined where they fit."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any, Final

import attrs
import msgspec
import numpy as np

from traceir.errors import InputError
from traceir.ir import NULL_I64, Array, Finding, Ints
from traceir_frontends.ascend.times import of_texts
from traceir_frontends.tabular.assembly import matched
from traceir_frontends.whole import cells_up_to, decoded, read_whole

NAMES: Final = ("Name", "Op Name")
STARTS: Final = ("Start Time(us)", "Task Start Time(us)", "Start Time")
MOST: Final = 1 << 29
"""Bytes of the largest table that is read: its cells are held as texts, which take several times as much."""
_CELL: Final = 1 << 24
_NEAR_NS: Final = 1_000
"""Old tables give times as floating point, which is up to a quarter of a microsecond off."""
_STEPS: Final = {
    "Computing": "computing_ns", "Communication(Not Overlapped)": "not_overlapped_ns", "Overlapped": "overlapped_ns",
    "Communication": "communication_ns", "Free": "free_ns", "Stage": "stage_ns", "Bubble": "bubble_ns",
    "Communication(Not Overlapped and Exclude Receive)": "not_overlapped_without_receive_ns",
    "Preparing": "preparing_ns",
}  # fmt: skip


@attrs.frozen(eq=False)
class Table:
    """A table: its columns, and its rows as texts without blanks around them."""

    path: str
    header: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    ragged: int
    """Rows with another number of cells than the header, which are left out."""

    def column(self, *names: str) -> list[str] | None:
        """The first of these columns that is there."""
        name = next((name for name in names if name in self.header), None)
        if name is None:
            return None
        at = self.header.index(name)
        return [row[at] for row in self.rows]

    def mapping(self, row: int) -> dict[str, str]:
        """A row by column, without cells that say nothing."""
        return {name: cell for name, cell in zip(self.header, self.rows[row], strict=True) if cell not in ("", "N/A")}


def read_table(path: str) -> Table:
    """A CSV file, plain or gzip; InputError if it cannot be read or has no header."""
    text, _ = decoded(read_whole(path, MOST)[0])
    try:
        with cells_up_to(_CELL):
            rows = list(csv.reader(io.StringIO(text.replace("\0", ""))))
    except csv.Error as error:
        raise InputError(f"The table {path} cannot be read: {error}.") from error
    rows = [[cell.strip() for cell in row] for row in rows if row]
    if not rows:
        raise InputError(f"The table {path} is empty.")
    header, sound = tuple(rows[0]), [row for row in rows[1:] if len(row) == len(rows[0])]
    return Table(path, header, sound, len(rows) - 1 - len(sound))


@attrs.define(eq=False)
class Beside:
    """Rows of tables that belong to events, by where these stand in the timeline."""

    kernels: Table | None = None
    operations: Sequence[tuple[str, int, Mapping[str, Any]]] = ()
    """What communication.json says: name, start in Unix ns, and figures."""
    _offsets: Ints = attrs.field(factory=lambda: np.empty(0, np.int64))
    _row: Ints = attrs.field(factory=lambda: np.empty(0, np.int64))

    def join(self, names: Mapping[str, int], name: Array, ts: Ints, offsets: Ints) -> list[Finding]:
        """Join the tables to kernels and collectives, given by name code, start (Unix ns) and offset in the timeline.

        Rule for kernels: name and start; else, where the table has lost digits, name and order if every name occurs
        equally often and no start is off by more than a microsecond. O(n log n).
        """
        pairs = [self._kernels(names, name, ts), self._operations(names, name, ts)]
        at, row = (np.concatenate([np.empty(0, np.int64), *side]) for side in zip(*pairs, strict=True))
        order = np.argsort(offsets[at], kind="stable")
        self._offsets, self._row = offsets[at][order], row[order]
        return self._missed(len(pairs[0][0]))

    def rows(self, offsets: Ints) -> list[dict[str, Any]]:
        """What the tables say of the events at these offsets. O(n log n)."""
        out: list[dict[str, Any]] = [{} for _ in range(len(offsets))]
        low = np.searchsorted(self._offsets, offsets, "left").tolist()
        high = np.searchsorted(self._offsets, offsets, "right").tolist()
        size = len(self.kernels.rows) if self.kernels else 0
        for place, (first, last) in enumerate(zip(low, high, strict=True)):
            for row in self._row[first:last].tolist():
                if row < size and self.kernels:
                    out[place].update(self.kernels.mapping(row))
                else:
                    out[place].update(self.operations[row - size][2])
        return out

    def _kernels(self, names: Mapping[str, int], name: Array, ts: Ints) -> tuple[Ints, Ints]:
        none = np.empty(0, np.int64), np.empty(0, np.int64)
        called = self.kernels.column(*NAMES) if self.kernels else None
        starts = self.kernels.column(*STARTS) if self.kernels else None
        if called is None or starts is None:
            return none
        code = np.array([names.get(text, NULL_I64) for text in called], np.int64)
        start = of_texts(starts)
        row, at = matched([code, start], [name.astype(np.int64), ts])
        if len(at):
            return at, row
        first = np.lexsort((start, code))
        first = first[code[first] != NULL_I64]
        second = np.flatnonzero(np.isin(name, code))
        second = second[np.lexsort((ts[second], name[second]))]
        alike = len(first) == len(second) and bool((code[first] == name[second]).all())
        near = alike and bool((np.abs(start[first] - ts[second]) <= _NEAR_NS).all())
        return (second, first) if near else none

    def _operations(self, names: Mapping[str, int], name: Array, ts: Ints) -> tuple[Ints, Ints]:
        size = len(self.kernels.rows) if self.kernels else 0
        at, row = [], []
        for number, (text, start, _) in enumerate(self.operations):
            mine = np.flatnonzero((name == names.get(text, -1)) & (np.abs(ts - start) <= _NEAR_NS))
            if len(mine) == 1:
                at.append(int(mine[0]))
                row.append(size + number)
        return np.array(at, np.int64), np.array(row, np.int64)

    def _missed(self, joined: int) -> list[Finding]:
        if self.kernels is None or (joined and not self.kernels.ragged):
            return []
        name = os.path.basename(self.kernels.path)
        if self.kernels.ragged:
            message = (
                f"{self.kernels.ragged} rows of {name} have more or fewer cells than its header; they are left out."
            )
            return [Finding("repaired", "warning", self.kernels.ragged, message)]
        message = (
            f"No row of {name} fits a task of the timeline, so shapes are unknown; keep the files of one run together."
        )
        return [Finding("table_unmatched", "warning", len(self.kernels.rows), message)]


def read_operations(path: str) -> list[tuple[str, int, Mapping[str, Any]]]:
    """The operations of a communication.json: name, start in Unix ns (which is 0.25 µs off), times and bandwidths.

    Empty if the file is no such document.
    """
    try:
        document = msgspec.json.decode(read_whole(path, MOST)[0])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    out = []
    for step, groups in document.items() if isinstance(document, dict) else ():
        for kind in ("collective", "p2p"):
            found = groups.get(kind) if isinstance(groups, dict) else None
            for called, told in found.items() if isinstance(found, dict) else ():
                out += _operation(step, called, told)
    return out


def _operation(step: str, called: str, told: Any) -> list[tuple[str, int, Mapping[str, Any]]]:
    times = told.get("Communication Time Info") if isinstance(told, dict) else None
    start = times.get("Start Timestamp(us)") if isinstance(times, dict) else None
    if not isinstance(times, dict) or not isinstance(start, int | float) or not abs(start) < 1 << 53:
        return []
    name, _, group = called.partition("@")
    links = told.get("Communication Bandwidth Info")
    used = {key: value for key, value in links.items() if isinstance(value, dict) and value.get("Transit Time(ms)")} \
        if isinstance(links, dict) else {}  # fmt: skip
    figures = {key: value for key, value in times.items() if key != "Start Timestamp(us)"}
    return [(name, round(start * 1000), {"group hash": group, "step": step, **figures, "bandwidth": used})]


def read_steps(path: str) -> list[dict[str, Any]]:
    """The rows of a step_trace_time.csv, times as integer ns."""
    table = read_table(path)
    return [_step(table.mapping(row)) for row in range(len(table.rows))]


def _step(row: Mapping[str, str]) -> dict[str, Any]:
    out: dict[str, Any] = {"step": row.get("Step"), "device": row.get("Device_id")}
    for column, key in _STEPS.items():
        out[key] = microseconds(row.get(column))
    return out


def microseconds(value: Any) -> int | None:
    """Nanoseconds of a figure in microseconds, None if it is none."""
    try:
        return int((Decimal(str(value)) * 1000).to_integral_value(ROUND_HALF_EVEN))
    except (ArithmeticError, ValueError):
        return None


def find(folder: str, pattern: str) -> str | None:
    """The one file of a folder whose name fits, plain or gzip; None if there is none, or more than one."""
    fits = re.compile(rf"{pattern}(\.gz)?\Z")
    try:
        found = sorted(item.name for item in Path(folder).iterdir() if fits.match(item.name))
    except OSError:
        return None
    return os.path.join(folder, found[0]) if len(found) == 1 else None
