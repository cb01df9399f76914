"""What the names of each library's kernels say: kind, library, algorithm, protocol and element type."""

from __future__ import annotations

import pytest

import traceir as tir
from tests.build import Ev, module
from traceir_passes.collectives import Collectives
from traceir_passes.collectives import vocabulary as words

Row = tuple[str, str, str, str | None, str | None, str | None]

NCCL: list[Row] = [
    ("ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)",
     "all_reduce", "nccl", "ring", "LL", "bf16"),
    ("ncclKernel_AllReduce_TREE_LL128_Sum_half(ncclDevComm*, unsigned long, ncclWork*)",
     "all_reduce", "nccl", "tree", "LL128", "fp16"),
    ("ncclDevKernel_AllReduce_Sum_f32_COLLNET_DIRECT(ncclDevKernelArgsStorage<4096ul>)",
     "all_reduce", "nccl", "collnet_direct", None, "fp32"),
    ("ncclDevKernel_ReduceScatter_Sum_f8e4m3_NVLS_SIMPLE(ncclDevKernelArgsStorage<4096ul>)",
     "reduce_scatter", "nccl", "nvls", "SIMPLE", "fp8"),
    ("ncclDevKernel_AllGather_PAT_SIMPLE(ncclDevKernelArgsStorage<4096ul>)",
     "all_gather", "nccl", "pat", "SIMPLE", None),
    ("ncclKernel_Broadcast_RING_LL_Sum_int8_t(ncclDevComm*, unsigned long, ncclWork*)",
     "broadcast", "nccl", "ring", "LL", None),
    ("ncclDevKernel_Reduce_Sum_f64_RING_LL(ncclDevKernelArgsStorage<4096ul>)", "reduce", "nccl", "ring", "LL", "fp64"),
    ("ncclDevKernel_SendRecv(ncclDevKernelArgsStorage<4096ul>)", "unknown", "nccl", None, None, None),
    ("ncclDevKernel_Generic_4(ncclDevKernelArgsStorage<4096ul>)", "unknown", "nccl", None, None, None),
    ("ncclSymkDevKernel_AllReduce_AGxLL_R_sum_f8e5m2(ncclSymkDevWorkArgs4K)",
     "all_reduce", "nccl", "one_shot", "LL", "fp8"),
    ("ncclSymkDevKernel_AllReduce_AGxLLMC_R_sum_bf16(ncclSymkDevWorkArgs4K)",
     "all_reduce", "nccl", "one_shot", "LL", "bf16"),
    ("ncclSymDevKernel_AllReduce_RSxLD_AGxST_sum_bf16(ncclSymDevArgs)",
     "all_reduce", "nccl", "two_shot", None, "bf16"),
    ("ncclSymkDevKernel_AllReduce_RSxLDMC_AGxSTMC_sum_f16(ncclSymkDevWorkArgs4K)",
     "all_reduce", "nccl", "two_shot", None, "fp16"),
    ("ncclSymkDevKernel_ReduceScatter_LL_sum_f32(ncclSymkDevWorkArgs4K)",
     "reduce_scatter", "nccl", None, "LL", "fp32"),
    ("ncclSymkDevKernel_ReduceScatter_LDMC_sum_f8e4m3(ncclSymkDevWorkArgs4K)",
     "reduce_scatter", "nccl", "multimem", None, "fp8"),
    ("ncclSymkDevKernel_AllGather_STMC(ncclSymkDevWorkArgs4K)", "all_gather", "nccl", "multimem", None, None),
]  # fmt: skip
AMD: list[Row] = [
    ("rcclGenericKernel<1, false>(ncclDevKernelArgsStorage<4096ul>)", "unknown", "rccl", None, None, None),
    ("rcclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)",
     "all_reduce", "rccl", "ring", "LL", "bf16"),
    ("mscclKernel_Sum_half_LL(ncclDevComm*, mscclAlgo*, mscclWork*)", "unknown", "msccl", None, "LL", None),
    ("void quickreduce::allreduce_prototype_twoshot<quickreduce::AllReduceTwoshot<__half, "
     "quickreduce::CodecQ4<__half, 4>, true>, __half>(__half const*, __half*, unsigned int)",
     "all_reduce", "quickreduce", "two_shot", None, "fp16"),
    ("void aiter::cross_device_reduce_2stage_naive<__hip_bfloat16, 8>(aiter::RankData*)",
     "all_reduce", "aiter", "two_shot", None, "bf16"),
    ("void aiter::allreduce_fusion_kernel_1stage<__hip_bfloat16>(int)",
     "all_reduce", "aiter", "one_shot", None, "bf16"),
    ("void aiter::reduce_scatter_cross_device_store<__hip_bfloat16, 8>(aiter::RankData*)",
     "reduce_scatter", "aiter", None, None, "bf16"),
    ("void mori::moe::EpDispatchIntraNodeKernel<hip_bfloat16>(mori::moe::EpDispatchCombineArgs<hip_bfloat16>)",
     "all_to_all", "mori", None, None, "bf16"),
    ("EpCombineLowLatencyAsyncRecv_bf16", "all_to_all", "mori", "low_latency", None, None),
]  # fmt: skip
CUSTOM: list[Row] = [
    ("void vllm::cross_device_reduce_1stage<__nv_bfloat16, 8>(vllm::RankData*)",
     "all_reduce", "custom_ar", "one_shot", None, "bf16"),
    ("void sglang::cross_device_reduce_2stage<half, 4>(sglang::RankData*)",
     "all_reduce", "custom_ar", "two_shot", None, "fp16"),
    ("void (anonymous namespace)::multimem_all_reduce_kernel<c10::BFloat16, 16>(c10::BFloat16*)",
     "all_reduce", "symm_mem", "multimem", None, "bf16"),
    ("void (anonymous namespace)::two_shot_all_reduce_kernel_inplace<c10::BFloat16, 16, 8>(c10::BFloat16**)",
     "all_reduce", "symm_mem", "two_shot", None, "bf16"),
    ("void tensorrt_llm::kernels::oneShotAllReduceKernel<__nv_bfloat16, 8, true>(tensorrt_llm::kernels::Params)",
     "all_reduce", "trtllm", "one_shot", None, "bf16"),
    ("void tensorrt_llm::kernels::mnnvl::oneshotAllreduceFusionKernel<8, __nv_bfloat16, true>(int)",
     "all_reduce", "trtllm", "one_shot", None, "bf16"),
    ("void flashinfer::trtllm_mnnvl_allreduce::twoshotAllreduceKernel<8, __nv_bfloat16>(int)",
     "all_reduce", "flashinfer", "two_shot", None, "bf16"),
    ("void flashinfer::trtllm_allreduce_fusion::allreduce_fusion_kernel_oneshot_lamport<(flashinfer::"
     "trtllm_allreduce_fusion::AllReduceFusionPattern)1, __nv_bfloat16, 8, true>(int)",
     "all_reduce", "flashinfer", "one_shot", "lamport", "bf16"),
    ("void mscclpp::collective::allreduceAllPairs<(mscclpp::ReduceOp)0, __half>(__half*, __half*)",
     "all_reduce", "mscclpp", None, None, "fp16"),
    ("void transformer_engine::userbuffers_fp16_sum_inplace_gpu_rr_rs<8>(int)",
     "reduce_scatter", "transformer_engine", None, None, None),
    ("nvshmemi_transfer_on_stream", "unknown", "nvshmem", None, None, None),
]  # fmt: skip
EXPERTS: list[Row] = [
    ("void deep_ep::intranode::dispatch<8, 768, 8192>(int4*, float*)", "all_to_all", "deep_ep", None, None, None),
    ("void deep_ep::internode_ll::combine<true, 7168, 9>(void*)", "all_to_all", "deep_ep", "low_latency", None, None),
    ("void deep_ep::internode::combine<false, 2, __nv_bfloat16, 8, 32>(int4*)",
     "all_to_all", "deep_ep", None, None, "bf16"),
    ("void mooncake_ep::internode_ll::combine<true, 7168, 9>(void*)",
     "all_to_all", "mooncake", "low_latency", None, None),
    ("void tensorrt_llm::kernels::moe_alltoall::moeA2ADispatchKernel<8, false>(int const*)",
     "all_to_all", "trtllm", None, None, None),
    ("MoeDistributeDispatchV2_1", "all_to_all", "hccl", None, None, None),
]  # fmt: skip
ASCEND: list[Row] = [
    ("hcom_allReduce__271_3_1", "all_reduce", "hccl", None, None, None),
    ("hcom_reduceScatter__586_0_1", "reduce_scatter", "hccl", None, None, None),
    ("hcom_alltoallv__271_4_1", "all_to_all", "hccl", None, None, None),
    ("hcom_send__12_0_1", "send_recv", "hccl", None, None, None),
]


@pytest.mark.parametrize("row", [*NCCL, *AMD, *CUSTOM, *EXPERTS, *ASCEND], ids=lambda row: row[0][:48])
def test_names(row: Row) -> None:
    """A kernel alone, without a launch or metadata: all is read from its name."""
    item = tir.PassManager.parse("infer,collectives").run(module([Ev("dev.kernel", row[0], 100, 10)]))
    told = Collectives().report(item).instances
    assert [(one.kind, one.library, one.algorithm, one.protocol, one.dtype) for one in told] == [row[1:]]


PATHS = [
    ("oneccl_reduce_base", "", "oneccl"), ("kernel_7", "xccl:all_reduce", "oneccl"),
    ("kernel_7", "ucc:alltoall", "ucc"), ("kernel_7", "mpi:send", "mpi"), ("", "gloo:all_reduce", "gloo"),
    ("pplx::dispatchKernel", "", "pplx"),
    ("EpDispatchIntraNodeKernel_bf16", "", "mori"), ("aiter::quickreduce::allreduce_prototype", "", "quickreduce"),
    ("MatmulAllReduce_1", "", "hccl"), ("mscclpp::allreduce7", "", "mscclpp"), ("StepDispatchX", "", "unknown"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "operator", "library"), PATHS)
def test_libraries_by_path_and_operator(path: str, operator: str, library: str) -> None:
    """Of libraries that a name alone does not make communication, and of words that look alike."""
    assert words.library_of(path, operator, "nvidia") == library


@pytest.mark.parametrize(
    ("name", "kind", "dtype"),
    [
        ("void x::combineKernel<float, __nv_bfloat16, 10ul>(float*)", "all_to_all", None),
        ("void x::reduce_kernel(float, half)", "all_reduce", None),
        ("void x::reduce_kernel<Wide<half>, half>(float, float)", "all_reduce", "fp16"),
        ("void x::reduce_kernel<float4, 2>(float*)", "all_reduce", None),
        ("ncclSymkDevKernel_AllReduce_AGxLL_R_sum_bf16(Args)", "all_gather", None),
        ("ncclDevKernel_AllReduce_Sum_u8_RING_LL(Args)", "all_reduce", "uint8"),
    ],
)
def test_types_in_names(name: str, kind: str, dtype: str | None) -> None:
    """Only template arguments of one type, or a reduction's own, give the type; parameters and vectors do not."""
    assert words.dtype_in_name(name, name.partition("(")[0], kind) == dtype


@pytest.mark.parametrize(
    ("name", "half"),
    [
        ("EpDispatchLowLatencyAsyncSend_bf16", ("EpDispatchLowLatencyAsync", "send")),
        ("EpDispatchLowLatencyAsyncRecv_bf16", ("EpDispatchLowLatencyAsync", "recv")),
        ("EpDispatchLowLatencyAsyncSendCopySlotAssign_bf16", ("EpDispatchLowLatencyAsync", "send")),
        ("void pplx::dispatchKernel<10u, true, false>(int*)", ("pplx::dispatchKernel", "send")),
        ("void pplx::combineKernel<float, half, 10ul, false, true>(int*)", ("pplx::combineKernel", "recv")),
        ("void pplx::dispatchKernel<10u, true, true>(int*)", None),
        ("void deep_ep::internode_ll::dispatch<true, false, 7168>(void*)", None),
        ("void mori::moe::EpDispatchIntraNodeKernel<half>(int)", None),
    ],
)
def test_halves(name: str, half: tuple[str, str] | None) -> None:
    """Names that say that a kernel only sends or only receives, and those that say neither."""
    path = name.removeprefix("void ").partition("<")[0].partition("(")[0]
    assert words.half_of(name, path) == half
