"""The lines of a page before they are fitted to a width."""

from __future__ import annotations

from typing import Literal

import attrs

Look = Literal["title", "head", "fold", "op", "comm", "gap", "note", "warning", "error", "plain"]


@attrs.frozen
class Line:
    """One line: a label at an indent, right-aligned cells under common columns, then free text that may be cut.

    `bar` draws the line that joins the ops of a fold, `bars` of them
    where one fold lies within another. A line without cells is free text from its indent on. A line
    with `yields` heads its section's columns: these columns (positions in `cells`) give way, in this order, where
    the width does not hold them all; without it the last ones do. The first `gives` of them give way for the free
    text too.
    """

    text: str = ""
    label: str = ""
    cells: tuple[str, ...] = ()
    indent: int = 0
    bar: bool = False
    bars: int = 1
    look: Look = "plain"
    wraps: bool = False
    """Whether text that does not fit goes on in further lines, rather than being cut."""
    yields: tuple[int, ...] = ()
    gives: int = 0


BLANK = Line()
