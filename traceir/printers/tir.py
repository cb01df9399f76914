"""The text form as a printer: what the parser reads back."""

from __future__ import annotations

from typing import ClassVar, Literal, TextIO

import attrs

from traceir.passing import option
from traceir.printers.base import Printer, Result, Style
from traceir.text import Spelling, spell


@attrs.frozen
class Tir(Printer):
    """The IR as text, which traceir reads back."""

    word: ClassVar[str] = "tir"
    prints_parts: ClassVar[bool] = True

    form: Literal["auto", "statements", "table"] = option(
        "auto", help="A line an event, or blocks of numbers; auto takes blocks for more than 20 000 events."
    )
    args: bool = option(False, help="Write the source's own arguments too; always as statements.")
    dead: bool = option(False, help="Write events that a pass has removed, too.")
    tree: str | None = option(
        None, help="The tree whose regions hold their events; default: the one with most regions."
    )
    columns: tuple[str, ...] = option((), help="The annotations to write, by name or word; default: all.")

    def write(self, result: Result, out: TextIO, style: Style) -> None:
        """Write the module; the text is in ASCII if the output can show no more."""
        spelling = Spelling(self.form, self.args, self.dead, self.tree, self.columns, ascii=not style.unicode)
        for piece in spell(result.module, spelling):
            out.write(piece if style.unicode or piece.isascii() else _ascii(piece))


def _ascii(text: str) -> str:
    return "".join(char if char < "\x80" else f"\\u{{{ord(char):x}}}" for char in text)
