"""Arguments of the rows of an export, decoded when somebody looks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from traceir_frontends.nsys import tables
from traceir_frontends.nsys.names import nvtx_args
from traceir_frontends.tabular import Texts


@attrs.define(eq=False)
class Decoder:
    """Makes of a row its own columns, and beside them the common spelling of what they mean."""

    texts: Texts
    sync_shift: int = 0
    """By how much the sorts of synchronisation are off in this file."""

    def __call__(self, table: str, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """The arguments of one row."""
        out = tables.FORMAT.decode(table, row, self.texts.get)
        if table in tables.NVTX.names:
            text = row.get("text") or self.texts.get(row.get("textId") or -1)
            out |= nvtx_args(text) if isinstance(text, str) else {}
        elif table in tables.SYNCHRONISED.names and isinstance(row.get("syncType"), int):
            out["cuda_sync_kind"] = tables.SYNCS.get(row["syncType"] + self.sync_shift, "Unknown Sync")
        return out
