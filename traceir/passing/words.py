"""The words by which classes are chosen."""

from __future__ import annotations

import re

_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def hyphened(name: str) -> str:
    """`DeadGaps` as `dead-gaps`."""
    return _HUMPS.sub("-", name).lower()
