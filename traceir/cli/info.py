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


def _page(module: Module) -> Iterator[Line]:
    source = module.source.frontend if module.source else "no source"
    span = units.time(module.span_ns)
    yield Line(
        label=module.name, text=f"{source} · {units.count(len(module))} events · span {span}", look="title", wraps=True
    )
    meta = [f"{key}={value}" for key, value in module.meta.items() if isinstance(value, str | int | float)]
    if meta:
        yield Line(text="  ".join(item.replace(" ", "\u00a0") for item in meta), wraps=True, look="note")
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
