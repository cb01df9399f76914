"""The pass critical-path: its parts, its columns on pages and in JSON, and what it says where it knows little."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given

import traceir as tir
from tests.build import Ev, annotate, module
from tests.conftest import ROOT
from traceir import synth
from traceir.ir import NULL_I64, Annotation, Written
from traceir.printers import Result, Style
from traceir.printers.chrome import Chrome
from traceir.testing import modules
from traceir_passes.critical_path import CriticalPath, CriticalPathReport

US = 1_000
EXAMPLE = ROOT / "examples" / "decoder_tp8_graph.json.gz"


def ran(item: tir.Module, passes: str = "", **options: Any) -> tuple[tir.Module, CriticalPathReport]:
    before = tir.PassManager.parse(passes).passes if passes else ()
    manager = tir.PassManager([*before, CriticalPath(**options)])
    after = manager.run(item)
    report = manager.reports(after)["critical-path"]
    assert isinstance(report, CriticalPathReport)
    return after, report


def launched(at: int, dur: int = 5 * US, lane: str = "cpu") -> Ev:
    return Ev("rt.launch", "cudaLaunchKernel", at, dur, lane)


def kernel(at: int, dur: int, call: int | None, lane: str = "gpu0.s7", name: str = "k") -> Ev:
    return Ev("dev.kernel", name, at, dur, lane, call)


@given(modules(trees=False, annotations=False, tables=False))
def test_laws_hold_on_any_module(item: tir.Module) -> None:
    """The parts sum to the span, whatever the times are; the manager checks that, and that no time is changed."""
    after, report = ran(item)
    assert sum(report.classes.values()) == report.span_ns
    assert report.span_ns == int(after["critical-path.lane_dur"].sum())
    assert after["ts"].tolist() == item["ts"].tolist()


def test_classes_of_the_path_sum_to_the_span_by_role_layer_and_host() -> None:
    """On a tensor-parallel decoder: roles make the classes of work, layers the work, and all the span of the module."""
    after, report = ran(tir.load(EXAMPLE), "group")
    assert sum(report.classes.values()) == report.span_ns == after.span_ns
    for cls in ("compute", "comm", "memory"):
        assert sum(item.time_ns for item in report.roles if item.cls == cls) == report.classes[cls]
    work = np.maximum(after["critical-path.time"], 0)[after.work]
    assert sum(item.time_ns for item in report.layers) == int(work.sum())
    assert {item.step for item in report.layers if item.name is not None} == {f"step.{i}" for i in range(4)}
    assert report.replay.reliable
    assert report.replay.error_share is not None
    assert abs(report.replay.error_share) < 0.01
    assert report.contradictions == ()


def test_hidden_communication_is_not_on_the_path(tmp_path: Path) -> None:
    """Where compute hides half of the all-reduces the path takes the longer way, and the hidden kernels have slack."""
    path = tmp_path / "t.json"
    options = synth.Decoder(layers=6, steps=2, launch="graph", tensor_parallel=8, comm_stream=True, overlap=0.95)
    synth.write(options, path)
    after, report = ran(tir.load(path), "group")
    reduces = after.is_in("infer.role", ["all-reduce"]) & after.work & (after["tree.layers"] >= 0)
    beside = after.is_in("group.label", ["post_norm", "gate_up_proj"])
    on = after["critical-path.time"] != NULL_I64
    assert on[reduces].sum() + on[beside].sum() > 0
    slack = after["critical-path.slack"]
    assert (slack[on & after.work] == 0).all()
    assert (slack[beside & ~on] > 0).all() or not (beside & ~on).any()
    assert report.classes["comm"] < int(after["dur"][reduces].sum())


def test_host_time_is_the_innermost_event_s() -> None:
    """Of the path's host part each event has what none of its children has."""
    items = [
        launched(0, US), kernel(2 * US, US, 0),
        Ev("host.op", "outer", 3 * US, 94 * US, "cpu"), Ev("host.op", "inner", 20 * US, 50 * US, "cpu"),
        launched(96 * US, US), kernel(98 * US, US, 4),
    ]  # fmt: skip
    after, report = ran(module(items))
    time = dict(zip(after["id"].tolist(), after["critical-path.time"].tolist(), strict=True))
    assert time[2] == (96 - 3 - 50) * US
    assert time[3] == 50 * US
    assert [(item.name, item.cls) for item in report.host] == [("inner", "host"), ("outer", "host")]


def test_the_path_over_two_devices_goes_through_the_last_member_of_a_collective() -> None:
    """A collective of two devices begins with its last member: the first one's wait has no time on the path."""
    items = [
        launched(0, US), kernel(10 * US, 10 * US, 0, "gpu0.s7"), launched(2 * US, US),
        kernel(12 * US, 90 * US, 2, "gpu1.s7"), launched(4 * US, US), kernel(21 * US, 100 * US, 4, "gpu0.s7", "reduce"),
        launched(6 * US, US), kernel(103 * US, 18 * US, 6, "gpu1.s7", "reduce"),
    ]  # fmt: skip
    instance = Annotation("coll.instance", dtype="id", unit="table:collectives", null="none")
    after, report = ran(annotate(module(items), instance, {**dict.fromkeys(range(8), -1), 5: 0, 7: 0}))
    time = dict(zip(after["id"].tolist(), after["critical-path.time"].tolist(), strict=True))
    assert time[3] == 90 * US
    assert max(time[5], 0) + max(time[7], 0) == 18 * US
    assert report.classes["comm"] == 18 * US
    slack = dict(zip(after["id"].tolist(), after["critical-path.slack"].tolist(), strict=True))
    assert slack[5] >= 82 * US, "the member that waited could have come as much later"


def test_waiting_for_other_ranks_is_told_where_collectives_know_it() -> None:
    """As a lower bound, of the communication on the path; without the pass collectives nothing is known."""
    item = tir.load(EXAMPLE)
    _, report = ran(item, "collectives")
    assert report.comm_wait_ns is not None
    without = ran(item)[1]
    assert without.comm_wait_ns is None
    assert report.comm_wait_ns == report.classes["comm_wait"] > 0
    assert report.classes["comm"] + report.classes["comm_wait"] == without.classes["comm"]


def waiting(wait: int, pieces: int = 1) -> tir.Module:
    """A kernel, then an all-reduce of 100 µs in some pieces, of which the first `wait` ns are known to be waiting."""
    items = [launched(0, US), kernel(10 * US, 10 * US, 0)]
    for at in range(pieces):
        items += [
            launched((2 + 2 * at) * US, US),
            kernel((21 + 100 * at // pieces) * US, 100 * US // pieces, 2 + 2 * at),
        ]
    item = module(items)
    item = item.with_table("collectives", {"coll.wait": np.array([wait])})
    declared = Written(Annotation("coll.wait", domain="table:collectives", dtype="i64", unit="ns"), None)
    item = attrs.evolve(item, annotations={**item.annotations, "coll.wait": declared})
    instance = Annotation("coll.instance", dtype="id", unit="table:collectives", null="none")
    members = dict.fromkeys(range(3, 2 + 2 * pieces, 2), 0)
    item = annotate(item, instance, {**dict.fromkeys(range(2 + 2 * pieces), -1), **members})
    return annotate(item, Annotation("coll.kind", dtype="enum", values=("all_reduce",), null="none"),
                    {**dict.fromkeys(range(2 + 2 * pieces), -1), **members})  # fmt: skip


@pytest.mark.parametrize("pieces", [1, 2])
@pytest.mark.parametrize("wait", [0, 30, 70, 100, 200])
def test_a_collective_is_parted_where_its_wait_ends(wait: int, pieces: int) -> None:
    """Its first part waits, the rest transfers, also where the wait ends in a later piece; the event has both."""
    after, report = ran(waiting(wait * US, pieces))
    assert report.classes["comm_wait"] == min(wait, 100) * US
    assert report.classes["comm"] == max(100 - wait, 0) * US
    names = [name for name in after.text("critical-path.lane_label") if name in ("comm", "comm_wait")]
    assert names == sorted(names, reverse=True), "waiting comes first"
    work = np.flatnonzero(after.work)[1:]
    assert after["critical-path.time"][work].sum() == 100 * US


def test_damage_that_leaves_gaps_in_doubt_leaves_the_path_in_doubt() -> None:
    """What makes all gaps unreliable makes the chain of waits unreliable, with the codes; other findings do not."""
    item = module([launched(0, US), kernel(2 * US, US, 0)])
    damaged = item.with_health(
        tir.Finding("sampled", "info", 1, "A tool has filtered it.", None, ("gaps",)),
        tir.Finding("clock_step", "error", 1, "A clock jumped.", None, ("module.span_ns",)),
    )
    after, report = ran(damaged)
    assert not report.replay.reliable
    assert report.replay.reason == "the findings clock_step and sampled leave open what waited for what"
    assert [found.message for found in after.health if found.code == "path_in_doubt"] == [
        "The findings clock_step and sampled leave open what waited for what: record again as described there."
    ]
    other = item.with_health(tir.Finding("orphan_launch", "info", 1, "Some.", None, ("group.steps",)))
    assert ran(other)[1].replay.reliable


def test_viewers_show_the_path_as_a_lane(tmp_path: Path) -> None:
    """One slice a part, by its class, with the event it is spent in."""
    items = [launched(0, US), kernel(2 * US, US, 0), launched(50 * US, US), kernel(52 * US, US, 2, name="last")]
    manager = tir.PassManager([CriticalPath()])
    out = io.StringIO()
    Chrome().write(Result(manager.run(module(items)), {}, ()), out, Style())
    slices = [row for row in json.loads(out.getvalue())["traceEvents"] if row.get("cat") == "traceir"]
    shown = [row["name"] for row in slices if "edge" in row.get("args", {})]
    assert shown == ["host", "call", "host", "launch", "compute"] or shown[-2:] == ["launch", "compute"]
    assert any(row.get("args", {}).get("event") == "%3 last" for row in slices)


def test_what_no_lag_explains_is_named_and_makes_it_unreliable() -> None:
    """A hole of the recording: the event behind it, its share, a finding, and the word on the page."""
    items = [
        launched(0), kernel(10 * US, US, 0), launched(20 * US), kernel(30 * US, US, 2), launched(40 * US),
        kernel(900 * US, US, 4),
    ]  # fmt: skip
    after, report = ran(module(items))
    assert not report.replay.reliable
    assert report.unexplained[0].event == 5
    assert report.unexplained[0].edge == "launch"
    assert any(item.code == "path_unexplained" and item.first == 5 for item in after.health)
    block = report.blocks()[0]
    assert block.note.startswith("unreliable: nothing in the trace explains")
    assert report.headline()[0].note == "unreliable"
    _, trusting = ran(module(items), max_residual_share=0.99)
    assert trusting.replay.reliable


def test_an_edge_that_goes_back_in_time_is_reported() -> None:
    """Work that begins before its launch is a contradiction, with the event and how far back it goes."""
    items = [launched(10 * US), kernel(4 * US, 2 * US, 0), launched(30 * US), kernel(40 * US, US, 2)]
    _, report = ran(module(items))
    assert [(item.edge, item.count, item.worst_ns, item.event) for item in report.contradictions] == [
        ("launch", 1, 6 * US, 1)
    ]
    note = report.blocks()[0].note
    assert note.endswith("; left out, since they go back in time by up to 6.0 µs: edges, 1 of kind launch")


def test_the_page_shows_time_on_the_path_beside_every_op() -> None:
    """The column is declared as a sum, so that each printer shows it."""
    writes = {item.name: item for item in CriticalPath.writes}
    assert writes["critical-path.time"].shown == "sum"
    _, report = ran(tir.load(EXAMPLE), "group")
    block = report.blocks()[0]
    assert block.title == "critical path"
    assert [row[0] for row in block.rows[:2]] == ["comm", "compute"]
    assert "all-reduce 99.9 %" in block.rows[0][-1]


SHARES = {
    "b200": ("host", 0.85), "bert_h100": ("host", 0.85), "nccl": ("host", 0.85), "qwen_h100": ("compute", 0.80),
    "vllm_pw": ("compute", 0.95), "sgl_dec": ("unexplained", 0.95),
}  # fmt: skip
"""Which class has most of the path on shared traces, and at least how much of it."""


@pytest.mark.parametrize("name", SHARES)
def test_shared_traces(name: str, load_shared: Any) -> None:
    """Host-bound traces are the host's, queued ones the device's, and the hole of the cut trace is nobody's."""
    item = load_shared(name)
    _, report = ran(item)
    cls, least = SHARES[name]
    assert report.span_ns == item.span_ns
    assert report.classes[cls] >= least * report.span_ns
    assert report.replay.reliable == (cls != "unexplained")


@pytest.mark.parametrize(
    "name", ["b200", "bert_h100", "bert_mi300", "nccl", "qwen_h100", "vllm_pw", "s0", "s1", "dlrm"]
)
def test_replay_error_on_shared_traces(name: str, load_shared: Any) -> None:
    """Without what is unexplained the replay misses the span by at most 3 %."""
    _, report = ran(load_shared(name))
    assert report.replay.error_share is not None
    assert abs(report.replay.error_share) <= 0.03
