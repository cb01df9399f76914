"""Names as Nsight Systems writes them, and as all frontends show them; what a name tells of the kind."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from traceir_frontends.kineto.classify import api_kind, range_kind

_VERSION: Final = re.compile(r"(?:_v\d+|_ptsz|_ptds)+\Z")
_OP: Final = re.compile(
    r"(?P<name>.+?)(?:, seq = (?P<seq>-?\d{1,18}))?(?:, op_id = (?P<op>\d{1,18}))?(?:, sizes = (?P<sizes>\[.*?\]))?"
    r"(?:, input_op_ids = \[.*\])?\Z",
    re.DOTALL,
)
_MARKS: Final = (", op_id = ", ", seq = ", ", sizes = ")
_APPENDED: Final = tuple(mark.removesuffix(" = ") for mark in _MARKS)
_OPERATOR: Final = re.compile(r"[A-Za-z_][\w.]*(?:::[\w.~]+)*|autograd::engine::evaluate_function: \S+")
"""What a framework's operator is called; a range that a user names by hand mostly has spaces, `#` or brackets."""


def api(text: str) -> tuple[str, str]:
    """`cudaLaunchKernel_ptsz_v7000` is `cudaLaunchKernel`, whatever the version of the API; and its kind."""
    name = _VERSION.sub("", text) or text
    return name, api_kind(name)


def call(text: str) -> tuple[str, str]:
    """The same without a kind, for rows that only repeat a call."""
    return _VERSION.sub("", text) or text, ""


def nvtx_base(text: str) -> str:
    """A text with the numbers that `emit_nvtx` appends made equal, so that there are few of them."""
    at = text.find(" = ")
    if at >= 0:
        for mark in _APPENDED:
            if text.endswith(mark, 0, at):
                return text[: at - len(mark)] + _MARKS[0] + "0"
    return text


def nvtx(text: str) -> tuple[str, str]:
    """A range's name without what PyTorch's `emit_nvtx` appends; with it, a word is an operator."""
    if not any(mark in text for mark in _MARKS):
        return text, range_kind(text)
    found = _OP.fullmatch(text)
    name = found["name"] if found is not None else text
    kind = range_kind(name)
    return name, "host.op" if kind == "host.range" and _OPERATOR.fullmatch(name) else kind


def nvtx_args(text: str) -> dict[str, Any]:
    """What `emit_nvtx` appends to a name, as arguments of an operator."""
    if not any(mark in text for mark in _MARKS):
        return {}
    found = _OP.fullmatch(text)
    if found is None:
        return {}
    out: dict[str, Any] = {}
    if found["seq"] is not None:
        out["Sequence number"] = int(found["seq"])
    if found["op"] is not None:
        out["op_id"] = int(found["op"])
    if found["sizes"] is not None:
        try:
            out["Input Dims"] = json.loads(found["sizes"])
        except ValueError:
            out["sizes"] = found["sizes"]
    return out
