"""What becomes of the rows of an export: kinds, names, lanes, edges and arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import traceir as tir
from tests.frontends.nsys.making import EPOCH, Export, process, thread
from traceir.testing import assert_sound


def load(export: Export, folder: Path) -> tir.Module:
    """The module of an export; it is sound."""
    module = tir.load(export.write(folder / "report.sqlite"))
    assert module.source is not None
    assert module.source.frontend == "nsys"
    assert_sound(module)
    return module


def named(module: tir.Module, name: str) -> tir.Event:
    """The only event of a name."""
    (found,) = [event for event in module.select() if event.name == name]
    return found


def edges(module: tir.Module, kind: str) -> set[tuple[str, str]]:
    """Edges of a kind by the names of their ends."""
    src, dst = module.edges(kind)
    names = [module.strings[code] for code in module["name"].tolist()]
    return {(names[a], names[b]) for a, b in zip(src.tolist(), dst.tolist(), strict=True)}


def codes(module: tir.Module) -> dict[str, int]:
    """Findings by their code."""
    return {finding.code: finding.count for finding in module.health}


def test_a_kernel_its_call_and_its_range(tmp_path: Path) -> None:
    """Times count from the first event, versions are no part of a name, and arguments have the common spelling."""
    export = Export().about().range("forward", 900, 9000).call("cudaLaunchKernel_ptsz_v7000", 1000, 1500, 5)
    export.kernel("gemm<float>(int)", 2000, 2700, 5).add(
        "ThreadNames", globalTid=thread(10, 10), nameId=export.id("py")
    )
    module = load(export, tmp_path)
    kernel = named(module, "gemm<float>(int)")
    assert (kernel.kind, kernel.ts, kernel.dur, kernel.lane.name) == ("dev.kernel", 1100, 700, "gpu0.s7")
    assert kernel.launch is not None
    assert (kernel.launch.name, kernel.launch.kind) == ("cudaLaunchKernel", "rt.launch")
    assert kernel.launch.parent is not None
    assert (kernel.launch.parent.name, kernel.launch.parent.kind) == ("forward", "host.range")
    assert kernel.launch.lane == tir.Lane("cpu.main", "host.thread", pid=10, tid=10, label="py")
    assert module.meta["origin_ns"] == EPOCH + 900
    assert (module.meta["vendor"], module.meta["schema"]) == ("nvidia", "3.25.0")
    fields = {name: kernel.field(name) for name in ("grid", "block", "registers", "shared_memory", "correlation")}
    assert fields == {
        "grid": [4, 2, 1], "block": [128, 1, 1], "registers": 32, "shared_memory": 1040, "correlation": 5,
    }  # fmt: skip
    assert kernel.args["short name"] == "gemm"
    assert kernel.args["gridX"] == 4
    assert codes(module) == {}


@pytest.mark.parametrize("version", ["2.9.1", "3.25.0"])
def test_tables_of_old_and_new_exports(version: str, tmp_path: Path) -> None:
    """The table of versions changed its name; neither it nor any other has to be there."""
    export = Export().about(version, "EXPORT_META_DATA" if version[0] == "2" else "META_DATA_EXPORT")
    module = load(export.kernel("k", 10, 20, 1).call("cudaLaunchKernel_v7000", 1, 5, 1), tmp_path)
    assert module.meta["schema"] == version
    bare = Export(texts={"x": 1})
    bare.add("CUPTI_ACTIVITY_KIND_KERNEL", start=5, end=9, deviceId=0, streamId=7, shortName=1)
    (tmp_path / "bare").mkdir()
    module = load(bare, tmp_path / "bare")
    assert [(event.name, event.lane.name) for event in module.kernels] == [("x", "gpu0.s7")]
    assert module.meta["origin_ns"] is None
    assert codes(module) == {"missing_tables": 2, "orphan_launch": 1}


def test_copies_and_memsets_are_named_by_what_they_move(tmp_path: Path) -> None:
    """The words for directions and kinds of memory are those of other frontends; unknown numbers stay numbers."""
    place = {"deviceId": 0, "contextId": 1, "streamId": 7, "globalPid": process(10)}
    export = Export().about()
    export.add("CUPTI_ACTIVITY_KIND_MEMCPY", start=1, end=5, correlationId=1, bytes=4096, copyKind=1, srcKind=1,
               dstKind=2, **place)  # fmt: skip
    export.add("CUPTI_ACTIVITY_KIND_MEMCPY", start=6, end=9, correlationId=2, bytes=8, copyKind=77, **place)
    export.add("CUPTI_ACTIVITY_KIND_MEMSET", start=10, end=11, correlationId=3, bytes=64, value=0, memKind=2, **place)
    export.call("cudaMemcpyAsync_v3020", 0, 1, 1).call("cudaMemsetAsync_v3020", 2, 3, 3)
    module = load(export, tmp_path)
    copy, odd, fill = (event for event in module.select() if event.kind.startswith("dev."))
    assert (copy.kind, copy.name, copy.field("bytes")) == ("dev.memcpy", "Memcpy HtoD (Pinned -> Device)", 4096)
    assert odd.name == "Memcpy kind 77 (? -> ?)"
    assert (fill.kind, fill.name, fill.field("bytes")) == ("dev.memset", "Memset (Device)", 64)
    assert edges(module, "launch") == {("cudaMemcpyAsync", copy.name), ("cudaMemsetAsync", "Memset (Device)")}


def test_correlations_are_of_their_process(tmp_path: Path) -> None:
    """Two processes count alike; a call of one never launches work of the other, nor do their streams mix."""
    export = Export().about()
    for pid, at in ((10, 0), (20, 1)):
        export.call(f"cudaLaunchKernel_v{pid}", 10 + at, 20 + at, 5, pid=pid)
        export.kernel(f"k{pid}", 100 * pid, 100 * pid + 50, 5, pid=pid)
    export.call("cudaMalloc_v3020", 1, 2, 4, pid=20)
    export.add("TARGET_INFO_NVTX_CUDA_STREAM", name="compute", processId=20, contextId=1, streamId=7, deviceId=0)
    module = load(export, tmp_path)
    for pid in (10, 20):
        launch = named(module, f"k{pid}").launch
        assert launch is not None
        assert launch.lane.pid == pid
    assert [lane.name for lane in module.lanes] == ["cpu.main", "cpu.10", "gpu0.s7", "gpu0.s7.2"]
    assert {lane.label for lane in module.lanes if lane.is_device} == {
        "process 10, context 1", "compute, process 20, context 1",
    }  # fmt: skip
    assert "ambiguous_launch" not in codes(module)


def test_devices_are_numbered_as_the_machine_does(tmp_path: Path) -> None:
    """Each process counts the devices that it sees from 0; the file says which they are."""
    export = Export().about()
    for pid, gpu in ((10, 0), (20, 3)):
        export.add("TARGET_INFO_CUDA_DEVICE", gpuId=gpu, cudaId=0, pid=pid)
        export.add("TARGET_INFO_GPU", id=gpu, name="H100", smCount=132, totalMemory=1 << 36)
        export.kernel(f"k{pid}", 100, 150, 5, pid=pid)
    module = load(export, tmp_path)
    assert {event.name: event.lane.name for event in module.kernels} == {"k10": "gpu0.s7", "k20": "gpu3.s7"}
    assert module.meta["devices"][1] == {"id": 3, "name": "H100", "numSms": 132, "totalGlobalMem": 1 << 36}
    assert module.meta["gpus"] == "H100"


def test_graphs_node_by_node_and_as_one_row(tmp_path: Path) -> None:
    """Nodes of a replay share the correlation of one call; a replay that is one row is opaque work."""
    export = Export().about().call("cudaGraphLaunch_v10000", 0, 10, 5).call("cudaGraphLaunch_v10000", 20, 30, 6)
    for node in range(3):
        export.kernel(f"n{node}", 100 + 10 * node, 108 + 10 * node, 5, graphNodeId=(7 << 32) + node, graphId=7)
    export.add("CUPTI_ACTIVITY_KIND_GRAPH_TRACE", start=200, end=290, deviceId=0, contextId=1, streamId=7,
               correlationId=6, globalPid=process(10), graphId=9, graphExecId=11)  # fmt: skip
    module = load(export, tmp_path)
    launches = [event for event in module.select() if event.kind == "rt.graph_launch"]
    src, dst = module.edges("launch")
    assert np.bincount(src, minlength=len(module))[[event.row for event in launches]].tolist() == [3, 1]
    whole = named(module, "CUDA graph 9")
    assert (whole.kind, whole.dur, whole.args["graph exec id"]) == ("dev.graph", 90, 11)
    assert named(module, "n2").field("graph_node") == (7 << 32) + 2
    assert len(dst) == 4
    assert codes(module) == {"missing_tables": 1, "opaque_graphs": 1}  # the tables are those of ranges


def test_a_short_replay_is_found_out(tmp_path: Path) -> None:
    """Replays of one graph with fewer rows than others lost some."""
    export = Export().about()
    for number, nodes in ((1, 3), (2, 2)):
        export.call("cudaGraphLaunch_v10000", 100 * number, 100 * number + 5, number)
        for node in range(nodes):
            at = 100 * number + 10 + 10 * node
            export.kernel(f"n{node}", at, at + 5, number, graphId=7, graphNodeId=node)
    assert codes(load(export, tmp_path))["missing_replays"] == 1


def _waits(export: Export, once: tuple[int | None, int | None], events: tuple[int, int]) -> Export:
    """Work on stream 7, an event recorded there twice, and a wait of stream 9 for the first recording."""
    place = {"deviceId": 0, "contextId": 2, "globalPid": process(10)}
    for number, at in ((1, 0), (2, 100)):
        export.call("cudaLaunchKernel_v7000", at, at + 5, 10 * number)
        export.kernel(f"k{number}", at + 10, at + 60, 10 * number, device=1, context=2)
        export.call("cudaEventRecord_v3020", at + 6, at + 8, 10 * number + 1)
        export.add("CUPTI_ACTIVITY_KIND_CUDA_EVENT", streamId=7, correlationId=10 * number + 1,
                   eventId=events[number - 1], eventSyncId=once[number - 1], **place)  # fmt: skip
        if number == 1:
            export.call("cudaStreamWaitEvent_v3020", 20, 24, 12)
            export.add("CUPTI_ACTIVITY_KIND_SYNCHRONIZATION", start=21, end=23, streamId=9, correlationId=12,
                       syncType=2, eventId=events[0], eventSyncId=once[0], **place)  # fmt: skip
    export.call("cudaStreamSynchronize_v3020", 200, 300, 30)
    export.add("CUPTI_ACTIVITY_KIND_SYNCHRONIZATION", start=210, end=290, streamId=7, correlationId=30, syncType=3,
               eventId=4294967295, eventSyncId=0, **place)  # fmt: skip
    return export


@pytest.mark.parametrize(("once", "events"), [((71, 72), (5, 5)), ((None, None), (5, 5)), ((None, None), (5, 6))])
def test_waits_know_the_record_the_work_and_the_device(once: Any, events: Any, tmp_path: Path) -> None:
    """A wait is joined to the recording before it; both kinds of row name device 0, and lie on their context's."""
    module = load(_waits(Export().about(), once, events), tmp_path)
    assert edges(module, "sync") == {
        ("Event Record", "Stream Wait Event"),
        ("cudaEventRecord", "Stream Wait Event"),
        ("k1", "Stream Wait Event"),
        ("Stream Sync", "cudaStreamSynchronize"),
    }
    wait, held = (event for event in module.select() if event.kind == "event.wait")
    assert (wait.name, wait.lane.name, wait.field("sync_kind")) == ("Stream Wait Event", "gpu1.s9", "Stream Wait Event")
    assert (held.name, held.lane.name) == ("Stream Sync", "gpu1.s7")
    records = [event for event in module.select() if event.kind == "event.record"]
    assert [(event.ts, event.dur, event.lane.name) for event in records] == [(6, 0, "gpu1.s7"), (106, 0, "gpu1.s7")]
    assert ("cudaStreamWaitEvent", "Stream Wait Event") in edges(module, "launch")


def test_sorts_of_synchronisation_that_are_off_by_one(tmp_path: Path) -> None:
    """Schema 3.24 numbers them one lower than its words say; the names of the calls show it."""
    place = {"deviceId": 0, "contextId": 1, "globalPid": process(10), "eventId": 4294967295, "streamId": 7}
    export = Export().about("3.24.14").kernel("k", 1, 2, 1)
    export.call("cudaStreamSynchronize_v3020", 10, 20, 5).call("cudaDeviceSynchronize_v3020", 30, 40, 6)
    for correlation, sort in ((5, 2), (6, 3)):
        export.add("CUPTI_ACTIVITY_KIND_SYNCHRONIZATION", start=11, end=19, syncType=sort, correlationId=correlation,
                   **place)  # fmt: skip
    module = load(export, tmp_path)
    waits = [event for event in module.select() if event.kind == "event.wait"]
    assert [event.name for event in waits] == ["Stream Sync", "Context Sync"]
    assert [event.field("sync_kind") for event in waits] == ["Stream Sync", "Context Sync"]
    assert edges(module, "launch") == set()


def test_a_wait_without_stream_lies_beside_them(tmp_path: Path) -> None:
    """Draining a context is of no stream."""
    export = Export().about().kernel("k", 1, 2, 1).call("cudaDeviceSynchronize_v3020", 30, 40, 6)
    export.add("CUPTI_ACTIVITY_KIND_SYNCHRONIZATION", start=31, end=39, syncType=4, correlationId=6, deviceId=0,
               contextId=1, globalPid=process(10), streamId=4294967295)  # fmt: skip
    lane = named(load(export, tmp_path), "Context Sync").lane
    assert (lane.name, lane.kind) == ("gpu0.sync", "derived")


def test_ranges_nest_and_steps_are_marked(tmp_path: Path) -> None:
    """Ranges of PyTorch lose their numbers and are operators; marks, names and domains are no ranges."""
    export = Export().about().kernel("k", 1000, 1001, 1)
    export.range("ProfilerStep#3", 0, 900).range("aten::linear, seq = 12, op_id = 7, sizes = [[8, 4], [4]]", 100, 500)
    export.range("aten::addmm, op_id = 8", 150, 400).range("FSDP::pre_forward (block.1), op_id = 9", 600, 700)
    export.range("here", 620, None, type=34).range("worker", 0, None, type=39).range("NCCL", 0, None, type=75)
    export.range("never closed", 800, None)
    export.add("NVTX_EVENTS", start=640, end=650, eventType=59, textId=export.id("registered"), domainId=1,
               globalTid=thread(10, 10))  # fmt: skip
    module = load(export, tmp_path)
    kinds = {event.name: event.kind for event in module.select() if event.lane.kind == "host.thread"}
    assert kinds == {
        "ProfilerStep#3": "mark.step", "aten::linear": "host.op", "aten::addmm": "host.op", "registered": "host.range",
        "FSDP::pre_forward (block.1)": "host.range", "here": "mark.instant", "never closed": "host.range",
    }  # fmt: skip
    parents = {event.name: event.parent.name for event in module.select() if event.parent is not None}
    assert parents == {
        "aten::linear": "ProfilerStep#3", "aten::addmm": "aten::linear", "registered": "FSDP::pre_forward (block.1)",
        "FSDP::pre_forward (block.1)": "ProfilerStep#3",
    }  # fmt: skip
    linear = named(module, "aten::linear")
    assert (linear.field("sequence"), linear.field("input_dims")) == (12, [[8, 4], [4]])
    assert linear.args["text"].startswith("aten::linear, seq = 12")
    open_ = named(module, "never closed")
    assert open_.ts + open_.dur == 1001
    assert codes(module)["truncated"] == 1


def test_a_range_that_ends_on_another_thread_is_of_none(tmp_path: Path) -> None:
    """Ranges of the start and end kind may cross; those that stay on a thread are of it."""
    export = Export().about().kernel("k", 1000, 1001, 1)
    export.range("request", 100, 900, type=60, endGlobalTid=thread(10, 11))
    export.range("request 2", 100, 900, type=60, endGlobalTid=thread(10, 10))
    module = load(export, tmp_path)
    assert (named(module, "request").kind, named(module, "request").lane.name) == ("host.async", "async.nvtx")
    assert named(module, "request 2").lane.kind == "host.thread"


def test_what_repeats_a_call_launches_nothing(tmp_path: Path) -> None:
    """The collector of backtraces writes a row around each call, with its correlation."""
    export = Export().about().call("cudaLaunchKernel", 0, 9, 5, cls=67).call("cudaLaunchKernel_v7000", 1, 8, 5)
    module = load(export.kernel("k", 20, 30, 5), tmp_path)
    launch = named(module, "k").launch
    assert launch is not None
    assert (launch.ts, launch.kind) == (1, "rt.launch")
    assert launch.parent is not None
    assert launch.parent.kind == "host.frame"


def test_findings_have_the_words_of_other_frontends(tmp_path: Path) -> None:
    """Work without launch, launches without work, and work before its launch."""
    export = Export().about()
    for number in range(20):
        export.call("cudaLaunchKernel_v7000", 100 * number, 100 * number + 5, number)
        if number % 2:
            export.kernel("k", 100 * number + (20 if number != 5 else -20), 100 * number + 50, number)
    export.kernel("lost", 9000, 9100, 777)
    export.add("CUPTI_ACTIVITY_KIND_FANCY", start=1, end=2).add("DIAGNOSTIC_EVENT", severity=2, text="events were lost")
    found = codes(load(export, tmp_path))
    assert found == {
        "missing_tables": 1, "not_read": 1, "profiler_warning": 1, "orphan_launch": 1, "launch_without_work": 10,
        "kernel_before_launch": 1,
    }  # fmt: skip


def test_the_environment_is_not_kept(tmp_path: Path) -> None:
    """Options of the capture hold the program's environment, which may have secrets; a module has none of it."""
    export = Export().about().kernel("k", 1, 2, 1)
    export.add("META_DATA_CAPTURE", name="PROCESS_0:ENVIRONMENT_VARIABLE", value='TOKEN="hunter2"')
    export.add("META_DATA_CAPTURE", name="CUDA_GRAPH_TRACE_OPTIONS:MODE", value="Node")
    export.add("TARGET_INFO_SYSTEM_ENV", name="DeviceEnvironment", value="TOKEN=hunter2")
    export.add("TARGET_INFO_SYSTEM_ENV", name="NvDriverVersion", value="580.95")
    meta = load(export, tmp_path).meta
    assert "hunter2" not in str(meta)
    assert (meta["graphs"], meta["driver"]) == ("node", "580.95")
