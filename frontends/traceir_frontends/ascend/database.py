"""From a database to a module: threads, devices, counters, edges, findings."""

from __future__ import annotations

import os
from typing import Any, Final

import numpy as np

from traceir.ir import NULL_I64, Array, Finding, Ints, Lane, Module
from traceir.ir.kinds import work_kinds
from traceir_frontends.ascend import schema
from traceir_frontends.ascend.decoding import Decoder
from traceir_frontends.ascend.devices import add_devices
from traceir_frontends.ascend.dialect import LEVELS, STEP, call_kind
from traceir_frontends.ascend.findings import findings
from traceir_frontends.ascend.joins import find_edges
from traceir_frontends.ascend.lanes import counter_lane
from traceir_frontends.ascend.reading import Reading, marked
from traceir_frontends.ascend.text import SLACK_NS
from traceir_frontends.kineto.repair import Damage
from traceir_frontends.tabular import Assembly, Database, Rows, TableSource, add_rows, distinct_rows, file_findings

_THREAD: Final = 0xFFFFFFFF


def lower(path: str, database: Database, decoder: Decoder, meta: dict[str, Any], found: list[Finding]) -> Module:
    """The module of a database; InputError if it holds no event. O(n log n)."""
    reading = Reading(database, Assembly(path), decoder)
    _hosts(reading)
    add_devices(reading)
    _counters(reading)
    edges = find_edges(reading)
    for kind, pair in edges.items():
        reading.assembly.edges(kind, *pair)
    reading.assembly.health = _health(reading, edges["launch"]) + found
    known = {"vendor": "ascend", **meta, **_about(database)}
    source = TableSource(path, "ascend", decoder)
    return reading.assembly.build(source, known, 0, os.path.basename(path), SLACK_NS)


# --- hosts -----------------------------------------------------------------------------------------------------------


def _hosts(reading: Reading) -> None:
    framework = reading.read(schema.PYTORCH)
    calls = reading.read(schema.CALLS)
    ranges = reading.read(schema.RANGES)
    for rows in (framework, calls):
        if rows is not None and reading.process is None:
            known = rows.key("thread")[rows.key("thread") != NULL_I64]
            reading.process = int(known[0] >> 32) if len(known) else None
    if framework is not None:
        step = reading.kinds([framework.name], lambda name: "mark.step" if STEP.match(name) else "host.op")
        framework.kind = np.where(step == reading.assembly.kind("mark.step"), step, framework.kind)
    if calls is not None:
        calls.name = _level_names(reading, calls)
        calls.kind = reading.kinds([calls.name], call_kind)
    stepped = framework is not None and bool((framework.kind == reading.assembly.kind("mark.step")).any())
    for rows in (framework, calls, ranges):
        if rows is not None:
            add_rows(reading.assembly, rows, _threads(reading, rows))
    if not stepped:
        _steps(reading)


def _threads(reading: Reading, rows: Rows) -> Array:
    """The lane of each row's thread; the framework's threads and CANN's are the same by their numbers."""

    def make(thread: int) -> Lane:
        tid = None if thread < 0 else thread
        word = "main" if tid is not None and tid == reading.process else str(tid)
        return Lane(
            f"cpu.{word}", "host.thread", pid=reading.process, tid=tid, label="" if tid is None else f"Thread {tid}"
        )

    thread = rows.key("thread")
    return reading.assembly.lanes([np.where(thread == NULL_I64, -1, thread & _THREAD)], make)


def _level_names(reading: Reading, calls: Rows) -> Array:
    """Names of calls as the text export has them, with the level before them: `Node@launch`."""
    types = calls.key("type")
    distinct, inverse = distinct_rows([types, calls.name])
    spelled = reading.assembly.spelled()
    made = [
        reading.assembly.text(f"{LEVELS[level]}@{spelled[code]}" if level in LEVELS else spelled[code])
        for level, code in distinct
    ]
    return np.array(made, np.int32)[inverse]


def _steps(reading: Reading) -> None:
    """Steps from their own table, where the framework's rows do not hold them."""
    frame = reading.database.read("STEP_TIME", ("id", "startNs", "endNs"))
    if not len(frame):
        return
    names = reading.assembly.texts([f"ProfilerStep#{number}" for number in frame.ints("id").tolist()])
    lane = reading.assembly.lane(Lane("cpu.main", "host.thread", pid=reading.process, tid=reading.process))
    reading.assembly.add(
        "mark.step", names, frame.ints("startNs"), frame.ints("endNs"), np.full(len(frame), lane, np.int32),
        table=frame.number, rows=frame.rows,
    )  # fmt: skip


def _counters(reading: Reading) -> None:
    for counter in schema.COUNTERS:
        frame = reading.database.read(counter.table, (counter.time, "deviceId", counter.value, *counter.fills))
        if not len(frame) or counter.value not in frame:
            continue
        device = frame.ints("deviceId")

        def make(number: int, *fills: int, counter: schema.Counter = counter) -> Lane:
            words = [
                _spelled(reading.decoder.texts.get(fill)) if column in counter.texts else str(fill)
                for column, fill in zip(counter.fills, fills, strict=True)
            ]
            return counter_lane(counter.process, counter.name.format(*words), None if number == NULL_I64 else number)

        keys = [device, *(frame.ints(column) for column in counter.fills)]
        lane = reading.assembly.lanes(keys, make)
        numbers, inverse = np.unique(lane, return_inverse=True)
        known = reading.assembly.lane_list()
        names = reading.assembly.texts([known[number].label for number in numbers.tolist()])[inverse.reshape(-1)]
        start = frame.ints(counter.time)
        reading.assembly.add("ctr.sample", names, start, start, lane, table=frame.number, rows=frame.rows)


def _spelled(word: str | None) -> str:
    return "?" if not word else schema.SPELLED.get(word, word[:1].upper() + word[1:])


# --- what the file says of itself ------------------------------------------------------------------------------------


def _health(reading: Reading, launched: tuple[Ints, Ints]) -> list[Finding]:
    database, columns = reading.database, reading.assembly.columns()
    gone = [table for table in schema.FORMAT.tables if table.matters and table.names[0] not in reading.found]
    kinds = np.array(reading.assembly.kind_list())
    work = np.isin(columns.kind, np.flatnonzero(np.isin(kinds, list(work_kinds()))))
    source, target = launched
    parts = marked(np.concatenate([np.empty(0, np.int64), *reading.parts]), len(columns))
    waits = np.isin(columns.kind, np.flatnonzero(kinds == "event.wait")) & ~parts
    damage = Damage(dict(reading.assembly.repaired), dict(reading.assembly.first))
    origin = int(columns.ts.min())
    facts = {
        "id": np.arange(len(columns)), "ts": columns.ts - origin, "dur": columns.dur, "lane": columns.lane,
        "work": work, "src": source[work[target]], "dst": target[work[target]], "waits": waits,
        "has_calls": "CANN_API" in reading.found,
    }  # fmt: skip
    return file_findings(database, schema.FORMAT, gone, len(reading.decoder.texts.ids) > 0) + findings(damage, facts)


def _about(database: Database) -> dict[str, Any]:
    """Rank, device's name, host and version of the schema."""
    ranks = database.read("RANK_DEVICE_MAP", ("rankId",)).ints("rankId")
    names, hosts = database.read("NPU_INFO", ("name",)).texts("name"), database.read("HOST_INFO", ("hostName",))
    meta = database.read("META_DATA", ("name", "value"))
    told = dict(zip(meta.texts("name"), meta.texts("value"), strict=True))
    out = {
        "rank": int(ranks[0]) if len(ranks) == 1 and ranks[0] >= 0 else None,
        "device_name": names[0] if names else None,
        "host": next(iter(hosts.texts("hostName")), None),
        "schema": told.get("SCHEMA_VERSION"),
    }
    return {key: value for key, value in out.items() if value is not None}
