"""Huawei Ascend profiles of torch_npu, MindSpore and msprof: timelines as text, databases, and tables of kernels."""

from __future__ import annotations

import os
import shlex
from typing import Any, ClassVar, Final

import attrs

from traceir.errors import InputError
from traceir.ir import Finding, Module
from traceir.loading import Frontend, Head, Progress
from traceir_frontends.ascend import database, folder, kernels, schema, sniffing, summaries, tables, text
from traceir_frontends.ascend.decoding import Decoder
from traceir_frontends.ascend.document import Timeline, TokenDecoder
from traceir_frontends.ascend.rows import Rows
from traceir_frontends.ascend.source import AscendSource
from traceir_frontends.kineto.stream import Origin, Window, open_text
from traceir_frontends.tabular import Database

__all__ = ["Ascend"]

_CHUNK: Final = 1 << 20
_REFUSED: Final = {
    "summary": "is a table of sums or samples without a timeline; name trace_view.json, kernel_details.csv or the "
    "result folder.",
    "figures": "holds figures of communication and no timeline; name trace_view.json beside it, or the result folder.",
    "packed": "is a packed database; unpack it first: gunzip --keep {}.",
}


@attrs.frozen
class Ascend(Frontend):
    """Huawei Ascend profiles (torch_npu, msprof): timeline, database or result folder."""

    # There is no `reopen`, so that nothing is kept in a cache: a module is made of the files beside its input too
    # (tables of kernels, steps, ranks), and what a cache knows an input by is the input alone.

    word: ClassVar[str] = "ascend"

    @classmethod
    def sniff(cls, head: Head) -> float:
        """Nearly certain of what only this profiler writes."""
        return sniffing.certainty(head)

    @classmethod
    def claims(cls, path: str) -> str | None:
        """The timeline of a result folder: the text before the database."""
        return folder.claims(path)

    def load(self, path: str, progress: Progress | None = None) -> Module:
        """Read a timeline with the tables beside it, or a database; damage that can be read around is in `health`.

        InputError if nothing can be read. O(n log n); peak memory is about three times the module's columns.
        """
        content = sniffing.content_of(path)
        if content in _REFUSED:
            raise InputError(f"The input {path} {_REFUSED[content].format(shlex.quote(path))}")
        if content == "database":
            return _database(path)
        meta, found = _around(path)
        if content == "kernels":
            return kernels.lower(path, tables.read_table(path), meta, found)
        return _timeline(path, progress, meta, found)


def _database(path: str) -> Module:
    meta, found = _around(path)
    with Database.open(path) as opened:
        if not any(map(opened.has, schema.MARKS)):
            raise InputError(
                f"The input {path} holds results of an Ascend analysis and no timeline; name the database of the "
                "profiler beside it, such as ascend_pytorch_profiler_0.db."
            )
        return database.lower(path, opened, Decoder.read(opened), meta, found)


def _timeline(path: str, progress: Progress | None, meta: dict[str, Any], found: list[Finding]) -> Module:
    origin = Origin(path)
    opened, checkpoints = open_text(origin)
    window = Window(opened, _CHUNK, progress)
    document = Timeline(path, window, decoder=TokenDecoder())
    rows = Rows(document.damage)
    try:
        for piece in document.pieces():
            rows.add(piece, document.events)
    except InputError:
        if checkpoints is not None and opened.damage and window.base + window.end == 0:
            raise InputError(
                f"The input {path} begins like gzip, but nothing of it can be decompressed: {opened.damage}; copy it "
                "again from where it was recorded."
            ) from None
        raise
    finally:
        opened.close()
    beside, more = _beside(path)
    source = AscendSource(origin, checkpoints, beside=beside)
    module = text.lower(path, rows, source, meta, found + more, beside)
    source.remember(module)
    return module


def _around(path: str) -> tuple[dict[str, Any], list[Finding]]:
    """What the files around a result say of the run, and the vendor's own account of its steps."""
    meta: dict[str, Any] = {"rank": None, "world": None, **folder.about(path)}
    near = os.path.dirname(os.path.abspath(path))
    file = None if path == "-" else tables.find(near, r"step_trace_time\.csv")
    try:
        steps = tables.read_steps(file) if file else [] if path == "-" else summaries.steps(near)
    except InputError as error:
        return meta, [_unreadable(error)]
    return meta | ({"step_trace_time": steps} if steps else {}), []


def _beside(path: str) -> tuple[tables.Beside, list[Finding]]:
    """The tables beside a timeline, and what of them cannot be read."""
    beside = tables.Beside()
    if path == "-":
        return beside, []
    near = os.path.dirname(os.path.abspath(path))
    table = tables.find(near, r"(kernel_details|op_summary(_\d+)*)\.csv")
    operations = tables.find(near, r"communication\.json")
    found = []
    try:
        beside.kernels = tables.read_table(table) if table else None
    except InputError as error:
        found.append(_unreadable(error))
    try:
        beside.operations = tables.read_operations(operations) if operations else ()
    except InputError as error:
        found.append(_unreadable(error))
    return beside, found


def _unreadable(error: InputError) -> Finding:
    return Finding("table_unreadable", "warning", 1, str(error))
