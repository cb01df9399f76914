"""Topological order of instants: by time, and where several fall together by what depends on what."""

from __future__ import annotations

from collections import deque

import numpy as np

from traceir.ir import Array, Ints, Mask


def topological(time: Ints, src: Array, dst: Array, place: Ints) -> tuple[Ints, Mask]:
    """The nodes in an order in which every edge goes forward, and which edges do.

    That is the order of `time`, of equal times that of the edges between them, else of `place`. No edge may go back in
    time; edges of equal time that form a circle cannot all go forward, and those that do not are False in the mask.
    O(n log n); only edges between equal times are walked one by one.
    """
    level = np.zeros(len(time), np.int64)
    tied = np.flatnonzero(time[src] == time[dst])
    good = np.ones(len(src), bool)
    if len(tied):
        good[tied] = _levels(level, src[tied].tolist(), dst[tied].tolist())
    return np.lexsort((place, level, time)), good


def _levels(level: Ints, src: list[int], dst: list[int]) -> Mask:
    """Write for each node the longest chain of tied edges before it; which edges are not part of a circle."""
    follow: dict[int, list[int]] = {}
    waiting: dict[int, int] = {}
    for one, other in zip(src, dst, strict=True):
        follow.setdefault(one, []).append(other)
        waiting[other] = waiting.get(other, 0) + 1
    depth: dict[int, int] = dict.fromkeys(follow, 0) | dict.fromkeys(waiting, 0)
    ready = deque(node for node in follow if node not in waiting)
    while ready:
        node = ready.popleft()
        below = depth[node] + 1
        for other in follow.get(node, ()):
            depth[other] = max(depth[other], below)
            waiting[other] -= 1
            if not waiting[other]:
                ready.append(other)
    stuck = {node for node, left in waiting.items() if left > 0}
    if stuck:  # a circle of instants that fall together: their order is then that of their places
        for node in stuck:
            depth[node] = 0
    nodes = np.fromiter(depth, np.int64, len(depth))
    level[nodes] = np.fromiter(depth.values(), np.int64, len(depth))
    ends = zip(src, dst, strict=True)
    return np.array([one not in stuck and (other not in stuck) for one, other in ends], bool)


__all__ = ["topological"]
