"""Launch queues: how deep they are over time, how long launches take to arrive, and what the calls cost."""

from __future__ import annotations

import attrs
import numpy as np

from traceir.ir import Array, Ints, Mask, Module
from traceir_passes.gaps.find import grouped
from traceir_passes.gaps.keyed import running

FULL = 1_024
"""Depth from which on a launch queue may be full, so that launch calls wait: what the drivers' queues hold."""


@attrs.frozen(eq=False)
class Depths:
    """The queue depth of groups of lanes over time, in order of (group, time).

    From `at[i]` to the next entry of the group, `depth[i]` kernels were launched and had not begun.
    """

    group: Ints
    at: Ints
    depth: Ints

    @classmethod
    def of(cls, module: Module, group: Array) -> Depths:
        """The depth by `group`, a number for each event: +n where a launch of n kernels begins, -1 where each begins.

        Kernels without a launch in the trace are left out: when they were enqueued nobody knows. A kernel that begins
        before its launch (clocks that disagree) is never queued. At one instant launches come first. O(n log n).
        """
        rows = np.flatnonzero(module.work & module.is_kind("dev.kernel", "dev.graph") & (module.launch >= 0))
        begin, mine = module["ts"][rows], np.asarray(group, np.int64)[rows]
        asked = np.minimum(module["ts"][module.launch[rows]], begin)
        both, at = np.concatenate([mine, mine]), np.concatenate([asked, begin])
        change = np.repeat(np.array([1, -1]), len(rows))
        order = np.lexsort((-change, at, both))
        # The changes of each group sum to 0, so that one running sum does for all.
        return cls(both[order], at[order], np.cumsum(change[order]))

    def greatest(self) -> dict[int, int]:
        """The greatest depth of each group that launched anything."""
        return {number: int(self.depth[at].max()) for number, at in grouped(self.group).items()}

    def steps(self) -> Depths:
        """The same with one entry for each instant at which the depth becomes another: the last at that instant."""
        last = np.append((self.group[1:] != self.group[:-1]) | (self.at[1:] != self.at[:-1]), True)[: len(self.at)]
        group, at, depth = self.group[last], self.at[last], self.depth[last]
        new = np.append(True, (group[1:] != group[:-1]) | (depth[1:] != depth[:-1]))[: len(at)]
        return Depths(group[new], at[new], depth[new])


def latencies(module: Module) -> tuple[Array, Ints]:
    """Kernels whose lane had nothing left to do when their launch call began, and the time from there to their start.

    With work queued the same difference is the length of the queue, and no latency; so it is for all rows of a graph
    but the first. What a lane did before its first row is taken for nothing, and a wait for another stream for none:
    lanes that wait for others often arrive late without a slow launch. O(n log n).
    """
    work = np.flatnonzero(module.work)
    work = work[np.argsort(module["lane"][work], kind="stable")]
    lane = module["lane"][work].astype(np.int64)
    reach = running(lane, module.end[work])
    first = np.append(True, lane[1:] != lane[:-1])[: len(work)]
    before = np.where(first, np.iinfo(np.int64).min, np.append(0, reach[:-1])[: len(work)])
    launch = module.launch[work]
    asked = module["ts"][launch]
    idle = (launch >= 0) & (asked >= before) & (asked <= module["ts"][work]) & module.is_kind("dev.kernel")[work]
    idle &= ~_later_of_launch(module, work, launch)
    return work[idle], (module["ts"][work] - asked)[idle]


def _later_of_launch(module: Module, work: Array, launch: Array) -> Mask:
    """Which rows begin after another row of the same launch."""
    start = module["ts"][work]
    earliest = np.full(len(module) + 1, np.iinfo(np.int64).max)
    np.minimum.at(earliest, launch, start)
    return np.asarray(start > earliest[launch])


def typical(times: Ints) -> tuple[int, int]:
    """Median and 90th percentile of some times, to the ns."""
    median, high = np.quantile(times, [0.5, 0.9]).tolist()
    return round(median), round(high)
