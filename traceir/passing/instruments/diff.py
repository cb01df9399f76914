"""What each pass changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from traceir.ir import Module
from traceir.passing.base import Pass
from traceir.passing.changes import Changes, lines
from traceir.passing.context import PassContext
from traceir.passing.instrument import Instrument, Timing
from traceir.passing.options import option
from traceir.passing.report import to_json


@attrs.define(eq=False)
class Diff(Instrument):
    """Print what each pass changed.

    Columns added (+), changed (~) and gone (-), with the first cells; regions; removed events. `no change` is printed
    exactly if every column is the one it was, which needs no comparison of values.
    """

    most: int = option(3, help="The most cells of a column that are shown.", least=0)
    rows: list[tuple[str, Changes]] = attrs.field(factory=list, init=False)

    def begin(self, module: Module, context: PassContext) -> None:
        """Start anew."""
        self.rows.clear()

    def after(self, item: Pass, before: Module, after: Module, timing: Timing) -> None:
        """Compare, and print."""
        changes = Changes.between(before, after, self.most)
        self.rows.append((item.text(), changes))
        print(f"diff {item.text()}", file=self.out)
        for line in lines(changes):
            print(f"  {line}", file=self.out)

    def figures(self) -> Sequence[Mapping[str, Any]]:
        """The changes of each pass."""
        return [{"diff": to_json(changes)} for _, changes in self.rows]


__all__ = ["Diff"]
