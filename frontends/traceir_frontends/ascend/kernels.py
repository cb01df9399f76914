"""A table of kernels by itself: device work without the host that launched it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import msgspec
import numpy as np

from traceir.errors import InputError
from traceir.ir import NULL_I64, Finding, Ints, Lane, Module
from traceir.ir.kinds import work_kinds
from traceir_frontends.ascend.arguments import of_text
from traceir_frontends.ascend.dialect import collective_of, task_kind
from traceir_frontends.ascend.findings import findings
from traceir_frontends.ascend.lanes import prefix_of
from traceir_frontends.ascend.tables import NAMES, STARTS, Table
from traceir_frontends.ascend.times import of_texts
from traceir_frontends.kineto.repair import Damage
from traceir_frontends.tabular import Assembly
from traceir_frontends.tabular.frame import integers

DURATIONS: Final = ("Duration(us)", "Task Duration(us)", "Duration")
CORES: Final = ("Accelerator Core", "Task Type")
_STREAMS: Final = ("Stream ID", "Stream Id")
_DEVICES: Final = ("Device_id", "Device Id")
SUMMARIES: Final = (
    (b"Step,Computing", b"Device_id,Step,Computing", b"Step,Type,Index"),
    (b"OP Type,Core Type", b"Device_id,OP Type"), (b"Level,API Name", b"Device_id,Level,API Name"),
    (b"Component,Timestamp(us)",), (b"Name,Size(KB),Allocation Time(us)",), (b"Stream Id,Task Id,Hit Rate",),
    (b"Name,Input Shapes,Call Stack",),
)  # fmt: skip
"""How other tables of the profiler begin, which hold sums or samples and no timeline."""


def is_table(text: bytes) -> bool:
    """Whether a text begins as a table of kernels does."""
    header = {cell.strip() for cell in text.partition(b"\n")[0].decode("utf-8", "replace").split(",")}
    return any(name in header for name in NAMES) and any(name in header for name in STARTS) and any(
        name in header for name in DURATIONS
    )  # fmt: skip


def is_summary(text: bytes) -> bool:
    """Whether a text begins as another of the profiler's tables does."""
    return text.startswith(tuple(header for headers in SUMMARIES for header in headers))


@attrs.define(eq=False)
class RowSource:
    """A table that is kept. An event's offset is its row."""

    path: str
    table: Table
    frontend: str = "ascend"

    def raw(self, offset: int, length: int) -> bytes:
        """The event's row as JSON."""
        return msgspec.json.encode(self.table.mapping(offset)) if 0 <= offset < len(self.table.rows) else b""

    def args(self, offsets: Ints, lengths: Ints) -> Sequence[Mapping[str, Any]]:
        """The arguments of events by their row."""
        known = range(len(self.table.rows))
        return [of_text("", self.table.mapping(at)) if at in known else {} for at in offsets.tolist()]


def lower(path: str, table: Table, meta: Mapping[str, Any], found: list[Finding]) -> Module:
    """The module of a table of kernels; InputError if it has no times. O(n log n)."""
    names, starts, lengths = (table.column(*words) for words in (NAMES, STARTS, DURATIONS))
    if names is None or starts is None or lengths is None:
        raise InputError(f"The input {path} has no column of {'names' if names is None else 'times'}; export it again.")
    assembly = Assembly(path)
    start, dur = of_texts(starts), of_texts(lengths)
    end = np.where((start == NULL_I64) | (dur == NULL_I64), NULL_I64, start + np.where(start == NULL_I64, 0, dur))
    cores = table.column(*CORES) or [""] * len(names)
    kinds = [task_kind(name, core) for name, core in zip(names, cores, strict=True)]
    talks = np.array([collective_of(name) is not None for name in names], np.int64)
    keys = [_numbers(table, _DEVICES), _numbers(table, _STREAMS), talks]
    keys[2] = np.where(keys[1] == NULL_I64, talks, 0)  # what has a stream is on it, whatever it does

    def make(device: int, stream: int, talk: int) -> Lane:
        number, own = (None if value == NULL_I64 else value for value in (device, stream))
        word = f"s{own}" if own is not None else "comm" if talk else "kernels"
        label = f"Stream {own}" if own is not None else "streams unknown"
        return Lane(f"{prefix_of(number)}.{word}", "dev.stream", number, own, None, own, label)

    lane = assembly.lanes(keys, make)
    assembly.add(kinds, assembly.texts(names), start, end, lane, table=0, rows=np.arange(len(names)))
    assembly.health = _health(assembly) + _ragged(table) + found
    return assembly.build(RowSource(path, table), {"vendor": "ascend", **meta}, 0, os.path.basename(path))


def _numbers(table: Table, words: tuple[str, ...]) -> Ints:
    column = table.column(*words)
    return np.full(len(table.rows), NULL_I64) if column is None else integers(column)[0]


def _health(assembly: Assembly) -> list[Finding]:
    columns, none = assembly.columns(), np.empty(0, np.int64)
    kinds = np.array(assembly.kind_list())
    work = np.isin(columns.kind, np.flatnonzero(np.isin(kinds, list(work_kinds()))))
    facts = {
        "id": np.arange(len(columns)), "ts": columns.ts - int(columns.ts.min()), "dur": columns.dur,
        "lane": columns.lane, "work": work, "src": none, "dst": none, "waits": np.zeros(len(columns), bool),
        "has_calls": False,
    }  # fmt: skip
    return findings(Damage(dict(assembly.repaired), dict(assembly.first)), facts)


def _ragged(table: Table) -> list[Finding]:
    if not table.ragged:
        return []
    message = f"{table.ragged} rows have more or fewer cells than the header; they are left out."
    return [Finding("repaired", "warning", table.ragged, message, None, ("infer", "group", "overlap", "gaps"))]
