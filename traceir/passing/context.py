"""The context of a run: second inputs, analyses, remarks. One per run; no global state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Generic, TypeVar

import attrs

from traceir.ir import Module
from traceir.ir.module import CORE

T = TypeVar("T")


class Analysis(Generic[T]):
    """Something computed from a module, kept as long as the columns in `reads` are the same.

    Subclass it with `@attrs.frozen`, list the columns (none stands for all core columns and the edges), write
    `compute`; get it by `context.analysis(...)`.
    """

    reads: ClassVar[tuple[str, ...]] = ()

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
    """What passes share in one run: further inputs by role (`capture`, `host`), a cache, and remarks."""

    inputs: Mapping[str, Module] = attrs.field(factory=dict)
    remarks: list[Remark] = attrs.field(factory=list)
    computed: int = 0
    """How many analyses were computed (not taken from the cache)."""
    _cache: dict[tuple[object, ...], object] = attrs.field(factory=dict, init=False, repr=False)

    def analysis(self, wanted: Analysis[T], module: Module) -> T:
        """The result of an analysis for this module, computed if a column it reads is new."""
        reads = wanted.reads or (*CORE, "edges")
        key = (type(wanted), wanted, *(module.token(name) for name in reads))
        if key not in self._cache:
            self._cache[key] = wanted.compute(module)
            self.computed += 1
        return self._cache[key]  # type: ignore[return-value]

    def remark(self, source: str, message: str, *, kind: str = "note", event: int | None = None) -> None:
        """Record a remark: `kind` is `note` or `missed`."""
        self.remarks.append(Remark(source, kind, message, event))
