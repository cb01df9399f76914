"""From a timeline's rows to a module: lanes, kinds, collectives and their parts, edges, findings."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, Final

import attrs
import numpy as np

from traceir.ir import NULL_I64, Array, Finding, Ints, Mask, Module, ModuleBuilder, Source, Strings
from traceir.ir.kinds import work_kinds
from traceir_frontends.ascend import links
from traceir_frontends.ascend.dialect import call_kind, host_kind, part_kind, rank_of_call, task_kind
from traceir_frontends.ascend.findings import findings
from traceir_frontends.ascend.lanes import Lanes, Role, find_lanes
from traceir_frontends.ascend.rows import NUMBERS, Codes, Key, Rows
from traceir_frontends.ascend.tables import Beside
from traceir_frontends.kineto.link import link_flows, locate
from traceir_frontends.tabular import distinct_rows, matched

SLACK_NS: Final = 2
_COLUMNS: Final = ("id", "key", "name", "ts", "dur", "offset", "length", "type")
_CALL: Final = re.compile(r"(AscendCL|Node|Runtime|Hccl|Model)@")
_HOST: Final[frozenset[Role]] = frozenset({"host", "calls"})


@attrs.define(eq=False)
class Events:
    """The columns of the events, in the order of the file; times are Unix ns."""

    id: Ints
    key: Array
    name: Array
    ts: Ints
    dur: Ints
    offset: Ints
    length: Ints
    type: Array
    joins: dict[str, Ints]
    lane: Array = attrs.field(factory=lambda: np.empty(0, np.int32))
    kind: Array = attrs.field(factory=lambda: np.empty(0, np.uint16))

    def __len__(self) -> int:
        return len(self.ts)

    def some(self, mask: Mask) -> links.Some:
        """The chosen events, for the rules that join them."""
        at = np.flatnonzero(mask)
        ts = self.ts[at]
        return links.Some(at, ts, ts + self.dur[at], links.known(self.joins["connection"][at]))


@attrs.define(eq=False)
class Lowered:
    """What `lower` works on."""

    rows: Rows
    events: Events
    lanes: Lanes
    names: list[str]
    kinds: Codes = attrs.field(factory=Codes)

    def of_role(self, *roles: Role) -> Mask:
        """Which events have one of these roles."""
        chosen = np.array([role in roles for role in self.lanes.roles] + [False])
        return np.asarray(chosen[self.events.key])

    def of_kind(self, *kinds: str) -> Mask:
        """Which events are of one of these kinds."""
        return np.asarray(np.isin(self.events.kind, [self.kinds[kind] for kind in kinds]))


def lower(
    path: str, rows: Rows, source: Source, meta: Mapping[str, Any], extra: list[Finding], beside: Beside
) -> Module:
    """The module of the rows read, which are taken apart. O(n log n)."""
    joins = {name: rows.take(name) for name in NUMBERS}
    columns = {name: rows.take(name) for name in _COLUMNS}
    events = Events(**columns, joins=joins)
    names = list(rows.names)
    lanes = find_lanes(rows, events.key, events.name, events.type, joins["part_stream"] != NULL_I64)
    events.lane = lanes.lane.copy()
    work = Lowered(rows, events, lanes, names)
    _kinds(work)
    part = _collectives(work)
    edges = _edges(work, part)
    tasks = np.flatnonzero(work.of_role("device", "comm") & ~part)
    extra = extra + beside.join(rows.names, events.name[tasks], events.ts[tasks], events.offset[tasks])
    origin = int(events.ts.min()) if len(events) else 0
    events.ts = events.ts - origin
    found = findings(rows.damage, _health(work, edges, part)) + extra
    used, stood = np.unique(events.kind), np.unique(events.lane)
    return ModuleBuilder(
        name="stdin" if path == "-" else os.path.basename(path),
        strings=Strings(names),
        lanes=[lanes.lanes[at] for at in stood.tolist()],
        kinds=[list(work.kinds)[code] for code in used.tolist()],
        id=events.id,
        kind=np.searchsorted(used, events.kind).astype(np.uint16),
        name_code=events.name,
        ts=events.ts,
        dur=events.dur,
        lane=np.searchsorted(stood, events.lane).astype(np.int32),
        offset=events.offset,
        length=events.length,
        edges=[(kind, *pair) for kind, pair in edges.items() if len(pair[0])],
        meta={
            "origin_ns": origin if len(events) else None,
            "vendor": "ascend",
            "processes": {str(pid): item.name for pid, item in rows.processes.items() if item.name},
            **meta,
        },
        health=found,
        source=source,
        slack_ns=SLACK_NS,
        consume=True,
    ).build()


# --- kinds -----------------------------------------------------------------------------------------------------------


def _kinds(work: Lowered) -> None:
    """The kind of each event by its key, name and task type: each combination that occurs is looked at once."""
    events, keys, types = work.events, list(work.rows.keys), list(work.rows.types)
    distinct, inverse = distinct_rows([events.key, events.name, events.type])
    table = [
        work.kinds[_kind(keys[key], work.lanes.roles[key], work.lanes.parts[key], work.names[name], types[of])]
        for key, name, of in distinct
    ]
    events.kind = np.array(table, np.uint16)[inverse] if table else np.empty(0, np.uint16)


def _kind(key: Key, role: Role, part: bool, name: str, task_type: str) -> str:
    phase, category, _, _ = key
    if phase == "C":
        return "ctr.sample"
    if phase != "X":
        return "mark.instant"
    if role in _HOST:
        return call_kind(name) if role == "calls" or _CALL.match(name) else host_kind(category, name)
    if role == "device":
        return task_kind(name, task_type)
    if role == "comm":
        return part_kind(name) if part else "dev.kernel"
    return "npu.analysis"


def _collectives(work: Lowered) -> Mask:
    """Mark what is a part of a collective, and lay collectives on the stream that ran them; which events are parts."""
    events = work.events
    comm = work.of_role("comm")
    plane: Mask = np.array([*work.lanes.parts, False])[events.key]
    ops, tasks = events.some(comm & ~plane), events.some(work.of_role("device"))
    part = links.parts_of(ops, tasks)
    lanes = links.lanes_of(ops, tasks, part, events.lane[tasks.at], events.lane[ops.at])
    out: Mask = comm & plane
    out[tasks.at[(part >= 0) | _twins(events, np.flatnonzero(out), tasks.at)]] = True
    events.lane[ops.at] = lanes
    waits = work.of_kind("event.wait", "event.record")
    events.kind[out & ~waits] = work.kinds["npu.part"]
    return out


def _twins(events: Events, planes: Ints, tasks: Ints) -> Mask:
    """Which tasks stand on a plane too: of one stream and task, and at one time."""
    mine = [events.joins["stream"][tasks], events.joins["task"][tasks], events.ts[tasks]]
    theirs = [events.joins["part_stream"][planes], events.joins["part_task"][planes], events.ts[planes]]
    out = np.zeros(len(tasks), bool)
    if len(planes) and len(tasks):
        out[matched(theirs, mine)[1]] = True
    return out


# --- edges -----------------------------------------------------------------------------------------------------------


def _edges(work: Lowered, part: Mask) -> dict[str, tuple[Ints, Ints]]:
    """All edges. A launch is known by its connection, else by the flow from a call of CANN (older versions number
    calls and tasks apart), else by that from the framework's operator, else by that from whatever the host did.
    Operators are joined with the calls that launched for them."""
    events, size = work.events, len(work.events)
    calls = work.of_role("calls") | work.of_kind("rt.launch")
    ranks = np.array([rank_of_call(name) for name in work.names] + [0], np.int64)
    called_mask = calls & work.of_role("calls", "host")
    called = events.some(called_mask)
    started = ~part & work.of_kind(*work_kinds(), "event.wait", "event.record", "npu.task")
    targets = events.some(started & work.of_role("device", "comm"))
    by_connection = links.launches(called, ranks[events.name[called.at]], targets)
    flows = _flows(work)
    empty = np.empty(0, np.int64)
    by_operator, by_host = flows.pop("async_npu", (empty, empty)), flows.pop("HostToDevice", (empty, empty))
    keep = np.zeros(size, bool)
    keep[targets.at] = True
    host = work.of_role("host", "calls") & ~work.of_kind("mark.instant")
    by_operator, by_host = (_only(pair, host[pair[0]] & keep[pair[1]]) for pair in (by_operator, by_host))
    by_call = _only(by_host, called_mask[by_host[0]])
    launched = by_connection
    for pairs in (by_call, by_operator, by_host):
        launched = links.joined(launched, links.without(pairs, launched[1], size))
    of_calls = _only(launched, called_mask[launched[0]])
    queue = flows.pop("async_task_queue", (empty, empty))
    queue = _only(
        queue, host[queue[0]] & work.of_kind(*(kind for kind in work.kinds if kind.startswith("rt.")))[queue[1]]
    )
    return {
        "launch": launched,
        "enqueue": links.joined(queue, links.chained(by_operator, of_calls, size)),
        "flow": links.joined(*flows.values()),
    }


def _only(pair: tuple[Ints, Ints], mask: Mask) -> tuple[Ints, Ints]:
    """The chosen pairs."""
    return pair[0][mask], pair[1][mask]


def _flows(work: Lowered) -> dict[str, tuple[Ints, Ints]]:
    """The pairs of events that the flows of each category join."""
    rows, events, keys = work.rows, work.events, list(work.rows.keys)
    key, ts, id = (rows.take(f"flow_{name}") for name in ("key", "ts", "id"))
    if not len(key):
        return {}
    order = np.argsort(ts, kind="stable")
    key, ts, id = key[order], ts[order], id[order]
    own = work.lanes.lane  # where rows stood before collectives were laid on their streams
    place = np.array([work.lanes.of(code) for code in range(len(keys))], np.int64)[key]
    candidates = np.flatnonzero(work.of_role("host", "calls", "device", "comm") & ~work.of_kind("ctr.sample"))
    phase = np.array([item[0] for item in keys])[key]
    found = locate(own, events.ts, events.dur, candidates, place, ts)
    out = {}
    categories = np.array([item[1] or "" for item in keys])[key]
    for category in np.unique(categories).tolist():
        mine = np.flatnonzero(categories == category)
        mine = mine[_begin_first(id[mine], phase[mine] == "s")]
        group = np.zeros(len(mine), np.int64)
        out[category] = link_flows(group, id[mine], phase[mine] != "f", phase[mine] != "s", found[mine])
    return out


def _begin_first(id: Ints, begins: Mask) -> Ints:
    """The order of points, given by time, in which the only beginning of an id goes before its ends.

    Clocks of host and device disagree by some microseconds, so an end may seem to come before its beginning.
    """
    number = np.unique(id, return_inverse=True)[1].reshape(-1)
    once = np.bincount(number[begins], minlength=int(number.max()) + 1 if len(number) else 0) == 1
    return np.lexsort((np.arange(len(id)), ~(begins & once[number])))


def _health(work: Lowered, edges: Mapping[str, tuple[Ints, Ints]], part: Mask) -> dict[str, Any]:
    """What the findings are made from."""
    events = work.events
    mask = work.of_kind(*work_kinds()) & np.array(
        [lane.is_device for lane in work.lanes.lanes] + [False]
    )[events.lane]  # fmt: skip
    source, target = edges["launch"]
    return {
        "id": events.id, "ts": events.ts, "dur": events.dur, "lane": events.lane, "work": mask,
        "src": source[mask[target]], "dst": target[mask[target]], "waits": work.of_kind("event.wait") & ~part,
        "has_calls": bool(work.of_role("calls").any()), "kind": events.kind,
    }  # fmt: skip
