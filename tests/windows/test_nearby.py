"""`around` and `limit`: the nearest events, and how many of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.build import Ev, module
from tests.windows.made import decode, ids_of, modules, with_edges
from traceir.ir import Table
from traceir.windows import around, limit

Load = Callable[[str], tir.Module]


def by_hops(item: tir.Module, ids: list[int], hops: int) -> list[set[int]]:
    """The rows first reached at each hop, found one event at a time."""
    parent, edge = item["parent"].tolist(), item.tables["edge"]
    pairs = list(zip(edge["src"].tolist(), edge["dst"].tolist(), strict=True))
    pairs += [(up, row) for row, up in enumerate(parent) if up >= 0]
    for lane in range(len(item.lanes)):
        rows = np.flatnonzero(item["lane"] == lane).tolist()
        pairs += list(itertools.pairwise(rows))
    found = [{item.row_of(id) for id in ids}]
    for _ in range(hops):
        known = set().union(*found)
        reached = {b for a, b in pairs if a in known} | {a for a, b in pairs if b in known}
        found.append(reached - known)
    return found


def fan_out(kernels: int = 544) -> tir.Module:
    """A graph launch under two ops, with very many kernels; ids: 0 outer, 1 inner, 2 launch, then the kernels."""
    events = [
        Ev("host.frame", "outer", 0, 100, "cpu"),
        Ev("host.op", "inner", 5, 90, "cpu"),
        Ev("rt.graph_launch", "launch", 10, 20, "cpu"),
    ]
    return module(events + [Ev("dev.kernel", f"k{k % 9}", 200 + 10 * k, 8, launch=2) for k in range(kernels)])


class TestAround:
    def test_one_hop_goes_every_way(self) -> None:
        """Parent, children, edges both ways, and the events before and after on the lane."""
        item = with_edges(decode(), [(12, 3, "sync"), (3, 6, "flow")])
        assert ids_of(item, around(item, [3]).rows) == [1, 2, 3, 4, 6, 12]
        assert ids_of(item, around(item, [1]).rows) == [0, 1, 2, 3, 4, 5, 6]
        assert ids_of(item, around(item, [12], 0).rows) == [12]

    def test_a_launch_does_not_crowd_out_its_parent(self) -> None:
        """Every relation has its turn; among the kernels of the launch the nearest to the one asked for are taken."""
        item = fan_out()
        chosen = around(item, [303], hops=3, limit=20)
        found = ids_of(item, chosen.rows)
        assert [id for id in found if id < 3] == [1, 2]
        kernels = [id for id in found if id >= 3]
        assert len(kernels) == 18
        assert kernels == list(range(kernels[0], kernels[0] + 18))
        assert abs((kernels[0] + kernels[-1]) / 2 - 303) <= 1
        assert chosen.note == (
            "The limit of 20 events was reached at hop 2 of 3 around %303: of the 542 events there 16 are taken, "
            "and none beyond them; raise the limit or lower the hops."
        )

    def test_without_a_cut_there_is_no_note(self) -> None:
        item = fan_out(10)
        assert around(item, [5], hops=9, limit=len(item)).note is None
        assert len(around(item, [5], hops=9, limit=len(item)).rows) == len(item)
        assert around(item, [5, 6, 5], hops=0, limit=2).note is None
        few = around(item, [9, 6, 5], hops=1, limit=2)
        assert ids_of(item, few.rows) == [6, 9]
        assert few.note == "Only the first 2 of the 3 events named are taken; raise the limit."

    def test_refusals(self) -> None:
        for ids, hops, most, sentence in (
            ([], 1, 1, "No event was named to look around; name at least one, such as %8812."),
            ([99], 1, 1, "There is no event %99 here; ids run from %0 to %12, the nearest is %12."),
            ([1], -1, 1, "The number of hops is -1, and it has to be 0 or more."),
            ([1], 1, 0, "The limit of events is 0, and it has to be 1 or more."),
        ):
            with pytest.raises(tir.UsageError) as error:
                around(decode(), ids, hops, most)
            assert str(error.value) == sentence

    @given(modules(), st.data(), st.integers(0, 4))
    def test_it_is_the_search_by_breadth(self, item: tir.Module, data: st.DataObject, hops: int) -> None:
        """Without a limit just what is within the hops; with one as many, nearer hops whole, and more never fewer."""
        ids = data.draw(st.lists(st.sampled_from(item["id"].tolist()), min_size=1, max_size=3, unique=True))
        layers = by_hops(item, ids, hops)
        whole = around(item, ids, hops)
        assert set(whole.rows.tolist()) == set().union(*layers)
        assert whole.note is None
        before: set[int] = set()
        for most in range(len(ids), len(whole.rows) + 1):
            chosen = around(item, ids, hops, most)
            rows = set(chosen.rows.tolist())
            assert len(rows) == most
            assert before <= rows
            assert (chosen.note is None) == (most == len(whole.rows))
            inner: set[int] = set()
            for layer in layers:
                assert inner <= rows or not rows & layer
                inner |= layer
            before = rows

    @given(modules(), st.data())
    def test_the_order_of_edges_does_not_matter(self, item: tir.Module, data: st.DataObject) -> None:
        edge = item.tables["edge"]
        order = np.array(data.draw(st.permutations(range(len(edge)))), np.int64)
        turned = Table.of("edge", {name: edge[name][order] for name in edge}, len(edge))
        other = attrs.evolve(item, tables={**item.tables, "edge": turned}, derived={})
        for most in range(1, len(item) + 1):
            ids = [int(item["id"][0])]
            assert around(item, ids, 3, most).rows.tolist() == around(other, ids, 3, most).rows.tolist()

    def test_a_real_graph_launch(self, load_shared: Load) -> None:
        """Two hops from a kernel inside a graph replay are the launch and its hundreds of kernels, or the limit."""
        item = load_shared("sgl_dec")
        graph = int(np.bincount(item.launch[item.launch >= 0]).argmax())
        kernels = np.flatnonzero(item.launch == graph)
        id = int(item["id"][kernels[len(kernels) // 2]])
        assert set(kernels.tolist()) <= set(around(item, [id], 2, 5000).rows.tolist())
        few = around(item, [id], 2, 60).rows
        assert len(few) == 60
        assert {graph, int(item.parent[graph])} <= set(few.tolist())


class TestLimit:
    @given(modules(), st.data())
    def test_it_takes_the_first_in_time(self, item: tir.Module, data: st.DataObject) -> None:
        """None that is left out starts before one that is taken; the note is there exactly if some are left out."""
        mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(item), max_size=len(item))), bool)
        most = data.draw(st.integers(1, len(item)))
        chosen = limit(item, mask, most)
        rest = np.setdiff1d(np.flatnonzero(mask), chosen.rows)
        assert len(chosen.rows) == min(most, int(mask.sum()))
        assert set(chosen.rows.tolist()) <= set(np.flatnonzero(mask).tolist())
        assert not len(rest) or item["ts"][rest].min() >= item["ts"][chosen.rows].max()
        assert (chosen.note is None) == (not len(rest))
        assert limit(item, np.flatnonzero(mask)[::-1], most).rows.tolist() == chosen.rows.tolist()

    def test_the_note_has_both_numbers(self) -> None:
        note = limit(fan_out(1500), np.ones(1503, bool), 1200).note
        assert note == "Only the first 1\u00a0200 of 1\u00a0503 events are taken; raise the limit or choose fewer."
        with pytest.raises(tir.UsageError, match=r"^The limit of events is 0, and it has to be 1 or more\.$"):
            limit(decode(), np.ones(13, bool), 0)
