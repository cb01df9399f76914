"""`without_dead`: the module that the accessors show, without the rows that they skip."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.build import Ev, annotate, module
from tests.conftest import ROOT
from tests.windows.made import modules, with_edges, with_tree
from traceir.ir import Annotation, Module, Written
from traceir.ir.module import EDGE_KINDS
from traceir.ir.verify import verify
from traceir.ir.window import extern_ids, without_dead
from traceir.passing import PassManager
from traceir.passing.report import to_json

Load = Callable[[str], tir.Module]
Edges = list[tuple[int, int, str]]


def killed(item: tir.Module, *ids: int) -> tir.Module:
    """The module with some events removed."""
    return item.with_columns({"live": ~np.isin(item["id"], ids)})


def edges_of(item: tir.Module) -> Edges:
    """All edges by ids, in order."""
    edge, id = item.tables["edge"], item["id"]
    ends = zip(id[edge["src"]].tolist(), id[edge["dst"]].tolist(), edge["kind"].tolist(), strict=True)
    return sorted((src, dst, EDGE_KINDS[kind]) for src, dst, kind in ends)


def id_of(event: tir.Event | None) -> int | None:
    return None if event is None else event.id


def nested() -> tir.Module:
    """Three nested ops and a launch, two kernels, a table of pairs of events, sums, and what is said of the module."""
    item = module(
        [
            Ev("host.op", "a", 0, 100, "cpu"),
            Ev("host.op", "b", 1, 90, "cpu"),
            Ev("rt.launch", "launch", 5, 5, "cpu"),
            Ev("dev.kernel", "k", 20, 5, launch=2),
            Ev("dev.kernel", "l", 30, 5),
        ]
    )
    item = with_tree(item, "t", [tir.Region("step", "s.0"), tir.Region("step", "s.1")], [-1, -1, -1, 0, 1])
    item = with_edges(item, [(4, 3, "flow"), (1, 2, "enqueue")])
    pairs = {"pairs.prev": np.array([-1, 3, 4, -1], np.int32), "pairs.next": np.array([3, 4, -1, -1], np.int32)}
    item = item.with_table("pairs", pairs).with_table("sums", {"sums.total": np.array([7])})
    item = item.with_columns({"x.all": np.array([5])}, "module")
    item = item.with_columns({"x.why": np.array([1, 2, 3])}, "edge")
    declared = [
        Annotation("pairs.prev", "table:pairs", "id"),
        Annotation("pairs.next", "table:pairs", "id"),
        Annotation("sums.total", "table:sums"),
        Annotation("x.all", "module"),
        Annotation("x.why", "edge"),
    ]
    written = {one.name: Written(one, None) for one in declared}
    return attrs.evolve(item, annotations={**item.annotations, **written})


class TestWithoutDead:
    def test_all_live_is_the_module_itself(self) -> None:
        item = nested()
        assert without_dead(item) is item

    def test_parents_and_launches_come_from_the_nearest_live_ancestor(self) -> None:
        item = without_dead(killed(nested(), 1, 2))
        assert item["id"].tolist() == [0, 3, 4]
        assert item.live.all()
        assert id_of(item.event(item.row_of(3)).launch) == 0
        assert edges_of(item) == [(0, 3, "launch"), (4, 3, "flow")]
        assert item["x.why"].tolist() == [1, 2]
        assert not tir.verify(item, ["V13", "V16", "V18"])
        assert "table:extern" not in item.tables

    def test_a_launch_without_a_live_ancestor_is_none(self) -> None:
        item = without_dead(killed(nested(), 0, 1, 2))
        assert edges_of(item) == [(4, 3, "flow")]
        assert (item.launch == -1).all()
        assert extern_ids(item).tolist() == []

    def test_what_does_not_speak_of_removed_events_stays(self) -> None:
        """Sums, what is said of the module, all regions, and table rows that refer to a live event or to none."""
        item = without_dead(killed(nested(), 4))
        assert (item["sums.total"].tolist(), item["x.all"].tolist()) == ([7], [5])
        assert [item.tree("t").region_name(at) for at in range(2)] == ["s.0", "s.1"]
        assert (item["pairs.prev"].tolist(), item["pairs.next"].tolist()) == ([-1, 3, -1], [3, -1, -1])

    def test_freshness_is_kept(self) -> None:
        """What was computed from parents and edges is no staler than before, though those are other columns now."""
        item = killed(annotate(nested(), Annotation("x.n"), {3: 1}), 1)
        inputs = tuple((name, item.token(name)) for name in ("parent", "edges", "live", "ts"))
        annotations = {
            **item.annotations,
            "x.n": Written(Annotation("x.n"), None, inputs),
            "x.all": Written(Annotation("x.all", "module"), None, (("parent", 0),)),
        }
        item = without_dead(attrs.evolve(item, annotations=annotations))
        assert (item.stale("x.n"), item.stale("x.all")) == (False, True)

    def test_a_window_of_it_declares_nothing_removed(self) -> None:
        """And references that an earlier window cut stay declared for the live."""
        item = killed(nested(), 1)
        assert extern_ids(without_dead(item).window(np.array([1]))).tolist() == [0, 3]
        cut = killed(nested().window(np.array([1, 2, 4])), 1)
        assert extern_ids(cut).tolist() == [0, 3]
        assert extern_ids(without_dead(cut)).tolist() == [3]

    @given(modules(), st.data())
    def test_it_says_what_the_accessors_say(self, item: tir.Module, data: st.DataObject) -> None:
        dead = data.draw(st.lists(st.sampled_from(item["id"].tolist()), unique=True))
        item = killed(item, *dead)
        clean = without_dead(item)
        assert clean["id"].tolist() == item["id"][item.live].tolist()
        for row in range(len(clean)):
            one = clean.event(row)
            other = item.event(item.row_of(one.id))
            assert (one.name, one.ts, one.lane.name) == (other.name, other.ts, other.lane.name)
            assert id_of(one.parent) == id_of(other.parent)
            assert id_of(one.launch) == id_of(other.launch)
        alive = [edge for edge in edges_of(item) if not {edge[0], edge[1]} & set(dead)]
        assert [edge for edge in edges_of(clean) if edge[2] != "launch"] == [e for e in alive if e[2] != "launch"]
        assert extern_ids(clean).tolist() == []
        assert without_dead(clean) is clean
        mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(clean), max_size=len(clean))), bool)
        assert set(extern_ids(clean.window(mask)).tolist()).isdisjoint(dead)

    def test_reports_say_the_same(self) -> None:
        """Totals are over live events anyway: what every pass reports is the same without the dead ones."""
        item = tir.load(ROOT / "examples" / "decoder_tp8_graph.json.gz")
        _same_reports(item.with_columns({"live": item["id"] % 7 != 3}))

    @pytest.mark.parametrize("name", ["sgl_dec", "b200", "qwen_h100", "nccl", "event_sync_multi"])
    def test_reports_of_real_traces_say_the_same(self, load_shared: Load, name: str) -> None:
        item = load_shared(name)
        _same_reports(item.with_columns({"live": item["id"] % 11 != 3}))


def _same_reports(item: Module) -> None:
    manager = PassManager.parse("default")
    item = manager.run(item)
    clean = without_dead(item)
    assert len(clean) < len(item)
    # The launch of a removed call comes from the op around it, which V14 does not know of any recorded launch.
    assert not [found for found in tir.verify(clean) if found.level == "error" and found.rule != "V14"]
    assert not [name for name in clean.annotations if clean.stale(name) != item.stale(name)]
    wanted, found = manager.reports(item), manager.reports(clean)
    assert wanted
    assert {name: to_json(one) for name, one in found.items()} == {name: to_json(one) for name, one in wanted.items()}
    again = manager.reports(PassManager.parse("default").run(clean))
    assert again.keys() == wanted.keys()


def test_what_refers_to_an_edge_follows_it() -> None:
    """Edges go with removed events: a reference to one that stays moves up, one to one that went is null."""
    calls = [Ev("rt.launch", "launch", 10 * i, 1, "cpu") for i in range(3)]
    kernels = [Ev("dev.kernel", "k", 10 * i + 5, 1, launch=i) for i in range(3)]
    whole = module([*calls, *kernels])
    whole = whole.with_columns({"live": ~np.isin(whole["id"], [0, 3])})
    edges = whole.tables["edge"]
    kernel = whole["id"][edges["dst"]]  # the kernel of each edge
    whole = whole.with_columns({"x.edge": np.arange(3, dtype=np.int32)[np.newaxis].repeat(2, 0).ravel()})
    given = Annotation("x.edge", dtype="id", unit="edge", doc="An edge.")
    whole = attrs.evolve(whole, annotations={"x.edge": Written(given, None)})
    live = without_dead(whole)
    left = live["id"][live.tables["edge"]["dst"]].tolist()
    asked = kernel[whole["x.edge"][whole.live]].tolist()
    assert [left[row] if row >= 0 else None for row in live["x.edge"].tolist()] == [
        id if id in left else None for id in asked
    ]
    assert None in [id if id in left else None for id in asked]
    assert "table:extern" not in live.tables
    assert verify(live) == ()
