"""The edit that captures launches in graphs: one launch for all work between two waits of a thread."""

from __future__ import annotations

import attrs
import numpy as np

from traceir.ir import Array
from traceir_passes.replay import CODE
from traceir_passes.what_if.edited import Edited


@attrs.frozen(eq=False)
class _Regions:
    """Runs of launch calls of one thread with no wait between them: their first and last nodes, in order."""

    lane: int
    first: Array
    last: Array
    calls: int

    def at(self, nodes: Array) -> Array:
        """The region that each node lies in, from its first call's start to before its last one's end; -1 none."""
        at = np.searchsorted(self.first, nodes, side="right") - 1
        inside = (at >= 0) & (nodes < np.append(self.last, -1)[at])
        return np.where(inside, at, -1)


@attrs.frozen
class Costs:
    """What the trace may have nothing to measure by: the host's time for one graph launch in ns, and the gap inside."""

    graph_launch: int
    graph_gap: int | None


def remove(edited: Edited, costs: Costs) -> tuple[int, int]:
    """Replace launches by graph launches; how many launches, by how many graphs.

    What a thread does between the first and the last launch of a region is gone but for one graph launch. It costs
    what the trace's own graph launches cost (their median), else `costs` say. Work of a region follows as work of
    graphs does, with the trace's own gaps in graphs where it has any.
    """
    graph = edited.graph
    tight, typical = edited.tight(), _typical(edited, costs)
    replays = graph.module.is_kind("rt.graph_launch") & graph.module.live
    cost = int(np.median(graph.module["dur"][replays])) if replays.any() else costs.graph_launch
    calls = regions = 0
    for found in _regions(edited):
        chain = np.flatnonzero(edited.is_kind("host", "call") & (graph.lane[edited.src] == found.lane))
        inside = chain[found.at(edited.src[chain]) >= 0]
        edited.lag[inside] = np.where(np.isin(edited.src[inside], found.first), cost, 0)
        edited.residual[edited.dst[inside]] = 0
        _relaunch(edited, found, tight, typical)
        calls, regions = calls + found.calls, regions + len(found.first)
    order = np.lexsort((edited.src, edited.dst))
    for name in ("src", "dst", "lag", "kind", "of"):
        setattr(edited, name, getattr(edited, name)[order])
    return calls, regions


def _typical(edited: Edited, costs: Costs) -> tuple[int | None, int, int | None]:
    """Of a graph's inside, and else of queues, the lag and the median of what it leaves; a graph launch's latency.

    The lag is None where neither the trace nor `costs` know it, the latency where the trace has no graphs.
    """
    graph = edited.graph
    tight = edited.tight()
    starts = np.flatnonzero(~graph.end & (tight >= 0))
    by = edited.kind[tight[starts]]
    inside = starts[by == CODE["graph"]]
    queued = starts[by == CODE["queue"]]
    rest = inside if len(inside) else queued
    residual = int(np.median(edited.residual[rest])) if len(rest) else 0
    lag = int(edited.lag[tight[inside]].min()) if len(inside) else costs.graph_gap
    if not len(inside) and costs.graph_gap is not None:
        residual = 0
    replays = np.append(graph.module.is_kind("rt.graph_launch"), False)
    launched = edited.is_kind("launch") & replays[graph.row[edited.src]]
    return lag, residual, int(edited.lag[launched].min()) if launched.any() else None


def _regions(edited: Edited) -> list[_Regions]:
    """The regions of each thread: at least two calls that launch work, with no wait and no border of a step between."""
    graph = edited.graph
    module = graph.module
    launch = np.flatnonzero(edited.is_kind("launch"))
    replays = np.append(module.is_kind("rt.graph_launch"), False)
    waits = np.zeros(len(graph), bool)
    waits[edited.dst[edited.is_kind("sync")]] = True
    waits[graph.begin[(graph.begin >= 0) & module.is_kind("rt.sync", "rt.graph_launch")]] = True
    step = np.append(module.tree("steps").at("step"), -1) if module.has_tree("steps") else None
    out = []
    for lane in np.flatnonzero(~module.device_lane).tolist():
        mine = launch[graph.lane[edited.src[launch]] == lane]
        node, first = np.unique(edited.src[mine], return_index=True)
        of = edited.of[mine[first]]
        eager = ~replays[graph.row[node]]
        node, of = node[eager], of[eager]
        if len(node) < 2:
            continue
        before = np.searchsorted(np.flatnonzero(waits & (graph.lane == lane)), node)
        new = np.append(True, before[1:] != before[:-1])
        if step is not None:
            new[1:] |= step[of[1:]] != step[of[:-1]]
        begin = np.flatnonzero(new)
        last = np.append(begin[1:], len(node)) - 1
        keep = last > begin
        finish = graph.finish[graph.row[node[last[keep]]]]
        out.append(_Regions(lane, node[begin[keep]], finish, int((last - begin + 1)[keep].sum())))
    return out


def _relaunch(edited: Edited, found: _Regions, tight: Array, typical: tuple[int | None, int, int | None]) -> None:
    """Let a region's work follow from its first call, and from each other as in a graph."""
    graph, (inner, residual, latency) = edited.graph, typical
    launch = np.flatnonzero(edited.is_kind("launch") & (graph.lane[edited.src] == found.lane))
    region = found.at(edited.src[launch])
    launch, region = launch[region >= 0], region[region >= 0]
    start = edited.dst[launch]
    owner = np.full(len(graph), -1, np.int64)
    owner[start] = region
    edited.src[launch] = found.first[region]
    if latency is not None:
        edited.lag[launch] = latency
    late = start[(tight[start] >= 0)]
    bound = late[edited.kind[tight[late]] == CODE["launch"]]
    edited.residual[bound] = residual
    queue = np.flatnonzero(edited.is_kind("queue"))
    source = graph.begin[np.maximum(graph.row[edited.src[queue]], 0)]
    same = queue[(owner[edited.dst[queue]] >= 0) & (owner[edited.dst[queue]] == owner[source])]
    if inner is not None:
        edited.lag[same] = inner
        edited.residual[edited.dst[same]] = residual
    edited.kind[same] = CODE["graph"]
