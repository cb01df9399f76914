"""Likeness of bodies: how much of one sequence of tokens another one holds in order, and where one repeats itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Final

import attrs
import numpy as np

from traceir.ir import Array

MAX_LEADERS: Final = 64
"""Kinds of bodies told apart. Programs have a handful of kinds of layers (8 is the most in the tests' traces).

Only traces without structure reach the limit: there every new body would lead, and their square be compared.
Leaders are taken in order of frequency, so what is left out is the rarest.
"""
_ANCHORS: Final = b"ALS"


@attrs.define(eq=False)
class Likeness:
    """Similarity ratios (2 · matching / total length) of token strings, each pair computed once."""

    _known: dict[tuple[bytes, bytes], float] = attrs.field(factory=dict)

    def __call__(self, left: bytes, right: bytes) -> float:
        """The ratio of two bodies, 0 to 1. Symmetric."""
        if left == right:
            return 1.0
        key = (left, right) if left < right else (right, left)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = _ratio(*key)
        return found

    def at_least(self, left: bytes, right: bytes, least: float) -> float:
        """The ratio if it may reach `least`, else 0 (decided by lengths and counts alone, which is cheap)."""
        total = len(left) + len(right)
        if not total or 2 * min(len(left), len(right)) < least * total:
            return 0.0
        common = sum((Counter(left) & Counter(right)).values())
        return self(left, right) if 2 * common >= least * total else 0.0


def _ratio(left: bytes, right: bytes) -> float:
    return 2 * common_lengths(left, right)[-1] / (len(left) + len(right))


def common_lengths(left: bytes, right: bytes) -> list[int]:
    """Longest common subsequence of `left` with each beginning of `right` (length 0 first).

    Bit-parallel (Hyyrö): one step of whole-word arithmetic per token of `right`.
    """
    places: dict[int, int] = {}
    for k, letter in enumerate(left):
        places[letter] = places.get(letter, 0) | 1 << k
    full = (1 << len(left)) - 1
    row, out = full, [0]
    for letter in right:
        matching = row & places.get(letter, 0)
        row = (row + matching | row - matching) & full
        out.append(len(left) - row.bit_count())
    return out


def clusters(
    counts: Mapping[bytes, int], likeness: Likeness, least: float, ends: Mapping[bytes, int] | None = None
) -> dict[bytes, bytes]:
    """For each distinct body, given with how often it occurs, the leader of its cluster.

    Leaders are taken in order of frequency: a body that is like no leader so far becomes one, up to MAX_LEADERS;
    then every body goes to its nearest leader, or leads itself alone. At last the most frequent body of each cluster
    leads it: a damaged body, which was like no leader, may have drawn its sound one to it. Bodies that begin with
    different anchors never share a cluster (one that lost its own may be of any), nor do those that have no bit of
    `ends` (what may follow a body) in common.
    Cost: distinct bodies times MAX_LEADERS at most.
    """
    order = sorted(counts, key=lambda body: -counts[body])
    leaders = _Leaders(likeness, least, _letter_counts(order), np.array([(ends or {}).get(body, 1) for body in order]))
    for k, body in enumerate(order):
        if len(leaders.bodies) == MAX_LEADERS:
            break
        if not any(likeness(body, leaders.bodies[i]) >= least for i, _ in leaders.candidates(k, body)):
            leaders.add(k, body)
    found = {body: leaders.nearest(k, body) or body for k, body in enumerate(order)}
    elected: dict[bytes, bytes] = {}
    for body in order:
        elected.setdefault(found[body], body)
    return {body: elected[found[body]] for body in order}


def _letter_counts(bodies: Sequence[bytes]) -> Array:
    """How often each letter that occurs at all stands in each body: a row per body, a column per letter."""
    alphabet = sorted(set(b"".join(bodies)))
    return np.array([[body.count(letter) for letter in alphabet] for body in bodies], np.int64)


@attrs.define(eq=False)
class _Leaders:
    """The leaders so far. Letters bound the likeness with all of them at once, so few are compared in full."""

    likeness: Likeness
    least: float
    letters: Array
    ends: Array
    bodies: list[bytes] = attrs.field(factory=list)
    rows: list[int] = attrs.field(factory=list)

    def add(self, row: int, body: bytes) -> None:
        """Make the body whose letters are counted in `row` a leader."""
        self.bodies.append(body)
        self.rows.append(row)

    def candidates(self, row: int, body: bytes) -> list[tuple[int, float]]:
        """Leaders that may be alike by their first token and letters: number and bound, the highest bound first."""
        theirs = self.letters[self.rows]
        common = 2 * np.minimum(theirs, self.letters[row]).sum(axis=1)
        total = theirs.sum(axis=1) + len(body)
        inside = np.flatnonzero(
            (common >= self.least * total) & (total > 0) & (self.ends[self.rows] & self.ends[row] > 0)
        )
        bound = common[inside] / total[inside]
        order = np.argsort(-bound, kind="stable")
        pairs = zip(inside[order].tolist(), bound[order].tolist(), strict=True)
        return [(i, most) for i, most in pairs if body[0] not in _ANCHORS or self.bodies[i][:1] == body[:1]]

    def nearest(self, row: int, body: bytes) -> bytes | None:
        """The most similar leader that reaches `least`; the earlier one of equals."""
        best, found = self.least, len(self.bodies)
        for i, most in self.candidates(row, body):
            if most < best:
                break
            ratio = self.likeness(body, self.bodies[i])
            if ratio > best or (ratio == best and i < found):
                best, found = ratio, i
        return self.bodies[found] if found < len(self.bodies) else None


def nearest(body: bytes, leaders: Sequence[bytes], likeness: Likeness, least: float) -> bytes | None:
    """The most similar leader with the same first token that reaches `least`; the earlier one of equals."""
    best, found = least, None
    for leader in leaders:
        if leader[:1] == body[:1]:
            ratio = likeness.at_least(body, leader, best)
            if ratio > best or (ratio >= best and found is None):
                best, found = ratio, leader
    return found


def periods(signs: Sequence[Hashable]) -> list[int]:
    """All p from 1 to the length with `signs[p:] == signs[:-p]`, in order: what each border leaves over. O(n)."""
    border = [0] * (len(signs) + 1)  # of each beginning, the longest proper part that both begins and ends it
    length = 0
    for k in range(1, len(signs)):
        while length and signs[k] != signs[length]:
            length = border[length]
        length += signs[k] == signs[length]
        border[k + 1] = length
    out, length = [], len(signs)
    while length:
        length = border[length]
        out.append(len(signs) - length)
    return out


def aligned_cut(body: bytes, template: bytes, cut: int) -> int:
    """Where `template`'s position `cut` lies in `body`: the split of a body that differs from its template.

    Exact common ends are used where they reach the cut; else the split that keeps most of both parts in order,
    of equal ones that which begins like the template's second part, then the nearest one.
    """
    tail = len(template) - cut
    if tail <= len(body) and body[len(body) - tail :] == template[cut:]:
        return len(body) - tail
    if body[:cut] == template[:cut]:
        return cut
    before = common_lengths(template[:cut], body)
    after = common_lengths(template[cut:][::-1], body[::-1])[::-1]
    begins = template[cut : cut + 1]
    return max(
        range(len(body) + 1),
        key=lambda split: (before[split] + after[split], body[split : split + 1] == begins, -abs(split - cut)),
    )


def is_between(left: bytes, body: bytes, right: bytes) -> bool:
    """Whether a body begins like one and ends like another, and is so more by two tokens than it is like that one."""
    before = common_lengths(left, body)
    after = common_lengths(right[::-1], body[::-1])
    best = max(head + tail for head, tail in zip(before, after[::-1], strict=True))
    return best >= after[-1] + 2
