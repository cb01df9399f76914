"""Which time may go: the gaps of each device as they were judged, and where they are dead on all devices at once."""

from __future__ import annotations

from collections.abc import Collection

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Ints, Mask, Module, Spans
from traceir_passes.dead_gaps.columns import CLASSES, GAPS, empty
from traceir_passes.dead_gaps.doubts import Candidates, doubts
from traceir_passes.dead_gaps.timemap import TimeMap, source_times


@attrs.frozen(eq=False)
class Judged:
    """The gaps of all devices in the source's times, by device and in order of time: `table:dead-gaps.gaps`.

    `device` is -1 for one without a number, `kind` a position in `CLASSES`, `doubt` in `DOUBTS` (-1 none).
    """

    device: Ints
    start: Ints
    end: Ints
    kind: Array
    prev: Array
    next: Array
    doubt: Array
    dead: Mask

    @classmethod
    def read(cls, module: Module) -> Judged:
        """What a module's table says, no rows where it has none."""
        table = module.tables.get(f"table:{GAPS}")
        given = {name: module[name] if table is not None else values for name, values in empty(GAPS).items()}
        device, start = given["dead-gaps.gap_device"], given["dead-gaps.gap_start"]
        return cls(
            np.where(device == tir.NULL_I64, -1, device),
            start,
            start + given["dead-gaps.gap_dur"],
            *(given[f"dead-gaps.gap_{name}"] for name in ("class", "prev", "next", "doubt", "dead")),
        )

    def columns(self) -> dict[str, Array]:
        """The columns of the table."""
        return {
            "dead-gaps.gap_device": np.where(self.device < 0, tir.NULL_I64, self.device),
            "dead-gaps.gap_start": self.start,
            "dead-gaps.gap_dur": self.end - self.start,
            "dead-gaps.gap_class": self.kind.astype(np.int16),
            "dead-gaps.gap_prev": self.prev.astype(np.int32),
            "dead-gaps.gap_next": self.next.astype(np.int32),
            "dead-gaps.gap_doubt": self.doubt.astype(np.int16),
            "dead-gaps.gap_dead": self.dead,
        }

    def take(self, rows: Array) -> Judged:
        """Some of the rows."""
        return Judged(*(getattr(self, field.name)[rows] for field in attrs.fields(Judged)))

    def __len__(self) -> int:
        return len(self.start)


def judge(module: Module, classes: Collection[str], despite: Collection[str], utilisation: str) -> Judged:
    """The gaps of all devices, each taken for dead or not. O(n log n).

    A gap that an earlier run judged keeps its class and its doubt: that run saw when its launch came, and in times
    that were closed up since, events of the host that came one after the other stand at one instant.
    """
    old = _still_gaps(module, Judged.read(module))
    new = _new(module, old, despite, utilisation)
    both = Judged(*(np.concatenate([getattr(part, f.name) for part in (old, new)]) for f in attrs.fields(Judged)))
    both = both.take(np.lexsort((both.start, both.device)))
    wanted = np.isin(both.kind, [CLASSES.index(name) for name in classes])
    return attrs.evolve(both, dead=both.dead | (wanted & (both.doubt < 0)))


def _still_gaps(module: Module, old: Judged) -> Judged:
    """Of the gaps that were judged before, those between the same events, in which nothing works."""
    keep = (old.prev >= 0) & (old.next >= 0)
    keep &= module.live[old.prev] & module.live[old.next]
    for device, (_, busy) in at_work(module).items():
        mine = old.device == device
        keep[mine] &= busy.covered(old.start[mine], old.end[mine]) == 0
    return old.take(np.flatnonzero(keep))


def _new(module: Module, old: Judged, despite: Collection[str], utilisation: str) -> Judged:
    """The gaps that `gaps` found and nobody judged yet."""
    rows = np.flatnonzero(module.is_in("gaps.level", ["device"]))
    before = np.full(len(module), -1, np.int64)
    before[old.next] = old.prev
    rows = rows[before[module["gaps.next"][rows]] != module["gaps.prev"][rows]]
    device, prev, after = (module[f"gaps.{name}"][rows] for name in ("device", "prev", "next"))
    device = np.where(device == tir.NULL_I64, -1, device)
    start, end = source_times(module)
    known = np.array([CLASSES.index(name) for name in _classes(module)], np.int16)
    kind = known[module["gaps.class"][rows]]
    at = module["gaps.start"][rows]
    asked = Candidates(device, at, at + module["gaps.dur"][rows], kind, module["gaps.host"][rows], after)
    doubt = doubts(module, asked, despite, utilisation)
    return Judged(device, end[prev], start[after], kind, prev, after, doubt, np.zeros(len(rows), bool))


def _classes(module: Module) -> tuple[str, ...]:
    """The classes as `gaps` numbers them."""
    return module.annotations["gaps.class"].annotation.values


def at_work(module: Module) -> dict[int, tuple[tuple[int, int], Spans]]:
    """For each device that worked: first start and last end, and when it did, in the source's times. O(n log n)."""
    start, end = source_times(module)
    out = {}
    for device in module.devices:
        rows = np.flatnonzero(module.work & (module.device == device))
        if len(rows):
            out[device] = (int(start[rows].min()), int(end[rows].max())), Spans.of(start[rows], end[rows])
    return out


def dead_everywhere(module: Module, judged: Judged) -> tuple[Ints, Ints, Array]:
    """Starts, ends and classes of the stretches that are dead on every device, in order. O(devices · n log n).

    On each device a stretch lies in a gap that is proved dead, or before all or after all that the device did; on one
    at least it lies in a gap. It is parted where a gap begins or ends, and its class is that of the gap that ends
    first (of several the one of the lowest device).
    """
    found = at_work(module)
    if not found or not judged.dead.any():
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int16)
    low, high = min(ends[0] for ends, _ in found.values()), max(ends[1] for ends, _ in found.values())
    gaps = {device: judged.take(np.flatnonzero(judged.dead & (judged.device == device))) for device in found}
    joint = _spans(*gaps.values())
    for device, ((first, last), _) in found.items():
        outside = Spans.of(np.array([low, last]), np.array([first, high]))
        joint = joint & (_spans(gaps[device]) | outside)
    start, end = _parted(joint, np.concatenate([at for mine in gaps.values() for at in (mine.start, mine.end)]))
    return start, end, _ending(start, end, gaps.values())


def _spans(*gaps: Judged) -> Spans:
    return Spans.of(np.concatenate([one.start for one in gaps]), np.concatenate([one.end for one in gaps]))


def _parted(joint: Spans, at: Ints) -> tuple[Ints, Ints]:
    """The intervals of a set, parted at some instants."""
    inside = np.unique(at[joint.contains(at) & joint.contains(at - 1)])
    start = np.sort(np.concatenate([joint.starts, inside]))
    owner = np.searchsorted(joint.starts, start, side="right") - 1
    end = joint.ends[owner]
    same = np.flatnonzero(np.diff(owner) == 0)
    end[same] = start[same + 1]
    return start, end


def _ending(start: Ints, end: Ints, gaps: Collection[Judged]) -> Array:
    """For each stretch the class of the gap around it that ends first, as a position in `REMOVABLE`."""
    best, kind = np.full(len(start), np.iinfo(np.int64).max), np.full(len(start), -1, np.int16)
    for mine in gaps:
        if not len(mine):
            continue
        at = np.searchsorted(mine.start, start, side="right") - 1
        first = (at >= 0) & (mine.end[at] >= end) & (mine.end[at] < best)
        best[first], kind[first] = mine.end[at[first]], mine.kind[at[first]]
    return kind  # the classes that may be removed come first in CLASSES


def closed_up(module: Module, judged: Judged, keep: int, earlier: TimeMap) -> TimeMap:
    """The map without the dead stretches but for their last `keep` ns, and without what an earlier run removed.

    What stays of a stretch is its end, so that between a launch and its work there is time left.
    """
    start, end, kind = dead_everywhere(module, judged)
    long_ = end - start > keep
    start, end, kind = start[long_], end[long_] - keep, kind[long_]
    if len(earlier.start):
        more = Spans(start, end) - earlier.removed
        kind = kind[np.searchsorted(start, more.starts, side="right") - 1] if len(more) else kind[:0]
        start, end = more.starts, more.ends
    return TimeMap.of(
        np.concatenate([earlier.start, start]),
        np.concatenate([earlier.dur, end - start]),
        np.concatenate([earlier.kind, kind]).astype(np.int16),
    )
