"""Fused collectives: one kernel that communicates and computes."""

from __future__ import annotations

import re
from typing import Final

import attrs
import numpy as np

from traceir_passes.collectives.composites.base import Composite, Setting

_PARTS: Final = (
    ("product", re.compile(r"gemm|matmul|mmad|mm_(all|reduce|ar\b)|allgather_?mm", re.IGNORECASE)),
    ("norm", re.compile(r"norm", re.IGNORECASE)),
    ("quantisation", re.compile(r"quant|fp8|fp4|int8", re.IGNORECASE)),
    ("residual", re.compile(r"residual|_add_|add_?rms|addrms", re.IGNORECASE)),
)


@attrs.frozen
class Fused:
    """A kernel whose role is fused communication, such as all-reduce with residual and norm.

    The note says what its name holds besides; the parts of a templated kernel may stand in its arguments alone,
    where nothing tells them.
    """

    form: str = "fused"

    def find(self, setting: Setting) -> list[Composite]:
        """The fused collectives, one composite each. O(communication)."""
        rows, number = setting.found.rows, setting.found.instance
        module = setting.module
        fused = module.is_in("infer.class", ["fused"])[rows] & (number >= 0)
        chosen = np.flatnonzero(fused)
        names = module.strings.decode(module["name"][rows[chosen]])
        return [
            Composite(
                self.form,
                setting.instances[int(number[at])].kind,
                (int(rows[at]),),
                (int(number[at]),),
                note=parts_of(name or ""),
            )
            for at, name in zip(chosen.tolist(), names, strict=True)
        ]


def parts_of(name: str) -> str:
    """What a fused kernel computes besides, as its name says: `with norm, quantisation`; empty if it does not."""
    found = [part for part, pattern in _PARTS if pattern.search(name)]
    return f"with {', '.join(found)}" if found else ""
