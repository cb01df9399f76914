"""The text of pipelines: words, options, and messages for every mistake."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.passing.test_options import Many
from tests.passing.toys import Alpha, Beta, Delta, Shift, registry
from traceir.errors import UsageError
from traceir.passing import PassManager, pipeline

KNOWN = registry(Alpha, Beta, Delta, Shift, Many)

PASSES = st.lists(
    st.one_of(
        st.builds(Alpha, st.integers()),
        st.builds(Shift, st.integers(0, 10**12)),
        st.builds(Beta),
        st.builds(
            Many, names=st.lists(st.text(min_size=1, max_size=5), max_size=3).map(tuple), note=st.text(max_size=5)
        ),
    ),
    max_size=5,
)


@given(PASSES, st.booleans())
def test_printing_and_parsing_are_inverse(passes: list[Alpha | Shift | Beta | Many], every: bool) -> None:
    """`parse(print(p)) == p`, and the print is a fixed point."""
    text = pipeline.spell(passes, every=every)
    again = pipeline.parse(text, KNOWN)
    assert again == passes
    assert pipeline.spell(again, every=every) == text


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("", []),
        ("alpha", [("alpha", {}, 1)]),
        (" alpha ,\n beta ", [("alpha", {}, 2), ("beta", {}, 2)]),
        ("alpha{}", [("alpha", {}, 1)]),
        ("dead-gaps{min_ns=2us}", [("dead-gaps", {"min_ns": "2us"}, 1)]),
        ("a{x=1,y=p+q},b", [("a", {"x": "1", "y": "p+q"}, 1), ("b", {}, 14)]),
        ('a{x="p, {q}"}', [("a", {"x": '"p, {q}"'}, 1)]),
    ],
)
def test_what_a_text_says(text: str, items: list[tuple[str, dict[str, str], int]]) -> None:
    """Words, options as written, and the column of each pass."""
    assert [(item.word, dict(item.settings), item.column) for item in pipeline.parse_items(text)] == items


HOW = "a pipeline is pass names with options, such as 'group,overlap{versus=any}'"
ERRORS = {
    "alpa": "There is no pass 'alpa'; did you mean alpha (column 1 of the pipeline).",
    "alpha,bta": "There is no pass 'bta'; did you mean beta or delta (column 7 of the pipeline).",
    "zzz": "There is no pass 'zzz'; there are alpha, beta, delta, many, shift (column 1 of the pipeline).",
    "beta{x=1}": "The pass beta has no option 'x'; it has none (column 6 of the pipeline).",
    "alpha,alpha{scal=1}": "The pass alpha has no option 'scal'; did you mean scale (column 13 of the pipeline).",
    "alpha{scale=two}": (
        "The option scale of alpha is 'two', and it has to be a whole number (column 7 of the pipeline)."
    ),
    "alpha{scale=1,scale=2}": "The option scale of alpha is given twice, the second time at column 15.",
    "alpha,\n beta,\n many{top=1,\n  x=2}": (
        "The pass many has no option 'x'; it has versus, min_ns, share, names, deep, top, note "
        "(line 4, column 3 of the pipeline)."
    ),
    "alpha,\n bta": "There is no pass 'bta'; did you mean beta or delta (line 2, column 2 of the pipeline).",
    "alpha,\n\tbeta beta,\nalpha": f"The pipeline cannot be read at line 2, column 7; {HOW}:\n   beta beta,\n        ^",
    "alpha,\nbeta,\n": f"The pipeline cannot be read at line 3, column 1; {HOW}:\n  \n  ^",
    "alpha,": f"The pipeline cannot be read at column 7; {HOW}:\n  alpha,\n        ^",
    "alpha{scale}": f"The pipeline cannot be read at column 7; {HOW}:\n  alpha{{scale}}\n        ^",
    "alpha{scale=1": f"The pipeline cannot be read at column 14; {HOW}:\n  alpha{{scale=1\n               ^",
    "alpha beta": f"The pipeline cannot be read at column 7; {HOW}:\n  alpha beta\n        ^",
    "Alpha": "There is no pass 'Alpha'; did you mean alpha.",
    "alphascale=1": (
        "The pipeline 'alphascale=1' reads as if your shell expanded the braces (at 'alphascale=1'): "
        "quote the pipeline, as in --passes 'name{key=value}'."
    ),
    "beta,manynames=a": (
        "The pipeline 'beta,manynames=a' reads as if your shell expanded the braces (at 'manynames=a'): "
        "quote the pipeline, as in --passes 'name{key=value}'."
    ),
}


@pytest.mark.parametrize("text", ERRORS)
def test_every_mistake_has_its_message(text: str) -> None:
    """Exactly this message, as a UsageError (exit code 2); nothing has run."""
    with pytest.raises(UsageError) as error:
        PassManager.parse(text, registry=KNOWN)
    assert str(error.value) == ERRORS[text]
    assert error.value.exit_code == 2


@given(st.text(max_size=20))
def test_no_text_is_more_than_a_usage_error(text: str) -> None:
    """Whatever the text, it is a pipeline or a UsageError."""
    with contextlib.suppress(UsageError):
        assert isinstance(PassManager.parse(text, registry=KNOWN), PassManager)
