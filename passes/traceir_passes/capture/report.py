"""What the pass `capture` reports."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

import traceir as tir

BASES = ("measured", "derived")


@attrs.frozen
class CaptureReport(tir.Report):
    """Replays that were joined to the capture of their graph, and why others were not.

    `work` counts device work in replays, `joined_work` that in joined ones.
    """

    replays: int
    joined: int
    work: int
    joined_work: int
    basis: dict[str, int]
    refused: dict[str, int]

    def headline(self) -> Sequence[tir.Fact]:
        """How much of the replayed work is joined, where there was a capture to join."""
        if not self.joined:
            return ()
        share = self.joined_work / self.work if self.work else None
        return (tir.Fact("joined to their capture", share, "share", of="replayed work"),)


def build(module: tir.Module) -> CaptureReport:
    """The report of a module that the pass has run over. O(replays)."""
    nodes, basis = module["capture.nodes"], module["capture.basis"]
    joined = basis >= 0
    reasons = [text for text in module.text("capture.reason") if text is not None]
    return CaptureReport(
        replays=len(nodes),
        joined=int(joined.sum()),
        work=int(nodes.sum()),
        joined_work=int(nodes[joined].sum()),
        basis={name: int(np.count_nonzero(basis == code)) for code, name in enumerate(BASES)},
        refused={reason: reasons.count(reason) for reason in dict.fromkeys(reasons)},
    )


__all__ = ["BASES", "CaptureReport", "build"]
