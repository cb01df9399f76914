"""From what was read to a module: columns, kinds, lanes, and then edges, findings and metadata."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

import attrs
import numpy as np

from traceir.ir import Array, Ints, Module, ModuleBuilder, Source, Strings
from traceir_frontends.kineto.classify import BY_NAME
from traceir_frontends.kineto.edges import Edges, find_edges
from traceir_frontends.kineto.health import Facts, findings
from traceir_frontends.kineto.lanes import Lanes, find_lanes
from traceir_frontends.kineto.pairs import pair_rows
from traceir_frontends.kineto.rows import JOINS, Codes, Rows

EPOCH_FROM: Final = 10**18
"""Instants from here on (the year 2001, in ns) are Unix time even where the file does not say so: any other clock
would have to have run for 31 years."""
_INTEGER_SLACK: Final = 1000
_SLACK: Final = 2
_COLUMNS: Final = ("id", "key", "name", "ts", "dur", "offset", "length")


@attrs.define(eq=False)
class Columns:
    """The event columns in the order of the file, begin and end rows made one, and the rows that joins know."""

    id: Ints
    key: Array
    name: Array
    ts: Ints
    dur: Ints
    offset: Ints
    length: Array
    join_at: Ints
    joins: dict[str, Ints]
    memory_at: Ints
    memory_bytes: Ints
    open: Ints
    kind: Array = attrs.field(factory=lambda: np.empty(0, np.uint16))
    lane: Array = attrs.field(factory=lambda: np.empty(0, np.int32))

    def __len__(self) -> int:
        return len(self.ts)


def lower(path: str, rows: Rows, metadata: Mapping[str, Any], source: Source) -> Module:
    """The module of the rows read; takes them apart. O(n log n)."""
    columns = take(rows)
    names = list(rows.names)
    lanes, columns.lane = find_lanes(rows, columns.key, columns.name)
    kinds, columns.kind = find_kinds(rows, columns, names)
    origin = int(columns.ts.min()) if len(columns) else 0
    columns.ts -= origin
    rows.flow_ts.values[:] -= origin
    edges = find_edges(rows, columns, kinds, lanes, names)
    found = findings(_facts(rows, columns, kinds, lanes, edges), rows.damage)
    meta = _meta(rows, metadata, origin, len(columns), names)
    builder = ModuleBuilder(
        name="stdin" if path == "-" else os.path.basename(path),
        strings=Strings(names),
        lanes=lanes.lanes,
        kinds=kinds,
        id=columns.id,
        kind=columns.kind,
        name_code=columns.name,
        ts=columns.ts,
        dur=columns.dur,
        lane=columns.lane,
        offset=columns.offset,
        length=columns.length,
        edges=edges.edges,
        meta=meta,
        health=found,
        source=source,
        slack_ns=_INTEGER_SLACK if any(item.code == "integer_us" for item in found) else _SLACK,
        consume=True,
    )
    del columns  # the builder is now all that holds the arrays
    return builder.build()


def take(rows: Rows) -> Columns:
    """The columns out of the rows; begin and end rows become one event with the begin's id."""
    taken = {name: getattr(rows, name).take() for name in _COLUMNS}
    joins = {name: rows.joins[name].take() for name in JOINS}
    columns = Columns(
        **taken, join_at=rows.join_at.take(), joins=joins, memory_at=rows.memory_at.take(),
        memory_bytes=rows.memory_bytes.take(), open=np.empty(0, np.int64),
    )  # fmt: skip
    paired = pair_rows(rows, columns.key, columns.ts, columns.dur, rows.async_at.take(), rows.async_id.take())
    if paired is None:
        return columns
    if len(paired.stray):
        rows.damage.note("stray_end", int(columns.id[paired.stray].min()), len(paired.stray))
    columns.dur = paired.dur
    for name in _COLUMNS:
        setattr(columns, name, getattr(columns, name)[paired.keep])
    moved = np.cumsum(paired.keep) - 1
    kept = paired.keep[columns.join_at]
    columns.joins = {name: values[kept] for name, values in columns.joins.items()}
    columns.join_at, columns.memory_at = moved[columns.join_at[kept]], moved[columns.memory_at]
    columns.open = moved[paired.open]
    return columns


def find_kinds(rows: Rows, columns: Columns, names: list[str]) -> tuple[list[str], Array]:
    """The kinds that occur, and the kind of each row: by class, else by name or by what the row carries."""
    kinds = Codes()
    of_key = np.array([kinds[item.kind or "mark.instant"] for item in rows.classes] + [0], np.uint16)
    out = of_key[columns.key]
    for finer, kind_of in BY_NAME.items():
        chosen = np.array([item.finer == finer for item in rows.classes] + [False])[columns.key]
        if not chosen.any():
            continue
        codes = columns.name[chosen]
        table = np.zeros(len(names), np.uint16)
        for code in np.unique(codes).tolist():
            table[code] = kinds[kind_of(names[code])]
        out[chosen] = table[codes]
    memory = np.isin(columns.name[columns.memory_at], [names.index("[memory]")] if "[memory]" in names else []) & (
        columns.memory_bytes > -(2**62)
    )
    at, freed = columns.memory_at[memory], columns.memory_bytes[memory] < 0
    if len(at):
        out[at] = np.where(freed, kinds["mem.free"], kinds["mem.alloc"])
    used = np.flatnonzero(np.bincount(out, minlength=len(kinds)))
    compact = np.zeros(len(kinds), np.uint16)
    compact[used] = np.arange(len(used))
    texts = list(kinds)
    return [texts[code] for code in used.tolist()], compact[out]


def _facts(rows: Rows, columns: Columns, kinds: list[str], lanes: Lanes, edges: Edges) -> Facts:
    correlations = columns.joins["correlation"]
    graph = np.full(len(columns), -1, np.int64)
    graph[columns.join_at] = columns.joins["graph"]
    return Facts(
        id=columns.id, ts=columns.ts, dur=columns.dur, lane=columns.lane, work=edges.work, src=edges.src, dst=edges.dst,
        orphans=edges.orphans, ambiguous=edges.ambiguous, shared=edges.shared, launches=edges.launches,
        kernel_launches=edges.kernel_launches, graph_launches=edges.graph_launches, graph=graph, open=columns.open,
        ranges="dev.range" in kinds,
        has_flows=any(key[0] == "s" for key in rows.keys), has_correlations=bool((correlations >= 0).any()),
    )  # fmt: skip


def _meta(rows: Rows, metadata: Mapping[str, Any], origin: int, events: int, names: list[str]) -> dict[str, Any]:
    """What the file says of itself. `origin_ns` is unknown where times neither have a base nor are Unix time."""
    base = _whole(metadata.get("baseTimeNanoseconds"))
    spread = metadata.get("distributedInfo")
    spread = spread if isinstance(spread, dict) else {}
    absolute = (base or 0) + origin
    properties = metadata.get("deviceProperties")
    return {
        "origin_ns": absolute if events and (base is not None or absolute >= EPOCH_FROM) else None,
        "rank": _whole(spread.get("rank")),
        "world": _whole(spread.get("world_size")),
        "vendor": _vendor(rows, metadata, names),
        "devices": properties if isinstance(properties, list) else [],
        "window_ns": None if rows.window is None else [rows.window[0] - origin, rows.window[1] - origin],
        "processes": {str(pid): name for pid, name in rows.process_names.items()},
        "metadata": {key: _shallow(value) for key, value in metadata.items()},
    }


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


_VENDOR_KEYS: Final = {
    "nvidia": ("cupti_version", "cuda_runtime_version", "cuda_driver_version"),
    "amd": ("roctracer_version", "hip_runtime_version", "hip_driver_version"),
}


def _shallow(value: Any) -> Any:
    """A value in plain numbers, or as it is if it nests absurdly deep."""
    try:
        return _plain(value)
    except RecursionError:
        return value


def _plain(value: Any) -> Any:
    """A value with numbers as JSON has them, not as the reader keeps their spelling."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return float(value) if isinstance(value, float) else value


def _vendor(rows: Rows, metadata: Mapping[str, Any], names: list[str]) -> str | None:
    """Who made the device: by versions in the metadata, else by categories, else by the names of the API's calls."""
    for vendor, keys in _VENDOR_KEYS.items():
        if any(key in metadata for key in keys):
            return vendor
    categories = {(cat or "").lower() for _, cat, _, _ in rows.keys}
    if any(cat.startswith("mtia") for cat in categories):
        return "mtia"
    if any(cat.startswith("xpu") for cat in categories):
        return "intel"
    if any(name.startswith("hip") for name in names):
        return "amd"
    return "nvidia" if any(name.startswith(("cuda", "cuLaunch")) for name in names) else None
