"""The words of communication: kinds of collective, what sources call them, libraries, types and their sizes."""

from __future__ import annotations

import functools
import re
from typing import Final

KINDS: Final = (
    "all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast", "reduce", "gather", "scatter",
    "send_recv", "unknown",
)  # fmt: skip
UNKNOWN: Final = "unknown"
KIND_OF_ROLE: Final = {
    "all-reduce": "all_reduce",
    "all-gather": "all_gather",
    "reduce-scatter": "reduce_scatter",
    "all-to-all": "all_to_all",
    "dispatch": "all_to_all",
    "combine": "all_to_all",
    "broadcast": "broadcast",
    "comm-reduce": "reduce",
    "comm-gather": "gather",
    "comm-scatter": "scatter",
}
SENDS: Final = frozenset({"all_to_all", "send_recv", "gather", "scatter", "all_gather"})
"""Collectives that libraries build of sends and receives, so that a SendRecv kernel does not contradict them."""

_WORDS: Final = (
    ("all_reduce", re.compile(r"allreduce")),
    ("reduce_scatter", re.compile(r"reducescatter")),
    ("all_gather", re.compile(r"allgather")),
    ("all_to_all", re.compile(r"alltoall|all2all")),
)
_PLAIN: Final = (
    ("broadcast", re.compile(r"broadcast\w*")),
    ("reduce", re.compile(r"reduce")),
    ("gather", re.compile(r"gatherv?")),
    ("scatter", re.compile(r"scatterv?")),
    ("send_recv", re.compile(r"i?send|i?recv(anysource)?|receive|sendrecv|pointtopoint|batchisendirecv")),
)
_OF_LIBRARY: Final = re.compile(r"(?:nccl|rccl|gloo|mpi|ucc|hccl|xccl|oneccl|mccl)[:.](\w+)\Z", re.IGNORECASE)
_OF_FRAMEWORK: Final = re.compile(r"(?:c10d|_c10d_functional|c10d_functional)::(\w+)\Z")
_OF_EXTENSION: Final = re.compile(r"(?!aten::|autograd|torch::|prim::)[A-Za-z]\w*::(\w+)\Z")


@functools.lru_cache(256)
def kind_of_word(word: str) -> str:
    """The kind that a library calls by this word (`_allgather_base`, `alltoallv`), `unknown` if none."""
    plain = word.lower().replace("_", "").removesuffix("coalesced")
    for kind, pattern in _WORDS:
        if pattern.search(plain):
            return kind
    return next((kind for kind, pattern in _PLAIN if pattern.fullmatch(plain)), UNKNOWN)


def is_coalesced(word: str) -> bool:
    """Whether a call of this name joins several operations in one (`allgather_into_tensor_coalesced_`)."""
    return word.lower().rstrip("_").endswith("coalesced")


def kind_of_operator(name: str) -> str:
    """The kind of collective that a host operator or range starts, `unknown` if it starts none.

    `nccl:all_reduce` and `c10d::broadcast_` may be any kind; an extension's operator (`symm_mem::…`,
    `vllm::all_reduce`) only those whose words mean nothing else, since `x::gather` may be no communication.
    """
    found = _OF_LIBRARY.match(name) or _OF_FRAMEWORK.match(name)
    if found:
        return kind_of_word(found[1])
    found = _OF_EXTENSION.match(name)
    if found is None:
        return UNKNOWN
    plain = found[1].lower().replace("_", "")
    return next((kind for kind, pattern in _WORDS if pattern.search(plain)), UNKNOWN)


def kind_of_kernel(role: str, name: str) -> str:
    """The kind that a kernel's role and name say. A bare SendRecv may be an all-to-all, so it says nothing."""
    if role == "send-recv":
        return "send_recv" if re.search(r"hcom_(send|receive|batchSendRecv)", name, re.IGNORECASE) else UNKNOWN
    if role == "comm-fused":
        plain = name.lower().replace("_", "")
        return next((kind for kind, pattern in _WORDS if pattern.search(plain)), _fused_kind(name))
    return KIND_OF_ROLE.get(role, UNKNOWN)


def _fused_kind(name: str) -> str:
    return "all_reduce" if re.search(r"(^|_)ar_", name, re.IGNORECASE) else UNKNOWN


def starts_data(name: str) -> bool:
    """Whether an operator's first input is what the collective moves (for `c10d::alltoall_base_` it is the output)."""
    if _OF_LIBRARY.match(name) or name == "record_param_comms":
        return True
    if _OF_FRAMEWORK.match(name):
        return kind_of_operator(name) in ("all_reduce", "broadcast", "reduce")
    return kind_of_operator(name) != UNKNOWN


_LIBRARIES: Final = (
    (
        "hccl",
        re.compile(r"^hcom_|^hccl|^MoeDistribute(Dispatch|Combine)|^(MatmulAllReduce|AllGatherMatmul)|^MatmulReduceS"),
    ),
    ("nccl", re.compile(r"^nccl", re.IGNORECASE)),
    ("rccl", re.compile(r"^rccl", re.IGNORECASE)),
    ("msccl", re.compile(r"^msccl(?!pp)")),
    ("gloo", re.compile(r"^gloo", re.IGNORECASE)),
    ("oneccl", re.compile(r"^(oneccl|xccl)|(^|::)ccl::", re.IGNORECASE)),
    ("ucc", re.compile(r"^ucc[:_]")),
    ("mpi", re.compile(r"^mpi[:_]", re.IGNORECASE)),
    ("mori", re.compile(r"(^|::)mori::|(^|::)Ep(Dispatch|Combine)")),
    ("mooncake", re.compile(r"mooncake")),
    ("pplx", re.compile(r"(^|::)pplx")),
    ("deep_ep", re.compile(r"deep_ep|dpsk::ep|internode|intranode|(^|::)(\w+_)?ep::")),
    ("nvshmem", re.compile(r"nvshmem")),
    ("mscclpp", re.compile(r"mscclpp", re.IGNORECASE)),
    ("transformer_engine", re.compile(r"transformer_engine|userbuffers")),
    ("flashinfer", re.compile(r"flashinfer")),
    ("quickreduce", re.compile(r"quickreduce|quick_reduce|allreduce_prototype", re.IGNORECASE)),
    ("aiter", re.compile(r"aiter")),
    ("trtllm", re.compile(r"tensorrt_llm|trtllm|moeA2A|(one|two)ShotAllReduce|allreduce_fusion_kernel", re.IGNORECASE)),
    ("symm_mem", re.compile(r"symm_mem|symmetric_memory|multimem|(one|two)_shot")),
    ("custom_ar", re.compile(r"cross_device_reduce|custom_ar")),
)
LIBRARIES: Final = tuple(name for name, _ in _LIBRARIES)


@functools.lru_cache(4096)
def library_of(path: str, operator: str, vendor: str) -> str:
    """The library of a kernel by its path, else by the operator that started it; `unknown` if neither says.

    RCCL keeps NCCL's kernel names, so on AMD devices these are RCCL's.
    """
    for text in (path, operator):
        for name, pattern in _LIBRARIES:
            if text and pattern.search(text):
                return "rccl" if name == "nccl" and vendor in ("amd", "rocm") else name
    return UNKNOWN


_ALGORITHM: Final = re.compile(r"_(RING|TREE|NVLSTREE|NVLS_TREE|NVLS|COLLNET_DIRECT|COLLNET_CHAIN|COLLNET|PAT)(?:_|\Z)")
_PROTOCOL: Final = re.compile(r"_(?:AGx)?(LL128|LL|SIMPLE)(?:MC)?(?:_|\Z)")
_SHOTS: Final = (
    ("one_shot", re.compile(r"_AGxLL(MC)?_R(_|\Z)|Lamport1Shot")),
    ("two_shot", re.compile(r"_RSx\w*_AGx|Lamport2Shot")),
    ("multimem", re.compile(r"multimem|^ncclSymk?Dev\w*_(LLMC|LDMC|STMC)(_|\Z)")),
    ("one_shot", re.compile(r"one_?shot|_1stage", re.IGNORECASE)),
    ("two_shot", re.compile(r"two_?shot|_2stage", re.IGNORECASE)),
    ("low_latency", re.compile(r"internode_ll|low_?latency|(dispatch|combine)_ll\b", re.IGNORECASE)),
)


@functools.lru_cache(4096)
def algorithm_of(path: str) -> str | None:
    """The algorithm that a kernel's path names: `ring`, `tree`, `one_shot`, `multimem`, …

    `two_shot` is a reduce-scatter and an all-gather inside one kernel, also where NCCL spells it `RSxLD_AGxST`.
    """
    found = _ALGORITHM.search(path)
    if found:
        return found[1].lower()
    return next((name for name, pattern in _SHOTS if pattern.search(path)), None)


@functools.lru_cache(4096)
def protocol_of(path: str) -> str | None:
    """The protocol that a kernel's path names: `LL`, `LL128`, `SIMPLE` or `lamport`."""
    found = _PROTOCOL.search(path)
    return found[1] if found else "lamport" if "lamport" in path.lower() else None


_HALF: Final = re.compile(r"(Send|Recv)(?:Copy|Transfer|Wait|Kernel|_|\Z)")
_HALF_FLAGS: Final = re.compile(r"(?:dispatch|combine)Kernel<[^<>]*\b(true|false), *(true|false)>")


@functools.lru_cache(4096)
def half_of(name: str, path: str) -> tuple[str, str] | None:
    """What a kernel that only sends or only receives is called before that word, and which half it is; else None.

    >>> half_of("EpDispatchLowLatencyAsyncSend_bf16", "EpDispatchLowLatencyAsyncSend_bf16")
    ('EpDispatchLowLatencyAsync', 'send')
    """
    found = _HALF_FLAGS.search(name)
    if found:
        half = {("true", "false"): "send", ("false", "true"): "recv"}.get((found[1], found[2]))
        return (path, half) if half else None
    found = _HALF.search(path)
    return (path[: found.start(1)], found[1].lower()) if found else None


HCCL: Final = re.compile(r"(?<=[a-zA-Z])_+(\d+)_(\d+)(?:_\d+)?\Z")
"""Group, sequence number and a further number at the end of HCCL's names."""


def hccl_group(name: str) -> tuple[str, int] | None:
    """Group and sequence number of an HCCL name such as `hcom_allReduce__271_1_1`."""
    found = HCCL.search(name) if name.startswith("hcom_") else None
    return (found[1], int(found[2])) if found else None


SIZES: Final = {
    "bf16": 2, "fp16": 2, "fp32": 4, "fp64": 8, "fp8": 1, "int8": 1, "uint8": 1, "bool": 1, "int16": 2, "int32": 4,
    "int64": 8,
}  # fmt: skip
_TYPES: Final = {
    "bfloat16": "bf16", "bf16": "bf16", "half": "fp16", "float16": "fp16", "fp16": "fp16", "float": "fp32",
    "float32": "fp32", "fp32": "fp32", "double": "fp64", "float64": "fp64", "fp64": "fp64", "char": "int8",
    "signed char": "int8", "int8": "int8", "int8_t": "int8", "byte": "uint8", "unsigned char": "uint8",
    "uint8": "uint8", "bool": "bool", "short": "int16", "int16": "int16", "int": "int32", "int32": "int32",
    "long": "int64", "long int": "int64", "long long": "int64", "int64": "int64",
}  # fmt: skip


def dtype_of(text: object) -> str | None:
    """The short name of an element type as sources spell it (`BFloat16`, `c10::Half`, `long int`), None if unknown."""
    if not isinstance(text, str):
        return None
    word = text.removeprefix("c10::").strip().lower()
    return "fp8" if word.startswith("float8") else _TYPES.get(word)


_NAMED: Final = re.compile(
    r"(?<=[<,])\s*(c10::BFloat16|__nv_bfloat16|__hip_bfloat16|hip_bfloat16|half|__half|c10::Half|sycl::half|float|double)"
    r"\s*(?=[,>])"
)
_PREFIXES: Final = ("__nv_", "__hip_", "hip_", "__", "c10::", "sycl::")
_REDUCED: Final = re.compile(
    r"_(?:Sum|Prod|Min|Max|Avg|MinMax|SumPostDiv|PreMulSum|sum|avg)_([a-z0-9]+(?:_t)?)(?:_|\Z)"
)
_SHORT: Final = {
    "f8e4m3": "float8", "f8e5m2": "float8", "f16": "half", "f32": "float", "f64": "double", "i8": "int8", "u8": "uint8",
    "i32": "int", "i64": "long",
}  # fmt: skip


def dtype_in_name(name: str, path: str, kind: str) -> str | None:
    """The element type that a kernel's name gives: a template argument, or NCCL's own for reductions.

    Template arguments of two types say nothing, and neither do parameters, whose types are those of pointers and
    counts. NCCL moves without reducing in one compiled type whatever the tensors are, so there its name says nothing.
    """
    parameters = name.rfind(">(")
    arguments = name[: parameters + 1] if parameters >= 0 else name
    named = {dtype_of(_plain(word)) for word in _NAMED.findall(arguments)}
    if named:
        return named.pop() if len(named) == 1 else None
    found = _REDUCED.search(path)
    if found is None or kind not in ("all_reduce", "reduce_scatter", "reduce"):
        return None
    return dtype_of(_SHORT.get(found[1], found[1]))


def _plain(word: str) -> str:
    return next((word.removeprefix(prefix) for prefix in _PREFIXES if word.startswith(prefix)), word)
