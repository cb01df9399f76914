"""Nsight Compute: the metrics of single kernels, from its CSV pages."""

from __future__ import annotations

import shlex
from typing import ClassVar, Final

import attrs

from traceir.errors import InputError
from traceir.ir import Module
from traceir.loading import Frontend, Head, Progress
from traceir_frontends.ncu.lower import lower
from traceir_frontends.ncu.table import HEADER, read
from traceir_frontends.whole import decoded, read_whole

__all__ = ["Ncu"]

_REPORT: Final = b"NVR\x00"
_COLUMN: Final = b'"Kernel Name"'


@attrs.frozen
class Ncu(Frontend):
    """Nsight Compute reports, as CSV (pages details and raw)."""

    word: ClassVar[str] = "ncu"

    @classmethod
    def sniff(cls, head: Head) -> float:
        """Certain of a report, and of text in which a line begins as the CSV's header does."""
        if head.raw.startswith(_REPORT):
            return 1.0
        text = head.text
        has_header = text.startswith(HEADER.encode()) or b"\n" + HEADER.encode() in text
        return 0.95 if has_header and _COLUMN in text else 0.7 if text.startswith(b"==PROF==") else 0.0

    def load(self, path: str, progress: Progress | None = None) -> Module:
        """Read the kernels as events, one after another as long as they took: the profiler keeps no start times.

        The profiled program's own output before the header is passed over. InputError for a binary report, with
        the command that exports it, and for text without a kernel.
        """
        raw, damage = read_whole(path)
        if raw.startswith(_REPORT):
            raise InputError(
                f"The input {path} is an Nsight Compute report, whose format is not public; export it with: ncu "
                f"--import {shlex.quote(path)} --csv --page raw --print-units base > report.csv"
            )
        text, odd = decoded(raw)
        return lower(path, read(path, text), odd, damage)
