"""Kinds of bodies: what lies between anchors, in clusters of like ones, and how far each is what its kind is."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Final

import attrs

from traceir_passes.group.similarity import Likeness, clusters, nearest
from traceir_passes.group.tokens import heavies

_BITS: Final = {ord("A"): 1, ord("L"): 2, ord("S"): 4}
MOST_PAIRS: Final = 4
"""Pairs of unlike bodies that are tried where an anchor may be lost; layers have few kinds."""
OWN: Final = 0.18
"""Share of a cluster from which on a body is a kind of its own in it: losses do not fall alike so often."""
APART: Final = 10
"""Bodies from one of a kind to the next from which on they are no kind of layer but what stands between two passes."""
VARIABLE: Final = 0.2
"""Share of bodies with two heavy tokens more or less than their kind has from which on these tell nothing of passes."""
LIKE: Final = 0.9
"""Mean likeness of bodies to their kind below which none is sound: a tenth lost leaves 0.95, chance is at 0.75."""
MOST_KINDS: Final = 4
"""Layers for each rare kind of body at least: models have few kinds, chance has many."""
RARE: Final = 0.1
"""Share of all bodies below which a kind is rare."""


@attrs.frozen
class Piece:
    """A segment as it looks: its core tokens, and where in them the anchors stand. Like steps are one piece."""

    text: bytes
    at: tuple[int, ...]

    def bodies(self, longest: int) -> list[bytes]:
        """The tokens from each anchor to the next; empty for the last one and for overlong bodies."""
        inner = [self.text[a:b] if b - a <= longest else b"" for a, b in itertools.pairwise(self.at)]
        return [*inner, b""]


@attrs.define(eq=False)
class Kinds:
    """The bodies of one direction and their kinds: clusters that follow a leader, their most frequent body."""

    similarity: float
    min_layers: int
    max_period: int
    max_odd: int
    likeness: Likeness = attrs.field(factory=Likeness)
    _leader: dict[bytes, bytes] = attrs.field(factory=dict)
    _main: list[bytes] = attrs.field(factory=list)
    _kinds: list[bytes] = attrs.field(factory=list)
    """The main leaders that stand close together somewhere, as layers of a kind do."""
    _count: Counter[bytes] = attrs.field(factory=Counter)
    _size: Counter[bytes] = attrs.field(factory=Counter)
    _ends: dict[bytes, int] = attrs.field(factory=dict)
    """For each body a bit for each kind of anchor that ever follows it: its next layer is part of what it is."""
    _extras: dict[bytes, int] = attrs.field(factory=dict)
    _pairs: list[tuple[bytes, bytes]] = attrs.field(factory=list)
    """Unlike bodies that often follow each other, the most frequent first."""

    def _learn(self, pieces: list[Piece], copies: list[int]) -> None:
        """Cluster the distinct bodies; the main leaders are those with at least `min_layers - 1` bodies."""
        counts = self._count = Counter()
        for piece, times in zip(pieces, copies, strict=True):
            for body in piece.bodies(self.max_period):
                if body:
                    counts[body] += times
        follow: Counter[tuple[bytes, bytes]] = Counter()
        for piece, times in zip(pieces, copies, strict=True):
            for left, right in itertools.pairwise(piece.bodies(self.max_period)):
                if left and right and left != right:
                    follow[left, right] += times
        self._pairs = [pair for pair, times in follow.most_common(MOST_PAIRS) if times >= self.min_layers - 1]
        self._ends = {}
        for piece in pieces:
            for body, after in zip(piece.bodies(self.max_period), piece.at[1:], strict=False):
                self._ends[body] = self._ends.get(body, 0) | _BITS.get(piece.text[after], 7)
        self._leader = clusters(counts, self.likeness, self.similarity, self._ends)
        self._size = Counter()
        self._extras = {}
        for body, count in counts.items():
            self._size[self._leader[body]] += count
        least = self.min_layers - 1
        self._main = sorted((body for body in self._size if self._size[body] >= least), key=lambda b: -self._size[b])
        apart = self._apart(pieces)
        self._kinds = [body for body in self._main if apart.get(body, APART) < APART]

    def _apart(self, pieces: list[Piece]) -> dict[bytes, int]:
        """For each leader the least distance of two bodies of its kind in one segment; none where it stands alone."""
        out: dict[bytes, int] = {}
        for piece in pieces:
            last: dict[bytes, int] = {}
            for k, body in enumerate(piece.bodies(self.max_period)):
                if not body:
                    continue
                leader = self._leader[body]
                if leader in last:
                    out[leader] = min(out.get(leader, APART), k - last[leader])
                last[leader] = k
        return out

    def _frequent(self, label: tuple[bytes, ...]) -> bool:
        return bool(label) and all(leader in self._main for leader in label)

    def _typical(self, body: bytes) -> bytes:
        """The body that tells what this one is: its leader, unless it is too frequent to be that one damaged."""
        leader = self._leader[body]
        own = self._count[body] >= self.min_layers and self._count[body] >= OWN * self._size[leader]
        return body if own else leader

    def _extra(self, body: bytes) -> int:
        """How many heavy tokens a body has more than its nearest frequent one; 0 if it is of a kind of its own.

        So it is if it is frequent itself, unless its like stand far apart, or has more experts: no work between passes
        has those.
        """
        known = self._extras.get(body)
        if known is None:
            leader = self._leader[body]
            alike = [kind for kind in self._kinds if self._ends[kind] & self._ends[body]]
            near = leader if leader in self._kinds else nearest(body, alike, self.likeness, 0.0)
            between = leader in self._main and leader not in self._kinds
            own = (self._typical(body) == body and not between) or (
                near is not None and body.count(b"M") > near.count(b"M")
            )
            known = self._extras[body] = heavies(body) - heavies(near) if near and not own else 0
        return known

    def _vary(self, bodies: list[bytes]) -> bool:
        """Whether so many bodies have more or less heavy work than their kind that they are of no fixed kinds.

        So it is where experts are looped over, as many as tokens ask for.
        """
        closed = [body for body in bodies if body]
        return sum(1 for body in closed if abs(self._extra(body)) >= 2) > max(VARIABLE * len(closed), 1)

    def _rough(self, bodies: list[bytes], labels: list[tuple[bytes, ...]]) -> bool:
        """Whether a run's bodies are only roughly like their kinds, or of as many kinds as chance gives."""
        alike = [
            1.0 if self._count[body] >= self.min_layers else self.likeness(body, self._leader[body]) for body in bodies
        ]
        rare = RARE * self._count.total()
        kinds = len({label for label in labels if label and min(self._size[leader] for leader in label) < rare})
        return sum(alike) < LIKE * len(alike) or kinds > max(1, len(labels) // MOST_KINDS)
