"""How lists are drawn, so that failing examples shrink fast and far."""

from __future__ import annotations

from itertools import cycle, islice
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")

_KEPT = st.sampled_from((False, *(True,) * 9))


def several(value: SearchStrategy[T], most: int, least: int = 0) -> SearchStrategy[list[T]]:
    """A list of at least `least` and at most `most` values, seldom empty.

    Long items are hard to cut out of what was drawn for a failing example; to leave one out (by the flag drawn before
    it) takes one step.
    """
    item = st.tuples(_KEPT, value)

    def of_length(length: int) -> SearchStrategy[list[T]]:
        drawn = st.lists(item, min_size=length, max_size=length)
        return drawn.map(lambda pairs: [one for at, (kept, one) in enumerate(pairs) if kept or at < least])

    lengths = range(max(least, 1), most + 1)
    return st.sampled_from((least, *lengths, *lengths, *lengths)).flatmap(of_length)


def cycled(value: SearchStrategy[T], rows: int, otherwise: T) -> SearchStrategy[list[T]]:
    """A value for each row: a few that are repeated in turn, `otherwise` if there are none.

    What is drawn does not depend on the number of rows, so a failing example shrinks row by row.
    """
    return st.lists(value, max_size=8).map(lambda drawn: list(islice(cycle(drawn or [otherwise]), rows)))
