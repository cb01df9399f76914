"""Chrome traces that are not PyTorch's: what any program writes for chrome://tracing or Perfetto, read as its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import attrs

from traceir.errors import InputError
from traceir.ir import Finding, Module
from traceir.loading import Frontend, Head, Progress
from traceir_frontends.chrome.neutral import NeutralRows
from traceir_frontends.chrome.producers import Producer, producer_of
from traceir_frontends.collecting import without_gc
from traceir_frontends.kineto.lower import lower
from traceir_frontends.kineto.reader import Document
from traceir_frontends.kineto.source import KinetoSource
from traceir_frontends.kineto.stream import Origin, Window, open_text

__all__ = ["Chrome"]

_PIECE: Final = 1 << 20
_OTHERS: Final = (
    b'"kernel"', b'"Kernel"', b'"gpu_', b'"cuda_', b'"mtia_', b'"xpu_', b'"privateuse1_', b'"hpu_', b'"glow_',
    b'"correlation"', b'"Memcpy"', b'"memcpy"', b'"Memset"', b'"memset"', b'"Runtime"', b'"runtime"', b'"driver"',
    b'"overhead"', b'"cpu_instant_event"', b'"fwdbwd"', b"aten::", b"ProfilerStep", b'"PyTorch Profiler',
)  # fmt: skip
"""Words by which a piece of a PyTorch trace may be one where none of the sure ones stands: it is left to kineto."""


@attrs.frozen
class Chrome(Frontend):
    """Chrome traces of other programs (trace events in JSON)."""

    word: ClassVar[str] = "chrome"

    @classmethod
    def sniff(cls, head: Head) -> float:
        """Somewhat surer than kineto of any Chrome trace in which no word hints at PyTorch."""
        text = head.text.removeprefix(b"\xef\xbb\xbf").lstrip()
        if text[:1] not in (b"{", b"["):
            return 0.0
        trace = (b'"traceEvents"' in text or b'"ph"' in text) and b'"ts"' in text
        return 0.55 if trace and not any(word in text for word in _OTHERS) else 0.0

    def load(self, path: str, progress: Progress | None = None) -> Module:
        """Read a trace. Damage that can be read around is in `Module.health`; InputError if nothing can be read.

        Threads and processes stay what they are called; nothing becomes a device. O(n log n), as kineto, whose reader
        this is.
        """
        origin = Origin(path)
        text, checkpoints = open_text(origin)
        window = Window(text, _PIECE, progress)
        document = Document(path, window)
        rows = NeutralRows(document.damage)
        try:
            with without_gc():
                for piece in document.pieces():
                    rows.add(piece, document.events)
        except InputError as error:
            raise _neutral(error) from None
        finally:
            text.close()
        source = KinetoSource(origin, checkpoints, "chrome")
        producer = producer_of(rows, document.metadata)
        module = lower(path, rows, document.metadata, source)
        if not len(module):
            raise InputError(f"The input {path} is a Chrome trace without any event that has a time; record it again.")
        module = _told(module, producer)
        source.remember(module)
        return module

    def reopen(self, path: str, module: Module) -> KinetoSource:
        """The handle on a file that was read before."""
        origin = Origin(path)
        text, checkpoints = open_text(origin)
        text.close()
        source = KinetoSource(origin, checkpoints, self.word)
        source.remember(module)
        return source


def _neutral(error: InputError) -> InputError:
    return InputError(str(error).replace("Kineto trace", "Chrome trace"))


_WORDS: Final = {
    "; the last step may lack work, so let the profiler finish writing.": "; let the program finish writing.",
    "; gaps and order below 1000 ns are unknown, so use a newer profiler.": "; order below 1000 ns is unknown.",
}
"""Advice of kineto's findings that is of no use to who did not use PyTorch."""


def _told(module: Module, producer: Producer | None) -> Module:
    """The module with who wrote it, lanes by thread or process, and findings in the words of a trace without device."""
    health = [_reworded(item) for item in module.health]
    meta: Mapping[str, Any] = module.meta
    if producer is not None:
        meta = {"producer": producer.name, **meta}
        if producer.better:
            said = f"This is an export of {producer.name}: {producer.better}."
            health.append(Finding("vendor_export", "warning", 1, said))
    processes: Mapping[str, str] = meta["processes"]
    lanes = tuple(attrs.evolve(lane, label=lane.label or processes.get(str(lane.pid), "")) for lane in module.lanes)
    return attrs.evolve(module, meta=meta, health=tuple(health), lanes=lanes)


def _reworded(finding: Finding) -> Finding:
    message = finding.message
    if finding.code == "no_device":
        message = "The trace has no device work: what other programs write is ranges on threads; nothing is invented."
    for words, other in _WORDS.items():
        message = message.replace(words, other)
    return attrs.evolve(finding, message=message)
