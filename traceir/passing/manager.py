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
from traceir.passing.instrument import Instrument, Timing
from traceir.passing.planning import Planner
from traceir.passing.promises import ALWAYS, apply, report_of
from traceir.passing.report import Report

if TYPE_CHECKING:
    from traceir.registry import Registry


def _as_passes(items: Iterable[Pass]) -> tuple[Pass, ...]:
    return tuple(items)


def _as_instruments(items: Iterable[Instrument]) -> tuple[Instrument, ...]:
    return tuple(items)


def _as_names(items: Iterable[str]) -> frozenset[str]:
    return frozenset(items)


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
    disabled: frozenset[str] = attrs.field(default=frozenset(), converter=_as_names)
    """Names of passes that do not run though the pipeline has them; if another needs one, that is an error."""
    stop_after: int | None = None
    """Run only so many passes, inserted ones counted."""

    def __attrs_post_init__(self) -> None:
        known = {name for name, _ in self._known().all("passes")} | {item.name() for item in self.passes}
        for name in sorted(self.disabled - known):
            from traceir.registry import nearest

            raise UsageError(f"There is no pass {name!r} to disable{nearest(name, dict.fromkeys(known))}.")
        if self.stop_after is not None and self.stop_after < 0:
            raise UsageError(f"The number of passes to run is {self.stop_after}, and it has to be 0 or more.")

    @classmethod
    def parse(
        cls,
        text: str,
        *,
        registry: Registry | None = None,
        insert: bool = True,
        instruments: Sequence[Instrument] = (),
        disabled: Iterable[str] = (),
        stop_after: int | None = None,
    ) -> PassManager:
        """A manager for a pipeline text; mistakes are UsageErrors."""
        registry = registry or _installed()
        passes = tuple(pipeline.parse(text, registry))
        return cls(passes, registry, insert, tuple(instruments), frozenset(disabled), stop_after)

    @property
    def text(self) -> str:
        """The pipeline's text."""
        return pipeline.spell(self.passes)

    def _known(self) -> Registry:
        return self.registry or _installed()

    def resolve(self, module: Module) -> list[Pass]:
        """The passes that `module` needs: the user's, in order, with missing producers before their readers.

        Raises UsageError before anything runs if a column has no writer or the written order contradicts it.
        """
        return Planner(module, self._known(), self.insert, self.disabled, self._recorded).plan(self.passes)

    def _recorded(self, module: Module, column: str) -> Pass | None:
        """The pass, with its options, that the module records as the writer of a column."""
        written = module.annotations.get(column)
        if written is None or written.by is None:
            return None
        return self._instance(module.passes[written.by])

    def _instance(self, record: PassRecord) -> Pass:
        own = (item for item in self.passes if (item.name(), item.text()) == (record.name, record.text))
        found = next(own, None)
        return found if found is not None else pipeline.parse(record.text, self._known())[0]

    def run(self, module: Module, context: PassContext | None = None, *, fresh: bool = True) -> Module:
        """Run the resolved passes; the input is unchanged. A failing pass is named in a PassError.

        Where a pass of the pipeline changed what an annotation was computed from, the annotation is computed
        again, with the options it was recorded with, before the next pass that reads it. What is stale at the end
        is computed again too, unless `fresh` is false (then whoever shows the result calls the method `fresh`).
        """
        context = context or PassContext()
        plan = self._announced(self.resolve(module))
        with context.watched(self.instruments):
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

    def _announced(self, plan: list[Pass]) -> list[Pass]:
        """The passes of a plan that run; instruments hear of those, and of those that do not."""
        most = len(plan) if self.stop_after is None else self.stop_after
        skipped = [(item, "disabled") for item in self.passes if item.name() in self.disabled]
        skipped += [(item, f"stopped after {most}") for item in plan[most:]]
        for instrument in self.instruments:
            instrument.planned(plan[:most])
            for item, reason in skipped:
                instrument.skipped(item, reason)
        return plan[:most]

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
            needed = (*(annotation.name for annotation in item.writes), *(c for c in item.reads if c not in ALWAYS))
            if any(name not in module.annotations for name in needed):
                continue
            report = report_of(item, module)
            if report is not None:
                out[record.name] = report
        return out


def _installed() -> Registry:
    from traceir.registry import Registry

    return Registry.default()


def _new_bytes(before: Module, after: Module) -> int:
    old = {column.token for table in before.tables.values() for column in table.columns.values()}
    new = [column for table in after.tables.values() for column in table.columns.values() if column.token not in old]
    return sum(column.data.nbytes for column in new)


__all__ = ["Instrument", "PassManager", "Timing"]
