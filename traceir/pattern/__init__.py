"""Patterns over the event graph: what a recogniser of rewrites says instead of loops.

The trace's counterpart of a compiler's dataflow patterns. A pattern is built of typed events, put in order with `>>`,
repeated, named, and held to equal groups or types; `find` gives all its matches in a module.
"""

from __future__ import annotations

from traceir.pattern.events import Events, anything, edge, event, under
from traceir.pattern.matches import Match, Matches
from traceir.pattern.path import Path
from traceir.pattern.sequence import Pattern

__all__ = ["Events", "Match", "Matches", "Path", "Pattern", "anything", "edge", "event", "under"]
