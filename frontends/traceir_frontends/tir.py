"""The frontend of traceir's own text form."""

from __future__ import annotations

import gzip
import re
import sys
import zlib
from pathlib import Path
from typing import ClassVar, Final

from traceir.errors import InputError
from traceir.ir import Module
from traceir.loading import Frontend, Head, Progress
from traceir.registry import Registry
from traceir.text import parse

_BEGINS: Final = re.compile(r'(?:\s|//[^\n]*\n)*#\[traceir "')


class Tir(Frontend):
    """traceir's own text form, plain or gzip."""

    word: ClassVar[str] = "tir"
    _registry: Registry | None = None

    def use_registry(self, registry: Registry) -> None:
        """Keep what the run knows: the text names passes, which say what their columns were computed from."""
        self._registry = registry
        for _ in registry.loaded("frontends"):
            pass  # imported, since the text may name kinds that they define

    @classmethod
    def sniff(cls, head: Head) -> float:
        """Certain of a text that begins, after comments, with its version line."""
        return float(_BEGINS.match(head.text.decode("utf-8-sig", "replace")) is not None)

    def load(self, path: str, progress: Progress | None = None) -> Module:
        """Parse the text; InputError if it is no text, or ParseError with the place of the first mistake."""
        return parse(_text(path), path=path, registry=self._registry)


def _text(path: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(f"The text {path} is no UTF-8: its line {line} holds a byte that is none.") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"The input {path} is a gzip file that is damaged: {error}.") from None
    except OSError as error:
        raise InputError(f"The input {path} cannot be read: {error.strerror or error}.") from error
