"""What passes and analyses cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from traceir.ir import Module
from traceir.passing.base import Pass
from traceir.passing.context import PassContext
from traceir.passing.instrument import Instrument, Timing


@attrs.define
class _Row:
    text: str
    timing: Timing | None
    analyses: list[tuple[str, Timing | None]]


@attrs.define(eq=False)
class TimingTree(Instrument):
    """Print what each pass cost, and below it each analysis that it got.

    Analyses are marked `(A)`. Columns: wall time with its share, CPU time, events per second of wall time, MB of new
    columns. The time of a pass includes that of the analyses that were computed for it; one kept from before is
    `kept`. Nothing is printed before the end of the run (or the failure that ends it), so the table is in one
    piece.
    """

    rows: list[_Row] = attrs.field(factory=list, init=False)
    _note: str | None = attrs.field(default=None, init=False, repr=False)

    def begin(self, module: Module, context: PassContext) -> None:
        """Start a new table."""
        self.rows.clear()
        self._note = ""

    def before(self, item: Pass, module: Module) -> None:
        """Begin a row."""
        self.rows.append(_Row(item.text(), None, []))

    def analysis(self, name: str, timing: Timing | None) -> None:
        """Note an analysis below the pass that runs."""
        if self.rows:
            self.rows[-1].analyses.append((name, timing))

    def after(self, item: Pass, before: Module, after: Module, timing: Timing) -> None:
        """Note what the pass cost."""
        self.rows[-1].timing = timing

    def failed(self, item: Pass, module: Module, error: Exception) -> None:
        """Note which pass failed."""
        self._note = f"{item.name()} failed"

    def closed(self) -> None:
        """Print the table: what ran, be it all or not."""
        if self._note is not None:
            self._print(self._note)
            self._note = None

    def figures(self) -> Sequence[Mapping[str, Any]]:
        """Seconds, events, events per second, bytes of new columns, and analyses (null seconds if kept)."""
        return [
            {**_json(row.timing), "analyses": [{"analysis": name, **_json(cost)} for name, cost in row.analyses]}
            for row in self.rows
        ]

    def _print(self, note: str) -> None:
        done = [row for row in self.rows if row.timing is not None]
        lines = [(row.text, row.timing, row.analyses) for row in done if row.timing is not None]
        total = sum(timing.wall_s for _, timing, _ in lines)
        labels = [label for text, _, analyses in lines for label in (text, *(f"  (A) {name}" for name, _ in analyses))]
        width = max((len(label) for label in (*labels, "total", "pass")), default=0)
        head = f"{'pass':{width}}  {'wall':>10}  {'share':>6}  {'CPU':>10}  {'events/s':>12}  {'new':>10}"
        print(head, file=self.out)
        for text, timing, analyses in lines:
            print(f"{text:{width}}  {_costs(timing, total)}", file=self.out)
            for name, cost in analyses:
                costs = f"{'kept':>10}" if cost is None else _costs(cost, total)
                print(f"{f'  (A) {name}':{width}}  {costs}", file=self.out)
        events = max((timing.events for _, timing, _ in lines), default=0)
        cpu, new = sum(t.cpu_s for _, t, _ in lines), sum(t.new_bytes for _, t, _ in lines)
        print(f"{'total':{width}}  {_costs(Timing(total, cpu, events, new), total)}", file=self.out)
        if note:
            print(note, file=self.out)


def _costs(timing: Timing, total: float) -> str:
    share = f"{100 * timing.wall_s / total:.1f} %" if total > 0 else "-"
    speed = f"{timing.events_per_s:,.0f}".replace(",", " ") if timing.events_per_s is not None else "-"
    wall, cpu = f"{1000 * timing.wall_s:.1f} ms", f"{1000 * timing.cpu_s:.1f} ms"
    return f"{wall:>10}  {share:>6}  {cpu:>10}  {speed:>12}  {timing.new_bytes / 1e6:>7.2f} MB"


def _json(timing: Timing | None) -> dict[str, Any]:
    if timing is None:
        return {"wall_s": None, "cpu_s": None, "events": None, "events_per_s": None, "new_bytes": None}
    speed = None if timing.events_per_s is None else round(timing.events_per_s)
    return {**attrs.asdict(timing), "events_per_s": speed}


__all__ = ["TimingTree"]
