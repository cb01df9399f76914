"""The JSON report is a contract: its keys, their order, integers for times, null for what is unknown."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

import traceir as tir
from traceir.cli.main import main
from traceir.printers import InputInfo, Result, Style
from traceir.printers.json import Json, as_json

from ..conftest import ROOT

EXAMPLE = ROOT / "examples" / "decoder_tp8_graph.json.gz"
PIPELINE = "group,overlap,gaps"

AT_LEAST = {
    "": ["schema", "traceir", "inputs", "module", "pipeline", "unreliable", "results"],
    "inputs.0": ["path", "frontend", "events"],
    "module": ["name", "events", "live_events", "lanes", "origin_ns", "span_ns", "health"],
    "results": ["infer", "group", "collectives", "overlap", "gaps"],
    "results.infer": ["kernel_time_ns", "unknown_time_ns", "roles"],
    "results.infer.roles.0": ["role", "count", "time_ns"],
    "results.group": ["evidence", "confidence", "reason", "stacks", "steps"],
    "results.group.stacks.0": [
        "lane", "step", "layers", "partial", "evidence", "confidence", "kernels", "template", "kernels_per_layer",
    ],
    "results.group.steps.0": ["index", "label", "start_ns", "end_ns", "kernels"],
    "results.collectives": ["count", "by_kind", "instances", "composites", "laws"],
    "results.collectives.instances.0": ["event", "kind", "library", "group", "bytes", "dtype", "start_ns", "dur_ns"],
    "results.collectives.laws.0": ["law", "expected", "found", "holds"],
    "results.overlap": ["devices", "steps", "layers"],
    "results.overlap.devices.0": [
        "device", "span_ns", "busy_ns", "compute_ns", "comm_ns", "memory_ns", "fused_ns", "overlap_ns", "exposed_ns",
        "exposed_any_ns", "idle_ns", "overlap_ratio", "unknown_ns",
    ],
    "results.overlap.steps.0": ["span_ns", "busy_ns", "comm_ns", "exposed_ns", "idle_ns", "foreign_ns"],
    "results.overlap.layers.0": ["span_ns", "busy_ns", "comm_ns", "exposed_ns", "idle_ns", "foreign_ns"],
    "results.gaps": ["devices", "lanes"],
    "results.gaps.devices.0": ["device", "idle_ns", "classes", "counts"],
    "results.gaps.lanes.0": ["lane", "gap_ns", "device_idle_ns", "classes", "counts"],
}  # fmt: skip


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    """The report of the example by the library, as parsed JSON."""
    module = tir.load(EXAMPLE)
    manager = tir.PassManager.parse(PIPELINE)
    after = manager.run(module)
    out = io.StringIO()
    source = InputInfo(str(EXAMPLE), "kineto", len(module))
    Json().write(Result(after, manager.reports(after), (source,)), out, Style())
    parsed: dict[str, Any] = json.loads(out.getvalue())
    return parsed


def _at(report: Any, path: str) -> Any:
    for part in path.split(".") if path else []:
        report = report[int(part)] if part.isdigit() else report[part]
    return report


@pytest.mark.parametrize("path", AT_LEAST)
def test_every_object_has_the_keys_of_the_schema(path: str, report: dict[str, Any]) -> None:
    """The keys of the contract are there; more are welcome."""
    assert set(AT_LEAST[path]) <= set(_at(report, path))


def _walk(item: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(item, dict):
        for key, value in item.items():
            yield from _walk(value, f"{path}.{key}")
    elif isinstance(item, list):
        for value in item:
            yield from _walk(value, path)
    else:
        yield path, item


def test_times_are_integers(report: dict[str, Any]) -> None:
    """Whatever ends in _ns is an integer or null, and so is what stands inside classes."""
    for path, value in _walk(report):
        if path.endswith("_ns") or ".classes." in path:
            assert value is None or type(value) is int, (path, value)


def test_the_pipeline_is_the_one_that_ran(report: dict[str, Any]) -> None:
    """Inserted passes are in the text, and the text runs again."""
    assert report["pipeline"] == "infer,group,collectives,overlap,gaps"
    assert tir.PassManager.parse(report["pipeline"]).text == report["pipeline"]


def test_the_command_line_writes_what_the_library_gives(
    report: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`run --emit json` and the library agree key by key, and nothing else is on stdout."""
    assert main(["run", "--passes", PIPELINE, "--emit", "json", str(EXAMPLE)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert json.loads(out) == report
    target = tmp_path / "report.json"
    assert main(["run", "--passes", PIPELINE, "--emit", "json", "-o", str(target), str(EXAMPLE)]) == 0
    assert target.read_text("utf-8") == out


def test_the_text_is_the_plain_data(report: dict[str, Any]) -> None:
    """What is written quickly from attrs objects is what `as_json` gives as plain data."""
    module = tir.load(EXAMPLE)
    manager = tir.PassManager.parse(PIPELINE)
    after = manager.run(module)
    result = Result(after, manager.reports(after), (InputInfo(str(EXAMPLE), "kineto", len(module)),))
    assert json.loads(json.dumps(as_json(result))) == report


@attrs.frozen
class _Odd(tir.Report):
    ratio: float
    number: Any
    name: str


@pytest.mark.parametrize("unicode", [True, False])
@pytest.mark.parametrize("name", ["plain", "µ-kernel 𝛼", "half a pair \ud800"])
def test_odd_values_are_valid_json(name: str, unicode: bool) -> None:
    """NaN is null, a numpy number is a number, and a name that is no UTF-8 is escaped."""
    out = io.StringIO()
    result = Result(tir.load(EXAMPLE), {"odd": _Odd(float("nan"), np.int64(7), name)}, ())
    Json().write(result, out, Style(unicode=unicode))
    assert json.loads(out.getvalue())["results"] == {"odd": {"ratio": None, "number": 7, "name": name}}
    assert unicode or out.getvalue().isascii()
