"""The Chrome trace printer: the input written back with what the passes found, for Perfetto and chrome://tracing."""

from __future__ import annotations

from typing import ClassVar, TextIO

import attrs

import traceir as tir
from traceir.ir.source import ChromeSource
from traceir.printers.base import Printer, Result, Style
from traceir.printers.chrome import regenerate, splice
from traceir.printers.chrome.findings import SORTS, Sort, find
from traceir.printers.chrome.redact import Pseudonyms, Redactor
from traceir.printers.chrome.text import Sink
from traceir.printers.chrome.tracks import free_pid, rows


@attrs.frozen
class Chrome(Printer):
    """A Chrome trace for Perfetto: the input's own events, and lanes for what the passes found.

    The text of a Chrome trace (Kineto) is copied, not written anew: bytes of events stay as they are but for times
    that a pass changed. Removed events are left out, and a window is written with what belongs to it. A module of
    another format is written from its columns, and says so. What the passes found stands under a process of its own.
    The text is read in pieces: memory does not grow with the file.
    """

    word: ClassVar[str] = "chrome"
    prints_parts: ClassVar[bool] = True
    add: tuple[Sort, ...] = tir.option(
        SORTS, help="What is added as lanes: regions of all trees, ops by label, collectives, the split of device "
        "time, gaps, lanes and counters of other passes; nothing for an empty list."
    )  # fmt: skip
    min_gap: tir.Duration = tir.option(
        1000, help="Gaps up to this long are not shown: traces of whole microseconds are full of gaps of 1 us."
    )
    dead: bool = tir.option(False, help="Write events that a pass removed too.")
    redact: bool = tir.option(
        False, help="Hide what identifies the trace's owner: names that are not public become pseudonyms; paths, "
        "hosts, annotations and most arguments go."
    )  # fmt: skip
    salt: str = tir.option(
        "", help="Secret for the pseudonyms: without one, who guesses a name can check whether it occurs."
    )

    def write(self, result: Result, out: TextIO, style: Style) -> None:
        """Write the document."""
        module = result.module
        found = find(module, self.add, self.min_gap)
        sink = Sink(out, style.unicode)
        redactor = Redactor(module, Pseudonyms(self.salt)) if self.redact else None
        if redactor is not None:
            # Names of counters are made by passes, of anything that they have seen.
            found = attrs.evolve(found, tracks=redactor.tracks(found.tracks), counters=())
        source = module.source
        if isinstance(source, ChromeSource):
            places = [(lane.pid, lane.tid) for lane in module.lanes]
            if redactor is not None:
                places = [(redactor.place(pid), redactor.place(tid)) for pid, tid in places]
            extra = rows(found.tracks, found.arrows, found.counters, places, free_pid(module), splice.origin_of(source))
            splice.write(module, source, extra, sink, dead=self.dead, redactor=redactor)
        else:
            regenerate.write(module, found, sink, dead=self.dead, redactor=redactor)
        sink.close()


__all__ = ["Chrome"]
