"""Windows chosen by words: which events a text names, what lies around some, and what a cut needs to tell the truth."""

from __future__ import annotations

from traceir.windows.chosen import Chosen, limit
from traceir.windows.closed import closed
from traceir.windows.nearby import around
from traceir.windows.select import select_window

__all__ = ["Chosen", "around", "closed", "limit", "select_window"]
