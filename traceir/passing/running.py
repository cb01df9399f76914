"""A run: the planned passes one after the other, and again whatever a pass has made stale."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

import attrs

from traceir.errors import UsageError
from traceir.ir import Module
from traceir.passing.base import Pass
from traceir.passing.context import PassContext
from traceir.passing.instrument import Timing
from traceir.passing.promises import apply
from traceir.passing.watch import Watch


@attrs.define(eq=False)
class Run:
    """Runs passes over one module after the other.

    `recorded` gives the pass, with its options, that a module records as the writer of a column. `disabled` are names
    of passes that do not run. `most`: at most so many runs of passes, those that are run again counted.
    """

    context: PassContext
    watch: Watch
    recorded: Callable[[Module, str], Pass | None]
    insert: bool
    disabled: frozenset[str]
    most: int | None = None
    done: int = 0
    _lost: dict[str, Pass] = attrs.field(factory=dict, init=False)
    """What stood on regions or rows that a pass has made anew, and whose it was."""

    def all(self, plan: Sequence[Pass], module: Module, *, fresh: bool) -> Module:
        """The module after all passes of a plan; at the end nothing is stale that can be helped, if `fresh`."""
        self.watch.tell("begin", module, self.context)
        for item in plan:
            module = self.fresh(module, (*item.reads, *item.uses))
            for column in item.reads:
                self._must_be_fresh(item, column, module)
            module = self._one(item, module)
        if fresh:
            module = self.fresh(module, (*module.annotations, *self._lost))
            self._say_what_is_stale(module)
        self.watch.tell("end", module)
        return module

    def fresh(self, module: Module, names: Iterable[str]) -> Module:
        """A module in which none of these annotations is stale, where their passes may run again. Each runs once."""
        return self._fresh(module, tuple(names), set())

    def _fresh(self, module: Module, names: Iterable[str], again: set[str]) -> Module:
        for name in names:
            lost = self._lost.get(name) if name not in module else None
            if self._full or not (lost or module.stale(name)):
                continue
            producer = lost or self.recorded(module, name)
            if producer is None or producer.text() in again or producer.name() in self.disabled:
                continue
            if not self.insert:
                raise UsageError(
                    f"The column {name} is stale, since a column that it was computed from has changed; "
                    f"the pass {producer.name()} would compute it again."
                )
            again.add(producer.text())
            module = self._fresh(module, (*producer.reads, *producer.uses), again)
            if module.stale(name) or (lost and name not in module):
                module = self._one(producer, module)
        return module

    @property
    def _full(self) -> bool:
        return self.most is not None and self.done >= self.most

    def _must_be_fresh(self, item: Pass, column: str, module: Module) -> None:
        if self._full or not module.stale(column):
            return
        by = module.annotations[column].by
        writer = module.passes[by].name if by is not None else "nobody that is known"
        why = "is disabled" if writer in self.disabled else "cannot compute it again"
        raise UsageError(f"The pass {item.name()} reads {column}, which is stale, and {writer} that wrote it {why}.")

    def _say_what_is_stale(self, module: Module) -> None:
        stale: dict[str, list[str]] = {}
        for name, written in module.annotations.items():
            if written.by is not None and module.stale(name) and not self._full:
                stale.setdefault(module.passes[written.by].name, []).append(name)
        for name, producer in self._lost.items():
            if name not in module and not self._full:
                stale.setdefault(producer.name(), []).append(name)
        for writer, names in stale.items():
            few = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            self.context.remark(
                writer,
                f"What it wrote is stale, so it is not shown: {few}; a column that it was computed from has changed, "
                "and the pass is disabled, is not installed, or would only make others stale again.",
                kind="missed",
            )

    def _one(self, item: Pass, module: Module) -> Module:
        if self._full:
            return module
        self.done += 1
        self.watch.tell("before", item, module)
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            result = apply(item, module, self.context)
            spent = time.perf_counter() - wall, time.process_time() - cpu
            self.watch.tell("check", item, module, result)
        except Exception as error:
            self.watch.failed(item, module, error)
            raise
        self._note_lost(item, module, result)
        self.watch.tell("after", item, module, result, Timing(*spent, len(module), _new_bytes(module, result)))
        return result

    def _note_lost(self, item: Pass, before: Module, after: Module) -> None:
        """What has gone with the rows that it spoke of; what a pass says that it takes away was meant to go."""
        for name in before.annotations.keys() - after.annotations.keys() - {*item.drops}:
            producer = self.recorded(before, name)
            if producer is not None and producer.name() != item.name():
                self._lost[name] = producer


def _new_bytes(before: Module, after: Module) -> int:
    old = {column.token for table in before.tables.values() for column in table.columns.values()}
    new = [column for table in after.tables.values() for column in table.columns.values() if column.token not in old]
    return sum(column.data.nbytes for column in new)


__all__ = ["Run"]
