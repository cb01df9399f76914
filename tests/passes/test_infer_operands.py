"""Sizes and types of products from the operators that launched them, eager and replayed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import traceir as tir
from traceir_passes.infer.operands import Operands, operands

HALF = "c10::BFloat16"
PRODUCTS: list[tuple[list[Any], list[str], int, Operands]] = [
    ([[32, 4096], [4096, 1024]], [HALF, HALF], 0, Operands("32x1024x4096", "bf16")),
    ([[1024], [32, 4096], [4096, 1024], [], []], [HALF, HALF, HALF, "Scalar", "Scalar"], 1,
     Operands("32x1024x4096", "bf16")),
    ([[8, 16, 64], [8, 64, 32]], ["float", "float"], 0, Operands("8x16x32x64", "fp32")),
    ([[32, 4096], [4096, 1024]], ["c10::Float8_e4m3fn", "c10::Half"], 0, Operands("32x1024x4096", "fp8xfp16")),
    ([[0, 8], [8, 4]], ["float", "float"], 0, Operands("0x4x8", "fp32")),
    # What does not fit is not guessed.
    ([[32, 4096], [1024, 4096]], [HALF, HALF], 0, Operands("", "bf16")),
    ([[8, 16, 64], [4, 64, 32]], ["float", "float"], 0, Operands("", "fp32")),
    ([[32, 4096], []], [HALF, ""], 0, Operands()),
    ([[32, 4096]], [HALF], 0, Operands()),
    ([[32, "4096"], [4096, 8]], ["Scalar", HALF], 0, Operands()),
    ([[[2, 3]], [[3, 4]]], ["TensorList", "TensorList"], 0, Operands()),
]  # fmt: skip


@pytest.mark.parametrize(("dims", "types", "left", "wanted"), PRODUCTS)
def test_operands(dims: list[Any], types: list[str], left: int, wanted: Operands) -> None:
    """Rows, columns and depth, with a batch before; types of both sides, one word where they are one."""
    assert operands(dims, types, left) == wanted


def test_operands_that_were_not_recorded() -> None:
    """Without shapes in the profile nothing is told."""
    assert operands(None, None, 0) == Operands()


def load(folder: Path, *rows: dict[str, Any]) -> tir.Module:
    """A Kineto file of these rows, each a category, a name, a start and a duration, with args."""
    events = []
    for row in rows:
        place = {"pid": 0, "tid": 7} if row["cat"] == "kernel" else {"pid": 1, "tid": 1}
        events.append({"ph": "X", **place, **row})
    path = folder / "t.json"
    path.write_text(json.dumps({"schemaVersion": 1, "traceEvents": events}), "utf-8")
    return tir.load(path)


def op(name: str, ts: int, dur: int, dims: list[Any], kind: str = HALF) -> dict[str, Any]:
    types = [kind if shape else "Scalar" for shape in dims]
    return {"cat": "cpu_op", "name": name, "ts": ts, "dur": dur, "args": {"Input Dims": dims, "Input type": types}}


def call(name: str, ts: int, correlation: int) -> dict[str, Any]:
    return {"cat": "cuda_runtime", "name": name, "ts": ts, "dur": 2, "args": {"correlation": correlation}}


def kernel(name: str, ts: int, correlation: int) -> dict[str, Any]:
    args = {"correlation": correlation, "stream": 7, "device": 0}
    return {"cat": "kernel", "name": name, "ts": ts, "dur": 9, "args": args}


def told(module: tir.Module) -> list[tuple[str | None, str | None, str | None]]:
    """Role, size and type of each kernel."""
    found = tir.PassManager.parse("infer{operands=true}").run(module)
    columns = (found.text(f"infer.{word}") for word in ("role", "shape", "dtype"))
    return [row for row, work in zip(zip(*columns, strict=True), found.work, strict=True) if work]


def test_products_have_the_size_of_their_operator(tmp_path: Path) -> None:
    """Also where the name says nothing; the type of the name stays, and other kernels of the operator have no size."""
    rows = [
        op("aten::linear", 0, 100, [[32, 4096], [1024, 4096]]),
        op("aten::mm", 10, 50, [[32, 4096], [4096, 1024]]),
        call("cudaLaunchKernel", 20, 1),
        call("cudaLaunchKernel", 30, 2),
        op("aten::mm", 200, 50, [[8, 16], [16, 4]], "float"),
        call("cudaLaunchKernel", 210, 3),
        call("cudaLaunchKernel", 300, 4),
        kernel("mystery", 400, 1),
        kernel("void cublasLt::splitKreduce_kernel<32, 16, int, float>(int)", 410, 2),
        kernel("sm80_xmma_gemm_tf32f32_tf32f32_f32_nn_n_tilesize64x64x32_cublas", 420, 3),
        kernel("nvjet_tst_64x64_64x16_2x1_v_bz_TNT", 430, 4),
    ]
    assert told(load(tmp_path, *rows)) == [
        ("gemm", "32x1024x4096", "bf16"),
        ("gemm-aux", None, "fp32"),
        ("gemm", "8x4x16", "tf32"),
        ("gemm", None, "bf16"),
    ]


def test_an_operator_further_out_gives_no_size(tmp_path: Path) -> None:
    """The innermost around the launch computes something else, or the product in parts."""
    rows = [
        op("aten::mm", 0, 100, [[32, 4096], [4096, 1024]]),
        op("mylib::piece", 10, 50, []),
        call("cudaLaunchKernel", 20, 1),
        kernel("nvjet_tst_64x64_64x16_2x1_v_bz_TNT", 400, 1),
    ]
    assert told(load(tmp_path, *rows)) == [("gemm", None, "bf16")]


def test_a_graph_launch_gives_no_size(tmp_path: Path) -> None:
    """It starts many products."""
    rows = [
        op("aten::mm", 0, 100, [[32, 4096], [4096, 1024]]),
        call("cudaGraphLaunch", 20, 1),
        kernel("nvjet_tst_64x64_64x16_2x1_v_bz_TNT", 400, 1),
    ]
    assert told(load(tmp_path, *rows)) == [("gemm", None, "bf16")]


def test_replayed_products_have_the_size_of_the_captured_call(tmp_path: Path) -> None:
    """Where the pass capture joined the replay, which has no shapes of its own."""
    rows = [
        call("cudaStreamBeginCapture", 0, 1),
        op("aten::mm", 10, 20, [[32, 4096], [4096, 1024]]),
        call("cudaLaunchKernel", 20, 2),
        op("aten::mm", 40, 20, [[32, 64], [64, 8]]),
        call("cudaLaunchKernel", 50, 3),
        call("cudaStreamEndCapture", 90, 4),
        call("cudaGraphLaunch", 100, 5),
        kernel("nvjet_tst_64x64_64x16_2x1_v_bz_TNT", 400, 5),
        kernel("nvjet_tst_64x8_64x16_4x1_v_bz_TNT", 410, 5),
    ]
    module = tir.PassManager.parse("capture").run(load(tmp_path, *rows))
    assert told(module) == [("gemm", "32x1024x4096", "bf16"), ("gemm", "32x8x64", "bf16")]
    assert told(load(tmp_path, *rows)) == [("gemm", None, "bf16")] * 2


def test_sizes_of_a_real_model(load_shared: Any) -> None:
    """A decoder whose layers have four products: the sizes are those of its configuration."""
    found = tir.PassManager.parse("infer{operands=true}").run(load_shared("sgl_pd"))
    sizes = {text for text in found.text("infer.shape") if text is not None}
    tokens = {size.split("x")[0] for size in sizes}
    assert len(tokens) == 2, "the prompt's, and the rows that give logits"
    wide = {tuple(map(int, size.split("x")[1:])) for size in sizes}
    assert wide == {(6144, 4096), (4096, 4096), (24576, 4096), (4096, 12288), (151936, 4096)}
