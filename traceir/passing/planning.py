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
                f"The pass {wrong.reader} reads {wrong.column}, which {wrong.writer.name()} writes, but "
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
                pair = f"{wrong.before.name()} and {wrong.writer.name()}"
                raise UsageError(f"The passes {pair} need each other's columns.")
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
            raise UsageError(f"The passes {' -> '.join((*chain, item.name()))} need each other's columns.")
        for column in item.reads:
            if column in have or column in ALWAYS:
                continue
            later = next((other for other in rest[1:] if writes(type(other), column)), None)
            if later is not None:
                raise _WrongOrderError(item.name(), column, later, rest[0])
            producer = self.recorded(self.module, column) or self._producer(item, column)
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

    def _producer(self, reader: Pass, column: str) -> Pass:
        entries = dict(self.registry.all("passes"))
        word = column.partition(".")[0]
        for name in sorted(entries, key=lambda name: name != word):
            try:
                cls: type[Pass] = entries[name].load()
            except UsageError:  # somebody's broken plug-in is no reason to refuse what others write
                continue
            if writes(cls, column):
                return cls.from_text({})
        raise UsageError(f"The pass {reader.name()} reads {column}, and no pass that is installed writes it.")


@attrs.define(eq=False)
class _WrongOrderError(Exception):
    """A column's writer stands after its reader; it belongs before the pass `before` of the user's."""

    reader: str
    column: str
    writer: Pass
    before: Pass


def writes(cls: type[Pass], column: str) -> bool:
    """Whether a pass declares that it writes a column."""
    return any(annotation.name == column for annotation in cls.writes)


__all__ = ["Planner"]
