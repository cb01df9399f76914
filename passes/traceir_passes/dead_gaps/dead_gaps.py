"""The pass itself: takes dead time out of a module, and keeps the times that the source recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Column, Module
from traceir_passes.dead_gaps import report as reports
from traceir_passes.dead_gaps.columns import DOUBTS, GAPS, INTERVALS, WRITES, written
from traceir_passes.dead_gaps.doubts import covering
from traceir_passes.dead_gaps.joint import at_work, closed_up, judge
from traceir_passes.dead_gaps.laws import broken
from traceir_passes.dead_gaps.timemap import TimeMap, source_times
from traceir_passes.gaps.confirm import check_pattern

Removable = Literal["host_late", "launch_latency", "host_sync", "after_sync", "graph_internal", "queue_latency"]


@attrs.frozen
class DeadGaps(tir.Pass):
    """Close up the idle time that is proved dead on every device.

    A device's gap is dead if its class is in `classes`, no counter of the device's activity contradicts that, and no
    finding of the trace's health covers it. Time is taken out where it is dead on all devices at once: of no device
    any work is touched, so each event of a device keeps its duration, its order and what it overlaps. All other
    events are moved along and may become empty. The times of the source stay as `src.ts` and `src.dur`, from which
    `restore` puts them back. What is gained is an upper bound of what an infinitely fast host would gain.
    """

    classes: tuple[Removable, ...] = tir.option(
        ("host_late", "launch_latency", "host_sync", "after_sync"),
        help="Causes of gaps that are removed. The other two are what the hardware takes; work that was waited for and "
        "time that nothing explains are never removed.",
    )
    keep: tir.Duration = tir.option(
        0,
        least=0,
        help="What stays of each gap: no device starts one kernel at the instant at which another ends. The report "
        "says what this one takes between kernels that were queued.",
    )
    despite: tuple[str, ...] = tir.option(
        (), help="Codes of health findings that are let pass though they leave gaps in doubt, such as sampled."
    )
    utilisation: str = tir.option(
        r"utili[sz]ation|sms?.active|gpu.busy|gr.active", help="What counters of a device's activity are called "
        "(regular expression); where one reads more than 0 the device was not idle."
    )  # fmt: skip

    reads = (
        "id", "ts", "dur", "kind", "name", "lane", "live", "gaps.level", "gaps.device", "gaps.start", "gaps.dur",
        "gaps.class", "gaps.host", "gaps.prev", "gaps.next",
    )  # fmt: skip
    uses = ("tree.steps", "args")
    writes = WRITES
    annotates = False

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        check_pattern(self, self.utilisation)

    def run(self, module: tir.Module, context: tir.PassContext) -> tir.Module:
        """Write new times, keep the old ones, and note what was removed. O(n log n) for each device."""
        earlier = _earlier(module)
        judged = judge(module, self.classes, self.despite, self.utilisation)
        found = closed_up(module, judged, self.keep, earlier)
        in_doubt = bool((judged.doubt == DOUBTS.index("health")).any())
        for finding in covering(module, self.despite) if in_doubt else ():
            context.remark(
                self.name(),
                f"No gap is taken for dead, since the finding {finding.code} leaves all of them in doubt; if you know "
                f"better, write 'dead-gaps{{despite={finding.code}}}'.",
                kind="missed",
            )
        start, end = source_times(module)
        moved = found.at(start)
        module = _shared(module, {"src.ts": "ts", "src.dur": "dur"}) if "src.ts" not in module else module
        module = module.with_columns({"ts": moved, "dur": found.at(end) - moved})
        module = module.with_table(
            INTERVALS,
            {"dead-gaps.start": found.start, "dead-gaps.dur": found.dur, "dead-gaps.class": found.kind},
        )
        return module.with_table(GAPS, judged.columns())

    def report(self, module: tir.Module) -> reports.DeadGapsReport:
        """What was removed and what each device would gain alone."""
        return reports.build(module, self.classes, self.keep)

    def check(self, module: tir.Module) -> list[str]:
        """What was removed is the difference of the spans, and no work of a device was touched."""
        return broken(module)


def _shared(module: Module, copies: Mapping[str, str]) -> Module:
    """The module with event columns that are the very columns of another name: what is bound to these stays bound."""
    event = module.tables["event"]
    same: dict[str, Column] = {new: event.columns[old] for new, old in copies.items()}
    event = attrs.evolve(event, columns={**event.columns, **same})
    return attrs.evolve(module, tables={**module.tables, "event": event})


def _earlier(module: Module) -> TimeMap:
    """What earlier runs removed; PassError where the times are no longer those that they left."""
    start, end = source_times(module)
    if "src.ts" not in module:
        return TimeMap.read(module)
    if not written(module):
        raise tir.PassError(
            "The module was closed up before, and it does not say where; put the times back with restore first."
        )
    found = TimeMap.read(module)
    moved = found.at(start)
    same = np.array_equal(moved, module["ts"]) and np.array_equal(found.at(end) - moved, module["dur"])
    revived = any(busy.covered(found.start, found.start + found.dur).any() for _, busy in at_work(module).values())
    if revived or not same:
        raise tir.PassError(
            "The module was closed up before and has changed since, in its times or in what is removed; put the times "
            "back with restore first."
        )
    return found
