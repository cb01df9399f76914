"""Bytes of the input in pieces: plain files, gzip with checkpoints to go back to, a window that moves over the text."""

from __future__ import annotations

import io
import os
import sys
import tempfile
import weakref
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any, Final, Protocol, cast

import attrs

from traceir.errors import InputError

PIECE: Final = 1 << 16
"""Compressed bytes inflated at once."""
STRIDE: Final = 4 << 20
"""Inflated bytes between two checkpoints: a snapshot of the inflater costs about 40 KB, so 1 % of this."""


@attrs.frozen
class Identity:
    """What tells that a file is still the one that was read."""

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, file: IO[bytes]) -> Identity:
        """The identity of an open file."""
        stat = os.fstat(file.fileno())
        return cls(stat.st_size, stat.st_mtime_ns)


@attrs.define(eq=False)
class Origin:
    """Where the bytes lie: a path that is opened when needed, or a spooled standard input that stays open."""

    path: str
    identity: Identity | None = None
    spool: IO[bytes] | None = None

    def open(self) -> IO[bytes]:
        """The file from its beginning; InputError if it cannot be read or is no longer the one that was loaded."""
        if self.path == "-":
            if self.spool is None:
                self.spool = _spooled()
                weakref.finalize(self, self.spool.close)
            return cast(IO[bytes], _Reader(self.spool))
        try:
            file = open(self.path, "rb", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise InputError(f"The input {self.path} cannot be read: {error.strerror or error}.") from error
        found = Identity.of(file)
        if self.identity is None:
            self.identity = found
        elif found != self.identity:
            file.close()
            raise InputError(
                f"The input {self.path} has changed since it was loaded ({self.identity.size} bytes then, "
                f"{found.size} now); load it again."
            )
        return file


class _Reader(io.RawIOBase):
    """A spooled input from its beginning. Several may be read in turns: each keeps its own place."""

    def __init__(self, spool: IO[bytes]) -> None:
        self._spool = spool
        self._at = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """The spool's."""
        return self._spool.fileno()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go on at an offset from the beginning."""
        if whence != io.SEEK_SET:
            raise io.UnsupportedOperation("A spooled input is read from offsets of its beginning.")
        self._at = offset
        return offset

    def readinto(self, view: Any) -> int:
        """Fill the view as far as the input goes."""
        self._spool.seek(self._at)
        count: int = self._spool.readinto(view)  # type: ignore[attr-defined]
        self._at += count
        return count


def _spooled() -> IO[bytes]:
    """Standard input as a file without a name that can be read twice."""
    file = tempfile.TemporaryFile()  # noqa: SIM115
    while piece := sys.stdin.buffer.read(1 << 20):
        file.write(piece)
    file.flush()
    return file


class Text(Protocol):
    """The decompressed text of an input, read once from its beginning."""

    total: int
    damage: str | None

    @property
    def consumed(self) -> int:
        """Bytes of the file read so far (compressed ones, for gzip)."""
        ...

    def readinto(self, view: memoryview) -> int:
        """Fill the view as far as possible; 0 at the end."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class PlainText:
    """A file that is its own text."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._file = origin.open()
        self.total = os.fstat(self._file.fileno()).st_size
        self.damage: str | None = None
        self.consumed = 0

    def readinto(self, view: memoryview) -> int:
        """Fill the view as far as the file goes."""
        filled = 0
        while filled < len(view):
            try:
                count: int = self._file.readinto(view[filled:])  # type: ignore[attr-defined]
            except OSError as error:
                raise InputError(f"The input {self._origin.path} cannot be read: {error.strerror or error}.") from error
            if not count:
                break
            filled += count
        self.consumed += filled
        return filled

    def seek(self, offset: int) -> None:
        """Go on at an offset."""
        self._file.seek(offset)
        self.consumed = offset

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@attrs.frozen(eq=False)
class Checkpoint:
    """A place from which inflation can go on: text offset, file offset, and the inflater as it stood there."""

    text: int
    file: int
    state: zlib._Decompress


@attrs.define(eq=False)
class Checkpoints:
    """The checkpoints of one file in order, at least `STRIDE` of text apart."""

    marks: list[Checkpoint] = attrs.field(factory=list)

    def offer(self, text: int, file: int, state: zlib._Decompress) -> None:
        """Keep a snapshot if the last one lies far enough back."""
        if text >= (self.marks[-1].text if self.marks else 0) + STRIDE:
            self.marks.append(Checkpoint(text, file, state.copy()))

    def before(self, text: int) -> Checkpoint | None:
        """The last checkpoint at or before a text offset; None if inflation has to begin at the beginning."""
        low, high = 0, len(self.marks)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.marks[middle].text <= text else (low, middle)
        return self.marks[low - 1] if low else None


class GzipText:
    """The text of a gzip file of one or more members, read from a checkpoint or from the beginning."""

    def __init__(self, origin: Origin, checkpoints: Checkpoints, start: int = 0) -> None:
        self._origin = origin
        self._file = origin.open()
        self.total = os.fstat(self._file.fileno()).st_size
        self._checkpoints = checkpoints
        self.damage: str | None = None
        mark = checkpoints.before(start)
        self.position = mark.text if mark else 0
        """Text offset of the next byte that `readinto` gives."""
        self.consumed = mark.file if mark else 0
        self._state = mark.state.copy() if mark else zlib.decompressobj(31)
        self._file.seek(self.consumed)
        self._made = self.position
        self._ended = False
        self._salvage = b""
        self._pieces = self._inflate()
        self._left = memoryview(b"")

    def readinto(self, view: memoryview) -> int:
        """Fill the view as far as the text goes."""
        filled = 0
        while filled < len(view):
            if not self._left:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                self._left = memoryview(piece)
                continue
            count = min(len(self._left), len(view) - filled)
            view[filled : filled + count] = self._left[:count]
            self._left = self._left[count:]
            filled += count
        self.position += filled
        return filled

    def _inflate(self) -> Iterator[bytes]:
        while not self._ended and (piece := self._file.read(PIECE)):
            try:
                out = self._feed(piece)
            except zlib.error as error:
                self.damage = f"its compressed data are damaged at byte {self.consumed} ({error})"
                yield self._salvage
                return
            self.consumed += len(piece)
            self._made += len(out)
            if not self._state.eof:
                self._checkpoints.offer(self._made, self.consumed, self._state)
            if out:
                yield out
        if not self._state.eof:
            self.damage = f"it ends at byte {self.consumed} inside its compressed data"

    def _feed(self, piece: bytes) -> bytes:
        """Inflate one piece of the file, over the borders of members."""
        made: list[bytes] = []
        size = len(piece)
        while piece:
            if self._state.eof:
                piece = piece.lstrip(b"\0")  # padding between members
                if not piece:
                    break
                if not b"\x1f\x8b".startswith(piece[:2]):
                    self._ended = True  # something else follows the last member; gzip itself ignores it
                    break
                self._state = zlib.decompressobj(31)
            before = self._state.copy()
            try:
                made.append(self._state.decompress(piece))
            except zlib.error:
                text, sound = _salvaged(before, piece)
                self._salvage = b"".join([*made, text])
                self.consumed += size - len(piece) + sound
                raise
            piece = self._state.unused_data if self._state.eof else b""
        return b"".join(made)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _salvaged(state: zlib._Decompress, piece: bytes) -> tuple[bytes, int]:
    """What a piece gives before its damage, and where that is: byte by byte, since a failing call keeps its output."""
    made = []
    for at in range(len(piece)):
        try:
            made.append(state.decompress(piece[at : at + 1]))
        except zlib.error:
            return b"".join(made), at
    return b"".join(made), len(piece)


def open_text(origin: Origin) -> tuple[Text, Checkpoints | None]:
    """The text of an input, by its first bytes and not by its name; with checkpoints if it is gzip."""
    file = origin.open()
    magic = file.read(2)
    file.close()
    if magic != b"\x1f\x8b":
        return PlainText(origin), None
    checkpoints = Checkpoints()
    return GzipText(origin, checkpoints), checkpoints


@attrs.define(eq=False)
class Window:
    """A buffer over the text: `buffer[:end]` holds the bytes from offset `base` on; `final` if no more follow."""

    text: Text
    size: int
    progress: Callable[[int, int | None], None] | None = None
    buffer: bytearray = attrs.field(init=False)
    base: int = 0
    end: int = 0
    final: bool = False

    def __attrs_post_init__(self) -> None:
        self.buffer = bytearray(self.size)

    def drop(self, count: int) -> None:
        """Forget the first `count` bytes."""
        self.buffer[: self.end - count] = self.buffer[count : self.end]
        self.base += count
        self.end -= count

    def fill(self) -> None:
        """Read until the buffer is full or the text ends; a full buffer doubles first."""
        if self.final:
            return
        if self.end == len(self.buffer):
            # a new buffer rather than a longer one: what was decoded may still look at the old
            old, self.buffer = self.buffer, bytearray(2 * len(self.buffer))
            self.buffer[: self.end] = old
        with memoryview(self.buffer) as view:
            count = self.text.readinto(view[self.end :])
        self.end += count
        self.final = self.end < len(self.buffer)
        if self.progress is not None:
            self.progress(self.text.consumed, self.text.total or None)
