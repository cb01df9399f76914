"""The pass manager: resolves what passes need, runs them in order, checks what they promised."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import attrs

from traceir.errors import UsageError
from traceir.ir import Module, PassRecord
from traceir.passing import pipeline
from traceir.passing.base import Pass
from traceir.passing.context import PassContext
from traceir.passing.promises import ALWAYS, apply, report_of
from traceir.passing.report import Report

if TYPE_CHECKING:
    from traceir.registry import Registry


class Instrument:
    """Base of instruments: what may happen around a run and each of its passes. Override what is needed."""

    def begin(self, module: Module, context: PassContext) -> None:
        """Called once the passes are resolved, before the first one runs."""

    def end(self, module: Module) -> None:
        """Called with the final module when all passes have run."""

    def before(self, item: Pass, module: Module) -> None:
        """Called before a pass runs."""

    def after(self, item: Pass, before: Module, after: Module, timing: Timing) -> None:
        """Called after a pass has run and its promises held; raising a PassError here fails the pass."""

    def failed(self, item: Pass, module: Module, error: Exception) -> None:
        """Called when a pass raised or broke a promise; the error is raised afterwards."""


@attrs.frozen
class Timing:
    """What a pass cost: wall and CPU seconds, events of the module, bytes of new columns."""

    wall_s: float
    cpu_s: float
    events: int
    new_bytes: int


def _as_passes(items: Iterable[Pass]) -> tuple[Pass, ...]:
    return tuple(items)


def _as_instruments(items: Iterable[Instrument]) -> tuple[Instrument, ...]:
    return tuple(items)


@attrs.define(eq=False)
class PassManager:
    """Runs passes one after the other, inserting once what they need.

    `PassManager.parse("group,overlap").run(module)` gives what the command line gives.
    """

    passes: tuple[Pass, ...] = attrs.field(converter=_as_passes)
    registry: Registry | None = None
    insert: bool = True
    """Insert missing producers; without it, a missing one is an error that names the pass that would write it."""
    instruments: tuple[Instrument, ...] = attrs.field(default=(), converter=_as_instruments)

    @classmethod
    def parse(
        cls,
        text: str,
        *,
        registry: Registry | None = None,
        insert: bool = True,
        instruments: Sequence[Instrument] = (),
    ) -> PassManager:
        """A manager for a pipeline text; mistakes are UsageErrors."""
        registry = registry or _installed()
        return cls(tuple(pipeline.parse(text, registry)), registry, insert, tuple(instruments))

    @property
    def text(self) -> str:
        """The pipeline's text."""
        return pipeline.spell(self.passes)

    def resolve(self, module: Module) -> list[Pass]:
        """The passes that will run over `module`: the user's, in order, with missing producers before their readers.

        Raises UsageError before anything runs if a column has no writer or the written order contradicts it.
        """
        try:
            return self._plan(self.passes, module)
        except _WrongOrderError as wrong:
            raise UsageError(
                f"The pass {wrong.reader} reads {wrong.column}, which {wrong.writer.name()} writes, but "
                f"{wrong.writer.name()} stands after it; write {pipeline.spell(self._reordered(wrong, module))}."
            ) from None

    def _plan(self, passes: Sequence[Pass], module: Module) -> list[Pass]:
        planned: list[Pass] = []
        have = {name for name in module.annotations if not module.stale(name)}
        for position, item in enumerate(passes):
            self._place(item, planned, have, module, passes[position:])
        return planned

    def _reordered(self, wrong: _WrongOrderError, module: Module) -> list[Pass]:
        """The user's passes with each writer moved before its first reader; UsageError if no order will do."""
        order, seen = list(self.passes), set()
        while True:
            order.remove(wrong.writer)
            order.insert(order.index(wrong.before), wrong.writer)
            spelled = pipeline.spell(order)
            if spelled in seen:
                pair = f"{wrong.before.name()} and {wrong.writer.name()}"
                raise UsageError(f"The passes {pair} need each other's columns.")
            seen.add(spelled)
            try:
                self._plan(order, module)
            except _WrongOrderError as again:
                wrong = again
            else:
                return order

    def _place(
        self,
        item: Pass,
        planned: list[Pass],
        have: set[str],
        module: Module,
        rest: Sequence[Pass],
        *chain: str,
    ) -> None:
        """Append `item` to the plan, what it needs first; `rest` are the user's passes from the current one on."""
        if item.name() in chain:
            raise UsageError(f"The passes {' -> '.join((*chain, item.name()))} need each other's columns.")
        for column in item.reads:
            if column in have or column in ALWAYS:
                continue
            later = next((other for other in rest[1:] if _writes(type(other), column)), None)
            if later is not None:
                raise _WrongOrderError(item.name(), column, later, rest[0])
            producer = self._recorded(module, column) or self._producer(item, column)
            if not self.insert:
                raise UsageError(
                    f"The pass {item.name()} reads {column}, which nothing before it writes; "
                    f"the pass {producer.name()} would."
                )
            self._place(producer, planned, have, module, rest, *chain, item.name())
        planned.append(item)
        have.update(annotation.name for annotation in item.writes)

    def _recorded(self, module: Module, column: str) -> Pass | None:
        """The pass, with its options, that the module records as the writer of a column."""
        written = module.annotations.get(column)
        if written is None or written.by is None:
            return None
        return self._instance(module.passes[written.by])

    def _instance(self, record: PassRecord) -> Pass:
        own = (item for item in self.passes if (item.name(), item.text()) == (record.name, record.text))
        found = next(own, None)
        return found if found is not None else pipeline.parse(record.text, self.registry or _installed())[0]

    def _producer(self, reader: Pass, column: str) -> Pass:
        registry = self.registry or _installed()
        entries = dict(registry.all("passes"))
        word = column.partition(".")[0]
        for name in sorted(entries, key=lambda name: name != word):
            try:
                cls: type[Pass] = entries[name].load()
            except UsageError:  # somebody's broken plug-in is no reason to refuse what others write
                continue
            if _writes(cls, column):
                return cls.from_text({})
        raise UsageError(f"The pass {reader.name()} reads {column}, and no pass that is installed writes it.")

    def run(self, module: Module, context: PassContext | None = None, *, fresh: bool = True) -> Module:
        """Run the resolved passes; the input is unchanged. A failing pass is named in a PassError.

        Where a pass of the pipeline changed what an annotation was computed from, the annotation is computed
        again, with the options it was recorded with, before the next pass that reads it. What is stale at the end
        is computed again too, unless `fresh` is false (then whoever shows the result calls the method `fresh`).
        """
        context = context or PassContext()
        plan = self.resolve(module)
        for instrument in self.instruments:
            instrument.begin(module, context)
        for item in plan:
            module = self.fresh(module, (*item.reads, *item.uses), context)
            module = self._run(item, module, context)
        if fresh:
            module = self.fresh(module, context=context)
        for instrument in self.instruments:
            instrument.end(module)
        return module

    def fresh(self, module: Module, names: Iterable[str] | None = None, context: PassContext | None = None) -> Module:
        """A module in which none of these annotations (default: any) is stale.

        The producer of a stale one runs again, once, with its recorded options, after those of what it reads;
        without `insert` that is a UsageError. What consumes a module (a printer) calls this for what it shows.
        """
        names = tuple(module.annotations) if names is None else names
        return self._fresh(module, names, context or PassContext(), set())

    def _fresh(self, module: Module, names: Iterable[str], context: PassContext, done: set[str]) -> Module:
        for name in names:
            if not module.stale(name):
                continue
            producer = self._recorded(module, name)
            if producer is None or producer.text() in done:
                continue
            if not self.insert:
                raise UsageError(
                    f"The column {name} is stale, since a column that it was computed from has changed; "
                    f"the pass {producer.name()} would compute it again."
                )
            done.add(producer.text())
            module = self._fresh(module, (*producer.reads, *producer.uses), context, done)
            if module.stale(name):
                module = self._run(producer, module, context)
        return module

    def _run(self, item: Pass, module: Module, context: PassContext) -> Module:
        for instrument in self.instruments:
            instrument.before(item, module)
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            result = apply(item, module, context)
            spent = time.perf_counter() - wall, time.process_time() - cpu
            timing = Timing(*spent, len(module), _new_bytes(module, result))
            for instrument in self.instruments:
                instrument.after(item, module, result, timing)
        except Exception as error:
            for instrument in self.instruments:
                instrument.failed(item, module, error)
            raise
        return result

    def reports(self, module: Module) -> dict[str, Report]:
        """The reports of the passes that ran over `module`, inserted ones included, by name.

        A text may record passes that are not installed (or other versions of them), and hold a part of their
        columns; nothing is reported for these.
        """
        out: dict[str, Report] = {}
        for record in {record.name: record for record in module.passes}.values():
            try:
                item = self._instance(record)
            except UsageError:
                continue
            if any(annotation.name not in module.annotations for annotation in item.writes):
                continue
            report = report_of(item, module)
            if report is not None:
                out[record.name] = report
        return out


@attrs.define(eq=False)
class _WrongOrderError(Exception):
    """A column's writer stands after its reader; it belongs before the pass `before` of the user's."""

    reader: str
    column: str
    writer: Pass
    before: Pass


def _installed() -> Registry:
    from traceir.registry import Registry

    return Registry.installed()


def _writes(cls: type[Pass], column: str) -> bool:
    return any(annotation.name == column for annotation in cls.writes)


def _new_bytes(before: Module, after: Module) -> int:
    old = {column.token for table in before.tables.values() for column in table.columns.values()}
    new = [column for table in after.tables.values() for column in table.columns.values() if column.token not in old]
    return sum(column.data.nbytes for column in new)
