"""The folded page: what a person sees first, one screen for a trace of any size."""

from __future__ import annotations

from typing import ClassVar, TextIO

import attrs

from traceir.printers.base import Printer, Result, Style
from traceir.printers.folded.page import compose
from traceir.printers.folded.render import render


@attrs.frozen
class Folded(Printer):
    """One page for people: steps, layers and ops, folded."""

    word: ClassVar[str] = "folded"

    def write(self, result: Result, out: TextIO, style: Style) -> None:
        """Write the page; no line is wider than the style's width."""
        for line in render(compose(result, style), style):
            out.write(line + "\n")


__all__ = ["Folded"]
