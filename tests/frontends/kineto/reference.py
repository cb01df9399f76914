"""A slow, plain reading of Kineto files that shares no code with the frontend: what every test compares with."""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import traceir as tir

HOST = {"cpu_op": "host.op", "operator": "host.op", "python_function": "host.frame", "overhead": "rt.call"}
DEVICE = {
    "kernel": "dev.kernel", "gpu_memcpy": "dev.memcpy", "memcpy": "dev.memcpy", "gpu_memset": "dev.memset",
    "memset": "dev.memset", "gpu_user_annotation": "dev.range", "cuda_profiler_range": "dev.range",
    "cuda_sync": "event.wait",
}  # fmt: skip
LAUNCHING = ("rt.launch", "rt.graph_launch", "rt.memcpy", "rt.memset")
WORK = ("dev.kernel", "dev.memcpy", "dev.memset")

Row = tuple[str, str, int, int]
"""Kind, name, start and duration in ns (of the file's own clock)."""


def read(path: Path) -> tuple[str, list[dict[str, Any]], dict[str, Any]]:
    """The text of a trace, its events with exact decimals, and the rest of its top level."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode()
    document = json.loads(text, parse_float=Decimal)
    if isinstance(document, list):
        return text, document, {}
    return text, document.pop("traceEvents"), document


def exact_ns(value: Any) -> int:
    """Microseconds as integer nanoseconds, half to even."""
    return int((Decimal(value) * 1000).to_integral_value(ROUND_HALF_EVEN))


def runtime_kind(name: str) -> str:
    """A call's kind by a few plain words, enough for the names that the shared traces have."""
    low = name.lower()
    for word, kind in (
        ("graphlaunch", "rt.graph_launch"), ("launch", "rt.launch"), ("runfunction", "rt.launch"),
        ("memcpy", "rt.memcpy"), ("memset", "rt.memset"), ("synchronize", "rt.sync"), ("malloc", "rt.alloc"),
        ("free", "rt.alloc"), ("hostalloc", "rt.alloc"),
    ):  # fmt: skip
        if word in low:
            return kind
    return "rt.call"


def kind_of(event: dict[str, Any]) -> str | None:
    """The kind of an event, None if it is no row."""
    cat, name = (event.get("cat") or "").lower(), event["name"]
    if event["ph"] == "i" and cat == "cpu_instant_event":
        return "mem.free" if event["args"]["Bytes"] < 0 else "mem.alloc"
    if event["ph"] != "X" or cat == "trace":
        return None
    if cat in HOST:
        return HOST[cat]
    if cat in DEVICE:
        return DEVICE[cat]
    if cat in ("cuda_runtime", "cuda_driver", "mtia_runtime", "runtime"):
        return runtime_kind(name)
    if cat == "mtia_ccp_events":
        waits = {"event_wait": "event.wait", "event_record": "event.record", "dma_request": "dev.memcpy"}
        return waits.get(name, "dev.kernel")
    return "mark.step" if name.startswith(("ProfilerStep#", "execute_", "step[")) else "host.range"


def rows_of(events: list[dict[str, Any]]) -> dict[int, Row]:
    """The rows by id."""
    kinds = ((id, kind_of(event), event) for id, event in enumerate(events))
    return {
        id: (kind, event["name"], exact_ns(event["ts"]), exact_ns(event.get("dur", 0)) if event["ph"] == "X" else 0)
        for id, kind, event in kinds
        if kind is not None
    }


def launches_of(events: list[dict[str, Any]], rows: dict[int, Row]) -> set[tuple[int, int]]:
    """Launch edges of device work as pairs of ids: one launching call (or else one call) per correlation."""
    calls: dict[Any, list[int]] = defaultdict(list)
    for id, (kind, *_) in rows.items():
        correlation = (events[id].get("args") or {}).get("correlation")
        if kind.startswith("rt.") and correlation is not None:
            calls[correlation].append(id)
    edges = set()
    for id, (kind, *_) in rows.items():
        if kind in WORK:
            mine = calls.get((events[id].get("args") or {}).get("correlation", -1), [])
            mine = [call for call in mine if rows[call][0] in LAUNCHING] or mine
            if len(mine) == 1:
                edges.add((mine[0], id))
    return edges


def module_rows(module: tir.Module) -> dict[int, Row]:
    """The same of a module, on the file's own clock if the module knows its origin."""
    texts = module.strings.texts
    columns = (module[name].tolist() for name in ("id", "kind", "name", "ts", "dur"))
    return {id: (module.kinds[kind], texts[name], ts, dur) for id, kind, name, ts, dur in zip(*columns, strict=True)}


def module_launches(module: tir.Module) -> set[tuple[int, int]]:
    """The launch edges of a module that lead to device work."""
    src, dst = module.edges("launch")
    work = module.work[dst]
    return set(zip(module["id"][src[work]].tolist(), module["id"][dst[work]].tolist(), strict=True))


def shifted(rows: dict[int, Row]) -> dict[int, Row]:
    """Rows on a clock that begins with the first of them."""
    origin = min((row[2] for row in rows.values()), default=0)
    return {id: (kind, name, ts - origin, dur) for id, (kind, name, ts, dur) in rows.items()}


def codes(module: tir.Module) -> Counter[str]:
    """How many findings there are of each code."""
    return Counter(finding.code for finding in module.health)
