"""Symbols: a short readable name for each kernel, with library, type and tile where the name gives them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from traceir_passes.infer import attributes, triton
from traceir_passes.infer.names import KernelName, parse
from traceir_passes.infer.stated import Stated

WIDTH: Final = 40
_GENERIC: Final = frozenset({"kernel", "globalkernel", "gemm", "run", "impl", "fwd", "bwd", "main", "operator_call"})
_FUNCTORS: Final = re.compile(
    r"(\w+?)_kernel(?:_cuda|_impl)?\b|(\w+?)_kernel_(?:cuda|impl)\b|launch_(clamp_scalar)|(arange|linspace)_cuda_out"
    r"|::(?:CUDA)?Functor(?:OnSelf|OnOther)?_(\w+)|(?:\b|::)CUDAFunctor(?:OnSelf|OnOther)?_(\w+)"
    r"|(\w+?)(?:CUDA)?KernelImpl\b|(\w+?)Functor\b|(\w+?)Ops\b|(\w+?)_functor\b|(\w+)_cuda_kernel|(\w+)_gpu\("
)
_SHELLS: Final = re.compile(
    r"(?:gpu|index|elementwise|vectorized|unrolled|AUnary|BUnary|Binary|UnaryOp|BinaryOp\w*|Reduce|Opaque)\w*\Z"
)
_SUBJECT: Final = re.compile(r"Kernel\Z|Fwd|Bwd|ReduceSplitK|Convolution|Gemm(?!Shape)|FlashAttn|Fmha")
_COLLECTIVE: Final = re.compile(r"(nccl|rccl)(?:Symk)?(?:Dev)?(?:Kernel)?_?(\w+)", re.IGNORECASE)


def symbol(name: str) -> str:
    """A name of at most 40 characters for people, the same for the same name. O(length)."""
    parsed, stated = parse(name), attributes.read(name)
    for form in _FORMS:
        text = form(parsed, stated)
        if text:
            return _fit(text)
    return _fit(_plain(parsed, stated))


def _fit(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def _join(*words: str) -> str:
    return " ".join(word for word in words if word)


def _tensile(name: KernelName, stated: Stated) -> str:
    return _join("Tensile gemm", stated.dtype, stated.tile) if name.leaf.startswith(("Cijk_", "Custom_Cijk_")) else ""


def _nvjet(name: KernelName, stated: Stated) -> str:
    return _join("nvjet gemm", stated.dtype, stated.tile) if name.leaf.startswith("nvjet_") else ""


def _xmma(name: KernelName, stated: Stated) -> str:
    found = re.match(r"(?:sm\d+_)?xmma_(gemm|fprop|dgrad|wgrad)_", name.leaf)
    return _join("xmma", found[1], stated.dtype, stated.tile) if found else ""


def _cutlass(name: KernelName, stated: Stated) -> str:
    found = re.search(r"cutlass\w*?_(?:tensorop|simt|wmma_tensorop)_\w*?(gemm|fprop|dgrad|wgrad)", name.whole)
    if found is None or not (name.path.startswith("cutlass") or "Kernel" in name.leaf):
        return ""
    return _join("cutlass", found[1], stated.dtype, stated.tile)


def _wrapped(name: KernelName, stated: Stated) -> str:
    if not re.fullmatch(r"device_kernel|kentry|Kernel2?", name.leaf):
        return ""
    library = name.path.partition("::")[0] if "::" in name.path else ""
    inner = name.whole.partition(name.leaf)[2]
    words = _mangled_words(inner) if name.whole.startswith("_Z") else re.findall(r"[A-Za-z]\w*", inner)
    best = next((word for word in words if _SUBJECT.search(word)), "")
    return _join(library, re.sub(r"(?<=\w)Kernel\Z", "", best), stated.dtype) if best else ""


def _mangled_words(text: str) -> list[str]:
    """The length-prefixed words of a mangled text."""
    out = []
    for found in re.finditer(r"\d+", text):
        word = text[found.end() : found.end() + int(found[0])]
        if len(word) == int(found[0]) and word.isidentifier():
            out.append(word)
    return out


def _collective(name: KernelName, _: Stated) -> str:
    found = _COLLECTIVE.match(name.leaf)
    if found is None or not found[2]:
        return ""
    return _join(found[1].lower(), *found[2].replace("int8_t", "int8").split("_"))


def _inductor(name: KernelName, _: Stated) -> str:
    found = triton.operators(name.path)
    return _join(f"triton_{found[0]}", found[1]) if found else ""


def _aten(name: KernelName, stated: Stated) -> str:
    """Kernels that are named by the functor in their template arguments."""
    if not re.fullmatch(r"(\w*_)?elementwise_kernel\w*|reduce_kernel|multi_tensor_apply_kernel", name.leaf):
        return ""
    inner = name.whole.partition(name.leaf)[2]
    inner = re.sub(r"\w*_?elementwise_kernel\w*|gpu_(?:index_)?kernel\w*", "", inner)
    functor = ""
    for found in _FUNCTORS.finditer(inner):
        functor = next(group for group in found.groups() if group)
        if not _SHELLS.match(functor):
            break
    stem = {"reduce_kernel": "reduce", "multi_tensor_apply_kernel": "foreach"}.get(name.leaf, "")
    return _join(stem, _snake(functor), stated.dtype) if functor else ""


def _snake(word: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", word).lower().removesuffix("_internal").strip("_")


def _expert(name: KernelName, _: Stated) -> str:
    """Grouped products of mixtures of experts, whose names list every choice of their generator."""
    found = re.match(r"bmm_\w+?_(\w+?)_Fp32_t(\d+x\d+x\d+)\w*?", name.leaf)
    if found:
        act = re.search(r"_(swiGlu|geGlu)", name.leaf)
        return _join("bmm", found[1], found[2], act[1] if act else "")
    found = re.match(r"_matmul_ogs_\w+?_(\w+x\w+?)_(\d+x\d+x\d+)(?:x\d+)?(?:_(\w+))?\Z", name.leaf)
    return _join("matmul_ogs", found[1], found[3] or "", found[2]) if found else ""


def _remark(name: KernelName, _: Stated) -> str:
    found = re.match(r"(Memcpy \w+|Memset)\b", name.path)
    return found[1] if found else ""


def _plain(name: KernelName, stated: Stated) -> str:
    leaf = re.sub(r"_?[Kk]ernel\Z", "", name.leaf) or name.leaf
    if leaf.lower() in _GENERIC and name.scope:
        leaf = f"{name.scope.rpartition('::')[2]} {leaf}"
    inner = name.whole.partition(name.leaf)[2] if name.leaf else ""
    act = re.search(r"\d*(silu|gelu_tanh|gelu|relu)\b|\d(silu|gelu)", inner) if "act" in leaf else None
    return _join(leaf, (act[1] or act[2]) if act else "", stated.dtype)


_FORMS: Final[tuple[Callable[[KernelName, Stated], str], ...]] = (
    _remark, _tensile, _nvjet, _xmma, _collective, _expert, _cutlass, _inductor, _wrapped, _aten,
)  # fmt: skip
