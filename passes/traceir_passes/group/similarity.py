"""Likeness of bodies: how much of one sequence of tokens another one holds in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import attrs


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


def clusters(counts: Mapping[bytes, int], likeness: Likeness, least: float) -> dict[bytes, bytes]:
    """For each distinct body, given with how often it occurs, the leader of its cluster.

    Leaders are taken in order of frequency: a body that is like no leader so far becomes one; then every body
    goes to its nearest leader. Bodies that begin with different tokens never share a cluster. Cost: distinct
    bodies times leaders, not the number of bodies.
    """
    order = sorted(counts, key=lambda body: -counts[body])
    leaders: list[bytes] = []
    for body in order:
        if not any(leader[:1] == body[:1] and likeness.at_least(body, leader, least) >= least for leader in leaders):
            leaders.append(body)
    return {body: nearest(body, leaders, likeness, least) or body for body in order}


def nearest(body: bytes, leaders: Sequence[bytes], likeness: Likeness, least: float) -> bytes | None:
    """The most similar leader with the same first token that reaches `least`; the earlier one of equals."""
    best, found = least, None
    for leader in leaders:
        if leader[:1] == body[:1]:
            ratio = likeness.at_least(body, leader, best)
            if ratio > best or (ratio >= best and found is None):
                best, found = ratio, leader
    return found


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
