"""The text form of modules: read, and written in two spellings of one grammar.

Names are loaded when first used: most runs spell an id or a name and need neither the parser nor the printer.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from traceir.text.errors import ParseError as ParseError
    from traceir.text.reading import grammar as grammar
    from traceir.text.reading import parse as parse
    from traceir.text.spelling import Spelling as Spelling
    from traceir.text.spelling import spell as spell

_HOMES: Final = {
    "ParseError": "traceir.text.errors",
    "Spelling": "traceir.text.spelling",
    "grammar": "traceir.text.reading",
    "parse": "traceir.text.reading",
    "spell": "traceir.text.spelling",
}
__all__ = ["ParseError", "Spelling", "grammar", "parse", "spell"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'traceir.text' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
