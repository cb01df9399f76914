"""Growth: four times the collectives cost about four times the CPU."""

from __future__ import annotations

import time

import numpy as np
import pytest

import traceir as tir
from tests.passes.collectives_made import COMBINE, DISPATCH, EXPERTS, GEMM, NORM, REDUCE
from traceir.ir import Region
from traceir_passes.collectives import Collectives

LIMIT = 6.0
"""Of CPU time at four times the size; quadratic growth would give 16."""


@pytest.mark.slow
def test_cost_grows_with_communication() -> None:
    """25 000 and 100 000 collectives among ten times as much work, half of them dispatches, in layers and steps."""
    spent = []
    for steps in (60, 240):
        made = _long(steps, 104)
        clock = time.process_time()
        done = tir.PassManager.parse("collectives").run(made)
        Collectives().report(done)
        spent.append(time.process_time() - clock)
        assert len(done["coll.event"]) == steps * 104 * 4
    assert spent[1] / spent[0] <= LIMIT, spent


def _long(steps: int, layers: int) -> tir.Module:
    """Layers of two all-reduces, a dispatch and a combine, each among a dozen kernels, by columns."""
    body = [GEMM, NORM] * 6 + [REDUCE] + [GEMM, NORM] * 6 + [DISPATCH, EXPERTS, COMBINE, GEMM, REDUCE] + [NORM] * 10
    names = list(dict.fromkeys(body))
    n = steps * layers * len(body)
    empty = np.empty(0, np.int64)
    item = tir.ModuleBuilder(
        name="long",
        strings=tir.Strings(names),
        lanes=[tir.Lane("gpu0.s7", "dev.stream", device=0, stream=7)],
        kinds=["dev.kernel"],
        id=np.arange(n, dtype=np.int64),
        kind=np.zeros(n, np.uint16),
        name_code=np.tile(np.array([names.index(name) for name in body], np.int32), steps * layers),
        ts=np.arange(n, dtype=np.int64) * 100,
        dur=np.full(n, 80, np.int64),
        lane=np.zeros(n, np.int32),
        edges=[("launch", empty, empty)],
        meta={"origin_ns": None},
    ).build()
    regions: list[Region] = []
    for step in range(steps):
        top = len(regions)
        regions.append(Region("stack", f"stack.{step}", step))
        regions += [Region("layer", f"stack.{step}.layer.{at}", at, top) for at in range(layers)]
    layer = np.arange(n) // len(body)
    item = item.with_tree("layers", regions, layer + layer // layers + 1)
    return item.with_tree("steps", [Region("step", f"step.{at}", at) for at in range(steps)], layer // layers)
