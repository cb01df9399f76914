"""Composite forms of communication, each planted in a trace whose truth is known, and what comes close to it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import traceir as tir
from traceir_passes.collectives import Collectives, CollectivesReport

GATHER = "ncclDevKernel_AllGather_RING_LL(ncclDevKernelArgsStorage<4096ul>)"
SCATTER = "ncclDevKernel_ReduceScatter_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)"
REDUCE = "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)"
SEND = "ncclDevKernel_SendRecv(ncclDevKernelArgsStorage<4096ul>)"
GEMM, ATTENTION = "nvjet_tst_64x64", "void flash::flash_fwd_kernel<Flash_fwd_kernel_traits<128>>(int)"
NORM = "void vllm::rms_norm_kernel<c10::BFloat16>(c10::BFloat16*)"
QUANT = "void vllm::scaled_fp8_quant_kernel<c10::BFloat16>(float*)"
SILU = "void vllm::act_and_mul_kernel<c10::BFloat16>(c10::BFloat16*)"
D2H, D2D = "Memcpy DtoH (Device -> Pinned)", "Memcpy DtoD (Device -> Device)"
PEER = "Memcpy PtoP (Device -> Device)"


@attrs.frozen
class Work:
    """One piece of device work: its name, stream, start and duration in µs, and what its metadata says.

    `op` is the operator around its launch, one for all neighbours of that operator, and `replay…` around a graph's;
    `step` is the profiler's step.
    """

    name: str
    stream: int = 7
    start: int | None = None
    dur: int = 10
    args: Mapping[str, Any] = attrs.field(factory=dict)
    op: str = ""
    step: int | None = None


def comm(name: str, moved: tuple[int, int] | None = None, group: str | None = None, **more: Any) -> Work:
    """Communication whose metadata gives elements in and out, and the group."""
    args: dict[str, Any] = {}
    if moved is not None:
        word = {GATHER: "_allgather_base", SCATTER: "_reduce_scatter_base"}.get(name, "allreduce")
        args |= {"Collective name": word, "In msg nelems": moved[0], "Out msg nelems": moved[1]}
        args |= {"dtype": more.pop("dtype", "BFloat16"), "Group size": 8}
    if group is not None:
        args["Process Group Name"] = group
    return Work(name, args=args, **more)


def analyse(
    path: Path, work: Sequence[Work | str], options: str = "", more: Sequence[Mapping[str, Any]] = ()
) -> CollectivesReport:
    """The report on a file of this work and more rows, each piece after the one before where no start is given."""
    items = [Work(piece) if isinstance(piece, str) else piece for piece in work]
    rows: list[dict[str, Any]] = []
    at = 0
    for item in items:
        start = at if item.start is None else item.start
        at = max(at, start + item.dur + 2)
        category = "gpu_memcpy" if item.name.startswith("Memcpy") else "kernel"
        args = {"device": 0, "stream": item.stream, "correlation": len(rows) + 1, **item.args}
        rows.append(
            {"ph": "X", "pid": 0, "tid": item.stream, "cat": category, "name": item.name, "ts": start, "dur": item.dur}
            | {"args": args}
        )
    file = path / "trace.json"
    host = _host(items)
    arrows = [_arrow(row, rows) for row in host if row["cat"] == "cuda_runtime"]
    document = {"schemaVersion": 1, "traceEvents": [*rows, *host, *itertools.chain(*arrows), *more]}
    file.write_text(json.dumps(document), encoding="utf-8")
    first = "infer" if all(item.step is None for item in items) else "group"
    manager = tir.PassManager.parse(f"{first},collectives{options}")
    return Collectives().report(manager.run(tir.load(file)))


def _host(items: Sequence[Work]) -> list[dict[str, Any]]:
    """The launches of what has an operator, the operators, and the steps, all before the device begins."""
    rows: list[dict[str, Any]] = []
    begin = -10 * len(items)
    for kind in ("user_annotation", "cpu_op"):
        keys = [
            item.op if kind == "cpu_op" else "" if item.step is None else f"ProfilerStep#{item.step}" for item in items
        ]
        for name, run in itertools.groupby(range(len(items)), keys.__getitem__):
            places = list(run)
            start, dur = begin + 10 * places[0], 10 * len(places) - 1
            if name:
                rows.append({"ph": "X", "pid": 1, "tid": 1, "cat": kind, "name": name, "ts": start, "dur": dur})
    for place, item in enumerate(items):
        if item.op:
            call = "cudaGraphLaunch" if item.op.startswith("replay") else "cudaLaunchKernel"
            row = {"ph": "X", "pid": 1, "tid": 1, "cat": "cuda_runtime", "name": call, "dur": 3}
            rows.append(row | {"ts": begin + 10 * place + 2, "args": {"correlation": place + 1}})
    return rows


def _arrow(call: dict[str, Any], work: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The flow from a launch to what it launched; a file without any looks as if it were sampled."""
    number = call["args"]["correlation"]
    arrow = {"cat": "ac2g", "name": "ac2g", "id": number}
    ends = (("s", call), ("f", work[number - 1]))
    return [arrow | {"ph": ph, "bp": "e", **{key: row[key] for key in ("pid", "tid", "ts")}} for ph, row in ends]


def forms(report: CollectivesReport) -> dict[str, int]:
    """How many composites there are of each form."""
    return {row.form: row.count for row in report.forms}


HALF, WHOLE = (4096, 512), (512, 4096)


# --- decomposed all-reduces ------------------------------------------------------------------------------------------


def test_adjacent_halves_are_one_all_reduce(tmp_path: Path) -> None:
    """A scatter and the gather right after it, of one group and of fitting sizes, are one all-reduce."""
    report = analyse(tmp_path, [GEMM, comm(SCATTER, HALF, "tp"), comm(GATHER, WHOLE, "tp"), NORM])
    (row,) = report.composites
    assert (row.form, row.kind, row.members, row.basis) == ("decomposed_adjacent", "all_reduce", (1, 2), "derived")
    assert (row.moved_ops, row.moved_ns, row.time_ns, row.extra_ns) == (0, 0, 20_000, 0)


def test_moved_halves_tell_what_was_moved(tmp_path: Path) -> None:
    """Token-wise work between the halves is counted, and a cast between them shrinks what is gathered."""
    work: list[Work | str] = [
        comm(SCATTER, HALF, "tp"),
        NORM,
        Work(QUANT, dur=5),
        comm(GATHER, WHOLE, "tp", dtype="Float8_e4m3fn"),
        GEMM,
    ]
    (row,) = analyse(tmp_path, work).composites
    assert (row.form, row.members, row.moved_ops, row.moved_ns) == ("decomposed_moved", (0, 3), 2, 15_000)
    assert row.note == "cast from bf16 to fp8, so the gather moves 50% of the bytes"


BETWEEN = [(GEMM,), (ATTENTION,), (comm(REDUCE, (8, 8), "tp"),), (D2H,), (NORM, GEMM)]


@pytest.mark.parametrize("between", BETWEEN)
def test_what_needs_the_whole_parts_the_halves(tmp_path: Path, between: tuple[Work | str, ...]) -> None:
    """A product, attention, a collective or a copy to the host between the halves makes them two collectives."""
    report = analyse(tmp_path, [comm(SCATTER, HALF, "tp"), *between, comm(GATHER, WHOLE, "tp")])
    assert not any(form.startswith("decomposed") for form in forms(report))


def test_halves_of_other_groups_or_sizes_are_no_pair(tmp_path: Path) -> None:
    """Both group and sizes have to fit where they are known."""
    assert not forms(analyse(tmp_path, [comm(SCATTER, HALF, "tp"), comm(GATHER, WHOLE, "dp")]))
    assert not forms(analyse(tmp_path, [comm(SCATTER, HALF, "tp"), comm(GATHER, (512, 1024), "tp")]))
    assert not forms(analyse(tmp_path, [comm(GATHER, WHOLE, "tp"), comm(SCATTER, HALF, "tp")]))


def test_halves_without_metadata_are_a_guess(tmp_path: Path) -> None:
    """Without sizes and groups the order on one lane is what is left, and it is said."""
    (row,) = analyse(tmp_path, [Work(SCATTER), NORM, Work(GATHER)]).composites
    assert (row.form, row.basis) == ("decomposed_moved", "guessed")


def test_work_beside_the_scatter_does_not_part(tmp_path: Path) -> None:
    """A product that began while the scatter ran cannot depend on it."""
    work = [
        comm(SCATTER, HALF, "tp", stream=20, start=0, dur=50),
        Work(GEMM, start=10, dur=60),
        Work(NORM, stream=20, start=60),
        comm(GATHER, WHOLE, "tp", stream=20, start=80),
    ]
    assert forms(analyse(tmp_path, work)) == {"decomposed_moved": 1}


def test_gathered_parameters_make_a_pair_a_chance(tmp_path: Path) -> None:
    """Where most gathers follow no scatter, one that happens to is no half of an all-reduce; the option decides."""
    gathers = [item for _ in range(4) for item in (comm(GATHER, WHOLE, "dp"), GEMM)]
    work = [*gathers, comm(SCATTER, HALF, "dp"), comm(GATHER, WHOLE, "dp"), GEMM]
    assert not forms(analyse(tmp_path, work))
    assert forms(analyse(tmp_path, work, "{pair_share=10%}")) == {"decomposed_adjacent": 1}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.lists(st.sampled_from(["rs", "ag", "norm", "gemm", "ar"]), max_size=14))
def test_pairs_on_drawn_orders(tmp_path: Path, order: list[str]) -> None:
    """In any order of work the pairs are those that a reading from left to right finds."""
    made = {"rs": comm(SCATTER, HALF, "tp"), "ag": comm(GATHER, WHOLE, "tp"), "ar": comm(REDUCE, (8, 8), "tp")}
    made |= {"norm": Work(NORM), "gemm": Work(GEMM)}
    report = analyse(tmp_path, [made[word] for word in order], "{pair_share=0%}")
    wanted, open_at = [], None
    for at, word in enumerate(order):
        if word == "rs":
            open_at = at
        elif word == "ag" and open_at is not None:
            wanted.append((open_at, at))
            open_at = None
        elif word in ("gemm", "ar"):
            open_at = None
    pairs = [row.members for row in report.composites if row.form.startswith("decomposed")]
    assert sorted(pairs) == wanted


# --- chunk-wise overlap ----------------------------------------------------------------------------------------------


def chunked(pieces: int, comm_stream: int = 20, name: str = PEER, shift: int = 30) -> list[Work]:
    """Products of 50 µs, each with a piece of communication beside it on another stream."""
    out = []
    for at in range(pieces):
        out.append(Work(GEMM, start=60 * at, dur=50))
        out.append(Work(name, stream=comm_stream, start=60 * at + shift, dur=25))
    return out


@pytest.mark.parametrize("name", [PEER, GATHER, SCATTER, SEND])
@pytest.mark.parametrize("pieces", [2, 4, 8])
def test_chunked_products(tmp_path: Path, name: str, pieces: int) -> None:
    """Products that alternate with pieces of communication on another stream are one chunk-wise form."""
    report = analyse(
        tmp_path, [NORM, *[attrs.evolve(w, start=100 + (w.start or 0)) for w in chunked(pieces, name=name)]]
    )
    rows = [row for row in report.composites if row.form == "async_tp"]
    assert [(len(row.members), row.note) for row in rows] == [(2 * pieces, f"{pieces} pieces of a product")]


def test_what_is_not_chunked(tmp_path: Path) -> None:
    """One stream, copies within the device, products of several shapes, and pieces that never run beside, are not."""
    assert not forms(analyse(tmp_path, chunked(4, comm_stream=7, name=SEND, shift=51)))
    assert not forms(analyse(tmp_path, chunked(4, name=D2D)))
    mixed = [
        attrs.evolve(item, name=f"{GEMM}_{at}") if item.name == GEMM else item for at, item in enumerate(chunked(4))
    ]
    assert not forms(analyse(tmp_path, mixed))
    late = [attrs.evolve(item, dur=4) if item.name == PEER else attrs.evolve(item, dur=20) for item in chunked(4)]
    assert not forms(analyse(tmp_path, late))


# --- the others ------------------------------------------------------------------------------------------------------


def test_staged_copies_belong_to_the_cost(tmp_path: Path) -> None:
    """Copy, collective, copy on one lane is one composite, and the copies are what it costs more."""
    report = analyse(tmp_path, [GEMM, Work(D2D, dur=3), comm(REDUCE, (8, 8)), Work(D2D, dur=4), NORM])
    (row,), (form,) = report.composites, report.forms
    assert (form.moved_ns, row.moved_ns, row.moved_ops) == (None, None, None)
    assert (row.form, row.members, row.time_ns, row.extra_ns) == ("staged", (1, 2, 3), 17_000, 7_000)


FUSED = [
    ("void flashinfer::trtllm_allreduce_fusion::allreduce_fusion_kernel_oneshot_lamport<1, c10::BFloat16, 8>(int)", ""),
    ("void sglang::fused_allreduce_rmsnorm_quant_fp8<c10::BFloat16>(int)", "with norm, quantisation"),
]


@pytest.mark.parametrize(("name", "note"), FUSED)
def test_fused_kernels_tell_their_parts(tmp_path: Path, name: str, note: str) -> None:
    """One kernel of communication and compute is a composite; its note says what its name holds."""
    (row,) = analyse(tmp_path, [GEMM, Work(name)]).composites
    assert (row.form, row.members, row.note or "") == ("fused", (1,), note)


def test_an_all_to_all_of_messages(tmp_path: Path) -> None:
    """SendRecv kernels that the metadata calls an all-to-all are one, made of messages."""
    work = comm(SEND, (64, 64))
    work = attrs.evolve(work, args={**work.args, "Collective name": "all_to_allv"})
    (row,) = analyse(tmp_path, [GEMM, work]).composites
    assert (row.form, row.kind, row.members) == ("send_recv", "all_to_all", (1,))


def test_json_has_the_contract(tmp_path: Path) -> None:
    """Composites are `{form, kind, members, …}`, as the report's schema says."""
    report = analyse(tmp_path, [comm(SCATTER, HALF, "tp"), comm(GATHER, WHOLE, "tp")])
    told = attrs.asdict(report.composites[0])
    assert list(told)[:3] == ["form", "kind", "members"]
    assert told["members"] == (0, 1)
