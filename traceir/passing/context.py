"""The context of a run: second inputs, analyses, remarks, counts. One per run; no global state."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Generic, TypeVar

import attrs
import numpy as np

from traceir.ir import Module
from traceir.ir.access import Access
from traceir.ir.module import CORE
from traceir.passing.instrument import Timing
from traceir.passing.watch import Watch
from traceir.passing.words import hyphened

T = TypeVar("T")

_MOST_KEPT = 8
"""Results of one analysis that are kept, the last ones: a run needs one or two, and a context may see many modules."""


class Analysis(Generic[T]):
    """Something computed from a module, kept as long as the columns that it was computed from are the same.

    Subclass it with `@attrs.frozen`, list the columns in `reads` (none stands for all core columns and the edges;
    what `compute` reads besides is noticed), write `compute`; get it by `context.analysis(...)`.
    """

    reads: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def name(cls) -> str:
        """What timing tables call it: `StreamOrder` is `stream-order`."""
        return hyphened(cls.__name__)

    def compute(self, module: Module) -> T:
        """The result; called only when a column that it reads has changed."""
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
    _cache: dict[object, list[_Kept]] = attrs.field(factory=dict, init=False, repr=False)
    _watching: threading.local = attrs.field(factory=threading.local, init=False, repr=False)
    _lock: threading.RLock = attrs.field(factory=threading.RLock, init=False, repr=False)

    def analysis(self, wanted: Analysis[T], module: Module) -> T:
        """The result of an analysis for this module, computed if a column that it reads is new.

        What it read when it was computed counts as well as what it says in `reads`. Arrays in the result are made
        read-only, since it is shared. TypeError for an analysis whose class is not decorated: two of it would
        never be equal, and so never shared.
        """
        if "__attrs_attrs__" not in vars(type(wanted)):
            raise TypeError(f"The analysis {wanted.name()} has to be decorated with @attrs.frozen.")
        timing = None
        with self._lock:  # an analysis may ask for others, so the lock is one that its holder may take again
            kept = self._cache.setdefault(wanted, [])
            found = next((one for one in kept if one.holds(module)), None)
            if found is None:
                wall, cpu = time.perf_counter(), time.process_time()
                found = _Kept.computed(wanted, module)
                kept[:] = [*kept[1 - _MOST_KEPT :], found]
                self.computed += 1
                timing = Timing(time.perf_counter() - wall, time.process_time() - cpu, len(module))
        for watch in getattr(self._watching, "watches", ()):
            watch.tell("analysis", wanted.name(), timing)
        return found.result  # type: ignore[return-value]

    def remark(self, source: str, message: str, *, kind: str = "note", event: int | None = None) -> None:
        """Record a remark: `kind` is `note` or `missed`."""
        self.remarks.append(Remark(source, kind, message, event))

    def count(self, source: str, what: str, number: int = 1) -> None:
        """Add to a count that the statistics of the run show, as `context.count("pair", "pairs without a peer")`."""
        self.counts[source, what] += number

    @contextmanager
    def watched(self, watch: Watch) -> Iterator[None]:
        """Tell instruments of the analyses that this thread asks for, for the time of a run."""
        before = getattr(self._watching, "watches", ())
        self._watching.watches = (*before, watch)
        try:
            yield
        finally:
            self._watching.watches = before


@attrs.frozen(eq=False)
class _Kept:
    """The result of an analysis, and the tokens of all that it was computed from."""

    tokens: dict[str, int]
    result: object

    @classmethod
    def computed(cls, wanted: Analysis[Any], module: Module) -> _Kept:
        access = Access()
        result = wanted.compute(module.watched(access))
        _freeze(result)
        reads = {"id", *(wanted.reads or (*CORE, "edges")), *access.read}
        return cls({name: module.token(name) for name in sorted(reads)}, result)

    def holds(self, module: Module) -> bool:
        return all(module.token(name) == token for name, token in self.tokens.items())


def _freeze(result: object) -> None:
    """Make the arrays in a result read-only: in itself, and in tuples, lists, mappings and attrs objects."""
    seen: set[int] = set()
    left = [result]
    while left:
        value = left.pop()
        if id(value) in seen or isinstance(value, str | int | float | Module):
            continue
        seen.add(id(value))
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
        elif isinstance(value, Mapping):
            left.extend(value.values())
        elif isinstance(value, tuple | list):
            left.extend(value)
        elif attrs.has(cls := type(value)):
            left.extend(getattr(value, field.name) for field in attrs.fields(cls))
