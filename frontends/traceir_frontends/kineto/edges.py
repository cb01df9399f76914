"""All edges of a trace, as positions in the event columns, and what the findings need to know of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
import numpy as np

from traceir.ir import NULL_I64, Array, Ints, Mask
from traceir.ir.kinds import nesting_kinds, work_kinds
from traceir_frontends.kineto import link
from traceir_frontends.kineto.classify import LAUNCH_FLOWS, is_capture_border
from traceir_frontends.kineto.lanes import Lanes
from traceir_frontends.kineto.rows import Rows

if TYPE_CHECKING:
    from traceir_frontends.kineto.lower import Columns

_QUEUED_WAIT: Final = "Stream Wait Event"
"""The wait that a stream makes; all others of its category are waits of the host."""

_SORTS: Final = {
    "rt.memcpy": 1, "dev.memcpy": 1, "rt.memset": 2, "dev.memset": 2,
    "rt.launch": 3, "rt.graph_launch": 3, "dev.kernel": 3,
}  # fmt: skip
"""Which calls fit which device work, where nothing better tells."""


@attrs.frozen(eq=False)
class Edges:
    """The edge lists for the builder, and positions of what the findings count."""

    edges: list[tuple[str, Array, Array]]
    work: Mask
    src: Ints
    dst: Ints
    orphans: Ints
    ambiguous: Ints
    shared: Ints
    launches: Ints
    kernel_launches: Ints
    graph_launches: Ints


def find_edges(rows: Rows, columns: Columns, kinds: list[str], lanes: Lanes, names: list[str]) -> Edges:
    """Launch, sync and flow edges. O(n log n)."""
    joined = _joined(rows, columns, kinds, lanes, names)
    at = columns.join_at
    waits = _of_kind(kinds, columns.kind[at], "event.wait")
    queued = waits & (columns.name[at] == rows.names.get(_QUEUED_WAIT, -1))
    found = link.link_launches(joined, joined.work | (queued & _on_device(lanes, joined.lane)))
    made: list[tuple[str, Array, Array]] = [("launch", at[found.src], at[found.dst])]
    made.append(("sync", *_waits(columns, kinds, lanes, joined, found, np.flatnonzero(waits))))
    made.append(("flow", *_flows(rows, columns, kinds, lanes)))
    work = np.zeros(len(columns), bool)
    work[at[joined.work]] = True
    captured = _captured(columns, names)
    launching = np.flatnonzero(joined.launching)
    kernel, graph = (
        launching[_of_kind(kinds, columns.kind[at[launching]], kind)] for kind in ("rt.launch", "rt.graph_launch")
    )
    real = joined.work[found.dst]
    orphans, ambiguous, shared = (
        at[side[joined.work[side]]] for side in (found.orphans, found.ambiguous, found.shared)
    )
    return Edges(
        edges=[edge for edge in made if len(edge[1])],
        work=work,
        src=at[found.src[real]],
        dst=at[found.dst[real]],
        orphans=orphans,
        ambiguous=ambiguous,
        shared=shared,
        launches=at[launching[~captured[at[launching]]]],
        kernel_launches=at[kernel],
        graph_launches=at[graph],
    )


def _of_kind(kinds: list[str], codes: Array, *wanted: str) -> Mask:
    return np.asarray(np.array([kind in wanted for kind in kinds] + [False])[codes])


def _on_device(lanes: Lanes, lane: Array) -> Mask:
    return np.asarray(np.array([item.is_device for item in lanes.lanes] + [False])[lane])


def _joined(rows: Rows, columns: Columns, kinds: list[str], lanes: Lanes, names: list[str]) -> link.Joined:
    at = columns.join_at
    codes, lane = columns.kind[at], columns.lane[at]
    work = _of_kind(kinds, codes, *work_kinds()) & _on_device(lanes, lane)
    launching = _of_kind(kinds, codes, *link.LAUNCHING)
    correlation = columns.joins["correlation"].copy()
    without = (correlation == NULL_I64) & (work | launching)
    if without.any():
        _correlate(rows, columns, lanes, correlation, np.flatnonzero(without))
    return link.Joined(
        at=at, correlation=correlation, external=columns.joins["external"], ts=columns.ts[at],
        end=columns.ts[at] + columns.dur[at], lane=lane, launching=launching, work=work,
        single=_of_kind(kinds, codes, "rt.launch") & _single(names, columns.name[at]),
        sort=np.array([_SORTS.get(kind, 0) for kind in kinds] + [0])[codes],
        call=_of_kind(kinds, codes, *(kind for kind in kinds if kind.startswith("rt."))),
    )  # fmt: skip


def _single(names: list[str], codes: Array) -> Mask:
    """Which calls start one kernel: those of CUDA and HIP do, unless they launch on several devices."""
    table = np.zeros(len(names) + 1, bool)
    for code in np.unique(codes).tolist():
        table[code] = names[code].startswith(("cuda", "cu", "hip")) and "Multi" not in names[code]
    return np.asarray(table[codes])


def _correlate(rows: Rows, columns: Columns, lanes: Lanes, correlation: Ints, without: Ints) -> None:
    """Give rows that lost their arguments the id of the launch flow that begins or ends at their start."""
    point = {}
    keys = list(rows.keys)
    flow_key, flow_id, flow_ts = rows.flow_key.values, rows.flow_id.values, rows.flow_ts.values
    is_launch = np.array([key[0] in "sf" and key[1] in LAUNCH_FLOWS for key in keys] + [False])
    for row in np.flatnonzero(is_launch[flow_key]).tolist():
        ph, _, pid, tid = keys[flow_key[row]]
        lane = lanes.device(pid, tid) if ph == "f" else lanes.host(pid, tid)
        point[lane, int(flow_ts[row])] = int(flow_id[row])
    at = columns.join_at[without]
    places = zip(columns.lane[at].tolist(), columns.ts[at].tolist(), strict=True)
    correlation[without] = [point.get(place, NULL_I64) for place in places]


def _waits(
    columns: Columns, kinds: list[str], lanes: Lanes, joined: link.Joined, found: link.Launches, waits: Ints
) -> tuple[Ints, Ints]:
    """Sync edges into and out of event waits, as positions of the columns."""
    if not len(waits):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    streams = {(lane.device, lane.stream): at for at, lane in enumerate(lanes.lanes) if lane.is_device}
    devices = [lane.device for lane in lanes.lanes]
    on_stream = columns.joins["on_stream"][waits].tolist()
    lane = joined.lane[waits].tolist()
    waited = np.array(
        [streams.get((devices[one], stream), -1) for one, stream in zip(lane, on_stream, strict=True)], np.int64
    )
    blocking = _of_kind(kinds, columns.kind[columns.join_at], "rt.sync")
    src, dst = link.link_waits(joined, found, waits, columns.joins["on_record"][waits], waited, blocking)
    return columns.join_at[src], columns.join_at[dst]


def _flows(rows: Rows, columns: Columns, kinds: list[str], lanes: Lanes) -> tuple[Ints, Ints]:
    """Flow edges of all categories but the launch flows, which correlation tells better."""
    nothing = np.empty(0, np.int64), np.empty(0, np.int64)
    keys = list(rows.keys)
    wanted = np.array([key[0] in "stf" and key[1] not in LAUNCH_FLOWS for key in keys] + [False])
    key, id, ts = rows.flow_key.take(), rows.flow_id.take(), rows.flow_ts.take()
    chosen = wanted[key]
    if not chosen.any():
        return nothing
    key, id, ts = key[chosen], id[chosen], ts[chosen]
    order = np.argsort(ts, kind="stable")
    key, id, ts = key[order], id[order], ts[order]
    groups: dict[str | None, int] = {}
    place = [
        max(lanes.host(pid, tid), -1) if lanes.host(pid, tid) >= 0 else lanes.device(pid, tid)
        for _, _, pid, tid in keys
    ]
    group = np.array([groups.setdefault(cat, len(groups)) for _, cat, _, _ in keys])[key]
    phase = np.array([ph for ph, _, _, _ in keys])[key]
    lane = np.array(place)[key]
    on_lane = np.zeros(len(lanes.lanes) + 1, bool)
    on_lane[lane[lane >= 0]] = True
    hosts = _of_kind(kinds, columns.kind, *nesting_kinds(), *work_kinds())
    candidates = np.flatnonzero(hosts & on_lane[columns.lane])
    found = link.locate(columns.lane, columns.ts, columns.dur, candidates, lane, ts)
    return link.link_flows(group, id, phase != "f", phase != "s", found)


def _captured(columns: Columns, names: list[str]) -> Mask:
    """Which rows lie inside the capture of a graph: between the calls that begin and end it, on their thread."""
    sign = np.array([is_capture_border(name) for name in names] + [0], np.int8)[columns.name]
    out = np.zeros(len(columns), bool)
    borders = np.flatnonzero(sign)
    for lane in np.unique(columns.lane[borders]).tolist():
        mine = borders[columns.lane[borders] == lane]
        mine = mine[np.argsort(columns.ts[mine], kind="stable")]
        times = columns.ts[mine]
        rows = np.flatnonzero(columns.lane == lane)
        at = np.searchsorted(times, columns.ts[rows], side="right") - 1
        # after a begin, or before an end that is the first border of all
        out[rows] = np.where(at >= 0, sign[mine[np.maximum(at, 0)]] > 0, sign[mine[0]] < 0)
    return out
