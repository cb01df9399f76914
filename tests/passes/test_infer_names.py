"""Names: what is read of a kernel's name, and what is shown of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceir_passes.infer import parse
from traceir_passes.infer.mangled import demangled_path
from traceir_passes.infer.symbols import WIDTH, symbol

PATHS = [
    ("attn_fwd.kd", "attn_fwd"),
    (
        "_ZN5aiter24add_rmsnorm_quant_kernelIDF16bDF16bLi256ELi16ELb1ELb0ELb1ELi1EEEvPT0_PT_",
        "aiter::add_rmsnorm_quant_kernel",
    ),
    ("_ZN5aiter24add_rmsnorm_quant_kernelIDF16bDF16bLi256ELi16E.kd", "aiter::add_rmsnorm_quant_kernel"),
    ("_ZN7ck_tile6kentryILi2ENS_38FmhaBatchPrefillWithPagedKVCacheKernelINS_1AEEEEEvv", "ck_tile::kentry"),
    ("_ZN12_GLOBAL__N_113multimem_testI14__hip_bfloat16EEvPT_", "anonymous::multimem_test"),
    ("_Z6kernelIfEvPT_", "kernel"),
    ("_ZL6kernelPf", "kernel"),
    ("_ZN2nsILi16ELb1EE3TypIfE3runEv", "ns::Typ::run"),
    (
        "_ZN7sgl_hip10activation18act_and_mul_kernelI14__hip_bfloat16TnPFT_RKS3_EXadL_Z4siluIS2_ES3_S5_EEEEvPS3_PS4_i",
        "sgl_hip::activation::act_and_mul_kernel",
    ),
    (
        "void (anonymous namespace)::multimem_all_reduce_kernel<c10::BFloat16, 16>(c10::BFloat16*)",
        "anonymous::multimem_all_reduce_kernel",
    ),
    (
        "void <unnamed>::softmax_warp_forward<float, float, (int)6, (bool)0>(T2 *, const T1 *)",
        "anonymous::softmax_warp_forward",
    ),
    (
        "std::enable_if<(((8)>(0)))&&vllm::_typeConvert<c10::BFloat16>::exists, void>::type "
        "vllm::fused_add_rms_norm_kernel<c10::BFloat16, 8>(c10::BFloat16*, long)",
        "vllm::fused_add_rms_norm_kernel",
    ),
    (
        "void at::native::elementwise_kernel<128, 4, at::native::gpu_kernel_impl<at::native::direct_copy_kernel_cuda"
        "(at::TensorIteratorBase&)::{lambda()#3}::operator()() const::{lambda(float)#1}>(int)>(int)",
        "at::native::elementwise_kernel",
    ),
    (
        "void at::native::vectorized_elementwise_kernel<(int)4, void at::native::compare_scalar_kernel<long>("
        "at::Base &, T1)::[lambda(long) (instance 1)], std::array<char *, (unsigned long)2>>(int, T2, T3)",
        "at::native::vectorized_elementwise_kernel",
    ),
    ("foo::bar<a->b>(int) const", "foo::bar"),
    ("foo(int) [clone .kd]", "foo"),
    ("foo(int) [clone .isra.0] [clone .kd]", "foo"),
    ("void cub::Kernel<cub::Sum, 1ul", "cub::Kernel"),
    ("ns::{lambda(int)#1}::operator()(int) const", "ns::lambda::operator_call"),
    ("Memcpy DtoD (Device -> Device)", "Memcpy DtoD"),
    ("Memset (Device)", "Memset"),
    ("nvjet_tst_64x64_64x16_2x1_2cta_v_bz_bias_TNT", "nvjet_tst_64x64_64x16_2x1_2cta_v_bz_bias_TNT"),
    ("aclnnMatmul_MatMulV3Common_MatMulV3", "MatMulV3"),
    ("aclnnFlashAttentionScore_FlashAttentionScore_FlashAttentionScore_varlen", "FlashAttentionScore"),
    ("", ""),
]


@pytest.mark.parametrize(("name", "path"), PATHS)
def test_path(name: str, path: str) -> None:
    """The path is the name without return type, template arguments, parameters, clone suffixes and mangling."""
    assert parse(name).path == path


def test_leaf_and_scope() -> None:
    """The leaf is the last part of the path, the scope the rest."""
    name = parse("void vllm::moe::topkGating<4>(float const*)")
    assert (name.leaf, name.scope) == ("topkGating", "vllm::moe")


@given(st.text("_ZNKIESTLDFXJ0123456789abcdiv", max_size=60))
def test_mangled_names_never_fail(text: str) -> None:
    """Whatever follows _Z, cut or wrong, reading it ends and gives parts that stand in the text."""
    for part in demangled_path("_Z" + text).split("::"):
        assert part in ("", "std", "anonymous") or part in text


@given(st.text("ab:<>(){}[] ,*&~#", max_size=60))
def test_names_never_fail(text: str) -> None:
    """Unbalanced brackets are no error, and none gets into the path of a signature."""
    assert not set(parse(f"void f<{text}").path) & set("<>()")


@given(st.lists(st.from_regex(r"[a-z]\w{0,12}", fullmatch=True), min_size=1, max_size=5))
def test_mangled_and_plain_names_agree(parts: list[str]) -> None:
    """A mangled path reads the same as its demangled form."""
    mangled = "_ZN" + "".join(f"{len(part)}{part}" for part in parts) + "IfLi4EEEvPT_"
    assert parse(mangled).path == parse(f"void {'::'.join(parts)}<float, 4>(float*)").path


SYMBOLS = [
    (
        "Cijk_Alik_Bljk_BBS_BH_Bias_HA_S_SAV_UserArgs_MT64x32x256_MI16x16x1_SN_LDSB1_AFC1",
        "Tensile gemm bf16 64x32x256",
    ),
    ("nvjet_tst_64x64_64x16_2x1_2cta_v_bz_bias_TNT", "nvjet gemm bf16 64x64x64"),
    (
        "sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x64_warpgroupsize1x1x1_execute_segment_k_off_kernel__5x_cublas",
        "xmma gemm bf16 128x128x64",
    ),
    (
        "void cutlass::Kernel2<cutlass_80_tensorop_bf16_s16816gemm_relu_bf16_64x64_64x6_tn_align8>("
        "cutlass_80_tensorop_bf16_s16816gemm_relu_bf16_64x64_64x6_tn_align8::Params)",
        "cutlass gemm bf16 64x64x64",
    ),
    ("_ZN5aiter24add_rmsnorm_quant_kernelIDF16bDF16bLi256ELi16ELb1ELb0ELb1ELi1EEEvPT0_PT_", "add_rmsnorm_quant bf16"),
    (
        "void (anonymous namespace)::store_kvcache<2048l, 4, false, long>((anonymous namespace)::P)",
        "store_kvcache",
    ),
    (
        "_ZN7sgl_hip10activation18act_and_mul_kernelI14__hip_bfloat16TnPFT_RKS3_EXadL_Z4siluIS2_ES3_S5_EEEEvPS3_PS4_i",
        "act_and_mul silu bf16",
    ),
    ("ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)", "nccl AllReduce Sum bf16 RING LL"),
    ("triton_poi_fused__unsafe_view_mul_silu_2", "triton_poi unsafe_view_mul_silu"),
    (
        "_ZN7ck_tile6kentryILi1ENS_12Rmsnorm2dFwdINS_27Rmsnorm2dFwdPipelineOnePassEEEJNS_4ArgsEEEEvDpT1_",
        "ck_tile Rmsnorm2dFwd",
    ),
    (
        "void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float, at::native::MeanOps<float, float>, "
        "unsigned int, float, 4> >(at::native::ReduceOp<float>)",
        "reduce mean fp32",
    ),
    (
        "void at::native::vectorized_elementwise_kernel<(int)4, at::native::CUDAFunctor_add<float>, "
        "std::array<char *, (unsigned long)3>>(int, T2, T3)",
        "add fp32",
    ),
    ("Memcpy DtoH (Device -> Pinned)", "Memcpy DtoH"),
    ("_matmul_ogs_NNT_bf16xbf16xmxfp4_128x128x128x1_swiglu", "matmul_ogs bf16xbf16xmxfp4 swiglu 128x1…"),
    ("_matmul_ogs_NNT_bf16xbf16xmxfp4_128x128x128x1", "matmul_ogs bf16xbf16xmxfp4 128x128x128"),
    (
        "bmm_MxE4m3_MxE2m1MxE4m3_Fp32_t128x16x256u2_s3_et128x16_m128x16x32_tmaOpt_clmp_swiGlu_dynBatch_sm100f",
        "bmm MxE2m1MxE4m3 128x16x256 swiGlu",
    ),
]


@pytest.mark.parametrize(("name", "wanted"), SYMBOLS)
def test_symbol(name: str, wanted: str) -> None:
    """The symbol is short and says library, type and tile where the name gives them."""
    assert symbol(name) == wanted


@given(st.text(max_size=200))
def test_symbols_are_short(name: str) -> None:
    """No symbol is wider than its column, and the same name has the same one."""
    assert len(symbol(name)) <= WIDTH
    assert symbol(name) == symbol(name)
