"""How rows belong together: parts of collectives, launches by connection, and flows by what stands at their ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs
import numpy as np

from traceir.ir import NULL_I64, Array, Ints
from traceir_frontends.tabular import matched

SLACK_NS: Final = 1_000
"""By how much a part may reach beyond its collective: both are counted by one clock and rounded apart."""
LATEST_NS: Final = 1_000_000
"""By how much a task may seem to start before its call: clocks of host and device were seen 0.08 ms apart."""


@attrs.frozen(eq=False)
class Some:
    """Some events: positions, and what joins them (null where there is none). One entry each."""

    at: Ints
    start: Ints
    end: Ints
    connection: Ints

    def only(self, mask: Array) -> Some:
        """The chosen ones, by a mask or by their places."""
        return Some(self.at[mask], self.start[mask], self.end[mask], self.connection[mask])

    def __len__(self) -> int:
        return len(self.at)


def known(connection: Ints) -> Ints:
    """Connections, with those that stand for none made null: 0 is one, but no number below it, and not all ones."""
    return np.where((connection < 0) | (connection == 0xFFFFFFFF), NULL_I64, connection)


def parts_of(ops: Some, tasks: Some) -> Ints:
    """For each task the collective that it is a part of, as a position in `ops`, -1 if it is of none. O(n log n).

    It has its connection and lies within it in time.
    """
    out = np.full(len(tasks), -1, np.int64)
    if not len(ops) or not len(tasks):
        return out
    op, task = matched([ops.connection], [tasks.connection])
    inside = (tasks.start[task] >= ops.start[op] - SLACK_NS) & (tasks.end[task] <= ops.end[op] + SLACK_NS)
    out[task[inside]] = op[inside]
    return out


def lanes_of(ops: Some, tasks: Some, part: Ints, lane: Array, own: Array) -> Array:
    """The lane of each collective: that of its first part, else its own. O(n log n)."""
    out = own.copy()
    mine = np.flatnonzero(part >= 0)
    mine = mine[np.argsort(-tasks.start[mine], kind="stable")]  # the first of all is written last
    out[part[mine]] = lane[mine]
    return out


def launches(calls: Some, rank: Ints, tasks: Some) -> tuple[Ints, Ints]:
    """Launch edges by connection: of the calls that share one the highest level's first. O(n log n).

    A call that began well after its task launched something else: older versions number calls and tasks apart.
    """
    order = np.lexsort((-calls.start, rank))
    sources = calls.only(order)
    source, target = matched([sources.connection], [tasks.connection])
    sound = sources.start[source] <= tasks.start[target] + LATEST_NS
    return sources.at[source[sound]], tasks.at[target[sound]]


def without(pairs: tuple[Ints, Ints], done: Ints, size: int) -> tuple[Ints, Ints]:
    """Pairs whose target is not among those done, and each target once: with its first source."""
    has = np.zeros(size, bool)
    has[done] = True
    left = ~has[pairs[1]]
    source, target = pairs[0][left], pairs[1][left]
    first = np.unique(target, return_index=True)[1]
    return source[first], target[first]


def chained(ops: tuple[Ints, Ints], launched: tuple[Ints, Ints], size: int) -> tuple[Ints, Ints]:
    """From the operator of each task to the call that launched it, each pair once; no operator to itself."""
    call = np.full(size, -1, np.int64)
    call[launched[1]] = launched[0]
    pairs = np.stack([ops[0], call[ops[1]]])
    pairs = np.unique(pairs[:, (pairs[1] >= 0) & (pairs[0] != pairs[1])], axis=1)
    return pairs[0], pairs[1]


def joined(*pairs: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    """Several lists of edges as one."""
    empty: Sequence[Ints] = [np.empty(0, np.int64)]
    return np.concatenate([*empty, *(one for one, _ in pairs)]), np.concatenate([*empty, *(two for _, two in pairs)])
