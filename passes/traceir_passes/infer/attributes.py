"""Attributes that a kernel's name states: library, architecture, element type, tile, split of K, algorithm, sizes.

Each family of names has its reader, which knows where that family writes what. Nothing is told that a name does not
write: a tile that is chosen at run time, or the type of bytes, stays empty.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Callable
from importlib import resources
from typing import Final

import attrs

from traceir_passes.infer.names import KernelName, parse
from traceir_passes.infer.products import PRODUCTS
from traceir_passes.infer.stated import Stated
from traceir_passes.infer.templates import ELEMENTS, arguments, element, first_element, signature, sizes

_CHIPS: Final = re.compile(r"(?:^|_)(maxwell|pascal|volta|turing|ampere|ada|hopper|blackwell)_")
_SM: Final = re.compile(r"(?:^|_)sm_?(\d{2,3}[af]?)(?=_|$)|arch::Sm(\d{2,3}\w?)|^fmhaSm(\d{2,3}[af]?)Kernel")
_GFX: Final = re.compile(r"(?:^|_)(gfx\d{3,4}[a-f]?)(?=_|$)|target_arch\)(\d{3,4})|_ISA(\d{2,4}[a-f]?)(?=_|$)")
_ALGORITHM: Final = re.compile(r"_(NVLS_TREE|NVLS|RING|TREE|COLLNET_DIRECT|COLLNET_CHAIN|COLLNET|PAT)_")
_PROTOCOL: Final = re.compile(r"_(LL128|LL|SIMPLE|Simple)(?=_|$)")
_REDUCED: Final = re.compile(
    r"(?:_(?:RING|TREE)_(?:LL128|LL|SIMPLE))?_(?:Sum|Prod|MinMax|Max|Min|Avg|PreMulSum|SumPostDiv|sum)_"
    r"(\w+?)(?=_RING|_TREE|_NVLS|_COLLNET|_PAT|_LL|_SIMPLE|_Simple|_\d|$)"
)
_SYMMETRIC: Final = re.compile(
    r"nccl(?:Symk|Sym)(?:Dev)?Kernel_\w+?_(AGxLL\w*?_R|RSx\w+?_AGx\w+?|LL\w*|LD\w*|ST\w*)(?=_sum|$)"
)
_SHOTS: Final = (
    ("one_shot", re.compile(r"one_?shot|_1stage", re.IGNORECASE)),
    ("two_shot", re.compile(r"two_?shot|_2stage", re.IGNORECASE)),
    ("multimem", re.compile(r"multimem")),
)
_FUNCTOR: Final = re.compile(
    r"\w*(?:Functor|UnaryOp|BinaryOp)\w*\s*<\s*([\w: ]+?)\s*[,>]"
    r"|lambda\((?!int\))(?:bool, )?([\w: ]+?)(?: const)?[&*]?\s*[,)]"
    r"|Ul(f|d|l|b|N3c104HalfE|N3c108BFloat16E)"
)
_MANGLED_TYPES: Final = {"f": "fp32", "d": "fp64", "l": "int64", "b": "bool", "N3c104HalfE": "fp16",
                         "N3c108BFloat16E": "bf16"}  # fmt: skip
_TYPED: Final = frozenset({"aiter", "deep-gemm", "miopen"})
"""Libraries that write the type of what is read as a word of a kernel's name."""
_NARROW: Final = re.compile(r"fp8|fp4|int8|int4|(?<![a-z])[aw][48](?!\d)|(?<![a-z])[fiu]8", re.IGNORECASE)
_CONVERTS: Final = re.compile(r"quant|cast|_to_|convert|copy", re.IGNORECASE)


@attrs.frozen
class Library:
    """A library and the pattern that its names have; `whole` searches template arguments and parameters too."""

    name: str
    vendor: str
    pattern: re.Pattern[str]
    whole: bool
    yes: str
    no: str


@functools.cache
def libraries() -> tuple[Library, ...]:
    """The shipped table, in the order in which it is tried."""
    text = resources.files("traceir_passes.infer").joinpath("libraries.toml").read_text(encoding="utf-8")
    return tuple(
        Library(
            item["name"], item["vendor"], re.compile(item["pattern"]), item.get("where") == "whole",
            item["yes"], item["no"],
        )
        for item in tomllib.loads(text)["library"]
    )  # fmt: skip


def library(name: KernelName) -> str:
    """The library that a name is of, empty where it does not say. O(libraries)."""
    for item in libraries():
        if item.pattern.search(name.whole if item.whole else name.path):
            return item.name
    return ""


def read(text: str) -> Stated:
    """All that a kernel's name states of it. O(length)."""
    name = parse(text)
    said = next((found for reader in _READERS if (found := reader(name)) is not None), Stated())
    origin = library(name)
    dtype = _leaf_type(name.leaf, origin) if said.generic and not said.dtype else said.dtype
    return attrs.evolve(said, dtype=dtype, library=origin, arch=said.arch or _arch(name))


def _arch(name: KernelName) -> str:
    """The architecture: of the kernel's own name before that of its template arguments."""
    for text in (name.leaf, name.whole):
        sm, gfx = _SM.search(text), _GFX.search(text)
        if sm is not None:
            return "sm" + next(group for group in sm.groups() if group)
        if gfx is not None:
            return "gfx" + next(group for group in gfx.groups() if group).removeprefix("gfx")
    chip = _CHIPS.search(name.leaf)
    return chip[1] if chip else ""


def _leaf_type(leaf: str, origin: str) -> str:
    """The type that stands alone among the words of a name whose library writes it there, or at the name's end.

    Elsewhere a type is as often that of the sum, of the output or of a whole family of types. Nor is it told where
    a second one stands beside it (`pertokenFp8`), or where the kernel converts from one to another.
    """
    words = leaf.split("_")
    said = [word for word in words if word in ELEMENTS and word not in ("float", "half", "double")]
    rest = "_".join(word for word in words if word not in said)
    if len(set(said)) != 1 or _CONVERTS.search(leaf) or _NARROW.search(rest):
        return ""
    return ELEMENTS[said[0]] if origin in _TYPED or words[-1] == said[0] else ""


def _collective(name: KernelName) -> Stated | None:
    """Kernels of NCCL and RCCL. Only reductions know their elements: others move bytes, whatever type they name."""
    if not re.match(r"nccl|rccl|msccl", name.leaf):
        return None
    leaf = name.leaf
    symmetric = _SYMMETRIC.match(leaf)
    algorithm, protocol = _ALGORITHM.search(leaf), _PROTOCOL.search(leaf)
    reduced = _REDUCED.search(leaf) if re.search(r"Reduce|^msccl", leaf) else None
    dtype = element(reduced[1]) if reduced else ""
    if symmetric:
        way = symmetric[1]
        shot = "two_shot" if way.startswith("RSx") else "one_shot" if way.startswith("AGx") else ""
        return Stated(dtype=dtype, algorithm=shot, protocol="LL" if "LL" in way else "")
    if "SendRecv" in leaf:  # a kernel that all point-to-point work shares: neither a ring nor a protocol is meant
        return Stated()
    return Stated(
        dtype=dtype,
        algorithm=algorithm[1].lower() if algorithm else "",
        protocol=protocol[1].upper() if protocol else "",
    )


def _all_reduce(name: KernelName) -> Stated | None:
    """All-reduces of serving frameworks, which write the number of shots."""
    if not re.search(r"all_?reduce|cross_device_reduce|quickreduce", name.path, re.IGNORECASE):
        return None
    way = next((way for way, pattern in _SHOTS if pattern.search(name.path)), "")
    return Stated(
        dtype=first_element(arguments(signature(name.whole), re.escape(name.leaf))),
        algorithm=way,
        protocol="LAMPORT" if "lamport" in name.leaf.lower() else "",
    )


def _flash(name: KernelName) -> Stated | None:
    """FlashAttention 2 and 3: head size, tile of queries by keys, and type are the arguments of their traits."""
    text = signature(name.whole)
    way = "split_kv" if "splitkv" in name.leaf.lower() and "combine" not in name.leaf.lower() else ""
    traits = arguments(text, r"Flash_(?:fwd|bwd)_kernel_traits")
    if len(traits) > 3 and all(part.isdigit() for part in traits[:3]):
        return Stated(
            dtype=first_element(traits[3:4] + [part for part in traits[4:] if element(part)]),
            tile=f"{traits[1]}x{traits[2]}", head_size=int(traits[0]), algorithm=way,
        )  # fmt: skip
    loop = arguments(text, r"CollectiveMainloopFwdSm\d+")
    if len(loop) > 4 and len(shape := sizes(loop[2])) == 3:
        return Stated(dtype=element(loop[4]), tile=f"{shape[0]}x{shape[1]}", head_size=shape[2], algorithm=way)
    return None


def _attention(name: KernelName) -> Stated | None:
    """Attention of TensorRT-LLM, vLLM on AMD, Composable Kernel and aiter."""
    text, leaf = signature(name.whole), name.leaf
    found = re.match(r"fmhaSm\w+?Kernel_Qkv?(E4m3|E5m2|Bfloat16|Fp16|E2m1)", leaf)
    if found:
        head, page = re.search(r"H(?:Qk)?(\d+)(?=[A-Z])", leaf), re.search(r"P(\d+)(?=[A-Z]|$)", leaf)
        tile = re.search(r"Q(\d+)Kv(\d+)", leaf)
        kind = "fp16" if found[1] == "Fp16" else element(found[1])
        return Stated(kind, f"{tile[1]}x{tile[2]}" if tile else "", head_size=_int(head), page_size=_int(page))
    own = arguments(text, re.escape(leaf))
    if re.fullmatch(r"paged_attention_ll4mi_QKV\w*", leaf):
        behind = re.search(
            r"Fp8KVCacheDataType\)\d+\s*,\s*(?:[A-Za-z_][\w:]*\s*,\s*)?(\d+)\s*,\s*(\d+)\s*,\s*\d+", text
        )
        return Stated(
            first_element(own),
            head_size=int(behind[2]) if behind else None,
            page_size=int(behind[1]) if behind else None,
        )
    if leaf == "paged_attention_ll4mi_reduce_kernel" and len(own) > 2 and own[2].isdigit():
        return Stated(first_element(own), head_size=int(own[2]))
    if re.fullmatch(r"paged_attention_v[12]_kernel", leaf) and len(own) > 3 and own[2].isdigit() and own[3].isdigit():
        return Stated(first_element(own), head_size=int(own[2]), page_size=int(own[3]))
    shape = sizes(text[at:]) if (at := text.find("TileFmhaShape")) >= 0 else []
    if len(shape) > 1:
        return Stated(first_element(own), f"{shape[0]}x{shape[1]}")
    found = re.match(r"fmha_cutlass[FB]_(bf16|f16|f32)_(?:not)?aligned_(\d+x\d+)(?=_)", leaf)
    if found:
        return Stated(element(found[1]), found[2])
    found = re.match(r"(?:fmha_(?:fwd|bwd)|flash_attn)\w*?_hd(\d+)\w*?_(bf16|fp16|fp8)(?=_|$)", leaf)
    return Stated(element(found[2]), head_size=int(found[1])) if found else None


def _int(found: re.Match[str] | None) -> int | None:
    return int(found[1]) if found else None


def _functors(name: KernelName) -> Stated | None:
    """PyTorch's kernels that run a typed functor over elements; nothing where types are known at run time only.

    A lambda of one int is as often the loop around the functor, so that it tells nothing.
    """
    if not re.fullmatch(r"(\w*_)?elementwise_kernel\w*|multi_tensor_apply_kernel|reduce_kernel", name.leaf):
        return None
    if name.leaf == "reduce_kernel":
        own = arguments(signature(name.whole), "ReduceOp")
        return Stated(element(own[0], whole=True) if own else "")
    inner = name.whole.partition(name.leaf)[2]
    if name.whole.startswith("_Z"):  # functors are read of what is written out, lambdas of what is not
        inner = signature(name.whole).partition(name.leaf)[2] + inner
    if re.search(r"LoadWithCast|gpu_kernel_impl\s*(?:<|I)|OpaqueType|CopyFunctor", inner):
        return Stated()
    found = _FUNCTOR.search(inner)
    if found is None:
        return Stated()
    if found[3]:
        return Stated(_MANGLED_TYPES[found[3]])
    return Stated(element(found[1] or found[2], whole=True))


def _templates(name: KernelName) -> Stated | None:
    """Any other kernel: the first element type in its template arguments, unless what it reads is plainly bytes."""
    own = arguments(signature(name.whole), re.escape(name.leaf)) if name.leaf else []
    if name.leaf and re.search(r"cublas", name.whole):  # whose first argument is the type of an index
        own = [part for part in own if part != "int"]
    read_first = re.search(
        r"\(.*?([\w:]+(?: \w+)?) const ?\*", name.whole.rpartition(name.leaf + "<")[2].rpartition(">")[2]
    )
    if read_first and read_first[1] in ("unsigned char", "uint8_t", "char"):
        own = []
    way = next((way for way, pattern in _WAYS if pattern.search(name.path)), "")
    return Stated(first_element(own), algorithm=way, generic=True)


_WAYS: Final = (
    ("implicit_gemm", re.compile(r"implicit_gemm|^igemm_", re.IGNORECASE)),
    ("winograd", re.compile(r"winograd", re.IGNORECASE)),
    ("fft", re.compile(r"^fft2d|_fft_|fft_conv", re.IGNORECASE)),
    ("split_kv", re.compile(r"splitkv(?!\w*combine)|_stage1$", re.IGNORECASE)),
)
_READERS: Final[tuple[Callable[[KernelName], Stated | None], ...]] = (
    *PRODUCTS, _collective, _all_reduce, _flash, _attention, _functors, _templates,
)  # fmt: skip
