"""Wait against transfer, bandwidth, and which events are one collective."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.build import Ev, module
from tests.conftest import find_trace
from traceir.errors import UsageError
from traceir.ir import Region
from traceir_passes.collectives import Collectives, CollectivesReport

Load = Callable[[str], tir.Module]
Around = Sequence[tuple[str, Mapping[str, Any]]]
REDUCE = "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)"
GATHER = "ncclDevKernel_AllGather_RING_LL(ncclDevKernelArgsStorage<4096ul>)"
SEND_RECV = "ncclDevKernel_SendRecv(ncclDevKernelArgsStorage<4096ul>)"
GEMM = "nvjet_tst_64x64"
NOTIFY = "void deep_ep::intranode::notify_dispatch<8>(int const*)"
SENT = "void deep_ep::intranode::dispatch<8, 768, 8192>(int4*)"
DISPATCH = "void deep_ep::internode_ll::dispatch<true, false, 7168>(void*)"
COMBINE = "void deep_ep::internode_ll::combine<true, 7168, 9>(void*)"


@attrs.frozen
class Kernel:
    """A kernel of a Kineto file: start and length in µs, its metadata, and the host operators around its launch."""

    name: str
    start: int
    dur: int
    args: Mapping[str, Any] = attrs.field(factory=dict)
    device: int = 0
    around: Around = ()
    stream: int = 7


def kineto(path: Path, kernels: Sequence[Kernel]) -> tir.Module:
    """A Kineto file of kernels, loaded; kernels that share their `around` are launched inside the same operators."""
    events: list[dict[str, Any]] = []
    opened: dict[int, float] = {}
    for number, item in enumerate(kernels, 1):
        at = opened.setdefault(id(item.around), 1000.0 * len(opened))
        host = {"ph": "X", "pid": 1, "tid": 1}
        if at == 1000.0 * (len(opened) - 1) and not any(event["ts"] == at for event in events):
            events += [
                {**host, "cat": "cpu_op", "name": name, "ts": at + depth, "dur": 900.0 - 2 * depth, "args": dict(args)}
                for depth, (name, args) in enumerate(item.around)
            ]
        call = {"cat": "cuda_runtime", "name": "cudaLaunchKernel", "ts": at + 10 + number / 10, "dur": 0.05}
        events.append({**host, **call, "args": {"correlation": number}})
        told = {"correlation": number, "device": item.device, "stream": item.stream, **item.args}
        work = {"cat": "kernel", "name": item.name, "ts": 1e6 + item.start, "dur": float(item.dur), "args": told}
        events.append({"ph": "X", "pid": item.device, "tid": item.stream, **work})
    file = path / "trace.json"
    file.write_text(json.dumps({"schemaVersion": 1, "traceEvents": events}), encoding="utf-8")
    return tir.load(file)


def analyse(item: tir.Module, text: str = "infer,collectives") -> tuple[tir.Module, CollectivesReport]:
    """The module after the passes, and the report of `collectives`."""
    item = tir.PassManager.parse(text).run(item)
    return item, Collectives().report(item)


def told(kind: str, elements: int, **more: Any) -> dict[str, Any]:
    """The metadata of a collective of bf16 in a group of 8."""
    received = elements * 8 if kind == "all_gather" else elements
    return {
        "Collective name": kind, "In msg nelems": elements, "Out msg nelems": received, "dtype": "BFloat16",
        "Group size": 8, "Process Group Name": "tp", **more,
    }  # fmt: skip


# --- one rank --------------------------------------------------------------------------------------------------------


def test_shortest_of_its_like_bounds_the_transfer(tmp_path: Path) -> None:
    """Of three alike the shortest is at most the transfer, and what the others take longer is at least their wait."""
    kernels = [Kernel(REDUCE, 100 * at, dur, told("allreduce", 1000)) for at, dur in enumerate((30, 10, 25))]
    item, report = analyse(kineto(tmp_path, kernels))
    assert [row.wait_ns for row in report.instances] == [20_000, 0, 15_000]
    assert {(row.transfer_ns, row.wait_basis) for row in report.instances} == {(10_000, "guessed")}
    assert item.annotations["coll.wait"].annotation.basis == "guessed"
    size = report.sizes[0]
    assert (size.count, size.waited, size.wait_ns, size.wait_basis) == (3, 3, 35_000, "guessed")
    block = next(block for block in report.blocks() if block.title == "sizes")
    assert "≥ 35.0 µs" in block.rows[0]
    assert "estimates" in block.note


@pytest.mark.parametrize("change", ["group", "size", "type", "name", "device", "fewer", "no size"])
def test_others_are_not_alike(tmp_path: Path, change: str) -> None:
    """Where one of three differs in what makes it alike, or does not say its size, no wait is known."""
    alike = told("allreduce", 1000)
    last = Kernel(REDUCE, 300, 25, alike)
    other = {
        "group": attrs.evolve(last, args={**alike, "Process Group Name": "dp"}),
        "size": attrs.evolve(last, args={**alike, "In msg nelems": 999}),
        "type": attrs.evolve(last, args={**alike, "dtype": "Half"}),
        "name": attrs.evolve(last, name=REDUCE.replace("RING", "TREE")),
        "device": attrs.evolve(last, device=1, args={**alike, "Process Group Name": None}),
        "no size": attrs.evolve(last, args={"Collective name": "allreduce"}),
        "fewer": Kernel(GEMM, 300, 25),
    }[change]
    kernels = [Kernel(REDUCE, 0, 30, alike), Kernel(REDUCE, 100, 10, alike), other]
    _, report = analyse(kineto(tmp_path, kernels))
    assert {(row.wait_ns, row.transfer_ns, row.wait_basis) for row in report.instances} == {(None, None, None)}


def test_how_many_alike_is_an_option(tmp_path: Path) -> None:
    """Two are enough if the user says so; a count below two is refused."""
    kernels = [Kernel(REDUCE, 100 * at, dur, told("allreduce", 1000)) for at, dur in enumerate((30, 10))]
    item, _ = analyse(kineto(tmp_path, kernels))
    assert (item["coll.wait"] == tir.NULL_I64).all()
    item, report = analyse(kineto(tmp_path, kernels), "infer,collectives{min_alike=2}")
    assert [row.wait_ns for row in report.instances] == [20_000, 0]
    with pytest.raises(UsageError, match="min_alike"):
        tir.PassManager.parse("collectives{min_alike=1}")


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8))
def test_wait_and_transfer_are_the_whole(durations: list[int]) -> None:
    """Where a wait is known it and the transfer are the time; nothing waits less than nothing; a shift is no matter."""
    names = [f"hcom_allReduce__7_{at}_1" for at in range(len(durations))]
    events = [
        Ev("dev.kernel", name, 100 * at + 10 * device, dur, f"gpu{device}.s7")
        for at, (name, dur) in enumerate(zip(names, durations, strict=True))
        for device in (0, 1)
    ]
    item, report = analyse(module(sorted(events, key=lambda event: event.ts)))
    later, _ = analyse(module([attrs.evolve(event, ts=event.ts + 10**12) for event in events]))
    assert (item["coll.wait"] + item["coll.transfer"] == item["coll.active"]).all()
    assert (item["coll.wait"] >= 0).all()
    assert (item["coll.wait"] == later["coll.wait"]).all()
    assert [row.wait_ns for row in report.instances] == [
        min(10, row.dur_ns) if device == 0 else 0
        for row, device in zip(report.instances, item.device[item["coll.event"]].tolist(), strict=True)
    ]


# --- several ranks of one clock --------------------------------------------------------------------------------------


def _ranks(path: Path, starts: Sequence[Sequence[int]], end: int = 100, **args: Any) -> CollectivesReport:
    """Collectives of several devices that end together: each device's starts, `end` µs after the thousand."""
    size = len(starts)
    kernels = [
        Kernel(REDUCE, 1000 * at + start, end - start, {**told("allreduce", 1000), "Group size": size, **args}, device)
        for device, mine in enumerate(starts)
        for at, start in enumerate(mine)
    ]
    return analyse(kineto(path, kernels))[1]


def test_wait_is_measured_where_all_members_are_seen(tmp_path: Path) -> None:
    """The last of three ranks comes at 60 µs: the others waited until then, and all transfer 40 µs."""
    report = _ranks(tmp_path, [[0], [60], [20]])
    waits = sorted((row.wait_ns, row.transfer_ns) for row in report.instances)
    assert waits == [(0, 40_000), (40_000, 40_000), (60_000, 40_000)]
    assert {row.wait_basis for row in report.instances} == {"measured"}
    assert {(row.bandwidth_exact, row.algbw_gb_s) for row in report.instances} == {(True, 2000 / 40_000)}
    assert {row.busbw_gb_s for row in report.instances} == {2000 / 40_000 * 2 * 2 / 3}
    block = next(block for block in report.blocks() if block.title == "sizes")
    assert "≥" not in "".join(block.rows[0]) + block.note


def test_wait_is_a_bound_where_members_are_missing(tmp_path: Path) -> None:
    """Two of eight ranks: another may have come later still, so the wait is at least what is seen."""
    report = _ranks(tmp_path, [[0], [60]], **{"Group size": 8})
    assert sorted(row.wait_ns or 0 for row in report.instances) == [0, 60_000]
    assert {(row.wait_basis, row.bandwidth_exact) for row in report.instances} == {("derived", False)}


def test_dropped_collective_does_not_shift_the_match(tmp_path: Path) -> None:
    """Without sequence numbers devices that disagree in number are not counted off against each other."""
    report = _ranks(tmp_path, [[0, 10, 20], [60, 60]])
    assert {row.wait_basis for row in report.instances} <= {"guessed", None}


def test_sequence_numbers_match_around_a_dropped_one(tmp_path: Path) -> None:
    """With sequence numbers the one without a partner is left alone, and the others are matched rightly."""
    kernels = [
        Kernel(REDUCE, 1000 * at + 50 * device, 100, {**told("allreduce", 5), "Group size": 2, "Seq": at}, device)
        for device in (0, 1)
        for at in range(3)
        if (device, at) != (1, 1)
    ]
    _, report = analyse(kineto(tmp_path, kernels))
    first = min(row.start_ns for row in report.instances)
    waits = sorted(((row.start_ns - first) // 50_000, row.wait_basis, row.wait_ns) for row in report.instances)
    assert waits == [
        (0, "measured", 50_000), (1, "measured", 0), (20, "guessed", 0), (40, "measured", 50_000), (41, "measured", 0),
    ]  # fmt: skip


def test_broadcasts_do_not_wait_for_all(tmp_path: Path) -> None:
    """A root may go before the others come, so the last start says nothing of it."""
    kernels = [
        Kernel(GATHER.replace("AllGather", "Broadcast"), 30 * device, 90, told("broadcast", 10), device)
        for device in (0, 1)
    ]
    _, report = analyse(kineto(tmp_path, kernels))
    assert {row.wait_basis for row in report.instances} == {None}


def test_notify_waits_inside_a_collective() -> None:
    """Of two planes the one that waited longer counts; the wait after an RDMA send is a handshake and does not."""
    plane = [("Notify_Wait", 100, 20), ("Memcpy", 120, 5), ("RDMASend", 130, 2), ("Notify_Wait", 132, 30)]
    events = [
        Ev("dev.kernel", "hcom_allReduce__271_3_1", 100, 100, "gpu0.s7"),
        *(Ev("event.wait", name, ts, dur, "gpu0.s8") for name, ts, dur in plane),
        Ev("event.wait", "Notify_Wait", 100, 15, "gpu0.s9"),
        Ev("event.wait", "Notify_Wait", 190, 50, "gpu0.s9"),
        Ev("dev.kernel", "hcom_allReduce__271_4_1", 300, 50, "gpu0.s7"),
    ]
    _, report = analyse(module(events))
    assert [(row.wait_ns, row.transfer_ns, row.wait_basis) for row in report.instances] == [
        (20, 80, "derived"),
        (None, None, None),
    ]


def test_planes_that_wait_for_one_another_transfer() -> None:
    """While one plane moves data another's wait is no waiting for a peer, and what moves is transfer."""
    events = [
        Ev("dev.kernel", "hcom_allReduce__271_3_1", 100, 100, "gpu0.s7"),
        Ev("event.wait", "Notify_Wait", 100, 40, "gpu0.s8"),
        Ev("event.wait", "SDMA", 140, 60, "gpu0.s8"),
        Ev("event.wait", "Notify_Wait", 110, 90, "gpu0.s9"),
    ]
    _, report = analyse(module(events))
    assert [(row.wait_ns, row.transfer_ns) for row in report.instances] == [(40, 60)]


@pytest.mark.parametrize("rank", [0, 1])
def test_waits_of_a_vendor_s_collectives_leave_what_moves(load_shared: Load, rank: int) -> None:
    """The transfer is no less than what the vendor's own analysis calls transit; its first all-reduce mostly waits."""
    folder = f"ascend/msinsight_text/level2/rank{rank}_ascend_pt/ASCEND_PROFILER_OUTPUT"
    item = tir.PassManager.parse("infer,collectives").run(load_shared(f"{folder}/trace_view.json.gz"))
    told = json.loads((find_trace(folder) / "communication.json").read_text(encoding="utf-8"))
    times = [row["Communication Time Info"] for name, row in told["step50"]["collective"].items() if "hcom" in name]
    transit = sorted(int(1e6 * row["Transit Time(ms)"]) for row in times)
    mine = sorted(row.transfer_ns or 0 for row in Collectives().report(item).instances)
    assert all(ours >= theirs for ours, theirs in zip(mine, transit, strict=True))


# --- bandwidth -------------------------------------------------------------------------------------------------------


BUSBW = [
    ("allreduce", REDUCE, 2 * 7 / 8), ("all_gather", GATHER, 7 / 8), ("all_to_all", SEND_RECV, 7 / 8),
    ("broadcast", GATHER.replace("AllGather", "Broadcast"), 1.0),
    ("reduce_scatter", REDUCE.replace("AllReduce", "ReduceScatter"), 7 / 8), ("send", SEND_RECV, 1.0),
    ("reduce", REDUCE.replace("AllReduce", "Reduce"), 1.0), ("gather", SEND_RECV, None),
]  # fmt: skip


@pytest.mark.parametrize(("word", "name", "factor"), BUSBW)
def test_bus_bandwidth_of_each_kind(tmp_path: Path, word: str, name: str, factor: float | None) -> None:
    """algbw is bytes by time, busbw that by the kind's share; both are lower bounds with one rank."""
    _, report = analyse(kineto(tmp_path, [Kernel(name, 0, 10, told(word, 1000))]))
    row = report.instances[0]
    size = 16_000 if word in ("all_gather",) else 2_000
    assert row.algbw_gb_s == pytest.approx(size / 10_000)
    assert row.busbw_gb_s == (None if factor is None else pytest.approx(size / 10_000 * factor))
    assert not row.bandwidth_exact


def test_unknown_bandwidths_are_null(tmp_path: Path) -> None:
    """Without the group's size there is no busbw; without bytes, or for a group of one, neither is made up."""
    one = {**told("allreduce", 10), "Group size": 1}
    bare = {key: value for key, value in told("allreduce", 10).items() if key != "Group size"}
    kernels = [Kernel(REDUCE, 0, 10, bare), Kernel(REDUCE, 100, 10), Kernel(REDUCE, 200, 10, one)]
    item, report = analyse(kineto(tmp_path, kernels))
    assert [row.busbw_gb_s for row in report.instances] == [None, None, None]
    assert [row.algbw_gb_s is None for row in report.instances] == [False, True, False]
    assert np.isnan(item["coll.busbw"]).all()
    assert "unknown" in next(block for block in report.blocks() if block.title == "sizes").rows[0]


def test_bandwidth_of_a_real_gather(load_shared: Load) -> None:
    """201 088 elements of bf16 gathered from 8 ranks in 21 953 ns."""
    _, report = analyse(load_shared("b200"))
    row = report.instances[-1]
    assert (round(row.algbw_gb_s or 0, 2), round(row.busbw_gb_s or 0, 2)) == (18.32, 16.03)
    assert (row.bandwidth_exact, row.wait_ns) == (False, None)


def test_first_reduction_of_a_real_trace_waited(load_shared: Load) -> None:
    """The first of 37 like all-reduces takes 223.2 µs and the shortest 24.7: it waited 198.5 µs or more."""
    _, report = analyse(load_shared("b200"))
    first = report.instances[0]
    assert (first.dur_ns, first.transfer_ns, first.wait_ns, first.wait_basis) == (223_200, 24_704, 198_496, "guessed")


@pytest.mark.parametrize(("name", "total"), [("nccl", 13_274_252), ("b200", 220_540)])
def test_waits_of_real_traces(load_shared: Load, name: str, total: int) -> None:
    """Each wait is what the kernel takes longer than the shortest of its name, size and device; worked out anew."""
    item, report = analyse(load_shared(name))
    like: dict[tuple[str, int | None], list[int]] = {}
    rows = [item.row_of(row.event) for row in report.instances]
    keys = [(item.strings[int(item["name"][at])], row.bytes) for at, row in zip(rows, report.instances, strict=True)]
    for key, at in zip(keys, rows, strict=True):
        like.setdefault(key, []).append(int(item["dur"][at]))
    for key, at, row in zip(keys, rows, report.instances, strict=True):
        shortest = min(like[key]) if len(like[key]) >= 3 else None
        assert row.transfer_ns == shortest
        assert row.wait_ns == (None if shortest is None else int(item["dur"][at]) - shortest)
    assert sum(row.wait_ns or 0 for row in report.instances) == total


# --- which events are one collective ---------------------------------------------------------------------------------


def test_messages_of_one_exchange(tmp_path: Path) -> None:
    """SendRecv kernels that one operator starts on two streams are one all-to-all; the next call is another."""
    call: Around = [("nccl:all_to_all", {})]
    other: Around = [("nccl:all_to_all", {})]
    kernels = [
        Kernel(SEND_RECV, 0, 10, around=call, stream=7),
        Kernel(SEND_RECV, 5, 25, around=call, stream=8),
        Kernel(SEND_RECV, 100, 10, around=other),
    ]
    _, report = analyse(kineto(tmp_path, kernels))
    assert [(row.kind, row.kernels, row.dur_ns, row.active_ns) for row in report.instances] == [
        ("all_to_all", 2, 30_000, 30_000),
        ("all_to_all", 1, 10_000, 10_000),
    ]


def test_messages_of_a_batch_stay_apart(tmp_path: Path) -> None:
    """Point-to-point messages of one batched call are operations of their own."""
    call: Around = [("c10d::send", {})]
    _, report = analyse(kineto(tmp_path, [Kernel(SEND_RECV, 20 * at, 10, around=call) for at in range(3)]))
    assert [row.kernels for row in report.instances] == [1, 1, 1]


def test_coalesced_call(tmp_path: Path) -> None:
    """One kernel for a list of three tensors is one instance of three members; an uncoalesced list says nothing."""
    inputs = {"Input Dims": [[[10], [20], [5, 2]]], "Input type": ["TensorList"]}
    kernels = [
        Kernel(REDUCE, 0, 10, around=[("c10d::allreduce_coalesced_", inputs)]),
        Kernel(REDUCE, 50, 10, around=[("c10d::allreduce_", inputs)]),
    ]
    item, report = analyse(kineto(tmp_path, kernels))
    assert [(row.members, row.in_elements, row.kernels) for row in report.instances] == [(3, 40, 1), (None, 40, 1)]
    assert item["coll.members"].tolist() == [3, tir.NULL_I64]


def test_notifications_are_waiting() -> None:
    """What is joined to a dispatch is counted beside it."""
    names = [NOTIFY, SENT, GEMM]
    _, report = analyse(module([Ev("dev.kernel", name, 20 * at, 10) for at, name in enumerate(names)]))
    assert [(row.notify_ns, row.active_ns) for row in report.instances] == [(10, 10)]


def _in_layers(names: Sequence[str], layer: Sequence[int]) -> tir.Module:
    events = [Ev("dev.kernel", name, 100 * at, 10 + at) for at, name in enumerate(names)]
    regions = [Region("stack", "stack.0", 0), *(Region("layer", f"layer.{at}", at, 0) for at in range(max(layer) + 1))]
    return module(events).with_tree("layers", regions, [1 + at if at >= 0 else -1 for at in layer])


def test_halves_in_a_layer_are_one() -> None:
    """Dispatch and combine twice in a row in a layer send and receive: one instance each, its wait in the hook."""
    item = _in_layers([DISPATCH, GEMM, DISPATCH, GEMM, COMBINE, GEMM, COMBINE], [0] * 7)
    item, report = analyse(item)
    assert [(row.role, row.kernels, row.active_ns, row.hook_ns) for row in report.instances] == [
        ("dispatch", 2, 22, 12),
        ("combine", 2, 30, 16),
    ]
    assert item["coll.instance"].tolist() == [0, -1, 0, -1, 1, -1, 1]
    assert [pair.members for pair in report.composites if pair.form == "moe_pair"] == [(0, 2, 4, 6)]


@pytest.mark.parametrize(
    ("names", "layer"),
    [
        ([DISPATCH, COMBINE, DISPATCH, COMBINE], [0, 0, 1, 1]),
        ([DISPATCH, COMBINE, DISPATCH, COMBINE], [0, 0, 0, 0]),
        ([DISPATCH, DISPATCH, COMBINE, COMBINE], [0, 1, 0, 1]),
        ([DISPATCH, DISPATCH, COMBINE, COMBINE], [-1, -1, -1, -1]),
        ([DISPATCH, DISPATCH, COMBINE], [0, 0, 0]),
        ([SENT, SENT], [0, 0]),
    ],
)
def test_whole_dispatches_stay_apart(names: list[str], layer: list[int]) -> None:
    """One for each layer, one after the other, without layers, half of it cut off, or of a mode that has no halves."""
    _, report = analyse(_in_layers(names, layer) if max(layer) >= 0 else module(_in_layers_events(names)))
    assert [row.kernels for row in report.instances] == [1] * len(names)
    assert {row.hook_ns for row in report.instances} == {None}


def _in_layers_events(names: Sequence[str]) -> list[Ev]:
    return [Ev("dev.kernel", name, 100 * at, 10) for at, name in enumerate(names)]


def test_halves_by_name() -> None:
    """Names that say send and receive pair in order, whatever is between; a receive from before the trace is alone."""
    send, more, receive = (f"EpDispatchLowLatencyAsync{half}_bf16" for half in ("SendCopy", "SendTransfer", "Recv"))
    names = [receive, send, more, send, more, GEMM, receive, receive]
    item, report = analyse(module(_in_layers_events(names)))
    assert item["coll.instance"].tolist() == [0, 1, 1, 2, 2, -1, 1, 2]
    assert [(row.kernels, row.hook_ns) for row in report.instances] == [(1, None), (3, 10), (3, 10)]
