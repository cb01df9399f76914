"""Causes planted in a made trace are found, each with its class and the event to blame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.build import Ev
from tests.passes.gaps_made import US, ran, rows
from tests.passes.sync_made import joined
from traceir import synth
from traceir_passes.gaps import Gaps
from traceir_passes.gaps.queues import FULL


@attrs.define
class Maker:
    """Writes a trace forward in time: the host launches, the device follows; every stretch without a plant is short.

    `host` and `device` are when each is free again, `planted` the start of each gap that was made on purpose, with its
    class and the position of the event to blame (None: none is to be blamed).
    """

    events: list[Ev] = attrs.field(factory=list)
    syncs: list[tuple[int, int]] = attrs.field(factory=list)
    planted: dict[int, tuple[str, int | None]] = attrs.field(factory=dict)
    host: int = 0
    device: int = 0

    def add(self, kind: str, name: str, at: int, dur: int, lane: str = "cpu", launch: int | None = None) -> int:
        self.events.append(Ev(kind, name, at, dur, lane, launch))
        return len(self.events) - 1

    def launch(self, dur: int = 40 * US, lane: str = "gpu0.s7", *, lone: bool = False) -> int:
        """A call of 3 µs and its kernel, which begins 5 µs after the call did or 1 µs after the one before it."""
        call = None if lone else self.add("rt.launch", "cudaLaunchKernel", self.host, 3 * US)
        start = max(self.host + 5 * US, self.device + US)
        self.host += 3 * US
        self.device = start + dur
        return self.add("dev.kernel", "work", start, dur, lane, call)

    def burst(self) -> None:
        """Enough kernels that the host is ahead of the device again."""
        for _ in range(6):
            self.launch()

    def plant(self, kind: str, blame: int | None) -> None:
        """The gap that begins where the device's work ends now."""
        self.planted[self.device] = kind, blame


def late_host(made: Maker) -> None:
    """The host runs an operator of its own until long after the queue is empty."""
    end = made.device + 400 * US
    slow = made.add("host.op", "aten::slow", made.host, end - made.host)
    made.host = end
    made.plant("host_late", slow)
    made.launch()


def sync(made: Maker) -> None:
    """The host waits for the device, and only then gets the next work ready."""
    end = made.device + 8 * US
    wait = made.add("rt.sync", "cudaStreamSynchronize", made.host, end - made.host)
    made.host = end + 60 * US
    made.plant("after_sync", wait)
    made.launch()


def blocked(made: Maker) -> None:
    """Another thread frees memory, and so long the launching one cannot go on."""
    free = made.add("rt.alloc", "cudaFree", made.device + US, 300 * US, "cpu.2")
    made.host = made.device + 302 * US
    made.plant("host_sync", free)
    made.launch()


def queued(made: Maker) -> None:
    """All is queued: the device takes 4 µs from one kernel to the next."""
    made.plant("queue_latency", None)
    call = made.add("rt.launch", "cudaLaunchKernel", made.host, 3 * US)
    made.host += 3 * US
    made.add("dev.kernel", "work", made.device + 4 * US, 40 * US, "gpu0.s7", call)
    made.device += 44 * US


def dependency(made: Maker) -> None:
    """A stream waits for what another one does, which ends where the gap begins."""
    other = made.launch(30 * US, "gpu0.s9")
    record = made.add("rt.call", "cudaEventRecord", made.host, US)
    made.syncs.append((made.add("event.record", "record", made.device, 0, "gpu0.s9", record), len(made.events)))
    made.add("event.wait", "Stream Wait Event", made.device, 0, "gpu0.s7", made.add(
        "rt.call", "cudaStreamWaitEvent", made.host + US, US))  # fmt: skip
    made.syncs[-1] = made.syncs[-1][0], len(made.events) - 1
    made.host += 2 * US
    made.plant("other_stream", other)
    call = made.add("rt.launch", "cudaLaunchKernel", made.host, 3 * US)
    made.host += 3 * US
    made.add("dev.kernel", "work", made.device + 3 * US, 40 * US, "gpu0.s7", call)
    made.device += 43 * US


def missing(made: Maker) -> None:
    """The launch of a kernel is not in the trace."""
    made.device += 20 * US
    made.planted[made.device - 20 * US] = "unknown_no_launch", None
    made.launch(lone=True)


PLANTS: tuple[Callable[[Maker], None], ...] = (late_host, sync, blocked, queued, dependency, missing)


@given(st.lists(st.sampled_from(PLANTS), min_size=1, max_size=8))
def test_planted_causes_are_found(plants: list[Callable[[Maker], None]]) -> None:
    """Each planted gap of the device has its class and its blame, in whatever order they come."""
    made = Maker()
    made.burst()
    for plant in plants:
        plant(made)
        made.burst()
    done, _ = ran(joined(made.events, *made.syncs))
    found = {row["start"]: row for row in rows(done) if row["level"] == "device"}
    assert {start: (found[start]["class"], found[start]["blame"]) for start in made.planted} == made.planted
    others = {row["class"] for start, row in found.items() if start not in made.planted and row["dur"] > US}
    assert others <= {"launch_latency"}


def test_full_queue_is_flagged() -> None:
    """A queue as deep as drivers let it get is said to be perhaps full; one less is not."""
    for count, full in ((FULL, True), (FULL - 1, False)):
        items = [Ev("rt.launch", "cudaLaunchKernel", at, 1, "cpu") for at in range(count)]
        items += [Ev("dev.kernel", "work", count + 10 * at, 5, "gpu0.s7", at) for at in range(count)]
        report = ran(joined(items), min_gap=0)[1]
        assert (report.lanes[0].queue_max, report.lanes[0].queue_full) == (count, full)
        assert any("queue" in fact.label for fact in report.headline()) is full
        assert report.devices[0].classes["queue_latency"] == report.devices[0].idle_ns > 0


@pytest.mark.parametrize("stall", ["host", "blocking"])
def test_stalls_of_a_generated_model_are_found(stall: Literal["host", "blocking"], tmp_path: Path) -> None:
    """Every gap that the generator made on purpose is found to the ns, with the class that it says."""
    path = tmp_path / "made.json"
    truth = synth.write(synth.Decoder(layers=4, steps=4, launch="eager", stall=stall, tensor_parallel=2), path)
    done = tir.PassManager((Gaps(),)).run(tir.load(path))
    device = done.is_in("gaps.level", ["device"])
    starts, kinds = done["gaps.start"][device], np.array(done.text("gaps.class"))[device]
    ends = starts + done["gaps.dur"][device]
    found = dict(zip(zip(starts.tolist(), ends.tolist(), strict=True), kinds.tolist(), strict=True))
    assert {gap.gap_class for gap in truth.gaps} == {"host_late" if stall == "host" else "host_sync", "after_sync"}
    for gap in truth.gaps:
        start, end = (time + truth.base_ns - (done.meta["origin_ns"] or 0) for time in (gap.start_ns, gap.end_ns))
        assert found[start, end] == gap.gap_class
