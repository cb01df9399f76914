"""Windows, equality and exports: parts of a module that keep saying what the whole said."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.build import Ev, annotate, module
from traceir.ir import Annotation, PassRecord, Written
from traceir.ir.equality import difference
from traceir.ir.export import to_networkx, to_numpy
from traceir.ir.verify import verify
from traceir.ir.window import extern_ids
from traceir.passing import PassManager
from traceir.passing.instruments import Verify

Load = Callable[[str], tir.Module]


def annotated() -> tir.Module:
    """A launch under an op, two kernels of two layers, a gap table, texts, and an annotation bound to its inputs."""
    item = module(
        [
            Ev("host.op", "op", 0, 50, "cpu"),
            Ev("rt.graph_launch", "launch", 10, 5, "cpu"),
            Ev("dev.kernel", "a", 30, 10, launch=1),
            Ev("dev.kernel", "b", 45, 10, launch=1),
        ]
    )
    regions = [tir.Region("step", "s"), tir.Region("layer", "l0", 0, 0), tir.Region("layer", "l1", 1, 0)]
    item = item.with_tree("t", regions, [-1, -1, 1, 2])
    item = item.with_columns({"g.sure": np.array([1.0, 0.5, np.nan])}, "region:t")
    item = item.with_table("gaps", {"gaps.prev": np.array([-1, 2, 3]), "gaps.next": np.array([2, 3, -1])})
    item = item.with_table("gaps", {name: item[name].astype(np.int32) for name in ("gaps.prev", "gaps.next")})
    item = annotate(item, Annotation("x.text", dtype="str"), {2: "first", 3: "second"})
    written = {
        "g.sure": Written(Annotation("g.sure", "region:t", "f64"), 0),
        "tree.t": Written(Annotation("tree.t", dtype="id"), 0, (("ts", item.token("ts")),)),
        "gaps.prev": Written(Annotation("gaps.prev", "table:gaps", "id"), 0, (("ts", 0),)),
        "gaps.next": Written(Annotation("gaps.next", "table:gaps", "id"), 0),
    }
    return attrs.evolve(item, annotations={**item.annotations, **written}, passes=(PassRecord("x", "x{a=1}"),))


def randomly(data: st.DataObject) -> tir.Module:
    """A module of random nested events with random launches, a tree and a table."""
    events = data.draw(
        st.lists(st.tuples(st.sampled_from(["cpu", "gpu0.s1"]), st.integers(0, 20), st.integers(0, 9)), max_size=15)
    )
    hosts = [i for i, event in enumerate(events) if event[0] == "cpu"]
    launch = st.one_of(st.none(), st.sampled_from(hosts)) if hosts else st.none()
    item = module(
        [
            Ev(
                "rt.launch" if lane == "cpu" else "dev.kernel",
                f"n{i % 3}",
                ts,
                dur,
                lane,
                data.draw(launch) if lane != "cpu" else None,
            )
            for i, (lane, ts, dur) in enumerate(events)
        ]
    )
    parents = data.draw(st.lists(st.integers(-1, 3), min_size=3, max_size=3))
    regions = [tir.Region("layer", f"r{i}", i, min(p, i - 1)) for i, p in enumerate(parents)]
    item = item.with_tree("t", regions, data.draw(st.lists(st.integers(-1, 2), min_size=len(item), max_size=len(item))))
    refs = data.draw(st.lists(st.integers(-1, len(item) - 1), min_size=1, max_size=5))
    item = item.with_table("refs", {"refs.to": np.array(refs, np.int32)})
    written = {
        "tree.t": Written(Annotation("tree.t", dtype="id"), None),
        "refs.to": Written(Annotation("refs.to", "table:refs", "id"), None),
    }
    return attrs.evolve(item, annotations=written)


class TestWindow:
    """`Module.window`."""

    def test_what_stays_and_what_becomes_extern(self) -> None:
        """Ids, times and texts stay; a cut parent and a cut launch are declared; tree and table keep what they need."""
        item = annotated().window(np.array([3]))
        assert item["id"].tolist() == [3]
        assert (item["ts"].tolist(), item.text("x.text")) == ([45], ["second"])
        assert extern_ids(item).tolist() == [1]
        assert item.text("extern.relation") == ["launch"]
        assert item["extern.outgoing"].tolist() == [False]
        tree = item.tree("t")
        assert [tree.region_name(i) for i in range(len(tree))] == ["s", "l1"]
        assert (tree.parent.tolist(), tree.leaf.tolist()) == ([-1, 0], [1])
        assert item["g.sure"][0] == 1.0
        assert (item["gaps.prev"].tolist(), item["gaps.next"].tolist()) == ([-1, 0], [0, -1])
        assert not verify(item)

    def test_a_window_from_the_other_end(self) -> None:
        """The launch alone declares its parent and both kernels."""
        item = annotated().window(np.array([False, True, False, False]))
        assert extern_ids(item).tolist() == [0, 2, 3]
        assert item.text("extern.relation") == ["parent", "launch", "launch"]
        assert item["parent"].tolist() == [-1]

    def test_cut_references_stand_in_one_order(self) -> None:
        """By row, relation, direction and id, whatever the order of the edges and of the cuts."""
        item = annotated()
        edge = item.tables["edge"]
        columns = {
            "src": np.array([3, 1, 2, 1, 0, 3], np.int32),
            "dst": np.array([1, 3, 1, 2, 1, 1], np.int32),
            "kind": np.array([2, 0, 2, 0, 3, 3], edge["kind"].dtype),
        }
        item = attrs.evolve(item, tables={**item.tables, "edge": tir.ir.Table.of("edge", columns)}, derived={})
        cut = item.window(np.arange(3)).window(np.arange(1, 3)).window(np.arange(1))
        found = list(
            zip(cut["extern.row"], cut.text("extern.relation"), cut["extern.outgoing"], cut["extern.id"], strict=True)
        )
        assert found == [
            (0, "parent", False, 0),
            (0, "launch", True, 2),
            (0, "launch", True, 3),
            (0, "sync", False, 2),
            (0, "sync", False, 3),
            (0, "flow", False, 0),
            (0, "flow", False, 3),
        ]
        assert cut.equals(item.window(np.array([1])))

    def test_a_window_without_cut_references_has_no_table_of_them(self) -> None:
        """Whatever windows it was cut from."""
        item = module([Ev("dev.kernel", "a", 0, 5), Ev("host.op", "b", 0, 9, "cpu"), Ev("host.op", "c", 1, 2, "cpu")])
        first = item.window(np.array([0, 2]))
        assert extern_ids(first).tolist() == [1]
        assert "table:extern" not in first.window(np.array([0])).tables
        assert first.window(np.array([0])).equals(item.window(np.array([0])))

    def test_freshness_is_kept(self) -> None:
        """What was fresh is fresh in the window, what was stale is stale, and changing the window makes stale."""
        whole = annotated()
        item = whole.window(np.arange(3))
        assert (whole.stale("tree.t"), whole.stale("gaps.prev")) == (False, True)
        assert (item.stale("tree.t"), item.stale("gaps.prev")) == (False, True)
        assert item.with_columns({"ts": item["ts"] + 1}).stale("tree.t")

    def test_ids_of_other_tables_follow(self) -> None:
        """An id column whose unit names a table holds rows of that table, and follows its rows."""
        item = annotated().with_columns({"x.gap": np.array([-1, -1, 0, 2], np.int32)})
        written = Written(Annotation("x.gap", dtype="id", unit="table:gaps"), None)
        item = attrs.evolve(item, annotations={**item.annotations, "x.gap": written}).window(np.array([3]))
        assert item["x.gap"].tolist() == [1]

    def test_sums_over_the_whole_are_dropped(self) -> None:
        """A table that speaks of no event, and what is said of the module, would be wrong of a part; a table that
        others refer to keeps the rows that they need."""
        item = annotated().with_table("sums", {"sums.total": np.array([1, 2])})
        item = item.with_table("forms", {"forms.bytes": np.array([10, 20, 30])})
        item = item.with_table("members", {"members.of": np.array([2, 0]), "members.event": np.array([3, 2])})
        item = item.with_table("members", {name: item[name].astype(np.int32) for name in item.tables["table:members"]})
        item = item.with_columns({"x.all": np.zeros(1, np.int64)}, "module")
        declared = [
            Annotation("sums.total", "table:sums"),
            Annotation("forms.bytes", "table:forms"),
            Annotation("members.of", "table:members", "id", unit="table:forms"),
            Annotation("members.event", "table:members", "id"),
            Annotation("x.all", "module"),
        ]
        written = {annotation.name: Written(annotation, None) for annotation in declared}
        cut = attrs.evolve(item, annotations={**item.annotations, **written}).window(np.array([1, 3]))
        assert "sums.total" not in cut
        assert "x.all" not in cut
        assert (cut["forms.bytes"].tolist(), cut["members.of"].tolist()) == ([30], [0])
        assert cut["members.event"].tolist() == [1]
        assert not verify(cut)

    @pytest.mark.parametrize("order", [("a", "b", "c"), ("c", "b", "a"), ("b", "c", "a")])
    def test_tables_that_refer_to_each_other_stay_in_any_order(self, order: tuple[str, ...]) -> None:
        """An event needs a row of `a`, which needs one of `b`, which needs another of `a` and one of `c`; `c` has a
        chain of its own."""
        refers = {"a.b": [1, -1, 0], "b.a": [-1, 2], "b.c": [0, 2], "c.next": [-1, 0, 1]}
        item = annotated().with_columns({"x.a": np.array([-1, -1, 1, 0], np.int32)})
        declared = [Annotation("x.a", dtype="id", unit="table:a")]
        for name in order:
            columns = {key: np.array(rows, np.int32) for key, rows in refers.items() if key.startswith(name)}
            item = item.with_table(name, columns)
            declared += [
                Annotation(key, f"table:{name}", "id", unit=f"table:{key[-1] if key != 'c.next' else 'c'}")
                for key in columns
            ]
        written = {annotation.name: Written(annotation, None) for annotation in declared}
        cut = attrs.evolve(item, annotations={**item.annotations, **written}).window(np.array([3]))
        found = {key: cut[key].tolist() for key in refers}
        assert found == {"a.b": [1, 0], "b.a": [-1, 1], "b.c": [0, 2], "c.next": [-1, 0, 1]}
        assert cut["x.a"].tolist() == [0]
        assert not verify(cut)

    @given(st.data())
    def test_a_window_is_sound_and_windows_compose(self, data: st.DataObject) -> None:
        """No rule of level error breaks; a window of a window is the window of both; all rows change nothing."""
        item = randomly(data)
        assert item.window(np.ones(len(item), bool)) is item
        outer = np.array(data.draw(st.lists(st.booleans(), min_size=len(item), max_size=len(item))), bool)
        inner = outer & np.array(data.draw(st.lists(st.booleans(), min_size=len(item), max_size=len(item))), bool)
        first = item.window(outer)
        assert not [found for found in verify(first) if found.level == "error"]
        both = first.window(np.isin(first["id"], item["id"][inner]))
        once = item.window(inner)
        assert difference(both.window(np.arange(len(both))), both) is None
        assert both["id"].tolist() == once["id"].tolist()
        assert extern_ids(both).tolist() == extern_ids(once).tolist()
        assert difference(both, once) is None
        assert [both.event(i).ts for i in range(len(both))] == [once.event(i).ts for i in range(len(once))]
        src, dst = once.edges("launch")
        assert src.tolist() == both.edges("launch")[0].tolist()
        assert dst.tolist() == both.edges("launch")[1].tolist()

    def test_a_window_of_a_real_trace(self, load_shared: Load) -> None:
        """The kernels of one graph launch, with it: 544 launches stay, the launch's parent is declared."""
        item = load_shared("sgl_dec")
        counts = np.bincount(item.launch[item.launch >= 0], minlength=len(item))
        graph = int(counts.argmax())
        rows = np.flatnonzero(item.launch == graph)
        cut = item.window(np.append(rows, graph))
        assert len(cut) == len(rows) + 1 > 100
        assert len(cut.edges("launch")[0]) == len(rows)
        parent = item.event(graph).parent
        assert extern_ids(cut).tolist() == ([] if parent is None else [parent.id])
        assert not [found for found in verify(cut) if found.level == "error"]

    def test_the_passes_run_on_a_window(self, load_shared: Load) -> None:
        """A window with its annotations is a module like any other: the default passes run over it again."""
        whole = PassManager.parse("default").run(load_shared("b200"))
        roles = whole.text("infer.role")
        cut = whole.window(whole.select(kind="dev", where=np.arange(len(whole)) > len(whole) // 2).rows)
        assert not [found for found in verify(cut) if found.level == "error"]
        assert cut.text("infer.role") == [roles[whole.row_of(int(id))] for id in cut["id"]]
        again = PassManager.parse("default", instruments=[Verify()]).run(cut)
        assert again["id"].tolist() == cut["id"].tolist()


class TestEquality:
    """`Module.equals` compares what modules say, not how they hold it."""

    def test_codes_may_differ(self) -> None:
        """Another order of pool and kinds, and unused strings, make no difference."""
        item = annotated()
        texts = (*reversed(item.strings.texts), "unused")
        recode = np.array([texts.index(text) for text in item.strings.texts] + [-1], np.int32)
        kinds = tuple(reversed(item.kinds))
        rekind = np.array([kinds.index(kind) for kind in item.kinds], np.uint16)
        tables = dict(item.tables)
        event, region = tables["event"], tables["region:t"]
        tables["event"] = event.with_columns(
            {"name": recode[event["name"]], "x.text": recode[event["x.text"]], "kind": rekind[event["kind"]]}
        )
        tables["region:t"] = region.with_columns({"kind": recode[region["kind"]], "name": recode[region["name"]]})
        other = attrs.evolve(item, strings=tir.Strings(texts), kinds=kinds, tables=tables, derived={})
        assert difference(item, other) is None
        assert item.equals(other)

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            (lambda m: attrs.evolve(m, name="n"), "The name differ: 'test' and 'n'."),
            (lambda m: attrs.evolve(m, meta={**m.meta, "rank": 1}), "The metadata differ: only one has rank."),
            (lambda m: attrs.evolve(m, meta={"origin_ns": 5}), "The metadata differ in origin_ns: None and 5."),
            (
                lambda m: m.with_columns({"dur": m["dur"] + [0, 0, 0, 1]}),
                "The column dur of event differs, first in row 3.",
            ),
            (lambda m: m.with_columns({"ts": m["ts"].astype(float)}), "The column ts of event is int64 and float64."),
            (lambda m: m.with_columns({"y.z": m["ts"]}), "The columns of event differ: only one has y.z."),
            (lambda m: m.with_texts("x.text", [None] * 4), "The column x.text of event differs, first in row 2."),
            (
                lambda m: m.with_columns({"dst": m.tables["edge"]["dst"][[1, 1]]}, "edge"),
                "The column dst of edge differs, first in row 0.",
            ),
            (
                lambda m: m.with_columns({"g.sure": np.array([1.0, 0.5, 0.0])}, "region:t"),
                "The column g.sure of region:t differs, first in row 2.",
            ),
            (lambda m: m.with_table("new", {"new.x": np.zeros(1)}), "The tables differ: only one has table:new."),
            (lambda m: m.with_table("gaps", {"gaps.x": np.zeros(1)}), "The table table:gaps has 3 and 1 rows."),
            (lambda m: attrs.evolve(m, passes=()), "The passes differ"),
            (lambda m: m.with_health(tir.Finding("x", "info", 1, "X.")), "The health differ"),
            (lambda m: attrs.evolve(m, annotations={}), "The annotations differ: only one has"),
        ],
    )
    def test_every_part_counts(self, change: Callable[[tir.Module], tir.Module], sentence: str) -> None:
        """A difference in any part is found, in both directions, and said in a sentence."""
        item = annotated()
        other = change(item)
        found = difference(item, other)
        assert found is not None
        assert found.startswith(sentence)
        assert not other.equals(item)

    def test_the_order_of_edges_does_not_count(self) -> None:
        """Edges are a set; their annotations go with them."""
        item = annotated().with_columns({"e.x": np.array([1, 2])}, "edge")
        edge = item.tables["edge"]
        turned = attrs.evolve(
            item, tables={**item.tables, "edge": tir.ir.Table.of("edge", {k: edge[k][::-1] for k in edge})}
        )
        assert item.equals(turned)
        assert not item.equals(item.with_columns({"e.x": np.array([2, 1])}, "edge"))

    def test_loading_twice_gives_equal_modules(self, load_shared: Load, shared: Callable[[str], object]) -> None:
        """The same file gives the same module, whatever the tokens."""
        assert load_shared("event_sync").equals(tir.load(str(shared("event_sync"))))


class TestExports:
    """`to_networkx` and `to_numpy`."""

    def test_the_graph_has_events_and_their_edges(self) -> None:
        """Nodes by id with attributes and asked columns; recorded edges always, nest and stream on request."""
        item = annotated()
        graph = to_networkx(item, columns=["x.text"])
        assert sorted(graph) == [0, 1, 2, 3]
        assert graph.nodes[2] == {
            "kind": "dev.kernel", "name": "a", "ts": 30, "dur": 10, "lane": "gpu0.s7", "x.text": "first",
        }  # fmt: skip
        assert sorted(graph.edges(data="kinds")) == [(1, 2, ("launch",)), (1, 3, ("launch",))]
        full = to_networkx(item, nest=True, stream=True)
        assert set(full.edges) - set(graph.edges) == {(0, 1), (2, 3)}
        assert nx.is_directed_acyclic_graph(full)
        assert nx.immediate_dominators(full, 0)[3] == 1

    def test_only_chosen_events_are_there(self) -> None:
        """Edges to events that were not chosen are not; two ways to be joined are one edge of two kinds."""
        item = annotated()
        assert not to_networkx(item.kernels).edges
        twice = attrs.evolve(
            item,
            tables={
                **item.tables,
                "edge": tir.ir.Table.of(
                    "edge",
                    {
                        "src": np.array([1, 1], np.int32),
                        "dst": np.array([2, 2], np.int32),
                        "kind": np.array([0, 3], np.int8),
                    },
                ),
            },
        )
        assert to_networkx(twice).edges[1, 2]["kinds"] == ("launch", "flow")

    def test_a_graph_beyond_the_limit_is_refused(self) -> None:
        """The sentence has both numbers and the mend."""
        with pytest.raises(
            tir.UsageError, match=r"A graph of 4 events was asked for, and the limit is 3: select fewer"
        ):
            to_networkx(annotated(), limit=3)

    def test_numpy_arrays_speak_of_ids_and_texts(self) -> None:
        """Texts are str, references ids, null is None or -1; removed events are left out."""
        item = annotated()
        values = to_numpy(item, ["id", "kind", "name", "lane", "ts", "parent", "launch", "x.text", "tree.t"])
        assert values["launch"].tolist() == [-1, -1, 1, 1]
        assert values["parent"].tolist() == [-1, 0, -1, -1]
        assert values["kind"].tolist() == ["host.op", "rt.graph_launch", "dev.kernel", "dev.kernel"]
        assert values["lane"].tolist() == ["cpu", "cpu", "gpu0.s7", "gpu0.s7"]
        assert values["x.text"].tolist() == [None, None, "first", "second"]
        assert values["tree.t"].tolist() == [-1, -1, 1, 2]
        assert to_numpy(item.kernels, ["id"])["id"].tolist() == [2, 3]
        with pytest.raises(tir.UsageError, match=r"The column gaps.next is on table:gaps"):
            to_numpy(item, ["gaps.next"])


def test_what_refers_to_a_table_that_is_dropped_is_null() -> None:
    """A lane's column of rows of a table that sums up the whole loses its meaning with it."""
    whole = module([Ev("host.op", "a", 0, 1, "cpu"), Ev("host.op", "b", 2, 1, "cpu")])
    whole = whole.with_table("sums", {"x.total": np.array([4, 5])}).with_columns(
        {"x.sum": np.array([1], np.int32)}, "lane"
    )
    given = (
        Annotation("x.total", "table:sums", doc="A sum."),
        Annotation("x.sum", "lane", "id", "table:sums", doc="Its sum."),
    )
    whole = attrs.evolve(whole, annotations={item.name: Written(item, None) for item in given})
    assert verify(whole) == ()
    part = whole.window(np.array([0]))
    assert "table:sums" not in part.tables
    assert part["x.sum"].tolist() == [-1]
    assert verify(part) == ()
