"""Files that mean harm, or were hit by it: each ends with the right exit code and one sentence."""

from __future__ import annotations

import csv
import gzip
import json
import sqlite3
from decimal import localcontext
from pathlib import Path
from typing import Any

import pytest

import traceir as tir
from traceir.cli.main import main

HUGE = "9" * 5000


def stacks(**profile: Any) -> str:
    """A speedscope file of one sample, changed by `profile`."""
    sampled = {"samples": [[0]], "weights": ["W"]}
    one = {"type": "sampled", "name": "x", "unit": "seconds", "startValue": 0, "endValue": 1, **sampled, **profile}
    shared = {"frames": [{"name": "f"}]}
    return json.dumps({"$schema": "https://www.speedscope.app/file-format-schema.json", "shared": shared,
                       "profiles": [one]})  # fmt: skip


def weighing(weight: str) -> str:
    """A speedscope file whose one sample has this weight, as JSON."""
    return stacks().replace('"W"', weight)


def kernels(*rows: dict[str, str]) -> str:
    """The CSV of Nsight Compute, a kernel per row."""
    usual = {
        "ID": "0", "Process ID": "1", "Process Name": "p", "Host Name": "h", "Kernel Name": "k", "Context": "1",
        "Stream": "7", "Block Size": "(1, 1, 1)", "Grid Size": "(1, 1, 1)", "Device": "0", "CC": "9",
        "Section Name": "s", "Metric Name": "Duration", "Metric Unit": "ns", "Metric Value": "5",
    }  # fmt: skip
    lines = [list(usual), *(list((usual | row).values()) for row in rows)]
    return "".join(",".join(f'"{cell}"' for cell in line) + "\n" for line in lines)


FAR = [{"type": "O", "frame": 0, "at": -(1 << 62)}, {"type": "C", "frame": 0, "at": 1 << 62}]
MANY = "\n".join(f"a;b{number} 999999999999999999" for number in range(20))
ASCEND = (
    "Step Id,Name,Type,Accelerator Core,Start Time(us),Duration(us),Wait Time(us),Block Dim,Device_id,Stream ID,"
    "Task ID\n1,a,MatMul,AI_CORE,1736412474607917.240,5.1,0,1,0,1,1\n"
)
FTRACE = (
    f"# tracer: nop\n  a-{HUGE} [000] .... 1.000001: sched_switch: prev_comm=a prev_pid={HUGE} prev_prio=1 "
    f"prev_state={HUGE} ==> next_comm=b next_pid={HUGE} next_prio=1\n  a-1 [000] .... {HUGE}.1: x: y\n"
    f"  a-1 [000] .... 1.5: sched_switch: prev_comm=a prev_pid=1 prev_prio=1 prev_state={HUGE} ==> next_comm=b "
    f"next_pid={HUGE} next_prio=1\n  a-1 [000] .... 1.6: tracing_mark_write: C|{HUGE}|x|{HUGE}\n"
)
CASES: list[tuple[str, str, int, str]] = [
    ("weight beyond any exponent", weighing("1e999999999"), 3, "has the time 1E+999999999, which no clock shows."),
    ("weight of many digits", weighing("1" + "0" * 10_000), 3,
     "has the time 10000000000000000000, which no clock shows."),
    ("weight that is no number", weighing('"NaN"'), 3, "has the time NaN, which no clock shows."),
    ("weight that signals", weighing('"sNaN"'), 3, "has the time sNaN, which no clock shows."),
    ("times too far apart", stacks(type="evented", unit="nanoseconds", events=FAR, weights=[]), 3,
     "has the time -4.61169e+18, which no clock shows."),
    ("lists in lists", weighing("1")[:-1] + ', "x": ' + "[" * 100_000 + "]" * 100_000 + "}", 3,
     "is no speedscope profile: it nests lists or objects deeper than any; record it again."),
    ("counts that wrap", MANY, 3, "counts 19999999999999999980 samples of one thread, which no sampler took."),
    ("process of many digits", f'process {HUGE}:"x";f;g 1\n', 0, ""),
    ("superscript id", kernels({"ID": "²"}), 3,
     "has the header of a table and no kernel; record with ncu --csv again."),
    ("id of many digits", kernels({"ID": HUGE}), 3,
     "has the header of a table and no kernel; record with ncu --csv again."),
    ("superscript stream", kernels({"Stream": "²"}), 0, ""),
    ("grid of many digits", kernels({"Grid Size": f"({HUGE}, 1, 1)"}), 0, ""),
    ("duration beyond any exponent", kernels({"Metric Value": "1e999999999", "Metric Unit": "second"}), 0, ""),
    ("metric beyond any exponent", kernels({"Metric Name": "x", "Metric Value": "1e999999"}), 0, ""),
    ("kineto's time of many digits", json.dumps([{"ph": "X", "cat": "cpu_op", "ts": HUGE, "dur": 1, "name": "a"},
     {"ph": "X", "cat": "cpu_op", "ts": "5.5", "dur": HUGE, "pid": 1, "tid": 1, "name": "b"}]), 0, ""),
    ("Ascend's times of many digits", ASCEND + f"1,a,MatMul,AI_CORE,1e999999999,{HUGE},0,²,²,{HUGE},²\n", 0, ""),
    ("Ascend's timeline of many digits", json.dumps([
        {"ph": "X", "name": "a", "ts": "1e999999", "dur": HUGE, "args": {"connection_id": HUGE}},
        {"ph": "X", "pid": 1, "tid": 1, "name": "x", "ts": "1736412474607917.240", "dur": "1.000",
         "args": {"Task Type": "AI_CORE", "Physic Stream Id": "²", "Input Shapes": f"{HUGE},²", "Block Dim": HUGE}},
     ]), 0, ""),
    ("ftrace's numbers of many digits", FTRACE, 0, ""),
    ("durations that wrap", kernels(*({"ID": str(at), "Metric Value": str((1 << 62) - 5)} for at in range(5))), 3,
     "has kernels that took 23058430092136939495 ns together, which no clock shows."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "code", "said"), CASES, ids=[case[0] for case in CASES])
def test_texts_end_with_one_sentence(
    name: str, text: str, code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through the command line, with passes, plain and gzip with the zeros that tapes add."""
    for content in (text.encode(), gzip.compress(text.encode()) + bytes(512)):
        file = tmp_path / "trace"
        file.write_bytes(content)
        assert main(["run", "--passes", "group,overlap,gaps", str(file)]) == code, capsys.readouterr().err
        assert capsys.readouterr().err == (f"traceir: The input {file} {said}\n" if said else "")


@pytest.mark.parametrize(("start", "end"), [(-(1 << 62), 1 << 62), (-(1 << 63) + 1, (1 << 63) - 1), (0, 1 << 63)])
def test_times_of_a_database_cannot_wrap(start: int, end: int, tmp_path: Path) -> None:
    """A row whose times no clock shows is left out and counted, or has no length."""
    connection = sqlite3.connect(tmp_path / "a.sqlite")
    connection.execute("CREATE TABLE StringIds (id INTEGER, value TEXT)")
    columns = ("start", "end", "deviceId", "contextId", "streamId", "correlationId", "globalPid", "shortName")
    connection.execute(f"CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL ({', '.join(f'{name} INTEGER' for name in columns)})")
    for row in ((start, float(end), 0, 1, 7, 1, 0, 1), (5, 9, 0, 1, 7, 2, 0, 1)):
        connection.execute("INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    connection.commit()
    connection.close()
    module = tir.load(tmp_path / "a.sqlite")
    assert not [item for item in tir.verify(module) if item.level == "error"]
    assert {"repaired"} & {item.code for item in module.health} or int(module["dur"].max()) <= 1 << 62


def test_sums_of_weights_are_exact_whatever_the_callers_arithmetic(tmp_path: Path) -> None:
    """Decimal precision belongs to the program that asks; a million hundredths of a second make ten thousand."""
    file = tmp_path / "trace"
    file.write_text(stacks(samples=[[0], []] * 500, weights=[0.013] * 1000))
    with localcontext() as context:
        context.prec = 3
        module = tir.load(file)
    assert set(module["dur"].tolist()) == {13_000_000}
    assert int(module["ts"][-1]) == 998 * 13_000_000


def test_reading_tables_leaves_the_limit_of_the_process_alone(tmp_path: Path) -> None:
    """The library changes no global state."""
    before = csv.field_size_limit()
    file = tmp_path / "trace"
    file.write_text(kernels({}))
    tir.load(file)
    assert csv.field_size_limit() == before


def test_a_stream_for_each_kernel_is_no_square(tmp_path: Path) -> None:
    """Lanes are found by their key: four times the kernels take about four times as long."""
    from traceir_frontends.ncu.lower import lower
    from traceir_frontends.ncu.table import read

    text = kernels(*({"ID": str(at), "Stream": str(at)} for at in range(3000)))
    module = lower("x", read("x", text), 0, None)
    assert len(module.lanes) == len(module) == 3000


def test_lines_end_where_the_profiler_ends_them(tmp_path: Path) -> None:
    """A frame may hold a separator of Unicode, which is no end of a line."""
    file = tmp_path / "trace"
    file.write_bytes("a;b\u2028c 3\r\nx;y\x0c 4\r\n".encode())
    module = tir.load(file)
    assert {event.name for event in map(module.event, range(len(module)))} == {"a", "b\u2028c", "x", "y"}
