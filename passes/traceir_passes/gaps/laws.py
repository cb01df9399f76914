"""The laws of the table of gaps, and gaps that no step could have."""

from __future__ import annotations

import numpy as np

import traceir as tir
from traceir import units
from traceir.ir import GroupedSpans, Ints, Module
from traceir_passes.gaps.build import by_device, by_lane
from traceir_passes.gaps.notes import LEVELS
from traceir_passes.gaps.report import DOUBTFUL
from traceir_passes.gaps.rules import CLASSES


def broken(module: Module) -> list[str]:
    """The laws that `table:gaps` breaks, a sentence each; none if all hold."""
    out = []
    dur, known = module["gaps.dur"], module["gaps.host"] != tir.NULL_I64
    if (dur <= 0).any():
        out.append("a gap has to be at least 1 ns long.")
    parts: Ints = (module["gaps.host"] + module["gaps.call"] + module["gaps.post"])[known]
    if (parts != dur[known]).any():
        out.append("the parts of a gap have to make the gap.")
    found = [(f"device {number}", line) for number, line in by_device(module)]
    found += [(f"lane {module.lanes[which].name}", line) for which, line in by_lane(module)]
    for name, line in found:
        idle = int(dur[line.gaps].sum())
        if line.busy + idle != line.span:
            out.append(f"{line.busy} ns busy and {idle} ns of gaps do not make the {line.span} ns of {name}.")
    return out


def holes(module: Module, times: int, blocked: float) -> list[tir.Finding]:
    """A finding for gaps that no step could have: work there was probably not recorded.

    Those are gaps without a cause on the host, or through most of which the host itself was blocked, that are
    longer than `times` times what the median step keeps the device busy. Without steps there is none.
    """
    if not module.has_tree("steps"):
        return []
    step = module.tree("steps").at("step")
    rows = np.flatnonzero(module.work & (step >= 0))
    if not len(rows):
        return []
    regions, owner = np.unique(step[rows], return_inverse=True)
    busy = GroupedSpans.of(owner, module["ts"][rows], module.end[rows], len(regions)).lengths
    limit = times * int(np.median(busy))
    kind, dur = module["gaps.class"], module["gaps.dur"]
    stuck = (kind == CLASSES.index("host_sync")) & (module["gaps.host"] >= blocked * dur)
    odd = stuck | np.isin(kind, [CLASSES.index(name) for name in DOUBTFUL])
    gaps = np.flatnonzero((module["gaps.level"] == LEVELS.index("device")) & (dur > limit) & odd)
    if not len(gaps):
        return []
    longest = int(gaps[np.argmax(dur[gaps])])
    number, verb = ("A gap", "exceeds") if len(gaps) == 1 else (f"{len(gaps)} gaps", "exceed")
    message = (
        f"{number} of up to {units.time(int(dur[longest]))}, which the host does not explain or sat blocked through, "
        f"{verb} {times} median steps: work there was probably not recorded; record whole steps."
    )
    first = int(module["id"][module["gaps.next"][gaps[0]]])
    return [
        tir.Finding(
            "hole",
            "warning",
            len(gaps),
            message,
            first,
            ("gaps.idle_ns", "overlap.idle_ns", "sync.total", "module.span_ns"),
        )
    ]
