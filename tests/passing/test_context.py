"""Analyses are computed once for the columns they read; remarks are collected."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pytest

import traceir as tir
from tests.build import Ev, module
from tests.passing.toys import registry
from traceir.passing import PassContext, PassManager, to_json
from traceir.passing.instruments import TimingTree


@attrs.frozen
class Total(tir.Analysis[int]):
    """The sum of durations, times a factor."""

    factor: int = 1
    reads = ("dur",)

    def compute(self, module: tir.Module) -> int:
        return int(module["dur"].sum()) * self.factor


@attrs.frozen
class Undeclared(tir.Analysis[int]):
    """The number of live events; it does not say what it reads."""

    def compute(self, module: tir.Module) -> int:
        return int(module.live.sum())


def small() -> tir.Module:
    return module([Ev("host.op", "a", 0, 9, "cpu"), Ev("host.op", "b", 20, 1, "cpu")])


def test_an_analysis_is_computed_once_per_version_of_its_columns() -> None:
    """Annotations leave it cached; a change of a column that it reads does not; options tell analyses apart."""
    context, item = PassContext(), small()
    assert context.analysis(Total(), item) == 10
    assert context.analysis(Total(), item.with_columns({"x.y": np.zeros(2)})) == 10
    assert context.analysis(Total(), item.with_columns({"ts": item["ts"] + 1})) == 10
    assert context.computed == 1
    assert context.analysis(Total(2), item) == 20
    assert context.analysis(Total(), item.with_columns({"dur": item["dur"] + 1})) == 12
    assert context.computed == 3


def test_an_analysis_that_names_no_columns_reads_all_of_the_core() -> None:
    """It is not taken for the same in another module, nor after a removal."""
    context, item = PassContext(), small()
    assert context.analysis(Undeclared(), item) == 2
    assert context.analysis(Undeclared(), item.with_columns({"live": np.array([True, False])})) == 1
    assert context.analysis(Undeclared(), module([])) == 0
    assert context.analysis(Undeclared(), item) == 2
    assert context.computed == 3


def test_contexts_do_not_share() -> None:
    """Each run has its own cache and remarks."""
    one, two = PassContext(), PassContext()
    one.analysis(Total(), small())
    one.remark("alpha", "not grouped", kind="missed", event=3)
    assert (two.computed, two.remarks) == (0, [])
    assert [(remark.source, remark.kind, remark.event) for remark in one.remarks] == [("alpha", "missed", 3)]


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (float("nan"), None),
        (float("inf"), None),
        (np.float64("nan"), None),
        (np.int32(5), 5),
        ((1, [2.5, None]), [1, [2.5, None]]),
        ({3: "x"}, {"3": "x"}),
    ],
)
def test_reports_become_plain_json(value: Any, data: Any) -> None:
    """Ratios without a meaning are null, numpy scalars numbers, tuples lists."""

    @attrs.frozen
    class Found(tir.Report):
        value: Any
        hidden_fields: Callable[[], int] | None = None

    assert to_json(Found(value)) == {"value": data, "hidden_fields": None}


@attrs.frozen
class Careless(tir.Analysis[tir.ir.Ints]):
    """The ends, though it says that it reads durations only."""

    reads = ("dur",)

    def compute(self, module: tir.Module) -> tir.ir.Ints:
        return np.asarray(module["ts"] + module["dur"])


def test_what_an_analysis_reads_and_does_not_declare_counts() -> None:
    """Nobody can forget to say it."""
    context, item = PassContext(), small()
    moved = item.with_columns({"ts": item["ts"] + 5})
    assert context.analysis(Careless(), item).tolist() == [9, 21]
    assert context.analysis(Careless(), moved).tolist() == [14, 26]
    assert context.analysis(Careless(), item).tolist() == [9, 21]
    assert context.computed == 2


def test_an_analysis_of_another_one_reads_what_that_reads() -> None:
    """Whether that is computed for it, or was kept."""

    @attrs.frozen
    class Outer(tir.Analysis[int]):
        """The last of the ends."""

        reads = ("kind",)

        def compute(self, module: tir.Module) -> int:
            return int(context.analysis(Careless(), module).max())

    context, item = PassContext(), small()
    context.analysis(Careless(), item)
    assert context.analysis(Outer(), item) == 21
    assert context.analysis(Outer(), item.with_columns({"ts": item["ts"] + 5})) == 26


def test_what_an_analysis_gives_cannot_be_written_to() -> None:
    """It is shared; so no caller can spoil it for the others."""
    found = PassContext().analysis(Careless(), small())
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 7


def test_windows_that_lack_a_column_are_different_modules() -> None:
    """A result is not taken for another module's because neither has the column."""

    @attrs.frozen
    class Count(tir.Analysis[int]):
        """The number of events, where nobody wrote the column."""

        reads = ("nobody.wrote",)

        def compute(self, module: tir.Module) -> int:
            return len(module)

    context, item = PassContext(), small()
    assert (context.analysis(Count(), item), context.analysis(Count(), item.window(np.array([0])))) == (2, 1)


def test_an_analysis_without_its_decorator_is_refused() -> None:
    """Two of it would never be equal, so nothing would be kept."""

    class Plain(Total):
        """Forgotten."""

    with pytest.raises(TypeError, match=r"plain has to be decorated with @attrs\.frozen"):
        PassContext().analysis(Plain(), small())


def test_runs_in_threads_that_share_a_context_do_not_hear_of_each_other() -> None:
    """Each run's instruments see the analyses of that run, and none after it."""

    @attrs.frozen
    class Asking(tir.Pass):
        """Ask for an analysis."""

        number: int = tir.option(0, help="Which.")

        def run(self, module: tir.Module, context: PassContext) -> tir.Module:
            barrier.wait()
            context.analysis(Total(self.number), module)
            barrier.wait()
            return module

    barrier, context, item = threading.Barrier(4), PassContext(), small()
    trees = [TimingTree(stream=io.StringIO()) for _ in range(4)]
    threads = [
        threading.Thread(
            target=PassManager((Asking(number),), registry(Asking), instruments=[tree]).run, args=(item, context)
        )
        for number, tree in enumerate(trees)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [[len(row.analyses) for row in tree.rows] for tree in trees] == [[1]] * 4
    context.analysis(Total(9), item)
    assert [[len(row.analyses) for row in tree.rows] for tree in trees] == [[1]] * 4
