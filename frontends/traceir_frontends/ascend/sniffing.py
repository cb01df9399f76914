"""What an input is, by its content: a timeline, a database, a table of kernels, or a file without a timeline."""

from __future__ import annotations

import re
import zlib
from typing import Final, Literal

from traceir.errors import InputError
from traceir.loading import Head
from traceir_frontends.ascend import kernels, schema
from traceir_frontends.tabular import Database, is_database, is_packed_database

Content = Literal["timeline", "database", "packed", "kernels", "summary", "figures"]
_BOM: Final = b"\xef\xbb\xbf"
_SQLITE: Final = b"SQLite format 3\x00"
_HEAD: Final = 1 << 16
_MARKS: Final = (
    b'"Ascend Hardware"', b'"Task Type"', b'"Overlap Analysis"', b'"AscendCL@', b'"async_npu"', b'"HostToDevice',
    b'"Node@launch"', b'"torch_to_npu"', b'"enqueue_to_dequeue"', b'"AI Core Freq"',
)  # fmt: skip
"""Texts that only this profiler writes into a timeline."""
_TEXT_TIME: Final = re.compile(rb'"ts"\s*:\s*"[1-9]\d{15}\.\d{1,3}"')
"""Unix time in microseconds, as text: no other profiler writes its times so."""
_FIGURES: Final = (b'"Communication Time Info"', b'"Communication Bandwidth Info"', b'"Transport Type"')
"""Texts of communication.json and communication_matrix.json, which are no timelines."""
_TABLES: Final = (*schema.MARKS, *schema.SUMMARIES)


def certainty(head: Head) -> float:
    """How sure it is that an input is of this format.

    Nearly certain of what only this profiler writes: its processes, its flows, Unix times as text, its tables.
    """
    if is_database(head):
        return _database(head)
    if is_packed_database(head):
        return 0.5 if _named(head.text) else 0.0
    text = head.text.removeprefix(_BOM).lstrip()
    if text[:1] in (b"[", b"{"):
        if b'"ph"' in text and any(mark in text for mark in _MARKS):
            return 0.97
        if any(mark in text for mark in _FIGURES):
            return 0.9
        return 0.95 if b'"ph"' in text and _TEXT_TIME.search(text) else 0.0
    return 0.95 if kernels.is_table(text) else 0.9 if kernels.is_summary(text) else 0.0


def content_of(path: str) -> Content:
    """What a file is, a timeline if nothing else fits; InputError if it cannot be read."""
    if path == "-":
        return "timeline"
    try:
        with open(path, "rb") as file:
            raw = file.read(_HEAD)
    except OSError as error:
        raise InputError(f"The input {path} cannot be read: {error.strerror or error}.") from error
    if raw.startswith(_SQLITE):
        return "database"
    text = _inflated(raw) if raw[:2] == b"\x1f\x8b" else raw
    if text.startswith(_SQLITE):
        return "packed"
    text = text.removeprefix(_BOM).lstrip()
    if text[:1] in (b"[", b"{"):
        return "figures" if any(mark in text for mark in _FIGURES) and b'"ph"' not in text else "timeline"
    return "kernels" if kernels.is_table(text) else "summary" if kernels.is_summary(text) else "timeline"


def _inflated(raw: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(raw, _HEAD)
    except zlib.error:
        return b""


def _database(head: Head) -> float:
    try:
        with Database.open(head.path) as database:
            return 0.97 if any(map(database.has, _TABLES)) else 0.0
    except InputError:
        return 0.5 if _named(head.raw) else 0.0


def _named(text: bytes) -> bool:
    """Whether the first page of a database names tables of this profiler."""
    return any(mark.encode() in text for mark in _TABLES)
