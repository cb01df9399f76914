"""The pass `restore`: the times that the source recorded, back in their place."""

from __future__ import annotations

import attrs

import traceir as tir
from traceir_passes.dead_gaps import GAPS, INTERVALS, WRITES, source_times


@attrs.frozen
class Restore(tir.Pass):
    """Put the times back that the source recorded.

    The inverse of `dead-gaps`: `ts` and `dur` are again what `src.ts` and `src.dur` kept, which go, and so does what
    was noted of the removed time. The module is then the one before `dead-gaps`, column by column; what was computed
    from the times in between is computed again. In a module whose times are the source's nothing happens. O(1).
    """

    uses = ("src.ts", "src.dur")
    drops = tuple(annotation.name for annotation in WRITES)
    annotates = False

    def run(self, module: tir.Module, context: tir.PassContext) -> tir.Module:
        """The module with the old columns in the place of the new ones."""
        source_times(module)  # refuses a module that has only one of the two
        if "src.ts" not in module:
            context.remark(self.name(), "Nothing was put back: the times are those of the source.", kind="missed")
            return module
        event = module.tables["event"]
        columns = {**event.columns, "ts": event.columns["src.ts"], "dur": event.columns["src.dur"]}
        for name in ("src.ts", "src.dur"):
            del columns[name]
        noted = {f"table:{INTERVALS}", f"table:{GAPS}"}
        tables = {name: table for name, table in module.tables.items() if name not in noted or not table.columns}
        return attrs.evolve(module, tables={**tables, "event": attrs.evolve(event, columns=columns)})

    def check(self, module: tir.Module) -> list[str]:
        """Nothing of the other times is left."""
        return [f"the column {name} has to be gone." for name in self.drops if name in module]
