"""Growth: four times the export costs about four times the CPU."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import traceir as tir
from tests.frontends.nsys.making import Export

LIMIT = 5.0
"""Of CPU time at four times the size; quadratic growth would give 16."""


def cost(path: Path, count: int) -> float:
    """CPU seconds of loading an export of so many calls, kernels and ranges, each with a text of its own."""
    export = Export().about()
    for number in range(count):
        export.range(f"aten::mm, op_id = {number}", 100 * number, 100 * number + 50)
        export.call("cudaLaunchKernel_v7000", 100 * number + 10, 100 * number + 20, number)
        export.kernel(f"k{number % 50}", 100 * number + 30, 100 * number + 90, number)
    export.write(path)
    costs = []
    for _ in range(2):
        before = time.process_time()
        assert len(tir.load(path)) == 3 * count
        costs.append(time.process_time() - before)
    return min(costs)


@pytest.mark.slow
def test_cost_grows_with_the_export(tmp_path: Path) -> None:
    """At N and 4 N launches."""
    small, large = (cost(tmp_path / f"{count}.sqlite", count) for count in (25_000, 100_000))
    assert large / small <= LIMIT
