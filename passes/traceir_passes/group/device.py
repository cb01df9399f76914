"""Layers from the device's own work: anchors find and count them, repeats confirm them, phase parts them."""

from __future__ import annotations

import bisect
import itertools

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Ints
from traceir_passes.group.anchors import Finder, Run, find_anchors, segments
from traceir_passes.group.phase import Course, Layout, allowed, choose, course, lay, recurrence, tolerant
from traceir_passes.group.repeats import Repeat, tandem_repeats
from traceir_passes.group.stack import Direction, Stack
from traceir_passes.group.tokens import LaneWork

BOTH, ONE = 0.90, 0.60
MOST = 0.9
"""Share of layers that have to hold equally many reductions; a lost kernel or two break no law."""


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
    """A run with its place on the lane and how far method A confirms it."""

    direction: Direction
    run: Run
    course: Course
    agreed: bool


def device_stacks(module: tir.Module, work: LaneWork, cuts: Ints, options: DeviceOptions) -> list[Stack]:
    """All stacks of one lane, in order of time. Rule order: anchors count, repeats confirm, phase parts."""
    if not len(work.core):
        return []
    segment, _ = segments(work, cuts)
    found = _find(module, work, segment, options)
    layouts, guesses = _laid(found)
    return [
        _stack(work, item, layout, guess, options) for item, layout, guess in zip(found, layouts, guesses, strict=True)
    ]


def _laid(found: list[_Found]) -> tuple[list[Layout], list[bool]]:
    """The layouts of the runs of a lane in order; a run's end bounds the next, whose phase it may decide."""
    memo: dict[tuple[bytes, bytes, int], int] = {}
    courses = [item.course for item in found]
    layouts: list[Layout] = []
    offsets: dict[bytes, tuple[int, bool]] = {}
    for _ in range(2):
        offsets = _phases(courses)
        layouts, bounded, bound = [], [], 0
        for item in courses:
            placed = attrs.evolve(item, first=max(item.first, bound))
            layouts.append(lay(placed, offsets[item.template][0], memo))
            bounded.append(placed)
            bound = layouts[-1].starts[-1]
        if all(new.first == old.first for new, old in zip(bounded, courses, strict=True)):
            break
        courses = bounded
    return layouts, [offsets[item.template][1] for item in courses]


def _find(module: tir.Module, work: LaneWork, segment: Ints, options: DeviceOptions) -> list[_Found]:
    """The runs of both directions in order of time, each within its bounds."""
    pairs: list[tuple[Direction, Run]] = []
    for direction, anchors in find_anchors(work, segment, module).items():
        finder = Finder(options.similarity, options.min_layers, options.max_period, options.max_odd)
        side: Direction = "backward" if direction == "backward" else "forward"
        pairs += [(side, run) for run in finder.runs(anchors, work.core_text, segment[work.core])]
    if not pairs:
        return []
    pairs.sort(key=lambda pair: pair[1].layers[0])
    repeats = tandem_repeats(work.tokens[work.core], segment[work.core], max_period=options.max_period)
    lows = np.searchsorted(segment, [run.segment for _, run in pairs], side="left")
    highs = np.searchsorted(segment, [run.segment for _, run in pairs], side="right")
    begins = [int(work.core[run.layers[0][0]]) for _, run in pairs]
    out = []
    for i, (direction, run) in enumerate(pairs):
        at = tuple(work.core[[layer[0] for layer in run.layers]].tolist())
        stop = min([int(highs[i]), *(begin for begin in begins[i + 1 : i + 2] if begin > at[-1])])
        placed = course(work, at, int(lows[i]), stop)
        out.append(_Found(direction, run, placed, _agree(run, repeats)))
    return out


def _agree(run: Run, repeats: list[Repeat]) -> bool:
    """Whether repeats cover the run's anchors: all but one layer at each end of a repeat (borders may be fused).

    A repeat counts if its body holds whole layers: the same number of layers in every period.
    """
    firsts = np.array([layer[0] for layer in run.layers])
    covered, used = 0, 0
    start = bisect.bisect_right(repeats, int(firsts[0]), key=lambda repeat: repeat.stop)
    for repeat in itertools.islice(repeats, start, None):
        if repeat.start > firsts[-1]:
            break
        inside = firsts[(firsts >= repeat.start) & (firsts < repeat.stop)]
        phases = (inside - repeat.start) % repeat.period
        if len(inside) and len(set(np.unique(phases, return_counts=True)[1].tolist())) <= 2:
            covered += len(inside)
            used += 1
    return used > 0 and covered >= len(firsts) - 2 * used


def _phases(courses: list[Course]) -> dict[bytes, tuple[int, bool]]:
    """The offset of the layer border in each template, decided by all runs that share it."""
    groups: dict[bytes, list[Course]] = {}
    for item in courses:
        groups.setdefault(item.template, []).append(item)
    out = {}
    for template, members in groups.items():
        ranges = [allowed(member) for member in members]
        if not any(ranges):
            ranges = [tolerant(member) for member in members[:8]]
        out[template] = choose(template, ranges)
    return out


def _stack(work: LaneWork, item: _Found, layout: Layout, guessed: bool, options: DeviceOptions) -> Stack:
    """The stack of a run that has been laid out, with its checks."""
    starts = layout.starts
    sizes = [b - a for a, b in itertools.pairwise(starts)]
    layer = np.repeat(np.arange(len(sizes)), sizes)
    rows = work.rows[starts[0] : starts[-1]]
    return Stack(
        lane=work.lane,
        evidence="device",
        direction=item.direction,
        layers=len(sizes),
        rows=rows,
        layer=layer,
        start=BOTH if item.agreed else ONE,
        checks=_checks(work, item, layout, options),
        cut=layout.cut_first or layout.cut_last,
        guessed=guessed,
    )


def _checks(work: LaneWork, item: _Found, layout: Layout, options: DeviceOptions) -> dict[str, bool]:
    """Independent checks: exact names recur (on sound traces), bodies are alike, counts of collectives agree."""
    starts = layout.starts
    tokens = work.tokens[starts[0] : starts[-1]]
    layer = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    checks: dict[str, bool] = {}
    if item.agreed:
        share = recurrence(work.names, starts)
        if share is not None:
            checks["autocorrelation"] = share >= options.autocorrelation
    else:
        checks["like_bodies"] = item.run.odd <= 0.1 * len(item.run.layers)
    reductions = np.bincount(layer[np.isin(tokens, _REDUCTIONS)], minlength=len(starts) - 1)
    if reductions.any() and not (layout.cut_first or layout.cut_last):
        checks["collectives"] = float(np.mean(reductions == np.bincount(reductions).argmax())) >= MOST
    sent, got = int((tokens == ord(">")).sum()), int((tokens == ord("<")).sum())
    if sent or got:
        checks["dispatch_combine"] = sent == got
    return checks


_REDUCTIONS: Array = np.frombuffer(b"RXF", np.uint8)
