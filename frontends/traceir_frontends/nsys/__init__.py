"""Nsight Systems: SQLite exports of all schema versions from 2.x on, and reports where `nsys` can export them."""

from __future__ import annotations

import os
from typing import ClassVar

import attrs

from traceir.errors import InputError
from traceir.ir import Module
from traceir.loading import Frontend, Head, Progress
from traceir_frontends.nsys.decoding import Decoder
from traceir_frontends.nsys.export import ENDINGS, export
from traceir_frontends.nsys.lower import lower
from traceir_frontends.nsys.tables import FORMAT, MARKS
from traceir_frontends.tabular import Database, TableSource, Texts, is_database, is_packed_database, without_gc

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
        exported = None
        if path != "-" and os.path.exists(path):
            with open(path, "rb") as raw:
                begin = raw.read(16)
            if begin[:2] == b"\x1f\x8b":
                raise InputError(f"The input {path} is a packed database; unpack it first: gunzip --keep {path}.")
            if path.endswith(ENDINGS) and not begin.startswith(b"SQLite format 3"):
                exported = export(path)
        file = path if exported is None else exported.path
        with without_gc(), Database.open(file) as database:
            decoder = Decoder(Texts.read(database, FORMAT))
            return lower(path, database, TableSource(path, "nsys", decoder, file, exported), decoder, progress)


def _named(text: bytes) -> bool:
    """Whether the first page of a damaged database names tables of this exporter."""
    return any(word in text for word in (b"CUPTI_ACTIVITY_KIND_", b"TARGET_INFO_", b"META_DATA_", b"EXPORT_META_DATA"))
