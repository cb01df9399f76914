"""When things happen: the host runs through its costs; device work starts when its launch, stream and waits allow."""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from traceir.synth.options import Decoder
from traceir.synth.program import Program
from traceir.synth.truth import CLASSES, DeviceWork, GapTruth

LAUNCH_NS = 4_200
"""From the begin of a launch call to the start of its work on an idle stream."""
GRAPH_NS = 24_000
"""The same for the first work of a graph."""
QUEUED_NS, REPLAYED_NS, JOINED_NS, RETURN_NS = 1_300, 700, 900, 8_000
"""Between queued kernels; between kernels of a replay; after a wait for another stream; until a sync returns."""


@attrs.frozen
class Times:
    """The instants of one written step: host instants, and starts and ends of device work, in ns since the base."""

    host: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]


@attrs.define
class Clock:
    """Carries host and device time from step to step."""

    options: Decoder
    host: int
    rng: np.random.RandomState
    """The old generator, because numpy promises that its numbers stay the same from version to version."""
    ready: list[int]
    """When each stream has done its work."""

    def run(self, program: Program, scale: int) -> Times:
        """Run one step.

        Device work is simulated one launch after the other, because each depends on those before it: a loop over
        the launches of a step (hundreds), not over its events.
        """
        costs = self._spread(np.array(program.costs, np.int64))
        host = self.host + np.cumsum(costs)
        base = np.array([launch.op.ns * (scale if launch.op.scales else 1) for launch in program.launches], np.int64)
        lasts = self._spread(base).tolist()
        gaps = self._spread(np.full(base.size, 1000, np.int64)).tolist()
        start: list[int] = []
        end: list[int] = []
        done = 0
        for sync in program.syncs:
            done = self._device(program, host, sync.launch + 1, done, lasts, gaps, start, end)
            wait = max(0, end[sync.launch] + RETURN_NS - int(host[sync.returns]))
            host[sync.returns :] += wait
        self._device(program, host, len(program.launches), done, lasts, gaps, start, end)
        self.host = int(host[-1])
        return Times(host, np.array(start, np.int64), np.array(end, np.int64))

    def _spread(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        if not self.options.jitter:
            return values
        thousandths = round(1000 * self.options.jitter)
        factor = self.rng.randint(1000 - thousandths, 1000 + 3 * thousandths + 1, values.size, np.int64)
        spread: NDArray[np.int64] = values * factor // 1000
        return spread

    def _device(
        self, program: Program, host: NDArray[np.int64], stop: int, first: int,
        lasts: list[int], gaps: list[int], start: list[int], end: list[int],
    ) -> int:  # fmt: skip
        called = host[[launch.call for launch in program.launches[first:stop]]].tolist()
        replaying = False
        for number, launch in enumerate(program.launches[first:stop], first):
            inside = launch.replayed and replaying
            between = REPLAYED_NS if inside else QUEUED_NS
            at = max(self.ready[launch.stream] + between * gaps[number] // 1000, 0)
            if not launch.orphan:
                latency = GRAPH_NS if launch.replayed else LAUNCH_NS
                at = max(at, called[number - first] + latency * gaps[number] // 1000)
            for other in launch.after:
                at = max(at, end[other] + JOINED_NS * gaps[number] // 1000)
            start.append(at)
            end.append(at + max(lasts[number], 1))
            self.ready[launch.stream] = end[-1]
            replaying = launch.replayed
        return stop


def device_work(program: Program, times: Times) -> DeviceWork:
    """The step's device work as columns."""
    kinds = [CLASSES.index(launch.op.kind) for launch in program.launches]
    replays = [launch.correlation if launch.replayed else -1 for launch in program.launches]
    return DeviceWork(times.start, times.end, np.array(kinds, np.int64), np.array(replays, np.int64))


def stall_gap(program: Program, times: Times, blocking: bool) -> GapTruth | None:
    """The device gap that a stall made, or None where the queue was long enough to bridge most of it."""
    number = program.stall_call
    if number is None or number == 0 or number >= len(program.launches):
        return None
    begin, stop = int(times.end[:number].max()), int(times.start[number])
    if stop - begin <= 0 or 2 * (int(times.host[program.launches[number].call]) - begin) < stop - begin:
        return None
    return GapTruth(start_ns=begin, end_ns=stop, gap_class="host_sync" if blocking else "host_late")
