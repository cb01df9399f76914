"""Loading: find the frontend that knows an input from its content, and let it lower the input to a module."""

from __future__ import annotations

import gzip
import os
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Protocol

import attrs

from traceir.caching import Cache
from traceir.errors import InputError, TraceirError, UsageError
from traceir.ir import Module, Source
from traceir.registry import Registry

HEAD_BYTES = 1 << 16
Progress = Callable[[int, int | None], None]
"""Called with the bytes of the input read so far and their total (None if unknown)."""


@attrs.frozen
class Head:
    """What frontends sniff: the path as given, the first bytes, and the same decompressed if it is gzip."""

    path: str
    raw: bytes
    text: bytes
    gzipped: bool


class Frontend:
    """Base of frontends: `word` is the name, `sniff` recognises an input, `load` lowers it.

    One is made, without arguments, for each input that is read; `use_registry` is called on it before `load`.
    """

    word: ClassVar[str] = ""

    @classmethod
    def summary(cls) -> str:
        """The first line of the docstring."""
        return (cls.__doc__ or "").strip().partition("\n")[0]

    @classmethod
    def sniff(cls, head: Head) -> float:
        """How sure it is that this input is its own: 0 (no) to 1 (certain)."""
        raise NotImplementedError

    @classmethod
    def claims(cls, path: str) -> str | None:
        """The file to read of a folder that its profiler made; None (as here) if the folder is nothing it knows.

        UsageError if there are several to choose from, InputError if there is one that cannot be read yet.
        """
        return None

    def use_registry(self, registry: Registry) -> None:
        """Told what this run knows, plug-in files included. Only a format that names passes or their columns cares."""

    def reopen(self, path: str, module: Module) -> Source | None:
        """The handle on an input whose module was kept in a cache; None (as here) if the frontend cannot make one.

        Only modules of frontends that can are kept, since their events' arguments have to be found again.
        """
        return None

    def load(self, path: str, progress: Progress | None = None) -> Module:
        """Lower the input at `path` (`-` is standard input); InputError if nothing of it can be read."""
        raise NotImplementedError


class _HasRead(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


def load(
    path: str | os.PathLike[str],
    *,
    frontend: str | None = None,
    registry: Registry | None = None,
    progress: Progress | None = None,
    cache: Cache | None = None,
) -> Module:
    """Read a trace: sniff its frontend from the content (or take the one named) and lower it to a module.

    With a `cache` a large input that was read before is not read again (`traceir.caching.Cache.of_user()` is the one
    that the command line uses).

    Raises InputError if the input cannot be read at all; damage that can be read around ends up in
    `Module.health`. Nothing in a trace is executed, and sizes are bounded by the file's own.
    """
    name = os.fspath(path)
    registry = registry or Registry.installed()
    if name != "-" and Path(name).is_dir():
        name = _claimed(name, frontend, registry) or _one_trace(name)
    if name != "-" and Path(name).exists() and not Path(name).is_file():
        raise UsageError(f"The input {name} is no regular file; pipe it in and name it -, as in: cat trace | … -.")
    chosen = _sniff(_head(name), registry) if frontend is None else registry.find("frontends", frontend)
    try:
        reader = chosen()
        reader.use_registry(registry)
        module = _loaded(reader, name, progress, cache)
    except SystemExit as error:  # a library does not exit, and neither does who only asked it to read
        who = f"the frontend {chosen.word}"
        raise InputError(f"The input {name} cannot be read: {who} failed: {_told(error)}") from error
    return module


def _loaded(reader: Frontend, name: str, progress: Progress | None, cache: Cache | None) -> Module:
    """What the frontend makes of an input, from the cache if it made it before."""
    can_reopen = type(reader).reopen is not Frontend.reopen
    key = cache.key(name, type(reader).word) if cache is not None and can_reopen else None
    if cache is None or key is None:
        return reader.load(name, progress)
    kept = cache.find(key)
    if kept is not None:
        source = reader.reopen(name, kept)
        if source is not None:
            return attrs.evolve(kept, source=source)
    module = reader.load(name, progress)
    cache.keep(key, module)
    return module


def _head(name: str) -> Head:
    if name == "-":
        peek = getattr(sys.stdin.buffer, "peek", None)
        raw = peek(HEAD_BYTES) if peek else b""
        return _decoded(name, raw)
    path = Path(name)
    if not path.exists():
        raise InputError(f"The input {name} does not exist.")
    try:
        with path.open("rb") as file:
            raw = file.read(HEAD_BYTES)
    except OSError as error:
        raise InputError(f"The input {name} cannot be read: {error.strerror or error}.") from error
    return _decoded(name, raw)


def _decoded(name: str, raw: bytes) -> Head:
    gzipped = raw[:2] == b"\x1f\x8b"
    text = raw
    if gzipped:
        try:
            text = zlib.decompressobj(31).decompress(raw, HEAD_BYTES)
        except (zlib.error, gzip.BadGzipFile):
            text = b""
    return Head(name, raw, text, gzipped)


def _sniff(head: Head, registry: Registry) -> type[Frontend]:
    if not head.raw:
        raise InputError(f"The input {head.path} is empty (0 bytes).")
    known = registry.loaded("frontends", head)
    scored = sorted(((_score(cls, head, name, registry), name) for name, cls in known), key=lambda pair: -pair[0])
    if not scored or scored[0][0] <= 0:
        raise InputError(f"The input {head.path} is no trace that any frontend knows: it begins {_excerpt(head)}.")
    found: type[Frontend] = registry.find("frontends", scored[0][1])
    return found


def _score(cls: type[Frontend], head: Head, name: str, registry: Registry) -> float:
    """How sure a frontend is; one that fails at it knows nothing, and stops nobody else."""
    try:
        return cls.sniff(head)
    except (Exception, SystemExit) as error:  # a plug-in may fail in any way
        registry.leave_out("frontends", name, f"The frontend {name} cannot tell what it reads: {_told(error)}")
        return 0


def _told(error: BaseException) -> str:
    from traceir.passing.words import said

    return said(error)


def _claimed(name: str, frontend: str | None, registry: Registry) -> str | None:
    """The file of a folder that some frontend knows (or the one named does); None if none knows it."""
    known = registry.loaded("frontends") if frontend is None else [(frontend, registry.find("frontends", frontend))]
    for word, cls in known:
        try:
            found = cls.claims(name)
        except TraceirError:
            raise
        except (Exception, SystemExit) as error:  # a plug-in may fail in any way
            registry.leave_out("frontends", word, f"The frontend {word} cannot tell what it reads: {_told(error)}")
            continue
        if found is not None:
            return str(found)
    return None


def _one_trace(name: str) -> str:
    """The one trace of a result folder; several are ranks, which are not supported yet."""
    traces = sorted(p.name for p in Path(name).iterdir() if p.name.endswith((".json", ".json.gz")))
    if len(traces) > 1:
        raise UsageError(
            f"The folder {name} holds {len(traces)} traces, and several ranks are not supported yet; name one file, "
            f"such as {traces[0]}."
        )
    if not traces:
        raise InputError(f"The folder {name} holds no trace (no .json or .json.gz file).")
    return os.path.join(name, traces[0])


def _excerpt(head: Head) -> str:
    if head.gzipped and not head.text:
        return "like a gzip file that is damaged from its first block on"
    text = head.text[:24]
    return "with " + (repr(text.decode("ascii", "backslashreplace")))
