"""What an answer from the event graph is worth: what health says of the trace, and how errors are written."""

from __future__ import annotations

from typing import Final

from traceir.ir import Module

_NEEDED: Final = frozenset({"gaps", "module.span_ns"})
"""Results that rest on what the graph rests on: all device work, its launches, and one clock."""


def in_doubt(module: Module) -> str | None:
    """Why a trace's own damage leaves open what waited for what, None if nothing does.

    What makes `gaps` as a whole unreliable does: work or launches are missing, or clocks disagree. O(findings).
    """
    codes = sorted({finding.code for finding in module.health if _NEEDED & set(finding.poisons)})
    if not codes:
        return None
    if len(codes) == 1:
        return f"the finding {codes[0]} leaves open what waited for what"
    return f"the findings {', '.join(codes[:-1])} and {codes[-1]} leave open what waited for what"


def signed(share: float | None) -> str:
    """A share with its sign, as of an error: `+0.20 %`, `-1.68 %`; `0 %` is exact."""
    if share is None:
        return "unknown"
    if not share:
        return "0 %"
    text = f"{100 * share:+.2f} %"
    return f"{text[0]}<0.01 %" if text[1:] == "0.00 %" else text
