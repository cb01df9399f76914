"""Nsight Compute: both pages of the CSV, with whatever the program printed before it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import traceir as tir
from tests.frontends.texts import listing
from traceir.errors import InputError
from traceir_frontends.ncu.table import value_of

IDS = ["ID", "Process ID", "Process Name", "Host Name", "Kernel Name", "Context", "Stream", "Block Size", "Grid Size",
       "Device", "CC"]  # fmt: skip
DETAILS = [*IDS, "Section Name", "Metric Name", "Metric Unit", "Metric Value", "Rule Name", "Rule Type",
           "Rule Description", "Estimated Speedup Type", "Estimated Speedup"]  # fmt: skip
GEMM = "void cutlass::Kernel2<cutlass_80_tensorop_bf16_s16816gemm_bf16_128x128_32x4_tn_align8>(Params)"


def ids(number: int, name: str = GEMM, process: int = 7, stream: int = 7) -> list[str]:
    """The fields by which a row names its kernel."""
    return [str(number), str(process), "app", "host", name, "1", str(stream), "(128, 1, 1)", "(9, 32, 1)", "0", "9.0"]


def metric(number: int, name: str, value: str, unit: str = "ns", **more: Any) -> list[str]:
    """A row of a metric in the page details, which has no fields of rules."""
    return [*ids(number, **more), "Section", name, unit, value, ""]


def text(*rows: Sequence[str]) -> str:
    """The rows as CSV, every field quoted, as the profiler writes them."""
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return out.getvalue()


def load(path: Path, content: str) -> tir.Module:
    """The module of a file of this text."""
    file = path / "report.csv"
    file.write_text(content, encoding="utf-8")
    return tir.load(file)


BEFORE = '==PROF== Connected to process 7\nmy program, printing "ID" and 1,2,3\n==PROF== Disconnected\n'


def test_page_details(tmp_path: Path) -> None:
    """A kernel for each id, metrics in base units, rules as advice; the program's own lines are passed over."""
    rule = [*ids(0), "Section", "", "", "", "Rule", "INF", "Use larger tiles.", "", ""]
    module = load(
        tmp_path,
        BEFORE
        + text(
            DETAILS, metric(0, "Duration", "406,240"), metric(0, "DRAM Throughput", "0.74", "%"), rule,
            metric(1, "Duration", "2.5", "usecond"), metric(1, "Registers Per Thread", "168", "register/thread"),
        ),
    )  # fmt: skip
    assert [(event.name, event.kind, event.ts, event.dur) for event in module.kernels] == [
        (GEMM, "dev.kernel", 0, 406_240), (GEMM, "dev.kernel", 406_240, 2_500),
    ]  # fmt: skip
    assert [(lane.name, lane.device, lane.stream) for lane in module.lanes] == [("gpu0.s7", 0, 7)]
    first = module.event(0)
    assert first.field("grid") == [9, 32, 1]
    assert first.args["metrics"] == {"Duration": 406240, "DRAM Throughput": 0.74}
    assert first.args["advice"] == ["Use larger tiles."]
    assert module.event(1).field("registers") == 168
    assert [item.code for item in module.health] == ["no_clock"]
    assert not tir.verify(module)


def test_page_raw(tmp_path: Path) -> None:
    """A column per metric, whose units stand in a second line."""
    names = ["gpu__time_duration.sum", "dram__bytes.sum.per_second", "sm__throughput.avg.pct_of_peak_sustained_elapsed"]
    units = [*[""] * len(IDS), "usecond", "Gbyte/second", "%"]
    module = load(tmp_path, text([*IDS, *names], units, [*ids(0), "1.25", "2", "50.5"], [*ids(1), "3", "n/a", "1"]))
    assert module["dur"].tolist() == [1_250, 3_000]
    assert module.event(0).args["metrics"] == dict(zip(names, [1250, 2_000_000_000, 50.5], strict=True))
    assert module.event(1).args["metrics"][names[1]] == "n/a"


def test_processes_do_not_mix(tmp_path: Path) -> None:
    """Ids start again in each process."""
    rows = [metric(0, "Duration", "5", process=process) for process in (7, 8)]
    module = load(tmp_path, text(DETAILS, *rows))
    assert [lane.name for lane in module.lanes] == ["gpu0.s7.p7", "gpu0.s7.p8"]


VALUES = [
    ("1,024", "byte", Decimal(1024), "B"), ("2.5", "Mbyte", Decimal(2_500_000), "B"),
    ("12.5", "%", Decimal("12.5"), "%"),
    ("1.2", "Ghz", Decimal(1_200_000_000), "Hz"), ("3", "cycle/usecond", Decimal(3_000_000), "Hz"),
    ("n/a", "", None, ""), ("(!) nan", "%", None, "%"), ("nan", "%", None, "%"), ("PolicySpread", "", None, ""),
    ("7", "register/thread", Decimal(7), "register/thread"),
]  # fmt: skip


@pytest.mark.parametrize(("shown", "unit", "number", "base"), VALUES)
def test_values(shown: str, unit: str, number: Decimal | None, base: str) -> None:
    """Numbers come to their base unit; what is no number has none."""
    found = value_of(shown, unit)
    assert (found.number, found.unit, found.text) == (number, base, shown)


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    """A kernel without a duration, and lines that are no row."""
    module = load(tmp_path, text(DETAILS, metric(0, "DRAM Throughput", "1", "%")) + "==WARNING== something\n")
    assert [(item.code, item.count) for item in module.health] == [("no_clock", 1), ("no_dur", 1), ("unreadable", 1)]
    assert module["dur"].tolist() == [0]


WRONG = [
    (
        "==PROF== Connected\nhello\n",
        'holds no table of Nsight Compute: no line begins with "ID",; record with ncu --csv.',
    ),
    (text(["ID", "Kernel Name"]), "has a table without the column Process ID, so it is none of ncu's."),
    (text(DETAILS), "has the header of a table and no kernel; record with ncu --csv again."),
]


@pytest.mark.parametrize(("content", "message"), WRONG)
def test_messages(tmp_path: Path, content: str, message: str) -> None:
    """What holds no kernel is refused with what to do."""
    file = tmp_path / "report.csv"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        tir.load(file, frontend="ncu")
    assert str(caught.value) == f"The input {file} {message}"


def test_a_binary_report_is_refused_with_the_command(tmp_path: Path) -> None:
    """Its format is not public; the sentence says how to export it."""
    file = tmp_path / "report.ncu-rep"
    file.write_bytes(b"NVR\x00" + bytes(64))
    with pytest.raises(InputError) as caught:
        tir.load(file)
    assert str(caught.value) == (
        f"The input {file} is an Nsight Compute report, whose format is not public; export it with: ncu --import "
        f"{file} --csv --page raw --print-units base > report.csv"
    )


def test_golden(tmp_path: Path, golden: Callable[[str, str], None]) -> None:
    """The whole module as text, arguments included."""
    rows = [metric(0, "Duration", "1,024"), metric(0, "SM Busy", "37.5", "%"), metric(1, "Duration", "n/a", stream=13)]
    golden("frontends/ncu.tir", listing(load(tmp_path, BEFORE + text(DETAILS, *rows))))


def test_shared_file(shared: Any) -> None:
    """A real report with lines of the program and of the profiler before it."""
    module = tir.load(shared("ncu/superbench_cublaslt_gb200_details_with_prof_lines.csv.log"))
    (kernel,) = module.kernels
    assert (kernel.dur, kernel.field("registers")) == (406_240, 168)
    assert kernel.args["metrics"]["Compute (SM) Throughput"] == 23.59
