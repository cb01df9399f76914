"""The builder sorts, nests and remaps; nesting agrees with a definition written out by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.build import Ev, module
from traceir.ir.nesting import nest
from traceir.ir.verify import verify

EVENTS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 12), st.integers(0, 8)), min_size=0, max_size=24
)  # (lane, ts, dur)


def by_definition(events: list[tuple[int, int, int]], slack: int) -> list[int]:
    """The innermost enclosing event of each, by trying all pairs."""
    order = sorted(range(len(events)), key=lambda i: (events[i][1], -events[i][2], i))
    rank = {i: k for k, i in enumerate(order)}
    out = []
    for i, (lane, ts, dur) in enumerate(events):
        around = [
            p
            for p, (l2, t2, d2) in enumerate(events)
            if l2 == lane and rank[p] < rank[i] and t2 <= ts < t2 + d2 and ts + dur <= t2 + d2 + slack
        ]
        out.append(max(around, key=rank.__getitem__, default=-1))
    return out


@given(EVENTS, st.integers(0, 3))
def test_nesting_is_what_the_definition_says(events: list[tuple[int, int, int]], slack: int) -> None:
    """The parent is the innermost event that encloses within the slack, for any order and any overlaps."""
    lane, ts, dur = (np.array([event[k] for event in events], np.int64) for k in range(3))
    found = nest(lane, ts, dur, slack)
    assert found.parent.tolist() == by_definition(events, slack)
    over = [
        events[i][1] + events[i][2] - events[p][1] - events[p][2] for i, p in enumerate(found.parent.tolist()) if p >= 0
    ]
    late = [excess for excess in over if excess > 0]
    assert (found.excess, found.most_ns) == (len(late), max(late, default=0))


@given(EVENTS, st.integers(0, 3), st.sampled_from([0, 2**60]))
def test_crossing_looks_at_all_earlier_siblings(events: list[tuple[int, int, int]], slack: int, far: int) -> None:
    """An event crosses if it begins inside any earlier sibling, tried pair by pair; an absurd time stops nothing."""
    events = [*events, (3, far, 1)]
    lane, ts, dur = (np.array([event[k] for event in events], np.int64) for k in range(3))
    found = nest(lane, ts, dur, slack)
    order = sorted(range(len(events)), key=lambda i: (events[i][1], -events[i][2], i))
    crossing = 0
    for at, i in enumerate(order):
        earlier = [j for j in order[:at] if lane[j] == lane[i] and found.parent[j] == found.parent[i]]
        crossing += any(ts[i] < ts[j] + dur[j] for j in earlier)
    assert found.crossing == crossing


def test_crossing_past_the_child_of_a_sibling() -> None:
    """A child between two siblings does not hide that they overlap."""
    assert nest(np.zeros(3, np.int32), np.array([0, 1, 8]), np.array([10, 1, 7])).crossing == 1


@given(EVENTS, st.integers(2**40, 2**61))
def test_nesting_survives_one_absurd_time(events: list[tuple[int, int, int]], far: int) -> None:
    """A single time stamp far away changes nothing for the others and stops nothing."""
    lane, ts, dur = (np.array([event[k] for event in events], np.int64) for k in range(3))
    alone = nest(lane, ts, dur).parent.tolist()
    lane, ts, dur = (np.append(values, last) for values, last in ((lane, 0), (ts, far), (dur, 5)))
    assert nest(lane, ts, dur).parent.tolist() == [*alone, -1]


@given(EVENTS)
def test_rows_are_sorted_and_edges_follow(events: list[tuple[int, int, int]]) -> None:
    """Rows stand by (ts, lane, order given), ids stay with their events, and edges still join the same ids."""
    n = len(events)
    edges = [(i, (i * 7 + 3) % n) for i in range(n)]
    lane, ts, dur = (np.array([event[k] for event in events], np.int64) for k in range(3))
    built = tir.ModuleBuilder(
        name="m",
        strings=tir.Strings(["x"]),
        lanes=[tir.Lane(f"t{k}", "host.thread") for k in range(3)],
        kinds=["host.op"],
        id=np.arange(n) * 10,
        kind=np.zeros(n),
        name_code=np.zeros(n),
        ts=ts,
        dur=dur,
        lane=lane,
        edges=[("flow", np.array([a for a, _ in edges], int), np.array([b for _, b in edges], int))],
    ).build()
    expected = sorted(range(n), key=lambda i: (events[i][1], events[i][0], i))
    assert built["id"].tolist() == [10 * i for i in expected]
    src, dst = built.edges("flow")
    assert sorted(zip((built["id"][src] // 10).tolist(), (built["id"][dst] // 10).tolist(), strict=True)) == sorted(
        edges
    )
    parents = [-1 if p < 0 else int(built["id"][p]) // 10 for p in built["parent"].tolist()]
    assert dict(zip(expected, parents, strict=True)) == dict(enumerate(by_definition(events, 0)))
    assert not [found for found in verify(built) if found.level != "info"]


def test_a_given_parent_overrides_nesting_by_time() -> None:
    """A frontend that knows the parents is believed; -1 stays none."""
    built = tir.ModuleBuilder(
        name="m",
        strings=tir.Strings(["x"]),
        lanes=[tir.Lane("t", "host.thread")],
        kinds=["host.op"],
        id=np.arange(3),
        kind=np.zeros(3),
        name_code=np.zeros(3),
        ts=np.array([5, 0, 1]),
        dur=np.array([1, 10, 2]),
        lane=np.zeros(3),
        parent=np.array([2, -1, 1]),
    ).build()
    assert built["id"].tolist() == [1, 2, 0]
    assert built["parent"].tolist() == [-1, 0, 1]


def test_device_work_does_not_nest() -> None:
    """Kernels that lie inside a longer one on their stream have no parent."""
    built = module([Ev("dev.kernel", "long", 0, 100), Ev("dev.kernel", "short", 10, 5)])
    assert built["parent"].tolist() == [-1, -1]


def test_crossing_siblings_are_reported() -> None:
    """Events that overlap without nesting become a health finding with their count."""
    built = module([Ev("host.op", "a", 0, 10, "t"), Ev("host.op", "b", 5, 10, "t")])
    (finding,) = built.health
    assert (finding.code, finding.level, finding.count) == ("nesting_broken", "info", 1)
    assert built["parent"].tolist() == [-1, -1]


def test_an_empty_module_can_be_built_and_asked() -> None:
    """No event is no special case."""
    built = module([])
    assert (len(built), built.span_ns, len(built.kernels), built.extent()) == (0, 0, 0, None)
    assert not verify(built)
    with pytest.raises(KeyError):
        built.row_of(0)
