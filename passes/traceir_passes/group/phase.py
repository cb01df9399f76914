"""Phase: where, between two anchors, one layer ends and the next begins."""

from __future__ import annotations

import itertools
from collections import Counter

import attrs
import numpy as np

from traceir.ir import Array, Ints
from traceir_passes.group.borders import NORM_LETTERS, Allowed, grammar
from traceir_passes.group.similarity import aligned_cut
from traceir_passes.group.tokens import IS_CORE, LaneWork, heavies

MOST_VARIANTS = 4
"""Bodies of a run that are looked at: layers have few kinds."""
MOST_LOST = 3
"""Tokens that a body may lack to count as one that lost some; a variant of a layer differs by more."""


@attrs.frozen(eq=False)
class Course:
    """A run of layers as it lies on its lane: a window of it, and where in it each layer's first anchor stands.

    The window reaches from the lane's start, or from one place before what may belong to the run, to the lane's end
    or past that. `first` and `stop` bound what may belong to the run: separators, the window's ends, neighbouring
    runs. So a bound is at the window's edge only where it is at the lane's, and runs that look alike share a course.
    `variants` are the most frequent bodies from first anchor to first anchor, in tokens of all roles.
    """

    text: bytes
    names: Array
    at: tuple[int, ...]
    first: int
    stop: int
    variants: tuple[bytes, ...]

    @property
    def template(self) -> bytes:
        """The most frequent body."""
        return self.variants[0]

    @property
    def head(self) -> bytes:
        """What precedes the first anchor, back to the bound, at most a body long."""
        return self.text[max(self.first, self.at[0] - len(self.template)) : self.at[0]]

    @property
    def tail(self) -> bytes:
        """What follows from the last layer's first anchor on, up to the bound, at most two bodies long."""
        longest = max(len(body) for body in self.variants)
        return self.text[self.at[-1] : min(self.stop, self.at[-1] + 2 * longest)]


@attrs.define(eq=False)
class Courses:
    """The courses of one lane: runs that look alike, bounds and exact names included, get the same one."""

    work: LaneWork
    _variants: dict[tuple[bytes, bytes], tuple[bytes, ...]] = attrs.field(factory=dict)
    _known: dict[tuple[bytes, bytes, bytes, int, int], Course] = attrs.field(factory=dict)
    _allowed: dict[tuple[Course, bool], Allowed | None] = attrs.field(factory=dict)
    _laid: dict[tuple[Course, int], Layout] = attrs.field(factory=dict)
    _cuts: dict[tuple[bytes, bytes, int], int] = attrs.field(factory=dict)

    def course(self, at: Ints, first: int, stop: int) -> tuple[Course, int]:
        """The course of a run whose layers have their first anchors at the lane positions `at`, and its place."""
        variants = self._bodies(at)
        begin, end, text = int(at[0]), int(at[-1]), self.work.text
        low = max(first, begin - len(variants[0]))
        inside = first > 0 or begin > 2 * len(variants[0]) + 1  # too far in for the lane's start to cut its first layer
        base = low - 1 if inside else 0
        high = min(len(text), end + 2 * max(len(body) for body in variants) + 1)
        names = self.work.names[base:high]
        spots = at - base
        bounds = low - base if inside else 0, min(stop, high) - base
        key = (text[base:high], names.tobytes(), spots.tobytes(), *bounds)
        if key not in self._known:
            self._known[key] = Course(key[0], names, tuple(spots.tolist()), *bounds, variants)
        return self._known[key], base

    def _bodies(self, at: Ints) -> tuple[bytes, ...]:
        """The most frequent bodies between first anchors (the first of equally frequent ones).

        One that is a more frequent one with a few tokens lost is no variant of the layer but damage.
        """
        key = self.work.text[at[0] : at[-1]], (at - at[0]).tobytes()
        if key not in self._variants:
            bodies = [self.work.text[a:b] for a, b in itertools.pairwise(at.tolist())]
            variants: list[bytes] = []
            for body, _ in Counter(bodies).most_common(MOST_VARIANTS):
                if not any(_lost_some(body, other) for other in variants):
                    variants.append(body)
            self._variants[key] = tuple(variants)
        return self._variants[key]

    def allowed(self, run: Course, *, damage: bool) -> Allowed | None:
        """The offsets at which the layers of a course may begin."""
        if (run, damage) not in self._allowed:
            self._allowed[run, damage] = allowed(run, damage=damage)
        return self._allowed[run, damage]

    def lay(self, run: Course, offset: int) -> Layout:
        """The layers of a course, given the template offset at which one begins."""
        if (run, offset) not in self._laid:
            self._laid[(run, offset)] = lay(run, offset, self._cuts)
        return self._laid[(run, offset)]


@attrs.frozen(eq=False)
class Layout:
    """Where the layers of a run lie: `starts` has one position more than there are layers (the end)."""

    starts: tuple[int, ...]
    cut_first: bool
    cut_last: bool


def allowed(run: Course, *, damage: bool = False) -> Allowed | None:
    """The offsets at which a layer may begin, from the extents of the exact repeat; None if there are none.

    A layer has to repeat as a whole: the first one backwards from its anchor, the last one forwards. It should not
    begin later than the stretch that repeats by exact names, since that certainly belongs to it. An end of the
    window says nothing of the kind: there a layer may be cut. Roles of all rows decide; where compilers fused
    across the run's ends, core roles do. With `damage` the first layer may lack a kernel (`_back_with_loss`).
    """
    period = len(run.template)
    back = _common(run.head[::-1], run.template[::-1])
    if damage and run.at[0] - back > run.first:
        back = max(back, _back_with_loss(run))
    ahead = max(period - len(body) + _common(run.tail, body) for body in run.variants)
    names = min(_name_extent(run), back)
    if run.at[0] - back == 0 or (damage and back == period):
        names = 0  # what repeats before a run as a whole may be a layer that was not recognised
    if run.at[-1] + ahead == len(run.text):
        ahead = period - 1
    low, high = max(period - back, 0), min(ahead, period)
    if run.at[0] - back == 0 and not _may_begin(run.template, low):
        low = 0
    if low <= high:
        proper, core = grammar(run.template), _allowed_by_core(run)
        cut = run.at[0] - back == 0 and low != proper
        altered = not low <= proper <= high and core is not None and core.low <= proper <= core.high
        before = run.text[max(run.first - 1, run.at[0] - period - 1, 0) : run.at[0]][::-1]
        return Allowed(low, high, max(min(high, period - names), low), cut, altered, before)
    return _allowed_by_core(run)


def _back_with_loss(run: Course) -> int:
    """How much of the template precedes the first anchor if all that does is a layer that lost one kernel, else 0."""
    head = run.text[run.first : run.at[0]][::-1]
    if not 0 < len(head) < len(run.template) or run.first == 0:
        return 0
    same = _common(head, run.template[::-1])
    rest = run.template[::-1][same + 1 :]
    return len(head) + 1 if rest.startswith(head[same:]) else 0


def _may_begin(template: bytes, offset: int) -> bool:
    """Whether a layer may begin at an offset: at a norm, or with gemms right after one."""
    core = [k for k in range(len(template)) if IS_CORE[template[k]]]
    after = next((k for k in core if k >= offset), core[0])
    before = [k for k in core if k < after]
    return template[after] in NORM_LETTERS or (
        template[after] in b"g" and template[(before or core)[-1]] in NORM_LETTERS
    )


def _allowed_by_core(run: Course) -> Allowed | None:
    """The same on core tokens, mapped back to offsets of core tokens in the template."""
    template = np.frombuffer(run.template, np.uint8)
    places = np.flatnonzero(IS_CORE[template])
    core = template[places].tobytes()
    back = _common(_core_of(run.head)[::-1], core[::-1])
    ahead = _common(_core_of(run.tail), core)
    low, high = len(core) - back, ahead
    if low > high or low >= len(core):
        return None
    offsets = np.append(places, len(template))
    last = int(offsets[min(high, len(core))])
    return Allowed(int(offsets[low]), last, last)


def _core_of(text: bytes) -> bytes:
    """The core tokens without embeddings: inside a run these are position biases, which only a first layer makes."""
    letters = np.frombuffer(text, np.uint8)
    kept: Array = letters[IS_CORE[letters] & (letters != ord("E"))]
    return kept.tobytes()


def _common(left: bytes, right: bytes) -> int:
    """The length of the common beginning."""
    n = min(len(left), len(right))
    return next((k for k in range(n) if left[k] != right[k]), n)


def _name_extent(run: Course) -> int:
    """How far back from the first anchor exact names repeat those before some inner anchor."""
    names, start = run.names, run.at[0]
    best = 0
    for inner in run.at[1:5]:
        n = min(start - run.first, len(run.template), inner - start)
        same = names[start - n : start][::-1] == names[inner - n : inner][::-1]
        best = max(best, int(np.argmin(same)) if not same.all() else n)
    return best


def tolerant(run: Course) -> Allowed | None:
    """The allowed offsets when kernels were lost near the run's ends: extents of the best anchored alignment."""
    period = len(run.template)
    back = _anchored(run.head[::-1], run.template[::-1])
    ahead = _anchored(run.tail, run.template)
    return Allowed(period - back, ahead, ahead) if period - back <= ahead else None


def _anchored(text: bytes, template: bytes, band: int = 8) -> int:
    """How much of `template` the best alignment from the common start covers (match 1, gap or mismatch -1)."""
    width = len(text) + 1
    above = [-k for k in range(width)]
    best, reach = 0, 0
    for i, letter in enumerate(template, 1):
        row = [-i] + [-(10**6)] * (width - 1)
        for j in range(max(1, i - band), min(width, i + band + 1)):
            diagonal = above[j - 1] + (1 if text[j - 1] == letter else -1)
            row[j] = max(diagonal, above[j] - 1, row[j - 1] - 1)
            if row[j] > best and text[j - 1] == letter and diagonal == row[j]:
                best, reach = row[j], i
        above = row
    return reach


def damaged(run: Course) -> bool:
    """Whether an inner body is a frequent one that lost kernels: then the first and the last may have lost some too."""
    bodies = {run.text[a:b] for a, b in itertools.pairwise(run.at)}
    return any(_lost_some(body, variant) for body in bodies for variant in run.variants)


def _lost_some(body: bytes, whole: bytes) -> bool:
    """Whether a body is another one without a few of its tokens."""
    rest = iter(whole)
    return 0 < len(whole) - len(body) <= MOST_LOST and all(letter in rest for letter in body)


def lay(run: Course, offset: int, memo: dict[tuple[bytes, bytes, int], int]) -> Layout:
    """The layers' positions, given the template offset at which a layer begins. Distinct bodies are aligned once."""
    template, text = run.template, run.text
    starts = [0]
    for here, there in zip(run.at, run.at[1:], strict=False):
        body = text[here:there]
        key = (body, template, offset)
        if key not in memo:
            memo[key] = aligned_cut(body, template, offset)
        starts.append(here + memo[key])
    first, cut_first = _first(run, offset)
    end, cut_last = _last(run, offset)
    starts[0] = min(first, run.at[0])
    starts.append(max(end, run.at[-1] + 1))
    return Layout(tuple(starts), cut_first, cut_last)


def _first(run: Course, offset: int) -> tuple[int, bool]:
    """Where the first layer begins, and whether the window cuts it or one before it."""
    wanted = run.template[offset:]
    head = run.head[max(0, len(run.head) - len(wanted) - 4) :]
    if head.endswith(wanted):
        start = run.at[0] - len(wanted)
        return start, _is_fragment(run, start, wanted + run.template[:offset])
    here = run.at[0] - len(head)
    found = _aligned_ends(head, wanted)
    if found is None:
        return run.at[0], not head and run.first == 0 and heavies(wanted) > 0
    start, missing = found
    cut = start == 0 and here == 0 and heavies(wanted[:missing]) > 0
    return here + start, cut


def _is_fragment(run: Course, start: int, layer: bytes) -> bool:
    """Whether all that stands before the first layer, from the window's start on, is the rest of another one."""
    rest = run.text[:start]
    return run.first == 0 and 0 < start < len(layer) and layer.endswith(rest) and heavies(rest) > 0


def _last(run: Course, offset: int) -> tuple[int, bool]:
    """Where the last layer ends, and whether a separator or the end cuts it inside. Its body may be any variant."""
    best: tuple[int, int, bool] | None = None
    for body in run.variants:
        wanted = body[: aligned_cut(body, run.template, offset)]
        found = (0, -len(wanted), False) if run.tail.startswith(wanted) else _last_like(run, wanted)
        best = min(best, found) if best is not None else found
    if best is None or best[1] == 0:
        return run.at[-1] + 1, True
    return run.at[-1] - best[1], best[2]


def _last_like(run: Course, wanted: bytes) -> tuple[int, int, bool]:
    """What is missing of `wanted` after the last anchor, minus the length that is there, and whether it is cut."""
    tail = run.tail[: len(wanted) + 4]
    found = _aligned_ends(tail[::-1], wanted[::-1])
    if found is None:
        return len(wanted), 0, True
    length, missing = len(tail) - found[0], found[1]
    cut = run.at[-1] + length == run.stop and heavies(wanted[len(wanted) - missing :]) > 0
    return missing, -length, cut


def _aligned_ends(text: bytes, wanted: bytes) -> tuple[int, int] | None:
    """Where in `text` its likeness with `wanted` begins, and how much of `wanted` lies before that; None if nowhere.

    Both end at the same anchor, so the alignment runs backwards from there and stops where it would cost more
    than it gains.
    """
    back, front = text[::-1], wanted[::-1]
    reach = _anchored(back, front)
    if not reach:
        return None
    used = _anchored(front[:reach], back)
    return len(text) - used, len(wanted) - reach


def recurrence(names: Array, starts: tuple[int, ...]) -> float | None:
    """The chance-corrected share of exact names that recur in the next layer, or in the one after it.

    Only layers of equal length are compared, place by place, since a lost kernel shifts all that follow; None if
    fewer than half of the layers have such a partner.
    """
    begin, size = np.array(starts[:-1]), np.diff(starts)
    inside = names[starts[0] : starts[-1]]
    counts: Ints = np.unique(inside, return_counts=True)[1]
    chance = float(np.sum((counts / len(inside)) ** 2))
    best: float | None = None
    for lag in (1, 2):
        pairs = np.flatnonzero(size[lag:] == size[:-lag])
        if len(pairs) < 0.5 * (len(size) - lag) or not len(pairs):
            continue
        left = np.repeat(begin[pairs], size[pairs]) + _within(size[pairs])
        right = left + np.repeat(begin[pairs + lag] - begin[pairs], size[pairs])
        same = float(np.mean(names[left] == names[right]))
        share = (same - chance) / (1 - chance) if chance < 1 else 1.0
        best = share if best is None else max(best, share)
    return best


def _within(sizes: Array) -> Ints:
    """0 … size - 1 for each size, one after the other."""
    ends = np.cumsum(sizes)
    out: Ints = np.arange(int(ends[-1])) - np.repeat(ends - sizes, sizes)
    return out
