"""What the operator that launched a product tells of it: its size, and the type of its operands."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from typing import Any, Final

import attrs
import numpy as np
import numpy.typing as npt

import traceir as tir
from traceir_passes.infer.templates import element

Ints = npt.NDArray[Any]
PRODUCTS: Final = {
    "aten::mm": 0, "aten::bmm": 0, "aten::addmm": 1, "aten::baddbmm": 1, "aten::_addmm_activation": 1,
    "aten::_scaled_mm": 0, "aten::_int_mm": 0,
}  # fmt: skip
"""Operators that compute one product, and which of their inputs is its left operand; the right one is the next."""

_OF_RUNTIME: Final = "acl"
"""How operators of a runtime's own are called, which a framework's operator calls and which record no inputs."""


@attrs.frozen
class Operands:
    """A product's size as `MxNxK`, or `BxMxNxK` with a batch, and its operands' type; each empty if not known."""

    shape: str = ""
    dtype: str = ""


def of_launches(module: tir.Module, rows: Ints) -> tuple[Ints, list[Operands]]:
    """For each of `rows` (kernels) the place in the list of what launched it, -1 where it tells nothing.

    Asked is the innermost operator around the launch, if it computes a product; a graph's launch computes none. Each
    operator's arguments are decoded once. O(rows × depth of the nest tree), vectorised over rows.
    """
    operators = _innermost(module, rows)
    names = module["name"][operators]
    left = np.full(len(module.strings) + 1, -1, np.int64)
    for code in np.unique(names[operators >= 0]).tolist():
        left[code] = PRODUCTS.get(module.strings[code], -1)
    operators = np.where((operators >= 0) & (left[names] >= 0), operators, -1)
    distinct, inverse = np.unique(operators, return_inverse=True)
    known = distinct[distinct >= 0]
    args = tir.Selection(module, known).args() if len(known) else ()
    found = []
    seen: dict[tuple[str, str, int], Operands] = {}  # a model has few sizes, each in every layer and step
    for told, at in zip(args, left[module["name"][known]].tolist(), strict=True):
        dims, types = told.get("Input Dims"), told.get("Input type")
        key = str(dims), str(types), at
        if key not in seen:
            seen[key] = operands(dims, types, at)
        found.append(seen[key])
    return inverse.reshape(-1) - (len(distinct) - len(known)), found


def of_captures(module: tir.Module, rows: Ints) -> tuple[Ints, list[Operands]]:
    """The same for kernels of replays by the call that was captured, if the pass `capture` ran before."""
    if "capture.op" not in module.annotations or "capture.shapes" not in module.annotations:
        return np.full(len(rows), -1, np.int64), []
    pairs = np.stack([module["capture.op"][rows], module["capture.shapes"][rows]], 1)
    distinct, inverse = np.unique(pairs, axis=0, return_inverse=True)
    found = []
    for operator, shapes in distinct.tolist():
        left = PRODUCTS.get(module.strings[operator], -1) if operator >= 0 and shapes >= 0 else -1
        found.append(operands(_loaded(module.strings[shapes]), None, left) if left >= 0 else Operands())
    return inverse.reshape(-1), found


def operands(dims: Any, types: Any, left: int) -> Operands:
    """The product of two inputs by their shapes and types, as a profiler records them; what does not fit is empty."""
    return Operands(_size(_pair(dims, left)), _type(_pair(types, left)))


def _innermost(module: tir.Module, rows: Ints) -> Ints:
    """The innermost operator around each row's own launch; -1 if there is none, or the launch is a graph's."""
    at = module.launch[rows]
    at = np.where((at >= 0) & ~module.is_kind("rt.graph_launch")[at], at, -1)
    inner = np.array([text.startswith(_OF_RUNTIME) for text in module.strings.texts] + [False])
    operator, caller = module.is_kind("host.op") & ~inner[module["name"]], module.caller
    while (left := (at >= 0) & ~operator[at]).any():
        at = np.where(left, caller[at], at)
    return at


@functools.lru_cache(maxsize=1 << 12)
def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _pair(values: Any, left: int) -> Sequence[Any]:
    return values[left : left + 2] if isinstance(values, list) else ()


def _size(pair: Sequence[Any]) -> str:
    """Of a left operand [B,] M, K and a right one [B,] K, N."""
    if len(pair) != 2 or not all(_whole(shape) for shape in pair):
        return ""
    first, second = pair
    if len(first) != len(second) or len(first) not in (2, 3) or first[-1] != second[-2] or first[:-2] != second[:-2]:
        return ""
    return "x".join(map(str, (*first[:-2], first[-2], second[-1], first[-1])))


def _whole(shape: Any) -> bool:
    return isinstance(shape, list) and all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in shape)


def _type(pair: Sequence[Any]) -> str:
    """The type of both operands; where they differ, left and right."""
    if len(pair) != 2 or not all(isinstance(text, str) for text in pair):
        return ""
    first, second = (element(text) for text in pair)
    if not first or not second:
        return ""
    return first if first == second else f"{first}x{second}"
