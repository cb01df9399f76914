"""The event graph against references: longest paths by networkx, edges by loops over pairs, slack by trying it."""

from __future__ import annotations

import time
from pathlib import Path

import attrs
import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

import traceir as tir
from tests.build import Ev, module
from traceir import synth
from traceir.ir import NULL_I64, Ints
from traceir_passes.replay import (
    CLASSES,
    CODE,
    KINDS,
    Graph,
    classes,
    extent,
    graph_of,
    observed,
    per_event,
    replay,
    slack_of,
)

US = 1_000


@st.composite
def traced(draw: DrawFn) -> tir.Module:
    """A few threads with calls (blocking ones, too), and streams with work that some of them launched.

    Work of a stream may overlap, begin before its launch (a clock that is wrong), or have no launch at all.
    """
    events: list[Ev] = []
    for thread in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, 20))
        for _ in range(draw(st.integers(1, 5))):
            at += draw(st.integers(0, 12))
            dur = draw(st.integers(0, 15))
            kind, name = draw(st.sampled_from([
                ("rt.launch", "cudaLaunchKernel"), ("rt.graph_launch", "cudaGraphLaunch"),
                ("rt.sync", "cudaStreamSynchronize"), ("rt.call", "cudaStreamWaitEvent"), ("rt.memcpy", "cudaMemcpy"),
                ("rt.alloc", "cudaFree"),
            ]))  # fmt: skip
            events.append(Ev(kind, name, at, dur, f"cpu.{thread}"))
            at += dur
    calls = [number for number, event in enumerate(events) if event.kind in ("rt.launch", "rt.graph_launch")]
    copies = [number for number, event in enumerate(events) if event.kind == "rt.memcpy"]
    for stream in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, 30))
        for _ in range(draw(st.integers(0, 5))):
            at += draw(st.integers(-2, 12))
            dur = draw(st.integers(0, 15))
            is_copy = bool(copies) and draw(st.booleans())
            launch = draw(st.sampled_from([None, *(copies if is_copy else calls)]))
            kind = "dev.memcpy" if is_copy else "dev.kernel"
            device = stream // 2
            events.append(Ev(kind, f"k{len(events)}", max(at, 0), dur, f"gpu{device}.s{stream}", launch))
            at += dur
    return module(events)


def longest(graph: Graph, residual: Ints) -> list[int]:
    """When each instant comes, by networkx: the longest way from the instants to which no edge leads."""
    dag = nx.DiGraph()
    dag.add_nodes_from(range(len(graph)))
    for src, dst, lag in zip(graph.src.tolist(), graph.dst.tolist(), graph.lag.tolist(), strict=True):
        weight = lag + int(residual[dst])
        old = dag.get_edge_data(src, dst, {"weight": weight})["weight"]
        dag.add_edge(src, dst, weight=max(weight, old))
    out = [int(at) for at in graph.time]
    for node in nx.topological_sort(dag):
        before = list(dag.predecessors(node))
        if before:
            out[node] = max(out[one] + dag.edges[one, node]["weight"] for one in before)
    return out


@given(traced())
def test_a_replay_is_the_longest_path(item: tir.Module) -> None:
    """With residuals it gives every time as it was (R-REPLAY), without what networkx finds; nothing is negative."""
    graph = graph_of(item)
    assert (graph.residual >= 0).all()
    assert (graph.lag >= 0).all()
    assert graph.replay().tolist() == graph.time.tolist() == longest(graph, graph.residual)
    assert graph.replay(residuals=False).tolist() == longest(graph, graph.held)
    assert (graph.replay(residuals=False) <= graph.time).all()


@given(traced())
def test_edges_go_forward_in_time_and_in_order(item: tir.Module) -> None:
    """Edges that go back are contradictions, counted with the worst of them, and no edges."""
    graph = graph_of(item)
    assert (graph.src < graph.dst).all()
    assert (np.diff(graph.time) >= 0).all()
    early = [
        int(item["ts"][item.launch[row]] - item["ts"][row])
        for row in np.flatnonzero(item.work).tolist()
        if item.launch[row] >= 0 and item["ts"][row] < item["ts"][item.launch[row]]
    ]
    told = [one for one in graph.contradictions if one.kind == "launch"]
    assert [(one.count, one.worst_ns) for one in told] == ([(len(early), max(early))] if early else [])


def by_pairs(item: tir.Module) -> set[tuple[str, int, int]]:
    """Durations, launches and stream order, by looking at each pair of work."""
    out = set()
    work = [int(row) for row in np.flatnonzero(item.work)]
    ts, end, lane = item["ts"].tolist(), item.end.tolist(), item["lane"].tolist()
    for row in work:
        out.add(("work", row, row))
        if item.launch[row] >= 0 and ts[item.launch[row]] <= ts[row]:
            out.add(("launch", int(item.launch[row]), row))
        before = [one for one in work if one < row and lane[one] == lane[row]]
        if before:
            reach = max(end[one] for one in before)
            leader = max(one for one in before if end[one] == reach)
            same = item.launch[row] >= 0 and item.launch[row] == item.launch[leader]
            same = same and bool(item.is_kind("rt.graph_launch")[item.launch[row]])
            kind = "beside" if ts[row] < reach else "graph" if same else "queue"
            out.add((kind, leader, row))
    return out


@given(traced())
def test_edges_of_streams_and_launches(item: tir.Module) -> None:
    """Each work follows its launch and the one of its lane that ended last, or runs beside it."""
    graph = graph_of(item)
    wanted = [CODE[name] for name in ("work", "launch", "queue", "graph", "beside")]
    found = {
        (KINDS[kind], int(graph.row[src]), int(graph.row[dst]))
        for kind, src, dst in zip(graph.kind.tolist(), graph.src.tolist(), graph.dst.tolist(), strict=True)
        if kind in wanted
    }
    assert found == by_pairs(item)


@given(traced())
def test_threads_are_chains(item: tir.Module) -> None:
    """Every instant of a thread but its first has one step from the instant before it, never longer than it was."""
    graph = graph_of(item)
    step = np.isin(graph.kind, [CODE["host"], CODE["call"]])
    for lane in np.unique(graph.lane[graph.lane >= 0]).tolist():
        if item.lanes[lane].is_device:
            continue
        nodes = np.flatnonzero(graph.lane == lane)
        mine = step & (graph.lane[graph.src] == lane)
        assert sorted(zip(graph.src[mine].tolist(), graph.dst[mine].tolist(), strict=True)) == list(
            zip(nodes[:-1].tolist(), nodes[1:].tolist(), strict=True)
        )
        assert (graph.lag[mine] <= graph.time[graph.dst[mine]] - graph.time[graph.src[mine]]).all()


@given(traced())
def test_slack_is_what_an_event_can_be_late_by(item: tir.Module) -> None:
    """Delayed by its slack an event leaves the span's end where it is; delayed by 1 ns more it moves it by 1 ns."""
    graph = graph_of(item)
    slack = slack_of(graph)
    end = extent(graph, graph.time)[1]
    for row in np.flatnonzero(graph.begin >= 0).tolist():
        node = graph.begin[row]

        def delayed(ns: int, node: int = int(node)) -> int:
            if graph.given[node]:  # no edge leads there, so it is given later
                moved = graph.time.copy()
                moved[node] += ns
                return extent(
                    graph, replay(attrs.evolve(graph, time=moved), graph.src, graph.dst, graph.lag, graph.residual)
                )[1]
            late = graph.residual.copy()
            late[node] += ns
            return extent(graph, replay(graph, graph.src, graph.dst, graph.lag, late))[1]

        if slack[row] == NULL_I64:
            assert delayed(10**9) == end
        else:
            assert delayed(int(slack[row])) == end
            assert delayed(int(slack[row]) + 1) == end + 1


@given(traced())
def test_the_path_is_made_of_what_was_waited_for(item: tir.Module) -> None:
    """Its parts follow each other from the first start to the last end, and no event on it has slack."""
    graph = graph_of(item)
    found = observed(graph)
    low, high = graph.span
    assert int(found.dur.sum()) == high - low
    assert found.start.tolist() == [low, *(found.start + found.dur).tolist()][: len(found)]
    slack = slack_of(graph)
    on = per_event(item, found) > 0
    work = on & item.work
    assert all(slack[row] == 0 for row in np.flatnonzero(work))
    assert (per_event(item, found)[work] <= item["dur"][work]).all()
    assert all(0 <= code < len(CLASSES) for code in classes(item, found))


@given(traced(), st.integers(-(10**12), 10**12))
def test_moving_all_times_changes_nothing(item: tir.Module, by: int) -> None:
    """The graph of a trace that begins later is the same graph, later."""
    graph = graph_of(item)
    moved = graph_of(item.with_columns({"ts": item["ts"] + by}))
    for name in ("src", "dst", "lag", "kind", "of", "residual"):
        assert getattr(graph, name).tolist() == getattr(moved, name).tolist()
    assert (graph.time + by).tolist() == moved.time.tolist()


def kernel(at: int, dur: int, call: int | None, lane: str = "gpu0.s7", name: str = "k") -> Ev:
    return Ev("dev.kernel", name, at, dur, lane, call)


def launched(at: int, dur: int = 5 * US, lane: str = "cpu") -> Ev:
    return Ev("rt.launch", "cudaLaunchKernel", at, dur, lane)


def edges(graph: Graph, kind: str) -> list[tuple[int, int, int]]:
    """The edges of a kind as (row, row, lag)."""
    at = np.flatnonzero(graph.kind == CODE[kind])
    return [(int(graph.row[graph.src[i]]), int(graph.row[graph.dst[i]]), int(graph.lag[i])) for i in at.tolist()]


def test_a_sync_waits_for_the_last_work_of_the_stream_that_was_done() -> None:
    """Of two streams the one that still runs when the call returns was not waited for."""
    items = [
        launched(0), kernel(10 * US, 100 * US, 0), launched(6 * US), kernel(20 * US, 500 * US, 2, "gpu0.s20"),
        Ev("rt.sync", "cudaStreamSynchronize", 20 * US, 95 * US, "cpu"),
        launched(120 * US), kernel(130 * US, US, 5),
    ]  # fmt: skip
    graph = graph_of(module(items))
    assert edges(graph, "sync") == [(graph.module.row_of(1), graph.module.row_of(4), 5 * US)]
    call = [lag for row, other, lag in edges(graph, "call") if row == other == graph.module.row_of(4)]
    assert call == [5 * US], "a blocking call weighs what it takes to return, not what it waited"


def test_an_allocation_is_no_wait_unless_it_returns_right_after_work() -> None:
    """A malloc during which a kernel happens to end costs its own time."""
    items = [launched(0), kernel(10 * US, 100 * US, 0), Ev("rt.alloc", "cudaMalloc", 20 * US, 900 * US, "cpu")]
    assert edges(graph_of(module(items)), "sync") == []
    items[2] = Ev("rt.alloc", "cudaFree", 20 * US, 95 * US, "cpu")
    assert len(edges(graph_of(module(items)), "sync")) == 1


def test_work_that_starts_when_another_stream_is_done_waited_for_it() -> None:
    """Only if the host asked a stream to wait in between, or nothing in the trace would show that it did."""
    items = [
        launched(0), kernel(10 * US, 100 * US, 0), launched(20 * US), kernel(112 * US, 5 * US, 2, "gpu0.s20"),
        launched(30 * US), kernel(118 * US, US, 4, "gpu0.s20"),
    ]  # fmt: skip
    assert edges(graph_of(module(items)), "wait_guessed") == [(1, 4, 2 * US)]
    late = Ev("rt.call", "cudaStreamWaitEvent", 40 * US, US, "cpu")
    assert edges(graph_of(module([*items, late])), "wait_guessed") == []
    asked = Ev("rt.call", "cudaStreamWaitEvent", 15 * US, US, "cpu")
    assert len(edges(graph_of(module([*items, asked])), "wait_guessed")) == 1


def test_the_host_s_calls_say_what_a_stream_waits_for() -> None:
    """Compute, reduce, compute: each follows the one before, its reader the reduction, be the host late or not."""
    call = [Ev("rt.call", name, 0, US, "cpu") for name in ("cudaEventRecord", "cudaStreamWaitEvent")]
    items = [launched(0), kernel(10 * US, US, 0)]
    items += [attrs.evolve(one, ts=at * US) for one, at in zip(call, (200, 202), strict=True)]
    items += [launched(210 * US), kernel(220 * US, US, 4, "gpu0.s20")]
    items += [attrs.evolve(call[0], ts=230 * US), launched(400 * US), kernel(410 * US, US, 7)]
    items += [attrs.evolve(call[1], ts=600 * US), launched(610 * US), kernel(620 * US, US, 10)]
    graph = graph_of(module(items))
    ids = graph.module["id"]
    joins = [(int(ids[src]), int(ids[dst]), lag) for src, dst, lag in edges(graph, "wait_guessed")]
    assert joins == [(1, 5, 0), (5, 11, 0)]


def test_one_thread_takes_over_from_another() -> None:
    """While the backward thread works the main one waits: its stretch is the other's burst and what is around it."""
    items = [
        Ev("host.op", "forward", 0, 100 * US, "cpu.main"), launched(50 * US, lane="cpu.main"),
        Ev("host.op", "backward", 110 * US, 480 * US, "cpu.back"), launched(300 * US, lane="cpu.back"),
        Ev("host.op", "step", 600 * US, 100 * US, "cpu.main"), launched(650 * US, lane="cpu.main"),
        kernel(60 * US, US, 1), kernel(310 * US, US, 3), kernel(660 * US, US, 5),
    ]  # fmt: skip
    graph = graph_of(module(items))
    lags = sorted(graph.lag[graph.kind == CODE["handover"]].tolist())
    assert lags == [10 * US, 10 * US]
    beside = [*items, Ev("host.op", "hook", 300 * US, 10 * US, "cpu.main")]  # hardly anything, while it waits
    assert sorted(graph_of(module(beside)).lag[graph_of(module(beside)).kind == CODE["handover"]].tolist()) == lags
    calling = [*items, Ev("rt.call", "cudaEventQuery", 300 * US, 10 * US, "cpu.main")]
    assert not (graph_of(module(calling)).kind == CODE["handover"]).any()
    faster = graph.lag.copy()
    faster[(graph.kind == CODE["host"]) & (graph.lane[graph.src] == 1)] //= 2
    assert extent(graph, replay(graph, graph.src, graph.dst, faster, graph.residual))[1] < extent(graph, graph.time)[1]


def test_overlapping_work_keeps_the_distance_of_its_starts() -> None:
    """A kernel that begins before the one before it has ended follows its start, not its end."""
    items = [launched(0), kernel(10 * US, 10 * US, 0), launched(6 * US), kernel(18 * US, 10 * US, 2)]
    assert edges(graph_of(module(items)), "beside") == [(2, 3, 8 * US)]


def test_a_module_without_work_is_a_chain_of_host_events() -> None:
    """The path of a CPU trace is the thread that ends last."""
    items = [Ev("host.op", "a", 0, 10, "cpu"), Ev("host.op", "inner", 2, 3, "cpu"), Ev("host.op", "b", 15, 10, "cpu")]
    graph = graph_of(module(items))
    found = observed(graph)
    assert graph.span == (0, 25)
    assert int(found.dur.sum()) == 25
    assert per_event(graph.module, found).tolist() == [7, 3, 10]


def test_a_module_without_events() -> None:
    """Nothing to replay, and nothing fails."""
    graph = graph_of(module([Ev("mark.instant", "x", 5, 0, "cpu")]))
    assert graph.span == (0, 0)
    assert len(observed(graph)) == 0
    assert slack_of(graph).tolist() == [NULL_I64]


@pytest.mark.slow
def test_cost_grows_with_the_trace(tmp_path: Path) -> None:
    """Four times the trace takes at most five times as long, for graph, path and slack together."""
    costs = []
    for steps in (150, 600):
        path = tmp_path / f"{steps}.json"
        synth.write(synth.Decoder(layers=12, steps=steps, launch="eager", tensor_parallel=4, comm_stream=True), path)
        item = tir.load(path)
        best = float("inf")
        for _ in range(2):
            clock = time.process_time()
            graph = graph_of(item)
            per_event(item, observed(graph))
            slack_of(graph)
            best = min(best, time.process_time() - clock)
        costs.append(best)
    assert costs[1] <= 5 * max(costs[0], 0.02), costs


def test_a_full_queue_holds_launches_up() -> None:
    """A launch call that lasts until another kernel has begun waited for its place; it weighs what others take."""
    count = 1200
    items = [launched(US * at, 500) for at in range(count)]
    items += [kernel(10 * US + 10 * US * at, 10 * US, at) for at in range(count)]
    at = count * US
    blocked = Ev("rt.launch", "cudaLaunchKernel", at, 45 * US, "cpu")
    items += [blocked, kernel(10 * US + 10 * US * count, US, len(items))]
    graph = graph_of(module(items))
    ((work, call, lag),) = edges(graph, "full")
    assert graph.module["ts"][work] <= at + 45 * US < graph.module["ts"][work] + 10 * US
    assert lag == at + 45 * US - graph.module["ts"][work]
    assert [own for row, other, own in edges(graph, "call") if row == other == call] == [500]
