"""A cache of lowered inputs: the second run of a large trace reads columns instead of text."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from traceir.errors import InputError

if TYPE_CHECKING:
    from traceir.ir import Module

VARIABLE: Final = "TRACEIR_CACHE"
LEAST: Final = 50_000_000
"""Bytes of the smallest input that is kept: smaller ones are read again as fast as they are found."""
MOST: Final = 8 << 30
"""Bytes that all files of a cache may have together; those that were not used for longest go first."""
_SAMPLES: Final = 64
_SAMPLE: Final = 1 << 14
_END: Final = ".tirb"


@attrs.frozen
class Entry:
    """One file of a cache."""

    path: Path
    size: int
    used: float


@attrs.frozen
class Cache:
    """A folder of modules as `.tirb` files, named by what they were made from.

    Several processes may use one: files are written beside and put in place at once, and one that is damaged, cut or
    of another version is thrown away and made again. Nothing but speed is lost with it.
    """

    folder: Path
    least: int = LEAST
    most: int = MOST

    @classmethod
    def of_user(cls) -> Cache:
        """The user's cache: the folder that `TRACEIR_CACHE` names, else `traceir` in `XDG_CACHE_HOME`."""
        named = os.environ.get(VARIABLE)
        if named:
            return cls(Path(named).expanduser())
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        return cls(Path(base).expanduser() / "traceir")

    def key(self, path: str, frontend: str) -> str | None:
        """What an input is known by: its size, time, name and samples of its content, and who would read it.

        None for what is not kept: standard input, small files, and what cannot be read. O(1): a megabyte is looked at.
        """
        if path == "-":
            return None
        try:
            with open(path, "rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                if status.st_size < self.least:
                    return None
                told = (_version(), frontend, os.path.basename(path), status.st_size, status.st_mtime_ns)
                content = hashlib.blake2b(repr(told).encode(), digest_size=16)
                for number in range(_SAMPLES):
                    file.seek(number * max(status.st_size - _SAMPLE, 0) // (_SAMPLES - 1))
                    content.update(file.read(_SAMPLE))
        except OSError:
            return None
        return content.hexdigest()

    def find(self, key: str) -> Module | None:
        """The module that is kept under a key; None if there is none that can be used. O(bytes of its columns)."""
        from traceir.binary import read

        place = self.folder / f"{key}{_END}"
        try:
            with place.open("rb", buffering=0) as file:
                module = read(file, str(place))
            os.utime(place)
        except OSError:
            return None
        except InputError:
            with contextlib.suppress(OSError):
                place.unlink()
            return None
        return module

    def keep(self, key: str, module: Module) -> bool:
        """Keep a module under a key, and let go of the oldest files beyond the size; whether it could be kept."""
        from traceir.binary import write

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._beside() as (file, beside):
                with os.fdopen(file, "wb") as out:
                    write(module, out)
                os.replace(beside, self.folder / f"{key}{_END}")
        except OSError:
            return False
        self._shrink(f"{key}{_END}")
        return True

    def entries(self) -> list[Entry]:
        """The files of the cache, those used last first."""
        out = []
        with contextlib.suppress(OSError):
            for place in self.folder.glob(f"*{_END}"):
                with contextlib.suppress(OSError):
                    status = place.stat()
                    out.append(Entry(place, status.st_size, status.st_mtime))
        return sorted(out, key=lambda entry: -entry.used)

    def clear(self) -> int:
        """Remove all files of the cache, and nothing else from its folder; how many there were."""
        removed = 0
        for entry in self.entries():
            with contextlib.suppress(OSError):
                entry.path.unlink()
                removed += 1
        return removed

    @contextlib.contextmanager
    def _beside(self) -> Iterator[tuple[int, str]]:
        file, beside = tempfile.mkstemp(suffix=".part", dir=self.folder)
        try:
            yield file, beside
        finally:
            with contextlib.suppress(OSError):
                os.unlink(beside)

    def _shrink(self, newest: str) -> None:
        total = 0
        for entry in self.entries():
            total += entry.size
            if total > self.most and entry.path.name != newest:
                with contextlib.suppress(OSError):
                    entry.path.unlink()


def _version() -> tuple[str, int]:
    import traceir
    from traceir.binary import VERSION

    return traceir.__version__, VERSION
