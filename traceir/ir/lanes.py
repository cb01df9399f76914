"""Lanes: the host threads, device streams and counters that events lie on."""

from __future__ import annotations

from typing import Literal

import attrs

LaneKind = Literal["host.thread", "dev.stream", "counter", "os.cpu", "derived"]
ACCELERATORS = ("gpu", "npu", "xpu", "tpu", "hpu", "mlu", "ipu", "mtia")
"""What the names of device lanes may begin with, before the device's number."""
LANE_KINDS: tuple[LaneKind, ...] = ("host.thread", "dev.stream", "counter", "os.cpu", "derived")


@attrs.frozen
class Lane:
    """One row of a timeline: a host thread, a device stream, a counter, a CPU, or a vendor's own analysis.

    Only `dev.stream` lanes hold device work. `device` is the number that the trace gives the device (on AMD
    an agent number, not an index). `pid` and `tid` keep the source's spelling, since traces mix numbers and
    strings there. `name` is unique in a module and is what text, JSON and people call the lane.
    """

    name: str
    kind: LaneKind
    device: int | None = None
    stream: int | None = None
    pid: int | str | None = None
    tid: int | str | None = None
    label: str = ""

    @property
    def is_device(self) -> bool:
        """Whether device work may lie here."""
        return self.kind == "dev.stream"


def unique_names(lanes: list[Lane]) -> list[Lane]:
    """The lanes with repeated names told apart by `.2`, `.3`, … in order."""
    seen: dict[str, int] = {}
    taken = {lane.name for lane in lanes}
    out: list[Lane] = []
    for lane in lanes:
        count = seen[lane.name] = seen.get(lane.name, 0) + 1
        name = lane.name
        while count > 1 and name in taken:
            name = f"{lane.name}.{count}"
            count += 1
        taken.add(name)
        out.append(lane if name == lane.name else attrs.evolve(lane, name=name))
    return out
