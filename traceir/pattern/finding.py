"""Finding a pattern: events become letters, sequences become one text, the pattern a regular expression.

Each event's letter says which tests it passes, so that the search itself runs in the standard library's engine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import attrs
import numpy as np

from traceir.errors import UsageError
from traceir.ir import Array, Mask, Module
from traceir.pattern.events import Events
from traceir.pattern.matches import Match, Matches
from traceir.pattern.order import Order, Per
from traceir.pattern.sequence import (
    Condition,
    Either,
    Held,
    Named,
    Pattern,
    Repeat,
    Same,
    Then,
    atoms,
    children,
    names,
    needed,
)
from traceir.pattern.values import of_events

_FIRST = 0x4E00
"""The first letter; a block of many thousand letters without a meaning in regular expressions begins here."""
_BORDER = "\n"


def find(pattern: Pattern, module: Module, per: Per, within: tuple[str, ...], among: Mask | None) -> Matches:
    """All matches of a pattern, see `Pattern.find`."""
    body, conditions = (pattern.part, pattern.conditions) if isinstance(pattern, Held) else (pattern, ())
    _check(body)
    order = Order.of(module, per, within, among)
    letters = _Letters.of(body, module, order)
    if letters is None:
        return Matches(())
    search = letters.searcher(body)
    held = [_holds(item, body, module) for item in conditions]
    found, at = [], 0
    places = {name: f"g{number}" for number, name in enumerate(letters.names)}
    while at < len(letters.text) and (hit := search(at)):
        if hit.end() == hit.start():
            at = hit.start() + 1  # nothing is no match, and no condition is asked of it
            continue
        match = _match(module, order, letters.starts, hit, places)
        answers = [test(match) for test in held]
        kept = False not in answers
        if kept:
            found.append(attrs.evolve(match, guessed=True) if None in answers else match)
        at = hit.end() if kept else hit.start() + 1
    return Matches(tuple(found))


def _check(pattern: Pattern, *, repeated: bool = False) -> None:
    """Refuse what cannot be meant: conditions inside a pattern, names that a repetition would overwrite."""
    if isinstance(pattern, Held):
        raise UsageError("The conditions of a pattern (same, where) have to stand outermost.")
    if isinstance(pattern, Named) and repeated:
        raise UsageError(f"The name {pattern.name!r} stands inside a repetition; name the repetition instead.")
    for part in children(pattern):
        _check(part, repeated=repeated or (isinstance(pattern, Repeat) and pattern.most != 1))
    own = [part.name for part in _named(pattern)]
    if len(set(own)) < len(own) and not repeated:
        raise UsageError("Two parts of a pattern have one name; give each its own.")


def _named(pattern: Pattern) -> list[Named]:
    own = [pattern] if isinstance(pattern, Named) else []
    return own + [item for part in children(pattern) for item in _named(part)]


def _match(module: Module, order: Order, starts: Array, hit: re.Match[str], places: Mapping[str, str]) -> Match:
    def rows(begin: int, end: int) -> Array:
        return order.rows[starts[begin] : starts[end]] if begin >= 0 else order.rows[:0]

    parts = {name: rows(*hit.span(group)) for name, group in places.items()} if places else {}
    return Match(module, rows(*hit.span()), parts)


def _holds(condition: Condition, pattern: Pattern, module: Module) -> Callable[[Match], bool | None]:
    """A condition as a function: True, False, or None where a value is not known."""
    if not isinstance(condition, Same):
        return lambda match: bool(condition(match))
    values, null = of_events(module, condition.column)
    compared = condition.names or names(pattern)
    missing = set(compared) - set(names(pattern))
    if missing or len(compared) < 2:
        told = f"no part is called {min(missing)!r}" if missing else "it needs two named parts"
        raise UsageError(f"The condition same({condition.column!r}) cannot be held to: {told}.")

    def agree(match: Match) -> bool | None:
        rows = [match.row(name) for name in compared]
        rows = [row for row in rows if row >= 0]
        known = {values[row].item() for row in rows if not null[row]}
        if len(known) > 1:
            return False
        return None if any(null[row] for row in rows) else True

    return agree


@attrs.frozen
class _Hopeful:
    """Stands for no test of an event but for what follows it in its sequence."""

    columns: tuple[str, ...] = ()

    def mask(self, module: Module) -> Mask:
        raise AssertionError("What follows an event is no property of the event.")


def _to_come(masks: list[Mask], order: Order) -> Mask:
    """At which positions of the sequences all of some tests are still passed, by this event or a later one. O(n)."""
    last = np.searchsorted(order.sequence, order.sequence, side="right")
    out = np.ones(len(order.rows), bool)
    for mask in masks:
        total = np.append(0, np.cumsum(mask))
        out &= total[last] > total[:-1]
    return out


@attrs.frozen(eq=False)
class _Letters:
    """The text of all sequences, and the letters that each test takes.

    `starts` is the position in the order at which each letter of the text stands; borders stand between. `hopeful`
    are the letters at which a match may begin, as everything that it needs is still to come in the sequence: without
    them each start would walk to the border for what is not there.
    """

    text: str
    starts: Array
    taken: Mapping[Events, frozenset[int]]
    names: tuple[str, ...]
    hopeful: frozenset[int]

    @classmethod
    def of(cls, pattern: Pattern, module: Module, order: Order) -> _Letters | None:
        """The letters of a module's sequences; None without events."""
        tests = list(dict.fromkeys(atoms(pattern)))
        if not len(order.rows):
            return None
        codes = np.zeros(len(order.rows), np.int64)
        masks = {test: test.mask(module)[order.rows] for test in tests}
        hope = Events(_Hopeful())
        masks[hope] = _to_come([masks[test] for test in needed(pattern)], order)
        taken: dict[Events, frozenset[int]] = {test: frozenset() for test in masks}
        for test, passes in masks.items():
            # Letters are renumbered after each test, so their number stays below that of distinct events.
            found, codes = np.unique(codes * 2 + passes, return_inverse=True)
            for other, old in taken.items():
                taken[other] = frozenset(at for at, code in enumerate(found.tolist()) if code // 2 in old)
            taken[test] = frozenset(np.flatnonzero(found % 2).tolist())
        borders = order.first.copy()
        borders[0] = False
        at = np.arange(len(codes)) + np.cumsum(borders)
        text = np.full(at[-1] + 1, ord(_BORDER), np.uint32)
        text[at] = codes.reshape(-1) + _FIRST
        # The border after a sequence counts as the start of the next, so that an end can be looked up too.
        starts = np.searchsorted(at, np.arange(len(text) + 1))
        return cls(text.tobytes().decode("utf-32-le"), starts, taken, names(pattern), taken.pop(hope))

    def searcher(self, pattern: Pattern) -> Callable[[int], re.Match[str] | None]:
        """A function that gives the first match at or after a place of the text.

        Where the pattern begins with an endless run, whatever follows a start inside a run follows its first too, so
        only that is tried: else a run of n events that leads nowhere would take n² steps.
        """
        ahead = f"(?={self._class(self.hopeful)})" if needed(pattern) else ""
        text = ahead + self.expression(pattern)
        plain = re.compile(text)
        run = self._leading_run(pattern)
        if run is None:
            return lambda at: plain.search(self.text, at)
        first = re.compile(f"(?<!{self._class(run)}){text}")

        def search(at: int) -> re.Match[str] | None:
            # What stands before this place may belong to the match before, so it begins a run of its own.
            return plain.match(self.text, at) or first.search(self.text, at)

        return search

    def _leading_run(self, pattern: Pattern) -> frozenset[int] | None:
        """The letters of an endless run of single events that a pattern begins with."""
        head = pattern.parts[0] if isinstance(pattern, Then) else pattern
        head = head.part if isinstance(head, Named) else head
        if not isinstance(head, Repeat) or head.most is not None or not isinstance(head.part, Events):
            return None
        return self.taken[head.part] or None

    def expression(self, pattern: Pattern, after: frozenset[int] | None = None) -> str:
        """The regular expression of a pattern; `after` are the letters that may follow it (None: any)."""
        if isinstance(pattern, Events):
            return self._class(self.taken[pattern])
        if isinstance(pattern, Named):
            return f"(?P<g{self.names.index(pattern.name)}>{self.expression(pattern.part, after)})"
        if isinstance(pattern, Either):
            return "(?:" + "|".join(self.expression(part, after) for part in pattern.parts) + ")"
        if isinstance(pattern, Repeat):
            return self._repeated(pattern, after)
        assert isinstance(pattern, Then)
        out = []
        for part in reversed(pattern.parts):
            out.append(self.expression(part, after))
            first = self._first(part)
            after = first if not self._may_be_empty(part) else None if after is None else first | after
        return "".join(reversed(out))

    def _repeated(self, pattern: Repeat, after: frozenset[int] | None) -> str:
        if isinstance(pattern.part, Events):
            part = self.expression(pattern.part)
            # Nothing that may follow could have been taken by the repetition, so it never has to give back.
            alone = after is not None and not after & self.taken[pattern.part]
        else:
            part, alone = f"(?>{self.expression(pattern.part)})", True
        most = "" if pattern.most is None else str(pattern.most)
        return f"(?:{part}){{{pattern.least},{most}}}" + ("+" if alone else "")

    @staticmethod
    def _class(letters: frozenset[int]) -> str:
        return "[" + "".join(chr(_FIRST + at) for at in sorted(letters)) + "]" if letters else "(?!)"

    def _first(self, pattern: Pattern) -> frozenset[int]:
        """The letters that a pattern may begin with."""
        if isinstance(pattern, Events):
            return self.taken[pattern]
        out: frozenset[int] = frozenset()
        for part in children(pattern):
            out |= self._first(part)
            if isinstance(pattern, Then) and not self._may_be_empty(part):
                break
        return out

    def _may_be_empty(self, pattern: Pattern) -> bool:
        if isinstance(pattern, Events):
            return False
        if isinstance(pattern, Repeat):
            return pattern.least == 0 or self._may_be_empty(pattern.part)
        empties = (self._may_be_empty(part) for part in children(pattern))
        return any(empties) if isinstance(pattern, Either) else all(empties)
