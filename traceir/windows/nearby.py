"""What lies around some events: the nearest over nesting, edges and lanes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from traceir.errors import UsageError
from traceir.ir import Array, Module, Rows
from traceir.text.words import id_text
from traceir.units import count
from traceir.windows.chosen import Chosen, at_least
from traceir.windows.named import row_of


def around(module: Module, ids: Iterable[int], hops: int = 1, limit: int = 200) -> Chosen:
    """The events within some hops of those with these ids, at most `limit` in all, and a note if that cut some off.

    A hop leads to the parent, the children, along edges of every kind in both directions, and to the neighbours on
    the lane (the events that start directly before and after). Fewer hops come first. Within a hop the events found
    before are asked in turns, each for one event of each relation, so that a launch with 544 kernels does not crowd
    out its parent; within a relation what starts nearest in time to an event asked for comes first. Nothing else
    matters for the choice. Columns are read as recorded: removed events count as any other (`without_dead` leaves
    them out). An id that the module does not have, hops below 0 and a limit below 1 are UsageErrors.
    O(hops x (n + found log found)), and O(n log n) once.
    """
    at_least("number of hops", hops, 0)
    at_least("limit of events", limit, 1)
    wanted = [row_of(module, id) for id in dict.fromkeys(ids)]
    if not wanted:
        raise UsageError("No event was named to look around; name at least one, such as %8812.")
    if len(wanted) > limit:
        left_out = f"Only the first {count(limit)} of the {count(len(wanted))} events named are taken; raise the limit."
        return Chosen(np.sort(np.array(wanted[:limit], np.int32)), left_out)
    fresh = np.array(wanted, np.int32)
    seen = np.zeros(len(module), bool)
    seen[fresh] = True
    links, left = _Links(module, fresh), limit - len(fresh)
    note: str | None = None
    for hop in range(1, hops + 1):
        found = links.beyond(fresh)
        found = found[~seen[found]]
        if len(found) > left:
            note = (
                f"The limit of {count(limit)} events was reached at hop {hop} of {hops} around "
                f"{_named(module, wanted)}: of the {count(len(found))} events there {count(left)} are taken, "
                "and none beyond them; raise the limit or lower the hops."
            )
        fresh = found[:left]
        seen[fresh] = True
        left -= len(fresh)
        if note or not len(fresh):
            break
    return Chosen(np.flatnonzero(seen).astype(np.int32), note)


def _named(module: Module, rows: list[int]) -> str:
    first = id_text(int(module["id"][rows[0]]))
    return first if len(rows) == 1 else f"{first} and {count(len(rows) - 1)} more"


class _Links:
    """What one hop leads to, and in which order."""

    def __init__(self, module: Module, seeds: Rows) -> None:
        ts, lane, edge = module["ts"], module["lane"], module.tables["edge"]
        self._ts, self._seeds = ts, np.sort(ts[seeds])
        self._parent, self._src, self._dst, self._kind = module["parent"], edge["src"], edge["dst"], edge["kind"]
        order = np.argsort(lane, kind="stable").astype(np.int32)
        follows = lane[order[1:]] == lane[order[:-1]]
        self._before = np.full(len(module), -1, np.int32)
        self._after = np.full(len(module), -1, np.int32)
        self._before[order[1:][follows]] = order[:-1][follows]
        self._after[order[:-1][follows]] = order[1:][follows]

    def beyond(self, rows: Rows) -> Rows:
        """What these rows are joined with, each once, nearest first (themselves and others seen before included)."""
        inside = np.zeros(len(self._ts) + 1, bool)
        inside[rows] = True
        out, into = inside[self._src], inside[self._dst]
        children = np.flatnonzero(inside[self._parent])
        # Of equally near events the relation that stands first wins: what an event comes from before what it made.
        pieces: list[tuple[Array, Array, Array | int]] = [
            (rows, self._parent[rows], 0),
            (self._dst[into], self._src[into], 1 + self._kind[into].astype(np.int64)),
            (self._src[out], self._dst[out], 101 + self._kind[out].astype(np.int64)),
            (rows, self._before[rows], 201),
            (rows, self._after[rows], 202),
            (self._parent[children], children, 203),
        ]
        source = np.concatenate([piece[0] for piece in pieces])
        target = np.concatenate([piece[1] for piece in pieces])
        relation = np.concatenate([np.broadcast_to(piece[2], piece[0].shape) for piece in pieces])
        real = target >= 0
        return self._in_turns(source[real], relation[real], target[real])

    def _in_turns(self, source: Array, relation: Array, target: Array) -> Rows:
        """The targets by their turn in their source's relation, then by relation, nearness and row; each once."""
        away = self._away(target)
        order = np.lexsort((target, away, relation, source))
        source, relation, target, away = source[order], relation[order], target[order], away[order]
        at = np.arange(len(order))
        first = np.append(True, (source[1:] != source[:-1]) | (relation[1:] != relation[:-1]))[: len(order)]
        turn = at - np.maximum.accumulate(np.where(first, at, 0))
        target = target[np.lexsort((target, away, relation, turn))]
        _, once = np.unique(target, return_index=True)
        return np.asarray(target[np.sort(once)], np.int32)

    def _away(self, rows: Array) -> Array:
        """How far from the nearest event asked for each starts. Floats: the difference of two instants may not fit."""
        ts, seeds = self._ts[rows].astype(float), self._seeds.astype(float)
        at = np.searchsorted(seeds, ts)
        before, after = seeds[np.maximum(at - 1, 0)], seeds[np.minimum(at, len(seeds) - 1)]
        return np.asarray(np.minimum(np.abs(ts - before), np.abs(ts - after)))
