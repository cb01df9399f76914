"""Gaps against the rules read out one gap at a time, in plain Python."""

from __future__ import annotations

from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.build import Ev, module
from tests.passes.gaps_made import ran, rows

OPTIONS: dict[str, Any] = {"min_gap": 1, "late": 4, "queue": 2}
"""Thresholds small enough for the short times of random modules."""


@attrs.frozen
class Launched:
    """A host call and the device work it launches: (start, duration, lane) each."""

    kind: str
    start: int
    dur: int
    thread: str
    works: tuple[tuple[int, int, str], ...]


THREADS = ("cpu.main", "cpu.backward")
LANES = ("gpu0.s1", "gpu0.s2", "gpu1.s1")
CALLS = {
    "rt.launch": "cudaLaunchKernel",
    "rt.graph_launch": "cudaGraphLaunch",
    "rt.memcpy": "cudaMemcpy",
    "rt.sync": "cudaStreamSynchronize",
    "rt.alloc": "cudaFree",
    "rt.call": "cudaEventQuery",
}
TIMES, LENGTHS = st.integers(0, 24), st.integers(0, 6)
WORK = st.tuples(st.integers(0, 8), LENGTHS, st.sampled_from(LANES))


@st.composite
def launches(draw: st.DrawFn) -> Launched:
    """A host call and what it launches soon after its start: a graph several rows, any other call at most one."""
    kind, start = draw(st.sampled_from(sorted(CALLS))), draw(TIMES)
    works = draw(st.lists(WORK, max_size=3 if kind == "rt.graph_launch" else 1))
    later = tuple((start + after, dur, lane) for after, dur, lane in works)
    return Launched(kind, start, draw(LENGTHS), draw(st.sampled_from(THREADS)), later)


LAUNCHES = launches()
ORPHANS = st.lists(st.tuples(TIMES, LENGTHS, st.sampled_from(LANES)), max_size=2)


def events(calls: list[Launched], orphans: list[tuple[int, int, str]]) -> list[Ev]:
    out: list[Ev] = []
    for call in calls:
        at = len(out)
        out.append(Ev(call.kind, CALLS[call.kind], call.start, call.dur, call.thread))
        kind = "dev.memcpy" if call.kind == "rt.memcpy" else "dev.kernel"
        out += [Ev(kind, "work", start, dur, lane, launch=at) for start, dur, lane in call.works]
    return out + [Ev("dev.kernel", "orphan", start, dur, lane) for start, dur, lane in orphans]


# --- the rules, one gap at a time ---------------------------------------------------------------------------


def find(works: list[Ev]) -> list[tuple[int, int, Ev, Ev]]:
    """(start, end, previous, next) of the gaps of rows in order of their starts."""
    out: list[tuple[int, int, Ev, Ev]] = []
    leader = works[0]
    for work in works[1:]:
        reach = leader.ts + leader.dur
        if work.ts > reach:
            out.append((reach, work.ts, leader, work))
        if work.ts + work.dur >= reach:
            leader = work
    return out


def ticks(items: list[Ev]) -> set[int]:
    return {t for item in items for t in range(item.ts, item.ts + item.dur)}


def judge(
    a: int, b: int, previous: Ev, following: Ev, trace: list[Ev], others: list[Ev]
) -> tuple[str, tuple[int, ...] | None]:
    """The class and the parts of a gap, by the rules as they are written."""
    size, busy = b - a, len(ticks(others) & set(range(a, b)))
    covered = 2 * busy >= size
    if following.launch is None:
        return ("other_stream" if covered else "unknown_no_launch"), None
    call = trace[following.launch]
    c0, c1 = call.ts, call.ts + call.dur
    host = min(max(c0 - a, 0), size)
    during = len(set(range(a, b)) & set(range(c0, c1)))
    post = size - host - during
    parts = (host, during, post)
    siblings = [item for item in trace if item.launch == following.launch and item.kind == "dev.kernel"]
    is_graph = call.kind == "rt.graph_launch" or len(siblings) > 1
    if is_graph and previous.launch == following.launch:
        return "graph_internal", parts
    blocking = [item for item in trace if item.kind in ("rt.sync", "rt.alloc", "rt.memcpy")]
    if c0 >= a:
        if post > OPTIONS["late"] and 2 * post > size:
            return ("other_stream" if covered else "unexplained"), parts
        if 2 * host < size and call not in blocking:
            return "launch_latency", parts
        if host and 2 * len(ticks(blocking) & set(range(a, a + host))) >= host:
            return "host_sync", parts
        if any(item.ts <= a < item.ts + item.dur <= a + host for item in blocking):
            return "after_sync", parts
        return "host_late", parts
    if covered:
        return "other_stream", parts
    if c1 > a:
        return "launch_latency", parts
    return ("queue_latency" if size <= OPTIONS["queue"] else "unexplained"), parts


@settings(max_examples=150)
@given(st.lists(LAUNCHES, max_size=12), ORPHANS)
def test_every_gap_is_found_and_judged_as_the_rules_say(
    calls: list[Launched], orphans: list[tuple[int, int, str]]
) -> None:
    """Borders, neighbours, class and parts of every gap of every device and lane are those of the plain reading."""
    trace = events(calls, orphans)
    done, _ = ran(module(trace), **OPTIONS)
    lanes = [lane.name for lane in done.lanes]
    ordered = sorted(
        (item for item in trace if item.kind.startswith("dev.")), key=lambda item: (item.ts, lanes.index(item.lane))
    )
    expected: list[tuple[str, str | None, tuple[int, int, Ev, Ev], list[Ev]]] = []
    for device in sorted({item.lane[:4] for item in ordered}):
        works = [item for item in ordered if item.lane.startswith(device)]
        expected += [("device", None, gap, works) for gap in find(works)]
    for lane in sorted({item.lane for item in ordered}, key=lambda name: (name[:4], lanes.index(name))):
        works = [item for item in ordered if item.lane.startswith(lane[:4])]
        expected += [("lane", lane, gap, works) for gap in find([item for item in works if item.lane == lane])]
    found = rows(done)
    assert len(found) == len(expected)
    for row, (level, lane_name, (a, b, previous, following), works) in zip(found, expected, strict=True):
        assert (row["level"], row["lane"], row["start"], row["dur"]) == (level, lane_name, a, b - a)
        assert (trace[row["prev"]], trace[row["next"]]) == (previous, following)
        kind, parts = judge(a, b, previous, following, trace, works)
        assert row["class"] == kind
        assert (row["host"], row["call"], row["post"]) == (parts or (None, None, None))
        assert row["cover"] == len(ticks(works) & set(range(a, b)))


@given(st.lists(LAUNCHES, max_size=12), ORPHANS)
def test_classes_sum_to_idle_and_gap_time(calls: list[Launched], orphans: list[tuple[int, int, str]]) -> None:
    """Busy time and all classes make the span of each device and lane; a lane's gaps hold its device's idle time."""
    trace = events(calls, orphans)
    report = ran(module(trace), **OPTIONS)[1]
    for device in report.devices:
        works = [item for item in trace if item.lane.startswith(f"gpu{device.device}")]
        span = max(item.ts + item.dur for item in works) - min(item.ts for item in works)
        assert (device.span_ns, device.busy_ns) == (span, len(ticks(works)))
        assert device.idle_ns == sum(device.classes.values()) == span - len(ticks(works))
        parts = device.parts
        assert parts.host_ns + parts.call_ns + parts.post_ns + parts.unknown_ns == device.idle_ns
    for lane in report.lanes:
        mine = [item for item in trace if item.lane == lane.lane]
        low, high = min(item.ts for item in mine), max(item.ts + item.dur for item in mine)
        device_busy = ticks([item for item in trace if item.lane.startswith(lane.lane[:4])])
        assert lane.gap_ns == sum(lane.classes.values()) == high - low - len(ticks(mine))
        assert lane.device_idle_ns == len(set(range(low, high)) - device_busy)


@given(st.lists(LAUNCHES, max_size=12), ORPHANS, st.integers(1, 10**15))
def test_shift_of_all_times_changes_only_starts(
    calls: list[Launched], orphans: list[tuple[int, int, str]], shift: int
) -> None:
    """Moving the whole trace in time moves the gaps and changes nothing else."""
    trace = events(calls, orphans)
    here = rows(ran(module(trace), **OPTIONS)[0])
    there = rows(ran(module([attrs.evolve(item, ts=item.ts + shift) for item in trace]), **OPTIONS)[0])
    assert there == [{**row, "start": row["start"] + shift} for row in here]
