"""Verdicts: whether each layer's reductions show the rewrite that is looked for, on generated decoders."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import traceir as tir
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
    assert {row.blocked_by for row in report.verdicts} <= {"gemm between", "no norm follows"}
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
