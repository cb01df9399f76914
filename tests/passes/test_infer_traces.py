"""Roles on real traces: coverage, and figures that are known by other means."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import traceir as tir
from tests.conftest import SHORT
from traceir_passes.infer import Infer, InferReport
from traceir_passes.infer.launching import operator_role
from traceir_passes.infer.rules import built_in

Load = Callable[[str], tir.Module]


def _run(load: Load, name: str) -> tuple[tir.Module, InferReport]:
    item = tir.PassManager((Infer(),)).run(load(name))
    return item, Infer().report(item)


@pytest.mark.parametrize("name", [name for name in SHORT if name != "mtia"])
def test_hardly_anything_is_unknown(load_shared: Load, name: str) -> None:
    """At most 0.03 % of kernel time has no role on any of these traces."""
    _, report = _run(load_shared, name)
    assert report.unknown_time_ns <= 0.0003 * report.kernel_time_ns


def test_jobs_of_unknown_content_stay_unknown(load_shared: Load) -> None:
    """Where the device runs whole networks as one job each, all of it is unknown and a finding says so."""
    item, report = _run(load_shared, "mtia")
    assert report.unknown_share == 1.0
    assert "unknown_roles" in [finding.code for finding in item.health]


LAYERS = [
    (
        "sgl_dec",
        {"attention": 36, "attention-aux": 36, "rope": 36, "kv-store": 36, "act": 36, "norm": 145, "gemm": 145},
    ),
    ("sgl_pd", {"attention": 36, "rope": 36, "kv-store": 36, "act": 36, "norm": 145}),
    ("vllm_pw", {"attention": 24, "moe-gemm": 48, "moe-combine": 24, "rope": 24, "kv-store": 24, "moe-route": 96}),
    ("b200", {"attention": 36, "moe-gemm": 72, "norm": 73, "all-reduce": 73, "all-gather": 1, "quant": 72, "rope": 36}),
    ("bert_h100", {"attention": 4, "gemm": 26, "norm": 10}),
    ("bert_mi300", {"attention": 4, "gemm": 26, "norm": 10}),
    ("triton", {"attention": 1, "gemm": 7, "norm": 2, "act": 1}),
    ("nccl", {"all-reduce": 15, "broadcast": 6}),
    ("dlrm", {"send-recv": 5, "all-reduce": 3}),
]


@pytest.mark.parametrize(("name", "wanted"), LAYERS)
def test_counts_per_layer(load_shared: Load, name: str, wanted: dict[str, int]) -> None:
    """Roles occur as often as the model's layers demand."""
    _, report = _run(load_shared, name)
    counts = {row.role: row.count for row in report.roles}
    assert {role: counts.get(role, 0) for role in wanted} == wanted


def test_unfused_norms(load_shared: Load) -> None:
    """Every norm of the eager model is a chain of three steps, forward after forward: 3 × 70, none left over."""
    item, report = _run(load_shared, "qwen_h100")
    assert {row.role: row.count for row in report.roles}["norm"] == 210
    assert not item.is_in("infer.role", ["norm-part"]).any()


def test_mean_of_a_loss_is_a_reduction(load_shared: Load) -> None:
    """The mean behind a mean-squared error is no norm."""
    item, _ = _run(load_shared, "mi250")
    means = [event for event in item.kernels if "MeanOps" in event.name]
    assert [event["infer.role"] for event in means] == ["reduce"]


CLASSES = [("b200", 8_652_137, 2_141_501), ("nccl", 115_655_847, 46_876_493), ("s0", 210_320_000, 396_199_000)]


@pytest.mark.parametrize(("name", "compute", "comm"), CLASSES)
def test_class_unions(load_shared: Load, name: str, compute: int, comm: int) -> None:
    """The unions of compute and communication are the known ones, to the nanosecond."""
    item, _ = _run(load_shared, name)
    spans = [item.select(where=item.work & item.is_in("infer.class", [word])).union_ns for word in ("compute", "comm")]
    assert spans == [compute, comm]


AGREES = {
    "aten::mm": {"gemm", "gemm-aux"},
    "aten::addmm": {"gemm", "gemm-aux", "copy", "reduce"},
    "aten::copy_": {"copy", "elementwise"},
    "aten::cat": {"copy"},
    "aten::fill_": {"fill"},
    "aten::mul": {"elementwise"},
    "aten::native_layer_norm": {"norm"},
    "aten::_softmax": {"softmax"},
    "aten::cudnn_batch_norm": {"bn"},
    "aten::_flash_attention_forward": {"attention", "attention-aux"},
    "aten::index_select": {"embed", "index"},
    "aten::silu": {"act"},
    "aten::gelu": {"act"},
    "aten::sum": {"reduce"},
    "aten::cumsum": {"scan"},
    "_C::rotary_embedding": {"rope"},
    "_C::fused_add_rms_norm": {"norm"},
    "_C_cache_ops::reshape_and_cache_flash": {"kv-store"},
    "symm_mem::multimem_all_reduce_": {"all-reduce"},
    "vllm::unified_attention_with_output": {"attention", "kv-store", "quant"},
}


@pytest.mark.parametrize("name", ["b200", "qwen_h100", "bert_h100", "nccl", "s0", "s1", "alexnet", "dlrm", "sgl_pd"])
def test_roles_agree_with_launching_operators(load_shared: Load, name: str) -> None:
    """Names and launching operators, two independent sources, tell the same wherever both speak."""
    item, _ = _run(load_shared, name)
    wrong: Counter[tuple[str, str]] = Counter()
    checked = 0
    for event in item.select(where=item.work & (item.launch >= 0) & item.is_kind("dev.kernel")):
        launch = event.launch
        parents = launch.ancestors if launch is not None else iter(())
        operator = next((parent.name for parent in parents if parent.kind == "host.op"), "")
        if operator in AGREES:
            checked += 1
            if event["infer.role"] not in AGREES[operator]:
                wrong[operator, event["infer.role"]] += 1
    assert not wrong
    assert checked


COMPATIBLE = {
    # A convolution is computed as a product, with layouts changed around it and parts of K summed after it.
    "conv": {"gemm", "gemm-aux", "copy", "index"},
    # An addmm copies its bias first; a thin product sums in a kernel of its own.
    "gemm": {"gemm-aux", "copy", "reduce"},
    # Point-to-point work carries out a gather; its kernel has no other name.
    "all-gather": {"send-recv"},
    # The steps of an unfused norm, which neighbours decide.
    "elementwise": {"norm-part"},
    "reduce": {"norm-part", "elementwise"},
    # Operators on indices scan and sort; a table's rows are looked up by an index_select.
    "index": {"scan", "sort", "embed"},
}
"""What a launching operator's role may stand for by name: its parts, and other ways to do the same."""


def _both(item: tir.Module) -> Counter[tuple[str, str]]:
    """Kernel time by the role that the launching operator gives alone and the one that the name gives alone.

    Only where both say something; graph launches stand for no kernel in particular.
    """
    rules, kind = built_in(), item.is_kind("host.op")
    rows = np.flatnonzero(item.work & item.is_kind("dev.kernel") & (item.launch >= 0))
    rows = rows[~item.is_kind("rt.graph_launch")[item.launch[rows]]]
    at, out = item.parent[item.launch[rows]], Counter[tuple[str, str]]()
    while ((at >= 0) & ~kind[at]).any():
        at = np.where((at >= 0) & ~kind[at], item.parent[at], at)
    pairs = np.stack([item["name"][at[at >= 0]], item["name"][rows[at >= 0]]], 1)
    distinct, inverse = np.unique(pairs, axis=0, return_inverse=True)
    times = np.bincount(inverse.ravel(), item["dur"][rows[at >= 0]], len(distinct))
    for (operator, kernel), time in zip(distinct.tolist(), times.tolist(), strict=True):
        verdict = rules.classify(item.strings[kernel])
        told = operator_role(item.strings[operator], rules)
        # A name that is only a hint gives way to the operator, so that it cannot contradict it.
        if "unknown" not in (told, verdict.role) and verdict.basis == "measured":
            out[told, verdict.role] += int(time)
    return out


LAUNCHED = ("sgl_pd", "vllm_pw", "b200", "qwen_h100", "bert_h100", "bert_mi300", "triton", "mi250", "nccl", "s0", "s1")


@pytest.mark.parametrize("name", [*LAUNCHED, "alexnet", "dlrm", "sgl_dec"])
def test_names_do_not_contradict_operators(load_shared: Load, name: str) -> None:
    """Roles by names alone and by launching operators alone: less than 0.2 % of the time of both is a contradiction."""
    found = _both(load_shared(name))
    wrong = {pair: time for pair, time in found.items() if pair[0] != pair[1]}
    wrong = {pair: time for pair, time in wrong.items() if pair[1] not in COMPATIBLE.get(pair[0], ())}
    assert sum(found.values())
    assert sum(wrong.values()) <= 0.002 * sum(found.values()), wrong


HIDDEN = [("qwen_h100", 0.9), ("b200", 0.4), ("bert_h100", 0.9), ("triton", 0.85), ("nccl", 0.6)]


@pytest.mark.parametrize(("name", "least"), HIDDEN)
def test_roles_without_names(shared: Callable[[str], Path], tmp_path: Path, name: str, least: float) -> None:
    """With all names hidden the launching side alone still finds most roles that names give, or parts of the same."""
    data = json.loads(gzip.decompress(shared(name).read_bytes()))
    for number, row in enumerate(data["traceEvents"]):
        if row.get("cat") == "kernel":
            row["name"] = f"k{number}"
    path = tmp_path / "hidden.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    true, blind = (tir.PassManager((Infer(),)).run(tir.load(file)) for file in (shared(name), path))
    assert np.array_equal(true["dur"], blind["dur"])
    launched = true.work & true.is_kind("dev.kernel") & (true.launch >= 0)
    pairs = zip(true.text("infer.role"), blind.text("infer.role"), strict=True)
    same = [seen == told or seen in COMPATIBLE.get(told or "", ()) for seen, told in pairs]
    assert true["dur"][launched & np.array(same)].sum() >= least * true["dur"][launched].sum()
    assert not blind.is_in("infer.basis", ["measured"])[launched].any()


BLIND = """
[[rule]]
role = "unknown"
pattern = 'add_rmsnorm|rotary|act_and_mul|Cijk'
"""


def test_captures_tell_what_names_do_not(load_shared: Load, tmp_path: Path) -> None:
    """In a replay of 544 kernels the captured calls alone give products, norms, activations and rope as names do."""
    path = tmp_path / "blind.toml"
    path.write_text(BLIND, encoding="utf-8")
    true, report = _run(load_shared, "sgl_dec")
    manager = tir.PassManager.parse(f'capture,infer{{roles="{path}"}}')
    blind = manager.run(load_shared("sgl_dec"), tir.PassContext(inputs={"capture": load_shared("sgl_cap")}))
    hidden = true.is_in("infer.role", ["gemm", "norm", "act", "rope"])
    assert hidden.sum() == 145 + 145 + 36 + 36
    assert np.array_equal(np.array(true.text("infer.role"))[hidden], np.array(blind.text("infer.role"))[hidden])
    assert not blind.is_in("infer.basis", ["measured"])[hidden].any()
    without = tir.PassManager.parse(f'infer{{roles="{path}"}}').run(load_shared("sgl_dec"))
    assert without.is_in("infer.role", ["unknown"])[hidden & true.is_in("infer.role", ["rope", "act"])].all()
    assert report.unknown_time_ns == 0


def test_same_input_same_columns(load_shared: Load) -> None:
    """Two runs over one module give the same columns."""
    one, _ = _run(load_shared, "dlrm")
    two, _ = _run(load_shared, "dlrm")
    for name in one.annotations:
        assert np.array_equal(one[name], two[name])
