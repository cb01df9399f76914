"""The frontend against the plain reference, on every shared Kineto trace."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

import traceir as tir
from tests.conftest import SHORT
from tests.frontends.kineto import reference
from traceir_frontends.kineto import Kineto

FEW = 400
"""Events per trace whose bytes and arguments are compared; all of their ranges are."""


@pytest.mark.parametrize("name", SHORT)
def test_columns_edges_and_bytes_equal_the_reference(name: str, shared: Callable[[str], Path]) -> None:
    """Kinds, names, exact times, launch edges and byte ranges are those of a reading with decimal arithmetic."""
    path = shared(name)
    text, events, _ = reference.read(path)
    module = Kineto().load(str(path))
    expected = reference.rows_of(events)
    assert reference.module_rows(module) == reference.shifted(expected)
    assert reference.module_launches(module) == reference.launches_of(events, expected)
    assert np.all(np.diff(module["ts"]) >= 0)

    data = text.encode()
    ids, offsets, lengths = (module[column].tolist() for column in ("id", "offset", "length"))
    assert all(
        data[at : at + 1] == b"{" and data[at + n - 1 : at + n] == b"}" for at, n in zip(offsets, lengths, strict=True)
    )
    step = max(len(ids) // FEW, 1)
    for id, at, n in list(zip(ids, offsets, lengths, strict=True))[::step]:
        assert json.loads(data[at : at + n], parse_float=Decimal) == events[id]
    rows = np.arange(len(ids))[::step]
    plain = [json.loads(data[offsets[row] : offsets[row] + lengths[row]]).get("args") or {} for row in rows.tolist()]
    assert module.source is not None
    assert module.source.args(module["offset"][rows], module["length"][rows]) == plain
    if len(rows):
        at, n = offsets[rows[-1]], lengths[rows[-1]]
        assert module.source.raw(at, n) == data[at : at + n]


@pytest.mark.parametrize(
    ("name", "orphans"), [("qwen_h100", 509), ("sgl_dec", 0), ("bert_h100", 0), ("nccl", 0), ("b200", 0)]
)
def test_orphans_are_counted(name: str, orphans: int, load_shared: Callable[[str], tir.Module]) -> None:
    """Device work without a launch is found, and found to be what the warm-up left."""
    module = load_shared(name)
    found = [finding for finding in module.health if finding.code == "orphan_launch"]
    assert sum(finding.count for finding in found) == orphans
    assert all("prefix" in finding.message for finding in found)


@pytest.mark.parametrize(
    ("name", "busy", "span"),
    [
        ("bert_h100", 309_437, 3_907_825),
        ("qwen_h100", 45_647_000, 49_653_000),
        ("b200", 84_487_000 - 72_891_000, 84_487_000),
    ],
)
def test_busy_and_span_of_known_traces(
    name: str, busy: int, span: int, load_shared: Callable[[str], tir.Module]
) -> None:
    """Busy time and span agree with figures computed elsewhere with exact integers (given to the µs or better)."""
    module = load_shared(name)
    work = module.select(where=module.work)
    assert module.span_ns == pytest.approx(span, abs=1000)
    assert work.union_ns == pytest.approx(busy, abs=120_000 if name == "b200" else 1000)


def test_one_graph_launch_starts_all_its_kernels(load_shared: Callable[[str], tir.Module]) -> None:
    """A graph launch has an edge to each of its 544 kernels, and each kernel has that one launch."""
    module = load_shared("sgl_dec")
    (launch,) = module.select(kind="rt.graph_launch")
    assert len(launch.launched) == 544
    assert {lane.name for lane in module.lanes} == {"cpu.main", "gpu9.s2", "gpu9.s3"}


def test_lane_kind_comes_from_the_category(load_shared: Callable[[str], tir.Module]) -> None:
    """Frames on pid 0 do not land on device 0, and operators that name a stream are no device work."""
    module = load_shared("bert_h100")
    assert {lane.name: lane.kind for lane in module.lanes} == {
        "cpu.main": "host.thread", "cpu.0": "host.thread", "gpu0.s7": "dev.stream",
    }  # fmt: skip
    assert int(load_shared("hta_triton").work.sum()) == 1


def test_waits_join_record_work_and_caller(load_shared: Callable[[str], tir.Module]) -> None:
    """A stream's wait has edges from the call that recorded the event and from the last work before it."""
    module = load_shared("event_sync_multi")
    src, dst = module.edges("sync")
    (wait,) = (event for event in module.select(kind="event.wait") if event.name == "Stream Wait Event")
    into = [module.event(row) for row in src[dst == wait.row]]
    assert wait.lane.name == "gpu0.s24"
    assert {(event.name, event.lane.name) for event in into} == {
        ("cudaEventRecord", "cpu.main"), ("ampere_sgemm_128x64_nn", "gpu0.s20"),
    }  # fmt: skip
    assert wait.launch is not None
    assert wait.launch.name == "cudaStreamWaitEvent"


def test_flows_join_forward_to_backward(load_shared: Callable[[str], tir.Module]) -> None:
    """Each forward-backward flow becomes one edge between operators, of the sequence number they share."""
    module = load_shared("gloo")
    src, dst = module.edges("flow")
    pairs = [(module.event(a), module.event(b)) for a, b in zip(src, dst, strict=True)]
    assert len(pairs) == 12
    assert all(a.kind == b.kind == "host.op" and a.ts < b.ts for a, b in pairs)
    assert all(a.field("sequence") == b.field("sequence") for a, b in pairs)


@pytest.mark.parametrize("size", [1 << 10, 1 << 14, 1 << 22])
def test_the_size_of_the_pieces_changes_nothing(size: int, shared: Callable[[str], Path]) -> None:
    """Modules read in small and in large pieces have the same columns."""
    path = str(shared("mi250"))
    small, usual = Kineto(size).load(path), Kineto().load(path)
    assert all(
        np.array_equal(small[column], usual[column])
        for column in ("id", "name", "ts", "dur", "offset", "length", "parent")
    )
    assert small.health == usual.health
