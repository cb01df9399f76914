"""Templates: which bodies are one template, and which op of it each event is an instance of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Final

import attrs
import numpy as np

from traceir.folding.align import Aligned, align
from traceir.folding.bodies import Bodies
from traceir.folding.work import Work
from traceir.ir import Array, Ints, Mask

ALIKE: Final = 0.7
"""The least similarity (twice the common tokens by all tokens) of a body with its template.

Halves of two layers have less in common (attention against MLP: 0.3 to 0.5); a layer that lost a quarter of its
events, or one at the border of a stack that a compiler fused otherwise, has more.
"""
TELLING: Final = ("attention", "linear-attention", "moe-gemm", "moe-route", "conv")
"""Roles that make a layer another kind of layer, whatever else it has in common with its neighbours."""
NAMED: Final = ("attention", "linear-attention")
"""Roles of which the kernel too makes the kind: sliding and full attention have one role and two kernels."""
APART: Final = 1.5
"""How many times longer attention takes in the layers of another kind: full attention against a sliding window.

Less may be chance of where the data lies, and then one median describes all layers well.
"""
_FEW: Final = 2
RARE: Final = 8
"""Layers that lack one telling op are damaged if whole ones are this many times as many, else a kind of layer.

Where other ops are missing as well, their share says how many layers must have lost a telling op (`likely`).
"""
ROUNDS: Final = 3
"""How often a template's text is made of its members and these are looked for again: it is steady after two."""
_STEADY: Final = 0.01
_SURE: Final = 3.0
"""Standard deviations by which a number may exceed what is expected of chance."""
MOST: Final = 16
"""Templates told apart in one stack. Programs have two or three; without structure every body would be one."""
_NAMES: Final = 64
"""More kernels than this of one role are no kinds of layers, but names that are drawn anew each time."""
_CELLS: Final = 1 << 21
"""Cells of a matrix of bodies that are aligned at once."""


@attrs.frozen(eq=False)
class Slots:
    """Instances sorted into templates, and events into the slots of these.

    `template` is each instance's, in order of the first instance of each. `slot` is the op that each event (in the
    order given) stands in: numbers from 0 to `slots - 1`, those of a template in order, no two templates sharing one.
    `line` is where in the template's text that is, whatever the instance lacks: 2·k + 1 for its token k, 2·k before it.
    """

    template: Ints
    templates: int
    slot: Ints
    slots: int
    line: Ints


def slotted(work: Work, at: Array, instance: Array, numbers: Array) -> Slots:
    """Sort instances into templates, and their events into slots. `instance` numbers those of `at` from 0.

    `numbers` are the instances' places in their stacks (layer 3 of each).

    Bodies are sequences of roles (names, where no pass told roles), lane by lane, since the order between lanes is
    chance. The most frequent body leads; others are of its template if they have the same telling roles and
    attention kernels and are alike, and are aligned with it by banded edit distance. What most of these have makes the
    template's text: so a template is whole though each of its layers lost events, and a layer that lacks no more than
    the share of lost events makes likely is one of its layers. Each distinct body is looked at a few times:
    O(n log n) in events and O(bodies x length x band).
    """
    return _parted(work, at, instance, numbers, _by_body(work, at, instance))


def _by_body(work: Work, at: Array, instance: Array) -> Slots:
    token = _tokens(work, at)
    lanes = np.unique(work.lane[at], return_inverse=True)[1]
    bodies = Bodies.of(instance, token, lanes)
    texts, joined = _clusters(bodies, _Kinds.of(work, at[bodies.order], bodies))
    slot, line = np.zeros(len(at), np.int64), np.zeros(len(at), np.int64)
    slots = 0
    for number, text in enumerate(texts):
        members = np.flatnonzero(joined == number)
        slots += _fill(bodies, text, members, slot, line, slots)
    first = np.full(len(texts), len(bodies.body))
    template = joined[bodies.body]
    np.minimum.at(first, template, np.arange(len(template)))
    rank = np.empty(len(texts), np.int64)
    rank[np.argsort(first)] = np.arange(len(texts))
    out = np.empty((2, len(at)), np.int64)
    out[:, bodies.order] = slot, line
    return Slots(rank[template], len(texts), out[0], slots, out[1])


def _parted(work: Work, at: Array, instance: Array, numbers: Array, slots: Slots) -> Slots:
    """Templates parted in two where attention takes clearly longer in some of their layers than in the others.

    One kernel may do sliding and full attention, which only its time tells. The layers' numbers (their medians over
    like stacks) are parted at the greatest ratio of neighbours, if that is `APART` at least, both parts are tight
    beside it, and neither is a layer alone. Only layers with all kernels of their attention say how long it takes.
    """
    named = _is_role(work, work.role[at], NAMED)
    time = np.bincount(instance[named], weights=work.dur[at[named]], minlength=len(numbers))
    kernels = np.bincount(instance[named], minlength=len(numbers))
    template, count = slots.template.copy(), slots.templates
    for number in range(slots.templates):
        mine = np.flatnonzero(slots.template == number)
        whole = kernels[mine] == int(np.bincount(kernels[mine]).argmax())
        longer = _longer(numbers[mine], time[mine], whole)
        if longer is not None:
            template[mine[longer]] = count
            count += 1
    if count == slots.templates:
        return slots
    first = np.full(count, len(template))
    np.minimum.at(first, template, np.arange(len(template)))
    rank = np.argsort(np.argsort(first))
    slot = np.unique(slots.slot + slots.slots * rank[template][instance], return_inverse=True)[1]
    return Slots(rank[template], count, slot, int(slot.max()) + 1, slots.line)


def _longer(numbers: Array, time: Array, whole: Mask) -> Mask | None:
    """Which instances are those of the longer part; None where the times of `whole` ones make no two parts."""
    found, inverse = np.unique(numbers[whole], return_inverse=True)
    if len(found) < 2 * _FEW:
        return None
    order = np.lexsort((time[whole], inverse))
    bounds = np.searchsorted(inverse[order], np.arange(len(found) + 1))
    middle = np.array([np.median(time[whole][order[a:b]]) for a, b in pairwise(bounds.tolist())])
    ordered = np.sort(middle)
    if ordered[0] <= 0:
        return None
    ratio = ordered[1:] / ordered[:-1]
    cut = int(np.argmax(ratio)) + 1
    tight = max(ordered[cut - 1] / ordered[0], ordered[-1] / ordered[cut]) <= np.sqrt(ratio[cut - 1])
    if ratio[cut - 1] < APART or not tight or min(cut, len(found) - cut) < _FEW:
        return None
    return np.isin(numbers, found[middle >= ordered[cut]])


def _tokens(work: Work, at: Array) -> Ints:
    """A number for each event: its role's, else its name's."""
    role, codes = work.role[at].astype(np.int64), len(work.module.strings)
    code = np.where(role >= 0, role, codes + work.symbol[at])
    named = np.flatnonzero(_is_role(work, role, NAMED))
    names = work.module["name"][work.rows[at[named]]]
    if len(np.unique(names)) <= _NAMES:
        code[named] = 2 * codes + names
    return np.unique(code, return_inverse=True)[1].astype(np.int64)


def _is_role(work: Work, role: Array, names: Sequence[str]) -> Mask:
    strings = work.module.strings
    return np.isin(role, [code for name in names if (code := strings.code(name)) >= 0])


@attrs.frozen(eq=False, slots=False)
class _Kinds:
    """What makes each body the kind of layer it is: how many of each telling role it has, and a bit per kernel."""

    roles: Ints
    names: Array
    count: Ints
    size: Ints

    @classmethod
    def of(cls, work: Work, ordered: Array, bodies: Bodies) -> _Kinds:
        """The kinds of the bodies of events in the bodies' order."""
        strings, role = work.module.strings, work.role[ordered]
        owner = np.repeat(np.arange(len(bodies.size)), bodies.size)
        shown = np.zeros(len(bodies.size), np.int64)
        shown[bodies.example] = np.arange(1, len(bodies) + 1)  # bodies are told by their examples alone
        of = shown[owner] - 1
        roles = np.zeros((len(bodies), len(TELLING)), np.int64)
        for number, name in enumerate(TELLING):
            code = strings.code(name)
            if code >= 0:
                np.add.at(roles[:, number], of[(role == code) & (of >= 0)], 1)
        named = (of >= 0) & _is_role(work, role, NAMED)
        kernels, bit = np.unique(work.module["name"][work.rows[ordered[named]]], return_inverse=True)
        names = np.zeros(len(bodies), np.uint64)
        if 1 < len(kernels) <= _NAMES:
            np.bitwise_or.at(names, of[named], np.uint64(1) << bit.astype(np.uint64))
        return cls(roles, names, bodies.count, bodies.lengths())

    @cached_property
    def alike(self) -> Ints:
        """How many instances have the telling roles and kernels of each body."""
        kind = np.column_stack([(self.roles > 0).astype(np.uint64), self.names])
        _, same = np.unique(kind, axis=0, return_inverse=True)
        return np.asarray(np.bincount(same.ravel(), weights=self.count).astype(np.int64)[same.ravel()])

    def leader(self, open_: Ints) -> int:
        """The body that leads next: of the most frequent kind the most frequent one, and of such the longest."""
        return int(open_[np.lexsort((open_, -self.size[open_], -self.count[open_], -self.alike[open_]))[0]])

    def fit(self, leader: int, lost: float) -> Mask:
        """Which bodies are of the leader's kind, damaged ones among them, if a share `lost` of the events is lost."""
        has, wanted = self.roles > 0, self.roles[leader] > 0
        same = (has == wanted).all(axis=1) & (self.names == self.names[leader])
        within = ~(has & ~wanted).any(axis=1) & ((self.names & ~self.names[leader]) == 0)
        missing = np.where(wanted & ~has, self.roles[leader], 0).sum(axis=1)
        expected = self.alike[leader] * (lost / (1 - lost)) ** missing
        likely = self.alike <= expected + _SURE * np.sqrt(expected)
        rare = (self.alike * RARE <= self.alike[leader]) & (missing <= 1)
        return np.asarray(same | (within & (rare | likely)))


@attrs.frozen(eq=False)
class _Found:
    """What stands around a leader: the template's text, and how alike each body is; `within` those that only lack."""

    text: Ints
    like: Array
    within: Mask


def _clusters(bodies: Bodies, kinds: _Kinds) -> tuple[list[Ints], Ints]:
    """The texts of the templates, and for each body the position of its template among them: the nearest."""
    joined, best = np.full(len(bodies), -1), np.zeros(len(bodies))
    settled = np.zeros(len(bodies), bool)
    texts: list[Ints] = []
    size = bodies.lengths()
    while (open_ := np.flatnonzero(joined < 0)).size and len(texts) < MOST:
        leader = kinds.leader(open_)
        found = _around(bodies, kinds, leader)
        better = (found.like > best) & ~settled
        better[leader] = True
        joined[better], best[better] = len(texts), found.like[better]
        best[leader] = 2.0
        settled |= better & found.within
        texts.append(found.text)
    lengths = np.array([len(text) for text in texts])
    for body in np.flatnonzero(joined < 0).tolist():  # without structure: to the one that is nearest in length
        joined[body] = int(np.argmin(np.abs(lengths - size[body])))
    return texts, joined


def _around(bodies: Bodies, kinds: _Kinds, leader: int) -> _Found:
    """The text that most bodies around a leader have, and the bodies that are alike to it.

    A body is alike if it has enough in common with the text, or lacks no more of it than events are lost by chance and
    has nothing else.
    """
    size = bodies.lengths()
    text, lost = bodies.matrix(np.array([leader]))[0], 0.0
    for _ in range(ROUNDS):
        fewer = len(text) * lost + _SURE * np.sqrt(len(text) * lost * (1 - lost))
        damaged = (size <= len(text)) & (size >= len(text) - fewer)
        near = 2 * np.minimum(size, len(text)) >= ALIKE * (size + len(text))
        like, within = np.zeros(len(bodies)), np.zeros(len(bodies), bool)
        parts = []
        for part in _parts(bodies, np.flatnonzero(kinds.fit(leader, lost) & (near | damaged))):
            found, codes = _aligned(bodies, text, part)
            like[part] = 1 - found.distance / (size[part] + len(text))
            within[part] = found.distance == len(text) - size[part]
            parts.append((part, codes))
        like[(like < ALIKE) & ~(within & damaged)] = 0
        before = text, lost
        text, lost = _consensus(bodies, text, [(codes[like[part] > 0], part[like[part] > 0]) for part, codes in parts])
        if np.array_equal(text, before[0]) and abs(lost - before[1]) < _STEADY:
            break
    return _Found(text, like, within & (like > 0))


def _consensus(bodies: Bodies, text: Ints, members: Sequence[tuple[Ints, Ints]]) -> tuple[Ints, float]:
    """The text that most of a template's bodies have, given their tokens' codes, and the share that they lack of it.

    That is the median over the text's tokens: an op that only some layers have is nothing lost.
    """
    most, tokens = _widths(bodies)
    stride = tokens * most + 1
    count = sum(int(bodies.count[part].sum()) for _, part in members)
    weight, offset = Counter[int](), Counter[int]()
    for codes, part in members:
        found, back = np.unique(codes, return_inverse=True)
        times = np.broadcast_to(bodies.count[part][:, None], codes.shape).ravel()
        column = np.arange(codes.shape[1])
        matched = np.where((codes % stride == stride - 1) & (codes >= 0), column, -1)
        behind = column - np.maximum.accumulate(matched, axis=1)
        weights = np.bincount(back.ravel(), weights=times)
        offsets = np.bincount(back.ravel(), weights=times * behind.ravel())
        weight.update(dict(zip(found.tolist(), weights.tolist(), strict=True)))
        offset.update(dict(zip(found.tolist(), offsets.tolist(), strict=True)))
    kept = [code for code in weight if code >= 0 and 2 * weight[code] > count - (code % stride == stride - 1)]
    kept.sort(key=lambda code: (code // stride, code % stride == stride - 1, offset[code] / weight[code], code))
    made = [int(text[code // stride]) if code % stride == stride - 1 else code % stride // most for code in kept]
    lost = 1 - float(np.median([weight[code] for code in kept])) / count if kept else 0.0
    return np.array(made, np.int64), min(lost, 0.5)


def _parts(bodies: Bodies, which: Ints) -> Iterator[Ints]:
    """Some bodies in parts of like length that can be held as matrices."""
    size = bodies.lengths()[which]
    ordered = which[np.argsort(size, kind="stable")]
    rows = max(1, _CELLS // max(int(size.max(initial=0)), 1))
    for low in range(0, len(ordered), rows):
        yield ordered[low : low + rows]


def _aligned(bodies: Bodies, text: Ints, part: Ints) -> tuple[Aligned, Ints]:
    """Some bodies aligned with a text, and the code of each of their tokens' slots."""
    matrix = bodies.matrix(part)
    found = align(text, matrix, bodies.lengths()[part])
    return found, _codes(matrix, found.place, len(text), *_widths(bodies))


def _widths(bodies: Bodies) -> tuple[int, int]:
    """What codes of slots are made with, one for all parts: more than any body's tokens, and than any token."""
    return int(bodies.size.max(initial=0)) + 1, int(bodies.token.max(initial=0)) + 1


def _fill(bodies: Bodies, text: Ints, members: Ints, slot: Ints, line: Ints, base: int) -> int:
    """Write the slots of the events of one template, from `base` on, and their lines; how many slots there are.

    A slot for each token of the text, and one for each further token that some body has in a gap of the text: the
    k-th such token of a kind in that gap.
    """
    found = [(part, _aligned(bodies, text, part)[1]) for part in _parts(bodies, members)]
    kinds = np.unique(np.concatenate([codes[codes >= 0] for _, codes in found]))
    most, tokens = _widths(bodies)
    stride = tokens * most + 1
    for part, codes in found:
        width = codes.shape[1]
        row = np.full(len(bodies), -1)
        row[part] = np.arange(len(part))
        instances = np.flatnonzero(row[bodies.body] >= 0)
        mine = row[bodies.body[instances]]
        within = np.arange(width)
        inside = within < bodies.size[instances][:, None] if width else np.zeros((len(instances), 0), bool)
        rank = np.searchsorted(kinds, codes)
        at = bodies.first[instances][:, None] + within
        slot[at[inside]] = base + rank[mine][inside]
        line[at[inside]] = (2 * (codes // stride) + (codes % stride == stride - 1))[mine][inside]
    return len(kinds)


def _codes(matrix: Ints, places: Ints, end: int, most: int, tokens: int) -> Ints:
    """A code for each token's slot, in the order of slots; -1 behind a body's end.

    Before the text's g-th token come those that it lacks there: by kind, and the first of a kind first.
    """
    stride = tokens * most + 1
    codes = np.where(places >= 0, places * stride + tokens * most, -1)
    gap = -1 - places
    ordinal = np.zeros_like(matrix)
    for k in np.flatnonzero((places < 0).any(axis=0)).tolist():  # how many of the same kind precede it in its gap
        same = (gap[:, :k] == gap[:, k : k + 1]) & (matrix[:, :k] == matrix[:, k : k + 1]) & (places[:, k : k + 1] < 0)
        ordinal[:, k] = same.sum(axis=1)
    codes = np.where(places < 0, gap * stride + matrix * most + ordinal, codes)
    return np.where((matrix < 0) | (places == end), -1, codes)
