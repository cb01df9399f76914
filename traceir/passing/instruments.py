"""The instruments that come with traceir: verify, timing, remarks. They compose; each does one thing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TextIO

import attrs

from traceir.errors import PassError
from traceir.ir import Module
from traceir.ir.verify import Cache, Violation, verify
from traceir.passing.base import Pass
from traceir.passing.context import PassContext
from traceir.passing.manager import Instrument, Timing


@attrs.define(eq=False)
class Verify(Instrument):
    """Runs the verifier on the input and after each pass (or at the end), and fails the pass that broke a rule.

    Rules of level `error` raise a PassError that names the pass, the rule and the first event. What the input
    itself breaks is raised before any pass runs. Warnings and infos are collected in `violations`: those of the last
    module seen. Columns that a pass did not touch are not checked again.
    """

    each: bool = True
    rules: Iterable[str] | None = None
    slack_ns: int = 0
    violations: tuple[Violation, ...] = attrs.field(default=(), init=False)
    _cache: Cache = attrs.field(factory=dict, init=False, repr=False)

    def begin(self, module: Module, context: PassContext) -> None:
        """Check the input, so that no pass is blamed for it."""
        self._check(module, "The input breaks")

    def after(self, item: Pass, before: Module, after: Module, timing: Timing) -> None:
        """Check what the pass made."""
        if self.each:
            self._check(after, f"The pass {item.name()} breaks")

    def end(self, module: Module) -> None:
        """Check the final module."""
        self._check(module, "The pipeline breaks")

    def _check(self, module: Module, who: str) -> None:
        self.violations = verify(module, self.rules, slack_ns=self.slack_ns, cache=self._cache)
        for found in self.violations:
            if found.level == "error":
                raise PassError(f"{who} the rule {found}{_where(module, found)}")


def _where(module: Module, found: Violation) -> str:
    """The first event concerned, as text; nothing if the module is too broken to show it."""
    if found.first is None:
        return ""
    try:
        return f" The first is {module.event(module.row_of(found.first))}."
    except (KeyError, IndexError):
        return f" The first is %{found.first}."


@attrs.define(eq=False)
class TimingReport(Instrument):
    """Writes a table of what each pass cost: wall and CPU time, events per second, MB of new columns.

    Nothing is written before the end of the run (or the failure that ends it), so the table is in one piece.
    """

    stream: TextIO
    rows: list[tuple[str, Timing]] = attrs.field(factory=list, init=False)

    def begin(self, module: Module, context: PassContext) -> None:
        """Start a new table."""
        self.rows.clear()

    def after(self, item: Pass, before: Module, after: Module, timing: Timing) -> None:
        """Note a pass."""
        self.rows.append((item.text(), timing))

    def failed(self, item: Pass, module: Module, error: Exception) -> None:
        """Write what ran before the failure."""
        self._write(f"{item.name()} failed")

    def end(self, module: Module) -> None:
        """Write the table."""
        self._write("")

    def _write(self, note: str) -> None:
        width = max((len(text) for text, _ in self.rows), default=0)
        width = max(width, len("total"), len("pass"))
        total = sum(timing.wall_s for _, timing in self.rows)
        print(
            f"{'pass':{width}}  {'wall':>10}  {'share':>6}  {'CPU':>10}  {'events/s':>12}  {'new':>10}",
            file=self.stream,
        )
        for text, timing in self.rows:
            print(f"{text:{width}}  {_costs(timing, total)}", file=self.stream)
        events = max((timing.events for _, timing in self.rows), default=0)
        cpu, new = sum(t.cpu_s for _, t in self.rows), sum(t.new_bytes for _, t in self.rows)
        print(f"{'total':{width}}  {_costs(Timing(total, cpu, events, new), total)}", file=self.stream)
        if note:
            print(note, file=self.stream)


def _costs(timing: Timing, total: float) -> str:
    share = f"{100 * timing.wall_s / total:.1f} %" if total > 0 else "-"
    speed = f"{timing.events / timing.wall_s:,.0f}".replace(",", " ") if timing.wall_s > 0 else "-"
    wall, cpu = f"{1000 * timing.wall_s:.1f} ms", f"{1000 * timing.cpu_s:.1f} ms"
    return f"{wall:>10}  {share:>6}  {cpu:>10}  {speed:>12}  {timing.new_bytes / 1e6:>7.2f} MB"


@attrs.define(eq=False)
class Remarks(Instrument):
    """Writes what passes had to say of what they did or did not do, the same sentence once with its count.

    `kind` chooses `note` or `missed` remarks; `most` bounds the lines, and what is left out is counted.
    """

    stream: TextIO
    kind: str | None = None
    most: int = 50
    _context: PassContext | None = attrs.field(default=None, init=False, repr=False)

    def begin(self, module: Module, context: PassContext) -> None:
        """Remember where remarks are collected."""
        self._context = context

    def failed(self, item: Pass, module: Module, error: Exception) -> None:
        """Write the remarks made before the failure."""
        self.end(module)

    def end(self, module: Module) -> None:
        """Write the remarks."""
        remarks = self._context.remarks if self._context is not None else []
        chosen = [remark for remark in remarks if self.kind in (None, remark.kind)]
        counts = Counter((remark.source, remark.kind, remark.message) for remark in chosen)
        first = {(r.source, r.kind, r.message): r.event for r in reversed(chosen)}
        for key, count in list(counts.items())[: self.most]:
            source, kind, message = key
            where = f" (%{first[key]})" if first[key] is not None else ""
            times = f" ×{count}" if count > 1 else ""
            print(f"{source}: {kind}: {message}{where}{times}", file=self.stream)
        if len(counts) > self.most:
            print(f"… and {len(counts) - self.most} further remarks", file=self.stream)
