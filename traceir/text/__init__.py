"""The text form of modules: read, and written in two spellings of one grammar."""

from __future__ import annotations

from traceir.text.errors import ParseError
from traceir.text.reading import grammar, parse
from traceir.text.spelling import Spelling, spell

__all__ = ["ParseError", "Spelling", "grammar", "parse", "spell"]
