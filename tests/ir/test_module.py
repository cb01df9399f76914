"""Modules: removal, selection, views, new modules that share columns, staleness and derived values."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.build import Ev, annotate, module
from traceir.errors import SchemaError
from traceir.ir import Annotation, Written
from traceir.ir.kinds import DevMemcpy


def small() -> tir.Module:
    """A host op with a launch inside, the kernel it launched, and a copy on another stream. Ids are 0..4."""
    return module(
        [
            Ev("host.op", "aten::mm", 0, 100, "cpu"),
            Ev("host.op", "aten::addmm", 5, 80, "cpu"),
            Ev("rt.launch", "cudaLaunchKernel", 10, 5, "cpu"),
            Ev("dev.kernel", "gemm", 50, 30, "gpu0.s7", launch=2),
            Ev("dev.memcpy", "Memcpy DtoH", 60, 40, "gpu0.s20"),
        ]
    )


def without(item: tir.Module, *ids: int) -> tir.Module:
    return item.with_columns({"live": item.live & ~np.isin(item["id"], ids)})


class TestLive:
    """Removal hides events from every accessor and rewrites nothing."""

    def test_dead_events_are_not_selected(self) -> None:
        """A removed event is in no selection and in no total; its row stays."""
        left = without(small(), 3)
        assert [event.id for event in left.select()] == [0, 1, 2, 4]
        assert len(left.kernels) == 0
        assert len(left) == 5
        assert left.work.sum() == 1

    def test_parent_and_launch_give_the_nearest_live_ancestor(self) -> None:
        """A removed parent or launch is skipped; without a live one there is none; the columns stay as recorded."""
        item = small()
        kernel = item.row_of(3)
        assert [without(item, *dead).launch[kernel] for dead in ([], [2], [2, 1], [2, 1, 0])] == [
            item.row_of(2), item.row_of(1), item.row_of(0), -1,
        ]  # fmt: skip
        left = without(item, 1)
        assert left.event(left.row_of(2)).parent == left.event(left.row_of(0))
        assert left["parent"].tolist() == item["parent"].tolist()
        assert left.edges("launch")[0].tolist() == item.edges("launch")[0].tolist()

    def test_launched_looks_through_dead_launches(self) -> None:
        """What a removed call launched belongs to its nearest live ancestor, and removed work to nobody."""
        left = without(small(), 2)
        assert [event.id for event in left.event(left.row_of(1)).launched] == [3]
        assert not len(without(small(), 3).event(2).launched)

    @given(st.lists(st.integers(-1, 14), min_size=1, max_size=15), st.lists(st.booleans(), min_size=15, max_size=15))
    def test_nearest_live_ancestor_by_walking(self, up: list[int], alive: list[bool]) -> None:
        """The vectorised answer is that of walking up one step at a time."""
        parent = [p if p < i else -1 for i, p in enumerate(up)]
        item = module([Ev("host.op", "x", i, 1, "cpu") for i in range(len(up))])
        columns = {**item.tables["event"].columns, "parent": tir.ir.Column.own(np.array(parent, np.int32))}
        event = attrs.evolve(item.tables["event"], columns=columns)
        item = attrs.evolve(item, tables={**item.tables, "event": event}, derived={})
        item = item.with_columns({"live": np.array(alive[: len(up)])})

        def walk(row: int) -> int:
            while row >= 0 and not alive[row]:
                row = parent[row]
            return row

        assert item.parent.tolist() == [walk(p) for p in parent]

    def test_a_deep_dead_stack_and_a_circle_end(self) -> None:
        """Thousands of removed ancestors are passed at once; a circle of removed parents leads to none."""
        depth = 5000
        item = module([Ev("host.op", "x", i, 2 * (depth - i), "cpu") for i in range(depth)])
        assert item["parent"].tolist() == list(range(-1, depth - 1))
        left = item.with_columns({"live": np.isin(np.arange(depth), [0, depth - 1])})
        assert left.parent[depth - 1] == 0
        circle = tir.ir.Column.own(np.roll(np.arange(depth, dtype=np.int32), 1).copy())
        event = attrs.evolve(item.tables["event"], columns={**item.tables["event"].columns, "parent": circle})
        item = attrs.evolve(item, tables={**item.tables, "event": event}, derived={})
        assert (item.with_columns({"live": np.zeros(depth, bool)}).parent == -1).all()

    def test_span_is_over_live_device_work(self) -> None:
        """The span is that of live device work, and of all live events where there is none."""
        assert small().span_ns == 50
        assert without(small(), 4).span_ns == 30
        assert without(small(), 3, 4).span_ns == 100
        assert without(small(), 0, 1, 2, 3, 4).span_ns == 0


class TestViews:
    """What people read: events, selections, groups."""

    def test_the_sentence_of_the_readme_works(self) -> None:
        """`for k in module.kernels: k.launch.parent.name` reads as it is written."""
        names = []
        for kernel in small().kernels:
            assert kernel.launch is not None
            assert kernel.launch.parent is not None
            names.append(kernel.launch.parent.name)
        assert names == ["aten::addmm"]

    def test_an_event_shows_its_columns(self) -> None:
        """Every attribute comes from the columns; text is as in the textual form."""
        kernel = small().event(small().row_of(3))
        assert (kernel.kind, kernel.name, kernel.ts, kernel.dur, kernel.end) == ("dev.kernel", "gemm", 50, 30, 80)
        assert (kernel.lane.device, kernel.lane.stream) == (0, 7)
        assert str(kernel) == "%3 = dev.kernel('gemm') @gpu0.s7 [50 +30]"
        assert [event.id for event in small().event(small().row_of(2)).ancestors] == [1, 0]
        assert (kernel.args, kernel.field("grid")) == ({}, None)

    @pytest.mark.parametrize("row", [-1, 5, 10**9])
    def test_a_row_that_is_not_there_is_no_event(self, row: int) -> None:
        """Neither from the end nor beyond it."""
        with pytest.raises(IndexError, match=rf"has no row {row}: rows run from 0 to 4; row_of gives the row of an id"):
            small().event(row)
        with pytest.raises(IndexError, match="has no row 0: it has none"):
            small().window(np.zeros(5, bool)).event(0)

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("ts", "The column ts holds no texts; compare its numbers."),
            ("parent", "The column parent holds no texts; compare its numbers."),
            ("kind", "The column kind holds positions in the module's kinds; ask is_kind."),
            ("overlap.exposed", "The column overlap.exposed is of dtype i64 and holds no texts; compare its numbers."),
            ("new.share", "The column new.share holds no texts; compare its numbers."),
        ],
    )
    def test_texts_are_looked_for_where_there_are_some(self, name: str, message: str) -> None:
        """Numbers are no codes of texts, declared or as yet undeclared; names are."""
        item = annotate(small(), Annotation("overlap.exposed"), {3: 7}).with_columns({"new.share": np.zeros(5)})
        item = item.with_texts("new.word", ["a", None, "b", "a", None])
        for ask in (lambda: item.is_in(name, ["a"]), lambda: item.text(name)):
            with pytest.raises(SchemaError) as error:
                ask()
            assert str(error.value) == message
        assert item.is_in("name", ["gemm"]).tolist() == [False, False, False, True, False]
        assert item.is_in("new.word", ["a"]).tolist() == [True, False, False, True, False]

    def test_selection_by_kind_lane_and_mask(self) -> None:
        """Criteria combine; a dialect's name stands for its kinds; rows and masks say the same."""
        item = small()
        assert [event.id for event in item.select(kind="host")] == [0, 1]
        assert [event.id for event in item.select(kind=["rt", "dev.memcpy"])] == [2, 4]
        assert [event.id for event in item.select(lane="gpu0.s7")] == [3]
        assert [event.id for event in item.select(kind="dev", where=item["dur"] > 30)] == [4]
        assert [event.id for event in item.select(where=np.array([4, 0]))] == [0, 4]
        assert [event.id for event in item.select(kind="host").select(where=item["ts"] > 0)] == [1]

    def test_totals_of_a_selection(self) -> None:
        """The sum counts concurrent time twice, the union once."""
        work = small().select(kind="dev")
        assert (work.total_ns, work.union_ns, work.names) == (70, 50, ["gemm", "Memcpy DtoH"])

    def test_groups_come_in_order_of_appearance(self) -> None:
        """`by` gives each value once, as text, with its events in order."""
        groups = [(value, [event.id for event in part]) for value, part in small().select().by("kind")]
        assert groups == [("host.op", [0, 1]), ("rt.launch", [2]), ("dev.kernel", [3]), ("dev.memcpy", [4])]
        assert [value for value, _ in small().select().by("lane")] == ["cpu", "gpu0.s7", "gpu0.s20"]

    def test_values_of_annotations(self) -> None:
        """Text for str and enum, None for null of every dtype, numbers otherwise."""
        item = annotate(small(), Annotation("infer.role", dtype="str"), {3: "gemm"})
        item = annotate(item, Annotation("overlap.exposed"), {3: 7})
        assert [event["infer.role"] for event in item.select(kind="dev")] == ["gemm", None]
        assert [event["overlap.exposed"] for event in item.select(kind="dev")] == [7, None]
        enum = Written(Annotation("infer.class", dtype="enum", values=("compute", "comm")), None)
        item = item.with_columns({"infer.class": np.array([-1, -1, -1, 1, 0], np.int16)})
        item = attrs.evolve(item, annotations={**item.annotations, "infer.class": enum})
        assert item.text("infer.class") == [None, None, None, "comm", "compute"]
        assert item.is_in("infer.class", ["comm"]).tolist() == [False, False, False, True, False]
        assert item.is_in("infer.role", ["gemm", "nowhere"]).tolist() == [False, False, False, True, False]
        assert [value for value, _ in item.select().by("infer.class")] == [None, "comm", "compute"]

    def test_ids_are_found(self) -> None:
        """The row of an id is found in any order; an id that is not there is a KeyError."""
        item = small()
        assert [item.row_of(int(id)) for id in item["id"]] == list(range(5))
        with pytest.raises(KeyError):
            item.row_of(99)

    def test_devices_and_lanes(self) -> None:
        """Devices come from stream lanes; other lanes' events have none (-2)."""
        assert small().devices == (0,)
        assert small().device.tolist() == [-2, -2, -2, 0, 0]
        assert DevMemcpy.is_work


class TestNewModules:
    """Every change is a new module that shares what it did not change."""

    def test_untouched_columns_are_shared(self) -> None:
        """A new column leaves all other tokens, and the old module, as they were."""
        old = small()
        new = old.with_columns({"overlap.exposed": np.zeros(5, np.int64)})
        assert "overlap.exposed" in new
        assert "overlap.exposed" not in old
        assert all(new.token(name) == old.token(name) for name in old.tables["event"])
        assert new.with_columns({"overlap.exposed": np.zeros(5, np.int64)}).token("overlap.exposed") == new.token(
            "overlap.exposed"
        )

    @pytest.mark.parametrize("name", ["id", "kind", "name", "lane", "parent", "offset", "length"])
    def test_what_the_source_recorded_cannot_be_replaced(self, name: str) -> None:
        """Identity and origin of events are fixed; the sentence names the column."""
        item = small()
        with pytest.raises(SchemaError, match=f"The column {name} is what the source recorded"):
            item.with_columns({name: item[name]})

    def test_columns_of_a_lane_or_the_module_have_their_length(self) -> None:
        """The lane table has a row per lane, the module table one; an unknown table is refused."""
        item = small().with_columns({"x.lane": np.zeros(3)}, "lane").with_columns({"x.all": np.zeros(1)}, "module")
        assert (len(item["x.lane"]), len(item["x.all"])) == (3, 1)
        with pytest.raises(SchemaError, match="the table lane has 3 rows"):
            small().with_columns({"x.lane": np.zeros(2)}, "lane")
        with pytest.raises(SchemaError, match=r"The module has no table table:gaps; write it with with_table"):
            small().with_columns({"gaps.dur": np.zeros(2)}, "table:gaps")

    def test_a_table_written_again_keeps_equal_columns(self) -> None:
        """Equal columns keep their tokens; columns that are not given again are gone."""
        one = small().with_table("gaps", {"gaps.dur": np.arange(3), "gaps.ts": np.arange(3)})
        two = one.with_table("gaps", {"gaps.dur": np.arange(3)})
        assert two.token("gaps.dur") == one.token("gaps.dur")
        assert "gaps.ts" not in two
        assert len(one.with_table("gaps", {"gaps.dur": np.arange(2)}).tables["table:gaps"]) == 2

    def test_the_pool_only_grows(self) -> None:
        """Text columns extend the pool and keep old codes; a pool that drops strings is refused."""
        item = small().with_texts("infer.role", [None, None, None, "gemm", "new"])
        assert item.text("infer.role") == [None, None, None, "gemm", "new"]
        assert item.strings.texts[:5] == small().strings.texts
        with pytest.raises(SchemaError, match="can only grow"):
            item.with_strings(tir.Strings(["x"]))

    def test_findings_are_not_repeated(self) -> None:
        """A finding that is already there is not added again."""
        finding = tir.Finding("truncated", "warning", 1, "The file ends early.")
        assert small().with_health(finding).with_health(finding, finding).health == (finding,)


class TestStaleness:
    """An annotation is stale when something it was computed from is no longer the module's."""

    def bound(self, item: tir.Module, name: str, *inputs: str) -> tir.Module:
        item = item.with_columns({name: np.zeros(len(item), np.int64)})
        written = Written(Annotation(name), None, tuple((column, item.token(column)) for column in inputs))
        return attrs.evolve(item, annotations={**item.annotations, name: written})

    def test_another_input_makes_stale_and_the_old_one_makes_fresh(self) -> None:
        """Only a change of an input counts, and equal bytes are no change."""
        item = self.bound(small(), "a.x", "ts")
        assert not item.stale("a.x")
        assert not item.with_columns({"dur": item["dur"] + 1}).stale("a.x")
        assert not item.with_columns({"ts": item["ts"] + 0}).stale("a.x")
        assert item.with_columns({"ts": item["ts"] + 1}).stale("a.x")

    def test_what_rests_on_a_stale_annotation_is_stale(self) -> None:
        """Staleness passes on through annotations, though their own tokens are unchanged."""
        item = self.bound(self.bound(small(), "a.x", "ts"), "b.y", "a.x")
        assert item.with_columns({"ts": item["ts"] + 1}).stale("b.y")
        assert not item.with_columns({"dur": item["dur"] + 1}).stale("b.y")

    def test_a_missing_input_that_appears_makes_stale(self) -> None:
        """What was computed without an optional column is stale once the column is there."""
        item = self.bound(small(), "a.x", "tree.steps")
        assert item.with_tree("steps", [tir.Region("step", "step.0")], np.zeros(5)).stale("a.x")

    def test_edges_and_trees_count_whole(self) -> None:
        """An edge's other end or kind, and a region's name, are part of what an annotation rests on."""
        item = small().with_tree("steps", [tir.Region("step", "step.0")], np.zeros(5))
        item = self.bound(self.bound(item, "a.x", "edges"), "b.y", "tree.steps")
        assert item.with_columns({"dst": np.array([4], np.int32)}, "edge").stale("a.x")
        assert item.with_tree("steps", [tir.Region("step", "renamed")], np.zeros(5)).stale("b.y")
        assert not item.with_tree("steps", [tir.Region("step", "step.0")], np.zeros(5)).stale("b.y")

    def test_a_circle_of_inputs_ends(self) -> None:
        """Annotations that name each other as inputs are judged all the same."""
        item = self.bound(self.bound(small(), "a.x", "b.y"), "b.y", "a.x")
        assert item.stale("a.x")  # b.y appeared after it
        assert item.stale("b.y")


class TestDerived:
    """Derived values are computed once for the columns they read."""

    def test_once_per_version_of_the_columns(self) -> None:
        """The same columns give the cached value, also in a module that shares them; other columns a new one."""
        item = small()
        calls: list[int] = []

        def ask(where: tir.Module) -> int:
            def total() -> int:
                calls.append(1)
                return int(where["ts"].sum())

            return where.derive("test", ("ts",), total)

        assert ask(item) == ask(item) == ask(item.with_columns({"dur": item["dur"] + 1}))
        assert len(calls) == 1
        assert ask(item.with_columns({"ts": item["ts"] + 1})) == ask(item) + 5
        assert len(calls) == 2

    def test_derived_arrays_are_read_only(self) -> None:
        """Shared results cannot be spoilt by a reader."""
        item = small()
        for values in (item.end, item.work, item.launch, item.parent):
            with pytest.raises(ValueError, match="read-only"):
                values[0] = 1


def test_devices_are_called_as_their_lanes_are() -> None:
    """By the word before the number, `gpu` where lanes do not agree on one or there are none."""
    item = module([Ev("dev.kernel", "a", 0, 1), Ev("dev.kernel", "a", 0, 1, "gpu1.s7")])
    npu = [tir.Lane("npu0.s1", "dev.stream", device=0, stream=1), tir.Lane("npu0.g0.p1", "dev.stream", device=0)]
    odd = [tir.Lane("npu1.s1", "dev.stream", device=1), tir.Lane("gpu1.s2", "dev.stream", device=1)]
    other = attrs.evolve(item, lanes=(*npu, *odd, tir.Lane("xpu.s1", "dev.stream")))
    assert [item.device_name(number) for number in (0, 1, 7, -1, None)] == ["gpu0", "gpu1", "gpu7", "gpu", "gpu"]
    assert [other.device_name(number) for number in (0, 1, -1, None)] == ["npu0", "gpu1", "xpu", "xpu"]
