"""What is told beside a gap's class: regions, frames, queues, latencies, counters, what ran meanwhile."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.build import Ev, module
from tests.passes.gaps_grown import grown
from tests.passes.gaps_made import US, ran, rows
from tests.passes.test_gaps_rules import LAUNCHES, ORPHANS, Launched, events
from traceir.ir import Region
from traceir.passing import to_json
from traceir_passes.gaps.build import build
from traceir_passes.gaps.frames import under
from traceir_passes.gaps.keyed import Keyed, Laid, running
from traceir_passes.gaps.queues import Depths, latencies

SPANS = st.lists(st.tuples(st.integers(0, 3), st.integers(-9, 30), st.integers(0, 9)), max_size=12)
ASKED = st.lists(st.tuples(st.integers(0, 4), st.integers(-12, 45), st.integers(-3, 20)), max_size=8)


def columns(items: list[tuple[int, int, int]]) -> tuple[Any, Any, Any]:
    group, start, size = np.array(items, np.int64).reshape(-1, 3).T
    return group, start, start + size


@given(SPANS, ASKED)
def test_lookups_of_groups_are_those_of_each_alone(
    spans: list[tuple[int, int, int]], asked: list[tuple[int, int, int]]
) -> None:
    """Covered time, the entry before and the running maximum of many groups at once, by looking at every one."""
    group, start, end = columns(spans)
    whose, low, high = columns(asked)
    covered = Laid.of(group, start, end).covered(whose, low, high)
    for at, (one, a, b) in enumerate(zip(whose.tolist(), low.tolist(), high.tolist(), strict=True)):
        mine = [(s, e) for g, s, e in zip(group, start, end, strict=True) if g == one]
        assert covered[at] == sum(1 for t in range(a, b) if any(s <= t < e for s, e in mine))
    last = Keyed(group, start).last(whose, low)
    for at, (one, a) in enumerate(zip(whose.tolist(), low.tolist(), strict=True)):
        before = [(int(start[i]), i) for i in range(len(group)) if group[i] == one and start[i] < a]
        assert int(last[at]) == (max(before)[1] if before else -1)
    order = np.argsort(group, kind="stable")
    reach = running(group[order], end[order])
    keyed = Keyed(group, start)
    for at, row in enumerate(order.tolist()):
        assert reach[at] == max(end[i] for i in order[: at + 1].tolist() if group[i] == group[row])
    for at, best in enumerate(keyed.greatest(end).tolist()):
        up_to = [i for i in keyed.order[: at + 1].tolist() if group[i] == group[keyed.order[at]]]
        assert end[best] == max(end[i] for i in up_to)


@given(st.lists(LAUNCHES, max_size=12), ORPHANS)
def test_queue_depth_is_counted(calls: list[Launched], orphans: list[tuple[int, int, str]]) -> None:
    """At each instant the table has the kernels of a lane that were launched and have not begun."""
    trace = events(calls, orphans)
    done, report = ran(module(trace))
    kernels = [item for item in trace if item.kind == "dev.kernel" and item.launch is not None]
    names, values, at = done.text("gaps.counter"), done["gaps.counter_value"], done["gaps.counter_at"]
    for lane in {item.lane for item in trace if item.lane.startswith("gpu")}:
        mine = [item for item in kernels if item.lane == lane]
        rows_ = [i for i, name in enumerate(names) if name == lane]
        for t in range(-1, 50):
            queued = sum(1 for item in mine if trace[item.launch or 0].ts <= t < item.ts)
            before = [i for i in rows_ if at[i] <= t]
            assert queued == (int(values[before[-1]]) if before else 0)
        (found,) = [one for one in report.lanes if one.lane == lane]
        assert found.queue_max >= max((int(values[i]) for i in rows_), default=0)
    assert len(ran(module(trace), depths=False)[0].tables["table:queues"]) == 0


@given(st.lists(LAUNCHES, max_size=12), ORPHANS)
def test_launch_latency_is_of_idle_lanes(calls: list[Launched], orphans: list[tuple[int, int, str]]) -> None:
    """Kernels count whose lane had ended all before when the call began, and of a graph the first."""
    trace = events(calls, orphans)
    item = module(trace)
    found, times = latencies(item)
    got = sorted(zip(item["id"][found].tolist(), times.tolist(), strict=True))
    expected = []
    lanes = [lane.name for lane in item.lanes]
    works = sorted((i for i, one in enumerate(trace) if one.kind.startswith("dev.")),
                   key=lambda i: (trace[i].ts, lanes.index(trace[i].lane)))  # fmt: skip
    for place, i in enumerate(works):
        one = trace[i]
        if one.launch is None or one.kind != "dev.kernel":
            continue
        asked = trace[one.launch].ts
        before = [trace[j] for j in works[:place] if trace[j].lane == one.lane]
        siblings = [other for other in trace if other.launch == one.launch]
        if all(other.ts + other.dur <= asked for other in before) and one.ts == min(other.ts for other in siblings):
            expected.append((i, one.ts - asked))
    assert got == sorted(expected)


@given(st.lists(LAUNCHES, max_size=12), ORPHANS, st.data())
def test_regions_share_out_the_idle_time(
    calls: list[Launched], orphans: list[tuple[int, int, str]], data: st.DataObject
) -> None:
    """Idle time by step sums to that of the device, class by class; a gap inside a step has both sides in it."""
    item = module(events(calls, orphans))
    owner = data.draw(st.lists(st.integers(-1, 2), min_size=len(item), max_size=len(item)))
    regions = [Region("step", f"step.{n}", n) for n in range(3)]
    done, report = ran(item.with_tree("steps", regions, owner))
    for device in report.devices:
        scopes = [scope for scope in report.steps if scope.device == device.device]
        assert sum(scope.idle_ns for scope in scopes) == device.idle_ns
        sums: Counter[str] = Counter()
        for scope in scopes:
            sums.update(scope.classes)
            assert sum(scope.classes.values()) == scope.idle_ns >= scope.inside_ns
        assert dict(sums) == {name: time for name, time in device.classes.items() if time}
        assert sum(border.total_ns for border in device.borders) == device.between_steps.total_ns
    for device in report.devices:
        step = {int(id): owner[at] for at, id in enumerate(done["id"].tolist())}
        mine = [row for row in rows(done) if row["level"] == "device" and row["device"] == device.device]
        for scope in (scope for scope in report.steps if scope.device == device.device):
            index = -1 if scope.index is None else scope.index
            inside = [row["dur"] for row in mine if step[row["next"]] == index == step[row["prev"]] and index >= 0]
            assert scope.inside_ns == sum(inside)


@st.composite
def stacks(draw: st.DrawFn) -> tuple[tir.Module, list[int], list[int]]:
    """A thread with frames that nest, some of one name, and gaps blamed on some of its events."""
    items: list[Ev] = []

    def grow(low: int, high: int, depth: int) -> None:
        for _ in range(draw(st.integers(0, 2)) if depth < 4 else 0):
            if high - low < 4:
                return
            start = draw(st.integers(low, high - 2))
            size = draw(st.integers(1, high - start - 1))
            kind = draw(st.sampled_from(["host.frame", "host.range", "host.op"]))
            items.append(Ev(kind, draw(st.sampled_from(["a", "b", "c", "<built-in x>"])), start, size, "cpu"))
            grow(start, start + size, depth + 1)
            low = start + size

    grow(0, 200, 0)
    item = module(items or [Ev("host.op", "a", 0, 1, "cpu")])
    count = draw(st.integers(0, 6))
    return item, [draw(st.integers(0, len(item) - 1)) for _ in range(count)], draw(
        st.lists(st.integers(1, 9), min_size=count, max_size=count))  # fmt: skip


@given(stacks())
def test_frames_hold_what_ran_under_them(made: tuple[tir.Module, list[int], list[int]]) -> None:
    """Each frame named has the gaps blamed on it and on all under it, each once, however often it is in the stack."""
    item, blamed, sizes = made
    found = under(item, np.array(blamed, np.int64), np.array(sizes, np.int64), 99)
    time: Counter[str] = Counter()
    count: Counter[str] = Counter()
    for kinds in (("host.frame", "host.range"), ("host.op",)):
        for row, size in zip(blamed, sizes, strict=True):
            event = item.event(row)
            names = {one.name for one in (event, *event.ancestors) if one.kind in kinds and one.name[0] != "<"}
            time.update(dict.fromkeys(names, size))
            count.update(names)
        if time:
            break
    assert all((one.gap_ns, one.count) == (time[one.frame], count[one.frame]) for one in found)
    assert [one.gap_ns for one in found] == sorted((one.gap_ns for one in found), reverse=True)
    assert bool(found) is bool(time) or all(time[name] for name in time)


def test_outer_frames_that_pass_all_on_are_left_out() -> None:
    """Of a chain of frames that hold the same gap the innermost is named; where it forks, the outer one too."""
    frames = ["main", "loop", "forward"]
    items = [Ev("host.frame", name, at, 200 - 2 * at, "cpu") for at, name in enumerate(frames)]
    items += [Ev("host.frame", "sampler", 10, 40, "cpu"), Ev("host.frame", "head", 60, 50, "cpu")]
    item = module(items)
    found = under(item, np.array([3, 4]), np.array([30, 20]), 9)
    assert [(one.frame, one.gap_ns, one.count) for one in found] == [
        ("forward", 50, 2),
        ("sampler", 30, 1),
        ("head", 20, 1),
    ]


def test_frame_within_itself_counts_once() -> None:
    """A recursive function holds a gap once, however deep in it the blamed event is."""
    names = ["main", "walk", "step", "walk", "leaf"]
    items = [Ev("host.frame", name, at, 100 - 2 * at, "cpu") for at, name in enumerate(names)]
    items += [Ev("host.frame", "other", 120, 9, "cpu"), Ev("host.frame", "walk", 140, 9, "cpu")]
    found = {
        one.frame: (one.gap_ns, one.count)
        for one in under(module(items), np.array([2, 3, 4, 6]), np.array([1, 9, 30, 5]), 9)
    }
    assert found["walk"] == (45, 4)


def kernel(at: int, dur: int, call: int | None, lane: str = "gpu0.s7", kind: str = "dev.kernel") -> Ev:
    return Ev(kind, "work", at, dur, lane, launch=call)


def test_what_ran_meanwhile_is_told_of_every_gap() -> None:
    """A gap of a lane says what the other lanes did, whatever its class; a gap in which nothing ran says so."""
    calls = [Ev("rt.launch", "cudaLaunchKernel", at * US, US, "cpu") for at in (0, 1, 200)]
    items = [*calls, kernel(2 * US, 8 * US, 0), kernel(203 * US, US, 2), kernel(20 * US, 30 * US, 1, "gpu0.s9")]
    found = {(row["level"], row["start"]): row for row in rows(ran(module(items))[0])}
    lane = found["lane", 10 * US]
    assert (lane["class"], lane["by"], lane["meanwhile"], lane["cover"]) == ("host_late", None, "kernel", 30 * US)
    assert [row["meanwhile"] for (level, _), row in found.items() if level == "device"] == [None, None]
    items[5] = attrs.evolve(items[5], kind="dev.memcpy")
    assert [row["meanwhile"] for row in rows(ran(module(items))[0]) if row["level"] == "lane"] == ["memory"]


@given(st.lists(LAUNCHES, max_size=12), ORPHANS)
def test_stream_gap_holds_device_gap_point_by_point(calls: list[Launched], orphans: list[tuple[int, int, str]]) -> None:
    """An instant at which a device idles lies in a gap, the lead or the tail of each of its lanes."""
    trace = events(calls, orphans)
    done, report = ran(module(trace))
    for device in report.devices:
        found = rows(done)
        idle = {t for row in found if row["level"] == "device" and row["device"] == device.device
                for t in range(row["start"], row["start"] + row["dur"])}  # fmt: skip
        for lane in (lane for lane in report.lanes if lane.device == device.device):
            works = [item for item in trace if item.lane == lane.lane]
            first, last = min(item.ts for item in works), max(item.ts + item.dur for item in works)
            gaps = {
                t for row in found if row["lane"] == lane.lane for t in range(row["start"], row["start"] + row["dur"])
            }
            assert all(t in gaps or t < first or t >= last for t in idle)
            assert lane.device_idle_ns == len(idle & gaps)


def test_launch_calls_are_summed_by_name() -> None:
    """Calls that launched kernels, the dearest name first; copies and calls that launched nothing are left out."""
    calls = [("cudaLaunchKernel", 3), ("cuLaunchKernel", 9), ("cudaLaunchKernel", 5), ("cudaLaunchKernel", 99)]
    items = [Ev("rt.launch", name, 10 * at, dur, "cpu") for at, (name, dur) in enumerate(calls)]
    items += [kernel(200 + 10 * at, 5, at) for at in range(3)]
    found = ran(module(items))[1].launch_calls
    assert [(one.name, one.count, one.time_ns, one.p50_ns) for one in found] == [
        ("cuLaunchKernel", 1, 9, 9),
        ("cudaLaunchKernel", 2, 8, 4),
    ]


def test_report_is_made_of_the_module_alone() -> None:
    """The same module gives the same report, with all keys, after another run of the pass too."""
    done, report = ran(grown(600, 3, 4, 2))
    assert to_json(build(done, 1_000, 0.2)) == to_json(report)
    assert set(to_json(report)["lanes"][0]["latency"]) == {"count", "p50_ns", "p90_ns", "max_ns"}


@pytest.mark.parametrize(("name", "latency", "depth"), [
    ("bert_h100", (6.5, 8.4), 1), ("qwen_h100", (6.8, 9.2), 95), ("b200", (10.1, 12.1), 2), ("nccl", (12.3, 13.7), 9),
    ("alexnet", (20, 48), None), ("sgl_pd", None, 484),
])  # fmt: skip
def test_known_latencies_and_depths(
    load_shared: Any, name: str, latency: tuple[float, float] | None, depth: int | None
) -> None:
    """Median and 90th percentile of launch latencies in µs, and the deepest queue, of real traces."""
    (device,) = build(ran(load_shared(name))[0], 1_000, 0.2).devices
    if latency is not None:
        assert device.latency is not None
        figures = device.latency.p50_ns / 1_000, device.latency.p90_ns / 1_000
        assert figures == pytest.approx(latency, abs=0.5 if name == "alexnet" else 0.051)
    assert depth is None or device.queue_max == depth


def test_depths_of_equal_instants_never_fall_below_none() -> None:
    """Launches come before starts at one instant, and kernels that begin before their launch are never queued."""
    items = [Ev("rt.launch", "cudaLaunchKernel", at, 1, "cpu") for at in (5, 5, 9)]
    items += [kernel(5, 1, 0), kernel(6, 1, 1), kernel(7, 1, 2)]
    item = module(items)
    found = Depths.of(item, item["lane"])
    assert found.depth.min() == 0
    assert [*found.greatest().values()] == [2]
    assert list(itertools.pairwise(found.steps().depth.tolist())).count((0, 0)) == 0
