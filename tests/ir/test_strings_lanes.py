"""The string pool grows without changing codes; lanes get unique names."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceir.ir import Lane, Strings, kinds
from traceir.ir.lanes import unique_names

TEXTS = st.lists(st.one_of(st.none(), st.text(max_size=4)), max_size=20)


@given(st.lists(st.text(max_size=4), unique=True), TEXTS)
def test_encode_and_decode_are_inverse(pool: list[str], texts: list[str | None]) -> None:
    """Decoding what was encoded gives the texts back, null is -1, and old codes keep their texts."""
    old = Strings(pool)
    new, codes = old.encode(texts)
    assert new.decode(codes) == texts
    assert new.texts[: len(old)] == old.texts
    assert len(set(new.texts)) == len(new)
    assert [code < 0 for code in codes.tolist()] == [text is None for text in texts]


@given(st.lists(st.text(max_size=3), unique=True, min_size=1), st.lists(st.text(max_size=3)), st.data())
def test_is_in_looks_at_texts(pool: list[str], wanted: list[str], data: st.DataObject) -> None:
    """`is_in` says for every code, null included, whether its text is among the wanted ones."""
    strings = Strings(pool)
    codes = data.draw(st.lists(st.integers(-1, len(pool) - 1), max_size=10))
    expected = [code >= 0 and pool[code] in wanted for code in codes]
    assert strings.is_in(np.array(codes, np.int32), wanted).tolist() == expected


def test_a_pool_that_holds_all_is_not_rebuilt() -> None:
    """Extending by known strings gives the very same pool."""
    strings = Strings(["a", "b"])
    assert strings.extend(["b", "a", "b"]) is strings
    assert strings.extend(["c", "c"]).texts == ("a", "b", "c")


def test_null_has_no_text() -> None:
    """A negative code is a KeyError, never the last string."""
    strings = Strings(["a", "b"])
    assert strings[1] == "b"
    assert strings.code("nowhere") == -1
    with pytest.raises(KeyError):
        strings[-1]


@given(st.lists(st.sampled_from(["cpu", "cpu.2", "cpu.3", "gpu0.s7"]), max_size=12))
def test_lane_names_become_unique(names: list[str]) -> None:
    """No two lanes share a name, whatever suffixes the source used itself; the first of each name keeps it."""
    lanes = unique_names([Lane(name, "host.thread") for name in names])
    got = [lane.name for lane in lanes]
    assert len(set(got)) == len(names)
    for name in set(names):
        assert got[names.index(name)] == name


def test_only_streams_are_device_lanes() -> None:
    """Device work may lie on dev.stream lanes only."""
    assert Lane("gpu0.s7", "dev.stream").is_device
    assert not Lane("x", "derived").is_device


def test_a_kind_defined_twice_is_refused() -> None:
    """Two classes of one name are an error that shows both; the same class again is not."""
    assert kinds.register(kinds.DevKernel) is kinds.DevKernel

    @attrs.frozen
    class Other(kinds.Kind):
        name = "dev.kernel"

    with pytest.raises(ValueError, match=r"'dev\.kernel' is defined twice: .*DevKernel.*Other"):
        kinds.register(Other)


def test_what_counts_as_work() -> None:
    """Ranges, records and waits on a stream are no work."""
    assert kinds.work_kinds() == {"dev.kernel", "dev.memcpy", "dev.memset", "dev.graph"}
    assert "dev.kernel" not in kinds.nesting_kinds()
