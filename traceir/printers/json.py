"""The JSON report, a contract that other tools read: extended, never changed."""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar, TextIO

import attrs
import msgspec

import traceir
from traceir.passing.report import data_of, to_json
from traceir.printers.base import Printer, Result, Style

SCHEMA = "traceir.report/1"
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")


@attrs.frozen
class Json(Printer):
    """The report as JSON, by the schema traceir.report/1."""

    word: ClassVar[str] = "json"

    def write(self, result: Result, out: TextIO, style: Style) -> None:
        """Write one object, keys in the order of the schema, integers for times, null for what is unknown."""
        text = _encode(as_json(result))
        if not style.unicode:
            text = _BEYOND_ASCII.sub(lambda found: json.dumps(found.group())[1:-1], text)
        out.write(text + "\n")


def as_json(result: Result) -> dict[str, Any]:
    """The report as plain data, the same as what is written; PassError that names the pass of a report that is none."""
    return _head(result) | {"results": {name: data_of(name, report) for name, report in result.reports.items()}}


def _encode(data: dict[str, Any]) -> str:
    """The text of a report; a finding may hold scalars of numpy."""
    try:
        return msgspec.json.format(msgspec.json.encode(data, enc_hook=to_json), indent=1).decode()
    except UnicodeEncodeError:
        # A name with half a surrogate pair is no UTF-8; the standard library writes it as an escape.
        return json.dumps(to_json(data), indent=1, allow_nan=False)


def _head(result: Result) -> dict[str, Any]:
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
    }
