"""The context of a run: second inputs, analyses, remarks, counts. One per run; no global state."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar, Generic, TypeVar

import attrs

from traceir.ir import Module
from traceir.ir.module import CORE
from traceir.passing.instrument import Instrument, Timing
from traceir.passing.words import hyphened

T = TypeVar("T")


class Analysis(Generic[T]):
    """Something computed from a module, kept as long as the columns in `reads` are the same.

    Subclass it with `@attrs.frozen`, list the columns (none stands for all core columns and the edges), write
    `compute`; get it by `context.analysis(...)`.
    """

    reads: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def name(cls) -> str:
        """What timing tables call it: `StreamOrder` is `stream-order`."""
        return hyphened(cls.__name__)

    def compute(self, module: Module) -> T:
        """The result; called only when a column in `reads` has changed."""
        raise NotImplementedError


@attrs.frozen
class Remark:
    """Something a pass has to say of what it did or did not do. `event` is an id."""

    source: str
    kind: str
    message: str
    event: int | None = None


@attrs.define(eq=False)
class PassContext:
    """What passes share in one run: further inputs by role (`capture`, `host`), a cache, remarks and counts.

    Threads may share one: an analysis that two of them ask for is computed once.
    """

    inputs: Mapping[str, Module] = attrs.field(factory=dict)
    remarks: list[Remark] = attrs.field(factory=list)
    counts: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    """What passes counted, by pass and by what."""
    computed: int = 0
    """How many analyses were computed (not taken from the cache)."""
    _cache: dict[tuple[object, ...], object] = attrs.field(factory=dict, init=False, repr=False)
    _watching: tuple[Instrument, ...] = attrs.field(default=(), init=False, repr=False)
    _lock: threading.RLock = attrs.field(factory=threading.RLock, init=False, repr=False)

    def analysis(self, wanted: Analysis[T], module: Module) -> T:
        """The result of an analysis for this module, computed if a column it reads is new."""
        reads = wanted.reads or (*CORE, "edges")
        key = (type(wanted), wanted, *(module.token(name) for name in reads))
        timing = None
        with self._lock:  # an analysis may ask for others, so the lock is one that its holder may take again
            if key not in self._cache:
                wall, cpu = time.perf_counter(), time.process_time()
                self._cache[key] = wanted.compute(module)
                self.computed += 1
                timing = Timing(time.perf_counter() - wall, time.process_time() - cpu, len(module))
            found = self._cache[key]
        for instrument in self._watching:
            instrument.analysis(wanted.name(), timing)
        return found  # type: ignore[return-value]

    def remark(self, source: str, message: str, *, kind: str = "note", event: int | None = None) -> None:
        """Record a remark: `kind` is `note` or `missed`."""
        self.remarks.append(Remark(source, kind, message, event))

    def count(self, source: str, what: str, number: int = 1) -> None:
        """Add to a count that the statistics of the run show, as `context.count("pair", "pairs without a peer")`."""
        self.counts[source, what] += number

    @contextmanager
    def watched(self, instruments: Sequence[Instrument]) -> Iterator[None]:
        """Tell instruments of analyses for the time of a run."""
        before, self._watching = self._watching, (*self._watching, *instruments)
        try:
            yield
        finally:
            self._watching = before
