"""Each rule of sync by a module of its own, and real traces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import traceir as tir
from tests.build import Ev, module
from tests.passes.sync_made import joined, ran, rows
from traceir.passing import to_json
from traceir_passes.sync import Sync

US = 1_000
Load = Callable[[str], tir.Module]
_done: dict[str, tir.Module] = {}


def kernel(at: int, dur: int, call: int | None, lane: str = "gpu0.s7", kind: str = "dev.kernel") -> Ev:
    return Ev(kind, f"kernel.{at}", at, dur, lane, launch=call)


def call(at: int, dur: int = 1, kind: str = "rt.launch", name: str = "cudaLaunchKernel", lane: str = "cpu") -> Ev:
    return Ev(kind, name, at, dur, lane)


def sync(at: int, dur: int, name: str = "cudaStreamSynchronize", lane: str = "cpu") -> Ev:
    return Ev("rt.sync", name, at, dur, lane)


def only(item: tir.Module, kind: str = "", **options: Any) -> dict[str, Any]:
    (row,) = [row for row in rows(ran(item, **options)[0]) if not kind or row["kind"] == kind]
    return row


def test_stream_sync_waits_for_the_stream_of_the_last_launch() -> None:
    """Of two streams it is the one that the thread launched on last, and that is a guess."""
    items = [call(0), kernel(10, 90, 0), call(2), kernel(20, 20, 2, "gpu0.s9"), sync(5, 50)]
    row = only(module(items))
    assert (row["waited_for"], row["basis"], row["verdict"]) == (3, "guessed", "needed")
    assert [row[part] for part in ("busy", "copy", "other", "idle", "back")] == [20, 0, 10, 5, 15]


def test_recorded_wait_says_which_stream() -> None:
    """A row of the profiler for the wait, with its edge to the call, is better than the last launch."""
    items = [call(0), kernel(10, 40, 0), call(2), kernel(20, 20, 2, "gpu0.s9"), sync(5, 50)]
    items.append(Ev("event.wait", "Stream Sync", 6, 48, "gpu0.s7"))
    row = only(joined(items, (5, 4)))
    assert (row["waited_for"], row["basis"], row["kind"]) == (1, "recorded", "stream")


def test_event_sync_waits_for_the_work_before_the_record() -> None:
    """A sync edge from the work, through the row of the wait, is what was recorded; work after it is not awaited."""
    items = [call(0), kernel(10, 40, 0), call(2), kernel(50, 900, 2), sync(5, 50, "cudaEventSynchronize")]
    items.append(Ev("event.wait", "Event Sync", 6, 48, "derived"))
    row = only(joined(items, (1, 5), (5, 4)))
    assert (row["waited_for"], row["basis"], row["verdict"], row["back"]) == (1, "recorded", "needed", 5)


def test_edge_from_work_itself_is_recorded() -> None:
    """A frontend may join the work with the call directly."""
    items = [call(0), kernel(10, 40, 0), kernel(60, 5, None), sync(5, 90, "aclrtSynchronizeEvent")]
    assert only(joined(items, (1, 3)))["waited_for"] == 1


def test_unknown_event_is_no_proof() -> None:
    """Without a record the latest end by the call's end is taken, and that it waited for it is left open."""
    items = [call(0), kernel(10, 40, 0), sync(5, 50, "cudaEventSynchronize")]
    row = only(module(items))
    assert (row["waited_for"], row["basis"], row["verdict"]) == (1, "guessed", None)
    done = only(module([*items[:2], sync(70, 5, "cudaEventSynchronize")]))
    assert (done["verdict"], done["back"]) == ("done", 5)


def test_blocking_copy_waits_for_its_copy_and_all_before() -> None:
    """What it waited for before its own copy began is apart from the copy."""
    items = [call(0), kernel(10, 40, 0), call(5, 80, "rt.memcpy", "hipMemcpyWithStream")]
    row = only(module([*items, kernel(55, 20, 2, kind="dev.memcpy")]))
    assert (row["kind"], row["waited_for"], row["basis"]) == ("copy", 3, "recorded")
    assert [row[part] for part in ("busy", "copy", "other", "idle", "back")] == [40, 20, 0, 10, 10]


def test_copy_to_pageable_memory_blocks_where_it_did() -> None:
    """An asynchronous copy to pageable memory is a wait if the call returned only after the copy; no other one is."""
    for name, end, kinds in (
        ("Memcpy DtoH (Device -> Pageable)", 90, ["copy"]),
        ("Memcpy DtoH (Device -> Pinned)", 90, []),
        ("Memcpy HtoD (Pageable -> Device)", 30, []),
    ):
        items = [call(5, end - 5, "rt.memcpy", "cudaMemcpyAsync"), Ev("dev.memcpy", name, 20, 40, "gpu0.s7", 0)]
        assert [row["kind"] for row in rows(ran(module(items))[0])] == kinds, name


def test_needless_sync_costs_its_own_overhead() -> None:
    """A sync of a device that was done is in vain; a copy or an allocation is none, whatever the device did."""
    items = [call(0), kernel(10, 40, 0), sync(60, 8, "cudaDeviceSynchronize"), call(80, 5, "rt.alloc", "cudaFree")]
    report = ran(module(items))[1]
    assert (report.needless.count, report.needless.time_ns, report.total.time_ns) == (1, 8, 13)
    assert [(item.kind, item.cost.done) for item in report.kinds] == [("device", 1), ("memory", 1)]


def test_allocation_that_returned_before_the_work_ended_waited_for_none() -> None:
    """A call for memory is not taken for a wait where work that was enqueued before it ran on."""
    for name, dur, verdict in (
        ("cudaFree", 90 * US, "needed"),
        ("cudaFree", 5 * US, "done"),
        ("cudaMalloc", 90 * US, None),
    ):
        row = only(module([call(0), kernel(10, 50 * US, 0), call(5, dur, "rt.alloc", name)]))
        assert row["verdict"] == verdict, name
        assert (row["waited_for"] is None) is (verdict == "done")


def test_sync_that_returned_before_the_work_ended_did_not_wait_for_it() -> None:
    """Within `slack` the clocks disagree; beyond it the work cannot be what was awaited."""
    items = [call(0), kernel(1, 3, 0), call(2), kernel(10, 40 * US, 2), sync(5, 35 * US, "cudaDeviceSynchronize")]
    assert only(module(items))["waited_for"] == 3
    assert only(module(items), slack=2 * US)["waited_for"] == 1


def test_call_inside_a_blocking_call_is_part_of_it() -> None:
    """A driver's call within the runtime's is not counted again."""
    items = [call(0), kernel(10, 40, 0), sync(5, 50), sync(7, 40, "cuStreamSynchronize")]
    assert only(module(items))["call"] == 2


def test_cause_is_the_chain_of_operators_up_to_the_frame() -> None:
    """The names from the call to the outermost operator, and the frame that called it, built-ins passed over."""
    items = [
        call(0),
        kernel(10, 40, 0),
        Ev("host.frame", "train.py(7): step", 1, 99, "cpu"),
        Ev("host.frame", "<built-in method item of Tensor object at 0x7f>", 2, 90, "cpu"),
        Ev("host.op", "aten::item", 3, 80, "cpu"),
        Ev("host.op", "aten::_local_scalar_dense", 4, 70, "cpu"),
        sync(5, 50),
    ]
    row = only(module(items))
    assert row["chain"] == "cudaStreamSynchronize < aten::_local_scalar_dense < aten::item"
    assert (row["op"], row["frame"]) == (4, 2)
    (cause,) = ran(module(items))[1].causes
    assert (cause.call, cause.operator, cause.frame) == ("cudaStreamSynchronize", "aten::item", "train.py(7): step")


def test_wait_of_a_stream_is_held_until_what_it_waits_for() -> None:
    """A stream's wait holds it from when its own work is done; a recorded wait of the host is none of a stream's."""
    items = [
        call(0),
        kernel(10, 20, 0),
        call(2),
        kernel(12, 88, 2, "gpu0.s9"),
        call(4, name="cudaEventRecord", kind="rt.call"),
    ]
    items += [Ev("event.record", "record", 100, 0, "gpu0.s9", 4), Ev("event.wait", "Stream Wait Event", 8, 0)]
    row = only(joined(items, (5, 6)), "wait")
    assert (row["call"], row["waited_for"], row["held"]) == (6, 3, 70)
    report = ran(joined(items, (5, 6)))[1]
    assert (report.waits.count, report.waits.known, report.waits.held_ns) == (1, 1, 70)


def test_run_of_queries_is_a_poll() -> None:
    """Queries that follow each other closely are one row; a single one, or with another call between, is none."""
    asks = [call(at * US, US, "rt.call", "cudaEventQuery") for at in (10, 12, 14, 300, 500, 503)]
    items = [*asks, call(502 * US, 100)]
    found = rows(ran(module(items))[0])
    assert [(row["kind"], row["calls"], row["start"], row["dur"]) for row in found] == [("poll", 3, 10 * US, 5 * US)]
    assert ran(module(items), apart=0)[1].polls.count == 0
    assert ran(module(items), apart=US)[1].polls.count == 1


def test_report_of_a_module_without_calls_is_empty() -> None:
    """Nothing waits: no figure, no table, no error."""
    report = ran(module([kernel(0, 5, None)]))[1]
    assert (report.headline(), report.blocks(), report.causes) == ((), (), ())
    assert to_json(report)["total"]["time_ns"] == 0


def test_options_are_durations() -> None:
    """`slack` and `apart` can be written as times."""
    assert Sync.from_text({"slack": "2us", "apart": "1ms"}) == Sync(2_000, 1_000_000)


# --- real traces ---------------------------------------------------------------------------------------------


def shared(load: Load, name: str) -> list[dict[str, Any]]:
    if name not in _done:
        _done[name] = ran(load(name))[0]
    return [{**row, "name": _done[name].event(_done[name].row_of(row["call"])).name} for row in rows(_done[name])]


def test_item_of_a_model_is_a_sync_of_its_stream(load_shared: Load) -> None:
    """The chain of `item` in a served model, and the three parts of its 7.7 µs."""
    (row,) = [row for row in shared(load_shared, "qwen_h100") if row["kind"] == "stream"]
    assert row["chain"].startswith("cudaStreamSynchronize < aten::_local_scalar_dense < aten::item")
    assert (row["dur"], row["busy"], row["idle"], row["back"]) == (7690, 2368, 1405, 3917)


@pytest.mark.parametrize(
    ("name", "calls"), [("s0", 8), ("s1", 8), ("dlrm", 2), ("event_sync", 1), ("alexnet", 0), ("b200", 0)]
)
def test_copies_to_pageable_memory_block(load_shared: Load, name: str, calls: int) -> None:
    """In real traces all asynchronous copies from the device to pageable memory return when the copy is done."""
    found = [row for row in shared(load_shared, name) if row["name"] == "cudaMemcpyAsync"]
    assert [row["kind"] for row in found] == ["copy"] * calls
    assert all(row["back"] > 0 for row in found)


@pytest.mark.parametrize(("name", "calls"), [("bert_mi300", 1), ("mi250", 2), ("sgl_dec", 1)])
def test_copies_of_amd_block_with_a_stream(load_shared: Load, name: str, calls: int) -> None:
    """`hipMemcpyWithStream` waits for its own copy, and what it costs is told apart from the copy."""
    found = [row for row in shared(load_shared, name) if row["name"] == "hipMemcpyWithStream"]
    assert [row["kind"] for row in found] == ["copy"] * calls
    assert all(row["basis"] == "recorded" and row["copy"] > 0 for row in found)


def test_frees_of_a_benchmark_starve_the_device(load_shared: Load) -> None:
    """The first call of a convolution library frees memory for seconds, in which the device does nothing."""
    report = Sync().report(_done.setdefault("alexnet", ran(load_shared("alexnet"))[0]))
    assert (report.total.count, report.total.time_ns) == (61, 8_515_522_000)
    first = report.causes[0]
    assert (first.call, first.operator, first.kind) == ("cudaFree", "aten::conv2d", "memory")
    assert first.cost.device_idle_ns == first.cost.time_ns > 6 * 10**9
    assert (report.waits.count, report.waits.known) == (20, 6)


def test_recorded_syncs_are_found_needed_or_not(load_shared: Load) -> None:
    """Of a small trace with rows of waits, one synchronisation of three had something to wait for."""
    found = {row["name"]: (row["verdict"], row["basis"]) for row in shared(load_shared, "event_sync")}
    assert found == {
        "cudaStreamSynchronize": ("done", "recorded"),
        "cudaEventSynchronize": ("needed", "recorded"),
        "cudaDeviceSynchronize": ("done", "derived"),
        "cudaMemcpyAsync": ("needed", "recorded"),
    }


@pytest.mark.parametrize("name", ["nccl", "dlrm", "mtia", "s0", "sgl_pd", "gloo", "cpu_only"])
def test_laws_hold_on_any_trace(load_shared: Load, name: str) -> None:
    """The parts make each call, on traces of several vendors."""
    assert Sync().check(ran(load_shared(name))[0]) == []
