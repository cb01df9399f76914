"""The critical path: the chain of instants each of which waited for the one before, from the last end back."""

from __future__ import annotations

from typing import Final

import attrs
import numpy as np

from traceir.ir import NULL_I64, Array, Ints, Mask, Module, Spans
from traceir.ir.kinds import nesting_kinds
from traceir_passes.replay.graph import CODE, Graph, extent, tightest

CLASSES: Final = (
    "compute", "comm", "comm_wait", "fused", "memory", "host", "call", "sync", "launch", "queue", "wait", "handover",
    "unexplained",
)  # fmt: skip
"""What a part of the path is: device work by the class of its role, host code, runtime calls, the lags between.

Communication that `collectives` knows to wait for other ranks is `comm_wait`, the rest of it `comm`.
"""
_OF_KIND: Final = {
    "work": "compute", "beside": "compute", "call": "call", "host": "host", "launch": "launch", "queue": "queue",
    "graph": "queue", "sync": "sync", "full": "queue", "wait": "wait", "wait_guessed": "wait", "collective": "comm",
    "handover": "handover", "enqueue": "handover", "flow": "handover",
}  # fmt: skip
_CLASS: Final = np.array([CLASSES.index(_OF_KIND[kind]) for kind in CODE])
_WORK: Final = np.array([CODE["work"], CODE["beside"], CODE["collective"]])
BEGIN: Final = -1
"""In place of a kind of edge: an instant to which no edge leads."""


@attrs.frozen(eq=False)
class Path:
    """The parts of a path in order of time, without gaps: from the first start of the span to its last end.

    `kind` is the kind of edge (`BEGIN` for none), `unexplained` marks what the edge's lag does not cover. `of` is the
    event that the part is spent in, or whose start or end came late by it (-1 none), `lane` where it was; `waiting`
    marks communication that waits for other ranks.
    """

    start: Ints
    dur: Ints
    kind: Array
    unexplained: Mask
    of: Array
    lane: Array
    waiting: Mask

    def __len__(self) -> int:
        return len(self.start)


def path(graph: Graph, time: Ints, src: Array, dst: Array, lag: Ints, kind: Array, of: Array, residual: Ints) -> Path:
    """The path to the last end of the span at given times, which the edges and residuals produced.

    The walk takes an edge by `tightest` from each instant; it is one Python step per instant on the path.
    """
    low, high = extent(graph, time)
    tight = tightest(graph, time, src, dst, lag, kind)
    late = np.flatnonzero(graph.sink & (time == high))
    node = int(late[-1]) if len(late) else -1
    via, sources = tight.tolist(), src.tolist()
    nodes: list[int] = []
    while node >= 0:
        nodes.append(node)
        node = sources[via[node]] if via[node] >= 0 else -1
    at = np.array(nodes[::-1], np.int64)
    if not len(at):
        none = np.empty(0, np.int64)
        return Path(none, none, none, none > 0, none, none, none > 0)
    edge = tight[at]
    some = edge >= 0
    rest = np.where(some, residual[at], 0)
    # Each instant brings two parts: the lag of its edge, then what the edge leaves unexplained. To the first no edge
    # leads, so all before it is unexplained.
    begin = np.where(some, time[src[edge]], low)
    middle = np.where(some, time[at] - rest, begin)
    kinds = np.where(some, kind[edge], BEGIN)
    owner = np.where(some, of[edge], graph.row[at])
    start = np.stack([begin, middle], 1).ravel()
    end = np.stack([middle, time[at]], 1).ravel()
    unexplained = np.tile([False, True], len(at))
    late_by = np.where(graph.row[at] >= 0, graph.row[at], owner)
    start, end = np.maximum(start, low), np.maximum(end, low)
    keep = end > start
    lane = np.where(some, graph.lane[src[edge]], graph.lane[at])
    return _with_waits(graph.module, Path(
        start[keep], (end - start)[keep], np.repeat(kinds, 2)[keep], unexplained[keep],
        np.stack([owner, late_by], 1).ravel()[keep], np.stack([lane, graph.lane[at]], 1).ravel()[keep],
        np.zeros(int(keep.sum()), bool),
    ))  # fmt: skip


def _with_waits(module: Module, found: Path) -> Path:
    """The path with communication that begins by waiting for other ranks parted where the wait ends."""
    some = np.flatnonzero(np.isin(found.kind, _WORK[:2]) & ~found.unexplained & (found.of >= 0))
    waits, dur = waits_of(module, found.of[some]), module["dur"][found.of[some]]
    # An edit may have changed how long the event takes; then it has as much less or more of everything.
    scale = np.where(found.kind[some] == CODE["work"], found.dur[some] / np.maximum(dur, 1), 1.0)
    wait = np.minimum(np.rint(waits * scale).astype(np.int64), found.dur[some])
    some, wait = some[wait > 0], wait[wait > 0]
    if not len(some):
        return found
    at = np.sort(np.concatenate([np.arange(len(found)), some]))
    first = np.append(at[1:] == at[:-1], False)
    rest = np.insert(first[:-1], 0, False)
    start, dur = found.start[at], found.dur[at]
    dur[first] = wait
    start[rest] += wait
    dur[rest] -= wait
    keep = dur > 0
    rows = at[keep]
    return Path(
        start[keep], dur[keep], found.kind[rows], found.unexplained[rows], found.of[rows], found.lane[rows], first[keep]
    )  # fmt: skip


def waits_of(module: Module, rows: Array, guesses: bool = True) -> Ints:
    """How many of the first ns of some events `collectives` knows to be waiting for other ranks, 0 where unknown.

    Without `guesses` those do not count that it took from the shortest of like collectives.
    """
    out = np.zeros(len(rows), np.int64)
    if "coll.instance" not in module or "coll.wait" not in module or module.domain("coll.instance") != "event":
        return out
    every = np.flatnonzero(module.work & (module["coll.instance"] >= 0))
    begun = np.full(len(module["coll.wait"]), np.iinfo(np.int64).max)
    np.minimum.at(begun, module["coll.instance"][every], module["ts"][every])
    instance = module["coll.instance"][rows]
    wait = np.append(module["coll.wait"], NULL_I64)[instance]
    known = wait != NULL_I64
    if not guesses and "coll.wait_basis" in module:
        known &= ~np.append(module.is_in("coll.wait_basis", ["guessed"]), False)[instance]
    mine = np.flatnonzero((instance >= 0) & known)
    rows, instance, wait = rows[mine], instance[mine], wait[mine]
    out[mine] = np.clip(wait - (module["ts"][rows] - begun[instance]), 0, module["dur"][rows])
    return out


def observed(graph: Graph) -> Path:
    """The critical path of the times as they were."""
    return path(graph, graph.time, graph.src, graph.dst, graph.lag, graph.kind, graph.of, graph.residual)


def classes(module: Module, found: Path) -> Array:
    """The class of each part, a position in `CLASSES`; work counts by the class of its role, compute if unknown."""
    out = np.where(found.kind >= 0, _CLASS[np.maximum(found.kind, 0)], CLASSES.index("unexplained"))
    work = np.isin(found.kind, _WORK[:2]) & (found.of >= 0)
    of = found.of[work]
    kinds = np.full(len(of), CLASSES.index("compute"))
    kinds[module.is_kind("dev.memcpy", "dev.memset")[of]] = CLASSES.index("memory")
    if "infer.class" in module:
        for name in ("compute", "comm", "fused", "memory"):
            kinds[module.is_in("infer.class", [name])[of]] = CLASSES.index(name)
    if "coll.kind" in module and module.domain("coll.kind") == "event":
        some = (module["coll.kind"][of] >= 0) & (kinds != CLASSES.index("fused"))
        kinds[some] = CLASSES.index("comm")
    out[work] = kinds
    out[found.waiting] = CLASSES.index("comm_wait")
    out[found.unexplained] = CLASSES.index("unexplained")
    return out


def by_class(module: Module, found: Path) -> Ints:
    """The time of each of `CLASSES` on a path; they sum to its length."""
    out = np.zeros(len(CLASSES), np.int64)
    np.add.at(out, classes(module, found), found.dur)
    return out


def per_event(module: Module, found: Path) -> Ints:
    """How much of the path each event has: work what of it is on the path, host events where they were innermost."""
    out = np.zeros(len(module), np.int64)
    work = np.isin(found.kind, _WORK) & ~found.unexplained & (found.of >= 0)
    np.add.at(out, found.of[work], found.dur[work])
    own = np.isin(found.kind, [CODE["call"], CODE["host"]]) & ~found.unexplained
    nests = module.live & module.is_kind(*nesting_kinds())
    for lane in np.flatnonzero(np.bincount(found.lane[own])).tolist() if own.any() else ():
        mine = own & (found.lane == lane)
        spans = Spans.of(found.start[mine], found.start[mine] + found.dur[mine])
        rows = np.flatnonzero(nests & (module["lane"] == lane))
        out[rows] += _innermost(module, rows, spans)
    return out


def _innermost(module: Module, rows: Array, spans: Spans) -> Ints:
    """For each host event of one lane how much of a set of instants it has that none of its children has."""
    start, end = module["ts"][rows], module.end[rows]
    own = spans.covered(start, end)
    at = np.full(len(module) + 1, -1, np.int64)
    at[rows] = np.arange(len(rows))
    outer = at[module.parent[rows]]
    inside = np.flatnonzero(outer >= 0)
    outer = outer[inside]
    # A child may stick out of its parent by a few ns, which then are the child's alone.
    part = spans.covered(np.maximum(start[inside], start[outer]), np.maximum(
        np.minimum(end[inside], end[outer]), np.maximum(start[inside], start[outer])))  # fmt: skip
    taken = np.zeros(len(rows), np.int64)
    np.add.at(taken, outer, part)
    return np.asarray(np.maximum(own - taken, 0))
