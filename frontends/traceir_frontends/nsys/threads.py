"""What threads are called."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from traceir.ir import NULL_I64
from traceir_frontends.tabular import Database, Texts

_NAMED = 39
"""Type of the row by which a program names a thread."""


@attrs.frozen(eq=False)
class Threads:
    """The names of threads by their serialised ids: the program's own name for it, else the system's."""

    names: Mapping[int, str]

    @classmethod
    def of(cls, database: Database, texts: Texts) -> Threads:
        """From the table of thread names and from the program's own marks."""
        frame = database.read("ThreadNames", ("nameId", "globalTid"))
        names = dict(zip(frame.ints("globalTid").tolist(), texts.of(frame.ints("nameId")), strict=True))
        return cls({thread: name for thread, name in names.items() if name and thread != NULL_I64})

    def name(self, thread: int) -> str:
        """The name of a thread, empty if it has none."""
        return self.names.get(thread, "")
