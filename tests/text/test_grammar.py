"""The grammar that the document shows is the one that is read."""

from __future__ import annotations

from traceir.text import grammar

from ..conftest import ROOT


def test_the_document_shows_the_grammar_as_it_is() -> None:
    """Verbatim."""
    assert grammar().rstrip() in (ROOT / "docs" / "text.md").read_text("utf-8")
