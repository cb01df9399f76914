"""The report of `what-if`, made from the columns and tables of a module that it has run over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

import traceir as tir
from traceir import units
from traceir.ir import Module
from traceir_passes.replay import CLASSES, in_doubt, signed

CASES: Final = ("measured", "unchanged", "kept", "dropped")
"""As measured; the unchanged graph without what is unexplained; the edited graph with that and without."""
TABLE: Final = "table:what_if"
EDITS: Final = "table:what_if_edits"
_FEW: Final = 6


@attrs.frozen(kw_only=True)
class EditDone:
    """One edit, how many events it changed, and what it had to assume."""

    text: str
    events: int
    note: str | None


@attrs.frozen(kw_only=True)
class Range:
    """A predicted time: what is unexplained taken to stay (`kept_ns`) or to vanish (`dropped_ns`), and as measured.

    `kept_share` and `dropped_share` are what is saved of the measured time; null where that is unknown or 0.
    """

    measured_ns: int | None
    kept_ns: int | None
    dropped_ns: int | None
    kept_share: float | None
    dropped_share: float | None


@attrs.frozen(kw_only=True)
class Unchanged:
    """The replay of the unchanged graph without what is unexplained, and how much of the span that is."""

    span_ns: int
    error_ns: int
    error_share: float | None
    unexplained_ns: int
    unexplained_share: float | None


@attrs.frozen(kw_only=True)
class WhatIfReport(tir.Report):
    """What the edits would give, with bounds, the new critical path by class, and what the answer is worth."""

    edits: tuple[EditDone, ...]
    span: Range
    step: Range
    pitch: Range
    path: dict[str, int]
    path_before: dict[str, int]
    unchanged: Unchanged
    reliable: bool
    reason: str | None

    def headline(self) -> Sequence[tir.Fact]:
        """The answer, and the error of replaying the unchanged graph, always."""
        facts = []
        if self.edits:
            note = "" if self.reliable else "unreliable"
            facts.append(tir.Fact("span after the edits", _range(self.span), "text", note=note))
        facts.append(tir.Fact("unchanged replay", signed(self.unchanged.error_share), "text", of="span"))
        return facts

    def blocks(self) -> Sequence[tir.Block]:
        """Predicted times, then the critical path before and after."""
        error = f"unchanged replay without the unexplained: {signed(self.unchanged.error_share)} of the span"
        note = error if self.reliable else f"unreliable: {self.reason}; {error}"
        note = "; ".join([*(item.text for item in self.edits), note])
        named = (("span", self.span), ("step", self.step), ("step to step", self.pitch))
        some = [(name, item) for name, item in named if item.measured_ns is not None]
        if not self.edits:
            errors = tuple((name, _time(item.measured_ns), _time(item.dropped_ns), _error(item)) for name, item in some)
            return (tir.Block("what if nothing changed", ("time", "measured", "replayed", "error"), errors, note),)
        times = tuple((name, _time(item.measured_ns), _range(item), _saved(item)) for name, item in some)
        out = [tir.Block("what if", ("time", "measured", "predicted", "saved"), times, note)]
        done = tuple((item.text, units.count(item.events), item.note or "") for item in self.edits)
        out.append(tir.Block("edits", ("edit", "events", "assumed"), done, detail=True))
        whole, before = self.span.kept_ns or 0, self.span.measured_ns or 0
        names = sorted(self.path, key=lambda name: (-self.path[name], -self.path_before[name]))
        rows = tuple(
            (
                name,
                units.time(self.path_before[name]), units.share(self.path_before[name], before),
                units.time(self.path[name]), units.share(self.path[name], whole),
            )
            for name in names
            if self.path[name] or self.path_before[name]
        )  # fmt: skip
        columns = ("critical path", "measured", "of span", "predicted", "of span")
        out.append(tir.Block("critical path after the edits", columns, rows, detail=True))
        return out


def _time(ns: int | None) -> str:
    return "unknown" if ns is None else units.time(ns)


def _range(item: Range) -> str:
    """Both bounds, the smaller first; one where they read the same."""
    some = sorted(ns for ns in (item.kept_ns, item.dropped_ns) if ns is not None)
    texts = list(dict.fromkeys(units.time(ns) for ns in some))
    return " to ".join(texts) or "unknown"


def _saved(item: Range) -> str:
    some = sorted(share for share in (item.kept_share, item.dropped_share) if share is not None)
    texts = list(dict.fromkeys(f"{100 * share:.1f} %" for share in some))
    return " to ".join(texts) or "–"


def _error(item: Range) -> str:
    """What the replay without the unexplained misses the measured time by."""
    return "–" if item.dropped_share is None else signed(-item.dropped_share)


def _ns(value: int) -> int | None:
    return None if value == tir.NULL_I64 else int(value)


def _measure(module: Module, name: str) -> Range:
    measured, _, kept, dropped = (_ns(value) for value in module[f"what-if.{name}"].tolist())

    def saved(ns: int | None) -> float | None:
        return (measured - ns) / measured if ns is not None and measured else None

    return Range(
        measured_ns=measured, kept_ns=kept, dropped_ns=dropped, kept_share=saved(kept), dropped_share=saved(dropped)
    )


def _unchanged(module: Module) -> Unchanged:
    span, replayed, _, _ = module["what-if.span"].tolist()
    lost = int(module["what-if.unexplained_ns"][CASES.index("measured")])
    return Unchanged(
        span_ns=replayed,
        error_ns=replayed - span,
        error_share=(replayed - span) / span if span else None,
        unexplained_ns=lost,
        unexplained_share=lost / span if span else None,
    )


def doubt(module: Module, limit: float) -> str | None:
    """Why the answer is unreliable; None if it is not."""
    found = _unchanged(module)
    if found.unexplained_share is not None and found.unexplained_share > limit:
        return (
            f"nothing in the trace explains {units.time(found.unexplained_ns)} of the critical path, "
            f"{100 * found.unexplained_share:.1f} % of the span"
        )
    if found.error_share is not None and abs(found.error_share) > limit:
        return f"the replay of the unchanged trace misses its span by {signed(found.error_share)}"
    return in_doubt(module) if found.error_share is not None else None


def build(module: Module, limit: float) -> WhatIfReport:
    """The report of a module that `what-if` has run over."""
    texts, notes = module.text("what-if.text"), module.text("what-if.note")
    counts = module["what-if.events"].tolist()
    reason = doubt(module, limit)
    before, after = (
        {name: int(module[f"what-if.{name}_ns"][CASES.index(case)]) for name in CLASSES}
        for case in ("measured", "kept")
    )
    return WhatIfReport(
        edits=tuple(
            EditDone(text=text or "", events=count, note=note)
            for text, count, note in zip(texts, counts, notes, strict=True)
        ),
        span=_measure(module, "span"),
        step=_measure(module, "step"),
        pitch=_measure(module, "pitch"),
        path=after,
        path_before=before,
        unchanged=_unchanged(module),
        reliable=reason is None,
        reason=reason,
    )
