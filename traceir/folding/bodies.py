"""Bodies: the sequences of tokens that like instances are made of, each distinct one looked at once."""

from __future__ import annotations

import attrs
import numpy as np

from traceir.ir import Array, Ints


@attrs.frozen(eq=False)
class Bodies:
    """Instances as sequences of tokens, equal ones as one body.

    `order` sorts the events by instance and place in it, and instance i's are `order[first[i] : first[i] + size[i]]`;
    `token` is that of each event in this order, from 0 on. `body` is each instance's body; body b is that of the
    instance `example[b]` and has `count[b]` instances. Bodies come in order of frequency, then of first appearance.
    """

    order: Ints
    token: Ints
    first: Ints
    size: Ints
    body: Ints
    example: Ints
    count: Ints

    @classmethod
    def of(cls, instance: Array, token: Array, place: Array) -> Bodies:
        """The bodies of events of `instance` (0, 1, …; each has one at least), in order of `place` (such as lanes).

        Events of one place stay in the order in which they are given. O(n log n).
        """
        width = int(place.max(initial=0)) + 1
        order = np.argsort(instance.astype(np.int64) * width + place, kind="stable")
        size = np.bincount(instance)
        first = np.cumsum(size) - size
        ordered = token[order].astype(np.int64)
        _, example, body, count = np.unique(
            _digest(ordered, first, size), return_index=True, return_inverse=True, return_counts=True
        )
        rank = np.lexsort((example, -count))
        new = np.empty(len(rank), np.int64)
        new[rank] = np.arange(len(rank))
        return cls(order, ordered, first, size, new[body], example[rank], count[rank])

    def __len__(self) -> int:
        """The number of distinct bodies."""
        return len(self.example)

    def lengths(self) -> Ints:
        """The number of tokens of each body."""
        return self.size[self.example]

    def matrix(self, which: Ints) -> Ints:
        """The tokens of some bodies as rows, filled up with -1."""
        size = self.lengths()[which]
        columns = np.arange(int(size.max(initial=0)))
        at = self.first[self.example[which]][:, None] + np.minimum(columns, np.maximum(size[:, None] - 1, 0))
        return np.where(columns < size[:, None], self.token[at], -1)


def _digest(token: Ints, first: Ints, size: Ints) -> Array:
    """A number of 64 bits for each sequence, by which equal ones are told: two of a million unequal ones agree by
    chance once in 10^7 traces. A sum of products with numbers that are drawn by token and by place."""
    draw = np.random.default_rng(20_240_611)
    by_token = draw.integers(1, 1 << 63, int(token.max(initial=0)) + 1, np.uint64)
    by_place = draw.integers(1, 1 << 63, int(size.max(initial=0)) + 1, np.uint64) | np.uint64(1)
    within = np.arange(len(token)) - np.repeat(first, size)
    mixed = by_token[token] * by_place[within]
    mixed ^= mixed >> np.uint64(29)
    return np.asarray(np.add.reduceat(mixed * np.uint64(0xBF58476D1CE4E5B9), first) + by_place[size - 1])
