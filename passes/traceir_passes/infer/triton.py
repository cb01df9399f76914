"""Names that Inductor gives to its Triton kernels: what they fuse, and what only stands beside it."""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(
    r"triton_(poi|red|per|for|spl|tem|mm)_fused_?(.*?)(?:_(\d+))?(?:_(?:\d+d)+\d*e?|_(?:\d+(?:de|d|c))+)?\Z"
)
_NORM: Final = re.compile(r"rsqrt|native_layer_norm|var_mean|rms_norm")
_SOFTMAX: Final = re.compile(r"softmax")
_ACT: Final = re.compile(r"silu|gelu|swiglu")
_ATTENTION: Final = re.compile(r"attention|flex")
_CONVOLUTION: Final = re.compile(r"(?:^|_)convolution")
_MOVES: Final = re.compile(
    r"(?:(?:^|_)(?:constant_pad_nd|_?to_copy|_?unsafe_view|as_strided|transpose|permute|unsqueeze|squeeze|contiguous"
    r"|expand|reshape|select|slice|clone|copy_?|view|pad|cat|stack|split|t))+_?\Z"
)


def role(path: str) -> str:
    """The role of an Inductor kernel by its name, empty if it is none, or a template whose name lists no operator.

    The name lists the operators that were fused and neighbouring ones too, so a pointwise or reduction kernel is
    never a matrix product or attention; only templates (`tem`, `mm`) are.
    """
    found = _NAME.match(path)
    if found is None:
        return ""
    form, operators = found[1], found[2]
    if form in ("tem", "mm"):
        return _template(form, operators)
    if form in ("red", "per", "spl"):
        if _NORM.search(operators):
            return "norm"
        if _SOFTMAX.search(operators):
            return "softmax"
        return "act" if _ACT.search(operators) else "reduce"
    if _ACT.search(operators):
        return "act"
    return "copy" if _MOVES.match(operators) else "elementwise"


def _template(form: str, operators: str) -> str:
    """Templates are written for products, attention and convolutions; most are products."""
    if _ATTENTION.search(operators):
        return "attention"
    if _CONVOLUTION.search(operators):
        return "conv"
    return "gemm" if operators.strip("_0123456789") or form == "mm" else ""


def operators(path: str) -> tuple[str, str] | None:
    """The form (`poi`, `red`, …) and the operators' words of an Inductor kernel, None if it is none."""
    found = _NAME.match(path)
    return (found[1], found[2].strip("_")) if found else None
