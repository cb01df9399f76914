"""Reading an input whole, for formats that are small by nature."""

from __future__ import annotations

import contextlib
import csv
import os
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from traceir.errors import InputError
from traceir.loading import HEAD_BYTES, Head

MOST: Final = 1 << 29
"""Bytes of the largest text that is held whole; what is larger is a bomb, or no file of such a format."""
_PIECE: Final = 1 << 20


def read_whole(path: str, most: int = MOST) -> tuple[bytes, str | None]:
    """The bytes of an input, decompressed if it is gzip, and what damage of the gzip file cut them short.

    InputError if it cannot be read, or is larger than `most` bytes when decompressed.
    """
    try:
        if path == "-":
            return _text(path, _pieces(sys.stdin.buffer), most)
        with Path(path).open("rb") as file:
            return _text(path, _pieces(file), most)
    except OSError as error:
        raise InputError(f"The input {path} cannot be read: {error.strerror or error}.") from error


def begin_of(path: str) -> Head:
    """The first bytes of an input as frontends sniff them, for a frontend that has to look again."""
    try:
        if path == "-":
            raw = sys.stdin.buffer.read(HEAD_BYTES)
        else:
            with Path(path).open("rb") as file:
                raw = file.read(HEAD_BYTES)
    except OSError as error:
        raise InputError(f"The input {path} cannot be read: {error.strerror or error}.") from error
    gzipped, text = raw[:2] == b"\x1f\x8b", raw
    if gzipped:
        try:
            text = zlib.decompressobj(31).decompress(raw, HEAD_BYTES)
        except zlib.error:
            text = b""
    return Head(path, raw, text, gzipped)


def decoded(raw: bytes) -> tuple[str, int]:
    """A text, and how many bytes of it are no UTF-8 (they become the replacement character)."""
    try:
        return raw.decode("utf-8-sig"), 0
    except UnicodeDecodeError:
        text = raw.decode("utf-8-sig", "replace")
        return text, text.count("\N{REPLACEMENT CHARACTER}")


@contextlib.contextmanager
def cells_up_to(most: int) -> Iterator[None]:
    """Cells of CSV may have this many characters meanwhile: the limit is the whole process's, so it is put back."""
    before = csv.field_size_limit(most)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def name_of(path: str) -> str:
    """What the module of an input is called."""
    return "stdin" if path == "-" else os.path.basename(path)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece


def _text(path: str, pieces: Iterator[bytes], most: int) -> tuple[bytes, str | None]:
    out, damage = bytearray(), None
    for piece, problem in _inflated(pieces):
        damage = problem
        out += piece
        if len(out) > most:
            raise InputError(f"The input {path} holds more than {most} bytes of text; cut it, or record less.")
    return bytes(out), damage


def _inflated(pieces: Iterator[bytes]) -> Iterator[tuple[bytes, str | None]]:
    """The pieces, decompressed member by member if the first begins like gzip; the last may carry a problem."""
    engine = None
    for number, piece in enumerate(pieces):
        if number == 0 and piece[:2] == b"\x1f\x8b":
            engine = zlib.decompressobj(31)
        if engine is None:
            yield piece, None
            continue
        rest = piece
        while rest:
            if engine.eof:
                rest = rest.lstrip(b"\0")  # archives on tape are filled up with zeros
                if not rest:
                    break
                engine = zlib.decompressobj(31)
            try:
                text = engine.decompress(rest, _PIECE)
            except zlib.error as error:
                yield b"", str(error)
                return
            yield text, None
            rest = engine.unconsumed_tail or engine.unused_data
    if engine is not None and not engine.eof:
        yield b"", "it ends before its last block does"
