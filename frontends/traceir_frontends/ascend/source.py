"""The handle on a loaded timeline: a text like Kineto's, with arguments decoded to the keys of every frontend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import msgspec
import numpy as np

from traceir.ir import Ints
from traceir_frontends.ascend.arguments import of_text
from traceir_frontends.ascend.tables import Beside
from traceir_frontends.kineto.repair import BROKEN, loose
from traceir_frontends.kineto.source import KinetoSource


class _Told(msgspec.Struct):
    name: Any = None
    args: Any = None


_TOLD: Final = msgspec.json.Decoder(_Told)


@attrs.define(eq=False)
class AscendSource(KinetoSource):
    """A timeline and the tables beside it."""

    frontend: str = "ascend"
    beside: Beside = attrs.field(factory=Beside)

    def args(self, offsets: Ints, lengths: Ints) -> Sequence[Mapping[str, Any]]:
        """The arguments of events by their place, with what the tables beside the timeline say of them. O(rows)."""
        more = self.beside.rows(np.asarray(offsets))
        return [of_text(*_told(raw, table)) for raw, table in zip(self._texts(offsets, lengths), more, strict=True)]


def _told(raw: bytes, table: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """An event's name and arguments, which may be damaged, completed by a table."""
    if not raw:
        return "", dict(table)
    try:
        found = _TOLD.decode(raw)
        name, args = found.name, found.args
    except BROKEN:
        value = loose(raw)
        name, args = (value.get("name"), value.get("args")) if isinstance(value, dict) else (None, None)
    return str(name or ""), {**table, **(args if isinstance(args, dict) else {})}
