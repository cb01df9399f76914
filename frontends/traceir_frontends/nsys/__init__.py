"""Nsight Systems: SQLite exports of all schema versions from 2.x on, and reports where `nsys` can export them."""

from __future__ import annotations

import json
import os
import shlex
from typing import ClassVar

import attrs
import numpy as np

from traceir.errors import InputError
from traceir.ir import Module
from traceir.loading import Frontend, Head, Progress
from traceir_frontends.collecting import without_gc
from traceir_frontends.nsys.about import about
from traceir_frontends.nsys.decoding import Decoder
from traceir_frontends.nsys.export import ENDINGS, Exported, export
from traceir_frontends.nsys.lower import lower
from traceir_frontends.nsys.tables import FORMAT, MARKS, SYNCS
from traceir_frontends.tabular import (
    Database,
    LateSource,
    TableSource,
    Texts,
    is_database,
    is_packed_database,
)

__all__ = ["Nsys"]


@attrs.frozen
class Nsys(Frontend):
    """Nsight Systems reports (SQLite exports; .nsys-rep through nsys)."""

    word: ClassVar[str] = "nsys"

    @classmethod
    def sniff(cls, head: Head) -> float:
        """Near 1 for a database with tables that only this exporter writes, less where it cannot be opened."""
        if is_packed_database(head):
            return 0.3 if _named(head.text) else 0.0
        if not is_database(head):
            return 0.7 if head.path.endswith(ENDINGS) and b"\x00" in head.raw[:512] else 0.0
        try:
            with Database.open(head.path) as database:
                if any(map(database.has, MARKS)):
                    return 0.95
                known = sum(map(FORMAT.covers, database.tables))
                return 0.8 if database.has(FORMAT.strings[0]) and known > 1 else 0.0
        except InputError:
            return 0.5 if _named(head.raw) else 0.0

    def load(self, path: str, progress: Progress | None = None) -> Module:
        """Read an export. Damage that can be read around is in `Module.health`; InputError if nothing can be read.

        A report in the profiler's own form is exported first, if `nsys` is on the PATH. O(n log n); memory is about
        that of the module's columns three times over.
        """
        exported = _exported(path)
        file = path if exported is None else exported.path
        with without_gc(), Database.open(file) as database:
            decoder = Decoder(Texts.read(database, FORMAT))
            return lower(path, database, TableSource(path, "nsys", decoder, file, exported), decoder, progress)

    def reopen(self, path: str, module: Module) -> LateSource:
        """The handle on a file that was read before; a report is exported again when its arguments are asked for."""
        return LateSource(path, self.word, lambda: _again(path, module))


def _exported(path: str) -> Exported | None:
    """The export of a report, None of what is a database already; InputError if it cannot be had."""
    if path == "-" or not os.path.exists(path):
        return None
    with open(path, "rb") as raw:
        begin = raw.read(16)
    if begin[:2] == b"\x1f\x8b":
        mend = f"gunzip --keep {shlex.quote(path)}"
        raise InputError(f"The input {path} is a packed database; unpack it first: {mend}.")
    return export(path) if path.endswith(ENDINGS) and not begin.startswith(b"SQLite format 3") else None


def _again(path: str, module: Module) -> TableSource:
    """The handle as `load` makes it; InputError if the report's export is not the one that the module was made of."""
    exported = _exported(path)
    file = path if exported is None else exported.path
    with without_gc(), Database.open(file) as database:
        decoder = Decoder(Texts.read(database, FORMAT))
        now = about(database, ())
    if any(now[word] != module.meta.get(word) for word in ("producer", "schema")):
        raise InputError(
            f"The input {path} is exported by {now['producer']} now, which is not what its module in the cache was "
            "made with; load it with --no-cache."
        )
    source = TableSource(path, "nsys", decoder, file, exported)
    waits = np.flatnonzero(module["kind"] == module.kinds.index("event.wait")) if "event.wait" in module.kinds else ()
    for row in waits[:1]:
        decoder.sync_shift = _shift(source, module, int(row))
    return source


def _shift(source: TableSource, module: Module, row: int) -> int:
    """By how much the sorts of synchronisation are off in a file, as the name of one that was read shows."""
    number = json.loads(source.raw(int(module["offset"][row]), int(module["length"][row])) or b"{}").get("syncType")
    meant = next((sort for sort, name in SYNCS.items() if name == module.event(row).name), None)
    return meant - number if isinstance(number, int) and meant is not None else 0


def _named(text: bytes) -> bool:
    """Whether the first page of a damaged database names tables of this exporter."""
    return any(word in text for word in (b"CUPTI_ACTIVITY_KIND_", b"TARGET_INFO_", b"META_DATA_", b"EXPORT_META_DATA"))
