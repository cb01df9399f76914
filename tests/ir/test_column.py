"""Columns own their arrays, cannot be written to, and are told apart by tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from traceir.errors import SchemaError
from traceir.ir import Column, Table


def test_a_column_is_read_only() -> None:
    """Writing to a column raises, also through the name that the caller kept."""
    mine = np.arange(4)
    column = Column.own(mine)
    with pytest.raises(ValueError, match="read-only"):
        column.data[0] = 9
    with pytest.raises(ValueError, match="read-only"):
        mine[0] = 9


@pytest.mark.parametrize("values", [np.arange(4), [1, 2], np.frombuffer(bytes(8), np.int64), np.arange(6)[::2]])
def test_a_column_cannot_be_made_writable(values: Any) -> None:
    """Not even on purpose: numpy refuses the flag for a view of what cannot be written to."""
    column = Column.own(values)
    with pytest.raises(ValueError, match="cannot set WRITEABLE flag to True"):
        column.data.flags.writeable = True
    assert not Column.own(column.data).data.flags.writeable


def test_a_view_taken_before_stays_writable() -> None:
    """Which is documented: only a copy could help, and a column of a million events is not copied for it."""
    mine = np.arange(4)
    view = mine[:]
    column = Column.own(mine)
    view[0] = 9
    assert column.data[0] == 9


def test_a_fresh_array_is_not_copied() -> None:
    """Taking ownership of an array that nobody else can write to costs nothing."""
    mine = np.arange(4)
    column = Column.own(mine)
    assert column.data.base is mine
    assert Column.own(column.data).data is column.data
    assert column.same(mine)


@pytest.mark.parametrize("view", [slice(0, 3), slice(None, None, 2)])
def test_a_view_of_writable_memory_is_copied(view: slice) -> None:
    """Writing to the base of a view that became a column does not change the column."""
    base = np.arange(6)
    column = Column.own(base[view])
    base[:] = -1
    assert (column.data >= 0).all()


def test_a_read_only_view_of_writable_memory_is_copied() -> None:
    """That the view itself cannot be written to is not enough, since its base can."""
    base = np.arange(6)
    view = base[:]
    view.flags.writeable = False
    column = Column.own(view)
    base[:] = -1
    assert (column.data >= 0).all()


def test_memory_that_is_no_array_is_copied_if_it_can_be_written() -> None:
    """A column over a bytearray does not change with it; one over bytes shares them."""
    buffer = bytearray(np.arange(3).tobytes())
    column = Column.own(np.frombuffer(buffer, np.int64))
    buffer[:] = bytes(len(buffer))
    assert column.data.tolist() == [0, 1, 2]
    constant = np.frombuffer(np.arange(3).tobytes(), np.int64)
    assert Column.own(constant).data is constant


def test_a_column_has_one_dimension() -> None:
    """A matrix is refused with a sentence."""
    with pytest.raises(ValueError, match="A column needs one dimension, and this array has 2"):
        Column.own(np.zeros((2, 2)))


def test_no_two_columns_have_one_token() -> None:
    """Tokens differ even for equal data, and are not used again when a column is gone."""
    tokens = [Column.own(np.arange(3)).token for _ in range(100)]
    assert len(set(tokens)) == 100


def test_same_compares_bytes_and_dtype() -> None:
    """NaN equals NaN, 0.0 is not -0.0, and int32 is not int64."""
    column = Column.own(np.array([1.0, np.nan, 0.0]))
    assert column.same(np.array([1.0, np.nan, 0.0]))
    assert not column.same(np.array([1.0, np.nan, -0.0]))
    assert not column.same(np.array([1.0, np.nan]))
    assert not Column.own(np.arange(3, dtype=np.int32)).same(np.arange(3, dtype=np.int64))


@given(hnp.arrays(st.sampled_from([np.int64, np.int32, np.float64, np.bool_]), st.integers(0, 8)), st.data())
def test_same_means_equal_bytes(values: np.ndarray[tuple[int], np.dtype[np.generic]], data: st.DataObject) -> None:
    """`same` says what a comparison of the bytes says, strided inputs included."""
    other = data.draw(hnp.arrays(values.dtype, values.shape))
    column = Column.own(values.copy())
    assert column.same(np.repeat(values, 2)[::2])
    assert column.same(other) == (values.tobytes() == other.tobytes())


def test_a_table_keeps_the_column_that_did_not_change() -> None:
    """Writing equal bytes keeps the token; other bytes or another dtype give a new one; the old table stays."""
    table = Table.of("event", {"a": np.arange(3), "b": np.arange(3)})
    same, other = table.with_columns({"a": np.arange(3)}), table.with_columns({"a": np.arange(3)[::-1].copy()})
    assert same.columns["a"].token == table.columns["a"].token
    assert other.columns["a"].token != table.columns["a"].token
    assert other.columns["b"].token == table.columns["b"].token
    assert table.with_columns({"a": np.arange(3, dtype=np.int32)}).columns["a"].token != table.columns["a"].token
    assert table["a"].tolist() == [0, 1, 2]


def test_a_column_of_another_length_is_refused() -> None:
    """The message names the column, the table and both lengths."""
    table = Table.of("event", {"a": np.arange(3)})
    with pytest.raises(SchemaError, match=r"The column b has 2 values, and the table event has 3 rows\."):
        table.with_columns({"b": np.arange(2)})
    with pytest.raises(SchemaError, match="its length must be given"):
        Table.of("table:none", {})
    assert len(Table.of("table:none", {}, 0)) == 0
