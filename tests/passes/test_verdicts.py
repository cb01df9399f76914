"""Verdicts: whether each layer's reductions show the rewrite that is looked for, on generated decoders."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

import traceir as tir
from tests.build import Ev, module
from tests.passes.collectives_made import GEMM, NORM, REDUCE, Made
from traceir.ir import Annotation, Region, Written
from traceir.synth import Decoder, write
from traceir_passes.collectives import Collectives, CollectivesReport
from traceir_passes.collectives.rewrites import VerdictRow

FUSED = "void sglang::fused_allreduce_rmsnorm<c10::BFloat16>(c10::BFloat16*)"
SCATTER = "ncclDevKernel_ReduceScatter_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)"
GATHER = "ncclDevKernel_AllGather_RING_LL(ncclDevKernelArgsStorage<4096ul>)"
LAYERS = 6

Edit = Callable[[int, dict[str, Any], dict[str, Any]], list[dict[str, Any]]]
"""What becomes of an all-reduce, given its number in the step, itself and the norm that follows: rows in its place."""


def analyse(path: Path, edit: Edit | None, options: str = "", **fields: Any) -> CollectivesReport:
    """The report on one step of a decoder whose all-reduces inside layers were rewritten by `edit`."""
    file = path / "trace.json"
    # In a graph's replay no operator says what a kernel is, so that its new name decides.
    write(Decoder(layers=LAYERS, steps=1, tensor_parallel=8, launch="graph", jitter=0.0, **fields), file)
    trace = json.loads(file.read_text(encoding="utf-8"))
    rows = trace["traceEvents"]
    if edit is not None:
        work = sorted((row for row in rows if row.get("cat") == "kernel"), key=lambda row: row["ts"])
        reductions = [at for at, row in enumerate(work) if "AllReduce" in row["name"]]
        for number, at in enumerate(reductions[1:]):  # the first is the split embedding's
            rows.remove(work[at])
            rows += edit(number, work[at], work[at + 1] if at + 1 < len(work) else {})
        file.write_text(json.dumps(trace), encoding="utf-8")
    module = tir.PassManager.parse(f"group,collectives{options}").run(tir.load(file))
    return Collectives().report(module)


def told(report: CollectivesReport) -> Counter[tuple[str, str, int, str | None]]:
    """The verdicts: rewrite, state, rewritten reductions and what blocks the rest; how many layers have each."""
    return Counter((row.expected, row.state, row.fired, row.blocked_by) for row in report.verdicts)


def renamed(row: dict[str, Any], name: str) -> dict[str, Any]:
    """The row under another name, without metadata that would contradict it."""
    kept = {key: row["args"][key] for key in ("device", "stream", "correlation") if key in row["args"]}
    return {**row, "name": name, "args": kept}


def between(row: dict[str, Any], name: str) -> dict[str, Any]:
    """Work of this name in the moment after a row."""
    new = renamed(row, name)
    return {**new, "ts": row["ts"] + row["dur"], "dur": 0.001}


def test_a_plain_all_reduce_before_a_norm_could_be_fused(tmp_path: Path) -> None:
    """Nothing blocks the fusion, and it did not fire."""
    report = analyse(tmp_path, None)
    assert told(report) == {("fused", "not", 0, None): LAYERS}
    assert isinstance(report.verdicts[0], VerdictRow)
    assert report.verdicts[0].layer.endswith("layer.0")


def test_fired_everywhere(tmp_path: Path) -> None:
    """All reductions are fused kernels."""
    report = analyse(tmp_path, lambda _, row, __: [renamed(row, FUSED)])
    assert told(report) == {("fused", "fired", 2, None): LAYERS}


def test_fired_in_part(tmp_path: Path) -> None:
    """Of each layer's reductions only the first is fused; nothing blocks the other."""
    report = analyse(tmp_path, lambda number, row, _: [row if number % 2 else renamed(row, FUSED)])
    assert told(report) == {("fused", "partly", 1, None): LAYERS}


def test_one_layer_is_left_out(tmp_path: Path) -> None:
    """The layer in which it did not fire is named, since the others show what is expected."""
    report = analyse(tmp_path, lambda number, row, _: [row if number in (4, 5) else renamed(row, FUSED)])
    assert [row.layer.rpartition(".")[2] for row in report.verdicts if row.state == "not"] == ["2"]


@pytest.mark.parametrize(
    ("name", "blocked"),
    [
        ("nvjet_tst_64x64", "gemm between"),
        ("Memcpy DtoD (Device -> Device)", "memcpy between"),
        ("void vllm::scaled_fp8_quant_kernel<c10::BFloat16>(float*)", None),
    ],
)
def test_what_blocks_the_fusion(tmp_path: Path, name: str, blocked: str | None) -> None:
    """Work between the reduction and the norm blocks their fusion, unless it is elementwise."""
    report = analyse(tmp_path, lambda _, row, __: [row, between(row, name)])
    assert told(report) == {("fused", "not", 0, blocked): LAYERS}


def test_decomposed(tmp_path: Path) -> None:
    """Scatter, norm, gather: the rewrite that most layers show, and what keeps one layer from it."""

    def edit(number: int, row: dict[str, Any], norm: dict[str, Any]) -> list[dict[str, Any]]:
        after = between(norm, GATHER) if norm else between(row, GATHER)
        return [row] if number in (4, 5) else [renamed(row, SCATTER), after]

    report = analyse(tmp_path, edit)
    assert told(report) == {("decomposed", "fired", 2, None): LAYERS - 1, ("decomposed", "not", 0, None): 1}


def test_the_expected_rewrite_is_an_option(tmp_path: Path) -> None:
    """Fused reductions are not decomposed ones."""
    report = analyse(tmp_path, lambda _, row, __: [renamed(row, FUSED)], "{expect=decomposed}")
    assert {row.state for row in report.verdicts} == {"not"}


def test_overlapped_reductions_are_blocked_by_what_hides_them(tmp_path: Path) -> None:
    """Where the schedule runs products after the reduction, the norm is too far to be fused."""
    report = analyse(tmp_path, None, comm_stream=True, overlap=0.5)
    assert {row.blocked_by for row in report.verdicts} <= {"gemm between", "all-reduce between"}
    assert {row.state for row in report.verdicts} == {"not"}


def test_no_verdict_without_reductions(tmp_path: Path) -> None:
    """A model on one device has no sites."""
    file = tmp_path / "trace.json"
    write(Decoder(layers=LAYERS, steps=1), file)
    module = tir.PassManager.parse("group,collectives").run(tir.load(file))
    assert Collectives().report(module).verdicts == ()


def test_the_page_says_it(tmp_path: Path) -> None:
    """Layers of one verdict share a row."""
    report = analyse(tmp_path, lambda number, row, _: [row if number in (4, 5) else renamed(row, FUSED)])
    (block,) = [block for block in report.blocks() if block.title == "rewrites of reductions"]
    assert list(block.rows) == [
        ("fused", "5 of 6", "fired", "2 of 2", ""),
        ("fused", "1 of 6", "not", "0 of 2", "nothing"),
    ]


# --- layers made by hand: R all-reduce, S scatter, G gather, n norm, g product, M experts -----------------------------


def made(body: str, layers: int = 6, first: str | None = None) -> Made:
    """A step of like layers, of which the first may be another, and a norm."""
    out = Made()
    for layer in range(layers):
        out.play(body if first is None or layer else first, layer)
    return out.play("n")


def held(trace: Made, options: str = "") -> Counter[tuple[str, str, int, str | None]]:
    """The verdicts on it."""
    module = tir.PassManager.parse(f"infer,collectives{options}").run(trace.module())
    return told(Collectives().report(module))


def test_gradients_are_no_sites() -> None:
    """Reductions that autograd's engine started are gradients, wherever they lie."""
    trace = Made()
    for layer in range(4):
        trace.play("gn", layer).play("R", layer, back=True)
    assert held(trace) == {}


def test_a_statistic_of_one_layer_is_no_site() -> None:
    """A reduction in one of many layers is not what splits them."""
    assert held(made("gng", first="gRng")) == {}
    assert set(held(made("gRng", first="gng"))) == {("fused", "not", 0, None)}


def test_a_scatter_is_held_to_the_norm_that_follows() -> None:
    """A reduce-scatter that a norm follows could be fused with it."""
    assert held(made("gSng"), "{expect=fused}") == {("fused", "not", 0, None): 6}


def test_a_second_reduction_parts_the_first_from_its_norm() -> None:
    """Attention and feed-forward side by side both reduce, and the norm comes after both."""
    assert held(made("gRgRn")) == {("fused", "not", 0, "all-reduce between"): 6}


def test_pieces_of_a_reduction_are_one_site(tmp_path: Path) -> None:
    """A reduction that was started as two kernels is followed by what follows the last of them."""

    def edit(_: int, row: dict[str, Any], __: dict[str, Any]) -> list[dict[str, Any]]:
        half = row["dur"] / 2
        args = {**row["args"], "External id": row["args"].get("External id", 1)}
        return [{**row, "dur": half - 0.001, "args": args}, {**row, "ts": row["ts"] + half, "dur": half, "args": args}]

    file = tmp_path / "trace.json"
    write(Decoder(layers=LAYERS, steps=1, tensor_parallel=8, launch="eager", jitter=0.0), file)
    trace = json.loads(file.read_text(encoding="utf-8"))
    rows = trace["traceEvents"]
    for row in [row for row in rows if row.get("cat") == "kernel" and "AllReduce" in row["name"]]:
        rows.remove(row)
        rows += edit(0, row, {})
    file.write_text(json.dumps(trace), encoding="utf-8")
    report = Collectives().report(tir.PassManager.parse("group,collectives").run(tir.load(file)))
    assert {row.kernels for row in report.instances if row.kind == "all_reduce"} == {2}
    assert told(report) == {("fused", "not", 0, None): LAYERS}


def test_what_blocks_chunks() -> None:
    """Chunks need a product right before a scatter; a whole all-reduce has to be decomposed first."""
    assert held(made("gSnG"), "{expect=async_tp}") == {("async_tp", "not", 0, None): 6}
    assert held(made("ngR"), "{expect=async_tp}") == {("async_tp", "not", 0, "a whole all-reduce"): 6}
    assert held(made("nMnS"), "{expect=async_tp}") == {("async_tp", "not", 0, "norm between"): 6}


def test_many_blockers_are_summed_up() -> None:
    """A verdict names a few roles of what stands between, and how many others there are."""
    far = ["g", "M", "?", "vllm::rotary_embedding_kernel", "void flash::flash_fwd_kernel<int>(int)", "n"]
    trace = Made().play("gR", 0).play(far, 1)
    assert held(trace) == {("fused", "not", 0, "gemm, moe-gemm, unknown, 2 other roles between"): 1}


def test_what_another_stream_does_blocks_nothing() -> None:
    """Caches that are sent away beside the layers stand in no reduction's way."""
    trace = Made()
    for layer in range(4):
        trace.play("gR", layer).play(["ncclDevKernel_SendRecv(int)"], layer, lane="gpu0.s40").play("n", layer)
    assert held(trace) == {("fused", "not", 0, None): 4}


def test_a_norm_beside_a_reduction_cannot_be_fused_with_it() -> None:
    """A norm that starts before the reduction has ended does not depend on it."""
    item = module(
        [
            Ev("dev.kernel", REDUCE, 0, 100, "gpu0.s20"),
            Ev("dev.kernel", NORM, 50, 10, "gpu0.s7"),
            Ev("dev.kernel", GEMM, 60, 10, "gpu0.s7"),
        ]
    )
    item = item.with_tree("layers", [Region("stack", "stack.0", 0), Region("layer", "layer.0", 0, 0)], [1, 1, 1])
    report = Collectives().report(tir.PassManager.parse("infer,collectives").run(item))
    assert told(report) == {("fused", "not", 0, "the norm runs beside it"): 1}


@pytest.mark.parametrize(("direction", "count"), [("forward", 1), ("backward", 0)])
def test_stacks_of_backward_passes_have_no_verdicts(direction: str, count: int) -> None:
    """Where the direction of a stack is known, only forward passes are held to a rewrite."""
    item = Made().play("gRn", 0).module()
    declared = Annotation("group.direction", "region:layers", "enum", values=("forward", "backward"), doc="Direction.")
    code = ("forward", "backward").index(direction)
    item = item.with_columns({"group.direction": np.full(len(item.tree("layers")), code, np.int16)}, "region:layers")
    item = attrs.evolve(item, annotations={**item.annotations, declared.name: Written(declared, None)})
    item = tir.PassManager.parse("infer,collectives").run(item)
    assert len(Collectives().report(item).verdicts) == count
