"""nvprof and the Visual Profiler (SQLite files), which Nsight Systems replaced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from traceir.errors import InputError
from traceir.ir import Module
from traceir.loading import Frontend, Head, Progress
from traceir_frontends.collecting import without_gc
from traceir_frontends.nvprof.lower import lower
from traceir_frontends.nvprof.tables import FORMAT
from traceir_frontends.tabular import Database, LateSource, TableSource, Texts, is_database

__all__ = ["Nvprof"]


@attrs.frozen
class Nvprof(Frontend):
    """Databases of nvprof and the Visual Profiler (legacy)."""

    word: ClassVar[str] = "nvprof"

    @classmethod
    def sniff(cls, head: Head) -> float:
        """Near 1 for a database with the activity tables of CUPTI and this profiler's table of texts."""
        if not is_database(head):
            return 0.0
        try:
            with Database.open(head.path) as database:
                known = any(table.startswith("CUPTI_ACTIVITY_KIND_") for table in database.tables)
                return 0.9 if database.has(FORMAT.strings[0]) and known else 0.0
        except InputError:
            return 0.55 if FORMAT.strings[0].encode() in head.raw else 0.0

    def load(self, path: str, progress: Progress | None = None) -> Module:
        """Read a database. Damage that can be read around is in `Module.health`; InputError if nothing can be read.

        O(n log n); memory is about that of the module's columns three times over.
        """
        with without_gc(), Database.open(path) as database:
            texts = Texts.read(database, FORMAT)
            return lower(path, database, _source(path, texts), texts, progress)

    def reopen(self, path: str, module: Module) -> LateSource:
        """The handle on a file that was read before."""

        def make() -> TableSource:
            with without_gc(), Database.open(path) as database:
                return _source(path, Texts.read(database, FORMAT))

        return LateSource(path, self.word, make)


def _source(path: str, texts: Texts) -> TableSource:
    def decode(table: str, row: Mapping[str, Any]) -> Mapping[str, Any]:
        return FORMAT.decode(table, row, texts.get)

    return TableSource(path, "nvprof", decode)
