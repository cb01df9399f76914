"""Alignment of bodies with a leader, by banded edit distance: which token stands in the place of which."""

from __future__ import annotations

from typing import Final

import attrs
import numpy as np

from traceir.ir import Array, Ints

BAND: Final = 24
"""How far a body may lie shifted against its leader, beyond the difference of their lengths.

A layer has a few dozen ops; bodies that are shifted by more have little in common. A band makes the cost linear in the
length of a body.
"""
_CHUNK: Final = 1 << 22
"""Cells of the table of moves that are held at once."""
_STEP, _FAR = np.int32(1), np.int32(1 << 28)
_SAME, _SKIP, _MORE = 0, 1, 2


@attrs.frozen(eq=False)
class Aligned:
    """Bodies against a leader of `length` tokens, a row each.

    `distance` is the number of tokens to take away and to put in. `place[b, j]` says where the body's j-th token
    stands: the position in the leader that holds its like, or `-1 - g` if the leader has none and it stands before
    the leader's g-th token. Behind a body's end it is `length`, which is no place.
    """

    length: int
    distance: Ints
    place: Ints


def align(leader: Ints, bodies: Ints, size: Ints, band: int = BAND) -> Aligned:
    """Align bodies (rows of a matrix of tokens, the first `size` of each) with a leader.

    Only equal tokens stand in each other's place, so the distance is that of insertions and deletions; of equally
    short ways the one is taken that puts what is missing as early as can be. Vectorised over the bodies:
    O(bodies x length x band), at most a few MiB at once.
    """
    longest = bodies.shape[1] if bodies.ndim == 2 else 0
    width = band + int(np.abs(size - len(leader)).max(initial=0))
    distance = np.empty(len(bodies), np.int64)
    place = np.full((len(bodies), longest), len(leader), np.int64)
    rows = max(1, _CHUNK // max((longest + 1) * (2 * width + 1), 1))
    for low in range(0, len(bodies), rows):
        part = slice(low, low + rows)
        moves, distance[part] = _moves(leader, bodies[part], size[part], width)
        _trace(moves, size[part], len(leader), width, place[part])
    return Aligned(len(leader), distance, place)


def _moves(leader: Ints, bodies: Ints, size: Ints, width: int) -> tuple[Array, Ints]:
    """The best last move to each cell of the band, and the distance at each body's end.

    Row j is the body's length so far, column d the leader's, as `i = j - width + d`.
    """
    number, longest = bodies.shape
    wide, end = 2 * width + 1, len(leader)
    moves = np.zeros((longest + 1, wide, number), np.uint8)
    cost = np.full((wide, number), _FAR, np.int32)
    out = np.zeros(number, np.int64)
    column = np.arange(wide, dtype=np.int32)[:, None]
    text = np.append(leader, -2)  # no token
    for j in range(longest + 1):
        i = np.arange(wide) - width + j
        inside = ((i >= 0) & (i <= end))[:, None]
        if j == 0:
            more = same = np.where(i[:, None] == 0, np.int32(0), np.full((wide, number), _FAR))
        else:
            more = np.full((wide, number), _FAR)  # the body's token j - 1 is not in the leader
            more[:-1] = cost[1:] + _STEP
            like = text[np.where((i > 0) & (i <= end), i - 1, end)][:, None] == bodies[:, j - 1]
            same = np.where(like, cost, _FAR)
        best = np.where(inside, np.minimum(more, same), _FAR)
        # Leader's tokens that the body lacks: from any column before, each a step.
        best = np.where(inside, np.minimum(np.minimum.accumulate(best - column, axis=0) + column, _FAR), _FAR)
        skip = np.full((wide, number), _FAR)
        skip[1:] = best[:-1] + _STEP
        moves[j] = np.where((same <= best) & (same < _FAR), _SAME, np.where(more < skip, _MORE, _SKIP))
        cost = best
        done = size == j
        last = end - j + width
        if done.any() and 0 <= last < wide:
            out[done] = cost[last, done]
    return moves, out


def _trace(moves: Array, size: Ints, end: int, width: int, place: Ints) -> None:
    """Follow the moves back from the ends of all bodies at once, and write each token's place."""
    number = len(size)
    every = np.arange(number)
    i, j = np.full(number, end), size.astype(np.int64).copy()
    while True:
        open_ = (i > 0) | (j > 0)
        if not open_.any():
            return
        move = moves[j, np.clip(i - j + width, 0, moves.shape[1] - 1), every]
        move = np.where(j == 0, _SKIP, np.where(i == 0, _MORE, move))
        same, more = open_ & (move == _SAME), open_ & (move == _MORE)
        place[every[same], j[same] - 1] = i[same] - 1
        place[every[more], j[more] - 1] = -1 - i[more]
        i = i - (same | (open_ & (move == _SKIP)))
        j = j - (same | more)
