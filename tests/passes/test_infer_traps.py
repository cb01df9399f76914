"""Traps of names: brackets that are none, wrappers by their whole leaf, and what Inductor's names list."""

from __future__ import annotations

import pytest

from tests.build import Ev, module
from traceir.passing import PassManager
from traceir_passes.infer import parse
from traceir_passes.infer.rules import built_in


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("void ns::f<((1)<(2)), 4>(float*)", "ns::f"),
        ("void ns::f<((1)>(2)), 4>(float*)", "ns::f"),
        ("ns::pick<(a<b)>::type ns::f<(c<d)>(float*)", "ns::f"),
        ("void (anonymous namespace)::f<(anonymous namespace)::T>((anonymous namespace)::P)", "anonymous::f"),
        ("void ns::f<ns::g()::{lambda(int)#1}>(ns::g()::{lambda(int)#1})", "ns::f"),
    ],
)
def test_brackets_inside_parentheses_do_not_count(name: str, path: str) -> None:
    """Comparisons in template arguments, unnamed namespaces and lambdas hide no name."""
    assert parse(name).path == path


@pytest.mark.parametrize(
    ("operators", "role"),
    [
        ("poi_fused__unsafe_view_mul_silu_2", "act"),
        ("poi_fused_gelu_view_0", "act"),
        ("poi_fused_add_mm_bmm_addmm_1", "elementwise"),
        ("poi_fused__to_copy_view_clone_3", "copy"),
        ("poi_fused_constant_pad_nd_0", "copy"),
        ("poi_fused_add_view_0", "elementwise"),
        ("red_fused_mul_silu_sum_0", "act"),
        ("red_fused_mm_sum_0", "reduce"),
        ("per_fused__softmax_add_1", "softmax"),
        ("per_fused_native_layer_norm_2", "norm"),
        ("spl_fused_var_mean_0", "norm"),
        ("red_fused__softmax_rsqrt_0", "norm"),
        ("tem_fused_flex_attention_0", "attention"),
        ("tem_fused_mm_0", "gemm"),
        ("mm_fused_addmm_relu_0", "gemm"),
    ],
)
def test_inductor_names_list_neighbours_too(operators: str, role: str) -> None:
    """Only templates are products or attention; a reduction is a norm before a softmax before an activation."""
    assert built_in().classify(f"triton_{operators}").role == role


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("void paged_attention_ll4mi_reduce_kernel<at::native::MeanOps<float>>(int)", "attention-aux"),
        ("void multimem_all_reduce_kernel<at::native::MeanOps<float>>(int)", "all-reduce"),
        ("void splitKreduce_kernel<at::native::ArgMaxOps<float>>(int)", "gemm-aux"),
        ("void at::native::reduce_kernel<512, 1, at::native::ArgMaxOps<float>>(int)", "sample"),
        ("void at::native::vectorized_elementwise_kernel<4, at::native::FillFunctor<float>>(int)", "fill"),
        ("void at::native::my_elementwise_kernel_of_mine<at::native::FillFunctor<float>>(int)", "elementwise"),
    ],
)
def test_wrappers_are_recognised_by_their_whole_leaf(name: str, role: str) -> None:
    """What only ends like one is itself, whatever its template arguments say."""
    assert built_in().classify(name).role == role


def test_rules_are_asked_in_order_and_see_no_template_arguments() -> None:
    """The first that matches wins: a quantising norm is a norm; and arguments are not looked at."""
    assert built_in().classify("void rmsnorm_quant_kernel<float>(int)").role == "norm"
    assert built_in().classify("void RMSNORM_KERNEL<softmax, flash_fwd, nccl>(gemm)").role == "norm"
    assert built_in().classify("void mystery<rms_norm, flash_fwd>(gemm)").role == "unknown"


def test_the_name_goes_before_the_operator_and_that_before_the_module() -> None:
    """Each source is asked only where the one before it says nothing, and the basis tells which it was."""
    names = ["rms_norm_kernel", "mystery", "riddle"]
    events = [Ev("host.frame", "nn.Module: RMSNorm_0", 0, 300, "cpu"), Ev("host.op", "aten::mm", 10, 100, "cpu")]
    events += [Ev("rt.launch", "cudaLaunchKernel", at, 5, "cpu") for at in (20, 40, 200)]
    events += [Ev("dev.kernel", name, 400 + 20 * k, 10, launch=2 + k) for k, name in enumerate(names)]
    item = PassManager.parse("infer").run(module(events))
    rows = [item.row_of(id) for id in (5, 6, 7)]
    assert [item.text("infer.role")[row] for row in rows] == ["norm", "gemm", "norm"]
    assert [item.text("infer.basis")[row] for row in rows] == ["measured", "derived", "guessed"]
