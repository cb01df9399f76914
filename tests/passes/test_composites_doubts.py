"""Work that looks like a composite form and is none: ordinary training and serving, and the reverse."""

from __future__ import annotations

import time
from pathlib import Path

import attrs
import numpy as np
import pytest

import traceir as tir
from tests.build import Ev, module
from tests.passes.collectives_made import COMBINE, DISPATCH, Made
from tests.passes.collectives_made import analyse as analyse_made
from tests.passes.test_composites import (
    GATHER,
    GEMM,
    HALF,
    NORM,
    PEER,
    REDUCE,
    SCATTER,
    SEND,
    SILU,
    WHOLE,
    Work,
    analyse,
    chunked,
    comm,
    forms,
)
from traceir.ir import Region
from traceir_passes.collectives import Collectives, CollectivesReport, columns
from traceir_passes.collectives.composites import Setting
from traceir_passes.collectives.composites.chunked import Chunked
from traceir_passes.collectives.instances import find

AUTOGRAD = "autograd::engine::evaluate_function: MmBackward0"
D2D, H2D = "Memcpy DtoD (Device -> Device)", "Memcpy HtoD (Pinned -> Device)"
ELEMENTWISE = "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>>(int)"


# --- chunk-wise overlap ----------------------------------------------------------------------------------------------


def beside(*names: str) -> list[Work]:
    """Work in order of start, each 30 µs after the last: products of 50 µs, the rest on another stream."""
    return [
        Work(name, start=30 * at, dur=50) if name == GEMM else Work(name, stream=20, start=30 * at, dur=40)
        for at, name in enumerate(names)
    ]


@pytest.mark.parametrize(
    "names",
    [
        # q, k and v have one shape, and sharded parameters of the next unit are gathered beside them
        (GEMM, GATHER, GEMM, GEMM),
        (GEMM, GATHER, GEMM),
        # a backward pass: the gradients of one unit leave while the parameters of another arrive
        (GEMM, GATHER, GEMM, SCATTER, GEMM),
        (GEMM, SCATTER, GATHER, GEMM),
        # a pipeline's message to the next stage
        (GEMM, SEND, GEMM),
        # two micro-batches: the tokens of one travel while the other computes
        (GEMM, DISPATCH, GEMM, COMBINE, GEMM),
        (GEMM, DISPATCH, GEMM, DISPATCH, GEMM),
        # weights that come from the host
        (GEMM, H2D, GEMM, H2D, GEMM),
        # chunks take turns: two products in a row are another shape of work
        (GEMM, GATHER, GEMM, GEMM, GATHER, GEMM),
    ],
)
def test_ordinary_overlap_is_not_chunked(tmp_path: Path, names: tuple[str, ...]) -> None:
    """Equal products with communication beside them are chunks only where as many pieces take turns with them."""
    assert "async_tp" not in forms(analyse(tmp_path, beside(*names)))


def test_operators_of_their_own_are_not_chunked(tmp_path: Path) -> None:
    """Products that different operators launched are no chunks of one, whatever runs beside them."""
    work = [attrs.evolve(item, op=f"aten::linear{at}") for at, item in enumerate(beside(*[GEMM, GATHER] * 4))]
    assert "async_tp" not in forms(analyse(tmp_path, work))


def test_one_operator_makes_a_single_piece_enough(tmp_path: Path) -> None:
    """Two ranks have one piece to fetch: the operator around all says that these belong together."""
    op = "symm_mem::fused_all_gather_matmul"
    work = [attrs.evolve(item, op=op) for item in beside(GEMM, GATHER, GEMM)]
    assert forms(analyse(tmp_path, work)) == {"async_tp": 1}


def test_a_compiled_graph_around_all_proves_nothing(tmp_path: Path) -> None:
    """All of a compiled graph has one operator around it, which joins nothing: it takes two turns again."""
    for names, wanted in (((GEMM, GATHER, GEMM), {}), ((GEMM, GATHER, GEMM, GATHER), {"async_tp": 1})):
        work = [attrs.evolve(item, op="Torch-Compiled Region: 0/0") for item in beside(*names)]
        assert forms(analyse(tmp_path, work)) == wanted


def test_launches_of_graphs_say_nothing_of_operators(tmp_path: Path) -> None:
    """What surrounds a graph's launch was not what launched its work when it was captured."""
    work = [attrs.evolve(item, op=f"replay{at}") for at, item in enumerate(beside(*[GEMM, GATHER] * 3))]
    assert forms(analyse(tmp_path, work)) == {"async_tp": 1}


def test_streams_that_both_copy_and_multiply(tmp_path: Path) -> None:
    """Two streams take turns, each fetching a piece and then multiplying it: every copy runs beside a product."""
    work = []
    for at in range(4):
        stream = (7, 20)[at % 2]
        work.append(Work(PEER, stream=stream, start=60 * at, dur=28))
        work.append(Work(GEMM, stream=stream, start=60 * at + 30, dur=50))
    work[0] = attrs.evolve(work[0], name=SILU)
    (row,) = analyse(tmp_path, work).composites
    assert (row.form, len(row.members)) == ("async_tp", 7)


def test_chunks_of_two_products_in_a_row(tmp_path: Path) -> None:
    """One chunked product after another of another shape: two composites."""
    again = [attrs.evolve(item, start=400 + (item.start or 0)) for item in chunked(4)]
    again = [attrs.evolve(item, name=f"{GEMM}_b") if item.name == GEMM else item for item in again]
    report = analyse(tmp_path, [*chunked(4), *again])
    assert [row.note for row in report.composites] == ["4 pieces of a product"] * 2
    assert [len(row.members) for row in report.composites] == [8, 8]
    assert len({member for row in report.composites for member in row.members}) == 16


@pytest.mark.parametrize(
    ("names", "members"),
    [
        ((SCATTER, GEMM, GATHER, GEMM, GATHER), (1, 2, 3, 4)),
        ((GEMM, GATHER, GEMM, GATHER, GEMM, SCATTER), (0, 1, 2, 3, 4)),
        ((GATHER, GEMM, GATHER, GEMM), (0, 1, 2, 3)),
    ],
)
def test_other_communication_at_the_ends_is_no_piece(
    tmp_path: Path, names: tuple[str, ...], members: tuple[int, ...]
) -> None:
    """What comes before the first product or after the last one belongs to them only if it is such a piece."""
    (row,) = analyse(tmp_path, beside(*names)).composites
    assert (row.form, row.members) == ("async_tp", members)


def alternating(pairs: int) -> tir.Module:
    """Products of ever another name that take turns with copies between devices: nothing is chunked."""
    events = []
    for at in range(pairs):
        events.append(Ev("dev.kernel", f"nvjet_tst_64x64_{at % 7}", 100 * at, 60, "gpu0.s7"))
        events.append(Ev("dev.memcpy", PEER, 100 * at + 50, 40, "gpu0.s8"))
    return tir.PassManager.parse("infer,collectives").run(module(events))


def setting(item: tir.Module) -> Setting:
    """What recognisers are given."""
    return Setting.of(item, find(item), columns.WRITES)


def test_long_turns_take_linear_time() -> None:
    """A trace of nothing but products and copies in turns is walked once, not once from each product."""
    small, large = alternating(500), alternating(8_000)
    assert not Collectives().report(large).composites

    def took(item: tir.Module) -> float:
        begin = time.perf_counter()
        Chunked().find(setting(item))
        return time.perf_counter() - begin

    least = min(took(small) for _ in range(3))
    assert min(took(large) for _ in range(2)) < 16 * 5 * max(least, 1e-3)


# --- decomposed ------------------------------------------------------------------------------------------------------


def test_sharded_gradients_and_the_next_parameters_are_no_all_reduce(tmp_path: Path) -> None:
    """In a backward pass of sharded parameters a unit's gradients leave and the next unit's parameters arrive."""
    work = [
        attrs.evolve(item, op=AUTOGRAD, stream=20)
        for _ in range(6)
        for item in (comm(SCATTER, HALF, "dp"), comm(GATHER, WHOLE, "dp"))
    ]
    assert not forms(analyse(tmp_path, work))


def test_sequence_parallel_backward_is_decomposed_as_its_forward_is(tmp_path: Path) -> None:
    """Tensor parallelism scatters in either pass, so its halves are one reduction in either."""
    work = 2 * [comm(SCATTER, HALF, "tp"), Work(NORM), comm(GATHER, WHOLE, "tp")]
    back = [attrs.evolve(item, op=AUTOGRAD) for item in work]
    ahead = [attrs.evolve(item, op="c10d::reduce_scatter_" if "Scatter" in item.name else "x") for item in work]
    assert forms(analyse(tmp_path, [*ahead, GEMM, *back])) == {"decomposed_moved": 4}


def test_an_optimiser_on_the_shard_is_moved_work(tmp_path: Path) -> None:
    """Gradients scattered in the backward pass and parameters gathered after the update are one moved reduction."""
    scatter = attrs.evolve(comm(SCATTER, HALF, "dp"), op=AUTOGRAD)
    gather = attrs.evolve(comm(GATHER, WHOLE, "dp"), op="c10d::_allgather_base_")
    work = [scatter, Work(ELEMENTWISE, op="aten::add_"), gather]
    assert forms(analyse(tmp_path, work)) == {"decomposed_moved": 1}


@pytest.mark.parametrize("name", [H2D, SEND])
def test_what_another_stream_does_parts_no_halves(tmp_path: Path, name: str) -> None:
    """A copy or message on a third stream is on no way from the scatter to the gather; on theirs it is."""
    for stream, wanted in ((40, {"decomposed_moved": 1}), (7, {})):
        work = [comm(SCATTER, HALF, "tp"), Work(name, stream=stream), Work(NORM), comm(GATHER, WHOLE, "tp")]
        assert forms(analyse(tmp_path, work)) == wanted


# --- buckets ---------------------------------------------------------------------------------------------------------


def steps(*buckets: list[int], ahead: tuple[int, ...] = (), group: str | None = "dp") -> list[Work]:
    """Training steps: reductions `ahead` in the forward pass, and those of each step's list in the backward pass."""
    out: list[Work] = []
    for number, sizes in enumerate(buckets):
        own: list[Work] = [Work(GEMM, op="aten::mm")]
        own += [attrs.evolve(comm(REDUCE, (size, size), group), op="c10d::allreduce_") for size in ahead]
        own += [attrs.evolve(comm(REDUCE, (size, size), group), op=AUTOGRAD) for size in sizes]
        out += [attrs.evolve(item, step=number) for item in own]
    return out


def test_buckets(tmp_path: Path) -> None:
    """Equal lists of reductions that autograd's engine started, in every step."""
    report = analyse(tmp_path, steps([4096, 512], [4096, 512]))
    assert [(row.form, row.note) for row in report.composites] == [("bucketed", "2 reductions, 4608 elements")] * 2


@pytest.mark.parametrize("group", ["tp", None])
def test_reductions_of_activations_are_no_buckets(tmp_path: Path, group: str | None) -> None:
    """Tensor parallelism reduces the same size in forward passes: so it is no gradient of parameters."""
    report = analyse(tmp_path, steps([4096] * 4, [4096] * 4, ahead=(4096,) * 4, group=group))
    assert "bucketed" not in forms(report)
    assert not [law for law in report.laws if "buckets" in law.law]


def test_a_first_step_of_other_buckets_does_not_hide_the_rest(tmp_path: Path) -> None:
    """Buckets are made anew after the first step of a run; the others still are buckets."""
    report = analyse(tmp_path, steps([4608], [4096, 512], [4096, 512], [4096, 512]))
    assert forms(report) == {"bucketed": 3}
    assert not forms(analyse(tmp_path, steps([4600, 8], [4096, 512], [9, 8, 7])))


def accumulated(work: list[Work], *shapes: list[int]) -> list[dict[str, object]]:
    """The rows in which autograd's engine accumulates gradients of these shapes."""
    row = {"ph": "X", "pid": 1, "tid": 2, "cat": "cpu_op", "name": "torch::autograd::AccumulateGrad", "dur": 1}
    return [row | {"ts": -2 * at - 5, "args": {"Input Dims": [shape]}} for at, shape in enumerate(shapes)]


@pytest.mark.parametrize(
    ("shapes", "found", "holds", "note"),
    [
        ([[64, 64], [512]] * 2, 9216, True, ""),
        ([[64, 64], [512]] * 4, 9216, True, "2 backward passes a reduction"),
        ([[64, 64], [513]] * 2, 9216, False, ""),
        ([[64, 64], [511]] * 2, 9216, None, "more is reduced: padding, or no gradient"),
    ],
)
def test_buckets_are_the_parameters(
    tmp_path: Path, shapes: list[list[int]], found: int, holds: bool | None, note: str
) -> None:
    """What is reduced is what was accumulated, where its shapes were recorded."""
    work = steps([4096, 512], [4096, 512])
    report = analyse(tmp_path, work, more=accumulated(work, *shapes))
    (law,) = [law for law in report.laws if law.law == "gradient buckets = parameters"]
    assert (law.found, law.holds, law.note) == (found, holds, note)


def test_one_step_may_be_cut(tmp_path: Path) -> None:
    """The window may end before the last bucket of its only step is reduced."""
    work = steps([4096])
    report = analyse(tmp_path, work, more=accumulated(work, [64, 64], [512]))
    (law,) = [law for law in report.laws if law.law == "gradient buckets = parameters"]
    assert (law.expected, law.found, law.holds, law.note) == (4608, 4096, None, "not all may be seen")


def test_shapes_that_were_not_recorded_ask_no_law(tmp_path: Path) -> None:
    """One gradient of unknown shape makes the sum unknown."""
    work = steps([4096, 512], [4096, 512])
    rows = accumulated(work, [64, 64], [512])
    report = analyse(tmp_path, work, more=[rows[0], rows[1] | {"args": {}}])
    assert [law.law for law in report.laws] == ["equal gradient buckets in every step"]
    work[1] = attrs.evolve(comm(REDUCE), op=AUTOGRAD, step=0)
    report = analyse(tmp_path, work, more=rows)
    assert [law.law for law in report.laws] == ["equal gradient buckets in every step"]


# --- pairs of experts' layers ----------------------------------------------------------------------------------------


def paired(made: Made) -> list[tuple[int, ...]]:
    """The members of the pairs, as places among the kernels."""
    item = made.module()
    kernels = item["id"][item.is_kind("dev.kernel")].tolist()
    return [
        tuple(kernels.index(member) for member in row.members)
        for row in analyse_made(item)[1].composites
        if row.form == "moe_pair"
    ]


def test_a_combine_before_the_window_does_not_shift_the_pairs() -> None:
    """The window begins between dispatch and combine: the combine that is left over belongs to nothing."""
    assert paired(Made().play("CDMCDMC")) == [(1, 3), (4, 6)]


def test_a_lost_combine_costs_one_pair() -> None:
    """Where layers are known, a dispatch whose combine was lost does not take the next layer's."""
    made = Made()
    for layer in range(4):
        made.play("gDM" if layer == 1 else "gDMC", layer)
    assert paired(made) == [(1, 3), (8, 10), (12, 14)]
    made.play("MC", 4)
    assert paired(made) == [(1, 3), (8, 10), (12, 14)]


def test_a_dispatch_of_no_layer_pairs_in_order() -> None:
    """Where a border is off so that a dispatch lies in no layer, it is the oldest that is open."""
    assert paired(Made().play("gD").play("MC", 0).play("gDMC", 1)) == [(1, 3), (5, 7)]


def test_micro_batches_that_overtake_pair_with_their_own() -> None:
    """What was sent first may come back last, where micro-batches are known."""
    item = Made().play("DDMMCC", 0).module()
    regions = [Region("microbatch", f"mb.{at}", at) for at in range(2)]
    item = item.with_tree("microbatches", regions, [0, 1, 0, 1, 1, 0])
    pairs = [row.members for row in analyse_made(item)[1].composites if row.form == "moe_pair"]
    assert pairs == [(0, 5), (1, 4)]


def test_halves_of_a_dispatch_are_no_chunks() -> None:
    """A dispatch that sends and receives in kernels of its own is one half of a pair, not a collective in pieces."""
    sent, back = (f"void deep_ep::internode_ll::{name}<true, 7168>(void*)" for name in ("dispatch", "combine"))
    made = Made()
    for layer in range(2):
        made.play(["g", sent, "g", sent, "M", back, "g", back], layer)
    report = analyse_made(made.module())[1]
    assert {(row.form, len(row.members)) for row in report.composites} == {("moe_pair", 4)}


def test_interleaved_micro_batches_pair_in_order() -> None:
    """The first that was sent is the first that comes back."""
    assert paired(Made().play("DDMMCC")) == [(0, 4), (1, 5)]


# --- what has nothing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("events", [[], [Ev("host.op", "aten::mm", 0, 5, "main")], [Ev("dev.memcpy", D2D, 0, 5)]])
def test_modules_without_communication(events: list[Ev]) -> None:
    """Nothing is found where there is nothing."""
    report: CollectivesReport = analyse_made(module(events))[1]
    assert (report.count, report.composites, report.verdicts, report.statement) == (0, (), (), "no collectives")


def test_removed_members_make_no_composite() -> None:
    """A pair of which one half was removed is none."""
    made = Made().play("SG").module()
    gone = tir.PassManager.parse("infer").run(made)
    live = np.ones(len(gone), bool)
    live[1] = False
    gone = tir.PassManager.parse("collectives").run(gone.with_columns({"live": live}))
    assert not Collectives().report(gone).composites
