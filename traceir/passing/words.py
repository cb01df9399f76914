"""The words by which classes are chosen, and by which errors are told."""

from __future__ import annotations

import re

_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def hyphened(name: str) -> str:
    """`DeadGaps` as `dead-gaps`."""
    return _HUMPS.sub("-", name).lower()


def said(error: BaseException) -> str:
    """The kind of an error and what it says, as the end of a sentence."""
    kind, text = type(error).__name__, str(error)
    if not text:
        return f"{kind}."
    return f"{kind}: {text}" if text.endswith((".", "!", "?")) else f"{kind}: {text}."
