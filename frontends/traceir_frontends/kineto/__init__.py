"""PyTorch profiler traces: Kineto's Chrome JSON, plain or gzip, of any age and vendor, whole or damaged."""

from __future__ import annotations

from typing import ClassVar, Final

import attrs

from traceir.errors import InputError
from traceir.ir import Module
from traceir.loading import Frontend, Head, Progress
from traceir_frontends.collecting import without_gc
from traceir_frontends.kineto.lower import lower
from traceir_frontends.kineto.reader import Document
from traceir_frontends.kineto.rows import Rows
from traceir_frontends.kineto.source import KinetoSource
from traceir_frontends.kineto.stream import Origin, Window, open_text

__all__ = ["Kineto"]

_MARKS: Final = (
    b'"baseTimeNanoseconds"', b'"deviceProperties"', b'"schemaVersion"', b'"cpu_op"', b'"cuda_runtime"', b'"ac2g"',
    b'"python_function"', b'"user_annotation"', b'"External id"', b'"cuda_driver"', b'"distributedInfo"',
    b'"gpu_memcpy"', b'"Operator"',
)  # fmt: skip


@attrs.frozen
class Kineto(Frontend):
    """PyTorch profiler traces (Kineto Chrome JSON)."""

    word: ClassVar[str] = "kineto"
    chunk_bytes: int = 1 << 20
    """Text decoded at once; a piece of the cache's size is fastest, and memory grows with it."""

    @classmethod
    def sniff(cls, head: Head) -> float:
        """Near 1 with a word that only this profiler writes, middling for any Chrome trace, little for other JSON."""
        text = head.text.removeprefix(b"\xef\xbb\xbf").lstrip()
        if text[:1] not in (b"{", b"["):
            return 0.0
        if any(mark in text for mark in _MARKS):
            return 0.9
        return 0.5 if b'"traceEvents"' in text or b'"ph"' in text else 0.1

    def load(self, path: str, progress: Progress | None = None) -> Module:
        """Read a trace. Damage that can be read around is in `Module.health`; InputError if nothing can be read.

        O(n log n); peak memory is about that of the module's columns twice over, whatever the file's size.
        """
        origin = Origin(path)
        text, checkpoints = open_text(origin)
        window = Window(text, self.chunk_bytes, progress)
        document = Document(path, window)
        rows = Rows(document.damage)
        try:
            with without_gc():
                for piece in document.pieces():
                    rows.add(piece, document.events)
                    del piece  # its objects make room for the next one's, which then lie where the cache is warm
        except InputError:
            if checkpoints is not None and text.damage and window.base + window.end == 0:
                raise InputError(
                    f"The input {path} begins like gzip, but nothing of it can be decompressed: {text.damage}; copy it "
                    "again from where it was recorded."
                ) from None
            raise
        finally:
            text.close()
        source = KinetoSource(origin, checkpoints)
        module = lower(path, rows, document.metadata, source)
        source.remember(module)
        return module

    def reopen(self, path: str, module: Module) -> KinetoSource:
        """The handle on a file that was read before; of gzip, places to begin at are found anew as it is read."""
        origin = Origin(path)
        text, checkpoints = open_text(origin)
        text.close()
        source = KinetoSource(origin, checkpoints)
        source.remember(module)
        return source
