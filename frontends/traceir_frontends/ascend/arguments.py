"""Arguments as every frontend spells them, beside the format's own: shapes as lists, sizes, connections, messages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from traceir_frontends.ascend.dialect import NONE_ID, collective_of

_BETWEEN: Final = re.compile(r";(?:\r?\n)?")
_TYPES: Final = {"BFP16": "bf16", "FP16": "fp16", "FP32": "fp32", "FP64": "fp64"}
_SIZE: Final = re.compile(r"-?[0-9]{1,18}\Z")
_MESSAGE: Final = ("alg_type", "algType")


def dims_of(text: str) -> list[list[int]]:
    """Shapes as lists: of the framework (`32,3;\\r\\n64;\\r\\n`) or of the tables (`"32,3;64"`); [] for no tensor."""
    out = []
    for item in _parted(text):
        sizes = [size.strip() for size in item.split(",") if size.strip()]
        out.append([int(size) for size in sizes] if all(map(_SIZE.match, sizes)) else [])
    return out


def types_of(text: str) -> list[str]:
    """Types as a list."""
    return [item.strip() for item in _parted(text)]


def _parted(text: str) -> list[str]:
    text = text.strip().strip('"')
    return [] if text in ("", "N/A") else _BETWEEN.split(text)


def of_text(name: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an event of a timeline, completed by a table's row, with the keys of all frontends added."""
    out = dict(told)
    for key in ("Input Dims", "Input Shapes"):
        if isinstance(out.get(key), str) and "Input Dims" not in _made(out):
            out["Input Dims"] = dims_of(out[key])
    for key in ("Input type", "Input Data Types"):
        if isinstance(out.get(key), str):
            out["Input type"] = types_of(out[key])
            break
    _copy(out, "connection_id", "correlation")
    for key in ("data size(Byte)", "size(Byte)"):
        _copy(out, key, "bytes")
    blocks = out.get("Block Dim")
    if isinstance(blocks, str | int) and _SIZE.match(str(blocks)) and int(blocks) > 0:
        out["grid"] = [int(blocks), 1, 1]
    if any(key in out for key in _MESSAGE):
        out.update(message(name, out.get("count"), out.get("data_type")))
    return out


def message(name: str, count: Any, data_type: Any) -> dict[str, Any]:
    """What a collective moves. HCCL counts what a rank sends, but of a reduce-scatter what it receives."""
    out: dict[str, Any] = {}
    kind = collective_of(name)
    if kind is not None:
        out["Collective name"] = kind
    if isinstance(count, int) and 0 <= count < 1 << 62:
        out["Out msg nelems" if (kind or "").lower().startswith("reducescatter") else "In msg nelems"] = count
    if isinstance(data_type, str) and data_type not in ("", "N/A", "INVALID_TYPE"):
        out["dtype"] = _TYPES.get(data_type, data_type.lower())
    return out


def _made(out: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys whose values are lists already."""
    return tuple(key for key, value in out.items() if isinstance(value, list))


def _copy(out: dict[str, Any], key: str, to: str) -> None:
    value = out.get(key)
    if isinstance(value, int) and value >= 0 and value != NONE_ID:
        out.setdefault(to, value)
