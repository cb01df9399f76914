"""Layers from the device's own work: anchors find and count them, repeats confirm them, phase parts them."""

from __future__ import annotations

import bisect
import itertools
from collections import Counter
from collections.abc import Sequence

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Ints
from traceir_passes.group.anchors import Finder, Run
from traceir_passes.group.attentions import find_anchors, segments
from traceir_passes.group.borders import Border, choose, choose_backward
from traceir_passes.group.laws import dispatches_hold, reductions_hold
from traceir_passes.group.phase import Course, Courses, Layout, damaged, recurrence, tolerant
from traceir_passes.group.repeats import Repeat, tandem_repeats
from traceir_passes.group.stack import Direction, Stack
from traceir_passes.group.tokens import LaneWork

BOTH, ONE = 0.90, 0.60
MOST_MISSED = 2
"""Layers that a run may lack for losses to be why: more anchors are seldom lost so that none is put back."""
LEAST_SURE = 3
"""Layers above which one odd body says nothing against the others."""


@attrs.frozen
class DeviceOptions:
    """The options of the group pass that the device methods use."""

    similarity: float
    min_layers: int
    max_period: int
    max_odd: int
    autocorrelation: float


@attrs.frozen(eq=False)
class _Found:
    """A run with its place on the lane, between bounds, and how far method A confirms it."""

    direction: Direction
    at: Ints
    first: int
    stop: int
    odd: int
    agreed: bool


@attrs.frozen(eq=False)
class _Laid:
    """A run laid out: its course and where that lies on the lane, its layers, and how sure their border is."""

    found: _Found
    course: Course
    base: int
    layout: Layout
    border: Border


@attrs.frozen(eq=False)
class _Pattern:
    """What runs of one layout share: the layer of each of their rows, and the checks."""

    layer: Ints
    checks: dict[str, bool]


def device_stacks(module: tir.Module, work: LaneWork, cuts: Ints, options: DeviceOptions) -> list[Stack]:
    """All stacks of one lane, in order of time. Rule order: anchors count, repeats confirm, phase parts."""
    if not len(work.core):
        return []
    segment, _ = segments(work, cuts)
    laid = _laid(_find(module, work, segment, options), Courses(work))
    patterns: dict[tuple[Layout, bool, int], _Pattern] = {}
    stacks = [_stack(work, item, patterns, options) for item in laid]
    return [
        stack if sure else attrs.evolve(stack, checks={**stack.checks, "like_counts": False})
        for stack, sure in zip(stacks, _like_counts(laid), strict=True)
    ]


def _like_counts(laid: list[_Laid]) -> list[bool]:
    """Whether each run has as many layers as its like, or others than all of them by more than losses make.

    Asked only where kernels were lost: then a run that is alone with its number, one or two beside that of a like one,
    has likely lost an anchor that was not put back. Else they may be passes of different depth.
    """
    groups: dict[tuple[bytes, Direction], list[int]] = {}
    for k, item in enumerate(laid):
        if not (item.layout.cut_first or item.layout.cut_last):
            groups.setdefault((item.course.template, item.found.direction), []).append(k)
    out = [True] * len(laid)
    for members in groups.values():
        counts = Counter(len(laid[k].found.at) for k in members)
        if len(counts) < 2 or not any(damaged(laid[k].course) for k in members):
            continue
        for k in members:
            mine = len(laid[k].found.at)
            near = any(0 < abs(other - mine) <= MOST_MISSED for other in counts)
            out[k] = counts[mine] > 1 or not near
    return out


def _laid(found: list[_Found], courses: Courses) -> list[_Laid]:
    """The runs of a lane laid out in order; a run's end bounds the next, whose phase it may decide."""
    firsts = [item.first for item in found]
    placed = [courses.course(item.at, item.first, item.stop) for item in found]
    out: list[_Laid] = []
    for _ in range(2):
        offsets = _phases([(course, item.direction) for item, (course, _) in zip(found, placed, strict=True)], courses)
        out, bounded, bound = [], [], 0
        for k, item in enumerate(found):
            first = min(max(firsts[k], bound), int(item.at[0]))
            course, base = placed[k] if first == firsts[k] else courses.course(item.at, first, item.stop)
            border = offsets[course.template, item.direction]
            layout = courses.lay(course, border.offset)
            out.append(_Laid(item, course, base, layout, border))
            bounded.append(first)
            bound = base + layout.starts[-1]
        if bounded == firsts:
            break
        firsts, placed = bounded, [(item.course, item.base) for item in out]
    return out


def _find(module: tir.Module, work: LaneWork, segment: Ints, options: DeviceOptions) -> list[_Found]:
    """The runs of both directions in order of time, each within its bounds."""
    borders = segment[work.core]
    pairs: list[tuple[Direction, Run]] = []
    for direction, anchors in find_anchors(work, segment, module).items():
        finder = Finder(options.similarity, options.min_layers, options.max_period, options.max_odd)
        side: Direction = "backward" if direction == "backward" else "forward"
        pairs += [(side, run) for run in finder.runs(anchors, work.core_text, borders)]
    if not pairs:
        return []
    pairs = _apart(sorted(pairs, key=lambda pair: int(pair[1].at[0])), options.min_layers)
    repeats = tandem_repeats(work.tokens[work.core], borders, max_period=options.max_period)
    lows = np.searchsorted(segment, [run.segment for _, run in pairs], side="left").tolist()
    highs = np.searchsorted(segment, [run.segment for _, run in pairs], side="right").tolist()
    places = [work.core[run.at] for _, run in pairs]
    begins = [int(at[0]) for at in places]
    known: dict[tuple[bytes, tuple[Repeat, ...]], bool] = {}
    out = []
    for i, (direction, run) in enumerate(pairs):
        stop = min([highs[i], *(begin for begin in begins[i + 1 : i + 2] if begin > places[i][-1])])
        agreed = _agree(run, repeats, known)
        out.append(_Found(direction, places[i], lows[i], stop, run.odd, agreed))
    return out


def _apart(pairs: list[tuple[Direction, Run]], min_layers: int) -> list[tuple[Direction, Run]]:
    """Runs in order without what an earlier one spans: an anchor that was put back may lie in the next pass."""
    out: list[tuple[Direction, Run]] = []
    last = -1
    for side, run in pairs:
        kept = run.at[run.at > last]
        if len(kept) >= min_layers or len(kept) == len(run.at):
            out.append((side, attrs.evolve(run, at=kept)))
            last = int(kept[-1])
    return out


def _agree(run: Run, repeats: list[Repeat], known: dict[tuple[bytes, tuple[Repeat, ...]], bool]) -> bool:
    """Whether repeats confirm a run; runs and repeats that lie alike are compared once."""
    begin, end = int(run.at[0]), int(run.at[-1])
    start = bisect.bisect_right(repeats, begin, key=lambda repeat: repeat.stop)
    near = itertools.takewhile(lambda repeat: repeat.start <= end, itertools.islice(repeats, start, None))
    moved = tuple(Repeat(repeat.start - begin, repeat.stop - begin, repeat.period) for repeat in near)
    firsts = run.at - begin
    key = firsts.tobytes(), moved
    if key not in known:
        known[key] = _covered(firsts, moved)
    return known[key]


def _covered(firsts: Ints, repeats: Sequence[Repeat]) -> bool:
    """Whether repeats cover a run's anchors: all but one layer at each end of a repeat (borders may be fused).

    A repeat counts if its body holds whole layers: the same number of layers in every period.
    """
    covered, used = 0, 0
    for repeat in repeats:
        inside = firsts[(firsts >= repeat.start) & (firsts < repeat.stop)]
        phases = (inside - repeat.start) % repeat.period
        if len(inside) and len(set(np.unique(phases, return_counts=True)[1].tolist())) <= 2:
            covered += len(inside)
            used += 1
    return used > 0 and covered >= len(firsts) - 2 * used


def _phases(runs: list[tuple[Course, Direction]], courses: Courses) -> dict[tuple[bytes, Direction], Border]:
    """The offset of the layer border in each template of each direction, decided by all runs that share it."""
    groups: dict[tuple[bytes, Direction], list[Course]] = {}
    for item, side in runs:
        groups.setdefault((item.template, side), []).append(item)
    out = {}
    for (template, side), members in groups.items():
        damage = any(map(damaged, members))
        ranges = [courses.allowed(member, damage=damage) for member in members]
        if not any(ranges):
            ranges = [tolerant(member) for member in members[:8]]
        chosen = choose_backward if side == "backward" else choose
        out[template, side] = chosen(template, ranges, damage=damage)
    return out


def _stack(
    work: LaneWork, item: _Laid, patterns: dict[tuple[Layout, bool, int], _Pattern], options: DeviceOptions
) -> Stack:
    """The stack of a run that has been laid out, with its checks."""
    starts = item.layout.starts
    key = item.layout, item.found.agreed, item.found.odd
    if key not in patterns:
        layer = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        patterns[key] = _Pattern(layer, _checks(item, layer, options))
    return Stack(
        lane=work.lane,
        evidence="device",
        direction=item.found.direction,
        layers=len(starts) - 1,
        rows=work.rows[item.base + starts[0] : item.base + starts[-1]],
        layer=patterns[key].layer,
        start=BOTH if item.found.agreed else ONE,
        checks=patterns[key].checks,
        cut=item.layout.cut_first or item.layout.cut_last,
        guessed=item.border.guessed,
    )


def _checks(item: _Laid, layer: Ints, options: DeviceOptions) -> dict[str, bool]:
    """Independent checks: exact names recur (on sound traces), bodies are alike, counts of collectives agree."""
    layout, starts = item.layout, item.layout.starts
    tokens = np.frombuffer(item.course.text[starts[0] : starts[-1]], np.uint8)
    checks: dict[str, bool] = {}
    layers = len(item.found.at)
    alike = item.found.odd <= max(0.1 * layers, 1 if layers > LEAST_SURE else 0)
    if item.found.agreed:
        share = recurrence(item.course.names, starts)
        if share is not None:
            checks["autocorrelation"] = share >= options.autocorrelation
    if not (item.found.agreed and alike):
        checks["like_bodies"] = alike
    if item.border.doubted:
        checks["border"] = False
    if item.found.direction == "backward" or layout.cut_first or layout.cut_last:
        return checks  # reductions of gradients come as buckets fill, and what the window cut off was not counted
    course, inside = item.course, starts[-1] - starts[0]
    head, tail = course.text[course.first : starts[0]], course.text[starts[-1] : course.stop][: inside // layers]
    beside = sum(head.count(letter) + tail.count(letter) for letter in (b"R", b"X", b"F"))
    laws = {
        "collectives": reductions_hold(tokens, layer, len(starts) - 1, beside),
        "dispatch_combine": dispatches_hold(tokens, layer, len(starts) - 1),
    }
    checks.update({name: holds for name, holds in laws.items() if holds is not None})
    return checks
