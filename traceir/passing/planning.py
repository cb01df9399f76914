"""The plan of a run: the user's passes in order, with what they need put before, or an error before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import attrs

from traceir.errors import UsageError
from traceir.ir import Module
from traceir.passing import pipeline
from traceir.passing.base import Pass
from traceir.passing.promises import ALWAYS

if TYPE_CHECKING:
    from traceir.registry import Registry

OWN = "traceir"
"""The provider of what traceir brings itself."""


@attrs.frozen(eq=False)
class Planner:
    """Plans passes over one module.

    `insert`: put missing producers before their readers. `disabled` are names of passes that must not run.
    `recorded` gives the pass, with its options, that a module records as the writer of a column.
    """

    module: Module
    registry: Registry
    insert: bool
    disabled: frozenset[str]
    recorded: Callable[[Module, str], Pass | None]

    def plan(self, passes: Sequence[Pass]) -> list[Pass]:
        """The passes that will run. UsageError if a column has no writer or the written order contradicts it."""
        passes = [item for item in passes if item.name() not in self.disabled]
        try:
            return self._plan(passes)
        except _WrongOrderError as wrong:
            raise UsageError(
                f"The pass {wrong.reader} {wrong.verb} {wrong.column}, which {wrong.writer.name()} writes, but "
                f"{wrong.writer.name()} stands after it; write {pipeline.spell(self._reordered(passes, wrong))}."
            ) from None

    def _plan(self, passes: Sequence[Pass]) -> list[Pass]:
        planned: list[Pass] = []
        have = {name for name in self.module.annotations if not self.module.stale(name)}
        for position, item in enumerate(passes):
            self._place(item, planned, have, passes[position:])
        return planned

    def _reordered(self, passes: Sequence[Pass], wrong: _WrongOrderError) -> list[Pass]:
        """The user's passes with each writer moved before its first reader; UsageError if no order will do."""
        order, seen = list(passes), set()
        while True:
            order.remove(wrong.writer)
            order.insert(order.index(wrong.before), wrong.writer)
            spelled = pipeline.spell(order)
            if spelled in seen:
                pair = [wrong.before, wrong.writer]
                circle = _cycle(passes, uses=not self.insert) or pair  # none: it goes through one that was inserted
                raise UsageError(_circle([item.name() for item in circle]))
            seen.add(spelled)
            try:
                self._plan(order)
            except _WrongOrderError as again:
                wrong = again
            else:
                return order

    def _place(self, item: Pass, planned: list[Pass], have: set[str], rest: Sequence[Pass], *chain: str) -> None:
        """Append `item` to the plan, what it needs first; `rest` are the user's passes from the current one on."""
        if item.name() in chain:
            raise UsageError(_circle(chain[chain.index(item.name()) :]))
        if not self.insert and not chain:
            self._used_in_order(item, have, rest)
        for column in item.reads:
            if column in have or column in ALWAYS:
                continue
            later = _writer(column, rest[1:])
            if later is not None and item.annotates:
                raise _WrongOrderError(item.name(), "reads", column, later, rest[0])
            # What a pass reads that itself changes times or removes events is stale behind it: the user asked for the
            # writer there, and it runs before as well.
            producer = self.recorded(self.module, column) or later or self._producer(item, column)
            if producer.name() in self.disabled:
                raise UsageError(
                    f"The pass {item.name()} reads {column}, which {producer.name()} writes, and "
                    f"{producer.name()} is disabled; disable {item.name()} too, or neither."
                )
            if not self.insert:
                raise UsageError(
                    f"The pass {item.name()} reads {column}, which nothing before it writes; "
                    f"the pass {producer.name()} would."
                )
            self._place(producer, planned, have, rest, *chain, item.name())
        planned.append(item)
        have.update(annotation.name for annotation in item.writes)
        have.difference_update(item.drops)

    def _used_in_order(self, item: Pass, have: set[str], rest: Sequence[Pass]) -> None:
        """Refuse an order in which a later pass makes stale what this one has used, as nothing may run again."""
        for column in item.uses:
            later = None if column in have else _writer(column, rest[1:])
            if later is not None:
                raise _WrongOrderError(item.name(), "uses", column, later, rest[0])

    def _producer(self, reader: Pass, column: str) -> Pass:
        """The installed pass that writes a column: traceir's own if there is one, else the only one of others."""
        found: dict[str, type[Pass]] = {}
        word = column.partition(".")[0]
        for name, entry in sorted(
            self.registry.all("passes"),
            # Those that are likely to write it first, so that few are imported.
            key=lambda one: (one[1].provider != OWN, one[0] != word, not one[0].startswith(word)),
        ):
            try:
                cls: type[Pass] = entry.load()
            except UsageError:  # somebody's broken plug-in is no reason to refuse what others write
                continue
            if writes(cls, column):
                if entry.provider == OWN:
                    return cls.from_text({})
                found[f"{name} of {entry.provider}"] = cls
        if len(found) > 1:
            raise UsageError(
                f"The pass {reader.name()} reads {column}, and more than one pass writes it: "
                f"{', '.join(found)}; put one of them before {reader.name()}."
            )
        for cls in found.values():
            return cls.from_text({})
        raise UsageError(f"The pass {reader.name()} reads {column}, and no pass that is installed writes it.")


def _writer(column: str, passes: Sequence[Pass]) -> Pass | None:
    return next((other for other in passes if writes(type(other), column)), None)


def _circle(names: Sequence[str]) -> str:
    path = " -> ".join((*names, names[0]))
    return f"The passes {path} need each other's columns, so no order will do."


def _cycle(passes: Sequence[Pass], *, uses: bool) -> list[Pass]:
    """Passes each of which needs a column that only the next can give it, the last one of the first, if there are."""
    import networkx  # only where something is wrong: planning is done in every run, and this import is slow

    graph = networkx.DiGraph()
    for at, reader in enumerate(passes):
        for column in (*reader.reads, *(reader.uses if uses else ())):
            writers = [other for other, item in enumerate(passes) if item is not reader and writes(type(item), column)]
            graph.add_edges_from((at, other) for other in writers)
    try:
        return [passes[at] for at, _ in networkx.find_cycle(graph)]
    except networkx.NetworkXNoCycle:
        return []


@attrs.define(eq=False)
class _WrongOrderError(Exception):
    """A column's writer stands after its reader; it belongs before the pass `before` of the user's."""

    reader: str
    verb: str
    column: str
    writer: Pass
    before: Pass


def writes(cls: type[Pass], column: str) -> bool:
    """Whether a pass declares that it writes a column."""
    return any(annotation.name == column for annotation in cls.writes)


__all__ = ["Planner"]
