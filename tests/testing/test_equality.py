"""Values that look alike and are not the same, and values that do not and are."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import pytest

from traceir.ir import Annotation, Lane, Module, ModuleBuilder, Strings, Written
from traceir.testing import assert_equal


def module(**meta: Any) -> Module:
    """Three kernels, two edges from the first."""
    three = np.arange(3)
    return ModuleBuilder(
        name="m",
        strings=Strings(["k"]),
        lanes=[Lane("gpu0.s7", "dev.stream")],
        kinds=["dev.kernel"],
        id=three,
        kind=three * 0,
        name_code=three * 0,
        ts=three,
        dur=three,
        lane=three * 0,
        edges=[("flow", three[[0, 0]], three[[1, 2]])],
        meta=meta,
    ).build()


def annotated(values: Any, **declared: Any) -> Module:
    item = Annotation("x.a", **declared)
    return attrs.evolve(
        module().with_columns({"x.a": np.array(values, item.numpy_type)}, item.domain),
        annotations={"x.a": Written(item, None)},
    )


@pytest.mark.parametrize(
    ("left", "right"),
    [(1, True), (0, False), (1, 1.0), (0.0, -0.0), ([1], [True]), ({"b": 1}, {"b": 1.0}), ([1], [1, 2]), (None, 0)],
)
def test_metadata_that_looks_alike_differs(left: Any, right: Any) -> None:
    """What JSON tells apart is told apart, inside lists and objects too."""
    with pytest.raises(AssertionError, match=r"The modules are not equal\. The metadata differ in a:"):
        assert_equal(module(a=left), module(a=right))


def test_nan_is_one_value() -> None:
    """In metadata, and in columns whatever its sign and payload."""
    assert_equal(module(a=[float("nan")]), module(a=[float("nan")]))
    odd = np.array([0x7FF8000000000000, 0xFFF8000000000001, 0x7FF8000000000099], np.uint64).view(np.float64)
    assert_equal(annotated([np.nan] * 3, dtype="f64"), annotated(odd, dtype="f64"))


def test_minus_zero_is_not_zero() -> None:
    """The message names the row."""
    with pytest.raises(AssertionError, match=r"The column x\.a of event differs, first in row 1\."):
        assert_equal(annotated([np.nan, 0.0, 1.0], dtype="f64"), annotated([np.nan, -0.0, 1.0], dtype="f64"))


def test_references_to_edges_follow_their_order() -> None:
    """The edges stand in the other order, and so do the numbers that refer to them."""
    one = annotated([0, 1, -1], dtype="id", unit="edge")
    other = annotated([1, 0, -1], dtype="id", unit="edge")
    edge = other.tables["edge"]
    turned = other.with_columns({name: edge[name][::-1].copy() for name in edge}, "edge")
    assert_equal(one, turned)
    with pytest.raises(AssertionError, match=r"The column x\.a of event differs, first in row 0\."):
        assert_equal(one, other)
