"""What a kernel's name states of it."""

from __future__ import annotations

from typing import Any, Final

import attrs

import traceir as tir


@attrs.frozen
class Stated:
    """The attributes in a name, each empty (None) where it does not state it; `generic` names may hold more words."""

    dtype: str = ""
    tile: str = ""
    split_k: str = ""
    algorithm: str = ""
    protocol: str = ""
    head_size: int | None = None
    page_size: int | None = None
    arch: str = ""
    library: str = ""
    generic: bool = attrs.field(default=False, eq=False, repr=False)

    @property
    def items(self) -> dict[str, str | int]:
        """What is stated, by the names of the columns without their word."""
        found: dict[str, Any] = {name: getattr(self, name) for name in NAMES}
        return {name: value for name, value in found.items() if value not in ("", None)}


_NO: Final = "no device work, or its name does not say"
DTYPE: Final = "infer.dtype"
SHAPE: Final = tir.Annotation(
    "infer.shape", dtype="str", basis="measured",
    null="no device work, no product, or nothing tells its shapes",
    doc="The size of a product as MxNxK, or BxMxNxK with a batch, by the shapes of its operator's inputs.",
)  # fmt: skip
COLUMNS: Final = (
    tir.Annotation("infer.library", dtype="str", null=_NO, basis="measured", doc="Whose kernel it is, such as cublas."),
    tir.Annotation(
        "infer.arch", dtype="str", null=_NO, basis="measured",
        doc="The architecture that it was written for, such as sm90, gfx942 or ampere.",
    ),
    tir.Annotation(
        DTYPE, dtype="str", basis="measured",
        null="no device work, or neither its name nor, of a product, its operator says",
        doc="The element type that it works on; of a product's operands both, as in bf16xmxfp4, where they differ.",
    ),
    tir.Annotation(
        "infer.tile", dtype="str", null=_NO, basis="measured",
        doc="What one block computes: MxNxK of a product, queries by keys of an attention.",
    ),
    tir.Annotation(
        "infer.split_k", dtype="str", null=_NO, basis="measured",
        doc="Into how many parts a product's K is split: a number, yes, no, or stream.",
    ),
    tir.Annotation(
        "infer.algorithm", dtype="str", null=_NO, basis="measured",
        doc="The way that it works: ring, tree, one_shot, two_shot, implicit_gemm, winograd, split_kv.",
    ),
    tir.Annotation(
        "infer.protocol", dtype="str", null=_NO, basis="measured",
        doc="The protocol in a collective's name. NCCL builds few kernels, and runs other ways by the same one.",
    ),
    tir.Annotation(
        "infer.head_size", dtype="u32", unit="elements", null=_NO, basis="measured",
        doc="The size of an attention head (of queries and keys).",
    ),
    tir.Annotation(
        "infer.page_size", dtype="u32", unit="tokens", null=_NO, basis="measured",
        doc="The size of a page of the key-value cache.",
    ),
)  # fmt: skip
NAMES: Final = tuple(column.name.partition(".")[2] for column in COLUMNS)
