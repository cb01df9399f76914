"""Reading: a text to a module, or an error that says where and what was expected."""

from __future__ import annotations

from traceir.ir import Module
from traceir.registry import Registry
from traceir.text.assemble import assemble
from traceir.text.errors import MistakeError, located
from traceir.text.parser import grammar, read_draft


def parse(text: str, *, path: str = "<text>", registry: Registry | None = None, check: bool = True) -> Module:
    """The module that a text describes.

    `path` is what errors call the text. Columns that the text does not declare are looked up among those that the
    passes it records write, as far as the `registry` (default: all that is installed) knows them. With `check`, a
    module that breaks an error-level rule of the verifier is refused. Raises `ParseError`, which names line and
    column. O(length): about a million rows of blocks or ten thousand statements in a second.
    """
    try:
        return assemble(read_draft(text), registry or Registry.default(), path, check=check)
    except MistakeError as mistake:
        raise located(mistake, text, path) from None


__all__ = ["grammar", "parse"]
