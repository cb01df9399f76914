"""Speedscope profiles, as py-spy and many other samplers write them: sampled or evented stacks."""

from __future__ import annotations

import re
from typing import ClassVar, Final

import attrs

from traceir.ir import Module
from traceir.loading import Frontend, Head, Progress
from traceir_frontends.speedscope.document import read
from traceir_frontends.speedscope.lower import lower
from traceir_frontends.whole import read_whole

__all__ = ["Speedscope"]

_SCHEMA: Final = b"speedscope.app/file-format-schema.json"
_SHARED: Final = re.compile(rb'"shared"\s*:\s*\{\s*"frames"')
"""How files begin that name the schema only behind their frames."""


@attrs.frozen
class Speedscope(Frontend):
    """Speedscope profiles (py-spy and other samplers)."""

    word: ClassVar[str] = "speedscope"

    @classmethod
    def sniff(cls, head: Head) -> float:
        """Certain of JSON that names the format's schema, nearly so of its list of frames without it."""
        if head.text.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] != b"{":
            return 0.0
        if _SCHEMA in head.text:
            return 1.0
        return 0.8 if _SHARED.search(head.text) else 0.0

    def load(self, path: str, progress: Progress | None = None) -> Module:
        """Read all profiles, a lane each; frames that stay open end with their profile, and a finding says so.

        InputError, with the place, for what is no such file or contradicts the format, as frames that are closed
        out of order do.
        """
        raw, damage = read_whole(path)
        return lower(path, read(path, raw, damage))
