"""Gaps on real traces: known shares of idle time, and idle time by a walk that shares no code."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import traceir as tir
from tests.conftest import SHORT
from traceir_passes.gaps import Gaps

Load = Callable[[str], tir.Module]
KNOWN: dict[str, tuple[int, dict[str, float]]] = {
    "sgl_dec": (463_976_469, {"unexplained": 99.9}),
    "sgl_pd": (494_481_496, {"unexplained": 99.8}),
    "vllm_pw": (380_186, {"unexplained": 82.1, "queue_latency": 13.2, "graph_internal": 4.7}),
    "b200": (72_882_122, {"host_late": 97.6, "launch_latency": 2.2}),
    "qwen_h100": (
        3_786_217,
        {
            "queue_latency": 41.8,
            "host_late": 27.3,
            "unknown_no_launch": 17.4,
            "after_sync": 11.6,
            "launch_latency": 1.9,
        },
    ),
    "bert_h100": (3_598_388, {"host_late": 95.7, "after_sync": 4.3}),
    "bert_mi300": (3_105_228, {"host_late": 74.7, "launch_latency": 17.1, "after_sync": 6.9}),
    "nccl": (503_021_261, {"host_late": 99.5}),
    "s0": (675_166_000, {"unexplained": 57.7, "host_late": 42.1}),
    "s1": (651_104_000, {"host_late": 50.0, "unexplained": 49.9}),
    "alexnet": (12_854_073_000, {"host_sync": 93.1, "host_late": 6.9}),
}
IDLE = {"nccl": 503_050_991, "b200": 72_890_696}
_done: dict[str, tir.Module] = {}


def ran(load: Load, name: str) -> tir.Module:
    """A shared trace after `gaps`, run once."""
    if name not in _done:
        _done[name] = tir.PassManager((Gaps(),)).run(load(name))
    return _done[name]


@pytest.mark.parametrize("name", KNOWN)
def test_known_shares(load_shared: Load, name: str) -> None:
    """Gaps above 1 µs sum to the known time exactly, and the classes have the known shares of it."""
    (device,) = Gaps().report(ran(load_shared, name)).devices
    total, shares = KNOWN[name]
    assert sum(device.classes_over_min_ns.values()) == total
    found = {kind: 100 * time / total for kind, time in device.classes_over_min_ns.items()}
    assert {kind: found[kind] for kind in shares} == pytest.approx(shares, abs=0.1)


@pytest.mark.parametrize("name", IDLE)
def test_known_idle_time(load_shared: Load, name: str) -> None:
    """Idle time is span less busy time, to the nanosecond."""
    assert Gaps().report(ran(load_shared, name)).devices[0].idle_ns == IDLE[name]


def walk(works: list[tir.Event]) -> tuple[int, int, int]:
    """(gap time, gaps, overlapping pairs) of events in order, by a walk with a running maximum."""
    gap = count = overlaps = 0
    reach = None
    for event in sorted(works, key=lambda event: event.ts):
        if reach is not None:
            gap, count = gap + max(event.ts - reach, 0), count + (event.ts > reach)
            overlaps += event.ts < reach
        reach = event.end if reach is None else max(reach, event.end)
    return gap, count, overlaps


@pytest.mark.parametrize("name", [*KNOWN, "mi250", "triton", "event_sync_multi", "dlrm", "hta_triton"])
def test_walk_over_events_finds_the_same_gaps(load_shared: Load, name: str) -> None:
    """Gap time and number of gaps of each device and lane are those of a plain walk."""
    module = ran(load_shared, name)
    report = Gaps().report(module)
    works = list(module.select(where=module.work))
    level = module.text("gaps.level")
    assert level == ["device"] * level.count("device") + ["lane"] * level.count("lane")
    for device in report.devices:
        gap, count, _ = walk([event for event in works if event.lane.device == device.device])
        mine = (module["gaps.device"] == device.device) & (module.is_in("gaps.level", ["device"]))
        assert (device.idle_ns, int(mine.sum())) == (gap, count)
    for lane in report.lanes:
        gap, count, _ = walk([event for event in works if event.lane.name == lane.lane])
        assert (lane.gap_ns, int(module.is_in("gaps.lane", [lane.lane]).sum())) == (gap, count)


@pytest.mark.parametrize("name", SHORT)
def test_closing_law_holds_on_every_trace(load_shared: Load, name: str) -> None:
    """Busy time and classes make the span of each device and lane to the ns, parts each gap, scopes the idle time."""
    module = ran(load_shared, name)
    assert Gaps().check(module) == []
    report = Gaps().report(module)
    for device in report.devices:
        assert device.busy_ns + sum(device.classes.values()) == device.span_ns
    for lane in report.lanes:
        (device,) = [device for device in report.devices if device.device == lane.device]
        assert lane.busy_ns + sum(lane.classes.values()) == lane.span_ns
        assert lane.lead_ns + lane.span_ns + lane.tail_ns == device.span_ns
        assert lane.device_idle_ns <= min(lane.gap_ns, device.idle_ns)


def test_overlapping_kernels_of_one_stream_open_no_gap(load_shared: Load) -> None:
    """Programmatic dependent launches overlap on one stream 74 times, and no gap comes out negative."""
    module = ran(load_shared, "b200")
    assert walk(list(module.select(where=module.work)))[2] == 74
    assert (module["gaps.dur"] > 0).all()


def test_cut_trace_is_not_called_idle(load_shared: Load) -> None:
    """463 ms in which the host sits in one blocking copy and the device shows nothing are in doubt, not idle."""
    (device,) = Gaps().report(ran(load_shared, "sgl_dec")).devices
    assert device.recorded is False
    assert device.longest[0].gap_class == "unexplained"
    assert Gaps().report(ran(load_shared, "sgl_dec")).headline()[0].label == "not recorded or idle:"


def test_lane_that_waited_for_an_event_names_the_wait(load_shared: Load) -> None:
    """Where streams wait for each other's events, gaps of other_stream name the wait and the awaited work."""
    module = ran(load_shared, "alexnet")
    held = module["gaps.wait"] >= 0
    assert held.any()
    assert set(module["gaps.wait"][held].tolist()) <= set(module.select(kind="event.wait").rows.tolist())
    assert module.work[module["gaps.blame"][held & (module["gaps.dur"] > 1_000)]].all()


def test_columns_are_the_same_whatever_the_hash_seed(load_shared: Load) -> None:
    """Two runs over one module give equal bytes."""
    first, second = ran(load_shared, "s0"), tir.PassManager((Gaps(),)).run(load_shared("s0"))
    table = first.tables["table:gaps"]
    assert all(table[name].tobytes() == second.tables["table:gaps"][name].tobytes() for name in table)
