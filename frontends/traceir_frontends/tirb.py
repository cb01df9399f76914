"""The frontend of traceir's own binary form."""

from __future__ import annotations

from typing import ClassVar

import attrs

from traceir.binary import MAGIC, read
from traceir.errors import InputError
from traceir.ir import Module
from traceir.ir.verify import verify
from traceir.loading import Frontend, Head, Progress
from traceir.registry import Registry


class Tirb(Frontend):
    """traceir's own binary form."""

    word: ClassVar[str] = "tirb"

    @classmethod
    def sniff(cls, head: Head) -> float:
        """Certain of the format's first bytes."""
        return float(head.raw.startswith(MAGIC))

    def use_registry(self, registry: Registry) -> None:
        """Import all frontends, since the file may name kinds that they define."""
        for _ in registry.loaded("frontends"):
            pass

    def load(self, path: str, progress: Progress | None = None) -> Module:
        """The module of a file; InputError if it is damaged, of another version, or breaks the rules of a module."""
        if path == "-":
            raise InputError("The input - is binary, which is read from a file only; name its file.")
        try:
            with open(path, "rb", buffering=0) as file:
                module = read(file, path)
        except OSError as error:
            raise InputError(f"The input {path} cannot be read: {error.strerror or error}.") from error
        wrong = next((item for item in verify(module) if item.level == "error"), None)
        if wrong is not None:
            raise InputError(f"The file {path} contradicts itself: {wrong.message} Make it again from the trace.")
        return attrs.evolve(module, source=None)
