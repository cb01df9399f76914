"""Edits that take work off its stream: moving it to one of its own, and splitting all-reduces."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import numpy as np

from traceir.ir import Array, Ints, Mask
from traceir_passes.what_if.edited import Edited


@attrs.frozen(eq=False)
class _Lane:
    """One lane with work that leaves it: its rows, which of these leave, and each one's first reader (-1 none)."""

    rows: Array
    leaves: Mask
    reader: Array

    @property
    def stays(self) -> Array:
        """For each row the one before it that stays, -1 if there is none."""
        at = np.where(self.leaves, -1, np.arange(len(self.rows)))
        last = np.append(-1, np.maximum.accumulate(at)[:-1])
        return np.where(last >= 0, self.rows[last], -1)

    @property
    def left(self) -> Array:
        """For each row the one before it that leaves, -1 if there is none."""
        at = np.where(self.leaves, np.arange(len(self.rows)), -1)
        last = np.append(-1, np.maximum.accumulate(at)[:-1])
        return np.where(last >= 0, self.rows[last], -1)


def _lanes(edited: Edited, chosen: Mask, reader: Mask | None, past: int) -> Iterator[_Lane]:
    """The lanes with chosen work. Its reader is the next that stays and is a `reader`, else the next but `past`."""
    for rows in edited.streams():
        leaves = chosen[rows]
        if not leaves.any():
            continue
        staying = np.flatnonzero(~leaves if reader is None else ~leaves & reader[rows])
        at = np.searchsorted(staying, np.flatnonzero(leaves)) + (past if reader is None else 0)
        first = np.append(staying, -1)[np.minimum(at, len(staying))]
        yield _Lane(rows, leaves, np.where(first >= 0, rows[first], -1))


def _join_lag(edited: Edited) -> int:
    """The shortest lag of a wait between streams that the trace shows, 0 if it shows none."""
    known = edited.lag[edited.is_kind("wait", "wait_guessed")]
    return int(known.min()) if len(known) else 0


def _join(edited: Edited, lane: _Lane, join: int) -> int:
    """Let each reader wait for what left its lane; how many have no reader."""
    begin, finish = edited.graph.begin, edited.graph.finish
    early = lane.rows[lane.leaves]
    read = lane.reader >= 0
    early, late = early[read], lane.reader[read]
    edited.add("wait", finish[early], begin[late], np.full(len(early), join), late)
    return int((~read).sum())


def move(edited: Edited, chosen: Mask, reader: Mask | None, past: int) -> int:
    """Put chosen work on a stream of its own beside its lane; how many have no reader.

    It still begins after what was before it on the lane, whose result it moves, and after what was moved before it;
    what stays follows what stays. Its first reader waits for it.
    """
    begin, finish = edited.graph.begin, edited.graph.finish
    join, unread = _join_lag(edited), 0
    for lane in list(_lanes(edited, chosen, reader, past)):
        lag = _queue_lag(edited, lane.rows)
        gone = np.append(chosen, False)
        src_row = edited.graph.row[edited.src]
        behind = edited.is_kind("queue", "graph", "beside") & np.isin(edited.dst, begin[lane.rows[~lane.leaves]])
        edited.keep(~(behind & gone[src_row]))
        for mask, before in ((~lane.leaves, lane.stays), (lane.leaves, lane.left), (lane.leaves, lane.stays)):
            some = mask & (before >= 0)
            late = lane.rows[some]
            edited.add("queue", finish[before[some]], begin[late], lag[some], late)
        unread += _join(edited, lane, join)
    return unread


def split(edited: Edited, chosen: Mask, reader: Mask | None, past: int) -> int:
    """Leave the first half of chosen work in its place and move the second beside the lane; how many have no reader.

    A ring's reduce-scatter and all-gather each take half of an all-reduce. The second half ends when the whole did;
    the halves that were moved follow each other.
    """
    graph = edited.graph
    begin, finish, module = graph.begin, graph.finish, graph.module
    join, unread = _join_lag(edited), 0
    for lane in list(_lanes(edited, chosen, reader, past)):
        after = np.flatnonzero(lane.leaves[:-1]) + 1
        early, late = lane.rows[after - 1], lane.rows[after]
        lag = _queue_lag(edited, lane.rows)[after]
        behind = edited.is_kind("queue", "graph") & np.isin(edited.dst, begin[late])
        edited.keep(~(behind & np.isin(edited.src, finish[early])))
        edited.add("beside", begin[early], begin[late], module["dur"][early] // 2 + lag, early)
        own = lane.rows[lane.leaves]
        edited.add("collective", finish[own[:-1]], finish[own[1:]], module["dur"][own[1:]] // 2, own[1:])
        unread += _join(edited, lane, join)
    return unread


def _queue_lag(edited: Edited, rows: Array) -> Ints:
    """For each row of a lane the lag behind the one before it, the lane's shortest where it runs beside that."""
    into = edited.into("queue", "graph")[edited.graph.begin[rows]]
    known = edited.lag[into[into >= 0]]
    return np.where(into >= 0, edited.lag[into], int(known.min()) if len(known) else 0)
