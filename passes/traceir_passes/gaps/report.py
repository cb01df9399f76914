"""The report of `gaps`: idle time of devices and lanes by cause."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs
import numpy as np

import traceir as tir
from traceir import units
from traceir.ir import Array, GroupedSpans, Ints, Mask, Module
from traceir_passes.gaps.find import grouped
from traceir_passes.gaps.notes import LEVELS
from traceir_passes.gaps.rules import CLASSES

DOUBTFUL = ("unexplained", "unknown_no_launch")
TOP = 10


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
class DeviceGaps:
    """The idle time of a device. `classes` are over all gaps and sum to `idle_ns`; `classes_over_min_ns` and
    `counts` over those above the threshold. `doubtful` is the share of idle time that may be work that was not
    recorded, null without idle time; `confirmed_idle_ns` is null without a utilisation counter."""

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
    blame: tuple[Blame, ...]
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


@attrs.frozen
class GapsReport(tir.Report):
    """Idle time of devices first, then the gaps of lanes, which on side streams are mostly the stream's nature."""

    min_gap_ns: int
    devices: tuple[DeviceGaps, ...]
    lanes: tuple[LaneGaps, ...]

    def headline(self) -> Sequence[tir.Fact]:
        """The idle time of each device (of the least and the most idle of many) and its largest causes."""
        shown = self.devices
        if len(shown) > 2:
            ends = (min(shown, key=_idle_share), max(shown, key=_idle_share))
            shown = tuple(device for device in shown if device in ends)
        return [fact for device in shown for fact in _facts(device, len(self.devices) > 1)]

    def blocks(self) -> Sequence[tir.Block]:
        """The longest gaps' causes on the host, where any are known."""
        rows = tuple(
            (item.name, item.gap_class, str(item.count), units.time(item.gap_ns), f"%{item.example}")
            for device in self.devices
            for item in device.blame[: max(1, 5 // len(self.devices))]
        )
        columns = ("host event", "class", "gaps", "gap time", "example")
        return (tir.Block("what idle time waited for", columns, rows),) if rows else ()


@attrs.frozen(eq=False)
class Line:
    """The rows of `table:gaps` of one device or lane, and its work."""

    gaps: Array
    span: int
    busy: int
    first: int
    last: int


def build(module: Module, min_gap: int, doubt: float) -> GapsReport:
    """The report of a module that `gaps` has run over."""
    devices = tuple(_device(module, number, line, min_gap, doubt) for number, line in _devices(module))
    return GapsReport(min_gap, devices, tuple(_lanes(module, min_gap)))


_NO_GAPS: Array = np.empty(0, np.int64)


def _devices(module: Module) -> Iterator[tuple[int, Line]]:
    rows = np.flatnonzero(module.work)
    mine = np.flatnonzero(module["gaps.level"] == LEVELS.index("device"))
    number = module["gaps.device"][mine]
    gaps = grouped(np.where(number == tir.NULL_I64, -1, number))
    for device, at in grouped(module.device[rows]).items():
        yield device, _line(module, rows[at], mine[gaps.get(device, _NO_GAPS)])


def _by_lane(module: Module) -> Iterator[tuple[int, Line]]:
    """Each lane that did work, in order: its number, and its work and gaps, whose tables are sorted once for all."""
    rows = np.flatnonzero(module.work)
    gaps = grouped(module["gaps.lane"])
    for which, at in grouped(module["lane"][rows]).items():
        code = module.strings.code(module.lanes[which].name)
        yield which, _line(module, rows[at], gaps.get(code, _NO_GAPS))


def _line(module: Module, rows: Array, gaps: Array) -> Line:
    start, end = module["ts"][rows], module.end[rows]
    first, last = int(start.min()), int(end.max())
    return Line(gaps, last - first, tir.Spans.of(start, end).length, first, last)


def _device(module: Module, number: int, line: Line, min_gap: int, doubt: float) -> DeviceGaps:
    gaps = line.gaps
    sums = _sums(module, gaps, min_gap)
    idle, unsure = int(module["gaps.dur"][gaps].sum()), sum(sums[0][name] for name in DOUBTFUL)
    confirmed = module["gaps.confirmed"][gaps]
    known = len(gaps) > 0 and bool((confirmed != tir.NULL_I64).all())
    return DeviceGaps(
        device=None if number < 0 else number,
        span_ns=line.span,
        busy_ns=line.busy,
        idle_ns=idle,
        classes=sums[0],
        classes_over_min_ns=sums[1],
        counts=sums[2],
        doubtful=unsure / idle if idle else None,
        recorded=unsure <= doubt * idle,
        confirmed_idle_ns=int(confirmed.sum()) if known else None,
        parts=_parts(module, gaps),
        between_steps=_between_steps(module, gaps),
        blame=_blame(module, gaps),
        longest=tuple(_longest(module, gaps, min_gap)),
    )


def _lanes(module: Module, min_gap: int) -> Iterator[LaneGaps]:
    spans = {number: (line.first, line.last, _spans(module, line.gaps)) for number, line in _devices(module)}
    for which, line in _by_lane(module):
        lane = module.lanes[which]
        first, last, idle = spans[-1 if lane.device is None else lane.device]
        sums, start = _sums(module, line.gaps, min_gap), module["gaps.start"][line.gaps]
        yield LaneGaps(
            lane=lane.name,
            device=lane.device,
            span_ns=line.span,
            busy_ns=line.busy,
            gap_ns=int(module["gaps.dur"][line.gaps].sum()),
            device_idle_ns=int(idle.covered(start, start + module["gaps.dur"][line.gaps]).sum()),
            lead_ns=line.first - first,
            tail_ns=last - line.last,
            classes=sums[0],
            classes_over_min_ns=sums[1],
            counts=sums[2],
            parts=_parts(module, line.gaps),
        )


def _spans(module: Module, gaps: Array) -> tir.Spans:
    start = module["gaps.start"][gaps]
    return tir.Spans.of(start, start + module["gaps.dur"][gaps])


def _sums(module: Module, gaps: Array, min_gap: int) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """Time by class of all gaps, of those above the threshold, and the number of the latter."""
    kind, dur = module["gaps.class"][gaps], module["gaps.dur"][gaps]
    long_ = dur > min_gap
    sums = np.zeros((3, len(CLASSES)), np.int64)
    np.add.at(sums[0], kind, dur)
    np.add.at(sums[1], kind[long_], dur[long_])
    np.add.at(sums[2], kind[long_], 1)
    every, over, count = (dict(zip(CLASSES, row.tolist(), strict=True)) for row in sums)
    return every, over, count


def _parts(module: Module, gaps: Array) -> Parts:
    known = module["gaps.host"][gaps] != tir.NULL_I64
    sums = {part: int(module[f"gaps.{part}"][gaps][known].sum()) for part in ("host", "call", "post")}
    return Parts(
        host_ns=sums["host"],
        call_ns=sums["call"],
        post_ns=sums["post"],
        unknown_ns=int(module["gaps.dur"][gaps][~known].sum()),
    )


def _between_steps(module: Module, gaps: Array) -> InterStep:
    gaps = gaps[module["gaps.end_of_step"][gaps]]
    kind, dur = module["gaps.class"][gaps], module["gaps.dur"][gaps]

    def of(*names: str) -> Mask:
        return np.isin(kind, [CLASSES.index(name) for name in names])

    sync, unsure = of("host_sync"), of(*DOUBTFUL)
    host = ~(sync | unsure) & (module["gaps.host"][gaps] != tir.NULL_I64)
    before, call = module["gaps.host"][gaps][host], module["gaps.call"][gaps][host]
    tail = np.clip(_mark_ends(module, gaps[host]) - module["gaps.start"][gaps][host], 0, before)
    total, blocked, unknown = int(dur.sum()), int(dur[sync].sum()), int(dur[unsure].sum())
    return InterStep(
        count=len(gaps),
        total_ns=total,
        tail_ns=int(tail.sum()),
        sync_ns=blocked,
        dispatch_ns=int((before - tail + call).sum()),
        unexplained_ns=unknown,
        rest_ns=total - blocked - unknown - int((before + call).sum()),
    )


def _mark_ends(module: Module, gaps: Array) -> Ints:
    """For each gap the end of the mark of the step before it; the gap's start where the step has no mark."""
    start = module["gaps.start"][gaps]
    if "group.mark" not in module or not len(gaps):
        return np.asarray(start)
    mark = module["group.mark"][module.tree("steps").at("step")[module["gaps.prev"][gaps]]]
    return np.where(mark >= 0, module.end[mark], start)


def _blame(module: Module, gaps: Array) -> tuple[Blame, ...]:
    """The names of blamed events by gap time, at most `TOP`."""
    gaps = gaps[module["gaps.blame"][gaps] >= 0]
    row, kind, dur = module["gaps.blame"][gaps], module["gaps.class"][gaps], module["gaps.dur"][gaps]
    keys = np.stack([module["name"][row], kind]).astype(np.int64)
    names, group = np.unique(keys, axis=1, return_inverse=True)
    total = np.zeros(names.shape[1], np.int64)
    np.add.at(total, group.ravel(), dur)
    texts = [module.strings[code] for code in names[0].tolist()]
    best = sorted(range(len(texts)), key=lambda at: (-int(total[at]), texts[at], int(names[1, at])))[:TOP]
    out = []
    for at in best:
        mine = np.flatnonzero(group.ravel() == at)
        example = int(row[mine[np.argmax(dur[mine])]])
        out.append(
            Blame(
                name=texts[at],
                gap_class=CLASSES[int(names[1, at])],
                count=len(mine),
                gap_ns=int(total[at]),
                example=int(module["id"][example]),
            )
        )
    return tuple(out)


def _longest(module: Module, gaps: Array, min_gap: int) -> Iterator[Gap]:
    """The `TOP` longest gaps above the threshold, longest first."""
    gaps = gaps[module["gaps.dur"][gaps] > min_gap]
    ids = module["id"]
    for gap in gaps[np.argsort(-module["gaps.dur"][gaps], kind="stable")[:TOP]].tolist():
        blame = int(module["gaps.blame"][gap])
        yield Gap(
            start_ns=int(module["gaps.start"][gap]),
            dur_ns=int(module["gaps.dur"][gap]),
            gap_class=CLASSES[int(module["gaps.class"][gap])],
            **{f"{part}_ns": _known(module[f"gaps.{part}"], gap) for part in ("host", "call", "post")},
            previous=int(ids[module["gaps.prev"][gap]]),
            next=int(ids[module["gaps.next"][gap]]),
            blame=int(ids[blame]) if blame >= 0 else None,
            end_of_step=bool(module["gaps.end_of_step"][gap]),
            polling=bool(module["gaps.polling"][gap]),
        )


def _known(values: Array, at: int) -> int | None:
    return None if values[at] == tir.NULL_I64 else int(values[at])


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


def broken(module: Module) -> list[str]:
    """The laws that `table:gaps` breaks, a sentence each; none if all hold."""
    out = []
    dur, known = module["gaps.dur"], module["gaps.host"] != tir.NULL_I64
    if (dur <= 0).any():
        out.append("a gap has to be at least 1 ns long.")
    parts: Ints = (module["gaps.host"] + module["gaps.call"] + module["gaps.post"])[known]
    if (parts != dur[known]).any():
        out.append("the parts of a gap have to make the gap.")
    found = [(f"device {number}", line) for number, line in _devices(module)]
    found += [(f"lane {module.lanes[which].name}", line) for which, line in _by_lane(module)]
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
        tir.Finding("hole", "warning", len(gaps), message, first, ("gaps.idle_ns", "overlap.idle_ns", "module.span_ns"))
    ]
