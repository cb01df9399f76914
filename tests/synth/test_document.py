"""Synthetic documents look like real ones: the same rows with the same fields, in strict JSON."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import traceir as tir
from tests.synth.reading import QUICK, begin, end, parse, work
from traceir.synth import Decoder, render, write
from traceir.synth.__main__ import main, size

FULL: dict[str, Any] = {
    **QUICK, "launch": "mixed", "prefill_every": 2, "tensor_parallel": 8, "comm_stream": True, "overlap": 0.5,
    "memory": True, "sync_rows": True, "orphan_layers": 1, "stall": "blocking", "stall_every": 1,
}  # fmt: skip
REAL = {
    "nvidia": ["b200", "qwen_h100", "nccl", "alexnet", "event_sync_multi", "hta_triton"],
    "amd": ["sgl_dec", "sgl_cap", "vllm_pw", "bert_mi300", "triton"],
}
Fields = dict[tuple[str, str], set[str]]


def _fields(rows: list[dict[str, Any]]) -> tuple[Fields, Fields]:
    outer: Fields = defaultdict(set)
    args: Fields = defaultdict(set)
    for row in rows:
        key = (row["ph"], row.get("cat") or row["name"])
        outer[key] |= set(row)
        args[key] |= set(row.get("args", {}))
    return outer, args


def _document(path: Path) -> dict[str, Any]:
    with gzip.open(path) as file:
        document: dict[str, Any] = json.load(file)
    return document


@pytest.mark.parametrize("vendor", ["nvidia", "amd"])
def test_rows_have_only_fields_that_real_traces_of_the_vendor_have(vendor: Any, shared: Callable[[str], Path]) -> None:
    """No row kind, field or arg is made up; M and window rows may come from any real trace."""
    text, _ = render(Decoder(**FULL, vendor=vendor))
    outer, args = _fields(parse(text)["traceEvents"])
    known = [_fields(_document(shared(name))["traceEvents"]) for names in REAL.values() for name in names]
    own = [_fields(_document(shared(name))["traceEvents"]) for name in REAL[vendor]]
    for key, fields in outer.items():
        assert fields <= set().union(*(real[0].get(key, set()) for real in known)), key
    for key, fields in args.items():
        # cuda_sync rows and communication metadata exist on AMD too, but in none of the shared traces.
        source = known if key[1] in ("cuda_sync", "cpu_op", "kernel", "M", "cpu_instant_event") else own
        if vendor == "amd" and key[1] == "kernel":
            assert not fields & {"queued", "context", "registers per thread"}
        if key[0] == "X" and key[1] not in ("Trace",):
            assert fields <= set().union(*(real[1].get(key, set()) for real in source)), key


@pytest.mark.parametrize(("vendor", "name"), [("nvidia", "b200"), ("amd", "sgl_dec")])
def test_rows_of_the_common_kinds_have_all_fields_that_real_ones_always_have(
    vendor: Any, name: str, shared: Callable[[str], Path]
) -> None:
    """What every real kernel, copy, call, op and frame carries, the synthetic ones carry too."""
    text, _ = render(Decoder(**FULL, vendor=vendor))
    rows = parse(text)["traceEvents"]
    real = _document(shared(name))["traceEvents"]
    for category in ("kernel", "gpu_memcpy", "cuda_runtime", "cpu_op", "python_function", "user_annotation", "ac2g"):
        always = set.intersection(*(set(row.get("args", {})) for row in real if row.get("cat") == category))
        for row in rows:
            if row.get("cat") == category:
                assert always <= set(row.get("args", {})), row


@pytest.mark.parametrize("vendor", ["nvidia", "amd"])
def test_top_level_keys_are_those_of_real_documents(vendor: Any, shared: Callable[[str], Path]) -> None:
    """The keys beside the events occur in real documents."""
    text, _ = render(Decoder(**FULL, vendor=vendor))
    known = set().union(*(set(_document(shared(name))) for names in REAL.values() for name in names))
    assert set(parse(text)) <= known


def test_ids_are_unique_and_references_lead_somewhere() -> None:
    """Python ids, Ev Idx, call correlations and External ids are unique; parents and launches exist."""
    text, _ = render(Decoder(**FULL))
    rows = parse(text)["traceEvents"]
    frames = [row for row in rows if row.get("cat") == "python_function"]
    ids = [row["args"]["Python id"] for row in frames]
    assert len(set(ids)) == len(ids)
    assert {row["args"]["Python parent id"] for row in frames} <= {None, *ids}
    indices = [row["args"]["Ev Idx"] for row in rows if "Ev Idx" in row.get("args", {})]
    assert len(set(indices)) == len(indices)
    calls = [row["args"]["correlation"] for row in rows if row.get("cat") in ("cuda_runtime", "cuda_driver")]
    assert len(set(calls)) == len(calls)
    ops = {row["args"]["External id"] for row in rows if row.get("cat") in ("cpu_op", "user_annotation")}
    assert {row["args"]["External id"] for row in work(rows) if "External id" in row["args"]} <= ops


def test_host_rows_nest_and_frames_lie_in_their_parents() -> None:
    """On the host thread every row lies inside the row that contains its start."""
    text, _ = render(Decoder(**FULL))
    rows = [row for row in parse(text)["traceEvents"] if row["ph"] == "X" and row["pid"] == row["tid"]]
    rows.sort(key=lambda row: (begin(row), -end(row)))
    open_ends: list[int] = []
    for row in rows:
        while open_ends and open_ends[-1] <= begin(row):
            open_ends.pop()
        assert not open_ends or end(row) <= open_ends[-1], row
        open_ends.append(end(row))


def test_device_work_starts_after_its_launch_call_began_and_streams_are_in_order() -> None:
    """Causality: no kernel before its call, and one kernel at a time on a stream."""
    text, _ = render(Decoder(**FULL, seed=7))
    rows = parse(text)["traceEvents"]
    calls = {row["args"]["correlation"]: row for row in rows if row.get("cat") in ("cuda_runtime", "cuda_driver")}
    last: dict[int, int] = {}
    for row in work(rows):
        call = calls.get(row["args"]["correlation"])
        assert call is None or begin(row) > begin(call)
        assert begin(row) >= last.get(row["tid"], 0)
        last[row["tid"]] = end(row)


def test_each_device_row_has_a_flow_end_and_each_launch_a_flow_start() -> None:
    """One `f` per device row, one `s` per call that launched, and an `f` at every call that launched nothing."""
    text, _ = render(Decoder(**QUICK, launch="graph", tensor_parallel=2))
    rows = parse(text)["traceEvents"]
    device = {0}
    ends = Counter((row["id"], row["pid"] in device) for row in rows if row["ph"] == "f")
    launched = Counter(row["args"]["correlation"] for row in work(rows))
    assert {key: n for key, n in ends.items() if key[1]} == {(key, True): n for key, n in launched.items()}
    calls = {row["args"]["correlation"] for row in rows if row.get("cat") in ("cuda_runtime", "cuda_driver")}
    assert {row["id"] for row in rows if row["ph"] == "s"} == set(launched)
    assert {key[0] for key in ends if not key[1]} == calls - set(launched)


def test_replayed_kernels_share_one_correlation_and_have_node_ids_on_request() -> None:
    """A graph launch starts all kernels of the model's part of a step."""
    text, _ = render(Decoder(**QUICK, launch="graph", graph_ids=True))
    rows = work(parse(text)["traceEvents"])
    correlation, count = Counter(row["args"]["correlation"] for row in rows).most_common(1)[0]
    assert count == 1 + 2 * 13 + 2  # embedding, two layers, final norm and head
    nodes = [row["args"]["graph node id"] for row in rows if row["args"]["correlation"] == correlation]
    assert nodes == list(range(count))


def test_equal_options_give_equal_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    """A trace is a function of its options; files and text agree, compressed or not."""
    options = Decoder(**FULL, seed=3)
    text, truth = render(options)
    assert render(options) == (text, truth)
    assert render(Decoder(**FULL, seed=4))[0] != text
    for name in ("a.json", "b.json.gz"):
        assert write(options, tmp_path / name) == truth
    assert (tmp_path / "a.json").read_bytes() == text.encode()
    packed = (tmp_path / "b.json.gz").read_bytes()
    assert gzip.decompress(packed) == text.encode()
    write(options, tmp_path / "c.json.gz")
    assert (tmp_path / "c.json.gz").read_bytes() == packed


def test_a_size_adds_steps_until_it_is_reached_and_density_is_realistic(tmp_path: Path) -> None:
    """The command line writes at least the size asked for, at 250 to 420 bytes an event."""
    path, facts = tmp_path / "big.json", tmp_path / "truth.json"
    arguments = ["--layers", "4", "--steps", "2", "--launch", "eager", "--size", "3MB", "-o", str(path)]
    assert main([*arguments, "--truth", str(facts)]) == 0
    truth = json.loads(facts.read_text())
    assert 3_000_000 <= path.stat().st_size == truth["bytes"] < 3_500_000
    assert 250 <= truth["bytes"] / truth["events"] <= 420
    assert len(truth["steps"]) > 2


@pytest.mark.parametrize(("text", "bytes_"), [("1GB", 10**9), ("300MB", 3 * 10**8), ("2KiB", 2048), ("65536", 65536)])
def test_sizes_are_read_in_decimal_and_binary_units(text: str, bytes_: int) -> None:
    """GB is a power of 1000 and GiB one of 1024."""
    assert size(text) == bytes_


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": 0}, "The option layers has to be at least 1, not 0."),
        ({"overlap": 0.5}, "The option overlap needs comm_stream and tensor_parallel above 1."),
        ({"jitter": 0.9}, "The option jitter is a share from 0 to below 0.5, not 0.9."),
        ({"layers": 2, "orphan_layers": 3}, "There cannot be 3 orphan layers of a model of 2 layers."),
    ],
)
def test_options_that_mean_nothing_are_refused_with_a_sentence(options: dict[str, Any], message: str) -> None:
    """A ValueError says which option is wrong."""
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace(".", r"\.")):
        Decoder(**options)


@pytest.mark.parametrize("vendor", ["nvidia", "amd"])
def test_the_frontend_reads_a_synthetic_trace_without_a_finding(vendor: Any, tmp_path: Path) -> None:
    """The document is sound: nothing to repair, and every kernel but the orphans has its launch."""
    path = tmp_path / "trace.json"
    truth = write(Decoder(**{**FULL, "orphan_layers": 0}, vendor=vendor), path)
    module = tir.load(path)
    assert [finding for finding in module.health if finding.level != "info"] == []
    kernels = sum(event.kind == "dev.kernel" for event in (module.event(row) for row in range(len(module))))
    assert kernels == truth.kernels


def test_writing_takes_constant_memory(tmp_path: Path) -> None:
    """Five times the text takes hardly more memory at its peak."""
    options = Decoder(layers=4, steps=1, launch="eager", modules=False)

    def peak(bytes_: int) -> int:
        tracemalloc.start()
        write(options, tmp_path / "trace.json", min_bytes=bytes_)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(0)  # what is imported or compiled once is not measured
    assert peak(10_000_000) < 1.5 * peak(2_000_000)
