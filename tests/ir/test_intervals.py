"""Interval arithmetic against sets of instants, which know nothing of intervals."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from traceir.ir import GroupedSpans, Spans, expand

Pairs = list[tuple[int, int]]
INTERVALS = st.lists(
    st.tuples(st.integers(-20, 40), st.integers(0, 12)).map(lambda p: (p[0], p[0] + p[1])), max_size=12
)
INSTANTS = st.lists(st.integers(-25, 60), max_size=8)


def points(pairs: Pairs) -> set[int]:
    """The instants `t` such that `[t, t + 1)` lies in one of the intervals."""
    return {t for start, end in pairs for t in range(start, end)}


def spans(pairs: Pairs) -> Spans:
    return Spans.of(np.array([a for a, _ in pairs], np.int64), np.array([b for _, b in pairs], np.int64))


def back(found: Spans) -> set[int]:
    """The instants of a result, which has to be in order, disjoint and without touching intervals."""
    starts, ends = found.starts.tolist(), found.ends.tolist()
    assert found.starts.dtype == found.ends.dtype == np.int64
    assert all(a < b for a, b in zip(starts, ends, strict=True))
    assert all(end < start for end, start in zip(ends, starts[1:], strict=False))
    return points(list(zip(starts, ends, strict=True)))


@given(INTERVALS)
def test_union_is_that_of_the_instants(pairs: Pairs) -> None:
    """The union holds exactly the instants of the intervals, and its length is their number."""
    assert back(spans(pairs)) == points(pairs)
    assert spans(pairs).length == len(points(pairs))


@given(INTERVALS, INTERVALS)
def test_set_operations_are_those_of_the_instants(one: Pairs, other: Pairs) -> None:
    """Union, intersection and difference are those of the sets of instants."""
    a, b = spans(one), spans(other)
    assert back(a | b) == points(one) | points(other)
    assert back(a & b) == points(one) & points(other)
    assert back(a - b) == points(one) - points(other)


@given(INTERVALS, st.integers(-25, 50), st.integers(-25, 50))
def test_gaps_are_the_complement(pairs: Pairs, low: int, high: int) -> None:
    """The gaps within a window are the instants of the window that the set does not hold; a window may be empty."""
    assert back(spans(pairs).gaps(low, high)) == set(range(low, high)) - points(pairs)


@given(INTERVALS, INSTANTS, INSTANTS)
def test_measures_count_instants(pairs: Pairs, lows: list[int], highs: list[int]) -> None:
    """Prefix measure, coverage and membership count the set's instants."""
    inside = points(pairs)
    at = np.array(lows, np.int64)
    assert spans(pairs).before(at).tolist() == [sum(t < low for t in inside) for low in lows]
    assert spans(pairs).contains(at).tolist() == [low in inside for low in lows]
    windows = [(low, high) for low, high in zip(lows, highs, strict=False) if low <= high]
    starts, ends = np.array([w[0] for w in windows], np.int64), np.array([w[1] for w in windows], np.int64)
    assert spans(pairs).covered(starts, ends).tolist() == [len(inside & set(range(a, b))) for a, b in windows]


@given(INTERVALS, st.integers(0, 11))
def test_cutting_an_interval_changes_nothing(pairs: Pairs, cut: int) -> None:
    """An interval cut into two that touch gives the same set."""
    halves = [half for a, b in pairs for half in ((a, min(a + cut, b)), (min(a + cut, b), b))]
    whole, parts = spans(pairs), spans(halves)
    assert whole.starts.tolist() == parts.starts.tolist()
    assert whole.ends.tolist() == parts.ends.tolist()


GROUPED = st.lists(
    st.tuples(st.integers(0, 4), st.integers(-20, 40), st.integers(0, 12)).map(lambda p: (p[0], p[1], p[1] + p[2])),
    max_size=14,
)


@given(GROUPED, INTERVALS, st.sampled_from([1, 10**15, 10**17]))
def test_groups_are_as_if_each_were_alone(triples: list[tuple[int, int, int]], common: Pairs, scale: int) -> None:
    """Lengths and coverage of all groups at once are those of each alone, also where times fill 62 bits."""
    group, starts, ends = (np.array([t[i] for t in triples], np.int64) for i in range(3))
    found = GroupedSpans.of(group, starts * scale, ends * scale, 6)
    shared = spans([(a * scale, b * scale) for a, b in common])
    alone = [spans([(a * scale, b * scale) for g, a, b in triples if g == which]) for which in range(6)]
    assert found.lengths.tolist() == [one.length for one in alone]
    assert found.covered(shared).tolist() == [(one & shared).length for one in alone]
    assert len(found) == sum(len(one) for one in alone)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 4)), max_size=10))
def test_expand_writes_ranges_out(ranges: list[tuple[int, int]]) -> None:
    """Each range gives its positions in order, with the number of the range beside them."""
    first, size = (np.array([r[i] for r in ranges], np.int64) for i in range(2))
    owner, position = expand(first, size)
    assert list(zip(owner.tolist(), position.tolist(), strict=True)) == [
        (i, start + step) for i, (start, length) in enumerate(ranges) for step in range(length)
    ]


def test_empty_set_has_no_instants() -> None:
    """The empty set has length 0, holds nothing, covers nothing, and is neutral."""
    empty, some = Spans.empty(), spans([(3, 7)])
    assert empty.length == 0
    assert len(empty & some) == len(empty - some) == 0
    assert (some | empty).length == (some - empty).length == 4
    assert empty.covered(np.array([0]), np.array([9])).tolist() == [0]
    assert (
        GroupedSpans.of(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64), 3).lengths.tolist()
        == [0] * 3
    )
