"""The kernels of a decoder by vendor: what each is called, how long it takes, and which host ops launch it."""

from __future__ import annotations

from typing import Literal

import attrs

from traceir.synth.options import Decoder, Vendor

Kind = Literal["compute", "comm", "memory"]


@attrs.frozen
class Op:
    """One device operation: its truth (label, role, class), its names, and the host ops around its launch."""

    label: str
    role: str
    kernel: str
    ns: int
    host: tuple[str, ...] = ()
    """Nested host ops, outermost first; the innermost makes the runtime call."""
    asides: tuple[str, ...] = ()
    """Host ops inside the outermost one that launch nothing."""
    dims: tuple[tuple[int, ...], ...] = ()
    call: str = "cudaLaunchKernel"
    kind: Kind = "compute"
    collective: str = ""
    """The name that the communication metadata gives it; empty where it is not a collective."""
    elements: int = 0
    copied: int = 0
    """Bytes of a copy."""
    scales: bool = True
    """Whether the duration grows with the number of tokens (gemms of a decode step are bound by weights)."""


_BF16 = "c10::BFloat16"
_CIJK = (
    "Cijk_Alik_Bljk_BBS_BH_Bias_HA_S_SAV_UserArgs_{}_MI16x16x1_SN_LDSB1_AFC1_AFEM1_AFEM1_ASEM1_CLR1_CADS0_DTLA0_DTLB0_"
    "DTVA0_DTVB0_EPS0_FDSI0_GRPM1_GRVWA8_GRVWB8_GSUAMBSK_GLS0_ISA942_IU1_K1_LDSTI0_LRVW8_LWPMn1_MIAV0_MIWT4_2_MO40"
)
_GATHER = "void at::native::vectorized_gather_kernel<16, long>(char*, char*, long*, int, long, long, long, long, bool)"
_ROPE = (
    f"void vllm::rotary_embedding_kernel<{_BF16}, true>(long const*, {_BF16}*, {_BF16}*, {_BF16} const*, int, long, "
    "long, long, int, int, int)"
)
_ARGMAX = (
    "void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float, at::native::ArgMaxOps<float>, unsigned int, "
    "long, 4, 4> >(at::native::ReduceOp<float, at::native::ArgMaxOps<float>, unsigned int, long, 4, 4>)"
)

_NVIDIA = {
    "embed": _GATHER,
    "norm": f"void vllm::rms_norm_kernel<{_BF16}, 8, 2>({_BF16}*, {_BF16} const*, long, long, long, float, int, int)",
    "add_norm": (
        f"std::enable_if<(((8)>(0)))&&vllm::_typeConvert<{_BF16}>::exists, void>::type "
        f"vllm::fused_add_rms_norm_kernel<{_BF16}, 8>({_BF16}*, long, {_BF16}*, {_BF16} const*, float, int, int)"
    ),
    "qkv": "nvjet_tst_64x64_64x16_2x1_2cta_v_bz_TNT",
    "rope": _ROPE,
    "kv": (
        "void vllm::reshape_and_cache_flash_kernel<__nv_bfloat16, __nv_bfloat16, (vllm::Fp8KVCacheDataType)0>"
        "(__nv_bfloat16 const*, __nv_bfloat16 const*, __nv_bfloat16*, __nv_bfloat16*, long const*, long, long, int)"
    ),
    "attention": (
        "void flash::flash_fwd_splitkv_kernel<Flash_fwd_kernel_traits<128, 64, 128, 4, false, false, "
        "cutlass::bfloat16_t>, true, false, false, true, true, false, true, false>(flash::Flash_fwd_params)"
    ),
    "attention_aux": (
        "void flash::flash_fwd_splitkv_combine_kernel<Flash_fwd_kernel_traits<128, 64, 128, 4, false, false, "
        "cutlass::bfloat16_t>, 4, 3, true>(flash::Flash_fwd_params)"
    ),
    "o": "nvjet_tst_144x128_64x6_2x1_v_bz_TNN",
    "gate_up": "nvjet_tst_192x8_64x8_4x1_v_bz_TNT",
    "act": (
        f"void vllm::act_and_mul_kernel<{_BF16}, &({_BF16} vllm::silu_kernel<{_BF16}>({_BF16} const&)), true>"
        f"({_BF16}*, {_BF16} const*, int)"
    ),
    "down": "nvjet_tst_64x16_64x16_2x4_2cta_h_bz_TNT",
    "router": "nvjet_tst_32x64_64x16_1x4_h_bz_splitK_TNT",
    "route": (
        "void vllm::moe::topkGatingSoftmax<8, 128, 4, 16, 32, int>(float const*, bool const*, float*, int, int*, int*, "
        "int, int, int, bool)"
    ),
    "lm_head": "nvjet_tst_192x192_64x4_2x1_v_bz_coopB_TNT",
    "argmax": _ARGMAX,
    "nccl_ar": "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)",
    "nccl_ag": "ncclDevKernel_AllGather_RING_LL(ncclDevKernelArgsStorage<4096ul>)",
    "custom_ar": (
        "void vllm::cross_device_reduce_1stage<__nv_bfloat16, 8>(vllm::RankData*, vllm::RankSignals, vllm::Signal*, "
        "__nv_bfloat16*, int, int)"
    ),
}
_AMD = _NVIDIA | {
    "norm": "_ZN5aiter24add_rmsnorm_quant_kernelIDF16bDF16bLi256ELi16ELb0ELb0ELb1ELi1EEEvPT0_PT_PfS4_S4_S4_diiiiiiib",
    "add_norm": (
        "_ZN5aiter24add_rmsnorm_quant_kernelIDF16bDF16bLi256ELi16ELb1ELb0ELb1ELi1EEEvPT0_PT_PfS4_S4_S4_diiiiiiib"
    ),
    "qkv": _CIJK.format("MT64x32x256"),
    "kv": (
        "void vllm::reshape_and_cache_flash_kernel<__hip_bfloat16, __hip_bfloat16, (vllm::Fp8KVCacheDataType)0>"
        "(__hip_bfloat16 const*, __hip_bfloat16 const*, __hip_bfloat16*, __hip_bfloat16*, long const*, long, long, int)"
    ),
    "attention": (
        "void paged_attention_ll4mi_QKV_mfma16_kernel<0, __hip_bfloat16, __hip_bfloat16, (vllm::Fp8KVCacheDataType)0, "
        "1, 128, 256, false, 4, 1, ck_tile::ComposedAttention<0u, false> >(__hip_bfloat16 const*, __hip_bfloat16 "
        "const*, __hip_bfloat16 const*, float, int const*, int const*)"
    ),
    "attention_aux": (
        "void paged_attention_ll4mi_reduce_kernel<__hip_bfloat16, __hip_bfloat16, 128, 128, 256, 3, false>"
        "(__hip_bfloat16*, float const*, float const*, __hip_bfloat16 const*, int const*, int const*, int, int)"
    ),
    "o": _CIJK.format("MT16x32x512"),
    "gate_up": _CIJK.format("MT256x32x64"),
    "act": (
        "_ZN7sgl_hip10activation18act_and_mul_kernelI14__hip_bfloat16TnPFT_RKS3_EXadL_Z4siluIS2_ES3_S5_EEEEvPS3_PS4_i"
    ),
    "down": _CIJK.format("MT32x32x256"),
    "router": _CIJK.format("MT32x64x128"),
    "lm_head": _CIJK.format("MT256x48x64"),
    "nccl_ar": "ncclDevKernel_Generic_1(ncclDevKernelArgsStorage<4096ul>)",
    "nccl_ag": "ncclDevKernel_Generic_1(ncclDevKernelArgsStorage<4096ul>)",
    "custom_ar": (
        "void vllm::cross_device_reduce_1stage<__hip_bfloat16, 8>(vllm::RankData*, vllm::RankSignals, vllm::Signal*, "
        "__hip_bfloat16*, int, int)"
    ),
}
_MULTIMEM = (
    f"void (anonymous namespace)::multimem_all_reduce_kernel<{_BF16}, 16>({_BF16}*, unsigned long, unsigned int**, "
    "unsigned long, unsigned long)"
)
_MOE_SUM = f"void vllm::moe::moe_sum_kernel<{_BF16}, 8>({_BF16}*, {_BF16} const*, int)"
_HIDDEN, _QKV, _INNER, _VOCAB, _EXPERTS = 4096, 6144, 24576, 151936, 128
_LINEAR = ("aten::t", "aten::transpose", "aten::as_strided")


@attrs.frozen
class Vocabulary:
    """The ops of one vendor's decoder for steps of `tokens` tokens."""

    options: Decoder
    tokens: int

    @property
    def names(self) -> dict[str, str]:
        """Kernel names by the generator's own keys."""
        table: dict[Vendor, dict[str, str]] = {"nvidia": _NVIDIA, "amd": _AMD}
        return table[self.options.vendor]

    def _call(self, gemm: bool = False) -> str:
        if self.options.vendor == "amd":
            return "hipExtModuleLaunchKernel" if gemm else "hipLaunchKernel"
        return "cuLaunchKernelEx" if gemm else "cudaLaunchKernel"

    def gemm(self, label: str, key: str, ns: int, k: int, n: int) -> Op:
        """A linear layer: tokens × k times k × n."""
        host = ("aten::linear", "aten::mm")
        dims = ((self.tokens, k), (k, n))
        return Op(label, "gemm", self.names[key], ns, host, _LINEAR, dims, self._call(gemm=True))

    def small(self, label: str, role: str, key: str, ns: int, host: str, width: int) -> Op:
        """An op of one custom kernel over tokens × width values."""
        dims = ((self.tokens, width), (self.tokens, width), (width,), ())
        return Op(label, role, self.names[key], ns, (host,), (), dims, self._call())

    def embed(self) -> Op:
        """The token embedding."""
        dims = ((_VOCAB // self.options.tensor_parallel, _HIDDEN), (self.tokens,), (), (), ())
        asides = ("aten::reshape", "aten::view")
        name = self.names["embed"]
        return Op("embed", "embed", name, 13_500, ("aten::embedding", "aten::index_select"), asides, dims, self._call())

    def norm(self, label: str, *, residual: bool) -> Op:
        """An RMS norm, fused with the residual's addition where there is one."""
        key, host = ("add_norm", "_C::fused_add_rms_norm") if residual else ("norm", "_C::rms_norm")
        return self.small(label, "norm", key, 4_800, host, _HIDDEN)

    def attention_block(self) -> list[Op]:
        """The ops of an attention block from the projection to the output projection."""
        tp = self.options.tensor_parallel
        ops = [self.gemm("qkv_proj", "qkv", 21_200, _HIDDEN, max(_QKV // tp, 128))]
        if self.options.qk_norm:
            ops += [self.small("qk_norm", "norm", "norm", ns, "_C::rms_norm", 128) for ns in (5_400, 5_300)]
        dims = ((self.tokens, _HIDDEN // tp if tp <= 32 else 128),) * 3
        ops += [
            self.small("rope", "rope", "rope", 5_300, "_C::rotary_embedding", 128),
            self.small("kv_store", "kv-store", "kv", 4_700, "_C_cache_ops::reshape_and_cache_flash", 128),
        ]
        host = ("vllm::unified_attention_with_output", "_vllm_fa2_C::varlen_fwd")
        core = self.names["attention"]
        ops.append(Op("attention", "attention", core, 53_000, host, ("aten::view",), dims, self._call()))
        aux = Op("attention", "attention-aux", self.names["attention_aux"], 5_900, host, (), dims, self._call())
        return [*ops, aux, self.gemm("o_proj", "o", 16_900, _HIDDEN // tp or 1, _HIDDEN)]

    def mlp_block(self) -> list[Op]:
        """The ops of a dense second block."""
        inner = max(_INNER // self.options.tensor_parallel, 1)
        act = self.small("activation", "act", "act", 8_900, "_C::silu_and_mul", inner)
        down = self.gemm("down_proj", "down", 40_900, inner, _HIDDEN)
        return [self.gemm("gate_up_proj", "gate_up", 66_600, _HIDDEN, inner), act, down]

    def moe_block(self) -> list[Op]:
        """The ops of a mixture of experts: router, routing, two grouped gemms with the activation between, combine."""
        host = ("vllm::moe_forward", "vllm::fused_experts")
        dims = ((self.tokens, _HIDDEN), (_EXPERTS, _INNER // 8, _HIDDEN))
        call = "hipModuleLaunchKernel" if self.options.vendor == "amd" else "cuLaunchKernel"

        def own(label: str, role: str, name: str, ns: int) -> Op:
            return Op(label, role, name, ns, host, ("aten::empty",), dims, call)

        return [
            self.gemm("router", "router", 6_500, _HIDDEN, _EXPERTS),
            self.small("route", "moe-route", "route", 4_700, "_moe_C::topk_softmax", _EXPERTS),
            own("gate_up_proj", "moe-gemm", "fused_moe_kernel", 101_000),
            self.small("activation", "act", "act", 6_100, "_C::silu_and_mul", _INNER // 8),
            own("down_proj", "moe-gemm", "fused_moe_kernel", 62_000),
            own("moe_combine", "moe-combine", _MOE_SUM, 7_500),
        ]

    def lm_head(self) -> Op:
        """The projection onto the vocabulary."""
        return self.gemm("lm_head", "lm_head", 390_000, _HIDDEN, _VOCAB // self.options.tensor_parallel)

    def sample(self) -> Op:
        """Greedy sampling."""
        dims = ((self.tokens, _VOCAB), (), (), ())
        name, call = self.names["argmax"], self._call()
        return Op("sample", "sample", name, 18_000, ("aten::argmax",), (), dims, call, scales=False)

    def all_reduce(self, ns: int) -> Op:
        """The sum of the ranks' partial results."""
        elements = self.tokens * _HIDDEN
        by = self.options.all_reduce
        if by == "nccl":
            name, host = self.names["nccl_ar"], ("c10d::allreduce_", "record_param_comms")
        elif by == "custom":
            name, host = self.names["custom_ar"], ("vllm::all_reduce", "_C_custom_ar::all_reduce")
        else:
            name, host = _MULTIMEM, ("vllm::all_reduce", "symm_mem::multimem_all_reduce_")
        dims = ((elements,), (), ())
        collective = "allreduce" if by == "nccl" else ""
        return Op("all_reduce", "all-reduce", name, ns, host, (), dims, self._comm_call(), "comm", collective, elements)

    def all_gather(self) -> Op:
        """The logits of all ranks."""
        elements = self.tokens * _VOCAB // self.options.tensor_parallel
        host = ("c10d::_allgather_base_", "record_param_comms")
        dims = ((self.tokens, _VOCAB // self.options.tensor_parallel), (), (), ())
        name = self.names["nccl_ag"]
        return Op(
            "all_gather", "all-gather", name, 21_900, host, (), dims, self._comm_call(), "comm",
            "_allgather_base", elements, scales=False,
        )  # fmt: skip

    def _comm_call(self) -> str:
        return "hipExtLaunchKernel" if self.options.vendor == "amd" else "cudaLaunchKernelExC"

    def copy_in(self) -> Op:
        """The step's input tokens, copied to the device."""
        amd = self.options.vendor == "amd"
        name = "Memcpy HtoD (Host -> Device)" if amd else "Memcpy HtoD (Pinned -> Device)"
        call = "hipMemcpyAsync" if amd else "cudaMemcpyAsync"
        dims = ((self.tokens,), (self.tokens,), ())
        return Op(
            "copy_in", "memcpy", name, 1_600, ("aten::to", "aten::_to_copy", "aten::copy_"), ("aten::empty_strided",),
            dims, call, "memory", copied=8 * self.tokens, scales=False,
        )  # fmt: skip

    def copy_out(self) -> Op:
        """The sampled tokens, copied to the host; with `sync` the host waits for them here."""
        amd, sync = self.options.vendor == "amd", self.options.sync
        name = "Memcpy DtoH (Device -> Host)" if amd else "Memcpy DtoH (Device -> Pinned)"
        call = ("hipMemcpyWithStream" if sync else "hipMemcpyAsync") if amd else "cudaMemcpyAsync"
        dims = ((self.tokens,), (self.tokens,), ())
        return Op(
            "copy_out", "memcpy", name, 2_400, ("aten::to", "aten::_to_copy", "aten::copy_"), ("aten::empty_strided",),
            dims, call, "memory", copied=8 * self.tokens, scales=False,
        )  # fmt: skip
