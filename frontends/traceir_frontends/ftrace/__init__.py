"""Linux ftrace as text: `trace`, `trace_pipe`, `trace-cmd report` and Android's atrace, of any kernel."""

from __future__ import annotations

from typing import ClassVar, Final

import attrs

from traceir.ir import Module
from traceir.loading import Frontend, Head, Progress
from traceir_frontends.ftrace import spelling
from traceir_frontends.ftrace.fields import decode
from traceir_frontends.ftrace.lower import lower, pairs_of
from traceir_frontends.ftrace.ranges import find_ranges, gather
from traceir_frontends.ftrace.read import Reading
from traceir_frontends.kineto import classify  # registers the kind host.async
from traceir_frontends.lines import LineSource, LineText, Pairs

__all__ = ["Ftrace"]

_TRIED: Final = 64
_LINES: Final = (spelling.EVENT, spelling.LATENCY, spelling.GRAPH, spelling.LOST)
assert classify.HostAsync.name == "host.async"


@attrs.frozen
class Ftrace(Frontend):
    """Linux ftrace text (trace, trace_pipe, trace-cmd report)."""

    word: ClassVar[str] = "ftrace"

    @classmethod
    def sniff(cls, head: Head) -> float:
        """Certain with the header line of a tracer, nearly so where half of the first lines are its events."""
        text = head.text.removeprefix(b"\xef\xbb\xbf")
        lines = [line for line in text[: 1 << 15].split(b"\n")[:_TRIED] if line.strip()]
        if any(spelling.TRACER.match(line) for line in lines):
            return 1.0
        said = [line for line in lines if not spelling.CHATTER.match(line)]
        fit = sum(any(pattern.match(line) for pattern in _LINES) for line in said)
        return 0.95 if fit and 2 * fit >= len(said) else 0.0

    def load(self, path: str, progress: Progress | None = None) -> Module:
        """Read the text; what is lost, cut, left open or unreadable is in `Module.health`.

        InputError if it cannot be read, holds no event, or is no text of lines. O(n log n).
        """
        text, reading = LineText(path), Reading()
        reading.read(text, progress)
        return lower(path, reading, text)

    def reopen(self, path: str, module: Module) -> LineSource:
        """The handle on a text that was read before; where events end is found by reading it again, if ever asked."""

        def find() -> Pairs:
            reading = Reading()
            reading.read(LineText(path))
            reading.graph.finish()
            work = gather(reading)
            find_ranges(work)
            return pairs_of(reading, work)

        return LineSource(LineText.again(path), self.word, decode, find)
