"""What passes have to say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import attrs

from traceir.ir import Module
from traceir.passing.base import Pass
from traceir.passing.context import PassContext, Remark
from traceir.passing.instrument import Instrument, Timing
from traceir.passing.options import option


@attrs.define(eq=False)
class Remarks(Instrument):
    """Print what passes have to say of what they did or did not do.

    The same sentence stands there once, with its count and the first event concerned.
    """

    kind: Literal["all", "note", "missed"] = option("all", help="Which remarks: notes, what was missed, or all.")
    most: int = option(50, help="The most lines; what is left out is counted.", least=0)
    _context: PassContext | None = attrs.field(default=None, init=False, repr=False)
    _ends: list[int] = attrs.field(factory=list, init=False, repr=False)
    _said: int = attrs.field(default=0, init=False, repr=False)

    def begin(self, module: Module, context: PassContext) -> None:
        """Remember where remarks are collected."""
        if context is not self._context:
            self._context, self._said = context, 0
        self._ends = [len(context.remarks)]

    def after(self, item: Pass, before: Module, after: Module, timing: Timing) -> None:
        """Note where the pass's remarks end."""
        self._ends.append(len(self._all()))

    def failed(self, item: Pass, module: Module, error: Exception) -> None:
        """Note where the remarks end that the pass made before it failed."""
        self._ends.append(len(self._all()))

    def closed(self) -> None:
        """Print the remarks, whether the run has ended or failed."""
        groups = _grouped([remark for remark in self._all()[self._said :] if self.kind in ("all", remark.kind)])
        for one in groups[: self.most]:
            where = f" (%{one['event']})" if one["event"] is not None else ""
            times = f" ×{one['count']}" if one["count"] > 1 else ""
            print(f"{one['pass']}: {one['kind']}: {one['message']}{where}{times}", file=self.out)
        if len(groups) > self.most:
            print(f"… and {len(groups) - self.most} further remarks", file=self.out)
        self._said = len(self._all())

    def figures(self) -> Sequence[Mapping[str, Any]]:
        """The remarks of each pass, grouped by sentence."""
        spans = zip(self._ends, self._ends[1:], strict=False)
        return [{"remarks": _grouped(self._all()[low:high])} for low, high in spans]

    def _all(self) -> list[Remark]:
        return self._context.remarks if self._context is not None else []


def _grouped(remarks: Sequence[Remark]) -> list[dict[str, Any]]:
    counts = Counter((remark.source, remark.kind, remark.message) for remark in remarks)
    first = {(remark.source, remark.kind, remark.message): remark.event for remark in reversed(remarks)}
    return [
        {"pass": key[0], "kind": key[1], "message": key[2], "event": first[key], "count": count}
        for key, count in counts.items()
    ]


__all__ = ["Remarks"]
