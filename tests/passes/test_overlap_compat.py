"""`overlap{compat=…}`: other tools' figures, by their definitions, on made modules and beside the tools themselves."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

import traceir as tir
from tests.benchmarks.test_tile import _script
from tests.build import Ev, module
from tests.conftest import SHORT
from traceir.passing import to_json
from traceir.testing import modules
from traceir_passes.overlap import Overlap, OverlapReport
from traceir_passes.overlap.compat.figures import COMM, COMPUTE, KEYS, figures

ENVIRONMENT = {"hta": "TRACEIR_HTA_PYTHON", "tracelens": "TRACEIR_TRACELENS_PYTHON"}
"""Variables that name a Python in which a tool is installed; without one, the Python that runs the tests is asked."""
Load = Callable[[str], tir.Module]


def compared(item: tir.Module, *tools: Any, **options: Any) -> OverlapReport:
    """The report of `overlap` that compares with some tools; its laws hold."""
    wanted = Overlap(compat=tools, **options)
    manager = tir.PassManager((wanted,))
    done = manager.run(item)
    assert wanted.check(done) == []
    report = manager.reports(done)["overlap"]
    assert isinstance(report, OverlapReport)
    return report


# --- beside the tools ----------------------------------------------------------------------------------------


@cache
def _tool(tool: str) -> tuple[Any, str]:
    """The script that runs a tool, and a Python that has it; the test is skipped where there is none."""
    script = _script("agree")
    python = os.environ.get(ENVIRONMENT[tool], sys.executable)
    if not script.installed(tool, python):
        pytest.skip(f"{tool} is not installed (set {ENVIRONMENT[tool]} to a Python that has it)")
    return script, python


@pytest.mark.parametrize("tool", ENVIRONMENT)
@pytest.mark.parametrize("name", SHORT)
def test_figures_are_those_that_the_tool_prints(shared: Callable[[str], Path], name: str, tool: str) -> None:
    """Every figure of every shared trace that the tool can read, NaN and failed assertions among them."""
    path = shared(name)
    script, python = _tool(tool)
    theirs = script.measured(tool, python, path)
    if isinstance(theirs, str):
        pytest.skip(f"{tool} cannot read it: {theirs}")
    assert script.differences(tool, theirs, script.worked_out(tool, path)) == []


# Measured with HolisticTraceAnalysis 0.5.0: idle, compute, other, span in us, and the overlap in percent.
HTA = {
    "b200": (73669, 10153, 664, 84486, 0.0),
    "bert_h100": (3653, 252, 2, 3907, None),
    "dlrm": (6419, 1034, 5556, 13009, 4.5),
    "nccl": (338781, 75169, 21636, 435586, 14.31),
    "qwen_h100": (None, None, None, None, None),
    "s0": (321378, 106252, 172428, 600058, 11.81),
    "s1": (328671, 135548, 136455, 600674, 20.05),
    "sgl_dec": (464534, 9205, 10, 473749, None),
    "triton": (27, 12574, 0, 12601, None),
}


@pytest.mark.parametrize("name", HTA)
def test_figures_of_hta_are_the_measured_ones(load_shared: Load, name: str) -> None:
    """Rounding inward, the dropped last step, names by `nccl` and a failing assertion included."""
    (item,) = compared(load_shared(name), "hta").compat
    assert tuple(item.reported.values()) == HTA[name]


@pytest.mark.parametrize(
    ("name", "busy_us"), [("qwen_h100", 31905.473), ("bert_h100", 309.437), ("s0", None), ("b200", 11596.482)]
)
def test_figures_of_tracelens_are_the_known_ones(load_shared: Load, name: str, busy_us: float | None) -> None:
    """Kernels without a launch arrow are dropped; without any arrow it stops."""
    (item,) = compared(load_shared(name), "tracelens").compat
    assert item.reported["busy_time(us)"] == busy_us
    block = next(block for block in compared(load_shared(name), "tracelens").blocks() if "compared" in block.title)
    assert (block.rows[1][-1] == "tracelens stops") == (busy_us is None)


def test_what_a_name_rule_misses_is_said_with_its_time(load_shared: Load) -> None:
    """The 73 all-reduces that are not named nccl, and what that makes of compute and communication."""
    report = compared(load_shared("b200"), "hta", "tracelens")
    for item in report.compat:
        (reason,) = [one for one in item.reasons if one.reason.startswith("all-reduce")]
        assert reason.events == 73
        assert (reason.change["compute_ns"], reason.change["comm_ns"]) == (2_119_548, -2_119_548)
    (added,) = [one for one in report.compat[0].reasons if "host.op" in one.reason]
    assert added.events == 1
    assert report.devices[0].comm_ns == 2_141_501  # ours stay


# --- made modules --------------------------------------------------------------------------------------------


def traced(tmp_path: Path, events: list[dict[str, Any]]) -> tir.Module:
    """A Kineto document of these events, loaded."""
    path = tmp_path / "trace.json"
    path.write_text(json.dumps({"traceEvents": events}), "utf-8")
    return tir.load(path)


def kernel(name: str, ts: float, dur: float, stream: int = 7, corr: int = -1, cat: str = "kernel") -> dict[str, Any]:
    args = {"stream": stream, "device": 0, **({"correlation": corr} if corr >= 0 else {})}
    return {"ph": "X", "cat": cat, "name": name, "pid": 0, "tid": stream, "ts": ts, "dur": dur, "args": args}


def call(ts: float, corr: int) -> dict[str, Any]:
    return {
        "ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 9, "tid": 9, "ts": ts, "dur": 1,
        "args": {"correlation": corr},
    }  # fmt: skip


def step(number: int, ts: float, dur: float) -> dict[str, Any]:
    name = f"ProfilerStep#{number}"
    return {"ph": "X", "cat": "user_annotation", "name": name, "pid": 9, "tid": 9, "ts": ts, "dur": dur, "args": {}}


def arrow(corr: int, stream: int = 7) -> list[dict[str, Any]]:
    return [
        {"ph": "s", "cat": "ac2g", "name": "ac2g", "id": corr, "pid": 9, "tid": 9, "ts": 1},
        {"ph": "f", "cat": "ac2g", "name": "ac2g", "id": corr, "pid": 0, "tid": stream, "ts": 2, "bp": "e"},
    ]


ALL_REDUCE = "ncclDevKernel_AllReduce_Sum_bf16_RING_LL"


def test_hta_rounds_inward_and_drops_the_last_step(tmp_path: Path) -> None:
    """Of [10.5, 20.5) stays [11, 20); what the last step launched, and what nobody did, is not there."""
    events = [
        step(1, 0, 50), step(2, 50, 50), call(1, 1), call(2, 2), call(50, 3),
        kernel("gemm", 10.5, 10, 7, 1), kernel(ALL_REDUCE, 15.25, 10, 8, 2), kernel("gemm", 70.5, 5, 7, 3),
        kernel("gemm", 90, 5, 7, 99),
    ]  # fmt: skip
    report = compared(traced(tmp_path, events), "hta")
    (item,) = report.compat
    assert (item.theirs["compute_ns"], item.theirs["comm_ns"], item.theirs["overlap_ns"]) == (9000, 9000, 4000)
    assert item.reported["comp_comm_overlap_pctg"] == 44.44
    assert (item.ours["compute_ns"], item.ours["overlap_ns"]) == (20_000, 5_250)
    assert [(one.events, one.change["compute_ns"]) for one in item.reasons] == [(2, -10_000), (2, -1000)]


def test_hta_counts_what_has_a_stream(tmp_path: Path) -> None:
    """A wait and a range on a stream compute, by its reading; a copy is memory, a synchronisation nothing."""
    events = [
        kernel(ALL_REDUCE, 0, 10, 8), kernel("Stream Wait Event", 0, 5, 7, cat="cuda_sync"),
        kernel("layer", 5, 3, 7, cat="gpu_user_annotation"), kernel("Memcpy DtoD (Device -> Device)", 8, 1, 9,
                                                                    cat="gpu_memcpy"),
        kernel("Stream Sync", 9, 1, 7, cat="cuda_sync"),
    ]  # fmt: skip
    (item,) = compared(traced(tmp_path, events), "hta").compat
    assert (item.theirs["compute_ns"], item.theirs["overlap_ns"], item.theirs["memory_ns"]) == (8000, 8000, 1000)
    assert {one.reason.partition(",")[0]: one.events for one in item.reasons} == {"event.wait": 1, "dev.range": 1} | {
        "event.wait": 1
    }


def test_hta_of_the_main_branch_knows_more_names(tmp_path: Path) -> None:
    """A kernel whose name begins with hip communicates there, and computes by the release."""
    item = traced(tmp_path, [kernel("hipblaslt_gemm", 0, 10), kernel("hcclKernel", 20, 5)])
    release, main = compared(item, "hta", "hta_main").compat
    assert (release.theirs["comm_ns"], main.theirs["comm_ns"]) == (0, 15_000)


def test_tracelens_drops_what_no_arrow_links_and_counts_memsets_as_compute(tmp_path: Path) -> None:
    """An arrow links the last event of its correlation on the stream where it ends; copies hide nothing."""
    events = [
        call(1, 1), *arrow(1), kernel("gemm", 10, 10, 7, 1), call(2, 2), kernel("gemm", 30, 10, 7, 2), call(3, 3),
        *arrow(3, 8), kernel("cross_device_reduce_1stage<c10::BFloat16>", 12, 4, 8, 3), call(4, 4), *arrow(4, 9),
        kernel("Memset (Device)", 22, 5, 9, 4, "gpu_memset"), kernel(ALL_REDUCE, 50, 5, 8),
        call(5, 5), *arrow(5, 6)[1:], kernel("gemm", 60, 5, 6, 5),  # an arrow that begins nowhere
    ]  # fmt: skip
    (item,) = compared(traced(tmp_path, events), "tracelens").compat
    assert (item.theirs["compute_ns"], item.theirs["comm_ns"], item.theirs["overlap_ns"]) == (15_000, 4_000, 4_000)
    assert (item.theirs["busy_ns"], item.theirs["span_ns"]) == (15_000, 17_000)
    dropped = {one.reason.partition(" ")[0]: one.events for one in item.reasons if "arrow" in one.reason}
    assert dropped == {"compute": 2, "communication": 1}


def test_without_a_file_the_columns_say_it() -> None:
    """A module made by hand: launches are the links, lanes the streams."""
    item = module(
        [
            Ev("rt.launch", "cudaLaunchKernel", 0, 5, "cpu.main"),
            Ev("dev.kernel", ALL_REDUCE, 10_000, 10_000, launch=0),
            Ev("dev.kernel", "nvjet_gemm", 15_000, 10_000, "gpu0.s9"),
        ]
    )
    hta, lens = compared(item, "hta", "tracelens").compat
    assert (hta.theirs["overlap_ns"], hta.theirs["busy_ns"]) == (5_000, 15_000)
    assert (lens.theirs["comm_ns"], lens.theirs["compute_ns"]) == (10_000, 0)


def test_several_devices_are_one_to_the_tools() -> None:
    """Compute of another device hides communication, by their reading; and ours is told in the same way."""
    item = module([Ev("dev.kernel", ALL_REDUCE, 0, 10_000), Ev("dev.kernel", "nvjet_gemm", 0, 10_000, "gpu1.s7")])
    report = compared(item, "hta")
    assert report.compat[0].devices == 2
    assert report.compat[0].theirs["overlap_ns"] == report.compat[0].ours["overlap_ns"] == 10_000
    assert [device.overlap_ns for device in report.devices] == [0, 0]


def test_nothing_is_read_and_nothing_said_unless_it_is_asked_for(load_shared: Load) -> None:
    """Without the option there is no comparison, in text or JSON."""
    report = compared(module([Ev("dev.kernel", ALL_REDUCE, 0, 10)]))
    assert report.compat == ()
    assert not any(block.title.startswith("compared") for block in report.blocks() or ())


def test_the_page_shows_both_and_why() -> None:
    """A table for each tool: ours, theirs, and the reasons, the weightiest first."""
    item = module(
        [Ev("dev.kernel", "void multimem_all_reduce_kernel<c10::BFloat16>()", 0, 9_500), Ev("dev.memset", "M", 90, 30)]
    )
    report = compared(item, "hta", "tracelens")
    blocks = [block for block in report.blocks() or () if block.title.startswith("compared with")]
    assert [block.title for block in blocks] == ["compared with hta 0.5.0", "compared with tracelens 171dd74"]
    assert blocks[0].rows[0][:2] == ("ours", "9.5 µs")
    assert blocks[0].rows[1][:2] == ("hta", "0 ns")
    assert blocks[0].rows[2][0] == "1 event"
    assert blocks[0].rows[2][-1] == "all-reduce is communication and counts as compute by its name"
    data = to_json(report)["compat"][0]
    assert set(data["ours"]) == set(KEYS)
    assert all(key.endswith("_ns") for one in data["reasons"] for key in one["change"])


def test_an_interval_turned_round_keeps_its_negative_length() -> None:
    """[1000, 0) is a run of its own unless something reaches up to it; that is what the tools sum up."""
    import numpy as np

    cls = np.array([COMPUTE, COMPUTE, COMM])
    found = figures(cls, np.array([0, 5000, 0]), np.array([3000, 4000, 3000]))
    assert (found["compute_ns"], found["overlap_ns"], found["busy_ns"]) == (2000, 3000, 2000)


@given(modules(max_events=8, annotations=False, tables=False))
def test_reasons_explain_the_whole_difference_on_any_module(item: tir.Module) -> None:
    """To the ns, whatever the module holds; where its times do not fit, there is no comparison."""
    for one in compared(item, "hta", "tracelens").compat:
        for key in KEYS:
            assert one.ours[key] + sum(reason.change[key] for reason in one.reasons) == one.theirs[key]
        assert one.ours["span_ns"] >= one.ours["busy_ns"] >= 0
