"""The verifier as an instrument."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import attrs

from traceir.errors import PassError, UsageError
from traceir.ir import Module
from traceir.ir.verify import Cache, Violation, rule_names, verify
from traceir.passing.base import Pass
from traceir.passing.context import PassContext
from traceir.passing.instrument import Instrument
from traceir.passing.options import Duration, option
from traceir.registry import nearest


@attrs.define(eq=False)
class Verify(Instrument):
    """Check the rules of the IR on the input and after each pass.

    Rules of level `error` raise a PassError that names the pass, the rule and the first event. What the input
    itself breaks is raised before any pass runs. Real traces break rules of level `warning` by themselves; a pass
    after which one is broken in more places than before raises too. Warnings and infos are collected in `violations`:
    those of the last module seen. Columns that a pass did not touch are not checked again, so most passes cost nothing.
    """

    when: Literal["each", "end"] = option("each", help="After each pass, or only at the end.")
    rules: tuple[str, ...] = option((), help="The rules to check, by id or name; default: all.")
    slack_ns: Duration = option(0, help="Let times overhang by so much without a word.", least=0)  # noqa: RUF009
    most_events: int | None = option(None, help="Check only modules of at most so many events; default: all.", least=0)
    violations: tuple[Violation, ...] = attrs.field(default=(), init=False)
    _warned: Counter[str] | None = attrs.field(default=None, init=False, repr=False)
    _cache: Cache = attrs.field(factory=dict, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        known = dict.fromkeys(sorted(rule_names()))
        for name in self.rules:
            if name not in known:
                raise UsageError(f"There is no verifier rule {name!r}{nearest(name, known)}.")

    def begin(self, module: Module, context: PassContext) -> None:
        """Check the input, so that no pass is blamed for it."""
        self._warned = None
        self._check(module, "The input breaks")

    def check(self, item: Pass, before: Module, after: Module) -> None:
        """Check what the pass made."""
        if self.when == "each":
            self._check(after, f"The pass {item.name()} breaks")

    def end(self, module: Module) -> None:
        """Check the final module."""
        self._check(module, "The pipeline breaks")

    def _check(self, module: Module, who: str) -> None:
        if self.most_events is not None and len(module) > self.most_events:
            return
        self.violations = verify(module, self.rules or None, slack_ns=self.slack_ns, cache=self._cache)
        for found in self.violations:
            if found.level == "error":
                raise PassError(f"{who} the rule {found}{_where(module, found)}", event=found.first)
        warned = Counter({one.rule: one.count for one in self.violations if one.level == "warning"})
        if self._warned is not None:
            for found in self.violations:
                more = warned[found.rule] - self._warned[found.rule]
                if more > 0:
                    places = f"in {more} more places" if more > 1 else "in one more place"
                    raise PassError(f"{who} the rule {places}: {found}{_where(module, found)}", event=found.first)
        self._warned = warned


def _where(module: Module, found: Violation) -> str:
    """The first event concerned, as text; nothing if the module is too broken to show it."""
    if found.first is None:
        return ""
    try:
        return f" The first is {module.event(module.row_of(found.first))}."
    except (KeyError, IndexError):
        return f" The first is %{found.first}."


__all__ = ["Verify"]
