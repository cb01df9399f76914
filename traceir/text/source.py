"""The source of a module that was read from text: the arguments that its statements carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from traceir.ir import Ints


@attrs.define(eq=False)
class TextSource:
    """A text. An event's `offset` counts the statements that have arguments; -1 is one without."""

    path: str
    recorded: str = ""
    """The frontend of the trace that the text was printed from, as its header says."""
    arguments: list[Mapping[str, Any]] = attrs.field(factory=list)
    statements: list[str] = attrs.field(factory=list)
    frontend: str = "tir"

    def raw(self, offset: int, length: int) -> bytes:
        """The event's statement as written; nothing if it had no arguments."""
        return self.statements[offset].encode("utf-8", "surrogatepass") if offset >= 0 else b""

    def args(self, offsets: Ints, lengths: Ints) -> Sequence[Mapping[str, Any]]:
        """The arguments of events, empty mappings where there are none."""
        return [self.arguments[offset] if offset >= 0 else {} for offset in offsets.tolist()]
