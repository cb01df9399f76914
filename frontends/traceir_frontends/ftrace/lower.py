"""From rows to a module: lanes of threads and CPUs, events, flows from wake-ups, findings."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from traceir.errors import InputError
from traceir.ir import Array, Finding, Ints, Lane, Module, ModuleBuilder, Strings
from traceir.ir.kinds import nesting_kinds
from traceir.ir.nesting import nest
from traceir_frontends.ftrace.fields import decode
from traceir_frontends.ftrace.health import clockless, findings, ticks
from traceir_frontends.ftrace.ranges import Work, find_ranges, gather
from traceir_frontends.ftrace.read import MARK, Reading, text_of
from traceir_frontends.lines import LineSource, LineText, Pairs

_ODD: Final = re.compile(r"[^A-Za-z0-9_.:-]+")
_SYNC: Final = re.compile(rb"trace_event_clock_sync: realtime_ts=(?P<ms>\d{1,15})")
_SLACK: Final = 1000
"""Starts are cut to whole microseconds while durations of functions are exact, so that ends are off by up to this."""


_Event = tuple[int, int, str, str, Lane, int, int, int]
"""Start, length, kind, name, lane, offset and length in the text, and the place that gives the event's id."""


def lower(path: str, reading: Reading, text: LineText) -> Module:
    """The module of what was read; InputError if there is no event. O(n log n)."""
    reading.graph.finish()
    if not reading.ts and not reading.graph.start:
        raise InputError(
            f"The input {path} holds no event of ftrace; name a file that `trace`, `trace_pipe` or `trace-cmd report` "
            "gave."
        )
    work = gather(reading)
    find_ranges(work)
    lanes = _Lanes(reading)
    events: list[_Event] = []
    row_at, starts, lengths = {}, work.ts.tolist(), work.dur.tolist()
    for row in np.flatnonzero(work.keep).tolist():
        row_at[row] = len(events)
        at, lane = reading.offset[row], lanes.of_row(work, row)
        events.append((starts[row], lengths[row], work.kind[row], work.name[row], lane, at, reading.length[row], at))
    for start, dur, name, cpu, offset, length in work.extra:
        # an extra event's id comes after all others: its line is another event's already
        events.append((start, dur, "os.sched", name, lanes.cpu(cpu), offset, length, (1 << 62) + len(events)))
    _functions(reading, events, lanes)
    places = np.array([event[-1] for event in events], np.int64)
    ids = np.argsort(np.argsort(places, kind="stable"), kind="stable")
    edges = [(row_at[one], row_at[other]) for one, other in work.edges if one in row_at and other in row_at]
    return _module(path, reading, work, events, ids, edges, text)


def _functions(reading: Reading, events: list[_Event], lanes: _Lanes) -> None:
    graph = reading.graph
    for row in range(len(graph.start)):
        lane = lanes.cpu(graph.cpu[row]) if graph.irq[row] else lanes.owner(graph.key[row], graph.cpu[row])
        kind = "os.irq" if graph.irq[row] else "os.function"
        offset, length = graph.offset[row], graph.length[row]
        name = text_of(graph.name[row])
        events.append((graph.start[row], graph.dur[row], kind, name, lane, offset, length, offset))


class _Lanes:
    """The lanes, made when first asked for."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._threads = list(reading.threads)
        self._made: dict[tuple[str, str], Lane] = {}
        self._names: set[str] = set()

    def of_row(self, work: Work, row: int) -> Lane:
        """The lane of an event line."""
        special = work.lane.get(row)
        if special is not None:
            kind, name, pid = special
            return self._once((name, pid), lambda: Lane(_ODD.sub("_", name), kind, pid=_number(pid)))  # type: ignore[arg-type]
        if work.on_cpu[row]:
            return self.cpu(int(work.cpu[row]))
        return self.owner(self._threads[int(work.thread[row])], int(work.cpu[row]))

    def cpu(self, number: int) -> Lane:
        """The lane of a CPU."""
        return self._once(("cpu", str(number)), lambda: Lane(f"os.cpu{number}", "os.cpu"))

    def owner(self, key: bytes, cpu: int) -> Lane:
        """The lane of a thread; of what no thread is known for, and of the idle task, that of the CPU."""
        if key[:4] == b"cpu:" or key[:2] == b"0:" or not key:
            return self.cpu(cpu)
        comm = self._reading.comms.get(key) or self._reading.graph.comms.get(key) or b""
        group = self._reading.tgids.get(key)
        tid = int(key)
        pid = int(group) if group else None
        label = text_of(comm.strip())
        return self._once(("t", str(tid)), lambda: Lane(f"cpu.t{tid}", "host.thread", pid=pid, tid=tid, label=label))

    def _once(self, key: tuple[str, str], make: Any) -> Lane:
        if key not in self._made:
            lane: Lane = make()
            self._made[key] = lane
        return self._made[key]


def _number(text: str) -> int | str | None:
    return int(text) if text.isdecimal() and len(text) < 19 else text or None


def _module(
    path: str,
    reading: Reading,
    work: Work,
    events: list[_Event],
    ids: Ints,
    edges: list[tuple[int, int]],
    text: LineText,
) -> Module:
    starts, durs, kind, name, lane, offset, length, _ = zip(*events, strict=True)
    names, kinds = list(dict.fromkeys(name)), list(dict.fromkeys(kind))
    code = {text: at for at, text in enumerate(names)}
    kind_code = {text: at for at, text in enumerate(kinds)}
    order = {"host.thread": 0, "os.cpu": 1}
    lanes = sorted({id(one): one for one in lane}.values(), key=lambda one: (order.get(one.kind, 2), _by(one)))
    number = {id(one): at for at, one in enumerate(lanes)}
    ts, dur = np.array(starts, np.int64), np.array(durs, np.int64)
    first = int(ts.min())
    source, target = (np.array(side, np.int64) for side in (zip(*edges, strict=True) if edges else ((), ())))
    health = findings(reading, work, text, ts, dur, _id_of(work, events, ids))
    place = np.array([number[id(one)] for one in lane], np.int32)
    pairs = pairs_of(reading, work)
    parent = None if reading.graph.start else _parents(work, kind, place, ts, dur, health)
    return ModuleBuilder(
        name="stdin" if path == "-" else os.path.basename(path),
        strings=Strings(names),
        lanes=lanes,
        kinds=kinds,
        id=ids,
        kind=np.array([kind_code[text] for text in kind], np.uint16),
        name_code=np.array([code[text] for text in name], np.int32),
        ts=ts - first,
        dur=dur,
        lane=place,
        offset=np.array(offset, np.int64),
        length=np.array(length, np.int32),
        parent=parent,
        edges=[("flow", source, target)] if edges else [],
        meta=_meta(reading, first),
        health=health,
        source=LineSource(text, "ftrace", decode, lambda: pairs),
        slack_ns=_SLACK if reading.graph.clocked else 0,
    ).build()


def _parents(work: Work, kind: Sequence[str], lane: Array, ts: Ints, dur: Ints, health: list[Finding]) -> Array:
    """The event that encloses each one: by the order of lines, since many times are equal in whole microseconds.

    Only for texts without a function graph, whose ends have lines of their own only where something is inside.
    """
    rows = np.flatnonzero(work.keep)
    order = np.argsort(work.ts, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    last = np.searchsorted(work.ts[order], work.ts[rows] + work.dur[rows], "right")
    ends = np.where(work.end[rows] >= 0, rank[work.end[rows]], np.where(work.dur[rows] > 0, last, rank[rows]))
    nests = np.flatnonzero(np.isin(np.array(kind[: len(rows)]), sorted(nesting_kinds())))
    found = nest(lane[nests], rank[rows][nests], (ends - rank[rows])[nests])
    parent = np.full(len(ts), -1, np.int64)
    parent[nests] = np.where(found.parent >= 0, nests[found.parent], -1)
    if found.crossing:
        message = (
            f"{found.crossing} ranges overlap another of their thread without nesting; self times are off by as much."
        )
        health.append(Finding("nesting_broken", "info", found.crossing, message))
    return parent


def _by(lane: Lane) -> tuple[int, str]:
    digits = re.search(r"(\d+)\Z", lane.name)
    return (int(digits[1]) if digits and lane.kind == "os.cpu" else 0), "" if lane.kind == "host.thread" else lane.name


def _id_of(work: Work, events: list[_Event], ids: Ints) -> int | None:
    """The id of the first event that is open."""
    if work.first_open is None:
        return None
    place = work.reading.offset[work.first_open]
    return next((int(ids[at]) for at, event in enumerate(events) if event[-1] == place), None)


def pairs_of(reading: Reading, work: Work) -> Pairs:
    """Where the lines lie that end events, sorted by where these begin."""
    begins = np.flatnonzero(work.end >= 0)
    offset, length = np.array(reading.offset, np.int64), np.array(reading.length, np.int64)
    graph = reading.graph
    closed = [row for row, end in enumerate(graph.end_offset) if end >= 0]
    start = np.concatenate([offset[begins], np.array([graph.offset[row] for row in closed], np.int64)])
    end = np.concatenate([offset[work.end[begins]], np.array([graph.end_offset[row] for row in closed], np.int64)])
    size = np.concatenate([length[work.end[begins]], np.array([graph.end_length[row] for row in closed], np.int64)])
    order = np.argsort(start, kind="stable")
    return start[order], end[order], size[order]


def _meta(reading: Reading, first: int) -> dict[str, Any]:
    """What the file says of itself; `clock_start_ns` is instant 0 on its own clock."""
    clock = "ticks" if ticks(reading) else "none" if clockless(reading) else "relative" if reading.relative else "boot"
    cpus = len(set(reading.cpu) | set(reading.graph.cpu))
    tracer = {"tracer": reading.tracer} if reading.tracer else {}
    return {
        "origin_ns": None,
        **tracer,
        **_realtime(reading, first),
        "trace_clock": clock,
        "clock_start_ns": first,
        "cpus": cpus,
    }


def _realtime(reading: Reading, first: int) -> dict[str, int]:
    """What the time of day was at one event, where a tool wrote it (atrace, perfetto): exact to a millisecond only."""
    for row, (_, body) in reading.bodies.items():
        found = _SYNC.search(body) if reading.kind[row] == MARK else None
        if found is not None:
            return {"realtime_ms": int(found["ms"]), "realtime_at_ns": reading.ts[row] - first}
    return {}
