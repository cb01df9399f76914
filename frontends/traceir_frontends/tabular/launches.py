"""Launch and sync edges by correlation, and what the findings need to know of them, for any table format."""

from __future__ import annotations

from typing import Final

import attrs
import numpy as np

from traceir.ir import NULL_I64, Array, Finding, Ints, Mask
from traceir.ir.kinds import work_kinds
from traceir_frontends.kineto import link
from traceir_frontends.kineto.classify import is_capture_border
from traceir_frontends.kineto.health import Facts, findings
from traceir_frontends.kineto.repair import Damage
from traceir_frontends.tabular.assembly import Assembly, Columns, matched, row_codes
from traceir_frontends.tabular.reading import joined

_SORTS: Final = {
    "rt.memcpy": 1, "dev.memcpy": 1, "rt.memset": 2, "dev.memset": 2,
    "rt.launch": 3, "dev.kernel": 3, "rt.graph_launch": 3, "dev.graph": 3,
}  # fmt: skip
"""Which calls fit which device work, where nothing better tells."""
_NONE: Final = np.empty(0, np.int64)


@attrs.define(eq=False)
class Joins:
    """Rows that edges may join, table by table: calls, device work, records of events and waits for them."""

    at: list[Ints] = attrs.field(factory=list)
    process: list[Ints] = attrs.field(factory=list)
    correlation: list[Ints] = attrs.field(factory=list)
    graph: list[Ints] = attrs.field(factory=list)

    def add(self, at: Ints, process: Ints, correlation: Ints, graph: Ints | None = None) -> None:
        """Add rows by their positions in the assembly (-1 is left out), with what their correlation is unique in."""
        kept = at >= 0
        self.at.append(at[kept])
        self.process.append(process[kept])
        self.correlation.append(correlation[kept])
        self.graph.append(np.full(int(kept.sum()), NULL_I64) if graph is None else graph[kept])


@attrs.frozen(eq=False)
class Waits:
    """Waits for events and records of events, by position, with the process and what names the event.

    `event` is the number of the event, `once` that of one recording of it (null where the file does not say). `lane`
    is the lane that a record lies on, `correlation` that of the call. `queued` says that a stream waits, not the host.
    """

    wait: Ints
    wait_keys: tuple[Ints, Ints, Ints, Ints]
    """Of each wait: process, event, recording, correlation."""
    queued: Mask
    record: Ints
    record_keys: tuple[Ints, Ints, Ints, Ints]


def add_edges(assembly: Assembly, joins: Joins, waits: Waits | None, damage: Damage, ranges: bool) -> list[Finding]:
    """Add launch and sync edges to the assembly; the findings about them and about the file. O(n log n)."""
    columns = assembly.columns()
    kinds = assembly.kind_list()
    rows, graph = _joined(assembly, columns, kinds, joins)
    on_device = np.array([lane.is_device for lane in assembly.lane_list()] + [False])
    work_of = rows.work
    wanted = work_of.copy()
    if waits is not None:
        queued = _marked(columns, waits.wait[waits.queued]) | _marked(columns, waits.record)
        wanted |= queued[rows.at] & on_device[rows.lane]
    found = link.link_launches(rows, wanted)
    assembly.edges("launch", rows.at[found.src], rows.at[found.dst])
    if waits is not None and len(waits.wait):
        _sync(assembly, columns, kinds, rows, found, waits)
    real = work_of[found.dst]
    launching = np.flatnonzero(rows.launching)
    captured = _captured(columns, assembly.spelled())
    at = rows.at
    facts = Facts(
        id=np.arange(len(columns)), ts=columns.ts, dur=columns.dur, lane=columns.lane,
        work=_marked(columns, at[work_of]), src=at[found.src[real]], dst=at[found.dst[real]],
        orphans=at[found.orphans[work_of[found.orphans]]], ambiguous=at[found.ambiguous[work_of[found.ambiguous]]],
        shared=at[found.shared[work_of[found.shared]]], launches=at[launching[~captured[at[launching]]]],
        kernel_launches=at[launching[_of(kinds, columns.kind[at[launching]], "rt.launch")]],
        graph_launches=at[launching[_of(kinds, columns.kind[at[launching]], "rt.graph_launch")]],
        graph=graph, open=np.flatnonzero(columns.open), ranges=ranges, has_flows=True, has_correlations=True,
    )  # fmt: skip
    return findings(facts, damage)


def _joined(assembly: Assembly, columns: Columns, kinds: list[str], joins: Joins) -> tuple[link.Joined, Ints]:
    """The rows that edges join, and for all events the number of their graph, -1 if they are of none."""
    at, process, correlation = joined(joins.at), joined(joins.process), joined(joins.correlation)
    known = correlation != NULL_I64
    code = np.full(len(at), NULL_I64)
    code[known] = row_codes([process[known], correlation[known]])
    codes, lane = columns.kind[at], columns.lane[at]
    names = assembly.spelled()
    single = np.array([text.startswith(("cuda", "cu", "hip")) and "Multi" not in text for text in names] + [False])
    graphs = joined(joins.graph)
    inside = np.flatnonzero((graphs != NULL_I64) & (graphs > 0))
    graph = np.full(len(columns), -1, np.int64)
    if len(inside):
        graph[at[inside]] = row_codes([process[inside], graphs[inside]])
    on_device = np.array([item.is_device for item in assembly.lane_list()] + [False])
    rows = link.Joined(
        at=at, correlation=code, external=np.full(len(at), NULL_I64), ts=columns.ts[at],
        end=columns.ts[at] + columns.dur[at], lane=lane, call=_of(kinds, codes, *(k for k in kinds if k[:3] == "rt.")),
        launching=_of(kinds, codes, *link.LAUNCHING),
        single=_of(kinds, codes, "rt.launch") & single[columns.name[at]],
        work=_of(kinds, codes, *work_kinds()) & on_device[lane],
        sort=np.array([_SORTS.get(kind, 0) for kind in kinds] + [0])[codes],
    )  # fmt: skip
    return rows, graph


def _sync(
    assembly: Assembly, columns: Columns, kinds: list[str], rows: link.Joined, found: link.Launches, waits: Waits
) -> None:
    """Into a wait: the record of its event, the call that recorded it, and the work launched last before that.

    Out of a host's wait: the call that it held up.
    """
    record = _record_of(waits)
    place = np.full(len(columns) + 1, -1, np.int64)
    place[rows.at] = np.arange(len(rows.at))
    mine = place[waits.wait]
    in_rows = mine >= 0
    record_at = np.where(record >= 0, np.append(waits.record, -1)[record], -1)
    assembly.edges("sync", record_at, waits.wait)
    known = in_rows & (record >= 0)
    record_row = place[record_at]
    recorded = np.where(known & (record_row >= 0), np.append(rows.correlation, NULL_I64)[record_row], -1)
    lane = np.where(known, columns.lane[np.maximum(record_at, 0)], -1)
    blocking = _of(kinds, columns.kind[rows.at], "rt.sync")
    src, dst = link.link_waits(rows, found, mine[in_rows], recorded[in_rows], lane[in_rows], blocking)
    assembly.edges("sync", rows.at[src], rows.at[dst])


def _record_of(waits: Waits) -> Ints:
    """For each wait the number of its record, -1 if the file has none: by the recording's own number where both have
    it, else the last of the same event that was recorded before (calls are numbered in order of time)."""
    out = np.full(len(waits.wait), -1, np.int64)
    if not len(waits.record):
        return out
    (process, event, once, call), (r_process, r_event, r_once, r_call) = waits.wait_keys, waits.record_keys
    source, target = matched([r_process, r_event, r_once], [process, event, once])
    out[target] = source
    left = np.flatnonzero((out < 0) & (event != NULL_I64) & (call != NULL_I64))
    usable = np.flatnonzero((r_event != NULL_I64) & (r_call != NULL_I64))
    if len(left) and len(usable):
        both = [np.concatenate([r_process[usable], process[left]]), np.concatenate([r_event[usable], event[left]])]
        group = row_codes(both)
        calls = np.concatenate([r_call[usable], call[left]])
        number = np.concatenate([usable, np.full(len(left), -1)])
        order = np.lexsort((number < 0, calls, group))
        seen = np.maximum.accumulate(np.where(number[order] >= 0, np.arange(len(order)), -1))
        same = (seen >= 0) & (group[order][np.maximum(seen, 0)] == group[order])
        is_wait = number[order] < 0
        out[left[order[is_wait] - len(usable)]] = np.where(same, number[order][np.maximum(seen, 0)], -1)[is_wait]
    return out


def _of(kinds: list[str], codes: Array, *wanted: str) -> Mask:
    return np.asarray(np.array([kind in wanted for kind in kinds] + [False])[codes])


def _marked(columns: Columns, at: Ints) -> Mask:
    out = np.zeros(len(columns), bool)
    out[at[at >= 0]] = True
    return out


def _captured(columns: Columns, names: list[str]) -> Mask:
    """Which events lie inside the capture of a graph: behind a call on their lane that begins one, before its end."""
    sign = np.array([is_capture_border(name) for name in names] + [0], np.int8)[columns.name]
    out = np.zeros(len(columns), bool)
    borders = np.flatnonzero(sign)
    for lane in np.unique(columns.lane[borders]).tolist():
        mine = borders[columns.lane[borders] == lane]
        mine = mine[np.argsort(columns.ts[mine], kind="stable")]
        rows = np.flatnonzero(columns.lane == lane)
        at = np.searchsorted(columns.ts[mine], columns.ts[rows], side="right") - 1
        out[rows] = np.where(at >= 0, sign[mine[np.maximum(at, 0)]] > 0, sign[mine[0]] < 0)
    return out
