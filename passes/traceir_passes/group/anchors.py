"""Method B: attention kernels as anchors; a layer is what lies between like anchors."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from typing import Final

import attrs
import numpy as np

from traceir.ir import Ints
from traceir_passes.group.attentions import Anchors
from traceir_passes.group.kinds import APART, Kinds, Piece
from traceir_passes.group.similarity import aligned_cut, is_between
from traceir_passes.group.tokens import FEED_FORWARD, heavies

_FEED: Final = re.compile(rb"g[^gn]*[nF]+[^gnF]*g[^gnF]*g+[^gnF]*[nF].*g", re.DOTALL)
_LETTERS: Final = bytes(sorted(map(ord, FEED_FORWARD)))
MAX_UNIT: Final = 3
MOST_ALIKE: Final = 2
"""Tokens that two bodies may have lost at the same places by chance: an anchor, and one beside it."""
LASTING: Final = 3
"""Layers of a kind that have to follow each other for a change of the body to count as lasting."""
WHOLE: Final = 0.8
"""Likeness with whole frequent bodies from which on an anchor counts as lost; strict, since it puts one in."""
BESIDE: Final = 3
"""Tokens of the neighbouring half layer that have to stand beside a body whose anchor is missing."""


@attrs.frozen(eq=False)
class Run:
    """Like layers: for each layer the core position of its first anchor, all in one segment.

    `odd` counts layers whose body is like no frequent one; all are odd where bodies are only roughly alike.
    """

    at: Ints
    segment: int
    odd: int


def pieces_of(anchors: Anchors, core: bytes, borders: Ints) -> tuple[list[Piece], list[int], Ints, Ints]:
    """The distinct pieces in order of appearance; for each pass its piece, its segment and its first core token.

    `borders` is the segment of each core token.
    """
    changes = np.diff(anchors.segment, prepend=-1) + np.diff(anchors.begin, prepend=-1)
    edges = np.append(np.flatnonzero(changes), len(anchors.at))
    segment = anchors.segment[edges[:-1]]
    begins = np.maximum(np.searchsorted(borders, segment), anchors.begin[edges[:-1]])
    ends = np.minimum(np.searchsorted(borders, segment, side="right"), anchors.end[edges[:-1]])
    places = anchors.at - np.repeat(begins, np.diff(edges))
    known: dict[tuple[bytes, bytes], int] = {}
    which = [
        known.setdefault((core[begin:end], places[a:b].tobytes()), len(known))
        for begin, end, (a, b) in zip(begins.tolist(), ends.tolist(), itertools.pairwise(edges.tolist()), strict=True)
    ]
    pieces = [Piece(text, tuple(np.frombuffer(at, places.dtype).tolist())) for text, at in known]
    return pieces, which, segment, begins


def has_feed_forward(body: bytes) -> bool:
    """Whether a body from anchor to anchor holds a feed-forward part, with which a layer ends."""
    return any(letter in _LETTERS for letter in body) or bool(_FEED.search(body))


@attrs.define(eq=False)
class Finder(Kinds):
    """Finds runs of like layers among the anchors of one direction."""

    _broken: dict[bytes, list[int]] = attrs.field(factory=dict)
    _feeds: dict[bytes, bool] = attrs.field(factory=dict)

    def runs(self, anchors: Anchors, core: bytes, borders: Ints) -> list[Run]:
        """All runs of at least `min_layers` layers, in order. `borders` is the segment of each core token.

        Segments that look the same, as the steps of a program do, are looked at once.
        """
        pieces, which, segment, begins = pieces_of(anchors, core, borders)
        copies = np.bincount(which).tolist()
        self._learn(pieces, copies)
        restored = [self._restored(piece) for piece in pieces]
        if restored != pieces:
            self._learn(restored, copies)
        found = [[(np.array(at, np.int64), odd) for at, odd in self._in_piece(piece)] for piece in restored]
        return [
            Run(at + begin, number, odd)
            for kind, number, begin in zip(which, segment.tolist(), begins.tolist(), strict=True)
            for at, odd in found[kind]
        ]

    def _restored(self, piece: Piece) -> Piece:
        """A piece with lost anchors put back.

        A body like two or three much more frequent ones in a row lacks one or two anchors. Before the first
        anchor of a segment and after its last one, a whole frequent body with the neighbouring half layer
        beside it lacks one, too.
        """
        text, first, last = piece.text, piece.at[0], piece.at[-1]
        reach = 2 * self.max_period
        at = [first - back for back in self._lost_before(text[max(0, first - reach) : first])]
        for position, body in zip(piece.at, piece.bodies(self.max_period), strict=True):
            at.append(position)
            at += [position + offset for offset in self._lost(body)] if body else []
        at += [last + offset for offset in self._lost_after(text[last : last + reach])]
        return Piece(text, tuple(at))

    def _lost(self, body: bytes) -> list[int]:
        known = self._broken.get(body)
        if known is None:
            known = self._broken[body] = self._find_lost(body)
        return known

    def _find_lost(self, body: bytes) -> list[int]:
        """Offsets at which anchors are missing in a body that is several frequent bodies one after the other.

        Like ones, or two unlike ones that follow each other elsewhere (self and cross attention, dense and experts).
        """
        for leader in self._main[:4]:
            if len(body) <= len(leader) or self._size[leader] < 2 * self._count[body]:
                continue
            alone = self.likeness(body, leader)
            for copies in (2, 3):
                joined = leader + leader[1:] * (copies - 1)
                if self._part_of(body, joined) >= max(alone, WHOLE):
                    return [
                        aligned_cut(body, joined, len(leader) + copy * (len(leader) - 1)) for copy in range(copies - 1)
                    ]
        for left, right in self._pairs:
            joined = left + right[1:]
            rare = min(self._count[left], self._count[right]) >= 2 * self._count[body]
            alone = max(self.likeness(body, left), self.likeness(body, right))
            if rare and len(body) > max(len(left), len(right)) and self._part_of(body, joined) >= max(alone, WHOLE):
                return [aligned_cut(body, joined, len(left))]
        return []

    def _part_of(self, body: bytes, whole: bytes) -> float:
        """The likeness of two bodies if the first is the second with losses, else 0.

        One token in 20 may differ. A body that occurs more than once and lacks more than a few is another one, such as
        the border between two passes, where work between the layers stands instead of a layer's half.
        """
        if self._count[body] > 1 and len(whole) - len(body) > MOST_ALIKE:
            return 0.0  # losses do not fall alike twice: that much was never there
        ratio = self.likeness.at_least(body, whole, WHOLE)
        common = ratio * (len(body) + len(whole)) / 2
        return ratio if common >= 0.95 * len(body) else 0.0

    def _lost_before(self, head: bytes) -> list[int]:
        """How far before a segment's first anchor another one is missing, if one is."""
        for leader in self._main[:1]:
            body = leader[1:]
            before = head[: len(head) - len(body)][-len(leader) :]
            alike = self._part_of(head[-len(body) :], body) >= WHOLE
            if len(head) > len(body) and alike and before[-BESIDE:] == leader[-BESIDE:]:
                return [len(body)]
        return []

    def _lost_after(self, tail: bytes) -> list[int]:
        """How far after a segment's last anchor another one is missing, if one is."""
        for leader in self._main[:1]:
            alike = self._part_of(tail[: len(leader)], leader) >= WHOLE
            if alike and tail[len(leader) :][:BESIDE] == leader[1:][:BESIDE]:
                return [len(leader)]
        return []

    def _in_piece(self, piece: Piece) -> list[tuple[list[int], int]]:
        """The runs of one segment: where each layer's first anchor stands, and how many layers are odd."""
        bodies = piece.bodies(self.max_period)
        units = self._units(bodies)
        vary = self._vary(bodies)
        out = []
        for first, stop in self._stretches(bodies, units, vary=vary):
            labels = [self._label(bodies, unit) for unit in units[first:stop]]
            common = Counter(label for label in labels if label).most_common(1)
            if stop - first < self.min_layers or not common or common[0][1] < 2:
                continue
            if sum(heavies(body) for body in common[0][0]) < 3:
                continue
            odd = sum(1 for label in labels[:-1] if not self._frequent(label))
            if vary or self._rough(bodies[units[first][0] : units[stop - 1][0]], labels[:-1]):
                odd = stop - first
            out.append(([piece.at[a] for a, _ in units[first:stop]], odd))
        layers = sum(len(at) for at, _ in out)
        # Where most bodies are in no run at all, those that are in one are so by chance.
        return out if 2 * layers >= len(units) else [(at, len(at)) for at, _ in out]

    def _label(self, bodies: list[bytes], unit: tuple[int, int]) -> tuple[bytes, ...]:
        """The leaders of a layer's bodies; empty if its last body is open (the end of the segment)."""
        mine = bodies[unit[0] : unit[1]]
        return tuple(self._leader[body] for body in mine) if all(mine) else ()

    def _units(self, bodies: list[bytes]) -> list[tuple[int, int]]:
        """The anchors of each layer as ranges: a layer ends with its feed-forward part.

        Where bodies with and without a feed-forward part follow each other (self and cross attention), each
        layer reaches to the next body that has one. Where no body has one, the unit is the smallest lag at
        which bodies are about as like as at the best lag.
        """
        n = len(bodies)
        feeds = [self._feeds_forward(self._typical(body)) if body else True for body in bodies]
        main = [feeds[i] for i in range(n) if bodies[i] and self._leader[bodies[i]] in self._main]
        if all(main):
            return [(i, i + 1) for i in range(n)]
        if any(main):
            units: list[tuple[int, int]] = []
            start = 0
            for i in range(n):
                if feeds[i] or i + 1 - start == MAX_UNIT:
                    units.append((start, i + 1))
                    start = i + 1
            if start < n:
                units.append((start, n))
            whole = sum(1 for a, b in units if feeds[b - 1])
            if whole >= 0.9 * len(units):
                return units
            return [(i, i + 1) for i in range(n)]
        unit = self._lag(bodies)
        return [(i, min(i + unit, n)) for i in range(0, n, unit)]

    def _feeds_forward(self, body: bytes) -> bool:
        known = self._feeds.get(body)
        if known is None:
            known = self._feeds[body] = has_feed_forward(body)
        return known

    def _lag(self, bodies: list[bytes]) -> int:
        """The smallest lag of 1 to 3 whose mean likeness comes within 0.08 of the best."""
        closed = [body for body in bodies if body]
        means = []
        for lag in range(1, MAX_UNIT + 1):
            pairs = list(zip(closed, closed[lag:], strict=False))
            means.append(sum(self.likeness(a, b) for a, b in pairs) / len(pairs) if pairs else 0.0)
        return next(lag for lag, mean in enumerate(means, 1) if mean >= max(means) - 0.08)

    def _stretches(self, bodies: list[bytes], units: list[tuple[int, int]], *, vary: bool) -> list[tuple[int, int]]:
        """Layers parted at borders of forward passes, at long odd stretches, and where the body changes for good."""
        labels = [self._label(bodies, unit) for unit in units]
        ends = [bodies[stop - 1] for _, stop in units]
        regular = set() if vary else self._regular_extras(bodies, units)
        out: list[tuple[int, int]] = []
        start, odd = 0, 0
        for i, label in enumerate(labels):
            frequent = self._frequent(label)
            odd = 0 if frequent else odd + 1
            border = i in regular or self._is_border(bodies, units, i, vary=vary)
            if border:  # such a body reaches into the next pass: of the layer that it begins with it tells nothing
                labels[i] = ()
            if border or i + 1 == len(labels):
                out += self._parted(labels, ends, start, i + 1)
                start, odd = i + 1, 0
            elif odd > self.max_odd:
                out += self._parted(labels, ends, start, i + 2 - odd)
                start, odd = i + 1, 0
        return out

    def _is_border(self, bodies: list[bytes], units: list[tuple[int, int]], i: int, *, vary: bool) -> bool:
        """Whether a layer's body holds the end of a forward pass.

        Such a body has at least two heavy tokens more than its nearest frequent body, and its neighbours do
        not miss them: damage removes or permutes work, it never adds. A transfer that its like do not have is that
        of a pipeline's stage, which hands on what the pass made.
        """
        last = units[i][1] - 1
        body = bodies[last]
        if not body or body.count(b"D") > self._typical(body).count(b"D"):
            return True
        extra = self._extra(body)
        if extra < 2 or vary:
            return False
        near = [bodies[k] for k in (last - 1, last + 1) if 0 <= k < len(bodies) and bodies[k]]
        return all(self._extra(other) > -2 for other in near)

    def _regular_extras(self, bodies: list[bytes], units: list[tuple[int, int]]) -> set[int]:
        """Layers with one heavy token too many that recur at equal distances: the heads of forward passes.

        One such layer alone may be anything, but chance does not add a kernel every so many layers.
        """
        ends = [bodies[stop - 1] for _, stop in units]
        extra = [k for k, body in enumerate(ends) if body and self._extra(body) == 1]
        distances = {b - a for a, b in itertools.pairwise(extra)}
        if len(distances) != 1 or min(distances) < self.min_layers or extra[0] > min(distances):
            return set()
        return set(extra)

    def _parted(
        self, labels: list[tuple[bytes, ...]], ends: list[bytes], start: int, stop: int
    ) -> list[tuple[int, int]]:
        """Parts `[start, stop)` where one frequent body gives way to another for good.

        Kinds that come again take turns, unless for so many layers each that they are rather passes of two kinds.
        The body between them begins like the one and ends like the other: its layer is the last one of its kind.
        Bodies that share their attention half stay one stack (dense layers first, expert layers after).
        """
        known = [(i, labels[i]) for i in range(start, stop) if self._frequent(labels[i])]
        first: dict[tuple[bytes, ...], int] = {}
        last: dict[tuple[bytes, ...], int] = {}
        for i, label in known:
            first.setdefault(label, i)
            last[label] = i
        lengths: dict[int, int] = {}
        for _, block in itertools.groupby(known, key=lambda item: item[1]):
            mine = [i for i, _ in block]
            lengths.update(dict.fromkeys(mine, len(mine)))
        out = []
        for (i, left), (j, right) in itertools.pairwise(known):
            if left == right or i - start + 1 < LASTING or stop - j < LASTING:
                continue
            before = {label for label in first if first[label] <= i}
            after = {label for label in last if last[label] >= j}
            turns = before & after and min(lengths[i], lengths[j]) < APART
            if turns or self._same_half(left, right):
                continue
            start_of_next = j + is_between(left[-1], ends[j], right[-1])
            out.append((start, start_of_next))
            start = start_of_next
        return [*out, (start, stop)]

    def _same_half(self, left: tuple[bytes, ...], right: tuple[bytes, ...]) -> bool:
        """Whether two layers have the same attention half: output projection after, input projection before it."""
        if len(left) != len(right):
            return False
        one, two = left[-1], right[-1]
        head = next((k for k, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
        tail = next(
            (k for k, (a, b) in enumerate(zip(one[::-1], two[::-1], strict=False)) if a != b), min(len(one), len(two))
        )
        return b"g" in one[1:head] and b"g" in one[len(one) - tail :]
