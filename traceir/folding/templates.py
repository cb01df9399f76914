"""Templates: which bodies are one template, and which op of it each event is an instance of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

import attrs
import numpy as np

from traceir.folding.align import align
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
"""A body that lacks one telling op is damage if its leader is this many times as frequent, else a kind of layer."""
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
    """

    template: Ints
    templates: int
    slot: Ints
    slots: int


def slotted(work: Work, at: Array, instance: Array, numbers: Array) -> Slots:
    """Sort instances into templates, and their events into slots. `instance` numbers those of `at` from 0.

    `numbers` are the instances' places in their stacks (layer 3 of each).

    Bodies are sequences of roles (names, where no pass told roles), lane by lane, since the order between lanes is
    chance. The most frequent body leads; others are of its template if they have the same telling roles and
    attention kernels and are alike, and are aligned with it by banded edit distance. Each distinct body is looked at
    once: O(n log n) in events and O(bodies x length x band).
    """
    return _parted(work, at, instance, numbers, _by_body(work, at, instance))


def _by_body(work: Work, at: Array, instance: Array) -> Slots:
    token = _tokens(work, at)
    lanes = np.unique(work.lane[at], return_inverse=True)[1]
    bodies = Bodies.of(instance, token, lanes)
    leaders, joined = _clusters(bodies, _Kinds.of(work, at[bodies.order], bodies))
    slot = np.zeros(len(at), np.int64)
    slots = 0
    for number, leader in enumerate(leaders):
        members = np.flatnonzero(joined == number)
        slots += _fill(bodies, leader, members, slot, slots)
    first = np.full(len(leaders), len(bodies.body))
    template = joined[bodies.body]
    np.minimum.at(first, template, np.arange(len(template)))
    rank = np.empty(len(leaders), np.int64)
    rank[np.argsort(first)] = np.arange(len(leaders))
    out = np.empty(len(at), np.int64)
    out[bodies.order] = slot
    return Slots(rank[template], len(leaders), out, slots)


def _parted(work: Work, at: Array, instance: Array, numbers: Array, slots: Slots) -> Slots:
    """Templates parted in two where attention takes clearly longer in some of their layers than in the others.

    One kernel may do sliding and full attention, which only its time tells. The layers' numbers (their medians over
    like stacks) are parted at the greatest ratio of neighbours, if that is `APART` at least, both parts are tight
    beside it, and neither is a layer alone.
    """
    named = _is_role(work, work.role[at], NAMED)
    time = np.bincount(instance[named], weights=work.dur[at[named]], minlength=len(numbers))
    template, count = slots.template.copy(), slots.templates
    for number in range(slots.templates):
        mine = np.flatnonzero(slots.template == number)
        longer = _longer(numbers[mine], time[mine])
        if longer is not None:
            template[mine[longer]] = count
            count += 1
    if count == slots.templates:
        return slots
    first = np.full(count, len(template))
    np.minimum.at(first, template, np.arange(len(template)))
    rank = np.argsort(np.argsort(first))
    slot = np.unique(slots.slot + slots.slots * rank[template][instance], return_inverse=True)[1]
    return Slots(rank[template], count, slot, int(slot.max()) + 1)


def _longer(numbers: Array, time: Array) -> Mask | None:
    """Which instances are those of the longer part; None where their times make no two parts."""
    found, inverse = np.unique(numbers, return_inverse=True)
    if len(found) < 2 * _FEW:
        return None
    order = np.lexsort((time, inverse))
    bounds = np.searchsorted(inverse[order], np.arange(len(found) + 1))
    middle = np.array([np.median(time[order[a:b]]) for a, b in pairwise(bounds.tolist())])
    ordered = np.sort(middle)
    if ordered[0] <= 0:
        return None
    ratio = ordered[1:] / ordered[:-1]
    cut = int(np.argmax(ratio)) + 1
    tight = max(ordered[cut - 1] / ordered[0], ordered[-1] / ordered[cut]) <= np.sqrt(ratio[cut - 1])
    if ratio[cut - 1] < APART or not tight or min(cut, len(found) - cut) < _FEW:
        return None
    return np.asarray((middle >= ordered[cut])[inverse])


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


@attrs.frozen(eq=False)
class _Kinds:
    """What makes each body the kind of layer it is: how many of each telling role it has, and a bit per kernel."""

    roles: Ints
    names: Array
    count: Ints

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
        return cls(roles, names, bodies.count)

    def fit(self, leader: int) -> Mask:
        """Which bodies are of the leader's kind, those among them that damage has taken one telling op from."""
        has, wanted = self.roles > 0, self.roles[leader] > 0
        same = (has == wanted).all(axis=1) & (self.names == self.names[leader])
        within = ~(has & ~wanted).any(axis=1) & ((self.names & ~self.names[leader]) == 0)
        missing = np.where(wanted & ~has, self.roles[leader], 0).sum(axis=1)
        rare = self.count * RARE <= self.count[leader]
        return np.asarray(same | (within & rare & (missing <= 1)))


def _clusters(bodies: Bodies, kinds: _Kinds) -> tuple[list[int], Ints]:
    """The bodies that lead templates, and for each body the position of its leader among them: its nearest."""
    joined, best = np.full(len(bodies), -1), np.zeros(len(bodies))
    leaders: list[int] = []
    size = bodies.lengths()
    while (open_ := np.flatnonzero(joined < 0)).size and len(leaders) < MOST:
        leader = int(open_[0])
        like = _similarity(bodies, leader, np.flatnonzero(kinds.fit(leader)))
        like[leader] = 2.0
        better = (like >= ALIKE) & (like > best)
        joined[better], best[better] = len(leaders), like[better]
        leaders.append(leader)
    for body in np.flatnonzero(joined < 0).tolist():  # without structure: to the one that is nearest in length
        joined[body] = int(np.argmin(np.abs(size[leaders] - size[body])))
    return leaders, joined


def _similarity(bodies: Bodies, leader: int, which: Ints) -> Array:
    """The similarity of some bodies with a leader, 0 for those that are too long or too short to be alike."""
    size = bodies.lengths()
    own = int(size[leader])
    out = np.zeros(len(bodies))
    near = which[2 * np.minimum(size[which], own) >= ALIKE * (size[which] + own)]
    for part in _parts(bodies, near):
        found = align(bodies.matrix(np.array([leader]))[0], bodies.matrix(part), size[part])
        out[part] = 1 - found.distance / (size[part] + own)
    return out


def _parts(bodies: Bodies, which: Ints) -> Iterator[Ints]:
    """Some bodies in parts of like length that can be held as matrices."""
    size = bodies.lengths()[which]
    ordered = which[np.argsort(size, kind="stable")]
    rows = max(1, _CELLS // max(int(size.max(initial=0)), 1))
    for low in range(0, len(ordered), rows):
        yield ordered[low : low + rows]


def _fill(bodies: Bodies, leader: int, members: Ints, slot: Ints, base: int) -> int:
    """Write the slots of the events of one template, from `base` on; how many there are.

    A slot for each token of the leader, and one for each further token that some body has in a gap of the leader: the
    k-th such token of a kind in that gap.
    """
    size, text = bodies.lengths(), bodies.matrix(np.array([leader]))[0]
    found: list[tuple[Ints, Ints]] = []
    for part in _parts(bodies, members):
        matrix = bodies.matrix(part)
        places = align(text, matrix, size[part]).place
        found += [
            (part, _codes(matrix, places, len(text), int(bodies.token.max(initial=0)) + 1)),
        ]
    kinds = np.unique(np.concatenate([codes[codes >= 0] for _, codes in found]))
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
    return len(kinds)


def _codes(matrix: Ints, places: Ints, end: int, tokens: int) -> Ints:
    """A code for each token's slot, in the order of slots; -1 behind a body's end.

    Before the leader's g-th token come those that it lacks there: by kind, and the first of a kind first.
    """
    most = matrix.shape[1] + 1
    stride = tokens * most + 1
    codes = np.where(places >= 0, places * stride + tokens * most, -1)
    gap = -1 - places
    ordinal = np.zeros_like(matrix)
    for k in range(1, matrix.shape[1]):  # how many of the same kind stand in the same gap before it
        same = (gap[:, :k] == gap[:, k : k + 1]) & (matrix[:, :k] == matrix[:, k : k + 1]) & (places[:, k : k + 1] < 0)
        ordinal[:, k] = same.sum(axis=1)
    codes = np.where(places < 0, gap * stride + matrix * most + ordinal, codes)
    return np.where((matrix < 0) | (places == end), -1, codes)
