"""Names of calls and ranges, and lanes, each with what it must be and what it must not be."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.frontends.kineto.documents import call, kernel, load_events, plain
from traceir.loading import Head
from traceir_frontends.kineto import Kineto
from traceir_frontends.kineto.classify import api_kind, range_kind

CALLS = {
    "rt.launch": (
        "cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx", "cudaLaunchCooperativeKernel",
        "hipLaunchKernel", "hipExtLaunchKernel", "hipModuleLaunchKernel", "hipExtModuleLaunchKernel",
        "urEnqueueKernelLaunch", "zeCommandListAppendLaunchKernel", "runFunction - job_prep_and_submit_for_execution",
    ),
    "rt.graph_launch": ("cudaGraphLaunch", "hipGraphLaunch", "cuGraphLaunch", "cudaGraphLaunch_ptsz"),
    "rt.memcpy": (
        "cudaMemcpyAsync", "hipMemcpyWithStream", "cuMemcpyHtoDAsync_v2", "cudaMemcpy",
        "enqueueCommand memcpyHtoDAsync",
    ),
    "rt.memset": ("cudaMemsetAsync", "hipMemsetAsync", "cuMemsetD8Async"),
    "rt.sync": (
        "cudaDeviceSynchronize", "cudaStreamSynchronize", "cudaEventSynchronize", "cuCtxSynchronize",
        "hipDeviceSynchronize", "synchronizeStream",
    ),
    "rt.alloc": (
        "cudaMalloc", "cudaFree", "cudaHostAlloc", "cudaMallocAsync", "hipFree", "hipMalloc", "cuMemAlloc_v2",
        "cuMemUnmap", "cudaFreeHost", "hipExtMallocWithFlags",
    ),
    "rt.call": (
        "cudaEventQuery", "cudaStreamWaitEvent", "cudaEventRecord", "cudaLaunchHostFunc", "cudaGraphAddMemcpyNode",
        "cudaGraphKernelNodeSetParams", "hipGetDevicePropertiesR0600", "cudaMemGetInfo", "cudaStreamIsCapturing",
        "cudaFuncSetAttribute", "cudaGraphInstantiate", "cudaMemPrefetchAsync", "INVALID",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for kind, names in CALLS.items() for name in names])
def test_calls_by_name(name: str, kind: str) -> None:
    """Calls of CUDA, HIP and others have the kind of what they do, by their name."""
    assert api_kind(name) == kind


@pytest.mark.parametrize(
    ("name", "is_step"),
    [
        ("ProfilerStep#12", True),
        ("ProfilerStep* 12", False),
        ("execute_context_1(888_788544)_generation_0(0)", True),
        ("execute_32_context_0(sq0sk0)_generation_32(sq32sk55086)", True),
        ("execute_new_3_cached_5", True),
        ("step[DECODE bs=32]", True),
        ("train_step 7", True),
        ("iteration: 7", True),
        ("Optimizer.step#SGD.step", False),
        ("## forward ##", False),
        ("step", False),
        ("footstep 3", False),
        ("execute_model", False),
    ],
)
def test_steps_by_name(name: str, is_step: bool) -> None:
    """Ranges that number an iteration or describe an engine step mark steps; ranges inside a step do not."""
    assert range_kind(name) == ("mark.step" if is_step else "host.range")


@pytest.mark.parametrize(
    ("cat", "kind"),
    [
        ("Kernel", "dev.kernel"), ("Memcpy", "dev.memcpy"), ("Memset", "dev.memset"), ("Runtime", "rt.launch"),
        ("Operator", "host.op"), ("cuda_sync", "event.wait"), ("mtia_ccp_events", "dev.kernel"),
        ("made_up", "host.range"), ("xpu_runtime", "rt.launch"), ("overhead", "rt.call"),
    ],
)  # fmt: skip
def test_categories_old_and_new(cat: str, kind: str, tmp_path: Path) -> None:
    """Capitalised categories of old files, and those of other vendors, have the kinds of their successors."""
    module = load_events(tmp_path, [{**call("cudaLaunchKernel", 1, 1, 5), "cat": cat}])
    assert module.event(0).kind == kind
    assert module.event(0).lane.is_device == (kind.startswith("dev.") or kind == "event.wait")


def test_lanes_are_named_by_device_stream_and_thread(tmp_path: Path) -> None:
    """Texts for numbers, streams that differ from the row's tid, and negative streams have sound lane names."""
    events = [
        *plain(),
        {**kernel("a", 1, 1, 90), "pid": "GPU 3", "tid": "stream 7", "args": {}},
        {**kernel("b", 1, 1, 91, stream=105), "pid": 17, "tid": 3672},
        {**kernel("wait", 1, 1, 92, stream=-1), "cat": "cuda_sync"},
        call("cudaLaunchKernel", 1, 1, 95, tid=0),
        {**call("cudaLaunchKernel", 1, 1, 96), "pid": 8, "tid": "pool thread"},
    ]
    lanes = {lane.name: (lane.kind, lane.device, lane.stream) for lane in load_events(tmp_path, events).lanes}
    assert lanes == {
        "cpu.main": ("host.thread", None, None),
        "cpu.0": ("host.thread", None, None),
        "cpu.pool_thread": ("host.thread", None, None),
        "gpu0.s20": ("dev.stream", 0, 20),
        "gpu3.s7": ("dev.stream", 3, 7),
        "gpu17.s105": ("dev.stream", 17, 105),
        "gpu0.sync": ("derived", 0, None),
    }


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        (b'{"schemaVersion": 1, "traceEvents": []}', 0.8, 1),
        (b'\xef\xbb\xbf [{"ph": "X", "cat": "cpu_op"}]', 0.8, 1),
        (b'[{"ph": "X", "name": "a"}]', 0.3, 0.7),
        (b'{"shared": {"frames": []}}', 0.05, 0.2),
        (b"SQLite format 3", 0, 0),
    ],
)
def test_sniffing(text: bytes, low: float, high: float) -> None:
    """Kineto's own words make it sure, any Chrome trace likely, other JSON hardly, and anything else not at all."""
    assert low <= Kineto.sniff(Head("t", text, text, False)) <= high


def test_metadata_of_the_file(tmp_path: Path) -> None:
    """Rank, world, vendor, devices and the absolute time come from the top level; unknown is None."""
    base = 1751410836000000000
    module = load_events(
        tmp_path,
        plain(),
        baseTimeNanoseconds=base,
        distributedInfo={"rank": 3, "world_size": 8},
        deviceProperties=[{"id": 0}],
        hip_runtime_version=7,
    )
    wanted = ("origin_ns", "rank", "world", "vendor", "devices")
    assert [module.meta[key] for key in wanted] == [base + 100_500, 3, 8, "amd", [{"id": 0}]]
    assert module.meta["metadata"]["hip_runtime_version"] == 7
    bare = load_events(tmp_path, plain())
    assert [bare.meta[key] for key in wanted] == [None, None, None, "nvidia", []]
