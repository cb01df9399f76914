"""What is wrong with an export as a file, and what the profiler itself warned of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from traceir.ir import Finding
from traceir_frontends.nsys import tables
from traceir_frontends.tabular import Database, Rows, Table, Texts, file_findings

_MOST: Final = 200


def health_of(database: Database, found: Mapping[Table, Rows], texts: Texts) -> list[Finding]:
    """Findings about the file, before those about its events."""
    gone = [table for table in tables.FORMAT.tables if table.matters and table not in found]
    if tables.GRAPHS in found:
        gone = [table for table in gone if table is not tables.KERNELS]
    own = [_opaque(found), _warned(database)]
    return [
        *file_findings(database, tables.FORMAT, gone, len(texts.ids) > 0),
        *(finding for finding in own if finding is not None),
    ]


def _opaque(found: Mapping[Table, Rows]) -> Finding | None:
    """Whether replays of graphs are one row each, which hides what they do."""
    rows = found.get(tables.GRAPHS)
    if rows is None:
        return None
    message = (
        f"{len(rows)} graph replays are recorded as one row each, so that their kernels, layers and communication "
        "cannot be seen; record with --cuda-graph-trace=node."
    )
    return Finding("opaque_graphs", "info", len(rows), message)


def _warned(database: Database) -> Finding | None:
    """What the profiler itself warned of while it recorded."""
    frame = database.read("DIAGNOSTIC_EVENT", ("severity", "text"))
    severe = np.flatnonzero(frame.ints("severity") >= tables.SEVERE)
    if not len(severe):
        return None
    own = frame.texts("text")
    said = list(dict.fromkeys(" ".join((own[at] or "").split())[:_MOST] for at in severe.tolist()))
    more = f" (and {len(said) - 1} more)" if len(said) > 1 else ""
    return Finding("profiler_warning", "info", len(severe), f"The profiler warned while it recorded: {said[0]}{more}")
