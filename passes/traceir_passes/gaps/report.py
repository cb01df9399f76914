"""The report of `gaps`: idle time of devices and lanes by cause."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs

import traceir as tir
from traceir import units
from traceir_passes.gaps.frames import Under

DOUBTFUL = ("unexplained", "unknown_no_launch")


@attrs.frozen(kw_only=True)
class Parts:
    """Gap time before, during and after the launch calls; `unknown_ns` belongs to events without a launch."""

    host_ns: int
    call_ns: int
    post_ns: int
    unknown_ns: int


@attrs.frozen(kw_only=True)
class Blame:
    """Gap time above the threshold that is due to host events of one name."""

    name: str
    gap_class: str
    count: int
    gap_ns: int
    example: int


@attrs.frozen(kw_only=True)
class Gap:
    """One gap; `previous`, `next` and `blame` are ids of events."""

    start_ns: int
    dur_ns: int
    gap_class: str
    host_ns: int | None
    call_ns: int | None
    post_ns: int | None
    previous: int
    next: int
    blame: int | None
    end_of_step: bool
    polling: bool


@attrs.frozen(kw_only=True)
class InterStep:
    """The device's gaps between events of different steps, split by what filled them.

    `sync_ns` is classed as waiting for blocking calls, `unexplained_ns` is classed so or has no launch. Of the other
    gaps `tail_ns` is the host part before the mark of the step that ended has itself ended (0 without marks),
    `dispatch_ns` the rest of the host part and the launch call, `rest_ns` all else.
    """

    count: int
    total_ns: int
    tail_ns: int
    sync_ns: int
    dispatch_ns: int
    unexplained_ns: int
    rest_ns: int


@attrs.frozen(kw_only=True)
class Border(InterStep):
    """The same of one gap between two steps, by their names; `start_ns` is where it begins."""

    before: str
    after: str
    start_ns: int


@attrs.frozen(kw_only=True)
class Latency:
    """From the start of a launch call to that of its kernel, where the lane had nothing left to do when it began."""

    count: int
    p50_ns: int
    p90_ns: int
    max_ns: int


@attrs.frozen(kw_only=True)
class LaunchCall:
    """What the launch calls of one name cost their threads."""

    name: str
    count: int
    time_ns: int
    p50_ns: int
    p90_ns: int


@attrs.frozen(kw_only=True)
class Scope:
    """The idle time of a device before events of one region: within it, and right before its first event.

    `region` is null for what no region owns. `inside_ns` is the time between two events of the region. `classes` are
    those that occur, and sum to `idle_ns`.
    """

    region: str | None
    index: int | None
    device: int | None
    count: int
    idle_ns: int
    inside_ns: int
    classes: Mapping[str, int]


@attrs.frozen(kw_only=True)
class DeviceGaps:
    """The idle time of a device. `classes` are over all gaps and sum to `idle_ns`; `classes_over_min_ns` and
    `counts` over those above the threshold. `doubtful` is the share of idle time that may be work that was not
    recorded, null without idle time; `confirmed_idle_ns` is null without a utilisation counter. `latency` is null where
    no kernel was launched on an idle lane; `queue_max` counts the kernels launched and not begun, over all lanes."""

    device: int | None
    span_ns: int
    busy_ns: int
    idle_ns: int
    classes: Mapping[str, int]
    classes_over_min_ns: Mapping[str, int]
    counts: Mapping[str, int]
    doubtful: float | None
    recorded: bool
    confirmed_idle_ns: int | None
    parts: Parts
    between_steps: InterStep
    borders: tuple[Border, ...]
    blame: tuple[Blame, ...]
    under: tuple[Under, ...]
    latency: Latency | None
    queue_max: int
    longest: tuple[Gap, ...]


@attrs.frozen(kw_only=True)
class LaneGaps:
    """The gaps of a lane between its first start and last end; `device_idle_ns` is when the device was idle too.

    `lead_ns` and `tail_ns` are what the device's span has before and after the lane's.
    """

    lane: str
    device: int | None
    span_ns: int
    busy_ns: int
    gap_ns: int
    device_idle_ns: int
    lead_ns: int
    tail_ns: int
    classes: Mapping[str, int]
    classes_over_min_ns: Mapping[str, int]
    counts: Mapping[str, int]
    parts: Parts
    latency: Latency | None
    queue_max: int
    queue_full: bool


@attrs.frozen
class GapsReport(tir.Report):
    """Idle time of devices first, then the gaps of lanes, which on side streams are mostly the stream's nature.

    Then idle time by step, by layer and by block, where trees of them exist, and what launch calls cost.
    """

    min_gap_ns: int
    devices: tuple[DeviceGaps, ...]
    lanes: tuple[LaneGaps, ...]
    steps: tuple[Scope, ...]
    layers: tuple[Scope, ...]
    layer_blocks: tuple[Scope, ...]
    launch_calls: tuple[LaunchCall, ...]

    def headline(self) -> Sequence[tir.Fact]:
        """The idle time of each device (of the least and the most idle of many) and its largest causes."""
        shown = self.devices
        if len(shown) > 2:
            ends = (min(shown, key=_idle_share), max(shown, key=_idle_share))
            shown = tuple(device for device in shown if device in ends)
        facts = [fact for device in shown for fact in _facts(device, len(self.devices) > 1)]
        full = [lane.lane for lane in self.lanes if lane.queue_full]
        if full:
            facts.append(tir.Fact("launch queue may be full:", ", ".join(full), "text"))
        return facts

    def blocks(self) -> Sequence[tir.Block]:
        """The longest gaps' causes on the host and where in the program those are; how launches arrive."""
        shown = (
            tir.Block("what idle time waited for", ("host event", "class", "gaps", "gap time", "example"),
                      tuple(self._blamed())),
            tir.Block("idle time under", ("frame or range", "gaps", "gap time", "of idle"), tuple(self._under()),
                      detail=True),
            tir.Block("launches", ("lane", "on an idle lane", "median", "p90", "deepest queue"),
                      tuple(self._launches()), detail=True),
        )  # fmt: skip
        return tuple(block for block in shown if block.rows)

    def _blamed(self) -> Iterator[tuple[str, ...]]:
        for device in self.devices:
            for item in device.blame[: max(1, 5 // len(self.devices))]:
                yield short(item.name), item.gap_class, str(item.count), units.time(item.gap_ns), f"%{item.example}"

    def _under(self) -> Iterator[tuple[str, ...]]:
        for device in self.devices:
            for item in device.under[: max(1, 5 // len(self.devices))]:
                share = units.share(item.gap_ns, device.idle_ns)
                yield short(item.frame), units.count(item.count), units.time(item.gap_ns), share

    def _launches(self) -> Iterator[tuple[str, ...]]:
        for lane in self.lanes:
            if (found := lane.latency) is not None:
                times = units.time(found.p50_ns), units.time(found.p90_ns)
                yield lane.lane, units.count(found.count), *times, units.count(lane.queue_max)


def short(frame: str) -> str:
    """A frame's name without the folders of its file: `gpt_oss.py(276): forward`."""
    place, found, function = frame.partition("): ")
    return place.replace("\\", "/").rpartition("/")[2] + found + function if found else frame


def _idle_share(device: DeviceGaps) -> float:
    return device.idle_ns / device.span_ns if device.span_ns else 0.0


def _facts(device: DeviceGaps, several: bool) -> Iterator[tir.Fact]:
    """What a device's idle time is made of; it says so where the time may not have been idle at all."""
    tag = f" gpu{'?' if device.device is None else device.device}" if several else ""
    causes = sorted(((name, time) for name, time in device.classes.items() if time), key=lambda item: -item[1])
    shown = [f"{name} {units.time(time)}, {units.share(time, device.idle_ns)}" for name, time in causes[:3]]
    if len(causes) > 3:
        shown.append(f"{len(causes) - 3} more")
    word = "idle" if device.recorded else "not recorded or idle"
    if shown:
        yield tir.Fact(f"{word}{tag}:", "; ".join(shown), "text")
    if device.confirmed_idle_ns is not None:
        yield tir.Fact(f"confirmed idle{tag}", device.confirmed_idle_ns, "ns", of="idle", whole=device.idle_ns)
