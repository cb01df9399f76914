"""Fitting a page to a width."""

from __future__ import annotations

import pytest
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


_HEAD = Line(label="op", cells=("median", "share", "exposed"), look="note", yields=(2, 1))
_ROW = Line(label="gate_up_proj_of_a_long_name", cells=("123.456 ms", "12.5 %", "100.000 ms"), text="gemm", look="op")


@pytest.mark.parametrize("width", range(30, 81))
def test_columns_are_left_out_whole_in_the_order_that_the_heading_says(width: int) -> None:
    """No cell is ever cut; what is missing is named below, and exposed goes before share."""
    lines = list(render([_HEAD, _ROW], Style(width)))
    assert "123.456 ms" in lines[1]
    note = " ".join(lines[2:])
    for name, cell in zip(_HEAD.cells, _ROW.cells, strict=True):
        assert (cell in lines[1]) == (name in lines[0])
        assert (name in note) == (name not in lines[0])
    assert "share" in lines[0] or "exposed" not in lines[0]
    assert ("columns that need more" in note) == (len(lines) > 2)


def test_a_label_is_cut_before_a_column_is_left_out() -> None:
    """Twenty characters of a label are enough to tell ops apart."""
    head, row = render([_HEAD, _ROW], Style(52))
    assert row == "gate_up_proj_of_a_l…  123.456 ms  12.5 %  100.000 ms"
    assert head.split() == ["op", "median", "share", "exposed"]


def test_a_table_without_an_order_loses_its_last_columns() -> None:
    """What comes first in a table is what it is about."""
    lines = [
        Line(label="law", cells=("expected", "found", "holds"), look="note"),
        Line(label="x", cells=("1", "2", "3")),
    ]
    assert next(iter(render(lines, Style(20)))).split() == ["law", "expected", "found"]


def test_ascii_output_keeps_the_meaning_of_signs() -> None:
    """Signs beyond ASCII have a spelling of their own, not a question mark."""
    [text] = render([Line(text="3 µs · layer ×36 – 2 → 3")], Style(60, unicode=False))
    assert text == "3 us - layer x36 - 2 > 3"
    [strip] = render([Line(text="▁▂▃▄▅▆▇█")], Style(60, unicode=False))
    assert strip == ".:-=+*#@", "the higher, the darker"


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
