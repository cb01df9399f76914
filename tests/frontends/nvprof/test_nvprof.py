"""Databases of nvprof: kernels, copies, calls by number, markers in two rows, waits, and what the file cannot tell."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import traceir as tir
from tests.frontends.nsys.making import write
from traceir.testing import assert_equal, assert_sound
from traceir.text import Spelling, parse, spell

THREAD = -1234
START = 1_500_000_000_000_000_000


def tables() -> dict[str, list[dict[str, Any]]]:
    """A small file as the profiler writes it: a step with a kernel, a copy and the wait for it."""
    place = {"deviceId": 0, "contextId": 1, "streamId": 7}
    here = {"processId": 99, "threadId": THREAD, "returnValue": 0}
    owner = struct.pack("<IiI", 99, THREAD, 0)
    texts = ["_Z4gemmPfi", "step 1", "phase", "Tesla V100", "here"]
    ids = {text: number for number, text in enumerate(texts, 1)}
    return {
        "Version": [{"version": 18}],
        "StringTable": [{"_id_": number, "value": text} for text, number in ids.items()],
        "CUPTI_ACTIVITY_KIND_DEVICE": [
            {"id": 0, "name": ids["Tesla V100"], "numMultiprocessors": 80, "globalMemorySize": 1 << 34}
        ],
        "CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL": [
            {"_id_": 1, "start": START + 1000, "end": START + 3000, "correlationId": 5, "name": ids["_Z4gemmPfi"],
             "gridX": 8, "gridY": 1, "gridZ": 1, "blockX": 64, "blockY": 2, "blockZ": 1, "registersPerThread": 40,
             "staticSharedMemory": 8, "dynamicSharedMemory": 0, **place},
            {"_id_": 2, "start": 0, "end": 0, "correlationId": 9, "name": ids["_Z4gemmPfi"], **place},
        ],
        "CUPTI_ACTIVITY_KIND_MEMCPY": [
            {"_id_": 1, "copyKind": 2, "srcKind": 3, "dstKind": 2, "bytes": 256, "start": START + 3500,
             "end": START + 3900, "correlationId": 6, **place}
        ],
        "CUPTI_ACTIVITY_KIND_RUNTIME": [
            {"_id_": 1, "cbid": 211, "start": START + 100, "end": START + 400, "correlationId": 5, **here},
            {"_id_": 2, "cbid": 41, "start": START + 500, "end": START + 900, "correlationId": 6, **here},
            {"_id_": 3, "cbid": 131, "start": START + 1000, "end": START + 4000, "correlationId": 7, **here},
            {"_id_": 4, "cbid": 9999, "start": START + 4100, "end": START + 4200, "correlationId": 8, **here},
        ],
        "CUPTI_ACTIVITY_KIND_SYNCHRONIZATION": [
            {"_id_": 1, "type": 3, "start": START + 1010, "end": START + 3990, "correlationId": 7, "contextId": 1,
             "streamId": 7, "cudaEventId": 4294967295}
        ],
        "CUPTI_ACTIVITY_KIND_MARKER": [
            {"_id_": 1, "flags": 2, "timestamp": START, "id": 1, "objectKind": 2, "objectId": owner,
             "name": ids["step 1"], "domain": 0},
            {"_id_": 2, "flags": 2, "timestamp": START + 50, "id": 2, "objectKind": 2, "objectId": owner,
             "name": ids["phase"], "domain": 0},
            {"_id_": 3, "flags": 1, "timestamp": START + 60, "id": 3, "objectKind": 2, "objectId": owner,
             "name": ids["here"], "domain": 0},
            {"_id_": 4, "flags": 4, "timestamp": START + 950, "id": 2, "objectKind": 2, "objectId": owner, "name": 0,
             "domain": 0},
            {"_id_": 5, "flags": 4, "timestamp": START + 4500, "id": 1, "objectKind": 2, "objectId": owner, "name": 0,
             "domain": 0},
        ],
        "CUPTI_ACTIVITY_KIND_OVERHEAD": [
            {"_id_": 1, "overheadKind": 131072, "objectKind": 2, "objectId": owner, "start": START + 10,
             "end": START + 20}
        ],
    }  # fmt: skip


@pytest.fixture
def module(tmp_path: Path) -> tir.Module:
    """The module of the small file."""
    write(tmp_path / "run.nvvp", tables())
    module = tir.load(tmp_path / "run.nvvp")
    assert module.source is not None
    assert module.source.frontend == "nvprof"
    assert_sound(module)
    return module


def test_work_is_joined_to_calls_that_have_only_numbers(module: tir.Module) -> None:
    """The library's numbers of calls become names, and those that are not known stay numbers."""
    (kernel,) = module.kernels
    assert (kernel.name, kernel.lane.name, kernel.dur) == ("_Z4gemmPfi", "gpu0.s7", 2000)
    assert kernel.launch is not None
    assert (kernel.launch.name, kernel.launch.kind) == ("cudaLaunchKernel", "rt.launch")
    assert (kernel.field("grid"), kernel.field("block"), kernel.field("shared_memory")) == ([8, 1, 1], [64, 2, 1], 8)
    copy = next(event for event in module.select() if event.kind == "dev.memcpy")
    assert (copy.name, copy.field("bytes")) == ("Memcpy DtoH (Device -> Pinned)", 256)
    assert copy.launch is not None
    assert copy.launch.kind == "rt.memcpy"
    assert "runtime call 9999" in {event.name for event in module.select()}


def test_markers_are_ranges_on_their_thread(module: tir.Module) -> None:
    """Two rows of an id are one range; numbers of threads are cut to 32 bits and may be negative in the file."""
    found = {event.name: (event.kind, event.ts, event.dur) for event in module.select() if "Marker" not in event.name}
    assert found["step 1"] == ("mark.step", 0, 4500)
    assert found["phase"] == ("host.range", 50, 900)
    assert found["here"] == ("mark.instant", 60, 0)
    assert found["Instrumentation"] == ("rt.call", 10, 10)
    threads = [(lane.name, lane.pid) for lane in module.lanes if lane.kind == "host.thread"]
    assert threads == [(f"cpu.{THREAD & 0xFFFFFFFF}", 99)]
    launch = next(event for event in module.select() if event.kind == "rt.launch")
    assert launch.parent is not None
    assert launch.parent.name == "phase"


def test_waits_times_and_metadata(module: tir.Module) -> None:
    """A wait knows the device of its context; work that nobody timed is left out and said."""
    wait = next(event for event in module.select() if event.kind == "event.wait")
    assert (wait.name, wait.lane.name, wait.field("sync_kind")) == ("Stream Sync", "gpu0.s7", "Stream Sync")
    assert module.edges("sync")[0].tolist() == [wait.row]
    assert module.meta["origin_ns"] == START
    assert (module.meta["vendor"], module.meta["gpus"], module.meta["schema"]) == ("nvidia", "Tesla V100", "18")
    assert {finding.code: finding.count for finding in module.health} == {"repaired": 1}


def test_the_passes_run(module: tir.Module, golden: Callable[[str, str], None]) -> None:
    """As for any other profiler; and the text of the file is reviewed as a file."""
    manager = tir.PassManager.parse("group,overlap,gaps")
    reports = dict(manager.reports(manager.run(module)))
    assert {"group", "overlap", "gaps"} <= set(reports)
    text = "".join(spell(module, Spelling(form="statements")))
    golden("nvprof/run.tir", text)
    assert_equal(parse(text), module)


def test_a_file_without_calls_or_epoch(tmp_path: Path) -> None:
    """Old files count from when the machine started; what is missing is said once."""
    rows = {name: some for name, some in tables().items() if name in ("StringTable", "CUPTI_ACTIVITY_KIND_MEMCPY")}
    rows["CUPTI_ACTIVITY_KIND_KERNEL"] = [{"start": 5000, "end": 6000, "deviceId": 1, "streamId": 2, "name": 1}]
    rows["CUPTI_ACTIVITY_KIND_MEMCPY"] = [dict(rows["CUPTI_ACTIVITY_KIND_MEMCPY"][0], start=7000, end=7100)]
    rows["CUPTI_ACTIVITY_KIND_ENVIRONMENT"] = [{"timestamp": 1, "value": 3}]
    write(tmp_path / "old.nvprof", rows)
    module = tir.load(tmp_path / "old.nvprof")
    assert [event.lane.name for event in module.kernels] == ["gpu1.s2"]
    assert module.meta["origin_ns"] is None
    assert {finding.code for finding in module.health} == {"missing_tables", "not_read", "orphan_launch"}
