"""Errors of the text form: where they are, the line, a caret, and what was expected."""

from __future__ import annotations

import re
from typing import Final

from traceir.errors import InputError

_TOKEN: Final = re.compile(r'//[^\n]*|@?"[^"\\\n]*(?:\\.[^"\\\n]*)*"|[@%]?[\w.:-]+|\S')
_SHOWN: Final = 100
"""How much of a long line is shown around the place of an error."""


class MistakeError(Exception):
    """A mistake at an offset of the text being read; `parse` makes a `ParseError` of it.

    With a `word`, the mistake is where this first stands as a token, from the offset on.
    """

    def __init__(self, message: str, at: int, word: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.at = at
        self.word = word


class ParseError(InputError):
    """A text cannot be read: `path`, `line` and `column` (from 1) say where, `message` what was expected.

    Its text is `path:line:column: message`, then the line, then a caret below the place.
    """

    def __init__(self, message: str, path: str, line: int, column: int, shown: str, caret: int) -> None:
        super().__init__(f"{path}:{line}:{column}: {message}\n  {shown}\n  {' ' * caret}^")
        self.message = message
        self.path = path
        self.line = line
        self.column = column


def located(mistake: MistakeError, text: str, path: str) -> ParseError:
    """The error for a mistake in a text. A line that is long is cut around the place. O(length)."""
    at = min(_begin(mistake, text), len(text))
    line = text.count("\n", 0, at) + 1
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    whole = text[start : len(text) if end < 0 else end].rstrip("\r")
    column = at - start
    low = max(0, column - _SHOWN // 2) if len(whole) > _SHOWN else 0
    shown = whole[low : low + _SHOWN].replace("\t", " ")
    return ParseError(mistake.message, path, line, column + 1, shown, column - low)


def _begin(mistake: MistakeError, text: str) -> int:
    if not mistake.word:
        return mistake.at
    tokens = _TOKEN.finditer(text, mistake.at)
    return next((token.start() for token in tokens if token.group() == mistake.word), mistake.at)
