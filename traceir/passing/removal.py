"""Removal: which pass removed an event, noted by the manager since no pass would say it of all others."""

from __future__ import annotations

from typing import Final

import attrs
import numpy as np

from traceir.ir import Annotation, Module, Written

REMOVED_BY: Final = Annotation(
    "live.by",
    dtype="str",
    doc="The pass that removed the event, with its options.",
    null="Nothing removed it, or it was removed before any pass ran.",
)


def with_removal(before: Module, after: Module, text: str, by: int) -> Module:
    """`after` with `live.by` told apart: `text` for what was removed since `before`, null for what came back.

    `by` is the position that the pass will have among those that ran. Nothing happens, in O(1), if `live` is as
    it was; else O(n).
    """
    if before.token("live") == after.token("live"):
        return after
    strings, codes = after.strings.encode([text])
    given = np.asarray(before.live & ~after.live)
    old = after["live.by"] if REMOVED_BY.name in after else np.full(len(after), -1, np.int32)
    new = np.where(given, codes[0], np.where(after.live, -1, old)).astype(np.int32)
    noted = after.with_strings(strings).with_columns({REMOVED_BY.name: new})
    return attrs.evolve(noted, annotations={**noted.annotations, REMOVED_BY.name: Written(REMOVED_BY, by)})


__all__ = ["REMOVED_BY", "with_removal"]
