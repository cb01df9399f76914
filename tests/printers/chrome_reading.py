"""Reading Chrome traces back, for tests: strictly, by our own frontend, and by the rules of trace viewers."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

import traceir as tir
from traceir.ir import Array
from traceir.printers import Result, Style
from traceir.printers.chrome import Chrome

Event = dict[str, Any]


def render(module: tir.Module, style: Style | None = None, **options: Any) -> str:
    """The document that the printer writes of a module."""
    out = io.StringIO()
    Chrome(**options).write(Result(module, {}, ()), out, style or Style())
    return out.getvalue()


def events_of(text: str) -> list[Event]:
    """The elements of a document; it has to be strict JSON."""

    def refuse(constant: str) -> Any:
        raise AssertionError(f"{constant} is no JSON")

    document = json.loads(text, parse_constant=refuse)
    events: list[Event] = document if isinstance(document, list) else document["traceEvents"]
    return events


def own(events: list[Event]) -> list[Event]:
    """The elements that the printer added, names of processes and threads aside."""
    return [event for event in events if event.get("cat") == "traceir"]


def tracks(events: list[Event]) -> dict[str, list[Event]]:
    """The slices that the printer added, by the names of their rows, in order."""
    names = {
        event["tid"]: event["args"]["name"]
        for event in events
        if event["ph"] == "M" and event["name"] == "thread_name" and event["pid"] == own_pid(events)
    }
    out: dict[str, list[Event]] = {name: [] for name in names.values()}
    for event in own(events):
        if event["ph"] == "X":
            out[names[event["tid"]]].append(event)
    return out


def own_pid(events: list[Event]) -> int | None:
    """The process that the printer added."""
    return next(
        (e["pid"] for e in events if e["ph"] == "M" and e["name"] == "process_name" and e["args"]["name"] == "traceir"),
        None,
    )


def load_text(folder: Path, text: str, name: str = "back.json") -> tir.Module:
    """The module of a document, by our own frontend."""
    path = folder / name
    path.write_text(text, "utf-8")
    return tir.load(path, frontend="kineto")


def _ordinals(module: tir.Module, live: bool) -> tuple[Array, Array]:
    """The rows in order of their ids (live ones only), and for each row its place in that order (last: -1)."""
    order = np.argsort(module["id"], kind="stable")
    order = order[module.live[order]] if live else order
    place = np.full(len(module) + 1, -1)
    place[order] = np.arange(len(order))
    return order, place


def differences(a: tir.Module, b: tir.Module, *skip: str) -> list[str]:
    """What two modules say differently of their live events in the order of their sources; ids may be shifted."""
    (first, place), (second, other) = _ordinals(a, True), _ordinals(b, True)
    if len(first) != len(second):
        return [f"events: {len(first)} and {len(second)}"]
    shift = np.unique(a["ts"][first] - b["ts"][second])
    checks = {
        "ts": len(shift) <= 1,
        "dur": np.array_equal(a["dur"][first], b["dur"][second]),
        "kind": [a.kinds[k] for k in a["kind"][first]] == [b.kinds[k] for k in b["kind"][second]],
        "name": a.strings.decode(a["name"][first]) == b.strings.decode(b["name"][second]),
        "lane": [a.lanes[k].name for k in a["lane"][first]] == [b.lanes[k].name for k in b["lane"][second]],
        "parent": np.array_equal(place[a.parent[first]], other[b.parent[second]]),
    }
    for kind in ("launch", "sync", "flow"):
        checks[kind] = _edges(a, kind, place) == _edges(b, kind, other)
    return [name for name, same in checks.items() if not same and name not in skip]


def _edges(module: tir.Module, kind: str, place: Array) -> list[tuple[int, int]]:
    src, dst = (place[side].tolist() for side in module.edges(kind))
    return sorted(pair for pair in zip(src, dst, strict=True) if min(pair) >= 0)


def improper(events: list[Event]) -> list[str]:
    """What a viewer could not show: slices of a row that overlap without nesting, arrows that lack an end."""
    rows: dict[Any, list[tuple[int, int]]] = defaultdict(list)
    arrows: dict[Any, set[str]] = defaultdict(set)
    for event in events:
        if event["ph"] == "X":
            start = _ns(event["ts"])
            rows[event["pid"], event["tid"]].append((start, -(start + _ns(event["dur"]))))
        elif event["ph"] in ("s", "t", "f"):
            arrows[event.get("cat"), event["id"]].add(event["ph"])
    found = []
    for row, slices in rows.items():
        open_: list[int] = []
        for start, end in sorted(slices):
            while open_ and open_[-1] <= start:
                open_.pop()
            if open_ and -end > open_[-1]:
                found.append(f"row {row}: a slice at {start} ns ends after the one around it")
            open_.append(-end)
    return found + [f"arrow {key} has only {sorted(ends)}" for key, ends in arrows.items() if not {"s", "f"} <= ends]


def _ns(micros: float) -> int:
    return round(micros * 1000)


def shifted(module: tir.Module, at: int, by: int) -> tir.Module:
    """A module without the `by` ns from `at` on, as `dead-gaps` leaves it: new times, the originals kept."""

    def place(times: Array) -> Array:
        return np.where(times <= at, times, np.where(times >= at + by, times - by, at))

    ts, end = module["ts"], module.end
    moved = module.with_columns({"src.ts": ts.copy(), "src.dur": module["dur"].copy()})
    return moved.with_columns({"ts": place(ts), "dur": place(end) - place(ts)})
