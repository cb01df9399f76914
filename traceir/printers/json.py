"""The JSON report, a contract that other tools read: extended, never changed."""

from __future__ import annotations

import json
from typing import Any, ClassVar, TextIO

import traceir
from traceir.passing import to_json
from traceir.printers.base import Printer, Result, Style

SCHEMA = "traceir.report/1"


class Json(Printer):
    """The report as JSON, by the schema traceir.report/1."""

    word: ClassVar[str] = "json"

    def write(self, result: Result, out: TextIO, style: Style) -> None:
        """Write one object, keys in the order of the schema, integers for times, null for what is unknown."""
        json.dump(as_json(result), out, indent=1, ensure_ascii=not style.unicode, allow_nan=False)
        out.write("\n")


def as_json(result: Result) -> dict[str, Any]:
    """The report as plain data."""
    module = result.module
    return {
        "schema": SCHEMA,
        "traceir": traceir.__version__,
        "inputs": [{"path": item.path, "frontend": item.frontend, "events": item.events} for item in result.inputs],
        "module": {
            "name": module.name,
            "events": len(module),
            "live_events": int(module.live.sum()),
            "lanes": len(module.lanes),
            "origin_ns": module.meta.get("origin_ns"),
            "span_ns": module.span_ns,
            "health": [
                {"code": f.code, "level": f.level, "count": f.count, "message": f.message, "first": f.first}
                for f in module.health
            ],
        },
        "pipeline": result.pipeline,
        "unreliable": [{"result": name, "code": code} for name, code in result.unreliable],
        "results": {name: to_json(report) for name, report in result.reports.items()},
    }
