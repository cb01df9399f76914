"""Role tables: every rule by its examples, and names that look like another role."""

from __future__ import annotations

from pathlib import Path

import pytest

import traceir as tir
from traceir_passes.infer import Infer, RoleTable, Rule, parse
from traceir_passes.infer.classes import CLASSES, OP_KINDS, ROLES, class_of, op_kind_of
from traceir_passes.infer.launching import HostRule, class_role, host_rules, operator_role
from traceir_passes.infer.rules import built_in

RULES = built_in().rules


def _role(name: str) -> str:
    """The role by the name alone, a step of a norm counted as what it is where it stands alone."""
    return Infer().explain(name).role


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.wrapper}:{rule.role}")
def test_rule_examples(rule: Rule) -> None:
    """A rule's positive example gets its role from the whole table, its negative one does not."""
    assert built_in().classify(rule.yes).role == rule.role
    assert rule.pattern.search(rule.yes if rule.wrapper else parse(rule.yes).path)
    assert built_in().classify(rule.no).role != rule.role


@pytest.mark.parametrize("rule", [*host_rules()[0], *host_rules()[1]], ids=lambda rule: rule.role)
def test_host_rule_examples(rule: HostRule) -> None:
    """A host rule's positive example gets its role from its whole table, its negative one does not."""
    if rule in host_rules()[0]:
        assert operator_role(rule.yes, built_in()) == rule.role
        assert operator_role(rule.no, built_in()) != rule.role
    else:
        assert class_role(f"nn.Module: {rule.yes}_3") == rule.role
        assert class_role(f"nn.Module: {rule.no}_3") != rule.role


def test_every_rule_says_where_it_is_from() -> None:
    """Each shipped rule has a vendor, a library, and a positive and a negative example."""
    assert [
        rule.pattern.pattern for rule in RULES if not (rule.vendors and rule.libraries and rule.yes and rule.no)
    ] == []
    assert [rule.number for rule in RULES] == list(range(1, len(RULES) + 1))


def test_every_role_has_class_and_op_kind() -> None:
    """Each role of the tables has a class and an op kind, and each of these is a known word."""
    assert {rule.role for rule in RULES} <= set(ROLES)
    assert {name for name, _ in ROLES.values()} <= set(CLASSES)
    assert {kind for _, kind in ROLES.values()} <= set(OP_KINDS)


TRAPS = [
    (
        "void paged_attention_ll4mi_QKV_mfma16_kernel<0, __hip_bfloat16, (vllm::Fp8KVCacheDataType)0, 1>(int)",
        "attention",
    ),
    ("void vllm::reshape_and_cache_flash_kernel<__nv_bfloat16, unsigned char>(int)", "kv-store"),
    ("create_flashinfer_kv_indices_triton", "index"),
    ("void paged_attention_ll4mi_reduce_kernel<__hip_bfloat16>(int)", "attention-aux"),
    ("void pytorch_flash::flash_fwd_splitkv_combine_kernel<Traits>(int)", "attention-aux"),
    ("kernel_cutlass_kernel_flashinfernormkernelsrmsnormRMSNormKernel_object_at_", "norm"),
    ("void aiter::add_rmsnorm_quant_kernel<__hip_bfloat16, true, false>(int)", "norm"),
    ("void tensorrt_llm::kernels::quantize_with_block_size<(tensorrt_llm::BlockScaleQuantizationType)2>(int)", "quant"),
    ("void rotary_embedding_kernel<c10::BFloat16, true>(long const*)", "rope"),
    ("_matmul_ogs_NNT_bf16xbf16xmxfp4_128x128x128x1_swiglu", "moe-gemm"),
    ("bmm_MxE4m3_MxE2m1MxE4m3_Fp32_t128x16x256u2_s3_tma_clmp_swiGlu_dynBatch_sm100f", "moe-gemm"),
    ("void cutlass::Kernel2<cutlass_80_tensorop_bf16_s16816gemm_relu_bf16_64x64_64x6_tn_align8>(P)", "gemm"),
    ("cudnn_ampere_scudnn_128x64_relu_xregs_large_nn_v1", "conv"),
    ("sm80_xmma_fprop_implicit_gemm_indexed_tf32f32_tf32f32_f32_nhwckrsc_nchw_tilesize128x128x16", "conv"),
    (
        "void cutlass_cudnn_train::Kernel<cutlass_tensorop_s1688wgrad_optimized_tf32_256x128_16x3_nhwc_align4>(P)",
        "conv",
    ),
    ("void fbgemm_gpu::permute_2D_data_kernel<false, int>(int)", "index"),
    ("void fbgemm_gpu::_offsets_range_cuda_kernel<int>(long)", "index"),
    ("void split_embedding_backward_codegen_rowwise_adagrad_unweighted_kernel_cta_per_row_1<c10::Half>(int)", "embed"),
    ("_combined_routing_memset", "moe-route"),
    ("_finalize_matmul_scatter_bf16", "moe-combine"),
    ("triton_poi_fused_constant_pad_nd_moe_forward_0", "elementwise"),
    ("triton_poi_fused__to_copy_add_cat_fmha_v3_fwd_view_3", "elementwise"),
    ("triton_red_fused_add_mean_mul_pow_rsqrt_0", "norm"),
    (
        "void at::native::(anonymous namespace)::multi_tensor_apply_kernel<at::native::(anonymous namespace)::"
        "TensorListMetadata<2>, at::native::(anonymous namespace)::CopyFunctor<int, long, 2, 1, 1> >(int)",
        "copy",
    ),
    (
        "void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float, at::native::MeanOps<float> > >(int)",
        "reduce",
    ),
    (
        "void trtllm_allreduce_fusion::allreduce_fusion_kernel_oneshot_lamport<(trtllm_allreduce_fusion::"
        "AllReduceFusionPattern)0, __nv_bfloat16, 8, true>(int)",
        "all-reduce",
    ),
    ("allreduce_fusion_kernel_twoshot_sync<AllReduceFusionPattern 0, half>(int)", "all-reduce"),
    ("allreduce_fusion_kernel_oneshot_lamport<AllReduceFusionPattern 1, half>(int)", "comm-fused"),
    ("allreduce_fusion_kernel_oneshot_lamport<AllReduceFusionPattern 10, half>(int)", "comm-fused"),
    ("void deep_ep::intranode::notify_dispatch<8>(int const*)", "comm-meta"),
    ("void deep_ep::internode::cached_notify<false>(int)", "comm-meta"),
    ("void deep_ep::layout::get_dispatch_layout<256, 32, 8>(long const*)", "comm-meta"),
    ("ncclDevKernel_Generic_4(ncclDevKernelArgsStorage<4096ul>)", "comm-unknown"),
    ("rcclGenericKernel", "comm-unknown"),
    ("void splitKreduce_kernel<32, 16, int, float>(int)", "gemm-aux"),
    ("void (anonymous namespace)::multimem_all_reduce_kernel<c10::BFloat16, 16>(int)", "all-reduce"),
]


@pytest.mark.parametrize(("name", "role"), TRAPS)
def test_traps(name: str, role: str) -> None:
    """Names that hold the words of another role: the whole name decides, in order, wrappers by their whole leaf."""
    assert _role(name) == role


FURTHER = [
    ("batched_transpose_32x32_dword", "copy"),
    ("void fused_qknorm_warp<bf16>(int)", "norm"),
    ("triton__0d1d2d3de", "elementwise"),
    ("_per_token_cast_to_fp8_kernel", "quant"),
    ("per_channel_cast_kernel", "quant"),
    ("void at::native::upsample_bilinear2d_out_frame<float>(int)", "copy"),
    ("Im2d2Col", "copy"),
    ("ncclDevKernel_Reduce_Sum_f32_RING_LL(int)", "comm-reduce"),
    ("hcom_reduce__271_1_1", "comm-reduce"),
    ("void ep::intranode::dispatch<8>(int)", "dispatch"),
    ("void mooncake_ep::internode_ll::dispatch<true>(int)", "dispatch"),
    ("void mooncake_ep::internode_ll::combine<true>(int)", "combine"),
    ("MoeTokenPermute", "moe-route"),
    ("MoeTokenUnpermute", "moe-combine"),
    ("MlaProlog", "gemm"),
    ("KvRmsNormRopeCache", "kv-store"),
    ("hcom_allReduce__271_1_1", "all-reduce"),
    ("aclnnMatmul_MatMulV3Common_MatMulV3", "gemm"),
    ("aclnnFlashAttentionScoreGrad_FlashAttentionScoreGrad_FlashAttentionScoreGrad", "attention"),
    ("void cutlass::device_kernel<flash::FlashAttnFwdSm90<flash::CollectiveMainloopFwdSm90<2> > >(P)", "attention"),
    ("aclnnMaxPool2dWithMask_MaxPoolWithArgmaxV1AiCore_MaxPoolWithArgmaxV1", "pool"),
    ("aclnnAdaptiveAvgPool2dBackward_AdaptiveAvgPool3dGradAiCore_AdaptiveAvgPool3dGrad", "pool"),
    ("Conv2DBackpropFilter10_MemSet", "memset"),
    ("Conv2DBackpropFilter10", "conv"),
    ("trans_Cast_5", "elementwise"),
    ("triton_tem_fused_flex_attention_0", "attention"),
    ("triton_tem_fused_addmm_3", "gemm"),
    ("triton_per_fused__softmax_2", "softmax"),
    ("triton_poi_fused_clone_view_1", "copy"),
]

STACKS = [
    ("void deep_gemm::sm90_fp8_gemm_1d2d_impl<0u, 4096u, 7168u, (deep_gemm::GemmType)0>(float*)", "gemm"),
    ("void deep_gemm::sm90_fp8_gemm_1d2d_impl<0u, 4096u, 7168u, (deep_gemm::GemmType)1>(float*)", "moe-gemm"),
    ("void deep_gemm::transpose_fp32<512u, 64u, 56u>(float const*)", "copy"),
    ("void deep_gemm::sm90_fp8_mqa_logits<32u, 128u>(int)", "attention-aux"),
    ("void deep_ep::internode_ll::clean_low_latency_buffer(int*)", "comm-meta"),
    ("void deep_ep::intranode::barrier<8>(int**, int)", "comm-meta"),
    ("void deep_ep::internode_ll::combine<true, 7168, 9>(void*)", "combine"),
    ("void flashinfer::BatchPrefillWithPagedKVCacheKernel<flashinfer::KernelTraits<128u> >(int)", "attention"),
    ("void flashinfer::PersistentVariableLengthMergeStatesKernel<8u, 16u, float>(float*)", "attention-aux"),
    ("void flashinfer::BatchQKApplyRotaryPosIdsCosSinCacheKernel<false, 128u>(int)", "rope"),
    ("void flashinfer::AppendPagedKVCacheKernel<128u, 8u>(int)", "kv-store"),
    ("void flashinfer::sampling::TopPRenormProbKernel<1024u, float>(float*)", "sample"),
    ("void flashinfer::norm::FusedAddRMSNormKernel<8u, __nv_bfloat16>(__nv_bfloat16*)", "norm"),
    ("void tensorrt_llm::kernels::finalizeMoeRoutingKernel<__nv_bfloat16, __nv_bfloat16>(int)", "moe-combine"),
    ("void tensorrt_llm::kernels::cutlass_kernels::expandInputRowsKernel<__nv_bfloat16>(int)", "moe-route"),
    ("void tensorrt_llm::kernels::cutlass_kernels::blockExpertPrefixSumKernel<32>(int)", "moe-route"),
    ("void tensorrt_llm::kernels::cutlass_kernels::computeStridesTmaWarpSpecializedKernel<int>(int)", "index"),
    ("void tensorrt_llm::kernels::applyBiasRopeUpdateKVCacheV2<__nv_bfloat16, 128>(int)", "kv-store"),
    ("void tensorrt_llm::kernels::quantize_with_block_size<__nv_bfloat16>(int)", "quant"),
    ("void tensorrt_llm::mmha::masked_multihead_attention_kernel<unsigned short, 128>(int)", "attention"),
    ("aiter::pa_bf16_pertokenFp8_gqa8_2tg_4w", "attention"),
    ("aiter::mla_dec_stage1_bf16_a16w16_subQ16_mqa16", "attention"),
    ("void aiter::kn_entry_2c_sbhd_cached_indirect_inplace<aiter::OpCachedFwd>(int)", "rope"),
    ("void aiter::reduce_scatter_cross_device_store<__hip_bfloat16, 8>(int)", "reduce-scatter"),
    ("void aiter::allgather_vec<__hip_bfloat16, 8>(int)", "all-gather"),
    ("void marlin::Marlin<__nv_bfloat16, 1125899906909960l, 256>(int4 const*)", "gemm"),
    ("void marlin_moe_wna16::Marlin<__nv_bfloat16, 1125899906909960l, 256>(int4 const*)", "moe-gemm"),
    ("void marlin::gptq_marlin_repack_kernel<256, 8, 4, false>(int)", "copy"),
    ("_chunk_scan_fwd_kernel", "linear-attention"),
    ("_chunk_cumsum_fwd_kernel", "attention-aux"),
    ("_state_passing_fwd_kernel", "attention-aux"),
    ("chunk_local_cumsum_scalar_kernel", "attention-aux"),
    ("fused_sigmoid_gating_delta_rule_update_kernel", "linear-attention"),
    ("_selective_scan_update_kernel", "linear-attention"),
    ("cudnn_generated_fort_native_sdpa_sm90_flash_fprop_wgmma_f16_knob_3_64x256x64_4x1x1_kernel0_0", "attention"),
    ("void cudnn::cnn::conv2d_grouped_direct_kernel<false, true, __half, __half, float>(int)", "conv"),
    ("void implicit_convolve_sgemm<__half, __half, 1024, 5, 5, 3, 3, 3, 1>(int)", "conv"),
    ("void group_norm_nhwc_fwd_one_pass_kernel<Fwd_traits>(int)", "norm"),
    ("void at::native::(anonymous namespace)::grid_sampler_2d_kernel<float, int>(int)", "index"),
    ("_attn_fwd", "attention"),
    ("bwd_kernel_dk_dv", "attention"),
    ("void sm90::fwd::sparse_attn_fwd_kernel<512>(int)", "attention"),
    ("qk_int_sv_f8_attn_kernel", "attention"),
    ("MoeFinalizeRouting", "moe-combine"),
    ("GroupedMatmulFinalizeRouting", "moe-gemm"),
    ("MoeGatingTopKSoftmax", "moe-route"),
    ("MoeInitRoutingV2", "moe-route"),
    ("MoeReRouting", "moe-route"),
    ("MoeDistributeDispatchV2", "dispatch"),
    ("FusedInferAttentionScore", "attention"),
    ("MultiLatentAttentionKernel", "attention"),
    ("QuantBatchMatmulV3", "gemm"),
    ("AddRmsNorm", "norm"),
    ("ApplyRotaryPosEmb", "rope"),
    ("Slice", "copy"),
    ("aclnnAddcdiv_AddcdivAiCore_Addcdiv", "elementwise"),
    ("Dijk_BS_MT128x2_VW1_Reduction", "gemm-aux"),
    ("mscclKernel_Sum_half_Simple_false", "comm-unknown"),
    ("userbuffers_fp16_sum_inplace_gpu_rr_rs_oop", "reduce-scatter"),
    ("userbuffers_fp16_sum_inplace_gpu_mc_ag_oop", "all-gather"),
    ("void at::native::lpnorm_cleanup<float, (at::native::NormType)1, float>(float*)", "reduce"),
    ("void at::native::(anonymous namespace)::cuComputeGradInput<float, float>(int)", "norm"),
    ("void at::native::(anonymous namespace)::compute_grad_weight_bags<float, int>(int)", "embed"),
    ("void rocprim::ROCPRIM_400001_NS::detail::lookback_scan_kernel<int>(int)", "scan"),
    ("void rocprim::ROCPRIM_400001_NS::detail::onesweep_iteration_kernel<int>(int)", "sort"),
    ("void rocprim::ROCPRIM_400001_NS::detail::partition_kernel<int>(int)", "index"),
    ("void rocprim::ROCPRIM_400001_NS::detail::transform_kernel<int>(int)", "elementwise"),
    ("void vllm::awq::gemm_forward_4bit_cuda_m16nXk32<128>(int)", "gemm"),
    ("kDequantizeBlockwise<__nv_bfloat16, 512, 64, 8, 2>", "quant"),
    ("get_mla_metadata_kernel", "index"),
]
"""Kernels of current stacks: serving, mixtures of experts, state spaces, vision, diffusion, Ascend, AMD's libraries."""


@pytest.mark.parametrize(("name", "role"), STACKS)
def test_names_of_current_stacks(name: str, role: str) -> None:
    """Each says what it does, whatever model runs it."""
    assert _role(name) == role


@pytest.mark.parametrize(("name", "role"), FURTHER)
def test_further_names(name: str, role: str) -> None:
    """Names of further vendors, libraries and compilers."""
    assert _role(name) == role


@pytest.mark.parametrize("name", ["saxpy", "myKernel", "void foo<float>(int)", "", "_Z3abcPf", "_fwd_kernel"])
def test_unknown_names_are_unknown(name: str) -> None:
    """A name that says nothing is unknown, not the nearest guess."""
    assert _role(name) == "unknown"
    assert Infer().explain(name).basis == ""


OP_KINDS_OF = [
    ("quant", "void vllm::scaled_fp8_quant_kernel_strided<bf16>(int)", "elemwise"),
    ("quant", "void vllm::dynamic_per_token_scaled_fp8_quant_kernel<bf16>(int)", "comm_reduce"),
    ("bn", "cudnn::bn_fw_inf_1C11_kernel_NCHW", "broadcast"),
    ("bn", "cudnn::bn_fw_tr_1C11_singleread", "comm_reduce"),
    ("gemm", "nvjet_tst_64x64", "out_ewise_fusable"),
    ("rope", "rotary", "broadcast"),
    ("index", "index_select_gather", "injective"),
    ("index", "cumsum", "opaque"),
    ("norm", "rms_norm", "comm_reduce"),
    ("memcpy", "Memcpy DtoD (Device -> Device)", "injective"),
    ("memcpy", "Memcpy HtoD (Pinned -> Device)", "opaque"),
    ("all-reduce", "x", "opaque"),
    ("unknown", "x", "opaque"),
]


@pytest.mark.parametrize(("role", "name", "wanted"), OP_KINDS_OF)
def test_op_kinds(role: str, name: str, wanted: str) -> None:
    """The op kind follows the role, and the name where the role alone does not decide it."""
    assert op_kind_of(role, name) == wanted


def test_classes() -> None:
    """Notifications count as communication, fused kernels as neither, unknown work as compute."""
    assert [class_of(role) for role in ("comm-meta", "comm-fused", "unknown", "memcpy")] == [
        "comm", "fused", "compute", "memory",
    ]  # fmt: skip


def test_user_rules_come_first(tmp_path: Path) -> None:
    """A user's rule wins over every built-in one, wrappers included, and its source is told."""
    path = tmp_path / "mine.toml"
    path.write_text('[[rule]]\nrole = "sort"\npattern = "elementwise_kernel|nvjet"\n', encoding="utf-8")
    mine = Infer(str(path))
    assert mine.explain("void at::native::elementwise_kernel<4>(int)").role == "sort"
    assert mine.explain("nvjet_tst_1x1").role == "sort"
    assert str(path) in mine.explain("nvjet_tst_1x1").because
    assert mine.explain("attn_fwd").role == "attention"


BAD_TABLES = [
    ("[[rule]", "cannot be read: it is no TOML, expected ']]' at the end of an array declaration"),
    ('[[rule]]\nrole = "gem"\npattern = "a"\n', "gives the role 'gem'"),
    ('[[rule]]\nrole = "gemm"\npattern = "("\n', "is no expression"),
    ('[[rule]]\nrole = "gemm"\n', "needs the keys role and pattern"),
    ('[[rule]]\nrole = "gemm"\npattern = "a"\ncolour = "red"\n', "has the key 'colour'"),
    ('[[rule]]\nrole = "gemm"\npattern = "a"\nscope = "wrapper"\n', "names no wrapper"),
]


@pytest.mark.parametrize(("text", "message"), BAD_TABLES)
def test_bad_tables(tmp_path: Path, text: str, message: str) -> None:
    """A table that is not well formed is refused in a sentence that names the file."""
    path = tmp_path / "bad.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(tir.UsageError, match=r"bad\.toml") as error:
        Infer(str(path)).explain("x")
    assert message in str(error.value)


def test_tables_that_are_no_text_or_cannot_be_opened(tmp_path: Path) -> None:
    """The system's reason in words, without its number."""
    path = tmp_path / "bad.toml"
    path.write_bytes(b'[[rule]]\nrole = "\xff"\n')
    with pytest.raises(
        tir.UsageError, match=r"bad\.toml cannot be read: byte 17 is no UTF-8, which a table has to be\."
    ):
        Infer(str(path)).explain("x")
    with pytest.raises(tir.UsageError) as error:
        RoleTable.read(str(tmp_path))
    assert str(error.value) == f"The role table {tmp_path} cannot be read: Is a directory."


def test_missing_table(tmp_path: Path) -> None:
    """A table that is not there is a usage error too."""
    with pytest.raises(tir.UsageError, match="no such file"):
        Infer(str(tmp_path / "none.toml")).explain("x")
