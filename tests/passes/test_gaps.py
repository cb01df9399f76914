"""Each rule of gaps by a module of its own."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import pytest

import traceir as tir
from tests.build import Ev, module
from tests.passes.gaps_made import US, ran, rows
from traceir.ir import Annotation, Column, Region, Table, Written
from traceir.ir.module import EDGE_KINDS
from traceir.passing import to_json
from traceir_passes.gaps import Gaps
from traceir_passes.gaps.rules import CLASSES


def kernel(at: int, dur: int, call: int | None, lane: str = "gpu0.s7") -> Ev:
    return Ev("dev.kernel", f"kernel.{at}", at, dur, lane, launch=call)


def launch(
    at: int, dur: int = 5 * US, kind: str = "rt.launch", name: str = "cudaLaunchKernel", lane: str = "cpu"
) -> Ev:
    return Ev(kind, name, at, dur, lane)


def first(items: list[Ev], level: str = "device", **options: Any) -> dict[str, Any]:
    """The longest gap of a module."""
    found = [row for row in rows(ran(module(items), **options)[0]) if row["level"] == level]
    return max(found, key=lambda row: row["dur"])


def test_gaps_are_measured_from_the_running_maximum() -> None:
    """A short kernel inside a longer one on the same stream opens no gap before the longer one has ended."""
    items = [launch(0), kernel(10 * US, 100 * US, 0), kernel(20 * US, US, 0), kernel(115 * US, US, 0)]
    gap = first(items)
    assert (gap["start"], gap["dur"], gap["prev"], gap["next"]) == (110 * US, 5 * US, 1, 3)


def test_waits_and_ranges_do_not_end_a_gap() -> None:
    """An event wait and a projected range on the stream are no work: the gap around them is one gap."""
    items = [launch(0), kernel(0, US, 0), launch(50 * US), kernel(60 * US, US, 2)]
    items += [Ev("event.wait", "Stream Sync", 10 * US, 20 * US), Ev("dev.range", "range", 0, 99 * US)]
    gaps = [row for row in rows(ran(module(items))[0]) if row["level"] == "device"]
    assert [(row["start"], row["dur"]) for row in gaps] == [(US, 59 * US)]


def test_host_late_blames_the_innermost_op_that_ran_longest() -> None:
    """The blame is the event that was innermost for longest before the launch, not the one that encloses it."""
    items = [
        launch(0),
        kernel(0, US, 0),
        Ev("host.op", "outer", US, 100 * US, "cpu"),
        Ev("host.op", "short", 2 * US, 20 * US, "cpu"),
        Ev("host.op", "long", 30 * US, 60 * US, "cpu"),
        launch(95 * US, 2 * US),
        kernel(98 * US, US, 5),
    ]
    gap = first(items)
    assert (gap["class"], gap["blame"], gap["blame_ns"]) == ("host_late", 4, 60 * US)


def test_blame_adds_up_the_pieces_of_an_op() -> None:
    """An op that is interrupted by inner ones is blamed for the sum of its own pieces."""
    inner = [Ev("host.op", f"inner.{i}", (10 + 20 * i) * US, 8 * US, "cpu") for i in range(4)]
    items = [launch(0), kernel(0, US, 0), Ev("host.op", "outer", US, 90 * US, "cpu"), *inner]
    items += [launch(92 * US, US), kernel(94 * US, US, len(items))]
    gap = first(items)
    assert (gap["blame"], gap["blame_ns"]) == (2, 90 * US - 4 * 8 * US)


def test_gap_below_the_threshold_is_classed_but_not_counted_or_blamed() -> None:
    """At or below `min_gap` a gap is in `classes` and in nothing else."""
    items = [launch(0, US), kernel(0, 10 * US, 0), launch(10 * US + 900, 50), kernel(11 * US, US, 2)]
    done, report = ran(module(items))
    assert rows(done)[0]["blame"] is None
    device = report.devices[0]
    assert device.classes["host_late"] == US
    assert (device.classes_over_min_ns["host_late"], device.counts["host_late"], device.longest) == (0, 0, ())


def test_blocking_call_of_another_thread_is_a_host_sync() -> None:
    """A free on the backward thread explains a gap of what the main thread launches, and is blamed."""
    items = [launch(0), kernel(0, 10 * US, 0), Ev("rt.alloc", "hipFree", 12 * US, 70 * US, "cpu.2")]
    items += [launch(90 * US, 2 * US), kernel(95 * US, US, 3)]
    gap = first(items)
    assert (gap["class"], gap["blame"]) == ("host_sync", 2)


def test_blocking_call_of_another_process_explains_nothing() -> None:
    """The same free in another process is no reason, since it does not hold this one's calls back."""
    items = [launch(0), kernel(0, 10 * US, 0), Ev("rt.alloc", "hipFree", 12 * US, 70 * US, "cpu.2")]
    items += [launch(90 * US, 2 * US), kernel(95 * US, US, 3)]
    item = module(items)
    lanes = tuple(attrs.evolve(lane, pid={"cpu": 1, "cpu.2": 2}.get(lane.name)) for lane in item.lanes)
    assert rows(ran(attrs.evolve(item, lanes=lanes))[0])[0]["class"] == "host_late"


def test_asynchronous_calls_do_not_block() -> None:
    """A long asynchronous copy or allocation is slow host code, not a wait for the device."""
    for kind, name in (
        ("rt.memcpy", "cudaMemcpyAsync"),
        ("rt.alloc", "cudaMallocAsync"),
        ("rt.call", "cudaEventQuery"),
    ):
        items = [launch(0), kernel(0, 10 * US, 0), Ev(kind, name, 12 * US, 70 * US, "cpu")]
        items += [launch(90 * US, 2 * US), kernel(95 * US, US, 3)]
        assert first(items)["class"] == "host_late", name


def test_copy_that_blocks_is_no_slow_launch() -> None:
    """A blocking copy whose own call fills the gap is no launch latency: the host came late to a long call."""
    for name, kind in (("cudaMemcpy", "host_late"), ("cudaMemcpyAsync", "launch_latency")):
        items = [launch(0), kernel(0, 10 * US, 0), launch(12 * US, 80 * US, "rt.memcpy", name)]
        assert first([*items, Ev("dev.memcpy", "Memcpy", 90 * US, US, "gpu0.s7", 2)])["class"] == kind


def test_sync_that_drained_the_queue_is_after_sync() -> None:
    """A synchronisation that returned at the gap's start left the queue empty; it is blamed."""
    items = [launch(0), kernel(10 * US, 50 * US, 0), launch(8 * US, 55 * US, "rt.sync", "cudaStreamSynchronize")]
    items += [launch(90 * US, 2 * US), kernel(95 * US, US, 3)]
    gap = first(items)
    assert (gap["class"], gap["blame"]) == ("after_sync", 2)


def test_graph_replay_has_internal_gaps_and_an_entry() -> None:
    """Gaps between kernels of one replay are internal; the gap before a queued replay is its entry."""
    items = [launch(0, kind="rt.graph_launch"), kernel(10 * US, US, 0), kernel(20 * US, US, 0)]
    items += [launch(6 * US, US, "rt.graph_launch"), kernel(24 * US, US, 3), kernel(30 * US, US, 3)]
    gaps = [(row["class"], row["graph_entry"]) for row in rows(ran(module(items))[0]) if row["level"] == "device"]
    assert gaps == [("graph_internal", False), ("queue_latency", True), ("graph_internal", False)]


def telling(item: tir.Module, told: dict[int, dict[str, Any]]) -> tir.Module:
    """The module with a source that says something of some events, by their ids."""
    table, count = item.tables["event"], len(item)
    columns = {"offset": Column.own(np.arange(count)), "length": Column.own(np.ones(count, np.int32))}
    tables = {**item.tables, "event": Table("event", count, {**table.columns, **columns})}
    return attrs.evolve(item, tables=tables, source=Told(told))


@pytest.mark.parametrize(("graph", "name"), [(True, "graph_internal"), (False, "queue_latency")])
def test_a_call_of_several_kernels_is_a_graph_if_these_say_so(graph: bool, name: str) -> None:
    """Some launch a kernel after the other without one; the graph's number tells them apart."""
    item = module([launch(0, US), kernel(10 * US, US, 0), kernel(20 * US, US, 0)])
    told = {1: {"graph node id": 77}, 2: {"graph node id": 78}} if graph else {}
    item = telling(item, told)
    assert [row["class"] for row in rows(ran(item)[0])] == [name, name]


@pytest.mark.parametrize("several", [False, True])
def test_a_correlation_says_graph_only_where_calls_launch_one_kernel_each(several: bool) -> None:
    """Work without a launch that shares a correlation is of one call, which elsewhere is no graph."""
    items = [kernel(0, US, None), kernel(5 * US, US, None), launch(30 * US, US), kernel(32 * US, US, 2)]
    items += [kernel(40 * US, US, 2)] if several else []
    item = telling(module(items), {0: {"correlation": 9}, 1: {"correlation": 9}})
    found = [row for row in rows(ran(item)[0]) if row["next"] == 1]
    assert {row["class"] for row in found} == {"unknown_no_launch" if several else "graph_internal"}


def test_copy_in_flight_is_another_stream_by_memory() -> None:
    """A queued lane's gap that a copy on another lane fills is of another stream, by memory; the device has none."""
    items = [launch(0, US), kernel(0, 10 * US, 0), launch(US, US), kernel(100 * US, US, 2)]
    items += [launch(2 * US, US, "rt.memcpy", "cudaMemcpyAsync")]
    items += [Ev("dev.memcpy", "Memcpy", 5 * US, 95 * US, "gpu0.s9", 4)]
    found = rows(ran(module(items))[0])
    assert [(row["level"], row["class"], row["by"]) for row in found] == [("lane", "other_stream", "memory")]


def waiting(released: int, launched: int, following: int) -> tir.Module:
    """Stream 7 works from 2 to 10 µs, waits for what stream 9 does until `released`, and goes on at `following`."""
    items = [
        launch(0, US),
        kernel(2 * US, 8 * US, 0),
        launch(US, US),
        kernel(3 * US, released - 3 * US, 2, "gpu0.s9"),
        launch(3 * US, US, "rt.call", "cudaEventRecord"),
        Ev("event.record", "record", released, 0, "gpu0.s9", 4),
        Ev("event.wait", "Stream Wait Event", 5 * US, 0),
        launch(launched, US),
        kernel(following, US, 7),
    ]
    item = module(items)
    row = {int(id): at for at, id in enumerate(item["id"].tolist())}
    edges = item.tables["edge"]
    columns = {
        "src": np.append(edges["src"], np.int32(row[5])),
        "dst": np.append(edges["dst"], np.int32(row[6])),
        "kind": np.append(edges["kind"], np.int8(EDGE_KINDS.index("sync"))),
    }
    return attrs.evolve(item, tables={**item.tables, "edge": Table.of("edge", columns)})


def on_lane(item: tir.Module, lane: str | None) -> list[tuple[str, int | None, int | None]]:
    """Class, wait and blame of the gaps of a lane, or of the device."""
    return [(row["class"], row["wait"], row["blame"]) for row in rows(ran(item)[0]) if row["lane"] == lane]


def test_event_wait_is_another_stream_before_any_threshold() -> None:
    """A wait for a stream explains a gap however little of it that stream fills; the awaited work is blamed."""
    item = waiting(released=30 * US, launched=6 * US, following=100 * US)
    assert on_lane(item, "gpu0.s7") == [("other_stream", 6, 3)]
    assert rows(ran(item)[0])[-1]["cover"] == 20 * US


def test_wait_that_was_over_at_the_launch_explains_nothing() -> None:
    """Where the awaited work had ended before the next event was launched, the host was late all the same."""
    item = waiting(released=30 * US, launched=90 * US, following=100 * US)
    assert on_lane(item, "gpu0.s7") == [("host_late", None, None)]


def test_device_gap_after_awaited_work_is_of_another_stream() -> None:
    """A device's gap is of another stream where the awaited work is what ended at its start."""
    item = waiting(released=30 * US, launched=6 * US, following=34 * US)
    assert on_lane(item, None) == [("other_stream", 6, 3)]


def test_polling_is_marked_and_is_not_blocking() -> None:
    """A host that asks again and again before it launches is late, and marked as polling; one query is none."""
    for asked, polling in ((8, True), (1, False)):
        asks = [launch((12 + 5 * i) * US, US, "rt.call", "cudaEventQuery") for i in range(asked)]
        items = [launch(0), kernel(0, 10 * US, 0), *asks, launch(90 * US, 2 * US)]
        gap = first([*items, kernel(95 * US, US, len(items) - 1)])
        assert (gap["class"], gap["polling"]) == ("host_late", polling)


def test_gap_between_steps_is_marked() -> None:
    """A gap between events of different steps says so, and the report sums it up by what filled it."""
    items = [launch(0), kernel(0, 10 * US, 0), launch(90 * US, 2 * US), kernel(95 * US, US, 2)]
    item = module(items).with_tree("steps", [Region("step", "step.0", 0), Region("step", "step.1", 1)], [0, 0, 1, 1])
    item = item.with_columns({"tree.steps": np.array([0, 0, 1, 1], np.int32)})
    done, report = ran(item)
    assert [row["end_of_step"] for row in rows(done)] == [True, True]
    between = report.devices[0].between_steps
    assert (between.count, between.total_ns, between.dispatch_ns, between.rest_ns) == (1, 85 * US, 82 * US, 3 * US)


def test_lane_gap_that_is_the_devices_has_its_blame() -> None:
    """A lane's gap that is the device's own inherits its blame; `blame=none` blames no host event."""
    items = [launch(0), kernel(0, US, 0), Ev("host.op", "slow", US, 80 * US, "cpu"), launch(95 * US, 2 * US)]
    item = module([*items, kernel(98 * US, US, 3)])
    assert [row["blame"] for row in rows(ran(item)[0])] == [2, 2]
    assert [row["blame"] for row in rows(ran(item, blame="none")[0])] == [None, None]


def test_idle_time_in_doubt_is_not_called_idle() -> None:
    """Above the share of unexplained gaps the head line says that work may not have been recorded."""
    queued = [launch(0, US), kernel(0, 10 * US, 0), launch(2 * US, US), kernel(500 * US, US, 2)]
    late = [launch(0, US), kernel(0, 10 * US, 0), launch(490 * US, US), kernel(500 * US, US, 2)]
    assert [ran(module(items))[1].headline()[0].label for items in (queued, late)] == [
        "not recorded or idle:",
        "idle:",
    ]
    assert [ran(module(items))[1].devices[0].doubtful for items in (queued, late)] == [1.0, 0.0]


def test_gap_longer_than_any_step_is_a_hole() -> None:
    """An unexplained gap of more than ten median steps is a finding; nine steps are none."""
    for steps, codes in ((11, ["hole"]), (9, [])):
        items = [launch(0, US), kernel(0, 10 * US, 0), launch(2 * US, US), kernel((10 + 10 * steps) * US, 10 * US, 2)]
        item = module(items).with_tree("steps", [Region("step", "step.0", 0), Region("step", "step.1", 1)], [-1] * 4)
        owner = {1: 0, 3: 1}
        item = item.with_columns({"tree.steps": np.array([owner.get(id, -1) for id in item["id"].tolist()], np.int32)})
        assert [finding.code for finding in ran(item)[0].health] == codes


@attrs.define
class Told:
    """A source that says something of some events; the offset of an event is its id."""

    values: dict[int, dict[str, Any]]
    frontend: str = "test"
    path: str = ""

    def raw(self, offset: int, length: int) -> bytes:
        raise NotImplementedError

    def args(self, offsets: Any, lengths: Any) -> list[dict[str, Any]]:
        return [self.values.get(offset, {}) for offset in offsets.tolist()]


def counted(
    values: list[tuple[int, int]], *, beside: bool = False, name: str = "GPU Utilization", **more: int
) -> tir.Module:
    """A device with a gap from 10 to 90 µs and samples (instant in µs, value) of its utilisation.

    With `beside` another lane works from 20 to 50 µs of it. `more` are further columns of each sample.
    """
    lanes = [tir.Lane("cpu", "host.thread"), tir.Lane("gpu0.s7", "dev.stream", device=0, stream=7)]
    lanes.append(tir.Lane("gpu0.counters", "counter", device=0))
    rows_ = [(0, 0, 0, 5 * US, 0), (1, 1, 0, 10 * US, 1), (1, 1, 90 * US, US, 1)]
    rows_ += [(2, 2, at * US, 0, 2) for at, _ in values]
    if beside:
        lanes.append(tir.Lane("gpu0.s9", "dev.stream", device=0, stream=9))
        rows_.append((1, 1, 20 * US, 30 * US, 3))
    kind, code, ts, dur, lane = np.array(rows_, np.int64).T
    ids = np.arange(len(rows_))
    return tir.ModuleBuilder(
        name="counted",
        strings=tir.Strings(["cudaLaunchKernel", "kernel", name]),
        lanes=lanes,
        kinds=["rt.launch", "dev.kernel", "ctr.sample"],
        id=ids,
        kind=kind,
        name_code=code,
        ts=ts,
        dur=dur,
        lane=lane,
        offset=ids,
        length=np.ones(len(ids)),
        edges=[("launch", np.array([0, 0]), np.array([1, 2]))],
        source=Told({3 + i: {"value": value, **more} for i, (_, value) in enumerate(values)}),
    ).build()


def test_counter_confirms_idle_time() -> None:
    """Only where a utilisation counter reads 0 is idle time confirmed; without a counter nothing is known."""
    confirmed = [
        ran(counted(values))[1].devices[0].confirmed_idle_ns
        for values in ([(0, 80), (20, 0), (50, 3), (95, 0)], [(0, 0), (99, 0)], [])
    ]
    assert confirmed == [30 * US, 80 * US, None]


@pytest.mark.parametrize("name", ["SMs Active [Throughput %]", "SM Active", "GR Active [Throughput %]"])
def test_counters_of_a_metric_table_confirm_idle_time(name: str) -> None:
    """They are called so by some profilers, and have a table's other numbers beside their value."""
    item = counted([(0, 80), (20, 0), (50, 3), (95, 0)], name=name, typeId=5, metricId=0)
    assert ran(item)[1].devices[0].confirmed_idle_ns == 30 * US


def test_lane_is_confirmed_idle_only_where_its_device_is() -> None:
    """A counter that reads 0 while another lane works is of no use: only what the device idles can be confirmed."""
    found = rows(ran(counted([(0, 0), (99, 0)], beside=True))[0])
    assert [(row["level"], row["dur"], row["confirmed"]) for row in found] == [
        ("device", 10 * US, 10 * US),
        ("device", 40 * US, 40 * US),
        ("lane", 80 * US, 50 * US),
    ]


def test_module_without_device_work_has_no_gaps() -> None:
    """No device work gives an empty report and no error."""
    _, report = ran(module([launch(0)]))
    assert (report.devices, report.lanes, list(report.headline()), list(report.blocks() or ())) == ((), (), [], [])


def test_report_has_the_keys_of_the_contract() -> None:
    """The JSON objects of devices and lanes have the agreed keys and all nine classes."""
    item = module([launch(0), kernel(0, US, 0), launch(50 * US), kernel(60 * US, US, 2)])
    lanes = tuple(attrs.evolve(lane, device=None) for lane in item.lanes)
    data = to_json(ran(attrs.evolve(item, lanes=lanes))[1])
    (device,), (lane,) = data["devices"], data["lanes"]
    assert {"device", "idle_ns", "classes", "counts", "classes_over_min_ns"} <= set(device)
    assert {"lane", "gap_ns", "device_idle_ns", "classes", "counts", "classes_over_min_ns"} <= set(lane)
    assert set(device["classes"]) == set(lane["counts"]) == set(CLASSES)
    assert (device["device"], lane["lane"], lane["gap_ns"]) == (None, "gpu0.s7", 59 * US)


def test_tail_of_a_step_ends_with_its_mark() -> None:
    """Between steps, the host part up to the end of the finished step's mark is tail, and the rest is dispatch."""
    items = [Ev("mark.step", "step 0", 0, 40 * US, "cpu"), launch(US), kernel(6 * US, 10 * US, 1)]
    item = module([*items, launch(90 * US, 2 * US), kernel(95 * US, US, 3)])
    regions = [Region("step", "step.0", 0), Region("step", "step.1", 1)]
    step = {2: 0, 4: 1}
    item = item.with_tree("steps", regions, [step.get(id, -1) for id in item["id"].tolist()])
    mark = Annotation("group.mark", domain="region:steps", dtype="id")
    item = item.with_columns({mark.name: np.array([0, -1], np.int32)}, "region:steps")
    item = attrs.evolve(item, annotations={**item.annotations, mark.name: Written(mark, None)})
    between = ran(item)[1].devices[0].between_steps
    assert (between.tail_ns, between.dispatch_ns, between.rest_ns, between.total_ns) == (
        24 * US,
        52 * US,
        3 * US,
        79 * US,
    )


def test_lead_and_tail_of_a_lane_are_no_gaps() -> None:
    """What the device's span has before and after a lane's work is lead and tail."""
    items = [
        launch(0),
        kernel(0, US, 0),
        launch(US),
        kernel(20 * US, US, 2, "gpu0.s9"),
        launch(2 * US),
        kernel(50 * US, US, 4),
    ]
    lane = ran(module(items))[1].lanes[1]
    assert (lane.lane, lane.lead_ns, lane.tail_ns, lane.gap_ns) == ("gpu0.s9", 20 * US, 30 * US, 0)


def test_options_parse_from_text() -> None:
    """The options can be written in a pipeline, and a value that is none of them is refused."""
    assert Gaps.from_text({"min_gap": "2us", "cover": "75%", "blame": "all"}) == Gaps(2_000, cover=0.75, blame="all")
    with pytest.raises(tir.UsageError, match="duration"):
        Gaps.from_text({"late": "long"})


def test_many_lanes_are_looked_up_in_one_sorted_table() -> None:
    """Each lane's report is of its own work and gaps, and the masks of kinds are made once, not once a lane."""
    lanes = [f"gpu{n % 2}.s{n}" for n in range(40)]
    item = module(
        [kernel(10 * n + 1000 * turn, 5 + n, None, lane) for turn in range(3) for n, lane in enumerate(lanes)]
    )
    asked: list[tuple[str, ...]] = []
    whole = tir.Module.is_kind

    def counted_is_kind(self: tir.Module, *names: str) -> Any:
        asked.append(names)
        return whole(self, *names)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tir.Module, "is_kind", counted_is_kind)
        done, report = ran(item)
    assert len(asked) < len(lanes)
    assert Gaps().check(done) == []
    found = {lane.lane: (lane.busy_ns, lane.gap_ns, lane.span_ns) for lane in report.lanes}
    assert found == {lane: (3 * (5 + n), 2 * (995 - n), 2005 + n) for n, lane in enumerate(lanes)}
