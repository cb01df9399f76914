"""Analyses are computed once for the columns they read; remarks are collected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pytest

import traceir as tir
from tests.build import Ev, module
from traceir.passing import PassContext, to_json


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
