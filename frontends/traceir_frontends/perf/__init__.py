"""Linux perf: the samples that `perf script` prints, with or without call chains, times and periods."""

from __future__ import annotations

import shlex
from typing import ClassVar, Final

import attrs

from traceir.errors import InputError
from traceir.ir import Module
from traceir.loading import Frontend, Head, Progress
from traceir_frontends.lines import LineSource, LineText
from traceir_frontends.perf import spelling
from traceir_frontends.perf.lower import decode, lower
from traceir_frontends.perf.read import Reading

__all__ = ["Perf"]

_TRIED: Final = 64
_DATA: Final = (b"PERFILE2", b"2ELIFREP")


@attrs.frozen
class Perf(Frontend):
    """Linux perf samples (the text of perf script)."""

    word: ClassVar[str] = "perf"

    @classmethod
    def sniff(cls, head: Head) -> float:
        """Nearly certain where half of the first lines are samples or frames; certain of perf.data, to refuse it."""
        if head.text[:8] in _DATA:
            return 1.0
        text = head.text.removeprefix(b"\xef\xbb\xbf")
        lines = [line for line in text[: 1 << 15].split(b"\n")[:_TRIED] if line.strip() and line[:1] != b"#"]
        heads = [found for line in lines if line[:1] != b"\t" and (found := spelling.HEAD.match(line))]
        frames = sum(line[:1] == b"\t" and spelling.place_of(line) is not None for line in lines)
        records = sum(spelling.RECORD.match(line) is not None for line in lines if b"PERF_RECORD_" in line)
        sure = any(found["ts"] for found in heads) or frames or records
        return 0.9 if sure and 2 * (len(heads) + frames + records) >= len(lines) and (heads or records) else 0.0

    def load(self, path: str, progress: Progress | None = None) -> Module:
        """Read the text; what is lost, cut or unreadable is in `Module.health`.

        InputError if it cannot be read, holds no sample, is no text of lines, or is perf.data itself. O(n log n).
        """
        text, reading = LineText(path), Reading()
        for number, (_, block) in enumerate(text.blocks()):
            if number == 0 and block[:8] in _DATA:
                command = f"perf script -i {shlex.quote(path)} --ns > {shlex.quote(path + '.txt')}"
                raise InputError(
                    f"The input {path} is perf.data, which only perf of the same machine can name symbols of; write "
                    f"its text with `{command}` and name that."
                )
            break
        reading.read(text, progress)
        return lower(path, reading, text)

    def reopen(self, path: str, module: Module) -> LineSource:
        """The handle on a text that was read before."""
        return LineSource(LineText.again(path), self.word, decode)
