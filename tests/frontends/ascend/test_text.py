"""Timelines as text: kinds, lanes, arguments, versions, damage, and what is told from other formats."""

from __future__ import annotations

import gzip
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.frontends.ascend.documents import (
    DEVICE,
    HOST,
    T0,
    edges_of,
    events_of,
    load_text,
    pid,
    row,
    step,
    timeline,
    us,
    write_text,
)
from traceir.errors import InputError
from traceir.registry import Registry
from traceir.testing import assert_equal
from traceir.text import Spelling, parse, spell
from traceir_frontends.ascend import Ascend
from traceir_frontends.ascend.dialect import call_kind, task_kind
from traceir_passes.overlap import Overlap


def kinds_of(module: tir.Module) -> dict[str, set[str]]:
    """The names of each kind."""
    out: dict[str, set[str]] = {}
    for at in range(len(module)):
        event = module.event(at)
        out.setdefault(event.kind, set()).add(event.name)
    return out


def named(module: tir.Module, name: str, lane: str | None = None) -> tir.Event:
    """The first event of a name."""
    every = (module.event(at) for at in range(len(module)))
    return next(event for event in every if event.name == name and lane in (None, event.lane.name))


def test_what_becomes_of_each_row(tmp_path: Path) -> None:
    """Work, waits, parts and steps are told apart; nothing is counted twice."""
    module = load_text(tmp_path, timeline(step()))
    kinds = kinds_of(module)
    assert kinds["dev.kernel"] == {"aclnnMm_MatMulCommon_MatMulV2", "Relu9", "hcom_allReduce__271_0_1"}
    assert kinds["dev.memcpy"] == {"MEMCPY_ASYNC"}
    assert kinds["event.wait"] == {"EVENT_WAIT", "Notify Wait", "Notify_Wait"}
    assert kinds["event.record"] == {"EVENT_RECORD", "Notify_Record"}
    assert kinds["npu.part"] == {"SDMA", "Write Value", "Memcpy"}
    assert kinds["mark.step"] == {"ProfilerStep#5"}
    assert kinds["rt.sync"] == {"AscendCL@aclrtSynchronizeStream"}
    assert kinds["npu.analysis"] == {"Computing", "Communication"}
    assert sum(event.dur for event in module.select(where=module.work)) == 30_125 + 5_000 + 40_000 + 150_000


def test_lanes_are_named_after_what_they_are(tmp_path: Path) -> None:
    """Threads of both levels are one; a collective lies on the stream that ran it."""
    module = load_text(tmp_path, timeline(step()))
    lanes = {lane.name: (lane.kind, lane.device, lane.stream) for lane in module.lanes}
    assert lanes == {
        "cpu.main": ("host.thread", None, None), "cpu.4322": ("host.thread", None, None),
        "cpu.4323": ("host.thread", None, None), "npu3.s2": ("dev.stream", 3, 2), "npu3.s4": ("dev.stream", 3, 4),
        "npu3.g0.p0": ("dev.stream", 3, None), "npu3.g0.p1": ("dev.stream", 3, None),
        "npu3.g0.p2": ("dev.stream", 3, None), "npu3.overlap.Computing": ("derived", 3, None),
        "npu3.overlap.Communication": ("derived", 3, None), "npu3.ctr.AI_Core_Freq": ("counter", 3, None),
    }  # fmt: skip
    assert named(module, "hcom_allReduce__271_0_1").lane.name == "npu3.s4"
    call = named(module, "Node@launch")
    parents = []
    while call.parent is not None:
        call = call.parent
        parents.append(call.name)
    assert parents == ["AscendCL@aclnnMm", "Dequeue@aclnnMm"]


def test_arguments_have_the_keys_of_all_frontends(tmp_path: Path) -> None:
    """Shapes are lists, a collective says what it moves, a task its connection; the format's own keys stay."""
    module = load_text(tmp_path, timeline(step()))
    mm = named(module, "aten::mm").args
    assert mm["Input Dims"] == [[32, 64], [64, 8], [], []]
    assert mm["Input type"] == ["float", "float", "Scalar"]
    moved = named(module, "hcom_allReduce__271_0_1").args
    assert (moved["Collective name"], moved["In msg nelems"], moved["dtype"]) == ("allReduce", 4096, "fp32")
    kernel = named(module, "aclnnMm_MatMulCommon_MatMulV2")
    assert kernel.field("correlation") == 7
    assert kernel.args["Task Type"] == "AI_CORE"
    assert [event.args["MHz"] for event in module.select(kind="ctr.sample")] == [1800, 800]


def test_the_vendors_overlap_is_compared_with_ours(tmp_path: Path) -> None:
    """`overlap` finds the vendor's lanes, and says by how much they differ from its own figures."""
    module = tir.PassManager.parse("overlap").run(load_text(tmp_path, timeline(step())))
    report = Overlap().report(module)
    found = {item.cls: (item.vendor_ns, item.ours_ns) for item in report.vendor}
    assert found == {"computing": (30_125, 70_125), "communication": (150_000, 150_000)}


def test_a_wait_is_told_from_transfer(tmp_path: Path) -> None:
    """`collectives` finds the waits of the parts inside the collective."""
    module = tir.PassManager.parse("collectives").run(load_text(tmp_path, timeline(step())))
    assert module["coll.wait"].tolist()[0] >= 60_000
    assert module.text("coll.group")[0] == "271"


def test_ids_are_the_places_of_rows_in_the_file(tmp_path: Path) -> None:
    """An event's id is its position in the list, and its bytes are those of the file."""
    events = timeline(step())
    module = load_text(tmp_path, events)
    for at in range(len(module)):
        event = module.event(at)
        assert json.loads(module.source.raw(int(module["offset"][at]), int(module["length"][at]))) == events[event.id]  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["trace_view.json", "trace_view.json.gz", "renamed.txt"])
def test_a_timeline_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    """Also where a tool has renamed or packed it, or has put it into an object."""
    module = load_text(tmp_path, timeline(step()), name)
    assert module.source is not None
    assert module.source.frontend == "ascend"
    wrapped = load_text(tmp_path / "2", json.dumps({"traceEvents": timeline(step())}).encode())
    assert_equal(module, attrs.evolve(wrapped, name=module.name))


def test_a_timeline_without_marks_in_its_head_is_known_by_its_times(tmp_path: Path) -> None:
    """A long beginning of framework rows alone: Unix times as text are this profiler's."""
    many = [row("Python", HOST, "aten::add", at, 5, cat="cpu_op", args={"Call stack": "x" * 900}) for at in range(90)]
    module = load_text(tmp_path, [*many, *timeline(step())])
    assert module.source is not None
    assert module.source.frontend == "ascend"


@pytest.mark.parametrize(
    "text",
    [
        b'{"schemaVersion": 1, "traceEvents": [{"ph": "X", "cat": "kernel", "name": "k", "pid": 0, "ts": 1}]}',
        b'[{"ph": "X", "cat": "cpu_op", "name": "aten::mm", "pid": 1, "tid": 1, "ts": "12.500", "dur": 1}]',
        b'{"$schema": "https://www.speedscope.app/file-format-schema.json", "profiles": []}',
        b"Step,Name\n1,2\n",
        b"main;work 3\n",
        b"",
    ],
)
def test_other_formats_are_left_alone(text: bytes) -> None:
    """A Chrome trace of another program is not claimed, even with times as text."""
    from traceir.loading import Head

    assert Ascend.sniff(Head("x", text, text, False)) == 0


def test_a_process_without_a_name_is_known_by_what_it_does(tmp_path: Path) -> None:
    """A file that lost its metadata, which may come last, is read all the same."""
    events = [event for event in timeline(step()) if event["ph"] != "M"]
    module = load_text(tmp_path, events)
    kinds = kinds_of(module)
    assert kinds["dev.memcpy"] == {"MEMCPY_ASYNC"}
    assert "aclnnMm_MatMulCommon_MatMulV2" in kinds["dev.kernel"]
    assert {"AscendCL@aclnnMm", "Dequeue@aclnnMm"} < kinds["rt.call"]
    assert kinds["npu.analysis"] == {"Computing", "Communication"}


def test_older_versions_number_calls_and_tasks_apart(tmp_path: Path) -> None:
    """Where no connection fits, the flow from a call of CANN tells it; its id may have more than 64 bits."""
    run = step()
    shifted = attrs.evolve(run, calls=tuple(attrs.evolve(call, link=call.link + 1000) for call in run.calls))
    id = str((2 << 64) | (807 << 48) | 5)
    flow = {"cat": "HostToDevice", "name": "HostToDevice", "id": id}
    start = {**flow, "ph": "s", "pid": pid("CANN"), "tid": 4322, "ts": us(41_000)}
    end = {**flow, "ph": "f", "pid": pid("Ascend Hardware"), "tid": 2, "ts": us(100_123)}
    assert timeline(run) != timeline(shifted)
    module = load_text(tmp_path, [*timeline(shifted), start, end])
    assert ("Node@launch", "aclnnMm_MatMulCommon_MatMulV2") in edges_of(module, "launch")
    assert ("aten::copy_", "MEMCPY_ASYNC") in edges_of(module, "launch")
    assert ("aclnnMm", "Node@launch") in edges_of(module, "enqueue")


def test_a_connection_to_a_later_call_is_none(tmp_path: Path) -> None:
    """A call that began well after a task cannot have launched it."""
    run = step(calls=False)
    late = attrs.evolve(step().calls[1], start=20_000_000)
    module = load_text(tmp_path, timeline(attrs.evolve(run, calls=(late,))))
    assert ("Node@launch", "aclnnMm_MatMulCommon_MatMulV2") not in edges_of(module, "launch")


def test_old_process_ids_do_not_say_the_device(tmp_path: Path) -> None:
    """One device stays without a number; several are counted off."""
    old: dict[Any, Any] = {pid("Ascend Hardware"): 800, pid("HCCL"): 900}
    events = [{**event, "pid": old.get(event["pid"], event["pid"])} for event in timeline(step())]
    one = load_text(tmp_path, events)
    assert {lane.name for lane in one.lanes if lane.is_device} >= {"npu.s2", "npu.s4"}
    second = [{**event, "pid": 801} for event in events if event["pid"] == 800]
    two = load_text(tmp_path / "2", [*events, *second])
    assert {(lane.name, lane.device) for lane in two.lanes if lane.stream is not None} == {
        ("npu0.s2", 0), ("npu0.s4", 0), ("npu1.s2", 1), ("npu1.s4", 1),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "type", "kind"),
    [
        ("MatMul3", "AI_CORE", "dev.kernel"), ("MatMul3", "Other", "dev.kernel"),
        ("GetNext", "AI_CPU", "dev.kernel"), ("DSAGenBitMask", "DSA_SQE", "dev.kernel"),
        ("MemcpyAsync3", "AI_VECTOR_CORE", "dev.kernel"), ("hcom_x", "HCCL_AI_CPU", "dev.kernel"),
        ("MEMCPY_ASYNC", "PCIE_DMA_SQE", "dev.memcpy"), ("MEMCPY_ASYNC", "Other", "dev.memcpy"),
        ("SDMA", "SDMA", "dev.memcpy"), ("EVENT_WAIT", "EVENT_WAIT_SQE", "event.wait"),
        ("Notify Wait", "Notify Wait", "event.wait"), ("EVENT_RECORD", "PLACE_HOLDER_SQE", "event.record"),
        ("PROFILING_ENABLE", "PLACE_HOLDER_SQE", "npu.task"), ("Write Value", "Write Value", "npu.task"),
        ("FUTURE_SQE", "FUTURE_SQE", "npu.task"),
    ],
)  # fmt: skip
def test_tasks_by_name_and_type(name: str, type: str, kind: str) -> None:
    """Waits and records are no work; what has a name of its own is."""
    assert task_kind(name, type) == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Node@launch", "rt.launch"), ("Runtime@KernelLaunchWithHandle", "rt.launch"),
        ("AscendCL@aclrtMemcpyAsync", "rt.memcpy"), ("Runtime@MemCopySync", "rt.memcpy"),
        ("AscendCL@aclrtSynchronizeStreamWithTimeout", "rt.sync"), ("Runtime@StreamSyncTaskFinish", "rt.sync"),
        ("AscendCL@aclrtMalloc", "rt.alloc"), ("Runtime@DevMalloc", "rt.alloc"),
        ("AscendCL@aclmdlExecute", "rt.graph_launch"), ("AscendCL@aclnnMm", "rt.call"),
        ("AscendCL@aclrtRecordEvent", "rt.call"),
    ],
)  # fmt: skip
def test_calls_by_name(name: str, kind: str) -> None:
    """Calls that launch, copy, wait and allocate are told from all others."""
    assert call_kind(name) == kind


# --- damage ----------------------------------------------------------------------------------------------------------


def text_of(events: list[dict[str, Any]]) -> bytes:
    return json.dumps(events).encode()


@given(cut=st.integers(1, 9000))
def test_a_cut_file_is_read_up_to_the_cut(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    """Every event that is whole is there, and a finding says where the file ends."""
    events = timeline(step())
    text = text_of(events)
    cut = min(cut, len(text) - 1)
    whole = len([end for end in _ends(events) if end <= cut])
    path = tmp_path_factory.mktemp("cut") / "trace_view.json"
    path.write_bytes(text[:cut])
    try:
        module = tir.load(path, frontend="ascend")
    except InputError:
        assert whole == 0
        return
    kept = [event for event in events[:whole] if event["ph"] in "XC"]
    assert len(module) == len(kept)
    assert "truncated" in [finding.code for finding in module.health]


def _ends(events: list[dict[str, Any]]) -> list[int]:
    """Where each event of a list ends in its text."""
    at, out = 1, []
    for event in events:
        at += len(json.dumps(event))
        out.append(at)
        at += 2
    return out


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda text: text.replace(b'"dur": 5.0', b'"dur": -5.0', 1), "repaired"),
        (lambda text: text.replace(us(140_000).encode(), b"never", 1), "repaired"),
        (lambda text: text.replace(b'"name": "MEMCPY_ASYNC"', b'"name": "MEMCPY_ASYNC\xff"', 1), "repaired"),
        (lambda text: text.replace(b"}, {", b"} {", 1), "repaired"),
        (lambda text: text[:-1] + b",]", "repaired"),
        (lambda text: text[:-1], "truncated"),
    ],
)
def test_damage_is_mended_and_told(tmp_path: Path, change: Callable[[bytes], bytes], code: str) -> None:
    """What can be read around is read around; launches of sound events stay."""
    text = text_of(timeline(step()))
    assert change(text) != text
    module = load_text(tmp_path, change(text))
    assert code in [finding.code for finding in module.health]
    assert ("Node@launch", "aclnnMm_MatMulCommon_MatMulV2") in edges_of(module, "launch")
    assert "string_time" not in [finding.code for finding in module.health]


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_a_cut_gzip_file_is_read_up_to_the_cut(tmp_path: Path, keep: float) -> None:
    """What can be decompressed is read."""
    many = [row("Python", HOST, f"op{at}", at * 10, 5, cat="cpu_op") for at in range(3000)]
    packed = gzip.compress(text_of([*timeline(step()), *many]))
    path = tmp_path / "trace_view.json.gz"
    path.write_bytes(packed[: int(len(packed) * keep)])
    module = tir.load(path)
    assert 0 < len(module) < len(many) + 50
    assert "truncated" in [finding.code for finding in module.health]


def test_a_bomb_beside_a_timeline_is_not_unpacked(tmp_path: Path) -> None:
    """A file around the timeline that is absurdly large says nothing; the timeline is read."""
    path = write_text(tmp_path, timeline(step()))
    (tmp_path / "profiler_info_0.json.gz").write_bytes(gzip.compress(b'{"rank_id": 1' + b" " * (1 << 25) + b"}"))
    assert tir.load(path).meta["rank"] is None


def test_standard_input_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A timeline may be piped in; its arguments are there too."""

    class Piped:
        buffer = io.BufferedReader(io.BytesIO(text_of(timeline(step()))))

    monkeypatch.setattr(sys, "stdin", Piped)
    module = tir.load("-")
    assert named(module, "aten::mm").args["Input Dims"][0] == [32, 64]


def test_a_file_that_changed_is_not_read_again(tmp_path: Path) -> None:
    """Arguments are read when somebody looks, and not from another file."""
    path = write_text(tmp_path, timeline(step()))
    module = tir.load(path)
    path.write_bytes(b"[]")
    with pytest.raises(InputError, match="changed"):
        _ = named(module, "aten::mm").args


# --- text form -------------------------------------------------------------------------------------------------------


def test_the_module_survives_its_text(tmp_path: Path, golden: Callable[[str, str], None]) -> None:
    """Printed, read again and printed: the same; the text itself is reviewed."""
    registry = Registry.installed()
    module = load_text(tmp_path, timeline(step()))
    for form in ("statements", "table"):
        text = "".join(spell(module, Spelling(form, dead=True), registry=registry))
        again = parse(text, registry=registry)
        assert_equal(module, again)
        assert "".join(spell(again, Spelling(form, dead=True), registry=registry)) == text
        if form == "statements":
            golden("ascend/step.tir", text)


def test_shifting_all_times_changes_nothing_but_the_origin(tmp_path: Path) -> None:
    """Instants count from the first event."""
    before = load_text(tmp_path, timeline(step()))
    moved = text_of(timeline(step())).replace(b"17364088836", b"17364088946")
    after = load_text(tmp_path / "2", moved)
    assert after.meta["origin_ns"] - before.meta["origin_ns"] == 11_000_000_000
    assert [item[:2] + item[3:] for item in events_of(before)] == [item[:2] + item[3:] for item in events_of(after)]
    assert before.meta["origin_ns"] == T0
    assert before.devices == (DEVICE,)


def test_clocks_that_disagree_lose_no_flow(tmp_path: Path) -> None:
    """A task that seems to start before the point from which it was launched belongs to it all the same."""
    run = step()
    calls = tuple(attrs.evolve(call, link=call.link + 1000, start=call.start + 62_000) for call in run.calls)
    flow = {"cat": "HostToDevice", "name": "HostToDevice", "id": "77"}
    start = {**flow, "ph": "s", "pid": pid("CANN"), "tid": 4322, "ts": us(103_000)}
    end = {**flow, "ph": "f", "pid": pid("Ascend Hardware"), "tid": 2, "ts": us(100_123)}
    module = load_text(tmp_path, [*timeline(attrs.evolve(run, calls=calls)), start, end])
    assert ("Node@launch", "aclnnMm_MatMulCommon_MatMulV2") in edges_of(module, "launch")
