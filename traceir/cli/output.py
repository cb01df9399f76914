"""Where a command writes: standard output, or a file that is complete or as it was."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import shutil
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TextIO, cast

from traceir.errors import UsageError


def check_outputs(sources: Sequence[str | None], *outputs: tuple[str, str | None]) -> None:
    """Refuse files that cannot be written, or of which one would take the place of an input or of another.

    Said before the work is done, not after. `sources` are all files that are read. Each output is (what it is, path);
    no path, or `-` of the output, is no file.
    """
    known = [("input", source) for source in sources if source is not None and source != "-"]
    for what, path in outputs:
        if path is None or (path == "-" and what == "output"):
            continue
        if path == "-" or (what != "output" and _is_standard_output(path)):
            raise UsageError(f"The {what} cannot go to standard output, which carries the product; name a file.")
        folder = Path(path).parent
        if not folder.is_dir():
            raise UsageError(f"The {what} {path} cannot be written: there is no folder {folder}.")
        if Path(path).is_dir():
            raise UsageError(f"The {what} {path} cannot be written: it is a folder.")
        for other, there in known:
            if same_file(path, there):
                end = (
                    "is the input itself; name another file"
                    if other == "input"
                    else f"is the {other} too; name two files"
                )
                raise UsageError(f"The {what} {path} {end}.")
        known.append((what, path))


def _is_standard_output(path: str) -> bool:
    """Whether a path, such as `/dev/stdout`, is where standard output goes; a terminal may show several things."""
    try:
        there, out = os.stat(path), os.fstat(1)
    except OSError:
        return False
    return os.path.samestat(there, out) and not stat.S_ISCHR(out.st_mode)


def same_file(one: str, other: str) -> bool:
    """Whether two paths lead to one file, be it there yet or not."""
    if Path(one).exists() and Path(other).exists():
        return Path(one).is_file() and Path(one).samefile(other)  # a device, such as a terminal, takes several
    return os.path.realpath(one) == os.path.realpath(other)


@contextlib.contextmanager
def writing(path: str | None, what: str = "output") -> Iterator[TextIO]:
    """Standard output, or a file that is complete or as it was: it is written beside and then put in place."""
    if path is None or path == "-":
        yield sys.stdout
        return
    with _placed(path, what) as beside, _opened(beside, compressed=path.endswith(".gz")) as out:
        yield out


@contextlib.contextmanager
def writing_bytes(path: str | None) -> Iterator[IO[bytes]]:
    """The same for bytes; a terminal is refused, which would take them for commands."""
    if path is None or path == "-":
        if sys.stdout.isatty():
            raise UsageError("The output is binary and would upset the terminal; name a file with -o.")
        yield sys.stdout.buffer
        return
    with _placed(path, "output") as beside, open(beside, "wb") as out:
        yield out


@contextlib.contextmanager
def _placed(path: str, what: str) -> Iterator[str]:
    """A path to write to, which takes the place of `path` when all is written."""
    special = Path(path).exists() and not Path(path).is_file()  # a device or a pipe cannot be replaced
    place = path if special else os.path.realpath(path)  # a link stays one; that to a pipe leads nowhere else
    beside = place if special else f"{place}.{os.getpid()}.part"
    try:
        yield beside
        if not special:
            if Path(place).exists():
                shutil.copymode(place, beside)
            os.replace(beside, place)
    except OSError as error:
        raise UsageError(f"The {what} {path} cannot be written: {error.strerror or error}.") from error
    finally:
        if not special:
            Path(beside).unlink(missing_ok=True)


@contextlib.contextmanager
def _opened(path: str, *, compressed: bool) -> Iterator[TextIO]:
    if not compressed:
        with open(path, "w", encoding="utf-8", newline="\n") as out:
            yield out
        return
    # Without a name and a time in its header, so that the same output has the same bytes.
    with (
        open(path, "wb") as file,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as packed,
        io.TextIOWrapper(cast(IO[bytes], packed), encoding="utf-8", newline="\n") as out,
    ):
        yield out
