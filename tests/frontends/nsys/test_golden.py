"""A small export as text, reviewed as a file, and real exports through all that is done with a module."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import traceir as tir
from tests.frontends.nsys.making import Export, process, thread
from traceir.testing import assert_equal, assert_sound
from traceir.text import Spelling, parse, spell

SHARED = ("nsysai_mock", "nsysai_h100_2gpu_1s", "pipit_saxpy-mpi-cuda_perlmutter0")


def sample() -> Export:
    """Two steps of one kernel, a graph, a copy, a wait and a slice of time on a CPU."""
    export = Export().about()
    export.add("PROCESSES", globalPid=process(10), pid=10, name="python3")
    for step in (0, 1):
        at = 10_000 * step
        export.range(f"step {step}", at, at + 8_000).range("aten::mm, op_id = 4", at + 100, at + 900)
        export.call("cudaLaunchKernel_v7000", at + 200, at + 700, 10 * step + 1)
        export.kernel("void gemm<float>(int)", at + 1_000, at + 3_000, 10 * step + 1)
        export.call("cudaGraphLaunch_v10000", at + 1_000, at + 1_400, 10 * step + 2)
        for node in (0, 1):
            export.kernel(f"node_{node}", at + 3_500 + 500 * node, at + 3_900 + 500 * node, 10 * step + 2,
                          graphNodeId=node + 1, graphId=3)  # fmt: skip
        export.call("cudaMemcpyAsync_v3020", at + 1_500, at + 1_900, 10 * step + 3)
        export.add("CUPTI_ACTIVITY_KIND_MEMCPY", start=at + 5_000, end=at + 5_200, deviceId=0, contextId=1, streamId=7,
                   correlationId=10 * step + 3, globalPid=process(10), bytes=64, copyKind=2, srcKind=2,
                   dstKind=1)  # fmt: skip
        export.call("cudaStreamSynchronize_v3020", at + 2_000, at + 5_300, 10 * step + 4)
        export.add("CUPTI_ACTIVITY_KIND_SYNCHRONIZATION", start=at + 2_010, end=at + 5_290, deviceId=0, contextId=1,
                   streamId=7, correlationId=10 * step + 4, globalPid=process(10), syncType=3, eventId=4294967295,
                   eventSyncId=0)  # fmt: skip
        for came, off in ((1, 50), (0, 7_900)):
            export.add("SCHED_EVENTS", start=at + off, cpu=2, isSchedIn=came, globalTid=thread(10, 10))
    return export


def test_the_text_of_a_small_export(tmp_path: Path, golden: Callable[[str, str], None]) -> None:
    """Every kind of row once, as statements; the text is read back as an equal module."""
    module = tir.load(sample().write(tmp_path / "sample.sqlite"))
    text = "".join(spell(module, Spelling(form="statements")))
    golden("nsys/sample.tir", text)
    assert_equal(parse(text), module)


@pytest.mark.parametrize("name", SHARED)
def test_real_exports(name: str, load_shared: Callable[[str], tir.Module]) -> None:
    """Sound, the same after a trip through text, and no surprise to the passes."""
    module = load_shared(f"nsys_sqlite/{name}.sqlite")
    assert_sound(module)
    assert_equal(parse("".join(spell(module, Spelling(form="table")))), module)
    manager = tir.PassManager.parse("group,overlap,gaps")
    assert {"group", "overlap", "gaps"} <= set(dict(manager.reports(manager.run(module))))


def test_the_two_processes_of_a_real_export(load_shared: Callable[[str], tir.Module]) -> None:
    """Figures counted in the file itself: a clip of one second of two processes with a device each."""
    module = load_shared("nsys_sqlite/nsysai_h100_2gpu_1s.sqlite")
    counts = {
        kind: int(module.is_kind(kind).sum()) for kind in ("dev.kernel", "dev.memcpy", "dev.memset", "event.wait")
    }
    assert counts == {"dev.kernel": 3442, "dev.memcpy": 904, "dev.memset": 22, "event.wait": 244}
    src, dst = module.edges("launch")
    assert int(module.is_kind("dev.kernel")[dst].sum()) == 3442 - 1810  # by correlation alone 11 more would be joined
    pids = {lane.name: lane.pid for lane in module.lanes if lane.kind == "host.thread"}
    device = {(pids[module.lanes[a].name], module.lanes[b].device) for a, b in zip(
        module["lane"][src].tolist(), module["lane"][dst].tolist(), strict=True)}  # fmt: skip
    assert device == {(111, 0), (112, 1)}
