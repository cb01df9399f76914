"""Which events a place of a pattern takes: typed events, and what encloses or joins them."""

from __future__ import annotations

import re
from typing import Protocol, overload

import attrs
import numpy as np

from traceir.errors import UsageError
from traceir.ir import Mask, Module
from traceir.pattern.sequence import Pattern
from traceir.pattern.values import is_among


class Test(Protocol):
    """Says of every event of a module whether a place of a pattern takes it."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads."""
        ...

    def mask(self, module: Module) -> Mask:
        """Which events it takes, by row."""
        ...


@attrs.frozen
class Events(Pattern):
    """One event that passes a test. `&`, `|` and `~` make further tests; as a pattern it is one place long.

    `columns` are what the test reads, for the `reads` of a pass.
    """

    test: Test

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the test reads, each once."""
        return tuple(dict.fromkeys(self.test.columns))

    def mask(self, module: Module) -> Mask:
        """Which events of a module pass the test, by row, removed ones too. O(n)."""
        return self.test.mask(module)

    def __and__(self, other: Pattern) -> Events:
        return Events(_All((self.test, other.test))) if isinstance(other, Events) else super().__and__(other)

    @overload
    def __or__(self, other: Events) -> Events: ...
    @overload
    def __or__(self, other: Pattern) -> Pattern: ...
    def __or__(self, other: Pattern) -> Pattern:
        return Events(_Any((self.test, other.test))) if isinstance(other, Events) else super().__or__(other)

    def __invert__(self) -> Events:
        return Events(_Not(self.test))


def event(column: str, *texts: str) -> Events:
    """Events whose `column` holds one of `texts`, such as `event("infer.role", "norm", "quant")`.

    `kind` takes kinds and dialects, `name` takes whole names. A column of a table is looked up through the event
    column that leads there, so that `event("coll.library", "nccl")` works. UsageError without texts.
    """
    if not texts:
        raise UsageError(f'event("{column}") needs at least one text to compare with.')
    return Events(_Among(column, frozenset(texts)))


def under(*names: str) -> Events:
    """Events of which the launch is enclosed by a host event with a name that one of the expressions fully matches.

    Work of a graph replay has only the graph's launch, so nothing that surrounded its capture counts. UsageError
    without expressions, or for one that cannot be read.
    """
    if not names:
        raise UsageError("under() needs at least one regular expression.")
    for name in names:
        try:
            re.compile(name)
        except re.error as error:
            raise UsageError(f"under() cannot read the regular expression {name!r}: {error}.") from None
    return Events(_Under(tuple(names)))


def edge(kind: str, *, to: Events | None = None, of: Events | None = None) -> Events:
    """Events with an edge of this kind: to an event that passes `to`, or from one that passes `of`.

    UsageError unless exactly one of the two is given.
    """
    if (to is None) == (of is None):
        raise UsageError("edge() takes either `to` or `of`: the test of the event at the other end.")
    other = to if to is not None else of
    assert other is not None
    return Events(_Joined(kind, other.test, outgoing=to is not None))


@attrs.frozen
class _Anything:
    columns: tuple[str, ...] = ()

    def mask(self, module: Module) -> Mask:
        return np.ones(len(module), bool)


anything = Events(_Anything())
"""Any event."""


@attrs.frozen
class _Among:
    column: str
    texts: frozenset[str]

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def mask(self, module: Module) -> Mask:
        if self.column == "kind":
            return module.is_kind(*self.texts)
        return is_among(module, self.column, self.texts)


@attrs.frozen
class _All:
    parts: tuple[Test, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(name for part in self.parts for name in part.columns)

    def mask(self, module: Module) -> Mask:
        return np.asarray(np.logical_and.reduce([part.mask(module) for part in self.parts]))


@attrs.frozen
class _Any:
    parts: tuple[Test, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(name for part in self.parts for name in part.columns)

    def mask(self, module: Module) -> Mask:
        return np.asarray(np.logical_or.reduce([part.mask(module) for part in self.parts]))


@attrs.frozen
class _Not:
    part: Test

    @property
    def columns(self) -> tuple[str, ...]:
        return self.part.columns

    def mask(self, module: Module) -> Mask:
        return ~self.part.mask(module)


@attrs.frozen
class _Under:
    """Climbs from the launches, all at once: each distinct host event is looked at once per depth."""

    names: tuple[str, ...]
    columns: tuple[str, ...] = ("name", "parent", "live", "edges")

    def mask(self, module: Module) -> Mask:
        wanted = re.compile("|".join(f"(?:{name})" for name in self.names))
        fits = np.array([wanted.fullmatch(text) is not None for text in module.strings.texts] + [False])
        launch = module.launch.astype(np.int64)
        launch[(launch >= 0) & module.is_kind("rt.graph_launch")[launch]] = -1
        hosts, inverse = np.unique(launch, return_inverse=True)
        found, at, names, caller = hosts < -1, hosts.copy(), module["name"], module.caller
        while (at >= 0).any():
            found |= (at >= 0) & fits[names[at]]
            at = np.where((at >= 0) & ~found, caller[at], -1)
        return np.asarray(found[inverse])


@attrs.frozen
class _Joined:
    kind: str
    other: Test
    outgoing: bool

    @property
    def columns(self) -> tuple[str, ...]:
        return ("edges", *self.other.columns)

    def mask(self, module: Module) -> Mask:
        source, target = module.edges(self.kind)
        mine, theirs = (source, target) if self.outgoing else (target, source)
        out = np.zeros(len(module), bool)
        out[mine[self.other.mask(module)[theirs]]] = True
        return out
