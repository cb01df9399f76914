"""Tiling repeats a real trace so that the result is a sound trace, exact at the level of the text."""

from __future__ import annotations

import copy
import gzip
import importlib.util
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import ROOT

IDS = ("correlation", "External id", "Python id", "Python parent id", "Ev Idx", "Sequence number", "Record function id")


def _script(name: str) -> ModuleType:
    path = ROOT / "benchmarks" / f"{name}.py"
    if not path.exists():
        pytest.skip("the benchmarks are not present")
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _rows(text: str) -> list[dict[str, Any]]:
    document = json.loads(text, parse_float=Decimal)
    rows: list[dict[str, Any]] = document["traceEvents"]
    return rows


def _still(row: dict[str, Any]) -> dict[str, Any]:
    """A row without what tiling moves."""
    rest = copy.deepcopy(row)
    rest.pop("ts")
    rest.pop("id", None)
    for key in (*IDS, "wait_on_cuda_event_record_corr_id", "external id"):
        rest.get("args", {}).pop(key, None)
    if rest["name"].startswith("ProfilerStep#"):
        rest["name"] = "ProfilerStep#"
    return rest


@pytest.mark.parametrize("name", ["bert_h100", "sgl_dec", "event_sync_multi", "alexnet", "dlrm", "mi250"])
def test_copies_differ_from_the_original_in_times_and_ids_alone(
    name: str, shared: Callable[[str], Path], tmp_path: Path
) -> None:
    """Each copy is the original, later by one whole number of µs, with all ids out of the others' way."""
    source = shared(name)
    original = _rows(gzip.decompress(source.read_bytes()).decode())
    target = tmp_path / "tiled.json"
    size = len(gzip.decompress(source.read_bytes()))
    copies = _script("tile").tile(source, target, 5 * size // 2)
    assert copies >= 2
    rows = _rows(target.read_text())
    moved = [row for row in original if row["ph"] != "M" and not isinstance(row["pid"], str)]
    once = len(original) - len(moved)
    assert len(rows) == once + copies * len(moved)
    shifts = set()
    span = max(row["ts"] + row.get("dur", 0) for row in moved) - min(row["ts"] for row in moved)
    for number in range(copies):
        part = rows[once + number * len(moved) : once + (number + 1) * len(moved)]
        for before, after in zip(moved, part, strict=True):
            assert _still(before) == _still(after)
            assert (after["ts"] - before["ts"]) % 1 == 0
            if number == 1:
                shifts.add(after["ts"] - before["ts"])
    assert len(shifts) == 1
    assert shifts.pop() > span
    for key in ("correlation", "Python id"):
        firsts = [row["args"][key] for row in moved if row.get("cat") != "ac2g" and key in row.get("args", {})]
        all_ids = [row["args"][key] for row in rows if row.get("cat") != "ac2g" and key in row.get("args", {})]
        assert len({i for i in all_ids if i > 0}) == copies * len({i for i in firsts if i > 0})


def test_references_between_rows_survive() -> None:
    """Flow ids, parents and correlations move together, and nothing else in a name or number does."""
    row = {"ph": "X", "cat": "cuda_runtime", "name": 'a "ts": 5 100%', "pid": 1, "tid": 1, "ts": 10, "dur": 5}
    document = {
        "traceEvents": [
            {**row, "args": {"correlation": 7, "External id": 3, "bytes": 7}},
            {"ph": "s", "id": 7, "pid": 1, "tid": 1, "ts": 10, "cat": "ac2g", "name": "ac2g"},
            {"ph": "X", "cat": "python_function", "name": "ProfilerStep#0", "pid": 1, "tid": 1, "ts": 11, "dur": 1,
             "args": {"Python id": 2, "Python parent id": None, "Ev Idx": 0}},
        ],
        "traceName": "x",
    }  # fmt: skip
    tile = _script("tile").read_tile(json.dumps(document))
    copied = json.loads(f"[{tile.copy(2)}]")
    assert [r["ts"] for r in copied] == [2020, 2020, 2021] or len({r["ts"] - 10 for r in copied[:2]}) == 1
    assert copied[0]["args"]["correlation"] == copied[1]["id"] != 7
    assert copied[0]["args"]["bytes"] == 7
    assert copied[0]["name"] == row["name"]
    assert copied[2]["name"] == "ProfilerStep#2"
    assert copied[2]["args"]["Python parent id"] is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}', "The document has no traceEvents."),
        ('{"traceEvents": []}', "The document has no event that could be repeated."),
        ('{"traceEvents": [{"ph": "X", "name": "a", "ts": 1e3, "dur": 1}]}', "has an exponent"),
    ],
)
def test_documents_that_cannot_be_tiled_are_refused(text: str, message: str) -> None:
    """A ValueError says why."""
    with pytest.raises(ValueError, match=message):
        _script("tile").read_tile(text)


def test_a_process_is_measured_with_its_cpu_time_and_peak_memory(tmp_path: Path) -> None:
    """CPU seconds and peak bytes are those of the child, and a failure is told with its last line."""
    import sys

    run = _script("run")
    busy = run.measure([sys.executable, "-c", "x = bytearray(1 << 28); sum(range(10**6))"], tmp_path / "out")
    assert busy["exit"] == 0
    assert busy["peak_bytes"] > 1 << 28
    assert busy["cpu_s"] > 0
    failed = run.measure([sys.executable, "-c", "raise SystemExit('no such thing')"], tmp_path / "out")
    assert (failed["exit"], failed["error"]) == (1, "no such thing")
