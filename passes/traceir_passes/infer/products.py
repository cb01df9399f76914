"""Matrix products and convolutions: what their generators write into names."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from traceir_passes.infer.names import KernelName
from traceir_passes.infer.stated import Stated
from traceir_passes.infer.templates import arguments, element, first_element, signature, sizes

_LETTERS: Final = {"s": "fp32", "h": "fp16", "d": "fp64"}
_NVJET: Final = {"t": "bf16", "h": "fp16", "q": "fp8", "o": "fp4"}
_TENSILE: Final = (
    ("fp8", re.compile(r"F8|B8")),
    ("int8", re.compile(r"I8|4xi8")),
    ("bf16", re.compile(r"B")),
    ("fp16", re.compile(r"H")),
    ("fp32", re.compile(r"S")),
    ("fp64", re.compile(r"D")),
)
_WORDS: Final = re.compile(r"(?:^|_)(bf16|tf32|f16|fp16|f32|fp32|f64|s8|u8|int8|e4m3|e5m2|f8)(?=_|$)")
_CUTLASS: Final = re.compile(
    r"cutlass(?P<gen>\d\w*?)?(?:_\w+?)??_(?:(?:sm)?(?P<arch>\d{2,3}[af]?)_)?(?:wmma_|sparse_)?(?:tensorop|simt)_"
    r"(?:\w+?_)?(?P<acc>[hsdciz])(?:\d+x\d+x)?\d*(?:gemm|fprop|dgrad|wgrad)(?P<types>(?:_[a-z]\w*?)*?)_"
    r"(?P<tile>\d+x\d+)(?:_(?P<depth>\d+)x\d+|x(?P<deep>\d+))(?=_)"
)


def tensile(name: KernelName) -> Stated | None:
    """Tensile, of rocBLAS and hipBLASLt: `_MT64x32x256_`, `_GSU4_`, `_SK3_`, and a code of types behind the layouts.

    `GSU0` leaves the split to the call, so that the name does not say.
    """
    if not re.match(r"(?:Custom_)?[CD]ijk_", name.leaf):
        return None
    code = re.match(r"(?:Custom_)?[CD]ijk_(?:[A-Z][a-z]+_[A-Z][a-z]+_)?([A-Z0-9][A-Za-z0-9]*)(?=_|$)", name.leaf)
    kind = next((short for short, pattern in _TENSILE if code and pattern.match(code[1])), "")
    tile = re.search(r"_MT(\d+x\d+x\d+)(?=_|$)", name.leaf)
    split = re.search(r"_(?:GSU|PostGSU)(\d+)(?=_|$)", name.leaf)
    parts = int(split[1]) if split else 0
    way = "stream" if re.search(r"_SK[1-9]\d*(?=_|$)", name.leaf) else ""
    return Stated(
        dtype=kind,
        tile=tile[1] if tile else "",
        split_k=way or ("no" if parts == 1 else str(parts) if parts else ""),
    )


def nvjet(name: KernelName) -> Stated | None:
    """cuBLASLt's nvjet: types by letter, then the tile's M and N, then its K and the number of stages."""
    found = re.match(r"nvjet_(?:sm(\d+[af]?)_)?([a-z]+)_(\d+x\d+)_(\d+)x\d+(?=_|$)", name.leaf)
    if found is None:
        return None
    split = re.search(r"_splitK(\d*)(?=_|$)", name.leaf, re.IGNORECASE)
    return Stated(
        dtype=_NVJET.get(found[2][0], ""),
        tile=f"{found[3]}x{found[4]}",
        split_k=(split[1] or "yes") if split else "",
        arch=f"sm{found[1]}" if found[1] else "",
    )


def xmma(name: KernelName) -> Stated | None:
    """xmma, of cuBLAS and cuDNN: a pair of types of the operands first, `tilesize`, and how K is cut."""
    found = re.match(
        r"(?:sm\d+[af]?_)?xmma_(?:gemm|fprop|dgrad|wgrad)(?:_implicit_gemm)?(?:_indexed)?_"
        r"(tf32|bf16|f16|f32|f64|e4m3|e5m2|i8)(?:tf32|bf16|f16|f32|f64|e4m3|e5m2|i8|i32)_",
        name.leaf,
    )
    if found is None:
        return None
    tile = re.search(r"_tilesize(\d+x\d+x\d+)(?=_|$)", name.leaf)
    split = "no" if "segment_k_off" in name.leaf else "yes" if re.search(r"split_?k|segment_k", name.leaf) else ""
    way = "implicit_gemm" if "implicit_gemm" in name.leaf else ""
    return Stated(element(found[1]), tile[1] if tile else "", split, way)


def cutlass(name: KernelName) -> Stated | None:
    """CUTLASS's own names of its instances. Without a type of its operands they are of the accumulator's type."""
    found = _CUTLASS.search(name.whole)
    if found is None:
        return None
    types = _WORDS.findall(found["types"])
    kind = element(types[0]) if types else _LETTERS.get(found["acc"], "")
    arch = found["arch"]
    tile = f"{found['tile']}x{found['depth'] or found['deep']}"
    return Stated(kind, tile, _split(found.string), arch=f"sm{arch}" if arch else "")


def classic(name: KernelName) -> Stated | None:
    """cuBLAS and cuDNN before xmma: `ampere_sgemm_128x64_nn`, `volta_fp16_s884gemm_fp16_64x64_ldg8_f2f_nn`."""
    found = re.search(
        r"(?:^|_)(?:(bf16|fp16|int8|tf32)_)?(gc|[hsdciz])(\d*)(?:gemm|cudnn)(?:_(bf16|fp16|int8|tf32|fp32))?_(\d+x\d+)(?=_|$)",
        name.leaf,
    )
    if found is None:
        return None
    # On tensor cores the letter is the accumulator's type, and operands have it only where it is half.
    letter = "" if found[3] and found[2] != "h" else _LETTERS.get(found[2], "")
    kind = next((element(word) for word in (found[4], found[1]) if word), letter)
    return Stated(kind, found[5], _split(name.leaf))


def _split(text: str) -> str:
    """`splitK` and `split_k`, with the number of parts if it is written; streams and slices inside a block are none."""
    found = re.search(r"_split_?[kK](?:_?parallel|_?serial)?_?(\d*)(?=_|$)", text)
    return (found[1] or "yes") if found else ""


def cute(name: KernelName) -> Stated | None:
    """CUTLASS kernels that are spelled by their templates: the tile's shape and the type of the first operand."""
    if not re.search(r"CollectiveMma|GemmShape", name.whole):
        return None
    text = signature(name.whole)
    main = arguments(text, "CollectiveMma")
    if len(main) > 2 and len(shape := sizes(main[1])) == 3:
        return Stated(element(main[2]) or first_element(main[2:3]), "x".join(map(str, shape)))
    shape = [int(part) for part in arguments(text, "GemmShape") if part.isdigit()]
    if len(shape) != 3:
        return None
    way = "implicit_gemm" if "ImplicitGemm" in text else ""
    return Stated(first_element(arguments(text, "Kernel2?")), "x".join(map(str, shape)), algorithm=way)


def generated(name: KernelName) -> Stated | None:
    """Grouped products: TensorRT-LLM's `bmm_<out>_<a><b>_<acc>_t128x16x256`, and Triton's `_matmul_ogs_`.

    The latter has out, left and right type, then the tile and the parts of K.
    """
    found = re.match(
        r"(?:bmm|gemm)_[A-Z]\w*?_((?:Mx)?[A-Z][a-z0-9]+?)((?:Mx)?[A-Z][a-z0-9]+?)?_Fp32_t(\d+x\d+x\d+)", name.leaf
    )
    if found:
        left, right = element(found[1]), element(found[2] or found[1])
        parts = re.search(r"_split[kK](\d+)(?=_|$)", name.leaf)
        kind = left if left == right else f"{left}x{right}" if left and right else ""
        return Stated(kind, found[3], parts[1] if parts else "")
    found = re.match(r"_matmul_ogs_\w+?_(\w+?)x(\w+?)x(\w+?)_(\d+x\d+x\d+)x(\d+)(?=_|$)", name.leaf)
    if found is None:
        return None
    left, right = element(found[2]), element(found[3])
    kind = left if left == right else f"{left}x{right}" if left and right else ""
    return Stated(kind, found[4], "no" if found[5] == "1" else found[5])


PRODUCTS: Final[tuple[Callable[[KernelName], Stated | None], ...]] = (
    tensile, nvjet, xmma, generated, cutlass, classic, cute,
)  # fmt: skip
