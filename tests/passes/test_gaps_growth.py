"""Growth: four times the events, or many more threads and lanes, cost no more than that."""

from __future__ import annotations

import time

import pytest

import traceir as tir
from tests.passes.gaps_grown import grown
from traceir_passes.gaps import Gaps
from traceir_passes.sync import Sync

LIMIT = 5.0
"""Of CPU time at four times the size; quadratic growth would give 16."""
MANY = 5.0
"""Of CPU time with 64 threads and lanes in place of one of each; a look at all events for each would give 64."""


def cost(item: Gaps | Sync, events: int, threads: int, lanes: int) -> float:
    """CPU seconds of the pass, its report and its check, the least of three."""
    module = grown(events, threads, lanes)
    out = []
    for _ in range(3):
        clock = time.process_time()
        done = tir.PassManager((item,)).run(module)
        item.report(done)
        item.check(done)
        out.append(time.process_time() - clock)
    return max(min(out), 0.02)


@pytest.mark.slow
@pytest.mark.parametrize("item", [Gaps(), Gaps(blame="all"), Sync()], ids=["gaps", "gaps all", "sync"])
def test_cost_grows_with_the_events(item: Gaps | Sync) -> None:
    """With 64 threads and 64 lanes, 250 thousand events and four times as many."""
    ratio = cost(item, 1_000_000, 64, 64) / cost(item, 250_000, 64, 64)
    assert ratio <= LIMIT, ratio


@pytest.mark.slow
@pytest.mark.parametrize("item", [Gaps(blame="all"), Sync()], ids=["gaps all", "sync"])
def test_cost_does_not_grow_with_threads_and_lanes(item: Gaps | Sync) -> None:
    """The same number of events on one thread and lane, and on 64 of each."""
    ratio = cost(item, 500_000, 64, 64) / cost(item, 500_000, 1, 1)
    assert ratio <= MANY, ratio
