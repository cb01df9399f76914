"""Closed windows: the events that a cut needs beside the chosen ones, so that the small trace tells the truth."""

from __future__ import annotations

import numpy as np

from traceir.ir import Array, Ints, Mask, Module, Rows, expand
from traceir.ir.module import EDGE_KINDS
from traceir.windows.chosen import positions

_CAUSES = ("launch", "enqueue")
"""Edges whose source made the destination happen."""


def closed(module: Module, rows: Array) -> Rows:
    """The chosen rows (a mask or positions) with all that they came from; no further device work.

    It is the smallest set that holds the chosen events and, of each event that it holds,

    - the event that encloses it (so every ancestor on its lane),
    - the call that launched it, and what enqueued that call,
    - if it lies on a device stream, the waits and records that stand directly before it there: stream order makes it
      wait for them,
    - what a `sync` edge says it waited for, if that is a host call or a record.

    Device work is only ever there because it was chosen. The work that a wait or a blocking call waited for, the
    other kernels of a graph launch and the forward ops of a backward pass stay outside; `Module.window` declares
    them. So closing twice changes nothing, and more chosen events never close to fewer. Columns are read as recorded:
    removed events count as any other (`without_dead` leaves them out). Positions, ascending. O(n log n).
    """
    parent = module["parent"]
    lead, cause = _causes(module)
    order = np.argsort(lead, kind="stable")
    lead, cause = lead[order], cause[order]
    kept = np.zeros(len(module), bool)
    fresh = positions(rows)
    while len(fresh):
        kept[fresh] = True
        first, last = np.searchsorted(lead, fresh, side="left"), np.searchsorted(lead, fresh, side="right")
        up = np.concatenate([parent[fresh], cause[expand(first, last - first)[1]]])
        fresh = np.unique(up[(up >= 0) & ~kept[up]])
    return np.flatnonzero(kept).astype(np.int32)


def _causes(module: Module) -> tuple[Ints, Ints]:
    """For each event what it needs, nesting left out: pairs of rows."""
    edge = module.tables["edge"]
    src, dst, kind = edge["src"], edge["dst"], edge["kind"]
    causes = np.isin(kind, [EDGE_KINDS.index(name) for name in _CAUSES])
    # Work that was waited for has waits of its own: to follow it would lead back to the beginning of the trace.
    waited = (kind == EDGE_KINDS.index("sync")) & ~module.is_kind("dev")[src]
    follow = causes | waited
    later, earlier = _held_back(module)
    lead, cause = np.concatenate([dst[follow], later]), np.concatenate([src[follow], earlier])
    return lead.astype(np.int64), cause.astype(np.int64)


def _held_back(module: Module) -> tuple[Ints, Ints]:
    """Events on device streams with the wait or record that stands directly before each."""
    lane = module["lane"]
    streams: Mask = np.append(module.device_lane, False)[lane]
    rows = np.flatnonzero(streams)
    rows = rows[np.argsort(lane[rows], kind="stable")]
    before, after = rows[:-1], rows[1:]
    held = (lane[before] == lane[after]) & module.is_kind("event.wait", "event.record")[before]
    return after[held], before[held]
