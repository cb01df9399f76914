"""Damaged and odd inputs: each gives the right answer, or a finding that names the damage, never a traceback."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import traceir as tir
from tests.frontends.kineto import reference
from tests.frontends.kineto.documents import call, kernel, load, load_events, op, plain

Events = list[dict[str, Any]]
BUSY, LAUNCHES = 10_500 + 2_002, 2


def facts(module: tir.Module) -> tuple[int, int, dict[str, int]]:
    """Busy time, launch edges, and findings by code."""
    busy = module.select(where=module.work).union_ns
    return busy, len(module.edges("launch")[0]), {finding.code: finding.count for finding in module.health}


def _set(row: int, key: str, value: Any) -> Callable[[Events], None]:
    return lambda events: events[row].__setitem__(key, value)


def _drop(row: int, key: str) -> Callable[[Events], None]:
    return lambda events: events[row].pop(key)


def _all_args(key: str, value: Any) -> Callable[[Events], None]:
    def change(events: Events) -> None:
        for event in events:
            if key in event.get("args", {}):
                event["args"][key] = value(event["args"][key]) if callable(value) else value

    return change


def _strings(events: Events) -> None:
    for event in events:
        event["ts"] = f"{event['ts']:.3f}"


def _begin_end(events: Events) -> None:
    for event in [event for event in events if event.get("cat") == "cpu_op"]:
        end = {"ph": "E", "pid": 7, "tid": 7, "ts": event["ts"] + event.pop("dur")}
        event["ph"] = "B"
        events.append(end)


CASES: list[tuple[str, Callable[[Events], object], int, int, dict[str, int]]] = [
    ("nothing", lambda events: None, BUSY, LAUNCHES, {}),
    ("all correlations equal", _all_args("correlation", 5), BUSY, 2, {"ambiguous_launch": 2}),
    ("one duplicated correlation", _all_args("correlation", 11), BUSY, 2, {"ambiguous_launch": 2}),
    ("correlations as text", _all_args("correlation", str), BUSY, LAUNCHES, {}),
    ("negative duration", _set(5, "dur", -2.5), 10_500, LAUNCHES, {"repaired": 1}),
    ("no duration", _drop(5, "dur"), 10_500, LAUNCHES, {"repaired": 1}),
    ("NaN duration", _set(5, "dur", float("nan")), 10_500, LAUNCHES, {"repaired": 1}),
    ("infinite duration", _set(5, "dur", float("inf")), 10_500, LAUNCHES, {"repaired": 1}),
    ("NaN in arguments", _all_args("stream", float("nan")), BUSY, LAUNCHES, {"repaired": 2}),
    ("no arguments, but a flow", _drop(3, "args"), BUSY, LAUNCHES, {}),
    ("no arguments, no flow", _drop(5, "args"), BUSY, 1, {"orphan_launch": 1, "launch_without_work": 1}),
    ("times as text", _strings, BUSY, LAUNCHES, {"string_time": 8}),
    ("no start", _drop(5, "ts"), 10_500, 1, {"repaired": 1, "launch_without_work": 1}),
    ("absurd start", _set(5, "ts", 1e300), 10_500, 1, {"repaired": 1, "launch_without_work": 1}),
    ("one start far off", _set(5, "ts", 140 + 1e12), BUSY, LAUNCHES, {"clock_step": 1}),
    ("begin and end", _begin_end, BUSY, LAUNCHES, {}),
    ("begin without end", _set(1, "ph", "B"), BUSY, LAUNCHES, {"truncated": 1}),
    ("end without begin", _set(1, "ph", "E"), BUSY, LAUNCHES, {"repaired": 1}),
    ("a null event", lambda events: events.insert(3, None), BUSY, LAUNCHES, {"repaired": 1}),  # type: ignore[arg-type]
    ("arguments that are a list", _set(1, "args", [1, {"a": 2}]), BUSY, LAUNCHES, {"repaired": 1}),
    ("a name that is a number", _set(1, "name", 17), BUSY, LAUNCHES, {"repaired": 1}),
    ("a pid that is a list", _set(1, "pid", [1]), BUSY, LAUNCHES, {"repaired": 1}),
    ("work before its launch", _set(5, "ts", 124.0), BUSY + 0 - 2_002, LAUNCHES,
     {"kernel_before_launch": 1, "same_stream_overlap": 1}),
    ("host only", lambda events: events.__delitem__(slice(3, None)), 0, 0, {"no_device": 1}),
    ("device only", lambda events: events.__delitem__(slice(0, 3)), BUSY, 1, {"orphan_launch": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("change", "busy", "launches", "codes"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_odd_events(
    change: Callable[[Events], object], busy: int, launches: int, codes: dict[str, int], tmp_path: Path
) -> None:
    """Odd values give the busy time and edges that can still be known, and findings for what was mended or lost."""
    events = copy.deepcopy(plain())
    change(events)
    assert facts(load_events(tmp_path, events)) == (busy, launches, codes)


TEXT = json.dumps({"schemaVersion": 1, "traceEvents": plain(), "traceName": "t"})
BYTES: list[tuple[str, str | bytes, dict[str, int]]] = [
    ("pretty", json.dumps(json.loads(TEXT), indent=4), {}),
    ("bare list", json.dumps(plain()), {}),
    ("byte order mark", b"\xef\xbb\xbf" + TEXT.encode(), {}),
    ("gzip named .json", gzip.compress(TEXT.encode()), {}),
    ("two gzip members", gzip.compress(TEXT[:500].encode()) + gzip.compress(TEXT[500:].encode()), {}),
    ("padded gzip", gzip.compress(TEXT.encode()) + b"\0" * 512, {}),
    ("gzip with something after it", gzip.compress(TEXT.encode()) + b"something", {}),
    ("trailing comma in a list", json.dumps(plain())[:-1] + ",]", {"repaired": 1}),
    ("trailing comma in an object", TEXT.replace('], "traceName"', ',], "traceName"'), {"repaired": 1}),
    ("missing comma", TEXT.replace('}}, {"ph"', '}} {"ph"', 1), {"repaired": 1}),
    ("bad UTF-8", TEXT.encode().replace(b"aten::mm", b"aten::\xff\xfe"), {"repaired": 1}),
    ("control character", TEXT.replace("aten::mm", "aten::\x01\n"), {"repaired": 1}),
    ("lone surrogate", TEXT.replace("aten::mm", "aten::\\ud800"), {"repaired": 1}),
    ("lost quote", TEXT.replace('"aten::mm"', '"aten::mm', 1), {"repaired": 1}),
    ("lost brace", TEXT.replace('"External id": 1}}', '"External id": 1}', 1), {"repaired": 1}),
    ("garbage in an event", TEXT.replace('"aten::mm"', '\x00{[}"?', 1), {"repaired": 1}),
    ("cut after the events", TEXT[: TEXT.index('"traceName"') + 12], {"truncated": 1}),
]


@pytest.mark.parametrize("size", [64, 1 << 20])
@pytest.mark.parametrize(("text", "codes"), [row[1:] for row in BYTES], ids=[row[0] for row in BYTES])
def test_odd_bytes(text: str | bytes, codes: dict[str, int], size: int, tmp_path: Path) -> None:
    """Text that is not strict JSON is read around its damage; the device's figures stay right."""
    assert facts(load(tmp_path, text, chunk_bytes=size)) == (BUSY, LAUNCHES, codes)


def test_epoch_times_with_decimals_are_exact(tmp_path: Path) -> None:
    """Times that float64 cannot hold are read by their text."""
    text = TEXT.replace('"ts": 1', '"ts": 17528299565151')
    rows = reference.rows_of(json.loads(text, parse_float=lambda value: value)["traceEvents"])
    module = load(tmp_path, text)
    assert reference.module_rows(module) == reference.shifted(rows)
    assert module.meta["origin_ns"] == min(row[2] for row in rows.values())


def test_an_empty_event_list_is_an_answer(tmp_path: Path) -> None:
    """A trace without events is a module without events, with a finding."""
    module = load(tmp_path, '{"traceEvents": []}')
    assert len(module) == 0
    assert [finding.code for finding in module.health] == ["no_device"]


def test_launches_inside_a_capture_are_not_missed(tmp_path: Path) -> None:
    """Launching calls between the begin and end of a graph's capture have no work and are no damage."""
    captured = [call("cudaLaunchKernel", 210 + n, 1, 100 + n) for n in range(5)]
    events = [
        *plain(),
        call("cudaStreamBeginCapture_v10000", 200, 1, 50),
        *captured,
        call("cudaStreamEndCapture", 220, 1, 51),
    ]
    assert facts(load_events(tmp_path, events))[2] == {}
    del events[8]
    assert facts(load_events(tmp_path, events))[2] == {}
    events[-1]["name"] = "cudaStreamIsCapturing"
    assert facts(load_events(tmp_path, events))[2] == {"launch_without_work": 5}


def test_replays_of_one_graph_have_equal_sizes(tmp_path: Path) -> None:
    """A replay with fewer kernels than others of its graph is found, and so is a launch without any."""
    events = []
    for replay, kernels in enumerate((3, 2, 0)):
        events.append(call("cudaGraphLaunch", 100 * replay, 5, replay))
        events += [kernel("k", 100 * replay + 10 * n, 5, replay, **{"graph id": 4}) for n in range(1, kernels + 1)]
    module = load_events(tmp_path, events)
    found = [
        (finding.code, finding.count, finding.first) for finding in module.health if finding.code == "missing_replays"
    ]
    assert found == [("missing_replays", 1, 7), ("missing_replays", 1, 4)]


def test_a_device_range_is_no_work(tmp_path: Path) -> None:
    """Ranges alone leave the device without work, and the finding says so."""
    events = [{**kernel("range", 1, 2, 3), "cat": "gpu_user_annotation"}, op("a", 1, 2)]
    assert facts(load_events(tmp_path, events))[2]["ranges_only"] == 1


def test_counters_memory_and_instants_have_rows(tmp_path: Path) -> None:
    """Counters lie on lanes of their own, memory events differ by their sign, and asynchronous ranges are paired."""
    memory = {"ph": "i", "cat": "cpu_instant_event", "name": "[memory]", "pid": 7, "tid": 7}
    events = [
        *plain(),
        {"ph": "C", "name": "GPU use", "pid": 0, "ts": 110, "args": {"percent": 5}},
        {**memory, "ts": 103, "args": {"Bytes": 512}},
        {**memory, "ts": 104, "args": {"Bytes": -512}},
        {"ph": "b", "cat": "request", "id": "0x1f", "name": "generate", "pid": 7, "tid": 7, "ts": 101},
        {"ph": "e", "cat": "request", "id": "0x1f", "name": "generate", "pid": 7, "tid": 9, "ts": 131.5},
        {"ph": "M", "name": "thread_name", "pid": 7, "tid": 7, "args": {"name": "python3"}},
    ]
    module = load_events(tmp_path, events)
    found = {event.kind: event for event in module.select(where=module["id"] > 7)}
    assert sorted(found) == ["ctr.sample", "host.async", "mem.alloc", "mem.free"]
    assert found["ctr.sample"].lane.name == "ctr.GPU_use"
    assert found["ctr.sample"].args == {"percent": 5}
    assert found["mem.free"].field("bytes") == -512
    assert (found["host.async"].dur, found["host.async"].lane.name) == (30_500, "async.request")
    assert next(lane for lane in module.lanes if lane.name == "cpu.main").label == "python3"


FAR_OFF: list[tuple[str, tuple[float, ...], int]] = [
    ("one behind the other", (1e12, 1e13), 2),
    ("before and after", (-1e12, 1e12), 2),
    ("three", (-1e13, 1e12, 1e13), 3),
    ("a sparse tail is no fault", (1e12, 2e12, 3e12, 4e12), 0),
]


@pytest.mark.parametrize(("offsets", "count"), [case[1:] for case in FAR_OFF], ids=[case[0] for case in FAR_OFF])
def test_islands_on_both_sides_are_one_clock_step(offsets: tuple[float, ...], count: int, tmp_path: Path) -> None:
    """No far event hides another; the finding counts all, poisons the span, and names no option."""
    events = [*plain(), *(op("far", 100 + offset, 1) for offset in offsets)]
    found = [finding for finding in load_events(tmp_path, events).health if finding.code == "clock_step"]
    assert [finding.count for finding in found] == [count] * bool(count)
    for finding in found:
        assert "module.span_ns" in finding.poisons
        assert "window" not in finding.message


def test_samples_of_counters_lie_on_the_lane_of_process_and_name(tmp_path: Path) -> None:
    """Samples of two names in two processes, interleaved, lie on four lanes."""
    sample = {"ph": "C", "args": {"percent": 5}}
    events = [{**sample, "name": f"c{n % 2}", "pid": n // 2 % 2, "ts": 110 + n} for n in range(8)]
    module = load_events(tmp_path, [*plain(), *events])
    found = [(event.name, event.lane.pid, event.lane.name) for event in module.select(kind="ctr.sample")]
    assert [(name, pid) for name, pid, _ in found] == [(f"c{n % 2}", n // 2 % 2) for n in range(8)]
    assert all(lane.startswith(f"ctr.{name}") for name, _, lane in found)
