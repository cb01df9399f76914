"""Scheduling, samples, counters, memory and calls of libraries in an export."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import traceir as tir
from tests.frontends.nsys.making import Export, process, thread
from tests.frontends.nsys.test_tables import codes, load


def _on(module: tir.Module, lane: str) -> list[tuple[str, int, int]]:
    return [(event.name, event.ts, event.dur) for event in module.select() if event.lane.name == lane]


def test_slices_of_time_on_a_cpu(tmp_path: Path) -> None:
    """In and out make a slice; an out without in is a point, an in without out lasts to the end of the record."""
    export = Export().about().kernel("k", 0, 1000, 1)
    export.add("ThreadNames", globalTid=thread(10, 11), nameId=export.id("loader"))
    rows = [(0, 3, 0, 11), (100, 3, 1, 11), (250, 3, 0, 11), (250, 3, 1, 12), (400, 3, 0, 12), (600, 3, 1, 11)]
    for start, cpu, came, tid in [*rows, (50, 0, 1, 12), (90, 0, 1, 11), (95, 0, 0, 11)]:
        export.add("SCHED_EVENTS", start=start, cpu=cpu, isSchedIn=came, globalTid=thread(10, tid))
    module = load(export, tmp_path)
    assert _on(module, "os.cpu3") == [
        ("loader (11)", 0, 0), ("loader (11)", 100, 150), ("thread (12)", 250, 150), ("loader (11)", 600, 400),
    ]  # fmt: skip
    assert _on(module, "os.cpu0") == [("thread (12)", 50, 40), ("loader (11)", 90, 5)]
    assert {event.kind for event in module.select() if event.lane.kind == "os.cpu"} == {"os.sched"}


def test_samples_are_called_after_their_innermost_function(tmp_path: Path) -> None:
    """Stacks have a row for each frame, of which the first is where the program was."""
    export = Export().about().kernel("k", 0, 1000, 1)
    for id in (1, 2):
        export.add("COMPOSITE_EVENTS", id=id, start=100 * id, cpu=2, globalTid=thread(10, 10), cpuCycles=9)
    for depth, symbol in enumerate(("memcpy_avx", "main")):
        export.add("SAMPLING_CALLCHAINS", id=1, symbol=export.id(symbol), module=1, stackDepth=depth)
    module = load(export, tmp_path)
    samples = [event for event in module.select() if event.kind == "os.sample"]
    assert [(event.name, event.ts, event.dur) for event in samples] == [("memcpy_avx", 100, 0), ("sample", 200, 0)]
    assert samples[0].args["cycles"] == 9


def test_metrics_are_counters(tmp_path: Path) -> None:
    """Each metric of each device is a lane; samples from before the session are left out."""
    export = Export().about().kernel("k", 0, 1000, 1)
    for metric, name in ((1, "SMs Active [Throughput %]"), (2, "DRAM Read")):
        for gpu in (0, 1):
            kind = 0x700 | gpu
            export.add("TARGET_INFO_GPU_METRICS", typeId=kind, metricId=metric, metricName=name)
            export.add("GPU_METRICS", timestamp=10 * metric, typeId=kind, metricId=metric, value=50 + gpu)
    export.add("GPU_METRICS", timestamp=-5, typeId=0x700, metricId=1, value=1)
    module = load(export, tmp_path)
    samples = [event for event in module.select() if event.kind == "ctr.sample"]
    found = {(event.lane.name, event.lane.device, event.args["value"]) for event in samples}
    assert found == {
        ("ctr.gpu0.SMs_Active_Throughput_", 0, 50), ("ctr.gpu1.SMs_Active_Throughput_", 1, 51),
        ("ctr.gpu0.DRAM_Read", 0, 50), ("ctr.gpu1.DRAM_Read", 1, 51),
    }  # fmt: skip
    assert all(set(event.args) == {"value"} for event in samples)  # or a pass might take an id for a reading
    assert int(module["ts"].min()) == 0
    assert codes(module)["repaired"] == 1


def test_calls_of_libraries_and_overhead_are_on_their_threads(tmp_path: Path) -> None:
    """OS runtime, cuBLAS, MPI and what the profiler itself costs."""
    export = Export().about().kernel("k", 0, 1000, 1)
    here = {"globalTid": thread(10, 10)}
    export.add("OSRT_API", start=10, end=20, nameId=export.id("pthread_cond_wait"), **here)
    export.add("CUBLAS_EVENTS", start=30, end=40, nameId=export.id("cublasGemmEx"), **here)
    export.add("MPI_COLLECTIVES_EVENTS", start=50, end=60, textId=export.id("MPI_Allreduce"), **here)
    export.add("PROFILER_OVERHEAD", start=70, end=80, nameId=export.id("TLS allocation"), **here)
    export.add("CUPTI_ACTIVITY_KIND_OVERHEAD", start=85, end=90, overheadType=8, **here)
    export.add("CUDA_GRAPH_NODE_EVENTS", start=92, end=93, nameId=export.id("cuGraphAddKernelNode_v2"), graphNodeId=4,
               originalGraphNodeId=3, **here)  # fmt: skip
    export.add("CUDA_GPU_MEMORY_USAGE_EVENTS", start=95, globalPid=process(10), deviceId=0, contextId=1, address=4096,
               bytes=512, memKind=2, memoryOperationType=0)  # fmt: skip
    export.add("CUDA_GPU_MEMORY_USAGE_EVENTS", start=97, globalPid=process(10), deviceId=0, contextId=1, address=4096,
               bytes=512, memKind=2, memoryOperationType=1)  # fmt: skip
    module = load(export, tmp_path)
    found = [(event.kind, event.name) for event in module.select() if event.kind != "dev.kernel"]
    assert found == [
        ("os.function", "pthread_cond_wait"), ("host.frame", "cublasGemmEx"), ("host.range", "MPI_Allreduce"),
        ("rt.call", "TLS allocation"), ("rt.call", "Command buffer full"), ("rt.call", "cuGraphAddKernelNode"),
        ("mem.alloc", "[memory] Device"), ("mem.free", "[memory] Device"),
    ]  # fmt: skip
    taken = next(event for event in module.select() if event.kind == "mem.alloc")
    assert (taken.field("bytes"), taken.field("address"), taken.field("device")) == (512, 4096, 0)
    assert len(np.unique(module["lane"][module.is_kind("os.function", "host.frame", "rt.call")])) == 1
