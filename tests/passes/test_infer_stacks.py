"""Names of kernels that no rule was written from: each gets its role, and what looks like it does not."""

from __future__ import annotations

import pytest

from traceir_passes.infer import Infer
from traceir_passes.infer.classes import class_of, op_kind_of
from traceir_passes.infer.launching import operator_role
from traceir_passes.infer.rules import built_in

XPU = "at::native::xpu::VectorizedElementwiseKernel<4, at::native::xpu::"
TRT = "void tensorrt_llm::kernels::"
SHELL = "void nunchaku::kernels::invoke_kernel<nunchaku::kernels::GEMM_W4A4<nunchaku::kernels::GEMMConfig_W4A4_FP16>::"

PAIRS: list[tuple[str, str, str, str]] = [
    # Communication: pure, fused with products or norms, planning, and what is none.
    ("all-reduce", "allreduce_two_shot_multimem_intra_node_kernel", "comm-reduce", "multimem_one_shot_reduce_kernel"),
    ("all-reduce", "void r4d_ar_oneshot_2rank_exact_kernel(int)", "reduce", "_moe_reduce_kernel"),
    ("all-reduce", "HcomAllReduce", "reduce", "ReduceMean"),
    ("all-gather", "HcomAllGather", "index", "GatherV2"),
    ("all-gather", "nvls_all_gather_kernel", "index", "_gather_initial_states_kernel"),
    (
        "reduce-scatter", "ncclSymkDevKernel_ReduceScatter_RailA2A_LsaLD_sum_bf16(ncclSymkDevWorkArgs4K)",
        "all-to-all", "hcom_alltoallvc__120_0_1",
    ),
    ("comm-fused", "InplaceMatmulAllReduceAddRmsNorm", "norm", "InplaceAddRmsNorm"),
    ("comm-fused", "AlltoAllvGroupedMatMul", "moe-gemm", "GroupedMatMul"),
    ("comm-fused", "BatchMatMulReduceScatterAlltoAll", "gemm", "BatchMatMulV2"),
    (
        "comm-fused", f"{TRT}reduce_fusion::lamport_style_one_shot_all_reduce_norm_kernel<int>(int)",
        "all-reduce", f"{TRT}oneShotAllReduceKernel<__nv_bfloat16, 8, true>(int)",
    ),
    ("comm-meta", f"{TRT}moe_comm::moeA2APrepareDispatchKernel(int)", "dispatch",
     f"{TRT}moe_comm::moeA2ADispatchKernel<BlockPolicy, 8>(int)"),
    ("comm-meta", "DistributeBarrier", "dispatch", "MoeDistributeDispatchV3"),
    ("dispatch", "void pplx::a2a_dispatch_send_kernel<true>(int)",
     "combine", "void pplx::a2a_combine_recv_kernel(int)"),
    ("dispatch", "mori::moe::EpDispatchInterNodeV1Kernel_bf16", "combine", "mori::moe::EpCombineIntraNodeKernel_bf16"),
    # Attention, what prepares it, and what only has its words.
    ("attention", "NsaSelectedAttentionInfer", "attention-aux", "RingAttentionUpdate"),
    ("attention", "sparse_mla_prefill_mg_dual_kernel", "index", "sparse_mla_index_remap_kernel"),
    ("attention", "void sm90::decode::sparse_fp8::splitkv_mla_fp8_sparse_kernel<int>(int)", "attention-aux",
     "void smxx::flash_fwd_mla_combine_kernel<int>(int)"),
    ("attention", "void flash_attn_ext_f16<128, 128, 8, 4>(char const*)", "attention-aux",
     "void flash_attn_combine_results<128>(float const*)"),
    ("attention", "_decode_grouped_att_m_fwd_kernel", "attention-aux", "_decode_softmax_reducev_fwd_kernel"),
    ("attention", "kernel_paged_attention_2d", "attention-aux", "kernel_paged_attention_2d_splitkv_reduce"),
    ("attention", "_accumulate_fp8ds_global_slots_attention_chunk_multihead_kernel", "quant",
     "_dequantize_global_slots_k_kernel"),
    ("attention", "void flash_fwd_kernel<Flash_fwd_kernel_traits<128, 64, 64, 4>>(int)", "index",
     "void advance_step_flashattn_kernel(int)"),
    ("attention", "kernel_cutlass_kernel_flash_attncuteflash_fwd_sm100FlashAttentionForwardSm100_object_at",
     "attention-aux", "kernel_cutlass_kernel_flash_attncuteflash_fwd_combineFlashAttentionForwardCombine_object_at"),
    ("attention-aux", "void deep_gemm::smxx_clean_logits<1>(int)", "gemm",
     "void deep_gemm::sm90_bf16_gemm_impl<(cute::UMMA::Major)0>(int)"),
    ("linear-attention", "RecurrentGatedDeltaRule", "attention-aux", "fused_gdn_gating_kernel"),
    ("linear-attention", "chunk_bwd_kernel_dqkwg", "attention-aux", "merge_16x16_to_64x64_inverse_kernel"),
    ("kv-store", "void vllm::indexer_k_quant_and_cache_kernel<__nv_bfloat16>(int)", "quant", "_fwht_quant_kernel"),
    ("kv-store", "_fused_qk_rope_cat_and_cache_mla_kernel", "rope", "_fused_qk_rope_kernel"),
    ("kv-store", "GatherPaKvCache", "index", "GatherV3"),
    ("index", "_compute_slot_mapping_kernel", "kv-store", "void vllm::reshape_and_cache_kernel<__half>(int)"),
    ("index", "_prepare_pos_seq_lens_kernel", "sample", "_get_num_sampled_and_rejected_kernel"),
    ("norm", "self_attention_layernorm_kernel", "attention", "_ragged_paged_attention_kernel"),
    # Mixtures of experts.
    ("moe-gemm", "void fused_moe::run_global<fused_moe::Fused_Moe_Kernel_sm80<cutlass::bfloat16_t, 32, 128> >(int)",
     "moe-route", "_fused_append_shared_experts_kernel"),
    ("moe-gemm", "void r4d_gemm_moe_mxfp4a8_nt_b16_kernel(int)", "gemm", "void r4d_gemm_bf16_nt_m64_kernel(int)"),
    ("moe-route", "void vllm::moe::dsv4HashTopkSoftplusSqrt<int, int>(float const*)", "sort",
     "void vllm::topKPerRowDecode<1024, true>(int)"),
    ("moe-route", "void vllm::moe::count_and_sort_expert_tokens_kernel<int>(int)", "sort",
     "void at::native::bitonicSortKVInPlace<2, -1, 16, 16>(int)"),
    ("moe-route", "_fwd_kernel_ep_scatter_1", "moe-combine", "_fwd_kernel_ep_gather"),
    ("moe-route", "pre_reorder_triton_kernel", "moe-combine", "post_reorder_triton_kernel"),
    ("moe-route", "_topk_forward", "sample", "_topk_topp_kernel"),
    # What else a kernel does comes before the quantisation of what it gives.
    ("norm", "_fused_rms_mxfp4_quant_kernel", "quant", "_dynamic_mxfp4_quant_kernel"),
    ("act", "_silu_mul_per_token_group_quant_fp8_colmajor", "quant", "_per_token_group_quant_fp8_colmajor"),
    ("act", "SwigluGroupQuant", "quant", "DynamicBlockQuant"),
    ("act", "void vllm::act_and_mul_quant_kernel<c10::BFloat16>(int)", "quant",
     "void per_token_group_quant_8bit_kernel<c10::BFloat16, __nv_fp8_e4m3, false, false, float>(int)"),
    ("rope", "rope_quantize_kernel", "quant", "quant_per_block_int8_kernel"),
    ("quant", "void vllm::cvt_fp16_to_fp4<__nv_bfloat16, false>(int)", "copy", "void cpy_f32_f16<float>(int)"),
    ("quant", "void transformer_engine::(anonymous namespace)::cast_transpose_general_kernel<128, 128, float>(int)",
     "copy", "void transformer_engine::(anonymous namespace)::transpose_general_kernel<8>(int)"),
    ("quant", f"{TRT}fp8_blockscale_gemm::scale_1x128_kernel<__nv_bfloat16, __nv_fp8_e4m3>(int)", "gemm",
     f"{TRT}fp8_blockscale_gemm::fp8_gemm_kernel<int>(int)"),
    ("quant", f"{SHELL}quantize_w4a4_fuse_lora_kernel<false, false>>(int)", "gemm",
     f"{SHELL}gemm_w4a4_kernel<int, false>>(int)"),
    ("quant", "void kInt8VectorQuant<__half, 1024, 0>(int)", "gemm", "QuantBatchMatmulV3"),
    # Products, what stands beside them, and layouts.
    ("gemm", "Custom_Cijk_Alik_Bljk_F8BS_BH_Bias_SHB_HA_S_SAV_UserArgs_MT256x256x128_MI16x16x1", "gemm-aux",
     "_gemm_a8w8_blockscale_reduce_kernel"),
    ("gemm", "TransposeBatchMatMul", "copy", "Transpose"),
    ("gemm", "_w8a8_triton_block_scaled_mm", "moe-gemm", "fused_moe_kernel_gptq_awq"),
    ("gemm", "void mul_mat_vec_q<(ggml_type)12, 1>(void const*)", "quant", "void quantize_q8_1(float const*)"),
    ("gemm", "__myl_FcCast_myl2_3", "elementwise", "__myl_MulMulAddAddConcAdd_myl12_7"),
    ("conv", "void precomputed_convolve_sgemm<float, 1024, 5, 5, 4, 3, 3, 1, false>(int)", "gemm",
     "void gemmk1_kernel<int, float, 256, 5>(int)"),
    ("conv", "void ck::kernel_batched_gemm_xdlops_bwd_weight<int>(int)", "gemm",
     "void ck::kernel_gemm_xdl_cshuffle_v3<ck::GridwiseGemm>(int)"),
    # Frameworks: elementwise work is looked into on every vendor; words inside words are none.
    ("act", f"{XPU}GeluErfFunctor<float>, at::detail::Array<char*, 2>>", "elementwise",
     f"{XPU}PowImplUnaryFunctor1<float> >"),
    ("copy", f"{XPU}CastScalarFunc<float, c10::BFloat16>>", "fill", f"{XPU}FillFunctor<float>>"),
    ("index", "void at::native::index_elementwise_kernel<128, 4, at::native::gpu_index_kernel<int> >(int)",
     "elementwise", "void at::native::unrolled_elementwise_kernel<at::native::CUDAFunctorOnSelf_add<long>>(int)"),
    ("index", "void at::native::(anonymous namespace)::searchsorted_cuda_kernel<int>(int)", "sort",
     "void at::native::(anonymous namespace)::sort_postprocess_kernel<float>(int)"),
    ("scan", "void at::native::tensor_kernel_scan_innermost_dim<float, std::plus<float>>(int)", "linear-attention",
     "void selective_scan_fwd_kernel<Selective_Scan_fwd_kernel_traits<128>>(int)"),
    ("optimizer", "void kOptimizerStatic8bit2StateBlockwise<__nv_bfloat16, 0, 256, 1>(int)", "quant",
     "void kQuantizeBlockwise<__half, 4096, 4, 0, 0>(int)"),
    ("conv", "triton_tem_fused__to_copy_convolution_repeat_unsqueeze_view_2", "gemm",
     "triton_tem_fused__to_copy_addmm_gelu_t_view_9"),
    ("moe-gemm", "moe_gemm1_0", "gemm", "hgemm_bf16_32x64x64_S2TN_AS_SPK16_0"),
    ("act", "void vllm::situ_and_mul_kernel<c10::BFloat16>(int)", "gemm", "_swiglu_mm_kernel"),
    ("kv-store", "QkvRmsNormRopeCache", "rope", "RopeWithSinCosCache"),
    ("copy", "triton_poi_fused_clone_1_0d1d2de3de", "act", "triton_poi_fused_gelu_6_0d1d2"),
    ("norm", "triton_per_fused_add_native_layer_norm_3_0d1d2d", "softmax", "triton_per_fused__softmax__to_copy_2_0d1d"),
    ("pool", "mloPoolingG", "conv", "naive_conv_ab_nonpacked_fwd_nchw_half_double_half"),
    ("reduce", "input_reduce_fusion_4", "elementwise", "loop_multiply_fusion"),
]  # fmt: skip
"""The role and a name that has it; another role and a name that looks alike. Serving, training, vision and diffusion
stacks on NVIDIA, AMD, Ascend and Intel; compilers."""


@pytest.mark.parametrize(("role", "name", "other", "alike"), PAIRS, ids=[pair[1][:50] for pair in PAIRS])
def test_a_name_and_what_looks_like_it(role: str, name: str, other: str, alike: str) -> None:
    """General rules place both, and tell them apart."""
    assert (Infer().explain(name).role, Infer().explain(alike).role) == (role, other)


@pytest.mark.parametrize(
    "name",
    [
        "Kernel",
        "_post_update_kernel",
        "expand_kernel",
        "_permute_kernel",
        "mhc_fused_tilelang_kernel",
        "triton_tem_fused_0",
    ],
)
def test_real_names_that_say_nothing(name: str) -> None:
    """They are in real profiles, and nobody can tell by them what they do."""
    assert Infer().explain(name).role == "unknown"


def test_a_row_maximum_makes_an_activation_a_reduction() -> None:
    """Fused with a quantisation whose scale has to be found first; with a given scale it stays elementwise."""
    assert op_kind_of("act", "_silu_mul_per_token_group_quant_fp8_colmajor") == "comm_reduce"
    assert op_kind_of("act", "void vllm::act_and_mul_quant_kernel<c10::BFloat16>(int)") == "elemwise"


def test_communication_right_around_the_launch_only() -> None:
    """An operator further out starts other work too: copies into buffers, sums of what came."""
    table = built_in()
    for name in ("vllm::all_gather", "mylib::reduce_scatter_tensor", "sgl_kernel::all_reduce"):
        assert class_of(operator_role(name, table)) == "comm"
        assert operator_role(name, table, innermost=False) == "unknown"
    assert operator_role("_C::rms_norm", table, innermost=False) == "norm"


OPERATORS = [
    ("npu::npu_quant_matmul", "gemm"),
    ("npu::npu_dynamic_quant", "quant"),
    ("npu::npu_mm_all_reduce_base", "comm-fused"),
    ("npu::npu_moe_token_permute", "moe-route"),
    ("npu::npu_moe_token_unpermute", "moe-combine"),
    ("trtllm::moe_allreduce", "comm-fused"),
    ("trtllm::allreduce", "all-reduce"),
    ("trtllm::attention_inplace", "attention"),
    ("vllm::gdn_attention_core", "linear-attention"),
    ("_vllm_fa3_C::fwd", "attention"),
    ("_LayerNormLinear", "unknown"),
    ("FusedLayerNormAffineFunction", "norm"),
    ("vllm::moe_forward", "unknown"),
]
"""Operators of extensions, as profiles have them: those that do several things say nothing of one kernel."""


@pytest.mark.parametrize(("name", "role"), OPERATORS)
def test_operators_of_extensions(name: str, role: str) -> None:
    """They are read by the rules for kernels."""
    assert operator_role(name, built_in()) == role
