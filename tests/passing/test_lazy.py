"""Arguments are decoded when a pass asks for them, and only those."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import traceir as tir
from traceir.ir import Ints
from traceir_frontends.kineto.source import KinetoSource

EXAMPLE = Path(__file__).parents[2] / "examples" / "decoder_tp8_graph.json.gz"


@pytest.mark.parametrize(
    ("pipeline", "decoded"),
    [
        ("infer", 0),
        ("infer,group", 0),
        ("overlap", 296 + 74),  # the collectives, and the host event above each of those that have any
    ],
)
def test_arguments_are_decoded_only_for_events_that_are_asked_about(
    pipeline: str, decoded: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted where the text is read again."""
    module = tir.load(EXAMPLE)
    asked: list[int] = []
    texts = KinetoSource._texts

    def counted(self: KinetoSource, offsets: Ints, lengths: Ints) -> list[bytes]:
        asked.append(int(np.sum(offsets >= 0)))
        return texts(self, offsets, lengths)

    monkeypatch.setattr(KinetoSource, "_texts", counted)
    tir.PassManager.parse(pipeline).run(module)
    assert sum(asked) == decoded
