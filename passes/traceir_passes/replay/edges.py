"""The edges of the event graph of a module, each with the lag that it explains."""

from __future__ import annotations

from typing import Final

import attrs
import numpy as np

from traceir.ir import Array, Ints, Mask, Module
from traceir_passes.replay.calls import Blocked, blocked, blocking, calls, held_up
from traceir_passes.replay.device import (
    FAR,
    LEAST,
    Groups,
    Streams,
    after_return,
    coded,
    groups,
    shortest,
    streams,
)
from traceir_passes.replay.graph import CODE, Draft, Graph, build
from traceir_passes.replay.host import Chain, chain, handovers, in_scope
from traceir_passes.replay.joins import asked_joins, guessed_joins, told_joins

NEAR: Final = 10_000
"""How close to the end of other work, in ns, a start has to be for a wait between streams to be guessed, or an
allocation's return to have waited for it: a few times what devices take from one event to the next."""
QUIET: Final = 50_000
"""The least time in ns that a thread does nothing for another to have taken over: longer than most single calls."""
FILLED: Final = 0.75
"""The least share of that time which the other's burst has to take."""


@attrs.define(eq=False)
class _Edges:
    """Edges while they are collected."""

    parts: list[tuple[Array, Array, Ints, Array, Array]] = attrs.field(factory=list)

    def add(self, kind: str | Array, src: Array, dst: Array, lag: Ints, of: Array) -> None:
        codes = np.full(len(src), CODE[kind], np.int64) if isinstance(kind, str) else kind
        parts = (src, dst, lag, codes, of)
        self.parts.append(tuple(np.asarray(part, np.int64) for part in parts))  # type: ignore[arg-type]

    def columns(self) -> list[Array]:
        empty = (np.empty(0, np.int64),) * 5
        return [np.concatenate(part) for part in zip(empty, *self.parts, strict=True)]


def graph_of(module: Module, near: int = NEAR) -> Graph:
    """The event graph of a module: its live device work and runtime calls. O(n log n).

    `near` is how close in ns to the end of other work a start or a return has to be for a wait to be guessed. Events at
    times that no sum of a few fits into 64 bits beside are left out.
    """
    module = _in_reach(module)
    host = in_scope(module)
    found = handovers(module, host, QUIET, FILLED)
    line = chain(module, host, found)
    work, teams = streams(module), groups(module)
    base = len(line.time)
    begin, finish = np.full(len(module) + 1, -1, np.int64), np.full(len(module) + 1, -1, np.int64)
    starts, ends = ((line.row >= 0) & (line.end == side) for side in (False, True))
    begin[line.row[starts]], finish[line.row[ends]] = np.flatnonzero(starts), np.flatnonzero(ends)
    begin[work.rows] = base + np.arange(len(work.rows))
    finish[work.rows] = base + len(work.rows) + np.arange(len(work.rows))
    hubs = base + 2 * len(work.rows)
    edges = _Edges()
    _host(module, line, blocked(module, near), edges, begin, finish)
    _handed(line, edges)
    _across(module, edges, begin, finish)
    _device(module, work, teams, edges, begin, finish, near)
    together = _together(module, teams, edges, begin, finish, hubs)
    src, dst, lag, kind, of = edges.columns()
    bare = np.full(teams.count, -1)
    return build(module, Draft(
        np.concatenate([line.time, module["ts"][work.rows], module.end[work.rows], together]),
        np.concatenate([line.row, work.rows, work.rows, bare]),
        np.concatenate([line.end, np.zeros(len(work.rows), bool), np.ones(len(work.rows), bool), bare > 0]),
        np.concatenate([line.lane, work.lane, work.lane, bare]),
        src, dst, lag, kind, of,
    ))  # fmt: skip


def _in_reach(module: Module) -> Module:
    """The module without the events at times beyond `FAR`, which only damage makes."""
    near = (np.abs(module["ts"] // 2) < FAR // 2) & (module["dur"] < FAR)
    return module if near.all() else module.with_columns({"live": module.live & near})


def _host(module: Module, line: Chain, waited: Blocked, edges: _Edges, begin: Array, finish: Array) -> None:
    """Each thread's own steps: exact, but for what waited for the device, which weighs only its overhead."""
    step = np.flatnonzero(line.lane[1:] == line.lane[:-1]) if len(line.lane) else np.empty(0, np.int64)
    lag = line.time[step + 1] - line.time[step]
    lag[line.weak[step + 1]] = 0
    at = np.full(len(line.time) + 1, -1, np.int64)
    at[step + 1] = np.arange(len(step))
    # A stretch in which another thread had taken over takes only what is before and after that burst.
    start, end, first, last = line.cut
    long = _runs(line)[start]
    own = np.full(len(step) + 1, np.iinfo(np.int64).max)
    np.minimum.at(own, at[long + 1], line.time[first] - line.time[start] + line.time[end] - line.time[last])
    lag = np.minimum(lag, own[:-1])
    for kind, waits, done, node in (
        ("sync", waited, module.end, finish),
        ("full", held_up(module), module["ts"], begin),
    ):
        _held(module, line, kind, waits, done, node, edges, finish, at, lag)
    edges.add(np.where(line.call[step], CODE["call"], CODE["host"]), step, step + 1, lag, line.owner[step])


def _held(
    module: Module, line: Chain, kind: str, waits: Blocked, done: Ints, node: Array, edges: _Edges, finish: Array,
    at: Array, lag: Ints,
) -> None:  # fmt: skip
    """Calls that waited until work was `done` (its `node`): an edge to their end, and in `lag` their overhead alone."""
    into = finish[waits.call]
    here = (into >= 0) & (into < len(line.time)) & (node[waits.work] >= 0)
    here[here] &= at[into[here]] >= 0
    # Only the step in which the work was done can have waited for it, if the call has others inside.
    here[here] &= done[waits.work[here]] > line.time[into[here] - 1]
    call, work, into = waits.call[here], waits.work[here], into[here]
    returned = module.end[call] - done[work]
    lag[at[into]] = np.minimum(lag[at[into]], _overhead(module, call, returned))
    edges.add(kind, node[work], into, shortest(returned, [module["name"][call]]), call)


def _runs(line: Chain) -> Array:
    """For each instant of the chain the last one of its thread that falls together with it."""
    last = np.append((line.time[1:] != line.time[:-1]) | (line.lane[1:] != line.lane[:-1]), True)[: len(line.time)]
    at = np.where(last, np.arange(len(last)), len(last))
    return np.minimum.accumulate(at[::-1])[::-1]


def _overhead(module: Module, call: Array, returned: Ints) -> Ints:
    """What a blocking call costs without anything to wait for: the least time that one of its name was seen to take."""
    every = np.flatnonzero(calls(module))
    least = np.full(len(module.strings), np.iinfo(np.int64).max)
    free = every[~np.isin(every, call)]
    np.minimum.at(least, module["name"][free], module["dur"][free])
    np.minimum.at(least, module["name"][call], returned)
    return np.asarray(least[module["name"][call]])


def _handed(line: Chain, edges: _Edges) -> None:
    """From a thread to the burst of another that it waits for, and back."""
    start, end, first, last = line.cut
    none = np.full(len(start), -1)
    edges.add("handover", start, first, line.time[first] - line.time[start], none)
    edges.add("handover", last, end, line.time[end] - line.time[last], none)


def _across(module: Module, edges: _Edges, begin: Array, finish: Array) -> None:
    """What enqueue edges and flows between threads say: an order, and of the former the shortest lag of its lanes."""
    for kind, side in (("enqueue", begin), ("flow", finish)):
        src, dst = module.edges(kind)
        good = (side[src] >= 0) & (begin[dst] >= 0) & (module["lane"][src] != module["lane"][dst])
        src, dst = src[good], dst[good]
        lag = module["ts"][dst] - (module["ts"][src] if side is begin else module.end[src])
        key = coded(module["lane"][src], module["lane"][dst])
        forward = lag >= 0  # the others contradict themselves, which `build` reports
        lag[forward] = shortest(lag[forward], [key[forward]]) if kind == "enqueue" else 0
        edges.add(kind, side[src], begin[dst], np.maximum(lag, 0), dst)


def _device(
    module: Module, work: Streams, teams: Groups, edges: _Edges, begin: Array, finish: Array, near: int
) -> None:
    """What device work waits for: its duration, its launch, its stream, and other streams."""
    rows, ts, end = work.rows, module["ts"], module.end
    alone = ~np.isin(rows, teams.rows)
    edges.add("work", begin[rows[alone]], finish[rows[alone]], module["dur"][rows[alone]], rows[alone])
    bound = np.maximum(_launches(module, work, edges, begin), _queues(module, work, edges, begin, finish))
    told, asked = told_joins(module, work), asked_joins(module, work)
    guessed = guessed_joins(module, work, bound, near, told.late).without(told).plus(asked.without(told))
    by_row = np.full(len(module), LEAST)
    by_row[rows] = bound
    for kind, joins in (("wait", told), ("wait_guessed", guessed)):
        lag = ts[joins.late] - end[joins.early]
        key = coded(module["lane"][joins.early], module["lane"][joins.late])
        held = end[joins.early] > by_row[joins.late]  # else something else held it back, and the lag is not the wait's
        least = shortest(lag, [key, np.zeros(len(lag), np.int64)], held)
        edges.add(kind, finish[joins.early], begin[joins.late], least, joins.late)


def _launches(module: Module, work: Streams, edges: _Edges, begin: Array) -> Ints:
    """From launch calls to work, with the shortest latency that was seen on an empty lane; by when that allows it.

    A call that lasts longer than others, as the first of a kernel does while its code is loaded, submits as much later:
    the lag is also at least the call's duration and the least time (negative as a rule) from its end to the start.
    """
    rows, ts = work.rows, module["ts"]
    call = module.launch[rows].astype(np.int64)
    good = (call >= 0) & (begin[call] >= 0)
    at, call = np.flatnonzero(good), call[good]
    latency = ts[rows[at]] - ts[call]
    reach = np.where(work.before[at] >= 0, module.end[rows[work.before[at]]], LEAST)
    kind, lane, device = coded(module["kind"][call], module["kind"][rows[at]]), work.lane[at], module.device[rows[at]]
    keys = [coded(kind, lane), coded(kind, device), kind, device, np.zeros(len(at), np.int64)]
    # Of a lane's first event nobody knows what came before it.
    empty = (work.before[at] >= 0) & (reach <= ts[call])
    forward = latency >= 0
    lag = np.zeros(len(at), np.int64)
    lag[forward] = shortest(latency[forward], [key[forward] for key in keys], empty[forward])
    dur, free = module["dur"][call], ~blocking(module)[call]  # a blocking call lasts as long as its copy, not before it
    late = np.maximum(lag, dur + after_return(latency - dur, keys[0], empty & free))
    lag[forward & free] = late[forward & free]
    edges.add("launch", begin[call], begin[rows[at]], lag, rows[at])
    bound = np.full(len(rows), LEAST)
    bound[at] = ts[call] + lag
    return bound


def _queues(module: Module, work: Streams, edges: _Edges, begin: Array, finish: Array) -> Ints:
    """From work to what follows it on its lane; by when that allows it.

    With the shortest gap of the lane between such events that were queued: of one graph launch or not, copies or not.
    Events that run beside each other keep the distance of their starts.
    """
    rows = work.rows
    beside = np.flatnonzero(work.beside)
    offset = module["ts"][rows[beside]] - module["ts"][rows[work.before[beside]]]
    edges.add("beside", begin[rows[work.before[beside]]], begin[rows[beside]], offset, rows[work.before[beside]])
    at = np.flatnonzero((work.before >= 0) & ~work.beside)
    before = work.before[at]
    gap = module["ts"][rows[at]] - module.end[rows[before]]
    graph = same_graph(module, rows[at], rows[before])
    memory = module.is_kind("dev.memcpy", "dev.memset")[rows]
    # Only what was launched before the event before it ended shows the queue's own gap; others waited for the host.
    call = module.launch[rows[at]]
    queued = graph | ((call >= 0) & (module["ts"][call] <= module.end[rows[before]]))
    alike = coded(graph, memory[at], memory[before])
    lag = shortest(gap, [coded(work.lane[at], alike), alike], queued)
    kind = np.where(graph, CODE["graph"], CODE["queue"])
    edges.add(kind, finish[rows[before]], begin[rows[at]], lag, rows[at])
    bound = np.full(len(rows), LEAST)
    bound[at] = module.end[rows[before]] + lag
    bound[beside] = module["ts"][rows[beside]]
    return bound


def same_graph(module: Module, one: Array, other: Array) -> Mask:
    """Whether two works come from one launch of a graph."""
    launch = module.launch
    return np.asarray(
        (launch[one] >= 0) & (launch[one] == launch[other]) & module.is_kind("rt.graph_launch")[launch[one]]
    )


def _together(module: Module, teams: Groups, edges: _Edges, begin: Array, finish: Array, base: int) -> Ints:
    """Collectives over several lanes: the last member to start lets all of them go on; when that was, for each."""
    latest = np.full(teams.count, LEAST)
    np.maximum.at(latest, teams.group, module["ts"][teams.rows])
    hub = base + teams.group
    edges.add("collective", begin[teams.rows], hub, np.zeros(len(hub), np.int64), teams.rows)
    edges.add("collective", hub, finish[teams.rows], module.end[teams.rows] - latest[teams.group], teams.rows)
    return latest
