"""`traceir info`: what a trace holds, before any pass."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from traceir import units
from traceir.cli import common
from traceir.ir import Module, Spans
from traceir.printers.folded.lines import BLANK, Line, Look
from traceir.printers.folded.render import render

_MAX_LANES = 30


def execute(arguments: argparse.Namespace) -> int:
    """Run the command."""
    registry = common.registry(arguments)
    module = common.read(arguments, registry)
    if arguments.emit == "json":
        json.dump(as_json(module), sys.stdout, indent=1)
        print()
        return 0
    for line in render(list(_page(module)), common.style(arguments, sys.stdout)):
        print(line)
    return 0


def as_json(module: Module) -> dict[str, Any]:
    """The inventory as plain data; times in ns."""
    return {
        "name": module.name,
        "frontend": module.source.frontend if module.source else None,
        "events": len(module),
        "span_ns": module.span_ns,
        "devices": _devices(module),
        "versions": _versions(module),
        "steps": _steps(module),
        "work": _launched(module)[1],
        "work_with_launch": _launched(module)[0],
        "untold": _untold(module),
        "meta": {key: value for key, value in module.meta.items() if isinstance(value, str | int | float | None)},
        "lanes": [
            {"name": lane.name, "kind": lane.kind, "label": lane.label, "events": events, "busy_ns": busy}
            for lane, events, busy in _lanes(module)
        ],
        "kinds": dict(_kinds(module)),
        "edges": dict(_edges(module)),
        "health": [
            {"code": f.code, "level": f.level, "count": f.count, "message": f.message, "first": f.first}
            for f in module.health
        ],
    }


def _lanes(module: Module) -> Iterator[tuple[Any, int, int]]:
    """Each lane with its number of events and the union of their intervals (of work, on device lanes)."""
    order = np.argsort(module["lane"], kind="stable")
    bounds = np.searchsorted(module["lane"][order], np.arange(len(module.lanes) + 1))
    for number, lane in enumerate(module.lanes):
        rows = order[bounds[number] : bounds[number + 1]]
        chosen = rows[module.work[rows]] if lane.is_device else rows
        yield lane, len(rows), Spans.of(module["ts"][chosen], module.end[chosen]).length


def _devices(module: Module) -> list[str]:
    """The names of the devices, those alike once; empty if the input has none."""
    listed = module.meta.get("devices")
    names = [item.get("name") for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    return list(dict.fromkeys(str(name) for name in (*names, module.meta.get("device_name")) if name))


def _versions(module: Module) -> dict[str, str]:
    """What the input says of versions, of its own format and of the software that ran."""
    told = module.meta.get("metadata")
    pairs = {**(told if isinstance(told, dict) else {}), **module.meta}
    return {
        key: str(value)
        for key, value in pairs.items()
        if key.lower().endswith(("version", "schema")) and isinstance(value, str | int | float) and value != ""
    }


def _steps(module: Module) -> int:
    """How many steps the program marked."""
    return int((module["kind"] == module.kinds.index("mark.step")).sum()) if "mark.step" in module.kinds else 0


def _launched(module: Module) -> tuple[int, int]:
    """How much device work has a launch edge, and how much there is."""
    from traceir.ir.module import EDGE_KINDS

    edges, work = module.tables["edge"], module.work
    started = np.unique(edges["dst"][edges["kind"] == EDGE_KINDS.index("launch")])
    return int(work[started].sum()), int(work.sum())


def _untold(module: Module) -> list[str]:
    """What the input does not say, as far as it can be seen without knowing its format."""
    launched, work = _launched(module)
    told = {
        "when it was recorded": module.meta.get("origin_ns") is not None,
        "steps": _steps(module) > 0,
        "what devices these are": not work or bool(_devices(module)),
        "what launched device work": not work or launched > 0,
    }
    return [what for what, known in told.items() if not known]


def _kinds(module: Module) -> Iterator[tuple[str, int]]:
    counts = np.bincount(module["kind"], minlength=len(module.kinds))
    for number in np.argsort(-counts, kind="stable"):
        if counts[number]:
            yield module.kinds[number], int(counts[number])


def _edges(module: Module) -> Iterator[tuple[str, int]]:
    from traceir.ir.module import EDGE_KINDS

    counts = np.bincount(module.tables["edge"]["kind"], minlength=len(EDGE_KINDS))
    for kind, number in zip(EDGE_KINDS, counts.tolist(), strict=True):
        if number:
            yield kind, number


def _said(module: Module) -> Iterator[Line]:
    """Devices, versions, steps, coverage of launches, and what is not told."""
    launched, work = _launched(module)
    share = f"{units.count(launched)} of {units.count(work)} ({units.share(launched, work)})" if work else ""
    rows = {
        "devices": ", ".join(_devices(module)),
        "versions": "  ".join(f"{key}={value}" for key, value in _versions(module).items() if key not in module.meta),
        "steps": units.count(_steps(module)) if _steps(module) else "",
        "launched": share and f"{share} device events have a launch edge",
        "not told": ", ".join(_untold(module)),
    }
    for label, text in rows.items():
        if text:
            yield Line(label=label, text=text, wraps=True)


def _page(module: Module) -> Iterator[Line]:
    source = module.source.frontend if module.source else "no source"
    span = units.time(module.span_ns)
    yield Line(
        label=module.name, text=f"{source} · {units.count(len(module))} events · span {span}", look="title", wraps=True
    )
    meta = [
        f"{key}={value}" for key, value in module.meta.items() if isinstance(value, str | int | float) and value != ""
    ]
    if meta:
        yield Line(text="  ".join(item.replace(" ", "\u00a0") for item in meta), wraps=True, look="note")
    yield from _said(module)
    yield BLANK
    lanes = sorted(_lanes(module), key=lambda item: (not item[0].is_device, -item[1]))
    yield Line(label="lanes", cells=("kind", "events", "busy"), look="head")
    for lane, events, busy in lanes[:_MAX_LANES]:
        cells = (lane.kind, units.count(events), units.time(busy))
        yield Line(label=f"@{lane.name}", cells=cells, text=lane.label, indent=2)
    if len(lanes) > _MAX_LANES:
        yield Line(text=f"… {len(lanes) - _MAX_LANES} more lanes", indent=2, look="note")
    yield BLANK
    yield Line(label="events", cells=("count",), look="head")
    for kind, number in _kinds(module):
        yield Line(label=kind, cells=(units.count(number),), indent=2)
    for kind, number in _edges(module):
        yield Line(label=f"{kind} edges", cells=(units.count(number),), indent=2)
    yield BLANK
    yield Line(label="health", text="nothing found" if not module.health else "", look="head")
    for finding in module.health:
        label = f"{finding.level} {finding.code} ×{units.count(finding.count)}"
        look: Look = {"error": "error", "warning": "warning"}.get(finding.level, "plain")  # type: ignore[assignment]
        yield Line(label=label, text=finding.message, look=look, wraps=True, indent=2)
