"""A vendor's own overlap analysis beside ours: derived lanes of a module, and lanes of a Chrome document."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import numpy as np
import pytest

import traceir as tir
from tests.build import Ev, module
from traceir.passing import to_json
from traceir_passes.overlap import OverlapReport

ALL_REDUCE = "hcom_allReduce__586_0_1"
WORK = [
    Ev("dev.kernel", "MatMulV2", 0, 100, "gpu0.s7"),
    Ev("dev.kernel", ALL_REDUCE, 80, 100, "gpu0.s9"),
    Ev("dev.memcpy", "Memcpy DtoD", 200, 20, "gpu0.s7"),
    Ev("dev.kernel", "MatMulV2", 300, 50, "gpu0.s7"),
]
VENDOR = [
    ("Computing", 0, 100), ("Computing", 300, 50), ("Communication", 80, 110),
    ("Communication(Not Overlapped)", 100, 90), ("Free", 190, 110),
]  # fmt: skip


def reported(item: tir.Module) -> OverlapReport:
    manager = tir.PassManager.parse("overlap")
    report = manager.reports(manager.run(item))["overlap"]
    assert isinstance(report, OverlapReport)
    return report


def with_lanes(device: int | None = 0, kind: str = "derived") -> tir.Module:
    """The work, and the vendor's lanes as a frontend of its own would make them."""
    item = module([*WORK, *(Ev("dev.range", name, ts, dur, f"cpu.{name}") for name, ts, dur in VENDOR)])
    lanes = []
    for lane in item.lanes:
        own = lane.name.startswith("cpu.")
        name = "overlap." + lane.name[4:].lower().replace("(", ".").replace(")", "").replace(" ", "_")
        made = tir.Lane(name, kind, device=device, label=lane.name[4:])  # type: ignore[arg-type]
        lanes.append(made if own else lane)
    return attrs.evolve(item, lanes=tuple(lanes))


def test_each_class_is_compared() -> None:
    """The vendor saw 10 ns more of the collective; copies are free by its definition, so they are in ours."""
    rows = {row.cls: row for row in reported(with_lanes()).vendor}
    assert {cls: (row.device, row.spans, row.vendor_ns, row.ours_ns) for cls, row in rows.items()} == {
        "computing": (0, 2, 150, 150),
        "communication": (0, 1, 110, 100),
        "not_overlapped": (0, 1, 90, 80),
        "free": (0, 1, 110, 120),
    }
    assert [(row.difference_ns, row.only_vendor_ns, row.only_ours_ns) for row in rows.values()] == [
        (0, 0, 0), (10, 10, 0), (10, 10, 0), (-10, 0, 10),
    ]  # fmt: skip


def test_the_vendor_s_lanes_are_no_work() -> None:
    """They change none of our figures."""
    assert reported(with_lanes()).devices == reported(module(WORK)).devices


def test_lanes_without_a_device_belong_to_the_only_one() -> None:
    """With two devices nobody knows whose they are: the vendor's figure stands alone."""
    assert {row.device for row in reported(with_lanes(None)).vendor} == {0}
    item = with_lanes(None)
    number = next(at for at, lane in enumerate(item.lanes) if lane.name == "gpu0.s9")
    lanes = tuple(attrs.evolve(lane, device=1) if at == number else lane for at, lane in enumerate(item.lanes))
    rows = reported(attrs.evolve(item, lanes=lanes)).vendor
    assert [(row.device, row.ours_ns, row.difference_ns) for row in rows] == [(None, None, None)] * 4
    assert [row.vendor_ns for row in rows] == [150, 110, 90, 110]


@pytest.mark.parametrize("kind", ["host.thread", "counter"])
def test_other_lanes_of_such_a_name_are_not_meant(kind: str) -> None:
    """A thread that somebody calls Computing is a thread."""
    assert reported(with_lanes(kind=kind)).vendor == ()


def test_removed_rows_do_not_count() -> None:
    """A row of the vendor's that a pass has removed is not compared."""
    item = with_lanes()
    names = [text or "" for text in item.strings.decode(item["name"])]
    gone = item.with_columns({"live": np.array([name != "Free" for name in names])})
    assert "free" not in {row.cls for row in reported(gone).vendor if row.spans}


def test_lanes_of_a_chrome_document(tmp_path: Path) -> None:
    """A process Overlap Analysis whose threads are named by class, as in a trace view."""
    threads = list(dict.fromkeys(name for name, _, _ in VENDOR))
    events = [
        {"ph": "M", "name": "process_name", "pid": 900, "tid": 0, "args": {"name": "Overlap Analysis"}},
        *(
            {"ph": "M", "name": "thread_name", "pid": 900, "tid": at, "args": {"name": name}}
            for at, name in enumerate(threads)
        ),
        *(
            {"ph": "X", "name": name, "pid": 900, "tid": threads.index(name), "ts": ts / 10, "dur": dur / 10}
            for name, ts, dur in VENDOR
        ),
        *(
            {
                "ph": "X", "cat": "gpu_memcpy" if one.kind == "dev.memcpy" else "kernel", "name": one.name, "pid": 0,
                "tid": int(one.lane[-1]), "ts": one.ts / 10, "dur": one.dur / 10,
                "args": {"device": 0, "stream": int(one.lane[-1])},
            }
            for one in WORK
        ),
    ]  # fmt: skip
    path = tmp_path / "trace_view.json"
    path.write_text(json.dumps({"traceEvents": events}), "utf-8")
    report = reported(tir.load(path, frontend="kineto"))
    assert {row.cls: (row.vendor_ns, row.ours_ns) for row in report.vendor} == {
        "computing": (15_000, 15_000), "communication": (11_000, 10_000), "not_overlapped": (9_000, 8_000),
        "free": (11_000, 12_000),
    }  # fmt: skip


def test_the_page_and_json_show_the_difference() -> None:
    """A table of the classes; nothing where a trace has no such lanes."""
    report = reported(with_lanes())
    (block,) = [block for block in report.blocks() if block.title.startswith("the vendor")]
    assert block.rows[1] == ("0", "communication", "110 ns", "100 ns", "10 ns", "0 ns")
    assert to_json(report)["vendor"][3]["difference_ns"] == -10
    assert not any(one.title.startswith("the vendor") for one in reported(module(WORK)).blocks())
