"""The benchmark of the text form measures what it says: the same events printed and parsed, and a failure is told."""

from __future__ import annotations

from pathlib import Path

import pytest

import traceir as tir
from traceir.synth import Decoder, write

from .test_tile import _script


def test_rows_say_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row per input and program; texts read back equal; rates are over the time beyond the first program's."""
    bench = _script("run")
    trace = tmp_path / "small.json"
    write(Decoder(layers=2, steps=1), trace)
    monkeypatch.setattr(bench, "build", lambda folder, size, tiles: [trace])
    monkeypatch.setattr(bench, "WINDOW", 20)
    rows = bench.text_form(tmp_path, "0", 1, tmp_path, 60)
    events = len(tir.load(trace))
    assert [(row["input"], row["events"], row["round_trip_equal"]) for row in rows] == [
        *[("small.json", events, None)] * 3,
        *[("small.blocks.tir", events, True)] * 2,
        *[("small.first.tir", 20, True)] * 2,
        *[("small.work.tir", 20, True)] * 2,
    ]
    assert not [row["error"] for row in rows if row["exit"]]
    blocks, first, work = (tmp_path / f"small.{name}.tir" for name in ("blocks", "first", "work"))
    assert ["  events [" in path.read_text("utf-8") for path in (blocks, first, work)] == [True, False, False]
    assert "  pass p" not in first.read_text("utf-8")
    assert "  pass p1 = infer;" in work.read_text("utf-8")
    assert {event.kind for event in tir.load(work).select()} <= {"dev.kernel", "dev.memcpy", "dev.memset"}
    for row in rows:
        other = next(one for one in rows if one["input"] == row["input"])
        if row is other or row["program"] == "json.load":
            assert row.get("events_per_cpu_s") is None
        elif row["cpu_s"] > other["cpu_s"]:
            assert row["events_per_cpu_s"] == pytest.approx(row["events"] / (row["cpu_s"] - other["cpu_s"]))
    lines = bench.text_table(rows).splitlines()
    assert [line for line in lines if line.startswith("small.")] == [
        f"small.json   {events} events, {trace.stat().st_size / 1e6:.1f} MB, median of 1",
        f"small.blocks.tir   {events} events, {blocks.stat().st_size / 1e6:.1f} MB, median of 1, reads back equal",
        f"small.first.tir   20 events, {first.stat().st_size / 1e6:.1f} MB, median of 1, reads back equal",
        f"small.work.tir   20 events, {work.stat().st_size / 1e6:.1f} MB, median of 1, reads back equal",
    ]


def test_a_text_that_reads_back_otherwise_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In the table and by the exit code: a fast wrong text is worth nothing."""
    bench = _script("run")
    row = {
        "input": "a.tir", "program": "traceir, parse the text", "events": 3, "round_trip_equal": False, "exit": 0,
        "error": "", "runs": 1, "input_bytes": 10, "cpu_s": 1.0, "wall_s": 1.0, "peak_bytes": 10, "peak_to_text": 1.0,
    }  # fmt: skip
    monkeypatch.setattr(bench, "text_form", lambda *_: [row])
    monkeypatch.setattr(bench, "versions", lambda _: {})
    assert "DOES NOT READ BACK EQUAL" in bench.text_table([row])
    assert bench.main(["--text", "--folder", str(tmp_path)]) == 1
    row["round_trip_equal"] = True
    assert bench.main(["--text", "--folder", str(tmp_path)]) == 0
