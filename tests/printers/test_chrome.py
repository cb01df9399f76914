"""`--emit chrome`: the input's text comes out as it went in, and what the passes found lies above it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

import traceir as tir
from traceir.cli.main import main
from traceir.ir import Annotation, Region, Written
from traceir.printers import Style
from traceir.printers.chrome.tracks import rows_of
from traceir_frontends.kineto.classify import classify

from ..conftest import ROOT
from ..frontends.kineto.documents import call, kernel, load, load_events, op
from .chrome_reading import differences, events_of, improper, load_text, own, own_pid, render, tracks

EXAMPLES = ("decoder_tp8_graph.json.gz", "qwen_tiny_cpu.json.gz")
SOME = ("sgl_dec", "nccl", "event_sync_multi")
PIPELINE = "group,overlap,gaps"


def _events() -> list[dict[str, Any]]:
    """Two kernels with a gap, a collective half under compute, an arrow, names, and what frontends leave out."""
    return [
        {"ph": "M", "name": "process_name", "pid": 7, "tid": 0, "ts": 0, "args": {"name": "python"}},
        {"ph": "X", "cat": "user_annotation", "name": "ProfilerStep#1", "pid": 7, "tid": 7, "ts": 100.5, "dur": 130},
        op("aten::mm", 101.0, 20.25, **{"External id": 1}),
        call("cudaLaunchKernel", 105.125, 5, 11),
        kernel("nvjet_gemm", 120.0, 10.5, 11),
        call("cudaLaunchKernel", 145.0, 5.001, 12),
        kernel("ncclDevKernel_AllReduce_Sum_bf16_RING_LL", 160.0, 20, 12, stream=24),
        call("cudaLaunchKernel", 151.0, 5.001, 13),
        kernel("nvjet_gemm", 170.0, 30.002, 13),
        {"ph": "s", "cat": "ac2g", "name": "ac2g", "id": 11, "pid": 7, "tid": 7, "ts": 105.125},
        {"ph": "f", "cat": "ac2g", "name": "ac2g", "id": 11, "pid": 0, "tid": 20, "ts": 120.0, "bp": "e"},
        {"ph": "i", "s": "g", "name": "Record Window End", "pid": "", "tid": "", "ts": 240},
    ]


def _after(module: tir.Module, pipeline: str = PIPELINE) -> tir.Module:
    return tir.PassManager.parse(pipeline).run(module)


@pytest.fixture
def small(tmp_path: Path) -> tir.Module:
    """The small document, loaded."""
    return load_events(tmp_path, _events(), baseTimeNanoseconds=1000, odd={"kept": [1.50, "µ"]})


def test_text_comes_out_as_it_went_in(tmp_path: Path) -> None:
    """Without findings the output is the input, byte for byte: blanks, key order, numbers as they were spelled."""
    text = (
        '{ "z": 1.50,"traceEvents":[ {"ph" : "X","ts":1.5,"dur":2e0, "name":"µ","pid":1,"tid":1,"zz":[{}]}\n ,\n{"ph":'
    )
    text += '"M","odd":1} ],\n"more":{"a":"\\u00b5"}}\n'
    assert render(load(tmp_path, text), add=()) == text


def test_findings_are_put_in_at_the_end_of_the_list(small: tir.Module, tmp_path: Path) -> None:
    """All that the input had stands before them and behind them."""
    before = (tmp_path / "trace.json").read_text("utf-8")
    text = render(_after(small))
    cut = before.index("]", before.rindex("Record Window End"))
    assert text.startswith(before[:cut])
    assert text.endswith(before[cut:])
    assert len(own(events_of(text))) > 5


def test_compressed_input_gives_plain_text(tmp_path: Path) -> None:
    """Gzip is inflated on the way."""
    text = json.dumps({"traceEvents": _events()})
    (tmp_path / "trace.json.gz").write_bytes(gzip.compress(text.encode()))
    assert render(tir.load(tmp_path / "trace.json.gz"), add=()) == text


def test_long_texts_are_copied_over_the_borders_of_pieces(tmp_path: Path) -> None:
    """A text of several pieces with characters of two bytes, one of them across a border."""
    filler = [op("µ" * 50_001, n, 1) for n in range(30)]
    text = json.dumps({"traceEvents": filler}, ensure_ascii=False)
    module = load(tmp_path, text)
    assert render(module, add=()) == text
    escaped = render(module, Style(unicode=False), add=())
    assert escaped.isascii()
    assert json.loads(escaped) == json.loads(text)


def test_lanes_of_the_small_document(small: tir.Module) -> None:
    """The split of the device's time, to the ns: 20 µs of communication, 10 of it under compute."""
    found = tracks(events_of(render(_after(small), min_gap=0)))
    times = {name: [(event["ts"], event["dur"]) for event in slices] for name, slices in found.items()}
    assert times["gpu0 computing"] == [(120.0, 10.5), (170.0, 30.002)]
    assert times["gpu0 communication"] == times["gpu0 collectives"] == [(160.0, 20.0)]
    assert times["gpu0 not overlapped"] == [(160.0, 10.0)]
    assert times["gpu0 free"] == times["gpu0 gaps"] == [(130.5, 29.5)]
    assert times["gpu0 steps"] == [(120.0, 80.002)]
    gap = found["gpu0 gaps"][0]
    assert (gap["name"], gap["args"]["host_ns"], gap["args"]["next"].split()[0]) == ("launch_latency", 14500, "%6")
    assert found["gpu0 collectives"][0]["args"]["exposed_ns"] == 10_000


def test_document_with_findings_is_as_reviewed(small: tir.Module, golden: Callable[[str, str], None]) -> None:
    """The whole output for the small document."""
    rows = render(_after(small)).replace("}, {", "},\n  {")
    golden("chrome/small.json", rows + "\n")


def test_arrows_lead_from_the_blamed_event_to_the_gap(small: tir.Module) -> None:
    """Both ends lie on slices, and the arrow does not lead back in time."""
    module = _after(small)
    events = events_of(render(module))
    start, end = (next(e for e in own(events) if e["ph"] == ph) for ph in "sf")
    row = int(module["gaps.blame"][module.is_in("gaps.level", ["device"])][0])
    blamed = module.event(row)
    assert (start["pid"], start["tid"]) == (blamed.lane.pid, blamed.lane.tid)
    gap = tracks(events)["gpu0 gaps"][0]
    assert end["bp"] == "e"
    assert max(start["ts"], gap["ts"]) <= end["ts"] < gap["ts"] + gap["dur"]


def test_close_spans_are_one_slice_with_their_exact_time(tmp_path: Path) -> None:
    """Kernels 1 µs apart are one slice of computing; its argument has the time without the gap."""
    module = load_events(tmp_path, [kernel("nvjet_gemm", ts, 10, n) for n, ts in enumerate((100, 111, 130))])
    slices = tracks(events_of(render(_after(module))))["gpu0 computing"]
    assert [(e["ts"], e["dur"], e["args"]["exact_ns"]) for e in slices] == [(100, 21, 20_000), (130, 10, 10_000)]


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_read_back_equal(name: str, tmp_path: Path) -> None:
    """Our frontend sees the input's events, with their ids, and none of the lanes that were added."""
    module = tir.load(ROOT / "examples" / name)
    back = load_text(tmp_path, render(_after(module)))
    assert differences(module, back) == []
    assert np.array_equal(module["id"], back["id"])
    assert len(back.lanes) == len(module.lanes)


@pytest.mark.parametrize("name", SOME)
def test_shared_traces_read_back_equal(
    name: str, load_shared: Callable[[str], tir.Module], shared: Callable[[str], Path], tmp_path: Path
) -> None:
    """Real traces read back equal, their text untouched, and what was added can be shown."""
    module = load_shared(name)
    text = render(_after(module))
    assert differences(module, load_text(tmp_path, text)) == []
    raw = shared(name).read_bytes()
    raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    assert text.encode().startswith(raw[: int((module["offset"] + module["length"]).max())])
    assert improper(own(events_of(text))) == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_added_slices_nest_and_arrows_have_both_ends(name: str) -> None:
    """By the rules of viewers: on each row slices nest or lie apart."""
    assert improper(own(events_of(render(_after(tir.load(ROOT / "examples" / name)), min_gap=0)))) == []


def test_slices_that_overlap_without_nesting_get_rows_of_their_own() -> None:
    """Two that cross lie on two rows, what lies in one of them beside it, what follows on the first row again."""
    starts, ends = np.array([0, 5, 6, 20, 20]), np.array([10, 15, 9, 30, 20])
    assert rows_of(starts, ends).tolist() == [0, 1, 0, 0, 0]


def test_slices_lie_under_their_parents_where_they_can() -> None:
    """The part of the second of two crossing slices goes to that one's row, though the first row is free."""
    starts, ends, parents = np.array([0, 5, 11]), np.array([10, 15, 14]), np.array([-1, -1, 1])
    assert rows_of(starts, ends, parents).tolist() == [0, 1, 1]
    assert rows_of(starts, ends).tolist() == [0, 1, 0]


def test_added_lanes_sum_up_to_the_report(tmp_path: Path) -> None:
    """Computing, communication, exposed and idle time of the example are those of the overlap pass."""
    manager = tir.PassManager.parse(PIPELINE)
    module = manager.run(tir.load(ROOT / "examples" / EXAMPLES[0]))
    device = manager.reports(module)["overlap"].devices[0]  # type: ignore[attr-defined]
    for least in (0, 1000):
        found = tracks(events_of(render(module, min_gap=least)))
        sums = {
            name: sum(e["args"]["exact_ns"] for e in slices) for name, slices in found.items() if "exact" in str(slices)
        }
        assert sums["gpu0 computing"] == device.compute_ns
        assert sums["gpu0 communication"] == device.comm_ns
        assert sums["gpu0 not overlapped"] == device.exposed_ns
        assert sums["gpu0 copies"] == device.memory_ns
        assert sums["gpu0 free"] <= device.idle_ns if least else sums["gpu0 free"] == device.idle_ns


@pytest.mark.parametrize("name", ["small", "decoder_tp8_graph.json.gz"])
def test_a_second_run_replaces_what_the_first_added(name: str, small: tir.Module, tmp_path: Path) -> None:
    """The output of the output is the output, byte for byte, however often."""
    text = render(_after(small if name == "small" else tir.load(ROOT / "examples" / name)))
    assert own(events_of(text))
    for _ in range(3):
        assert render(_after(load_text(tmp_path, text))) == text


def test_a_process_of_somebody_else_with_our_name_keeps_its_number(tmp_path: Path) -> None:
    """Events under a process `traceir` of the file's own are not mixed with what is added."""
    taken = 1_000_000_007
    name = {"ph": "M", "name": "process_name", "pid": taken, "tid": 0, "args": {"name": "traceir"}}
    module = load_events(tmp_path, [{**op("a", 1, 2), "pid": taken}, kernel("nvjet_gemm", 1, 2, 3), name])
    assert own_pid(events_of(render(_after(module)))) not in (None, taken, 0)


def test_the_process_is_one_that_the_file_does_not_have(tmp_path: Path) -> None:
    """A file that uses the number gets another."""
    taken = 1_000_000_007
    module = load_events(tmp_path, [{**op("a", 1, 2), "pid": taken}, kernel("nvjet_gemm", 1, 2, 3)])
    assert own_pid(events_of(render(_after(module)))) not in (None, taken, 0)


def test_the_process_comes_first(small: tir.Module) -> None:
    """Its index sorts it above all of the file's."""
    events = events_of(render(_after(small)))
    (index,) = (
        e["args"]["sort_index"] for e in events if e["name"] == "process_sort_index" and e["pid"] == own_pid(events)
    )
    assert index < -1000


def test_a_tree_of_a_stranger_shows_up(small: tir.Module) -> None:
    """Regions that nobody here knows become slices, columns their arguments; crossing ones lie on two rows."""
    work = np.flatnonzero(small.work)
    leaf = np.full(len(small), -1)
    leaf[work] = [1, 2, 1]
    regions = [Region("batch", "both"), Region("half", "half.0", 0, 0), Region("half", "half.1", 1, 0)]
    module = small.with_tree("halves", regions, leaf)
    item = Annotation("toy.weight", "region:halves", "i64", "ns", doc="Of a toy.")
    module = module.with_columns({"toy.weight": np.array([1, 2, tir.NULL_I64])}, domain="region:halves")
    tree = Annotation("tree.halves", dtype="id", doc="Of a toy.")
    written = {item.name: Written(item, None), tree.name: Written(tree, None)}
    module = attrs.evolve(module, annotations=written)
    found = tracks(events_of(render(module)))
    halves = [(e["name"], e["ts"], e["dur"]) for e in found["gpu0 halves"]]
    assert halves == [("both", 120.0, 80.002), ("half.0", 120.0, 80.002), ("half.1", 160.0, 20.0)]
    assert [e["args"].get("weight_ns") for e in found["gpu0 halves"]] == [1, 2, None]
    assert [e["args"]["events"] for e in found["gpu0 halves"]] == [3, 2, 1]


def test_stale_findings_are_not_shown(small: tir.Module) -> None:
    """After the times have changed nothing of the old gaps is left."""
    module = _after(small)
    later = module.with_columns({"ts": module["ts"] + 1})
    assert tracks(events_of(render(later))) == {}


def test_options_choose_what_is_added(small: tir.Module) -> None:
    """One sort, or nothing at all."""
    assert list(tracks(events_of(render(_after(small), add=("gaps",))))) == ["gpu0 gaps"]
    assert own(events_of(render(_after(small), add=()))) == []
    with pytest.raises(tir.UsageError, match="add of chrome"):
        render(small, add=("everything",))


def test_command_line_writes_a_trace(tmp_path: Path) -> None:
    """`--emit chrome` with options, into a file."""
    out = tmp_path / "out.json"
    example = str(ROOT / "examples" / EXAMPLES[0])
    assert main(["run", "--emit", "chrome{add=gaps+trees,min_gap=5us}", "-o", str(out), example]) == 0
    names = list(tracks(events_of(out.read_text("utf-8"))))
    assert [name for name in names if "(" not in name] == ["gpu0 steps", "gpu0 layers", "gpu0 gaps"]


def test_a_file_that_changed_is_refused(small: tir.Module, tmp_path: Path) -> None:
    """The text is read again, so it has to be the one that was loaded."""
    (tmp_path / "trace.json").write_text("{}", "utf-8")
    with pytest.raises(tir.InputError, match="changed since it was loaded"):
        render(small)


@pytest.mark.parametrize("ph", ["X", "B", "i", "s", "f", "C", "b"])
@pytest.mark.parametrize("cat", ["traceir", "traceir.sync", "TRACEIR"])
def test_the_frontend_reads_nothing_of_what_is_added(ph: str, cat: str) -> None:
    """Neither as work nor as a range nor as a flow; a category that only begins like it is read."""
    assert classify(ph, cat, 1).action == "drop"
    assert classify(ph, "traceirs", 1).action != "drop"
