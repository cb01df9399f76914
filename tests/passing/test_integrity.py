"""What a pass wrote is bound to what it was made from; what is not its own stays as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import attrs
import numpy as np
import pytest

import traceir as tir
from tests.build import Ev, module
from tests.passing.toys import ALL, Alpha, Shift, Toy, column, doing, registry
from traceir.errors import PassError, UsageError
from traceir.ir import Annotation, Module, Region
from traceir.ir.table import Table
from traceir.passing import PassManager
from traceir.registry import Entry, Registry


def small() -> Module:
    return module(
        [Ev("rt.launch", "call", 0, 9, "cpu"), Ev("dev.kernel", "k", 20, 1, launch=0), Ev("dev.kernel", "m", 30, 4)]
    )


def ran(item: Module) -> list[str]:
    return [record.text for record in item.passes]


class TestWhatIsBound:
    """Columns are bound to what they were computed from, when they were computed."""

    @attrs.frozen
    class Either(tir.Pass):
        """Write one of two columns."""

        which: Literal["a", "b"] = tir.option("a", help="Which.")
        reads = ("ts",)
        writes = (column("either.a"), column("either.b"))

        def run(self, module: Module, context: tir.PassContext) -> Module:
            return module.with_columns({f"either.{self.which}": module["ts"] + 0})

    def test_a_column_that_was_not_written_keeps_its_maker(self) -> None:
        """Though the pass that ran last declares it too; and it is computed again by its own options."""
        known = registry(self.Either, Shift)
        found = PassManager.parse("either,either{which=b},shift", registry=known).run(small())
        assert found["either.a"].tolist() == found["either.b"].tolist() == found["ts"].tolist()
        makers = {name: found.passes[found.annotations[name].by or 0].text for name in ("either.a", "either.b")}
        assert makers == {"either.a": "either", "either.b": "either{which=b}"}

    def test_what_a_pass_no_longer_writes_goes(self) -> None:
        """A column written under a condition is no more when the condition is."""

        @attrs.frozen
        class Early(tir.Pass):
            """Mark early events, if there are any."""

            reads = ("ts",)
            writes = (column("early.yes", dtype="bool"),)

            def run(self, module: Module, context: tir.PassContext) -> Module:
                early = module["ts"] < 5
                return module.with_columns({"early.yes": early}) if early.any() else module

        item = PassManager.parse("early", registry=registry(Early, Shift)).run(small())
        assert item["early.yes"].tolist() == [True, False, False]
        later = PassManager.parse("shift", registry=registry(Early, Shift)).run(item)
        assert ran(later) == ["early", "shift", "early"]
        assert "early.yes" not in later
        assert "early.yes" not in later.annotations

    def test_what_is_read_and_not_declared_counts(self) -> None:
        """The pass says that it reads durations, and reads times."""

        @attrs.frozen
        class Careless(tir.Pass):
            """Sum the times."""

            reads = ("dur",)
            writes = (column("careless.end"),)

            def run(self, module: Module, context: tir.PassContext) -> Module:
                return module.with_columns({"careless.end": module["dur"] + module["ts"]})

        item = PassManager.parse("careless,shift", registry=registry(Careless, Shift)).run(small())
        assert item["careless.end"].tolist() == (item["ts"] + item["dur"]).tolist()

    def test_removed_events_count_always(self) -> None:
        """Whatever a pass says that it reads, it speaks of live events."""

        @attrs.frozen
        class Total(tir.Pass):
            """Sum the durations of kernels."""

            reads = ("dur",)
            writes = (column("total.ns", domain="module"),)

            def run(self, module: Module, context: tir.PassContext) -> Module:
                return module.with_columns({"total.ns": [module.kernels.total_ns]}, "module")

        @attrs.frozen
        class Drop(tir.Pass):
            """Remove the first kernel."""

            annotates: ClassVar[bool] = False

            def run(self, module: Module, context: tir.PassContext) -> Module:
                return module.with_columns({"live": np.array([True, False, True])})

        item = PassManager.parse("total,drop", registry=registry(Total, Drop)).run(small())
        assert item["total.ns"].tolist() == [4]
        assert item.text("live.by") == [None, "drop", None]


def own(name: str, **more: Any) -> Annotation:
    return Annotation(name, doc="A toy.", **more)


def _tree(item: Module) -> Module:
    return item.with_tree("toys", [Region("toy", "toy.0")], np.zeros(3, np.int32))


REFUSED: dict[str, tuple[Callable[[Module], Module], str]] = {
    "edges": (
        lambda m: attrs.evolve(
            m, tables={**m.tables, "edge": m.tables["edge"].with_columns({"src": np.full(1, 2, np.int32)})}
        ),
        "changed the edges, which are what the source recorded.",
    ),
    "lanes": (
        lambda m: attrs.evolve(m, lanes=tuple(attrs.evolve(lane, name=f"{lane.name}x") for lane in m.lanes)),
        "changed the module's lanes, which is not a pass's to change.",
    ),
    "kinds": (
        lambda m: attrs.evolve(m, kinds=m.kinds[::-1]),
        "changed the module's kinds, which is not a pass's to change.",
    ),
    "meta": (
        lambda m: attrs.evolve(m, meta={"rank": 3}),
        "changed the module's meta, which is not a pass's to change.",
    ),
    "passes": (lambda m: attrs.evolve(m, passes=()), "changed the module's passes, which is not a pass's to change."),
    "another's column": (
        lambda m: m.with_columns({"alpha.a": m["ts"] + 1}),
        "wrote the column alpha.a, which is alpha's; a column has one writer, so write one of another name.",
    ),
    "another's column as it was": (
        lambda m: m.with_columns({"alpha.a": m["alpha.a"].copy()}),
        "wrote the column alpha.a, which is alpha's; a column has one writer, so write one of another name.",
    ),
    "a tree that is not declared": (_tree, "wrote the column tree.toys, which it does not declare."),
    "a code that is none": (
        lambda m: m.with_columns({"x.text": np.array([0, 99, -1], np.int32)}),
        "wrote 99 into x.text, and there is no such code of the string pool; there are 3, and -1 is null.",
    ),
    "a value that is none": (
        lambda m: m.with_columns({"x.enum": np.array([0, -2, -1], np.int16)}),
        "wrote -2 into x.enum, and there is no such value of the enum; there are 1, and -1 is null.",
    ),
    "a row that is none": (
        lambda m: m.with_columns({"x.id": np.array([3, 0, -1], np.int32)}),
        "wrote 3 into x.id, and there is no such row; there are 3, and -1 is null.",
    ),
    "a text as such": (
        lambda m: m.with_columns({"x.text": ["a", "b", "c"]}),
        "wrote x.text as <U1, and str is int32; texts are written with module.with_texts.",
    ),
}
WRITES = (
    own("x.text", dtype="str"),
    own("x.enum", dtype="enum", values=("a",)),
    own("x.id", dtype="id"),
    column("alpha.a"),
)


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_its_own_is_not_a_passs_to_change(what: str) -> None:
    """The pass is named, and what it did."""
    run, message = REFUSED[what]
    manager = PassManager((Alpha(), doing(run, writes=WRITES)), ALL)
    with pytest.raises(PassError) as caught:
        manager.run(small())
    assert str(caught.value) == f"The pass broken {message}"


def test_another_passs_tree_and_table_stay() -> None:
    """Its regions are not renamed, though no event changes its place; and no column of its goes."""

    @attrs.frozen
    class Toys(tir.Pass):
        """Make a tree and a table."""

        writes = (own("tree.toys", dtype="id"), own("toys.n", domain="table:toys"))

        def run(self, module: Module, context: tir.PassContext) -> Module:
            return _tree(module).with_table("toys", {"toys.n": np.arange(2)})

    def renamed(item: Module) -> Module:
        return item.with_tree("toys", [Region("toy", "other")], item["tree.toys"])

    with pytest.raises(PassError, match=r"wrote the column tree\.toys, which it does not declare"):
        PassManager((Toys(), doing(renamed)), registry(Toys)).run(small())
    with pytest.raises(PassError, match=r"wrote the column tree\.toys, which is toys's"):
        PassManager((Toys(), doing(renamed, writes=(own("tree.toys", dtype="id"),))), registry(Toys)).run(small())

    def emptied(item: Module) -> Module:
        return attrs.evolve(item, tables={**item.tables, "table:toys": Table("table:toys", 2)})

    with pytest.raises(PassError, match=r"dropped the column toys\.n, which is not its own"):
        PassManager((Toys(), doing(emptied)), registry(Toys)).run(small())


def test_what_stands_on_regions_that_are_made_anew_is_made_anew() -> None:
    """By its own pass, though that did not read what changed."""

    @attrs.frozen
    class Toys(tir.Pass):
        """Make a tree of as many regions as the first event's time says."""

        reads = ("ts",)
        writes = (own("tree.toys", dtype="id"),)

        def run(self, module: Module, context: tir.PassContext) -> Module:
            count = int(module["ts"][0]) // 10 + 1
            return module.with_tree("toys", [Region("toy", f"toy.{k}") for k in range(count)], np.zeros(3, np.int32))

    @attrs.frozen
    class Painted(tir.Pass):
        """Give each region a colour."""

        reads = ("tree.toys", "kind")
        writes = (own("painted.as", domain="region:toys"),)

        def run(self, module: Module, context: tir.PassContext) -> Module:
            return module.with_columns({"painted.as": np.arange(len(module.tree("toys")))}, "region:toys")

    item = PassManager.parse("painted", registry=registry(Toys, Painted, Shift)).run(small())
    assert item["painted.as"].tolist() == [0]
    later = PassManager.parse("shift", registry=registry(Toys, Painted, Shift)).run(item)
    assert ran(later) == ["toys", "painted", "shift", "toys", "painted"]
    assert later["painted.as"].tolist() == [0, 1]


def test_a_column_is_told_from_its_like_in_another_table() -> None:
    """Where tables have columns of one name."""

    def written(item: Module) -> Module:
        return item.with_columns({"x.n": np.zeros(3, np.int64)})

    item = small().with_table("others", {"x.n": np.arange(2)})
    found = PassManager((doing(written, writes=(column("x.n"),)),), ALL).run(item)
    assert found.tables["event"]["x.n"].tolist() == [0, 0, 0]


class TestWhoMayNot:
    """Passes that are disabled, left out, or somebody else's."""

    def test_a_disabled_pass_does_not_run_again_either(self) -> None:
        """What it wrote stays stale, and that is said; whoever reads it is refused."""
        item = PassManager.parse("alpha", registry=ALL).run(small())
        context = tir.PassContext()
        later = PassManager.parse("shift", registry=ALL, disabled=["alpha"]).run(item, context)
        assert ran(later) == ["alpha", "shift"]
        assert later.stale("alpha.a")
        assert [(one.source, one.kind) for one in context.remarks] == [("alpha", "missed")]
        assert context.remarks[0].message.startswith("What it wrote is stale, so it is not shown: alpha.a; ")
        with pytest.raises(UsageError, match=r"reads alpha\.a, which is stale, and alpha that wrote it is disabled"):
            PassManager.parse("shift,beta", registry=ALL, disabled=["alpha"]).run(item)

    def test_a_pass_that_is_no_longer_there_is_named(self) -> None:
        """Its columns are stale and not shown; nothing else suffers."""
        item = PassManager.parse("alpha", registry=ALL).run(small())
        context = tir.PassContext()
        later = PassManager((Shift(),), registry(Shift)).run(item, context)
        assert later.stale("alpha.a")
        assert [one.source for one in context.remarks] == ["alpha"]

    @pytest.mark.parametrize(("most", "passes"), [(0, []), (2, ["alpha", "shift"]), (3, ["alpha", "shift", "delta"])])
    def test_a_limit_counts_what_runs_again(self, most: int, passes: list[str]) -> None:
        """After the limit nothing runs, not even to make fresh what is stale."""
        manager = PassManager.parse("alpha,shift,delta", registry=ALL, stop_after=most)
        assert ran(manager.run(small())) == passes

    def test_passes_that_make_each_other_stale_are_said_to(self) -> None:
        """Each runs again once, and what is still stale is a remark."""

        @attrs.frozen
        class First(tir.Pass):
            """Use the second's."""

            uses = ("second.x",)
            writes = (column("first.x"),)

            def run(self, module: Module, context: tir.PassContext) -> Module:
                return module.with_columns(
                    {"first.x": (module["second.x"] if "second.x" in module else module["ts"]) + 1}
                )

        @attrs.frozen
        class Second(tir.Pass):
            """Use the first's."""

            uses = ("first.x",)
            writes = (column("second.x"),)

            def run(self, module: Module, context: tir.PassContext) -> Module:
                return module.with_columns(
                    {"second.x": (module["first.x"] if "first.x" in module else module["ts"]) + 1}
                )

        context = tir.PassContext()
        item = PassManager.parse("first,second", registry=registry(First, Second)).run(small(), context)
        assert len(item.passes) < 6
        assert {one.source for one in context.remarks} == {
            item.passes[item.annotations[name].by or 0].name for name in ("first.x", "second.x") if item.stale(name)
        }
        assert context.remarks
        wanted = (
            "The passes (first -> second -> first|second -> first -> second) need each other's columns, so no order"
        )
        with pytest.raises(UsageError, match=wanted):
            PassManager.parse("first,second", registry=registry(First, Second), insert=False).run(small())

    def test_without_insertion_what_uses_stands_behind_what_it_uses(self) -> None:
        """Said before anything runs."""
        with pytest.raises(UsageError, match=r"delta uses beta\.b, which beta writes, but .* write alpha,beta,delta\."):
            PassManager.parse("alpha,delta,beta", registry=ALL, insert=False).resolve(small())

    def test_our_own_pass_goes_before_a_strangers(self) -> None:
        """And of two strangers none is chosen."""

        @attrs.frozen
        class Aaa(Alpha):
            """Write what alpha writes."""

        @attrs.frozen
        class Reader(Toy):
            """Read it."""

            reads = ("alpha.a",)

        def known(provider: str) -> Registry:
            return registry(Aaa, Reader, alpha=Entry("alpha", Alpha, "", provider))

        assert [item.name() for item in PassManager.parse("reader", registry=known("traceir")).resolve(small())] == [
            "alpha",
            "reader",
        ]
        with pytest.raises(UsageError, match=r"more than one pass writes it: .*aaa of toys.*; put one of them before"):
            PassManager.parse("reader", registry=known("else")).resolve(small())
