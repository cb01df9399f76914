"""The folded page: what a person sees first, one screen for a trace of any size."""

from __future__ import annotations

from typing import ClassVar, Literal, TextIO

import attrs

from traceir.passing import option
from traceir.printers.base import Printer, Result, Style
from traceir.printers.folded.page import compose
from traceir.printers.folded.render import render


@attrs.frozen
class Folded(Printer):
    """One page for people: steps, layers and ops, folded."""

    word: ClassVar[str] = "folded"

    by: Literal["step", "lane", "role"] = option("step", help="What device work is summed by.")
    expand: tuple[str, ...] = option(
        (), help="Steps, layers or ops of which one instance is shown in full, as layer.3 or step.2.layer.3."
    )

    def write(self, result: Result, out: TextIO, style: Style) -> None:
        """Write the page; no line is wider than the style's width. UsageError if `expand` names nothing."""
        for line in render(compose(result, style, self.by, self.expand), style):
            out.write(line + "\n")


__all__ = ["Folded"]
