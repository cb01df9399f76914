"""The report of `dead-gaps`: what was removed, what held the rest back, and what each device would gain alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import attrs
import numpy as np

import traceir as tir
from traceir import units
from traceir.ir import Array, Module, Spans
from traceir_passes.dead_gaps.columns import CLASSES, DOUBTS, REMOVABLE
from traceir_passes.dead_gaps.joint import Judged, at_work, dead_everywhere
from traceir_passes.dead_gaps.laws import span
from traceir_passes.dead_gaps.timemap import TimeMap, source_times

HELD = {
    "class": "by its cause",
    "health": "by a health finding",
    "counter": "by a counter",
    "other_device": "by another device",
    "keep": "by keep",
}
"""What holds idle time back, and how the page says it."""


@attrs.frozen(kw_only=True)
class StepSpan:
    """First start to last end of the device work of a step, before and after."""

    index: int
    label: str
    before_ns: int
    after_ns: int
    removed_ns: int


@attrs.frozen(kw_only=True)
class DeviceGain:
    """One device, called `place` by its lanes. `removed_ns` and `held` sum to `idle_ns`, the gaps that it had.

    `alone_ns` is what would be removed if no other device were there: a figure, which nothing here does.
    `queue_ns` is the median gap of its lanes between work that was queued, null if there is none: what `keep` may be.
    """

    device: int | None
    place: str
    span_before_ns: int
    span_after_ns: int
    idle_ns: int
    removed_ns: int
    alone_ns: int
    held: Mapping[str, int]
    queue_ns: int | None


@attrs.frozen(kw_only=True)
class DeadGapsReport(tir.Report):
    """What was removed. Intervals are in the source's times, and each has the keys start_ns, end_ns and class."""

    removed_ns: int
    span_before_ns: int
    span_after_ns: int
    keep_ns: int
    classes: Mapping[str, int]
    intervals: tuple[Mapping[str, int | str], ...]
    devices: tuple[DeviceGain, ...]
    steps: tuple[StepSpan, ...]

    def headline(self) -> Sequence[tir.Fact]:
        """How much shorter the span is, and what the time was."""
        facts = [tir.Fact("dead gaps removed", self.removed_ns, "ns", of="the span before", whole=self.span_before_ns)]
        causes = sorted(((name, time) for name, time in self.classes.items() if time), key=lambda item: -item[1])
        if causes:
            shown = "; ".join(f"{name} {units.time(time)}" for name, time in causes[:3])
            facts.append(tir.Fact("what was removed:", shown, "text"))
        return facts

    def blocks(self) -> Sequence[tir.Block]:
        """For each device what it gained, what it would gain alone, and why the rest of its idle time stays."""
        columns = ("device", "span before", "after", "removed", "alone", "idle time that stays")
        rows = [
            (
                one.place,
                *(units.time(time) for time in (one.span_before_ns, one.span_after_ns, one.removed_ns, one.alone_ns)),
                "; ".join(f"{units.time(time)} {HELD[why]}" for why, time in one.held.items() if time) or "none",
            )
            for one in self.devices
        ]
        note = "an upper bound: the host infinitely fast, no other rank to wait for"
        return (tir.Block("time without its dead gaps", columns, tuple(rows), note),) if rows else ()


def build(module: Module, classes: Collection[str], keep: int) -> DeadGapsReport:
    """The report of a module that `dead-gaps` has run over."""
    found = TimeMap.read(module)
    sums = np.zeros(len(REMOVABLE), np.int64)
    np.add.at(sums, found.kind, found.dur)
    names = [REMOVABLE[kind] for kind in found.kind.tolist()]
    ends = (found.start + found.dur).tolist()
    return DeadGapsReport(
        removed_ns=found.length,
        span_before_ns=span(module, *source_times(module)),
        span_after_ns=module.span_ns,
        keep_ns=keep,
        classes=dict(zip(REMOVABLE, sums.tolist(), strict=True)),
        intervals=tuple(
            {"start_ns": start, "end_ns": end, "class": name}
            for start, end, name in zip(found.start.tolist(), ends, names, strict=True)
        ),
        devices=tuple(_devices(module, found, classes, keep)),
        steps=tuple(_steps(module)),
    )


def _devices(module: Module, found: TimeMap, classes: Collection[str], keep: int) -> Iterator[DeviceGain]:
    judged = Judged.read(module)
    start, end, _ = dead_everywhere(module, judged)
    kept = Spans.of(start, end) - found.removed
    for device, ((first, last), _) in at_work(module).items():
        mine = judged.take(np.flatnonzero(judged.device == device))
        size, removed = mine.end - mine.start, found.removed.covered(mine.start, mine.end)
        alone = np.where(mine.dead, np.maximum(size - keep, removed), removed)
        ends = found.at(np.array([first, last]))
        yield DeviceGain(
            device=None if device < 0 else device,
            place=module.device_name(device),
            span_before_ns=last - first,
            span_after_ns=int(ends[1] - ends[0]),
            idle_ns=int(size.sum()),
            removed_ns=int(removed.sum()),
            alone_ns=int(alone.sum()),
            held=_held(mine, size - removed, kept.covered(mine.start, mine.end), classes),
            queue_ns=_queue(module, device),
        )


def _held(gaps: Judged, left: Array, kept: Array, classes: Collection[str]) -> dict[str, int]:
    """What stays of some gaps, by what holds it."""
    wanted = np.isin(gaps.kind, [CLASSES.index(name) for name in classes])
    out = dict.fromkeys(HELD, 0)
    out["class"] = int(left[~gaps.dead & ~wanted].sum())
    for code, name in enumerate(DOUBTS):
        out[name] = int(left[~gaps.dead & wanted & (gaps.doubt == code)].sum())
    out["keep"] = int(kept[gaps.dead].sum())
    out["other_device"] = int(left[gaps.dead].sum()) - out["keep"]
    return out


def _queue(module: Module, device: int) -> int | None:
    """The median of the queue's own gaps on the lanes of a device, rounded down; None if there are none."""
    number = module["gaps.device"]
    mine = module.is_in("gaps.level", ["lane"]) & module.is_in("gaps.class", ["queue_latency"])
    mine &= number == (tir.NULL_I64 if device < 0 else device)
    return int(np.median(module["gaps.dur"][mine])) if mine.any() else None


def _steps(module: Module) -> Iterator[StepSpan]:
    """The spans of the steps that did device work, in order."""
    if not module.has_tree("steps"):
        return
    tree = module.tree("steps")
    at = tree.at("step")
    rows = np.flatnonzero(module.work & (at >= 0))
    start, end = source_times(module)
    spans = [_extents(at[rows], *times) for times in ((start[rows], end[rows]), (module["ts"][rows], module.end[rows]))]
    for region, before, after in zip(np.unique(at[rows]).tolist(), *(one.tolist() for one in spans), strict=True):
        yield StepSpan(
            index=int(tree.regions["index"][region]),
            label=tree.region_name(region),
            before_ns=before,
            after_ns=after,
            removed_ns=before - after,
        )


def _extents(group: Array, start: Array, end: Array) -> Array:
    """Last end less first start of each group, in order of the groups."""
    order = np.argsort(group, kind="stable")
    bounds = np.flatnonzero(np.append(True, np.diff(group[order]) != 0)[: len(order)])
    if not len(order):
        return np.empty(0, np.int64)
    return np.asarray(np.maximum.reduceat(end[order], bounds) - np.minimum.reduceat(start[order], bounds))
