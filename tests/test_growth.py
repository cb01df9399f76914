"""Growth: four times the trace costs about four times the CPU, in steps as in events."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

import pytest

import traceir as tir
from traceir import folding, synth

LIMIT = 5.0
"""Of CPU time at four times the size; quadratic growth would give 16."""


def cost(path: Path) -> dict[str, float]:
    """CPU seconds of loading, the default pipeline, its reports, and folding."""
    out: dict[str, float] = {}
    clock = time.process_time()

    def lap(name: str) -> None:
        nonlocal clock
        out[name], clock = time.process_time() - clock, time.process_time()

    module = tir.load(path)
    lap("load")
    manager = tir.PassManager.parse("default")
    after = manager.run(module)
    lap("run")
    manager.reports(after)
    lap("reports")
    folding.fold(after)
    lap("fold")
    return out


@pytest.mark.slow
@pytest.mark.parametrize("launch", ["graph", "eager"])
def test_cost_grows_with_the_trace(launch: Literal["eager", "graph"], tmp_path: Path) -> None:
    """Loading, passes, reports and folding at N and 4 N steps of a tensor-parallel decoder."""
    costs = []
    for steps in (150, 600):
        path = tmp_path / f"{steps}.json"
        options = synth.Decoder(layers=12, steps=steps, launch=launch, tensor_parallel=4, comm_stream=True)
        synth.write(options, path)
        costs.append(min((cost(path) for _ in range(2)), key=lambda laps: sum(laps.values())))
    ratios = {name: costs[1][name] / max(costs[0][name], 0.02) for name in costs[0]}
    assert max(ratios.values()) <= LIMIT, ratios
