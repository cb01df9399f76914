"""The verifier: whether a module keeps the rules of the IR. It measures and reports; it never changes anything."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from typing import Any, Literal

import attrs
import numpy as np

from traceir.errors import SchemaError
from traceir.ir.column import Array, Rows
from traceir.ir.module import Module

Level = Literal["info", "warning", "error"]


@attrs.frozen
class Violation:
    """One rule that a module breaks.

    `rule` and `name` are stable (`V07`, `nest-contains`). `count` is the number of places, `first` the id of the
    first event concerned (None if it is no event's), `excess_ns` by how much the worst place breaks the rule, for
    rules about times. `message` is one sentence.
    """

    rule: str
    name: str
    level: Level
    count: int
    message: str
    first: int | None = None
    excess_ns: int | None = None

    def __str__(self) -> str:
        return f"{self.rule} {self.name}: {self.message}"


@attrs.frozen
class Found:
    """What a rule's function yields: the rows concerned (of the event table, or counted only) and by how much."""

    message: str
    count: int
    row: int | None = None
    excess_ns: int | None = None


Check = Callable[[Module, str, int], Iterator[Found]]
Parts = Callable[[Module], Iterable[str]]
Key = Callable[[Module, str], tuple[Any, ...]]


@attrs.frozen(eq=False)
class Rule:
    """A rule of the IR: a stable id and name, a level, one sentence, and the columns it looks at.

    An `error` is what no module may have: code that reads the module may fail or lie. A `warning` is what real
    traces do by a few ns, and what results may suffer from. `info` is worth knowing and nobody's fault. `basic`
    rules make the others safe to check: these are left out where a basic one is broken. `parts` splits the work (a
    rule over annotations has a part each), `key` says what else than `reads` the outcome depends on; both exist so
    that outcomes can be kept while columns stay the same.
    """

    id: str
    name: str
    level: Level
    reads: tuple[str, ...]
    check: Check
    basic: bool = False
    parts: Parts = lambda _: ("",)
    key: Key = lambda _, __: ()

    @property
    def doc(self) -> str:
        """The rule in one sentence."""
        return (self.check.__doc__ or "").strip().partition("\n")[0]


RULES: dict[str, Rule] = {}
"""All rules by their ids, in the order in which they are checked. A dialect of a plug-in may add its own."""

Cache = MutableMapping[tuple[Any, ...], tuple[Violation, ...]]


def rule(
    id: str,
    name: str,
    level: Level,
    *reads: str,
    basic: bool = False,
    parts: Parts = lambda _: ("",),
    key: Key = lambda _, __: (),
) -> Callable[[Check], Check]:
    """Register a check as a rule; an id that is taken is a ValueError."""

    def register(check: Check) -> Check:
        if id in RULES:
            raise ValueError(f"The rule {id} is defined twice: as {RULES[id].name} and as {name}.")
        RULES[id] = Rule(id, name, level, reads, check, basic, parts, key)
        return check

    return register


def rule_names() -> frozenset[str]:
    """The ids and names that `verify` takes."""
    importlib.import_module("traceir.ir.rules")  # the rules register themselves
    return frozenset(name for one in RULES.values() for name in (one.id, one.name))


def verify(
    module: Module, rules: Iterable[str] | None = None, *, slack_ns: int = 0, cache: Cache | None = None
) -> tuple[Violation, ...]:
    """The rules that a module breaks, in the order of their ids; none if it keeps them all.

    `rules` chooses rules by id or name (default: all). A rule that cannot be checked, since a basic one is broken,
    is not kept either: then what breaks the basic ones is reported in its place. Overhangs of times up to `slack_ns`
    are let pass; with 0 all are measured. A `cache` (any dict, kept by the caller) makes a second call pay only for
    columns that are new. Vectorised, O(n log n) at worst; about 0.1 s per million events.
    """
    known = rule_names()
    wanted = None if rules is None else set(rules)
    if wanted is not None and not wanted <= known:
        raise SchemaError(f"There is no verifier rule {min(wanted - known)!r}; there are {', '.join(sorted(RULES))}.")
    found: list[Violation] = []
    blocking: list[Violation] = []
    blocked = False
    for one in sorted(RULES.values(), key=lambda item: (not item.basic, item.id)):
        asked = wanted is None or one.id in wanted or one.name in wanted
        # Without its columns, or with columns of other types, nothing else of a module can be looked at.
        if (blocking and not one.basic) or any(item.rule in ("V01", "V02") for item in blocking):
            blocked |= asked
            continue
        broken = _outcome(one, module, slack_ns, {} if cache is None else cache)
        if one.basic:
            blocking.extend(broken)
        if asked:
            found.extend(broken)
    if blocked:
        found.extend(item for item in blocking if item not in found)
    return tuple(sorted(found, key=lambda item: item.rule))


def _outcome(one: Rule, module: Module, slack_ns: int, cache: Cache) -> list[Violation]:
    out: list[Violation] = []
    for part in one.parts(module):
        key = (one.id, part, slack_ns, *(module.token(name) for name in one.reads), *one.key(module, part))
        if key not in cache:
            cache[key] = tuple(_violation(one, module, found) for found in one.check(module, part, slack_ns))
        out.extend(cache[key])
    return out


def _violation(one: Rule, module: Module, found: Found) -> Violation:
    first = int(module["id"][found.row]) if found.row is not None and "id" in module else None
    return Violation(one.id, one.name, one.level, found.count, found.message, first, found.excess_ns)


def at(rows: Array, message: str, excess: Array | None = None) -> Iterator[Found]:
    """A finding at event rows, if there are any; `{n}`, `{ns}` in the message are the count and the worst excess."""
    if len(rows):
        worst = int(excess.max()) if excess is not None else None
        # Replaced rather than formatted: a name in the message may hold braces of its own.
        said = message.replace("{n}", str(len(rows)), 1).replace("{ns}", str(worst), 1)
        yield Found(said, len(rows), int(rows[0]), worst)


def outside(values: Array, low: int, high: int) -> Rows:
    """The positions whose value is not in `[low, high)`."""
    if not len(values) or (int(values.min()) >= low and int(values.max()) < high):
        return np.empty(0, np.int32)
    return np.flatnonzero((values < low) | (values >= high)).astype(np.int32)


__all__ = ["RULES", "Rule", "Violation", "rule", "rule_names", "verify"]
