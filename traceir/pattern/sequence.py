"""Patterns of events that follow one another in a sequence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import attrs

from traceir.errors import UsageError
from traceir.pattern.order import Per

if TYPE_CHECKING:
    from traceir.ir import Mask, Module
    from traceir.pattern.events import Events
    from traceir.pattern.matches import Match, Matches

MOST = 4096
"""The longest that a bounded repetition may be asked to be; beyond it the bound means nothing for a trace."""


class Pattern:
    """What may stand at some place of a sequence: built of `Events` by the operators here.

    `a >> b` is a and next b, with nothing between them in the sequence; `a | b` is either, the left one first.
    `>>` binds tighter than `|`, so that `a >> b | c` is either `a >> b` or `c`.
    """

    def __rshift__(self, other: Pattern) -> Pattern:
        if not isinstance(other, Pattern):
            return NotImplemented
        left = self.parts if isinstance(self, Then) else (self,)
        right = other.parts if isinstance(other, Then) else (other,)
        return Then((*left, *right))

    def __or__(self, other: Pattern) -> Pattern:
        return Either((self, other)) if isinstance(other, Pattern) else NotImplemented

    def __and__(self, other: Pattern) -> Events:
        raise UsageError(
            "& joins tests of one event, and one side here is a sequence; >> binds tighter than & and |, so put the "
            "tests in parentheses: (a & b) >> c."
        )

    def __invert__(self) -> Events:
        raise UsageError("~ turns a test of one event round, and this is a sequence; nothing else can be absent.")

    def __bool__(self) -> bool:
        raise UsageError("A pattern is neither true nor false: join patterns with &, | and ~, not with and, or, not.")

    def repeat(self, least: int = 1, most: int | None = None) -> Pattern:
        """It from `least` to `most` times (None: as often as it goes), as often as possible.

        Events that were taken are given back where what follows needs them, rounds of several events are not. An
        endless repetition behind the begin of a pattern, with what follows taken by it as well, may be walked once
        for each begin. UsageError for bounds that mean nothing.
        """
        if least < 0 or (most is not None and not max(least, 1) <= most <= MOST) or least > MOST:
            raise UsageError(f"repeat({least}, {most}) is no count: give 0 <= least <= most <= {MOST}, most from 1.")
        return Repeat(self, least, most)

    def optional(self) -> Pattern:
        """It, or nothing."""
        return Repeat(self, 0, 1)

    def named(self, name: str) -> Pattern:
        """It, with its rows under `name` in each match; name a repetition from outside to get all its rounds."""
        return Named(self, name)

    def same(self, column: str, *names: str) -> Pattern:
        """It, where the first events of the named parts (all parts with a name, if none are given) agree in `column`.

        What is null agrees with everything, but then the match is `guessed`; an optional part that is absent is not
        asked. After a refused match the search goes on at its second event, so what is as long as a trace is better
        found without conditions and looked at after.
        """
        return Held(self, (Same(column, names),))

    def where(self, test: Callable[[Match], bool]) -> Pattern:
        """It, where `test` holds for the match; what is said of refused matches at `same` holds here too."""
        return Held(self, (test,))

    def find(
        self, module: Module, *, per: Per = "lane", within: tuple[str, ...] = (), among: Mask | None = None
    ) -> Matches:
        """All matches in a module that do not share events, from the left of each sequence.

        A sequence is the device work of a lane (or `device`) in order of start, parted where the columns `within`
        differ; `among` looks at other live events than device work. O(n log n) besides the matches.
        """
        from traceir.pattern.finding import find

        return find(self, module, per, within, among)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the pattern reads, each once: what a pass that uses it declares as `reads`."""
        own = (name for atom in atoms(self) for name in atom.test.columns)
        held = self.conditions if isinstance(self, Held) else ()
        return tuple(dict.fromkeys((*own, *(item.column for item in held if isinstance(item, Same)))))


@attrs.frozen
class Then(Pattern):
    """Parts one after another."""

    parts: tuple[Pattern, ...]


@attrs.frozen
class Either(Pattern):
    """The first of some parts that fits."""

    parts: tuple[Pattern, ...]


@attrs.frozen
class Repeat(Pattern):
    """A part several times."""

    part: Pattern
    least: int
    most: int | None


@attrs.frozen
class Named(Pattern):
    """A part whose rows a match gives by name."""

    part: Pattern
    name: str


@attrs.frozen
class Same:
    """The named parts agree in a column."""

    column: str
    names: tuple[str, ...]


Condition = Same | Callable[["Match"], bool]
"""What a match has to hold to: equal columns, or anything that can be said of it."""


@attrs.frozen
class Held(Pattern):
    """A whole pattern and the conditions on its matches."""

    part: Pattern
    conditions: tuple[Condition, ...]

    def same(self, column: str, *names: str) -> Pattern:
        """It, with one more condition."""
        return attrs.evolve(self, conditions=(*self.conditions, Same(column, names)))

    def where(self, test: Callable[[Match], bool]) -> Pattern:
        """It, with one more condition."""
        return attrs.evolve(self, conditions=(*self.conditions, test))


def children(pattern: Pattern) -> tuple[Pattern, ...]:
    """The parts that a pattern is built of."""
    if isinstance(pattern, Then | Either):
        return pattern.parts
    return (pattern.part,) if isinstance(pattern, Repeat | Named | Held) else ()


def atoms(pattern: Pattern) -> Iterator[Events]:
    """The tests at the pattern's leaves, from left to right."""
    from traceir.pattern.events import Events

    if isinstance(pattern, Events):
        yield pattern
    for part in children(pattern):
        yield from atoms(part)


def needed(pattern: Pattern) -> list[Events]:
    """Tests that some event of every match passes."""
    from traceir.pattern.events import Events

    if isinstance(pattern, Events):
        return [pattern]
    if isinstance(pattern, Either) or (isinstance(pattern, Repeat) and not pattern.least):
        return []
    return [test for part in children(pattern) for test in needed(part)]


def names(pattern: Pattern) -> tuple[str, ...]:
    """The names of a pattern's parts, from left to right, each once."""
    own = (pattern.name,) if isinstance(pattern, Named) else ()
    return tuple(dict.fromkeys((*own, *(name for part in children(pattern) for name in names(part)))))
