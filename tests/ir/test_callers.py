"""Callers and origins: up the nest tree, and over to the thread that asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from traceir.ir.callers import Callers, nearest
from traceir.text import parse

CHAIN = """#[traceir "1"]
module @m {clock="ns"} {
  lane @cpu.1 : host.thread {pid=1, tid=1};
  lane @cpu.2 : host.thread {pid=1, tid=2};
  lane @npu0.s7 : dev.stream {device=0, stream=7};
  %0 = host.op("aten::add") @cpu.1 [0 +10];
  %1 = host.op("aclnnAdd") @cpu.1 [1 +8] in %0;
  %2 = rt.call("Enqueue") @cpu.1 [2 +3] in %1;
  %3 = host.frame("worker") @cpu.2 [0 +99];
  %4 = rt.call("Dequeue@aclnnAdd") @cpu.2 [20 +30] in %3 enqueue %2;
  %5 = rt.launch("Node@launch") @cpu.2 [30 +5] in %4 enqueue %1;
  %6 = dev.kernel("Add") @npu0.s7 [60 +5] <- %5;
  %7 = rt.launch("Node@launch") @cpu.2 [70 +5] in %3;
}
"""


def by_id(item: tir.Module, rows: np.ndarray) -> dict[int, int]:
    """A column of rows as ids by id, without those that have none."""
    ids = item["id"]
    return {int(ids[at]): int(ids[row]) for at, row in enumerate(rows.tolist()) if row >= 0}


def test_the_outermost_edge_of_a_thread_leads_on() -> None:
    """Inner calls climb to it, whatever edges they have themselves; what stands above it says nothing of the work."""
    item = parse(CHAIN)
    assert by_id(item, item.caller) == {1: 0, 2: 1, 4: 2, 5: 4, 7: 3}
    assert by_id(item, item.origin) == {0: 0, 1: 1, 2: 2, 3: 3, 4: 2, 5: 2, 6: 6, 7: 7}


def test_without_edges_callers_are_parents() -> None:
    """The very column, so that traces without such a layer are read as ever."""
    item = parse(CHAIN.replace(" enqueue %2", "").replace(" enqueue %1", ""))
    assert item.caller is item.parent
    assert (item.origin == np.arange(len(item))).all()


def test_a_removed_source_gives_way_to_what_encloses_it() -> None:
    """As for launches."""
    item = parse(CHAIN)
    item = item.with_columns({"live": ~np.isin(item["id"], [2])})
    assert by_id(item, item.caller)[4] == 1
    assert by_id(item, item.origin)[5] == 1


@pytest.mark.parametrize("edges", [[(1, 0)], [(0, 2), (2, 0)], [(0, 0)]], ids=["own-child", "each-other", "itself"])
def test_edges_in_a_circle_are_left_out(edges: list[tuple[int, int]]) -> None:
    """Damage must not hang a climb."""
    parent = np.array([-1, 0, -1], np.int32)
    found = Callers.of(parent, *np.array(edges, np.int32).T)
    assert found.caller.tolist() == parent.tolist()
    assert found.origin.tolist() == [0, 1, 2]


@given(st.data())
def test_callers_against_a_walk(data: st.DataObject) -> None:
    """Of forests with edges to later events each chain is what walking event by event gives."""
    n = data.draw(st.integers(1, 12))
    parent = [data.draw(st.integers(-1, at - 1)) for at in range(n)]
    edges = [(data.draw(st.integers(0, at - 1)), at) for at in range(1, n) if data.draw(st.booleans())]
    found = Callers.of(np.array(parent, np.int32), *np.array(edges, np.int32).reshape(-1, 2).T)
    first: dict[int, int] = {}
    for source, target in edges:
        first.setdefault(target, source)

    def handed(at: int) -> int:
        out = -1
        while at >= 0:
            out, at = at if at in first else out, parent[at]
        return out

    for at in range(n):
        inner = handed(at)
        assert found.caller[at] == (first[at] if inner == at else parent[at])
        origin = at
        while (inner := handed(origin)) >= 0:
            origin = first[inner]
        assert found.origin[at] == origin


@given(st.data())
def test_nearest_against_a_walk(data: st.DataObject) -> None:
    """The nearest chosen event-or-self up the chain."""
    n = data.draw(st.integers(1, 12))
    parent = np.array([data.draw(st.integers(-1, at - 1)) for at in range(n)], np.int32)
    chosen = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    for at, told in enumerate(nearest(parent, chosen).tolist()):
        here = at
        while here >= 0 and not chosen[here]:
            here = int(parent[here])
        assert told == here


def test_a_circle_of_parents_ends() -> None:
    """Which no frontend makes, and the verifier reports."""
    assert nearest(np.array([1, 0, -1], np.int32), np.array([False, False, True])).tolist() == [-1, -1, 2]
