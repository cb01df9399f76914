"""What was read and set on the way to a result, what is stale by it, and what stays when a pass runs again."""

from __future__ import annotations

import pickle
import time
from typing import ClassVar

import attrs
import numpy as np
import pytest

import traceir as tir
from tests.build import Ev, module
from tests.passing.toys import ALL, Alpha, Shift, column, doing, registry
from traceir.errors import PassError, UsageError
from traceir.ir import Annotation, Module, Region, Written
from traceir.passing import PassContext, PassManager


def small() -> Module:
    return module([Ev("host.op", "a", 0, 9, "cpu"), Ev("dev.kernel", "k", 20, 1), Ev("dev.kernel", "m", 30, 4)])


def test_a_module_that_is_thrown_away_is_not_written() -> None:
    """A pass may try something out: neither is that its result, nor does it hide what was read."""

    @attrs.frozen
    class Trying(tir.Pass):
        """Sum ends, after looking at what they would be if all were longer."""

        reads = ("ts",)
        writes = (column("trying.end"),)

        def run(self, module: Module, context: PassContext) -> Module:
            longer = module.with_columns({"dur": module["dur"] * 2, "alpha.a": module["ts"]})
            assert (longer.end >= module.end).all()
            return module.with_columns({"trying.end": module["ts"] + module["dur"]})

    @attrs.frozen
    class Longer(tir.Pass):
        """Make everything longer."""

        annotates: ClassVar[bool] = False

        def run(self, module: Module, context: PassContext) -> Module:
            return module.with_columns({"dur": module["dur"] + 1})

    item = PassManager.parse("alpha,trying,longer", registry=registry(Alpha, Trying, Longer)).run(small())
    assert item["trying.end"].tolist() == (item["ts"] + item["dur"]).tolist()
    assert item.passes[item.annotations["alpha.a"].by or 0].name == "alpha"


def test_what_was_not_there_counts_when_it_is() -> None:
    """A pass that goes another way without a column or a tree runs again when there is one."""

    @attrs.frozen
    class Asking(tir.Pass):
        """Say whether others ran."""

        reads = ("ts",)
        writes = (column("asking.both", domain="module"),)

        def run(self, module: Module, context: PassContext) -> Module:
            return module.with_columns({"asking.both": [module.has_tree("toys") + 2 * ("alpha.a" in module)]}, "module")

    @attrs.frozen
    class Toys(tir.Pass):
        """Make a tree."""

        writes = (Annotation("tree.toys", dtype="id", doc="A toy."),)

        def run(self, module: Module, context: PassContext) -> Module:
            return module.with_tree("toys", [Region("toy", "toy.0")], np.zeros(3, np.int32))

    item = PassManager.parse("asking,toys,alpha", registry=registry(Asking, Toys, Alpha)).run(small())
    assert item["asking.both"].tolist() == [3]


def test_a_pass_that_removes_is_named_though_it_runs_again() -> None:
    """As is one that keeps what it found when it ran first."""

    @attrs.frozen
    class Kill(tir.Pass):
        """Remove the first kernel."""

        annotates: ClassVar[bool] = False
        writes = (column("kill.first"),)

        def run(self, module: Module, context: PassContext) -> Module:
            live = np.array([True, False, True])
            if "kill.first" not in module:
                module = module.with_columns({"kill.first": module["ts"]})
            return module.with_columns({"live": live})

    item = PassManager.parse("kill,shift,kill", registry=registry(Kill, Shift)).run(small())
    assert item.text("live.by") == [None, "kill", None]
    assert item["kill.first"].tolist() == [0, 20, 30]


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda m: m.with_columns({"live": m["live"].astype(np.int64)}), "wrote live as int64, and it is bool."),
        (lambda m: m.with_columns({"dur": m["dur"] / 2}), "wrote dur as float64, and it is int64."),
        (
            lambda m: attrs.evolve(m, tables={k: v for k, v in m.tables.items() if k != "region:toys"}),
            "dropped the table region:toys, which is not its own.",
        ),
        (
            lambda m: attrs.evolve(
                m, tables={**m.tables, "edge": m.tables["edge"].with_columns({"weight": np.empty(0, np.int64)})}
            ),
            "wrote the column weight, which it does not declare.",
        ),
    ],
    ids=["live", "dur", "tree", "edge"],
)
def test_what_else_is_not_a_passs_to_change(run: object, message: str) -> None:
    """Types of core columns, tables of others, further columns of the edges."""
    item = small().with_tree("toys", [Region("toy", "toy.0")], np.zeros(3, np.int32))
    with pytest.raises(PassError) as caught:
        PassManager((doing(run, annotates=False),), ALL).run(item)  # type: ignore[arg-type]
    assert str(caught.value) == f"The pass broken {message}"


def test_staleness_of_long_chains_is_linear() -> None:
    """Sixty columns, each computed from all before it: paths between them are more than there are atoms."""
    item = small()
    annotations: dict[str, Written] = {}
    for number in range(60):
        name = f"toy.c{number}"
        inputs = tuple((known, item.token(known)) for known in ("ts", *annotations))
        item = item.with_columns({name: np.full(3, number)})
        annotations[name] = Written(Annotation(name, doc="A toy."), None, inputs)
    item = attrs.evolve(item, annotations=annotations)
    began = time.process_time()
    assert not any(item.stale(name) for name in annotations)
    moved = item.with_columns({"ts": item["ts"] + 1})
    assert all(moved.stale(name) for name in annotations)
    assert time.process_time() - began < 5, "a search of all paths would take years"


def test_a_circle_through_an_inserted_pass_is_an_error() -> None:
    """Though no pass of the user's needs another one directly."""

    def toy(name: str, reads: str) -> type[tir.Pass]:
        made: type[tir.Pass] = type(
            name, (Alpha,), {"__doc__": "A toy.", "reads": (f"{reads}.x",), "__annotations__": {}}
        )
        made.writes = (column(f"{name.lower()}.x"),)
        return attrs.frozen(made)

    known = registry(toy("Ca", "cb"), toy("Cb", "cc"), toy("Cc", "ca"))
    with pytest.raises(UsageError, match="need each other's columns, so no order will do"):
        PassManager.parse("ca,cc", registry=known).resolve(small())


def test_a_module_from_another_process_has_tokens_of_its_own() -> None:
    """So nothing that is kept here is taken for what it has."""
    item = small()
    copy = pickle.loads(pickle.dumps(item.tables["event"]))
    assert copy["ts"].tolist() == item["ts"].tolist()
    assert copy.columns["ts"].token != item.token("ts")
    with pytest.raises(ValueError, match="read-only"):
        copy["ts"][0] = 5
