"""Slack: how much later an event could have begun without the last end coming later."""

from __future__ import annotations

from typing import Final

import numpy as np

from traceir.ir import NULL_I64, Ints
from traceir.ir.kinds import nesting_kinds
from traceir_passes.replay.graph import Graph, latest

FOREVER: Final = int(np.iinfo(np.int64).max)


def slack_of(graph: Graph) -> Ints:
    """For each event by how many ns its start could be later with the span's end where it is, all lags as observed.

    Null where nothing that ends the span follows from it, and for events of no thread or stream of the graph. A host
    event that is no node has the slack of the next instant of its thread: until then the thread's time is fixed.
    O(n log n).
    """
    module = graph.module
    out = np.full(len(module), NULL_I64)
    if not len(graph) or not graph.sink.any():
        return out
    end = int(graph.time[graph.sink].max())
    late = latest(graph, graph.src, graph.dst, graph.lag, graph.residual, end)
    slack = np.where(late == FOREVER, NULL_I64, late - np.where(late == FOREVER, 0, graph.time))
    nested = np.flatnonzero(module.live & module.is_kind(*nesting_kinds()) & (graph.begin < 0))
    for lane in np.flatnonzero(~module.device_lane).tolist():
        nodes = np.flatnonzero(graph.lane == lane)
        mine = nested[module["lane"][nested] == lane]
        at = np.searchsorted(graph.time[nodes], module["ts"][mine], side="left")
        out[mine] = np.append(slack[nodes], NULL_I64)[at]
    known = np.flatnonzero(graph.begin >= 0)
    out[known] = slack[graph.begin[known]]
    return out
