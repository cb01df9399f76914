"""The layout of a `.tirb` file: a magic, the length and digest of a header, the header in JSON, then the columns.

All integers are little-endian. The header says of each column its dtype, where it begins behind the header, how long it
is, and its checksum; columns begin at multiples of 64 bytes. Nothing in the file is code.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import Any, Final

import msgspec
import numpy as np

MAGIC: Final = b"\x89TIRB\r\n\x1a"
"""Eight bytes that no text begins with, and that a transfer as text would damage."""
VERSION: Final = 1
"""The version of the layout; a reader refuses any other."""
ALIGNED: Final = 64
LONGEST: Final = 1 << 30
"""Bytes of the longest header: names of events make it long, and none comes near this."""
DIGEST: Final = 16
DTYPES: Final = ("|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f8")
"""The dtypes that a column may have."""
PREFIX: Final = len(MAGIC) + 8 + DIGEST


class ColumnPart(msgspec.Struct, frozen=True):
    """Where a column lies, in bytes behind the header."""

    dtype: str
    offset: int
    length: int
    checksum: int


class TablePart(msgspec.Struct, frozen=True):
    """One table."""

    length: int
    columns: dict[str, ColumnPart]


class WrittenPart(msgspec.Struct, frozen=True):
    """One annotation; of each input whether it is still the column that it was computed from."""

    annotation: dict[str, Any]
    by: int | None
    inputs: list[tuple[str, bool]]


class Header(msgspec.Struct, frozen=True):
    """All of a module but the data of its columns. `texts` are the pool of names: UTF-8, and where each ends."""

    version: int
    traceir: str
    name: str
    meta: dict[str, Any]
    kinds: list[str]
    lanes: list[dict[str, Any]]
    texts: tuple[ColumnPart, ColumnPart]
    tables: dict[str, TablePart]
    annotations: dict[str, WrittenPart]
    passes: list[dict[str, str]]
    health: list[dict[str, Any]]
    frontend: str | None = None
    path: str | None = None


def digest(raw: bytes) -> bytes:
    """The digest of a header."""
    return hashlib.blake2b(raw, digest_size=DIGEST).digest()


def checksum(data: np.ndarray[Any, Any]) -> int:
    """The checksum of a column's bytes; O(bytes), about a second for a gigabyte."""
    return zlib.crc32(np.ascontiguousarray(data).view(np.uint8).data) if data.size else 0


def padded(length: int) -> int:
    """The next multiple of the alignment."""
    return -(-length // ALIGNED) * ALIGNED
