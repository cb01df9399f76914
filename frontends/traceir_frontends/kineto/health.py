"""What is wrong with a Kineto trace, as far as reading it shows: a finding per code, each one sentence and a mend."""

from __future__ import annotations

from typing import Final

import attrs
import numpy as np

from traceir.ir import Array, Finding, Ints, Mask
from traceir.ir.health import Level
from traceir_frontends.kineto.repair import Damage

FAR: Final = 100
"""How many times the extent of all other events a hole before or after them has to be, to be a clock's fault: a
record is contiguous, so any hole longer than the whole record is odd; a hundredfold leaves room for sparse ones."""
FEW: Final = 0.01
"""The share of events that such an island may hold at most (or a single event); more is a part of the record."""
MANY: Final = 0.1
"""The share of events that all islands together may hold at most (or three events); more is a sparse record."""
DROPPED: Final = 0.05
"""The share of kernel launches without work above which kernels are taken to be missing; empty grids leave a few in
sound traces too. Copies and memsets do not count: those of no bytes, or between host buffers, leave no device event."""

_MENDED: Final[tuple[tuple[str, str], ...]] = (
    ("mended", "Mended on reading, since not strict JSON (bad UTF-8, control characters, NaN or odd types): {n}"),
    ("comma", "Stepped over on reading, a comma missing or too many: after {n}"),
    ("unreadable", "Left out, since unreadable: {n}"),
    ("no_time", "Left out for want of a usable start: {n}"),
    ("no_dur", "Given a duration of 0 ns for want of a usable one: {n}"),
    ("negative_dur", "Given a duration of 0 ns in place of a negative one: {n}"),
    ("stray_end", "Left out as an end without a beginning: {n}"),
)


def _events(count: int, what: str = "event") -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


@attrs.frozen(eq=False)
class Facts:
    """What the findings are made from: event columns in the order of the file, and marks on them.

    `orphans` and so on are positions; `launches` the calls that start device work, outside captures.
    """

    id: Ints
    ts: Ints
    dur: Ints
    lane: Array
    work: Mask
    src: Ints
    dst: Ints
    orphans: Ints
    ambiguous: Ints
    shared: Ints
    launches: Ints
    kernel_launches: Ints
    graph_launches: Ints
    graph: Ints
    open: Ints
    ranges: bool
    has_flows: bool
    has_correlations: bool

    def first(self, at: Ints) -> int | None:
        """The id of the earliest of some positions."""
        return int(self.id[at[np.argmin(self.ts[at])]]) if len(at) else None


def findings(facts: Facts, damage: Damage) -> list[Finding]:
    """All findings, the damage of the file first."""
    found = [*_damage(facts, damage), _far(facts), _no_device(facts)]
    if facts.work.any():
        found += [_orphans(facts), _ambiguous(facts), _without_work(facts), *_replays(facts), _early(facts)]
        found += [_same_stream(facts), _sampled(facts)]
    found.append(_integer(facts))
    return [finding for finding in found if finding is not None]


_TOTALS = ("infer", "group", "collectives", "overlap", "gaps")
"""Results that count or sum events, and are off where events are missing."""
_LOSING = frozenset({"unreadable", "no_time", "no_dur", "negative_dur"})
"""Repairs that lose an event or its duration."""


def _damage(facts: Facts, damage: Damage) -> list[Finding]:
    found = []
    if damage.truncated or len(facts.open):
        parts = [f"the file is cut: {damage.truncated}"] if damage.truncated else []
        if len(facts.open):
            ranges = _events(len(facts.open), "range")
            parts.append(f"closed at the end of the record for want of an end of their own: {ranges}")
        text = "; ".join(parts)
        message = f"{text[0].upper()}{text[1:]}; the last step may lack work, so let the profiler finish writing."
        count, first = max(len(facts.open), 1), facts.first(facts.open)
        poisons: tuple[str, ...] = _TOTALS if damage.truncated else ("group.steps",)
        found.append(Finding("truncated", "warning", count, message, first, poisons))
    for what, sentence in _MENDED:
        if count := damage.counts.get(what, 0):
            level: Level = "info" if what == "comma" else "warning"
            message = sentence.format(n=_events(count)) + "; record again if their figures matter."
            lost = _TOTALS if what in _LOSING else ()
            found.append(Finding("repaired", level, count, message, damage.first.get(what), lost))
    if count := damage.counts.get("string_time", 0):
        message = f"Times given as text, and read exactly as written: {_events(count)}."
        found.append(Finding("string_time", "info", count, message, damage.first.get("string_time")))
    return found


def _far(facts: Facts) -> Finding | None:
    """A few events at an impossible distance from all others."""
    if len(facts.ts) < 3:
        return None
    order = np.argsort(facts.ts, kind="stable")
    starts = facts.ts[order]
    low, high, hole = _record(starts, np.maximum.accumulate(starts + facts.dur[order]))
    far = np.append(order[:low], order[high:])
    if not len(far):
        return None
    message = (
        f"{_events(len(far))} at {hole} ns or more from all others, which span {int(starts[high - 1] - starts[low])} "
        "ns: a clock jumped or times are damaged, so span and idle time mean nothing; look at the event named and its "
        "like, or cut them from the file."
    )
    poisons = "module.span_ns", "overlap", "gaps", "dead-gaps", "group.steps"
    return Finding("clock_step", "error", len(far), message, facts.first(far), poisons)


def _record(starts: Ints, reach: Ints) -> tuple[int, int, int]:
    """Where the record begins and ends once all far islands are cut from its ends, and the smallest hole cut at.

    What remains is measured after a cut, not before it: the islands of one side would else excuse those of the other.
    """
    n, low, high = len(starts), 0, len(starts)
    found, few, many = (0, n, 0), max(1, int(n * FEW)), max(3, int(n * MANY))
    holes = starts[1:] - reach[:-1]
    # No part with most of the events is shorter than the densest half, so in sound records nothing is left to try.
    densest = int((starts[n // 2 :] - starts[: n - n // 2]).min())
    odd = np.flatnonzero(holes > FAR * max(densest, 1))
    for at in odd[np.argsort(-holes[odd], kind="stable")].tolist():
        if not low <= at < high - 1:
            continue  # inside an island
        early, late = at + 1 - low, high - at - 1
        low, high = (low, at + 1) if late <= early else (at + 1, high)
        if min(early, late) > few or n - (high - low) > min(many, n // 2):
            break
        if 0 < FAR * int(starts[high - 1] - starts[low]) < holes[at]:
            found = low, high, int(holes[at])
    return found


def _no_device(facts: Facts) -> Finding | None:
    if facts.work.any():
        return None
    if facts.ranges:
        message = (
            "The trace has ranges on a device but no kernel, copy or memset; record the device's kernel activity too."
        )
        return Finding("ranges_only", "warning", 1, message)
    message = "The trace has no device work; record it with the device's activities if the program uses a device."
    return Finding("no_device", "info", 1, message)


def _orphans(facts: Facts) -> Finding | None:
    if not len(facts.orphans):
        return None
    total, count = int(facts.work.sum()), len(facts.orphans)
    lanes = int(facts.lane.max()) + 1
    begins = np.full(lanes, np.iinfo(np.int64).max)
    joined = facts.work.copy()
    joined[facts.orphans] = False
    np.minimum.at(begins, facts.lane[joined], facts.ts[joined])
    prefix = joined.any() and bool((facts.ts[facts.orphans] <= begins[facts.lane[facts.orphans]]).all())
    where = (
        "since the file has no launching calls that fit"
        if not joined.any()
        else (
            "a prefix: on each stream they come before all that have one, so they were launched before the record began"
            if prefix
            else "scattered over the trace: their launches were not recorded"
        )
    )
    message = (
        f"{count} of {total} device events have no launch in the file, {where}; record one more warm-up step, with the "
        "host's runtime calls."
    )
    level: Level = "info" if prefix else "warning"
    poisons = ("group.steps",) if prefix else ("group.steps", "gaps")
    return Finding("orphan_launch", level, count, message, facts.first(facts.orphans), poisons)


def _ambiguous(facts: Facts) -> Finding | None:
    lost, kept = len(facts.ambiguous), len(facts.shared)
    if not lost and not kept:
        return None
    message = (
        f"{_events(lost + kept, 'device event')} with a correlation that is not one launch's own: {kept} could be told "
        f"apart by External id or order, {lost} got no launch edge; do not merge traces of several processes."
    )
    first = facts.first(facts.ambiguous if lost else facts.shared)
    return Finding("ambiguous_launch", "warning", lost + kept, message, first, ("gaps",) if lost else ())


def _without_work(facts: Facts) -> Finding | None:
    launching, starting = _marked(facts, facts.launches), _marked(facts, facts.src)
    idle = np.flatnonzero(launching & ~starting)
    if not len(idle):
        return None
    launching &= _marked(facts, facts.kernel_launches)
    kernels, of = int(launching[idle].sum()), int(launching.sum())
    message = (
        f"{len(idle)} of {len(facts.launches)} launching calls outside graph captures have no device work in the file "
        f"({kernels} of {of} kernel launches, the rest copies and memsets); kernels may have been dropped, so enlarge "
        "the profiler's buffer if there are many."
    )
    many = kernels > DROPPED * of
    level: Level = "warning" if many else "info"
    poisons = ("overlap", "gaps") if many else ()
    return Finding("launch_without_work", level, len(idle), message, facts.first(idle), poisons)


def _marked(facts: Facts, rows: Ints) -> Mask:
    """Which events are among some rows."""
    out = np.zeros(len(facts.ts), bool)
    out[rows] = True
    return out


def _replays(facts: Facts) -> list[Finding]:
    """Graph launches without kernels, and replays of one graph with unequal numbers of them."""
    counts = np.bincount(facts.src, minlength=len(facts.ts))
    empty = facts.graph_launches[counts[facts.graph_launches] == 0]
    found = []
    poisons = "group", "overlap", "gaps"
    if len(empty):
        message = (
            f"{len(empty)} of {len(facts.graph_launches)} graph launches have no device work in the file; steps look "
            "empty, so enlarge the profiler's buffer."
        )
        found.append(Finding("missing_replays", "warning", len(empty), message, facts.first(empty), poisons))
    known = facts.graph[facts.dst] >= 0
    if known.any():
        pairs = np.unique(np.stack([facts.src[known], facts.graph[facts.dst[known]]]), axis=1)
        order = np.argsort(pairs[1], kind="stable")
        graphs, sizes = pairs[1][order], counts[pairs[0][order]]
        bounds = np.flatnonzero(np.append(True, graphs[1:] != graphs[:-1]))
        most = np.repeat(np.maximum.reduceat(sizes, bounds), np.diff(np.append(bounds, len(graphs))))
        short = pairs[0][order][sizes < most]
        if len(short):
            message = (
                f"{_events(len(short), 'graph replay')} with fewer device events than other replays of the same graph: "
                "kernels were dropped (or a branch of the graph was not taken), so enlarge the profiler's buffer."
            )
            found.append(Finding("missing_replays", "warning", len(short), message, facts.first(short), poisons))
    return found


def _early(facts: Facts) -> Finding | None:
    lead = facts.ts[facts.src] - facts.ts[facts.dst]
    early = facts.dst[lead > 0]
    if not len(early):
        return None
    message = (
        f"{_events(len(early), 'device event')} with a start before that of its call, by up to "
        f"{int(lead.max())} ns: the clocks of host and device disagree; record again, or trust one side only."
    )
    return Finding("kernel_before_launch", "warning", len(early), message, facts.first(early), ("gaps",))


def _same_stream(facts: Facts) -> Finding | None:
    """Device work that starts on a stream before what came earlier there has ended."""
    at = np.flatnonzero(facts.work & (facts.dur > 0))
    if not len(at):
        return None
    at = at[np.lexsort((facts.ts[at], facts.lane[at]))]
    bounds = np.append(np.flatnonzero(np.append(True, facts.lane[at][1:] != facts.lane[at][:-1])), len(at))
    over, late = 0, []
    for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):  # a loop over streams
        mine = at[low:high]
        starts, ends = facts.ts[mine], facts.ts[mine] + facts.dur[mine]
        excess = np.minimum(np.maximum.accumulate(ends)[:-1], ends[1:]) - starts[1:]
        over += int(excess[excess > 0].sum())
        late.append(mine[1:][excess > 0])
    found = np.concatenate(late)
    if not len(found):
        return None
    message = (
        f"{_events(len(found), 'device event')} with a start before the end of earlier work on its stream, {over} ns "
        "in all (programmatic dependent launch, or concurrency inside a graph); gaps are measured from the latest end."
    )
    return Finding("same_stream_overlap", "info", len(found), message, facts.first(found))


def _sampled(facts: Facts) -> Finding | None:
    if facts.has_flows or not facts.has_correlations:
        return None
    message = "The trace has correlation ids but no launch flows, so a tool has filtered it; counts may be of a sample."
    return Finding("sampled", "info", 1, message, None, ("gaps",))


def _integer(facts: Facts) -> Finding | None:
    if not len(facts.ts) or (facts.ts % 1000).any() or (facts.dur % 1000).any():
        return None
    message = "All times are whole microseconds; gaps and order below 1000 ns are unknown, so use a newer profiler."
    return Finding("integer_us", "info", len(facts.ts), message)
