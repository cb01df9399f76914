"""The figures that passes report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from traceir.ir import Module
from traceir.passing.base import Pass
from traceir.passing.context import PassContext
from traceir.passing.instrument import Instrument, Timing
from traceir.passing.promises import report_of
from traceir.passing.report import Fact, headline_of, to_json


@attrs.define(eq=False)
class Statistics(Instrument):
    """Print the figures that each pass reports, and what it counted.

    A line for each instance that ran, inserted ones too. The figures are the headline of the pass's report; counts are
    those made by `PassContext.count`.
    """

    rows: list[tuple[str, tuple[Fact, ...], dict[str, int]]] = attrs.field(factory=list, init=False)
    _context: PassContext | None = attrs.field(default=None, init=False, repr=False)
    _counted: dict[tuple[str, str], int] = attrs.field(factory=dict, init=False, repr=False)

    def begin(self, module: Module, context: PassContext) -> None:
        """Start anew."""
        self.rows.clear()
        self._context, self._counted = context, dict(context.counts)

    def after(self, item: Pass, before: Module, after: Module, timing: Timing) -> None:
        """Note the figures of a pass."""
        report = report_of(item, after)
        facts = tuple(headline_of(item.name(), report)) if report is not None else ()
        now = dict(self._context.counts) if self._context is not None else {}
        counts: Counter[str] = Counter()
        for (who, what), number in now.items():  # a pass may count in the name of what it is made of
            counts[what if who == item.name() else f"{who}: {what}"] += number - self._counted.get((who, what), 0)
        self._counted = now
        self.rows.append((item.text(), facts, {what: n for what, n in counts.items() if n}))

    def closed(self) -> None:
        """Print the figures, a line for each pass that ran."""
        for text, facts, counts in self.rows:
            parts = [_said(fact) for fact in facts] + [f"{what} {number}" for what, number in counts.items()]
            print(f"{text}: {', '.join(parts) or 'no figures'}", file=self.out)

    def figures(self) -> Sequence[Mapping[str, Any]]:
        """The facts and counts of each pass."""
        return [{"statistics": to_json(facts), "counts": counts} for _, facts, counts in self.rows]


def _said(fact: Fact) -> str:
    if fact.value is None:
        return f"{fact.label} unknown{f' ({fact.note})' if fact.note else ''}"
    if fact.unit == "share" and isinstance(fact.value, int | float):
        return f"{fact.label} {100 * fact.value:.1f} %{f' of {fact.of}' if fact.of else ''}"
    return f"{fact.label} {fact.value}{'' if fact.unit in ('count', 'text') else f' {fact.unit}'}"


__all__ = ["Statistics"]
