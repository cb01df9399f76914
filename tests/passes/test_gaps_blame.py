"""Blame against a look at every nanosecond of a thread."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.build import Ev, module
from traceir_passes.gaps.blame import Threads
from traceir_passes.gaps.host import Blocks

INTERVAL = st.tuples(st.integers(0, 40), st.integers(0, 25))
WINDOWS = st.lists(st.integers(-2, 70), min_size=2, max_size=8).map(sorted)


@st.composite
def nests(draw: st.DrawFn) -> tir.Module:
    """A thread whose events nest: random intervals, each kept if it crosses none before it."""
    kept: list[tuple[int, int]] = []
    for start, dur in draw(st.lists(INTERVAL, max_size=12)):
        end = start + dur
        if all(end <= a or start >= b or (a <= start and end <= b) or (start <= a and b <= end) for a, b in kept):
            kept.append((start, end))
    return module([Ev("host.op", f"op.{i}", a, b - a, "cpu") for i, (a, b) in enumerate(kept)])


@given(nests(), WINDOWS)
def test_longest_innermost_event_is_counted(item: tir.Module, borders: list[int]) -> None:
    """The blamed event is one that is innermost for the most nanoseconds of the window, and for that many."""
    if not len(item):
        return
    depth = {}
    for event in item.select():
        depth[event.row] = sum(1 for _ in event.ancestors)
    low, high = np.array(borders[:-1]), np.array(borders[1:])
    row, size = Threads.of(item, np.array([0])).longest(np.zeros(len(low), np.int64), low, high)
    for at, (a, b) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
        count: dict[int, int] = {}
        for t in range(a, b):
            on = [event.row for event in item.select() if event.ts <= t < event.end]
            if on:
                inner = max(on, key=lambda r: depth[r])
                count[inner] = count.get(inner, 0) + 1
        assert size[at] == max(count.values(), default=0)
        assert row[at] == -1 if not count else count[int(row[at])] == size[at]


def test_events_that_do_not_nest_are_drawn_in() -> None:
    """A child that outlasts its parent ends with it, and a sibling that starts early takes over."""
    item = module(
        [Ev("host.op", "a", 0, 10, "cpu"), Ev("host.op", "b", 8, 92, "cpu"), Ev("host.op", "c", 200, 5, "cpu")]
    )
    lane = np.zeros(2, np.int64)
    row, size = Threads.of(item, np.array([0])).longest(lane, np.array([0, 150]), np.array([150, 160]))
    assert (row.tolist(), size.tolist()) == ([1, -1], [92, 0])


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 25)), max_size=10), WINDOWS)
def test_blocking_calls_are_found_one_by_one(calls: list[tuple[int, int]], borders: list[int]) -> None:
    """The call that returned and the call that covers most are those found by trying each."""
    item = module([Ev("rt.sync", f"sync.{i}", at, dur, f"cpu.{i}") for i, (at, dur) in enumerate(calls)])
    low, high = np.array(borders[:-1]), np.array(borders[1:])
    blocks = Blocks.of(item, np.arange(len(item)))
    returned, longest = blocks.returned(low, high), blocks.longest(low, high)
    for at, (a, b) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
        drained = [event.end for event in item.select() if event.ts <= a < event.end <= b]
        assert (int(returned[at]) >= 0) is bool(drained)
        assert not drained or item.event(int(returned[at])).end == max(drained)
        covers = [min(event.end, b) - max(event.ts, a) for event in item.select()]
        best = int(longest[at])
        assert (covers[best] if best >= 0 else 0) == max([0, *covers])
