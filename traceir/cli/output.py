"""Where a command writes: standard output, or a file that is complete or as it was."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TextIO, cast

from traceir.errors import UsageError


def check_output(path: str | None, source: str, what: str = "output") -> None:
    """Refuse an output (or `what` else is written) that cannot be before the work is done, not after."""
    if path is None or path == "-":
        return
    folder = Path(path).parent
    if not folder.is_dir():
        raise UsageError(f"The {what} {path} cannot be written: there is no folder {folder}.")
    if Path(path).is_dir():
        raise UsageError(f"The {what} {path} cannot be written: it is a folder.")
    if source != "-" and Path(path).exists() and Path(source).exists() and Path(path).samefile(source):
        raise UsageError(f"The {what} {path} is the input itself; name another file.")


@contextlib.contextmanager
def writing(path: str | None) -> Iterator[TextIO]:
    """Standard output, or a file that is complete or as it was: it is written beside and then put in place."""
    if path is None or path == "-":
        yield sys.stdout
        return
    path = os.path.realpath(path)  # a link stays one
    special = Path(path).exists() and not Path(path).is_file()  # a device or a pipe cannot be replaced
    beside = path if special else f"{path}.{os.getpid()}.part"
    try:
        with _opened(beside, compressed=path.endswith(".gz")) as out:
            yield out
        if not special:
            if Path(path).exists():
                shutil.copymode(path, beside)
            os.replace(beside, path)
    except OSError as error:
        raise UsageError(f"The output {path} cannot be written: {error.strerror or error}.") from error
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
