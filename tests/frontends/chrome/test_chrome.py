"""Chrome traces of other programs: read as kineto reads, with no meaning of PyTorch's put into them."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import traceir as tir
from tests.frontends.texts import assert_reopens, assert_round_trip, listing, told
from traceir.errors import InputError
from traceir_frontends.chrome import Chrome

EVENTS: list[dict[str, Any]] = [
    {"ph": "M", "name": "process_name", "pid": 1, "args": {"name": "server"}},
    {"ph": "M", "name": "thread_name", "pid": 1, "tid": 2, "args": {"name": "worker"}},
    {"ph": "B", "name": "outer", "pid": 1, "tid": 2, "ts": 1, "args": {"a": 1}},
    {"ph": "X", "name": "inner", "pid": 1, "tid": 2, "ts": 2, "dur": 3.125},
    {"ph": "E", "name": "outer", "pid": 1, "tid": 2, "ts": 9},
    {"ph": "i", "name": "mark", "pid": 1, "tid": 2, "ts": 9.5, "s": "t"},
    {"ph": "C", "name": "queue", "pid": 1, "ts": 10, "args": {"value": 4}},
    {"ph": "b", "cat": "net", "name": "request", "id": "0x1", "pid": 1, "tid": 2, "ts": 3},
    {"ph": "n", "cat": "net", "name": "retry", "id": "0x1", "pid": 1, "tid": 2, "ts": 4},
    {"ph": "e", "cat": "net", "name": "request", "id": "0x1", "pid": 1, "tid": 3, "ts": 8},
    {"ph": "s", "cat": "f", "name": "go", "id": 5, "pid": 1, "tid": 2, "ts": 2},
    {"ph": "X", "name": "sink", "pid": 1, "tid": 4, "ts": 6, "dur": 1},
    {"ph": "f", "cat": "f", "name": "go", "id": 5, "pid": 1, "tid": 4, "ts": 6, "bp": "e"},
]


def load(path: Path, document: Any) -> tir.Module:
    """The module of a document, by a frontend of its own choice."""
    file = path / "trace.json"
    file.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
    return tir.load(file)


def test_all_phases(tmp_path: Path) -> None:
    """Ranges on threads, asynchronous ones, marks, counters, flows; names of threads and processes."""
    module = load(tmp_path, EVENTS)
    assert module.source.frontend == "chrome"  # type: ignore[union-attr]
    assert told(module, "cpu.2") == [("outer", 0, 8000), ("inner", 1000, 3125), ("mark", 8500, 0)]
    assert {(event.kind, event.lane.name, event.lane.label) for event in module.select()} == {
        ("host.range", "cpu.2", "worker"), ("mark.instant", "cpu.2", "worker"), ("ctr.sample", "ctr.queue", "server"),
        ("host.async", "async.net", "server"), ("mark.instant", "async.net", "server"),
        ("host.range", "cpu.4", "server"),
    }  # fmt: skip
    source, target = module.edges("flow")
    assert [(module.event(a).name, module.event(b).name) for a, b in zip(source, target, strict=True)] == [
        ("inner", "sink")
    ]
    assert module.event(0).args == {"a": 1}
    assert_round_trip(module)


@pytest.mark.parametrize("cat", ["trace", "operator", "cuda_event", "xpu", "gpu_something_else", "v8", None])
def test_no_category_means_a_device(cat: str | None, tmp_path: Path) -> None:
    """A range is a range on its thread."""
    row = {"ph": "X", "name": "step 5", "pid": 0, "tid": 7, "ts": 1, "dur": 2}
    file = tmp_path / "trace.json"
    file.write_text(json.dumps([row | ({"cat": cat} if cat else {})]), encoding="utf-8")
    module = tir.load(file, frontend="chrome")
    assert [(event.kind, event.lane.kind) for event in module.select()] == [("host.range", "host.thread")]


@pytest.mark.parametrize("cat", ["py-spy", "FEE"])
def test_tracers_of_functions_give_frames(cat: str, tmp_path: Path) -> None:
    """py-spy and VizTracer."""
    module = load(tmp_path, [{"ph": "X", "cat": cat, "name": "f", "pid": 1, "tid": 1, "ts": 1, "dur": 2}])
    assert module.event(0).kind == "host.frame"


PYTORCH = [
    {"ph": "X", "cat": "kernel", "name": "k", "pid": 0, "tid": 7, "ts": 1, "dur": 2},
    {"ph": "X", "cat": "gpu_memcpy", "name": "k", "pid": 0, "tid": 7, "ts": 1, "dur": 2},
    {"ph": "X", "cat": "cpu_op", "name": "aten::add", "pid": 1, "tid": 1, "ts": 1, "dur": 2},
    {"ph": "X", "name": "aten::add", "pid": 1, "tid": 1, "ts": 1, "dur": 2},
    {"ph": "X", "name": "f", "pid": 1, "tid": 1, "ts": 1, "dur": 2, "args": {"correlation": 4}},
]


@pytest.mark.parametrize("row", PYTORCH, ids=[str(at) for at in range(len(PYTORCH))])
def test_what_may_be_of_pytorch_is_left_to_kineto(row: dict[str, Any], tmp_path: Path) -> None:
    """Any word that PyTorch's profiler writes."""
    assert load(tmp_path, [row]).source.frontend == "kineto"  # type: ignore[union-attr]


def named(process: str) -> dict[str, Any]:
    """A row that names a process."""
    return {"ph": "M", "name": "process_name", "pid": 9, "args": {"name": process}}


PRODUCERS: list[tuple[str, Any, bool]] = [
    ("py-spy", [{"ph": "X", "cat": "py-spy", "name": "f", "pid": 1, "tid": 1, "ts": 1, "dur": 2}], False),
    ("VizTracer", {"traceEvents": EVENTS, "viztracer_metadata": {"version": "1"}}, False),
    ("Clang (-ftime-trace)", {"traceEvents": EVENTS, "beginningOfTime": 5}, False),
    ("Bazel", {"otherData": {"bazel_version": "7"}, "traceEvents": EVENTS}, False),
    ("Huawei Ascend (msprof, torch_npu)", [named("CANN"), *EVENTS], True),
    ("rocprof", [named("CPU HIP API"), *EVENTS], True),
    ("XLA (TensorFlow, JAX)", [named("/device:GPU:0"), *EVENTS], True),
    (
        "RPD (rocmProfileData)",
        [
            {}, {"ph": "M", "name": "process_name", "pid": "2", "args": {"name": "GPU2"}},
            {"ph": "M", "name": "thread_name", "pid": "1", "tid": "9", "args": {"name": "Hip 9"}}, *EVENTS,
        ],
        True,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "document", "export"), PRODUCERS, ids=[row[0] for row in PRODUCERS])
def test_who_wrote_it_is_told(name: str, document: Any, export: bool, tmp_path: Path) -> None:
    """What a profiler of devices exported is said to be such, with what to name instead."""
    module = load(tmp_path, document)
    assert module.meta["producer"] == name
    said = [item.message for item in module.health if item.code == "vendor_export"]
    assert len(said) == export
    if export:
        assert said[0].startswith(f"This is an export of {name}: ranges of the device are shown on threads, without ")


def test_nobody_is_named_without_a_sign(tmp_path: Path) -> None:
    """Unknown stays unknown."""
    assert "producer" not in load(tmp_path, EVENTS).meta


@pytest.mark.parametrize("cut", [b"]", b'}, {"ph": "f"', b""], ids=["comma", "cut", "whole"])
def test_lists_that_are_not_closed(cut: bytes, tmp_path: Path) -> None:
    """A trailing comma, a list that ends early: read up to there, and told in words of any program."""
    text = json.dumps(EVENTS[:6]).encode()
    data = {b"]": text[:-1] + b",", b'}, {"ph": "f"': text[:-1] + b', {"ph": "X", "na', b"": text}[cut]
    module = load(tmp_path, data)
    assert len(module) == 3
    said = [item.message for item in module.health if item.code == "truncated"]
    assert len(said) == (cut != b"")
    assert all(text.endswith("; let the program finish writing.") for text in said)


REFUSED: list[tuple[bytes, str]] = [
    (b'{"traceEvents": 5, "ph": "X", "ts": 1}', "has traceEvents that are no list; it is no Chrome trace."),
    (b'[{"ph": "M", "ts": 1, "name": "x"}]', "is a Chrome trace without any event that has a time; record it again."),
    (
        b'{"rocprofiler-sdk-tool": [{"metadata": {}}]}',
        "is rocprofv3's own JSON, which no frontend reads; record with PyTorch's profiler.",
    ),
]


@pytest.mark.parametrize(("data", "said"), REFUSED, ids=[str(at) for at in range(len(REFUSED))])
def test_what_is_none_is_refused_in_one_sentence(data: bytes, said: str, tmp_path: Path) -> None:
    """Plain and gzip."""
    for packed in (data, gzip.compress(data)):
        with pytest.raises(InputError) as caught:
            load(tmp_path, packed)
        assert str(caught.value) == f"The input {tmp_path / 'trace.json'} {said}"


def test_zip_files_are_not_unpacked(tmp_path: Path) -> None:
    """Browsers save traces as zip files; a bomb is not opened."""
    file = tmp_path / "trace.zip"
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("trace.json", json.dumps(EVENTS))
    with pytest.raises(InputError) as caught:
        tir.load(file)
    assert str(caught.value) == (
        f"The input {file} is a zip file, which is not unpacked; unzip it and name the file in it."
    )


def test_golden(tmp_path: Path, golden: Callable[[str, str], None]) -> None:
    """The whole module as text."""
    golden("frontends/chrome.tir", listing(load(tmp_path, EVENTS)))


GENERIC = [
    ("catapult_async_begin_end.json", 32), ("catapult_flow_simple.json", 5), ("catapult_instance_counters.json", 10),
    ("catapult_main_thread_has_unclosed_slices.json.gz", 1684), ("catapult_simple_trace_gz.gz", 24),
    ("speedscope_multiprocess.json", 8), ("speedscope_out-of-order.json", 3), ("speedscope_simple-partial.json", 4),
    ("speedscope_simple-partial-trailing-comma.json", 4), ("speedscope_too-many-end-events.json", 2),
]  # fmt: skip


@pytest.mark.parametrize(("name", "events"), GENERIC, ids=[row[0] for row in GENERIC])
def test_real_files_are_nobodys_device(name: str, events: int, shared: Any) -> None:
    """Every shared file: named chrome, no device work, sound, and equal after a round trip."""
    module = tir.load(shared(f"chrome_generic/{name}"))
    assert (module.source.frontend, len(module), bool(module.work.any())) == ("chrome", events, False)  # type: ignore[union-attr]
    assert not any(lane.kind == "dev.stream" for lane in module.lanes)
    assert_round_trip(module)


def test_rpd_and_rocprof_are_said_to_be_such(shared: Any) -> None:
    """Real files of two tools of AMD."""
    module = tir.load(shared("rocprof/rpd_matmul_result.json"))
    assert (module.meta["producer"], bool(module.work.any())) == ("RPD (rocmProfileData)", False)
    with pytest.raises(InputError, match="is rocprofv3's own JSON"):
        tir.load(shared("rocprof/tracelens_908_results.json.gz"))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_kept_module_finds_its_arguments_again(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """Plain and gzip."""
    module = load(tmp_path, pack(json.dumps(EVENTS).encode()))
    assert_reopens(module, tmp_path / "trace.json", Chrome())
