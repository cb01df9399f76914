"""Fitting a page to a width."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from traceir.printers.base import Style
from traceir.printers.folded.lines import BLANK, Line
from traceir.printers.folded.render import render

_texts = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]) | st.just(" "), max_size=60)
_lines = st.builds(
    Line,
    text=_texts,
    label=_texts,
    cells=st.lists(st.text("0123456789. µs%", max_size=9), max_size=3).map(tuple),
    indent=st.sampled_from([0, 2, 4]),
    bar=st.just(False),
    wraps=st.booleans(),
)


@given(st.lists(_lines | st.just(BLANK), max_size=12), st.sampled_from([40, 80, 120]), st.booleans())
def test_no_line_is_wider_than_asked(lines: list[Line], width: int, unicode: bool) -> None:
    """Whatever the content, no line leaves the width, and ASCII output is ASCII."""
    for text in render(lines, Style(width, unicode=unicode)):
        assert cell_len(text) <= width
        assert unicode or text.isascii()


def test_cells_of_a_section_are_aligned() -> None:
    """Labels start and numbers end in the same columns within a section; the free text follows."""
    lines = [
        Line(label="norm", cells=("4.7 µs", "1.8 %"), text="rms", indent=4, bar=True),
        Line(label="gate_up_proj", cells=("66.6 µs", "25.0 %"), text="gemm", indent=4, bar=True),
        BLANK,
        Line(label="x", cells=("1 ns",), indent=2),
    ]
    assert list(render(lines, Style(60))) == [
        "  │ norm           4.7 µs   1.8 %   rms",
        "  │ gate_up_proj  66.6 µs  25.0 %   gemm",
        "",
        "  x  1 ns",
    ]


def test_ascii_output_keeps_the_meaning_of_signs() -> None:
    """Signs beyond ASCII have a spelling of their own, not a question mark."""
    [text] = render([Line(text="3 µs · layer ×36 – 2 → 3")], Style(60, unicode=False))
    assert text == "3 us - layer x36 - 2 > 3"


def test_long_text_is_cut_or_wrapped() -> None:
    """A line says itself whether it may go on below."""
    long = "one two three four five six seven eight nine ten eleven"
    assert list(render([Line(text=long)], Style(40))) == ["one two three four five six seven eight…"]
    assert list(render([Line(text=long, wraps=True)], Style(40))) == [
        "one two three four five six seven eight",
        "    nine ten eleven",
    ]


def test_colour_is_only_where_it_is_asked_for() -> None:
    """Without colour there is no escape sequence in the output."""
    line = Line(label="layer", look="fold")
    assert "\x1b" not in "".join(render([line], Style(80)))
    assert "\x1b[1m" in "".join(render([line], Style(80, color=True)))
