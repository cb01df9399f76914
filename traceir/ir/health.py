"""Health: what is wrong with a trace, and which results that makes unreliable."""

from __future__ import annotations

from typing import Literal

import attrs

Level = Literal["info", "warning", "error"]
LEVELS: tuple[Level, ...] = ("info", "warning", "error")


DAMAGE: frozenset[str] = frozenset({"truncated", "repaired", "clock_step"})
"""Codes of findings that say that the file itself is damaged, whatever their level."""


@attrs.frozen
class Finding:
    """One thing that is wrong, odd or missing in a trace.

    `code` is stable (see docs), `message` is one sentence that ends with what to record next time where that
    helps, `first` is the id of the first event concerned (None if no event is). `poisons` names the results
    that rest on the damaged part, as `<pass>` or `<pass>.<key>`; they are printed as unreliable.
    `by` is the pass that found it, empty for the frontend; the manager fills it in.
    """

    code: str
    level: Level
    count: int
    message: str
    first: int | None = None
    poisons: tuple[str, ...] = ()
    by: str = ""
