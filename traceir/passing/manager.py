"""The pass manager: resolves what passes need, runs them in order, checks what they promised."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import attrs

from traceir.errors import UsageError
from traceir.ir import Module, PassRecord
from traceir.passing import pipeline
from traceir.passing.base import Pass
from traceir.passing.context import PassContext
from traceir.passing.declared import mistakes
from traceir.passing.instrument import Instrument
from traceir.passing.planning import Planner
from traceir.passing.promises import ALWAYS, report_of
from traceir.passing.report import Report
from traceir.passing.running import Run
from traceir.passing.watch import Watch

if TYPE_CHECKING:
    from traceir.registry import Registry


def _as_passes(items: Iterable[Pass]) -> tuple[Pass, ...]:
    given = () if isinstance(items, str | Pass) else tuple(items)
    wrong = [items] if isinstance(items, str | Pass) else [item for item in given if not isinstance(item, Pass)]
    if wrong:
        made = f"PassManager.parse({wrong[0]!r})" if isinstance(wrong[0], str) else "PassManager([MyPass()])"
        raise UsageError(f"A pass manager takes passes, and {wrong[0]!r} is none; write {made}.")
    for item in given:
        for sentence in mistakes(type(item)):
            raise UsageError(sentence)
    return given


def _as_instruments(items: Iterable[Instrument]) -> tuple[Instrument, ...]:
    given = tuple(items)
    for item in given:
        if not isinstance(item, Instrument):
            raise UsageError(f"A pass manager takes instruments, and {item!r} is none; write instruments=[Verify()].")
    return given


def _as_names(items: Iterable[str]) -> frozenset[str]:
    if isinstance(items, str):
        raise UsageError(f"The passes to disable are a list of names, as [{items!r}].")
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
        """The pass, with its options, that the module records as the writer of a column, if it is installed."""
        written = module.annotations.get(column)
        if written is None or written.by is None:
            return None
        return self.instance(module.passes[written.by])

    def instance(self, record: PassRecord) -> Pass | None:
        """The pass that a module records, with its options; None if it is not installed or has other options now."""
        own = (item for item in self.passes if (item.name(), item.text()) == (record.name, record.text))
        found = next(own, None)
        if found is not None:
            return found
        try:
            return pipeline.parse(record.text, self._known())[0]
        except UsageError:
            return None

    def run(self, module: Module, context: PassContext | None = None, *, fresh: bool = True) -> Module:
        """Run the resolved passes; the input is unchanged. A failing pass is named in a PassError.

        Where a pass of the pipeline changed what an annotation was computed from, the annotation is computed
        again, with the options it was recorded with, before the next pass that reads it. What is stale at the end
        is computed again too, unless `fresh` is false (then whoever shows the result calls the method `fresh`);
        what cannot be is a remark. A pass that is disabled does not run again either.
        """
        context, watch = context or PassContext(), Watch(self.instruments)
        plan = self.resolve(module)
        most = len(plan) if self.stop_after is None else self.stop_after
        skipped = [(item, "disabled") for item in self.passes if item.name() in self.disabled]
        skipped += [(item, f"stopped after {most}") for item in plan[most:]]
        with context.watched(watch), watch.open():
            watch.tell("joined", self.instruments, self.registry)
            watch.tell("planned", plan[:most])
            for item, reason in skipped:
                watch.tell("skipped", item, reason)
            return self._run(context, watch, self.stop_after).all(plan, module, fresh=fresh)

    def _run(self, context: PassContext, watch: Watch, most: int | None = None) -> Run:
        return Run(context, watch, self._recorded, self.insert, self.disabled, most)

    def fresh(self, module: Module, names: Iterable[str] | None = None, context: PassContext | None = None) -> Module:
        """A module in which none of these annotations (default: any) is stale.

        The producer of a stale one runs again, once, with its recorded options, after those of what it reads;
        without `insert` that is a UsageError. What consumes a module (a printer) calls this for what it shows.
        What cannot be computed again, since its pass is not installed or disabled, stays stale.
        """
        names = tuple(module.annotations) if names is None else tuple(names)
        context, watch = context or PassContext(), Watch(self.instruments)
        with context.watched(watch):
            return self._run(context, watch).fresh(module, names)

    def reports(self, module: Module) -> dict[str, Report]:
        """The reports of the passes that ran over `module`, inserted ones included, by name.

        A text may record passes that are not installed (or other versions of them), and hold a part of their
        columns; nothing is reported for these.
        """
        out: dict[str, Report] = {}
        for record in {record.name: record for record in module.passes}.values():
            item = self.instance(record)
            if item is None:
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


__all__ = ["PassManager"]
