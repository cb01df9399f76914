"""Attributes of names: what each family of names states, and names that look alike and state nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.build import Ev, module
from traceir.ir import NULL_U32
from traceir_passes.infer import Infer, parse
from traceir_passes.infer.attributes import Library, libraries, library, read
from traceir_passes.infer.stated import COLUMNS, NAMES
from traceir_passes.infer.templates import arguments, element, first_element, signature, sizes, written

Load = Callable[[str], tir.Module]
AITER = "_ZN5aiter24add_rmsnorm_quant_kernelIDF16bDF16bLi256ELi16ELb1ELb0ELb1ELi1EEEvPT0_PT_"
TENSILE = "Cijk_Alik_Bljk_BBS_BH_Bias_HA_S_SAV_UserArgs_MT64x32x256_MI16x16x1_SN_GSUAMBSK_GLS0_ISA942_IU1_SK0_SKFTR0"
FMHA3 = (
    "void cutlass::device_kernel<flash::FlashAttnFwdSm90<flash::CollectiveMainloopFwdSm90<2, cute::tuple<cute::C<1>, "
    "cute::C<1>, cute::C<1>>, cute::tuple<cute::C<128>, cute::C<176>, cute::C<64>>, 64, cutlass::bfloat16_t, float, "
    "cutlass::arch::Sm90, true>, flash::CollectiveEpilogueFwd<int>>>(T1::Params)"
)
CUTE = (
    "void cutlass::device_kernel<cutlass::gemm::kernel::GemmUniversal<cute::tuple<int, int, int, int>, "
    "cutlass::gemm::collective::CollectiveMma<cutlass::gemm::MainloopSm90TmaGmmaWarpSpecializedFP8<4, "
    "cute::tuple<cute::C<1>, cute::C<2>, cute::C<1>>>, cute::tuple<cute::C<64>, cute::C<128>, cute::C<32>>, "
    "cutlass::float_e4m3_t, cute::tuple<long, cute::C<1>, long>>>>(T1::Params)"
)
CONV = (
    "_ZN19cutlass_cudnn_train6KernelINS_4conv6kernel23ImplicitGemmConvolutionINS1_11threadblock22ImplicitGemmMultistage"
    "INS_4gemm9GemmShapeILi128ELi64ELi32EEENS4_52Conv2dWgradOutputGradientTileAccessIteratorOptimizedINS_11MatrixShape"
    "ILi128ELi32EEENS_10tfloat32_tENS_9transform29PitchLinear"
)
CK = (
    "_ZN7ck_tile6kentryILi2ENS_38FmhaBatchPrefillWithPagedKVCacheKernelINS_40BlockFmhaBatchPrefillPipelineQRKSVSAsync"
    "INS_36BlockFmhaBatchPrefillPipelineProblemIDF16bDF16bDF16bffDF16bhfDF16bfDF16bNS_13TileFmhaShapeINS_8sequenceIJ"
    "Li128ELi64ELi32ELi128ELi32ELi128EEEENS5_IJLi4ELi1ELi1EEEES7_S8_Lb1EEELb1EEEEEEEvDpT1_"
)
TRAITS = (
    "Flash_fwd_kernel_traits<64, 128, 64, 4, false, false, cutlass::bfloat16_t, Flash_kernel_traits<64, 128, 64, 4> >"
)
STATED = [
    (TENSILE, "hipblaslt gfx942 bf16 64x32x256"),
    ("Cijk_Alik_Bljk_HHS_BH_MT128x128x32_MI32x32x8x1_SN_GSU4_GSUASB_ISA90a", "tensile gfx90a fp16 128x128x32 split=4"),
    (
        "Cijk_Alik_Bljk_F8F8S_BH_UserArgs_MT256x256x128_SN_GSU0_SK3_ISA942",
        "hipblaslt gfx942 fp8 256x256x128 split=stream",
    ),
    ("Cijk_Ailk_Bljk_SB_MT64x64x16_SN_GSU1_ISA90a", "tensile gfx90a fp32 64x64x16 split=no"),
    ("nvjet_tst_64x64_64x16_2x1_2cta_v_bz_bias_TNT", "cublas bf16 64x64x64"),
    ("nvjet_sm100_ootst_128x192_256x4_2x1_2cta_v_bz_TNT", "cublas sm100 fp4 128x192x256"),
    ("nvjet_tst_64x8_64x16_4x1_v_bz_splitK_TNN", "cublas bf16 64x8x64 split=yes"),
    (
        "sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x64_warpgroupsize1x1x1_execute_segment_k_off_kernel"
        "__5x_cublas",
        "cublas sm90 bf16 128x128x64 split=no",
    ),
    (
        "sm80_xmma_gemm_f32f32_f32f32_f32_tn_n_tilesize64x256x8_stage3_warpsize1x4x1_ffma_aligna4_alignc4"
        "_execute_split_k_kernel__5x_cublas",
        "cublas sm80 fp32 64x256x8 split=yes",
    ),
    (
        "sm80_xmma_fprop_implicit_gemm_indexed_tf32f32_tf32f32_f32_nhwckrsc_nchw_tilesize128x128x16_stage4"
        "_warpsize2x2x1_g1_tensor16x8x8_execute_kernel_cudnn_infer",
        "cudnn sm80 tf32 128x128x16 by=implicit_gemm",
    ),
    ("ampere_sgemm_128x64_nn", "cublas ampere fp32 128x64"),
    ("ampere_bf16_s16816gemm_bf16_128x64_ldg8_f2f_stages_64x4_tn", "cublas ampere bf16 128x64"),
    ("volta_fp16_s884gemm_fp16_64x64_ldg8_f2f_nn", "cublas volta fp16 64x64"),
    ("cudnn_ampere_scudnn_128x64_relu_xregs_large_nn_v1", "cudnn ampere fp32 128x64"),
    (
        "void cutlass::Kernel2<cutlass_80_tensorop_bf16_s16816gemm_relu_bf16_64x32_64x6_tn_align8>(int)",
        "cutlass sm80 bf16 64x32x64",
    ),
    ("void cutlass::Kernel<cutlass_80_simt_sgemm_128x32_8x5_nn_align1>(int)", "cutlass sm80 fp32 128x32x8"),
    (
        "void cutlass_cudnn_infer::Kernel<cutlass_tensorop_s1688fprop_optimized_tf32_128x64_32x4_nhwc_align4>(int)",
        "cudnn tf32 128x64x32",
    ),
    (
        "cutlass3x_sm100_tensorop_s64x256x32gemm_f8_f8_f32_f16_f16_64x256x128_1x1x1_0_tnn_align4_1sm_bias_f16_relu",
        "cutlass sm100 fp8 64x256x128",
    ),
    (CUTE, "cutlass fp8 64x128x32"),
    (CONV, "cudnn tf32 128x64x32 by=implicit_gemm"),
    (
        "bmm_MxE4m3_MxE2m1MxE4m3_Fp32_t128x16x256u2_s3_et128x16_m128x16x32_clmp_swiGlu_dynBatch_sm100f",
        "tensorrt-llm sm100f mxfp4xmxfp8 128x16x256",
    ),
    ("_matmul_ogs_NNT_bf16xbf16xmxfp4_128x64x32x1_swiglu", "triton bf16xmxfp4 128x64x32 split=no"),
    ("_matmul_ogs_NNT_bf16xbf16xbf16_16x128x64x4", "triton bf16 16x128x64 split=4"),
    (
        f"void pytorch_flash::flash_fwd_kernel<pytorch_flash::{TRAITS}, false>(int)",
        "flash-attention bf16 128x64 head=64",
    ),
    (f"void flash_fwd_splitkv_kernel<{TRAITS}, true>(int)", "flash-attention bf16 128x64 by=split_kv head=64"),
    (FMHA3, "flash-attention sm90 bf16 128x176 head=64"),
    (
        "fmhaSm100aKernel_QkvE4m3OBfloat16H64PagedKvCausalP16VarSeqQ128Kv64PersistentContext",
        "tensorrt-llm sm100a fp8 128x64 head=64 page=16",
    ),
    (
        "void paged_attention_ll4mi_QKV_mfma16_kernel<0, __hip_bfloat16, __hip_bfloat16, (vllm::Fp8KVCacheDataType)0, "
        "1, 128, 256, false, 4, 1, ck_tile::ComposedAttention<0u, false> >(__hip_bfloat16 const*)",
        "bf16 head=128 page=1",
    ),
    (
        "void vllm::paged_attention_v1_kernel<half, unsigned char, 80, 16, 128, (vllm::Fp8KVCacheDataType)1>(int)",
        "vllm fp16 head=80 page=16",
    ),
    (CK, "composable-kernel bf16 128x64"),
    ("ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)", "nccl bf16 by=ring over=LL"),
    ("ncclKernel_AllReduce_TREE_LL128_Sum_half(ncclDevComm*)", "nccl fp16 by=tree over=LL128"),
    ("ncclDevKernel_AllGather_RING_LL(ncclDevKernelArgsStorage<4096ul>)", "nccl by=ring over=LL"),
    ("ncclSymkDevKernel_AllReduce_RSxLDMC_AGxSTMC_sum_bf16(int)", "nccl bf16 by=two_shot"),
    ("ncclSymkDevKernel_AllReduce_AGxLL_R_sum_bf16(int)", "nccl bf16 by=one_shot over=LL"),
    ("mscclKernel_Sum_half_Simple_false", "rccl fp16 over=SIMPLE"),
    ("void vllm::cross_device_reduce_1stage<__nv_bfloat16, 8>(vllm::RankData*)", "vllm bf16 by=one_shot"),
    ("_ZN4vllm26cross_device_reduce_2stageI13__nv_bfloat16Li8EEEvPNS_8RankDataE", "vllm bf16 by=two_shot"),
    ("void (anonymous namespace)::multimem_all_reduce_kernel<c10::BFloat16, 16>(int)", "bf16 by=multimem"),
    (
        "void flashinfer::trtllm_allreduce_fusion::allreduce_fusion_kernel_oneshot_lamport<(flashinfer::"
        "trtllm_allreduce_fusion::AllReduceFusionPattern)1, __nv_bfloat16, 8, true>(int)",
        "flashinfer bf16 by=one_shot over=LAMPORT",
    ),
    (AITER, "aiter bf16"),
    ("void vllm::rms_norm_kernel<c10::BFloat16, 8, 2>(c10::BFloat16*, c10::BFloat16 const*)", "vllm bf16"),
    ("void fbgemm_gpu::(anonymous namespace)::_get_FP8_qparam_cuda_kernel<float>(float const*, int)", "fbgemm fp32"),
    (
        "void at::native::vectorized_elementwise_kernel<4, at::native::nan_to_num_kernel_cuda(at::TensorIteratorBase&, "
        "c10::optional<double>)::{lambda()#1}::operator()() const::{lambda(float)#1}, std::array<char*, 2> >(int)",
        "pytorch fp32",
    ),
    (
        "void at::native::reduce_kernel<512, 1, at::native::ReduceOp<c10::Half, at::native::MeanOps<c10::Half, float> >"
        " >(int)",
        "pytorch fp16",
    ),
    (
        "_ZN2at6native29vectorized_elementwise_kernelILi16EZZZNS0_19sigmoid_kernel_cudaERNS_18TensorIteratorBaseEENKUlvE0"
        "_clEvENKUlvE2_clEvEUlN3c108BFloat16EE_St5arrayIPcLm2EEEEviT0_T1_.kd",
        "pytorch bf16",
    ),
    (
        "void cublasLt::splitKreduce_kernel<32, 16, int, half, float, float>(cublasLt::cublasSplitKParams<float>)",
        "cublas fp16",
    ),
    ("_finalize_matmul_scatter_bf16", "bf16"),
    ("void deep_gemm::sm90_fp8_gemm_1d2d_impl<0u, 4096u, 7168u, 1u, 64u>(float*)", "deep-gemm sm90 fp8"),
    (
        "igemm_fwd_gtcx2_nhwc_bf16_bx0_ex1_bt256x128x32_wt64x32x4_ws1x1_wr2x2_ta1x8x4x1",
        "miopen bf16 by=implicit_gemm",
    ),
    (
        "void rocprim::ROCPRIM_400200_NS::detail::trampoline_kernel<rocprim::ROCPRIM_400200_NS::default_config, "
        "(rocprim::ROCPRIM_400200_NS::detail::target_arch)942>(int)",
        "rocprim gfx942",
    ),
]


def short(name: str) -> str:
    """What a name states, in one line."""
    words = {"split_k": "split=", "algorithm": "by=", "protocol": "over=", "head_size": "head=", "page_size": "page="}
    return " ".join(f"{words.get(key, '')}{value}" for key, value in read(name).items.items())


@pytest.mark.parametrize(("name", "wanted"), STATED)
def test_stated(name: str, wanted: str) -> None:
    """Each family of names is read where it writes what."""
    assert short(name) == wanted


SILENT = [
    ("MT64x32x256_kernel", ""),
    ("nvjetlike_tst_64x64_64x16", ""),
    ("nvjet_zzz_64x64_64x16_2x1_TNT", "cublas 64x64x64"),
    ("myCijk_BBS_MT64x32x256_GSU4", ""),
    ("ampere_gcgemm_64x64_nt", "cublas ampere 64x64"),
    ("ampere_sgemm_32x32_sliced1x4_tn", "cublas ampere fp32 32x32"),
    ("ncclKernel_SendRecv_RING_SIMPLE_Sum_int8_t(ncclDevComm*)", "nccl"),
    ("ncclKernel_Broadcast_RING_LL_Sum_int8_t(ncclDevComm*)", "nccl by=ring over=LL"),
    ("ncclDevKernel_Generic_4(int)", "nccl"),
    ("RING_LL_helper", ""),
    ("void my::one_shot_encoder<float>(int)", "fp32"),
    ("void vllm::reshape_and_cache_flash_kernel<__nv_bfloat16, unsigned char>(__nv_bfloat16 const*)", "vllm bf16"),
    (
        "void fbgemm_gpu::_FP8rowwise_to_float_cuda_kernel<float>(unsigned char const*, int, int, float*, bool)",
        "fbgemm",
    ),
    ("void fbgemm_gpu::permute_2D_lengths_kernel<int>(int, int, int const*, int const*, int*)", "fbgemm"),
    (
        "void cub::DeviceRadixSortOnesweepKernel<cub::DeviceRadixSortPolicy<long, float, int>::Policy800, false>(int)",
        "cub",
    ),
    (
        "void at::native::elementwise_kernel<128, 2, at::native::gpu_kernel_impl<at::native::CUDAFunctor_add<float> "
        "> >(int)",
        "pytorch",
    ),
    (
        "void at::native::(anonymous namespace)::CatArrayBatchedCopy<at::native::(anonymous namespace)::OpaqueType<2u>"
        ", unsigned int, 4, 64, 64>(int)",
        "pytorch",
    ),
    (
        "void at::native::_scatter_gather_elementwise_kernel<128, 4, at::native::_cuda_scatter_gather_internal_kernel"
        "<true, float>::operator()<at::native::ReduceAdd>(at::TensorIterator&)::{lambda(int)#1}>(int)",
        "pytorch",
    ),
    ("_per_token_cast_to_fp8_kernel", ""),
    ("void vllm::scaled_fp8_quant_kernel(int)", "vllm"),
    ("qk_int_sv_f8_attn_kernel", ""),
    ("_ZN5aiter41fmoe_bf16_pertokenFp8_g1u1_vs_silu_1tg_32x512E", "aiter"),
    ("void store_kvcache<2048l, 4, false, long>(P)", ""),
    ("void reference_flash_fwd_kernel<64, 128, 64>(int)", ""),
    ("void smooth_quant<half>(int)", "fp16"),
    ("smelt_kernel_v90", ""),
    ("mystery", ""),
    ("", ""),
]


@pytest.mark.parametrize(("name", "wanted"), SILENT)
def test_near_misses(name: str, wanted: str) -> None:
    """Nothing is told that the name does not write: bytes, types of indices, types known at run time, look-alikes."""
    assert short(name) == wanted


@pytest.mark.parametrize("item", libraries(), ids=lambda item: item.name)
def test_library_examples(item: Library) -> None:
    """A library's positive example is of it by the whole table, its negative one is not."""
    assert library(parse(item.yes)) == item.name
    assert library(parse(item.no)) != item.name


def test_columns_are_what_names_state() -> None:
    """Rows of one name have its attributes, null where it does not say and where no work is."""
    item = tir.PassManager((Infer(),)).run(
        module(
            [
                Ev("host.op", "nvjet_tst_64x64_64x16_2x1_TNT", 0, 50, "cpu"),
                Ev("dev.kernel", FMHA3, 10, 10),
                Ev("dev.kernel", "mystery", 30, 10),
                Ev("dev.kernel", FMHA3, 50, 10),
            ]
        )
    )
    assert item.text("infer.dtype") == [None, "bf16", None, "bf16"]
    assert item.text("infer.tile") == [None, "128x176", None, "128x176"]
    assert item["infer.head_size"].tolist() == [NULL_U32, 64, NULL_U32, 64]
    assert item["infer.page_size"].tolist() == [NULL_U32] * 4
    assert {column.name for column in COLUMNS} == {f"infer.{name}" for name in NAMES} <= set(item.annotations)


def test_arguments_of_templates() -> None:
    """Brackets nest, commas inside them part nothing, casts and suffixes go, and a cut name loses its last part."""
    text = signature("void f<(int)4, std::array<char *, (unsigned long)3>, g<int, h(a, b)>, 16ul>(int)")
    assert arguments(text, "f") == ["4", "std::array<char *, 3>", "g<int, h(a, b)>", "16"]
    assert arguments("f<a, b<c, d", "f") == ["a", "b<c, d"]
    assert arguments("f<a, bc", "f") == ["a"]
    assert arguments("prefix_f<a>", "f") == []
    assert sizes("cute::tuple<cute::C<128>, cute::_64, Int<32>>") == [128, 64, 32]
    assert sizes("cute::tuple<long, cute::C<1>>") == []


def test_first_element_stops_at_integers() -> None:
    """The first element type counts, also inside an argument; where an integer stands first nothing is told."""
    assert first_element(["Params<float, int>", "int"]) == "fp32"
    assert first_element(["Policy<long, float>", "float"]) == ""
    assert first_element(["256", "true", "c10::BFloat16"]) == "bf16"
    assert [element(word) for word in ("float const*", "unsigned char", "long", "Floating")] == ["fp32", "", "", ""]
    assert element("long", whole=True) == "int64"


MANGLED = [
    (AITER, "aiter::add_rmsnorm_quant_kernel<__bf16, __bf16, 256, 16, true, false, true, 1>"),
    (
        "_ZN2nsILi16ELin1EE1fI6__halffNS_3BarIJdN3c104HalfEEEEEEvv",
        "ns<16, -1>::f<__half, float, Bar<double, c10::Half>>",
    ),
    ("_Z3fooIfLb1EEvPT_", "foo<float, true>"),
    ("_ZN1a1bIfLi4E", "a::b<float, 4"),
]


@pytest.mark.parametrize(("name", "wanted"), MANGLED)
def test_mangled_names_are_written_out(name: str, wanted: str) -> None:
    """Template arguments of mangled names are read as those of plain ones; a cut name as far as it goes."""
    assert written(name) == wanted


@given(st.text("_ZNKIESTLDFXJ0123456789abcdiv", max_size=60))
def test_reading_never_fails(text: str) -> None:
    """Whatever a name holds, cut or wrong, reading it ends; what it states is short."""
    for name in (f"_ZN{text}", f"Cijk_{text}", f"void f<{text}", f"nccl{text}_RING_LL"):
        for value in read(name).items.values():
            assert len(str(value)) <= 40


INPUTS = {"c10::BFloat16": "bf16", "float": "fp32", "c10::Half": "fp16", "long int": "int64"}


@pytest.mark.parametrize(("name", "least"), [("qwen_h100", 200), ("bert_h100", 30), ("b200", 150), ("dlrm", 10)])
def test_types_are_those_of_the_operator(load_shared: Load, name: str, least: int) -> None:
    """Element types by names are those that the launching operator says of its first input, an independent source.

    For operators that work on what they are given: casts, positions and quantised steps inside are not among them.
    """
    item = tir.PassManager((Infer(),)).run(load_shared(name))
    agree = 0
    roles = item.is_in("infer.role", ["gemm", "act", "norm", "softmax"])
    by_name = np.array([bool(read(text).dtype) for text in item.strings.texts] + [False])[item["name"]]
    for event in item.select(where=roles & (item.launch >= 0) & by_name):
        launch = event.launch
        operator = next((up for up in launch.ancestors if up.kind == "host.op"), None) if launch else None
        given = (operator.args.get("Input type") or operator.args.get("Input Type") or [""]) if operator else [""]
        if given[0] in INPUTS:
            assert INPUTS[given[0]] == event["infer.dtype"], event.name
            agree += 1
    assert agree >= least


def test_most_products_state_their_type_and_tile(load_shared: Load) -> None:
    """On traces of four stacks nearly all time of matrix products has a type and a tile from the name."""
    for name in ("sgl_dec", "b200", "qwen_h100", "nccl"):
        item = tir.PassManager((Infer(),)).run(load_shared(name))
        products = item.is_in("infer.role", ["gemm", "moe-gemm"])
        by_name = np.array([bool(read(text).dtype) for text in item.strings.texts] + [False])[item["name"]]
        said = products & by_name & (item["infer.tile"] >= 0)
        assert item["dur"][said].sum() >= 0.99 * item["dur"][products].sum()
        assert np.array_equal(item["infer.tile"] >= 0, (item["infer.tile"] >= 0) & item.work)
