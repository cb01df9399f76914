"""What is said about a module and its columns: passes, findings, annotations and the values that they may hold."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Final, get_args

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from traceir.ir import NULL_I64, Annotation, Finding, PassRecord
from traceir.ir.annotation import NULL_U32, NUMPY_TYPES, Basis, DType, Shown
from traceir.ir.health import LEVELS
from traceir.passing.options import Duration, Share, spell
from traceir.testing.drawing import cycled
from traceir.testing.texts import names, texts, words

_I64: Final = np.iinfo(np.int64)
_RESERVED: Final = ("tree", "extern")
"""Words whose columns have a meaning of their own: the leaves of trees, and what a window cuts."""


# --- passes ----------------------------------------------------------------------------------------------


@st.composite
def pass_records(draw: DrawFn, text: SearchStrategy[str] | None = None) -> PassRecord:
    """A pass that ran, its text spelled as passes spell themselves: `x{a=2us,b="c d"+e}`."""
    word = draw(words())
    options = draw(_settings(texts() if text is None else text))
    inside = ",".join(f"{key}={value}" for key, value in options.items())
    return PassRecord(word, f"{word}{{{inside}}}" if inside else word)


@functools.cache
def _settings(text: SearchStrategy[str]) -> SearchStrategy[dict[str, str]]:
    """Options of a pass, their values spelled, of each type that options have."""
    value = st.one_of(
        st.booleans().map(lambda value: spell(bool, value)),
        st.integers().map(lambda value: spell(int, value)),
        st.integers(0, 10**12).map(lambda value: spell(Duration, value)),
        st.floats(0, 1).map(lambda value: spell(Share, value)),
        text.map(lambda value: spell(str, value)),
        st.lists(text.filter(bool), max_size=3).map(lambda value: spell(tuple[str, ...], tuple(value))),
        st.none().map(lambda value: spell(str | None, value)),
    )
    return st.dictionaries(names(), value, max_size=3)


# --- health ----------------------------------------------------------------------------------------------


def findings(ids: Sequence[int] = (), text: SearchStrategy[str] | None = None) -> SearchStrategy[Finding]:
    """A finding of any level; its first event is none, one of `ids`, or one that is not in the module."""
    return _findings(tuple(ids), texts() if text is None else text)


@functools.lru_cache(maxsize=64)
def _findings(ids: tuple[int, ...], text: SearchStrategy[str]) -> SearchStrategy[Finding]:
    first = st.one_of(st.none(), st.integers(0, 2**62))
    poisoned = st.one_of(words(), st.tuples(words(), names()).map(".".join), text)
    return st.builds(
        Finding,
        code=st.one_of(names(), names(), text),
        level=st.sampled_from(LEVELS),
        count=st.one_of(st.integers(0, 3), st.integers(0, 2**40)),
        message=text,
        first=st.one_of(st.sampled_from(ids), first) if ids else first,
        poisons=st.lists(poisoned, max_size=2).map(tuple),
        by=st.one_of(st.just(""), words(), text),
    )


# --- annotations -----------------------------------------------------------------------------------------


_ANNOTATION_NAMES: Final = st.one_of(
    st.sampled_from(
        ("x.a", "x.b", "dead-gaps.removed", "a-b-c.d.e_f", "coll.note", "src.note", "what-if.a.b.c", "x.live", "x.a.")
    ),
    st.from_regex(r"[a-z][a-z0-9-]{0,4}\.[a-z][a-z0-9_.]{0,6}", fullmatch=True).filter(
        lambda name: name.partition(".")[0] not in _RESERVED
    ),
)
"""Dashes in the word, several dots in the column; none that a built-in pass gives a meaning."""


@functools.cache
def declarations(text: SearchStrategy[str], domain: str, targets: tuple[str, ...]) -> SearchStrategy[Annotation]:
    """The declaration of a column of `domain`, of any dtype; an `id` column is mostly of one of `targets`.

    A unit that names no domain leaves an `id` column one of events, so any text will do.
    """
    dtypes = [
        (dtype, ("", *targets) if dtype == "id" else ("", "ns", "B"), st.lists(text, max_size=4, unique=True))
        for dtype in (*get_args(DType), "id", "id")  # which have the most to refer to
    ]
    return st.one_of(
        *(
            st.builds(
                Annotation,
                name=_ANNOTATION_NAMES,
                domain=st.just(domain),
                dtype=st.just(dtype),
                unit=st.one_of(st.sampled_from(units), st.sampled_from(units), text),
                doc=text,
                null=text,
                basis=st.sampled_from(get_args(Basis)),
                values=values.map(tuple) if dtype == "enum" else st.just(()),
                shown=st.sampled_from(get_args(Shown)),
            )
            for dtype, units, values in dtypes
        )
    )


def values(annotation: Annotation, sizes: Mapping[str, int], text: SearchStrategy[str]) -> SearchStrategy[Any]:
    """The values of a column, nulls among them: a list of texts and None for `str`, else an array of the stored dtype.

    `sizes` are the numbers of rows of all domains; an `id` column of a domain that is not there holds only nulls.
    """
    rows = sizes[annotation.domain]
    if annotation.dtype == "str":
        return cycled(_nullable(text), rows, None)
    value = _VALUES.get(annotation.dtype)
    if value is None:
        known = len(annotation.values) if annotation.dtype == "enum" else sizes.get(annotation.target, 0)
        value = st.integers(-1, known - 1)
    null = {"i64": NULL_I64, "u32": NULL_U32, "f64": float("nan"), "bool": False}.get(annotation.dtype, -1)
    return cycled(value, rows, null).map(lambda drawn: np.array(drawn, NUMPY_TYPES[annotation.dtype]))


@functools.cache
def _nullable(text: SearchStrategy[str]) -> SearchStrategy[str | None]:
    return st.one_of(st.none(), text)


_VALUES: Final[dict[str, SearchStrategy[Any]]] = {
    "i64": st.one_of(
        st.integers(0, 99),
        st.sampled_from((NULL_I64, NULL_I64 + 1, -1, _I64.max, _I64.max - 1, 2**53 + 1)),
        st.integers(_I64.min, _I64.max),
    ),
    "u32": st.one_of(st.integers(0, 99), st.sampled_from((NULL_U32, NULL_U32 - 1, 2**31)), st.integers(0, NULL_U32)),
    "f64": st.one_of(
        st.sampled_from(
            (0.5, 0.0, -0.0, float("nan"), float("inf"), float("-inf"), 5e-324, 1.7976931348623157e308, 0.1)
        ),
        st.floats(),
    ),
    "bool": st.booleans(),
}
