"""The pass `dead-gaps`: what is proved dead, and where it is so on all devices."""

from __future__ import annotations

import attrs
import pytest

import traceir as tir
from tests.build import Ev, module
from tests.passes.dead_gaps_made import LATE, US, kernel, launch, ran, removed, two
from traceir_passes.gaps import Gaps


def test_time_is_closed_up_and_the_times_of_the_source_stay() -> None:
    """All that comes after the gap is earlier by it; a call that began in it stands where the gap was."""
    done, report = ran(module([*LATE, Ev("host.op", "around", 15 * US, 200 * US, "cpu")]))
    assert removed(report) == [(20 * US, 100 * US, "host_late")]
    assert [(str(e.name), e.ts, e.dur) for e in done.select()] == [
        ("cudaLaunchKernel", 0, 5 * US),
        ("kernel.10000", 10 * US, 10 * US),
        ("around", 15 * US, 120 * US),
        ("cudaLaunchKernel", 20 * US, 0),
        ("kernel.100000", 20 * US, 10 * US),
    ]
    assert (report.span_before_ns, report.span_after_ns, report.removed_ns) == (100 * US, 20 * US, 80 * US)
    assert done["src.ts"].tolist() == [0, 10 * US, 15 * US, 90 * US, 100 * US]
    assert done["src.dur"].tolist() == [5 * US, 10 * US, 200 * US, 5 * US, 10 * US]


CAUSES: dict[str, list[Ev]] = {
    "host_late": LATE,
    "launch_latency": [*LATE[:2], launch(21 * US, 70 * US), LATE[3]],
    "host_sync": [*LATE, launch(20 * US, 65 * US, "rt.alloc", "cudaFree")],
    "after_sync": [*LATE, launch(12 * US, 20 * US, "rt.sync", "cudaStreamSynchronize")],
    "queue_latency": [launch(0), kernel(10 * US, 10 * US, 0), launch(6 * US), kernel(25 * US, US, 2)],
    "graph_internal": [launch(0, US, "rt.graph_launch", "graph"), kernel(9 * US, US, 0), kernel(90 * US, 1, 0)],
    "unexplained": [launch(0), kernel(10 * US, 10 * US, 0), launch(6 * US), kernel(100 * US, US, 2)],
    "unknown_no_launch": [launch(0), kernel(10 * US, 10 * US, 0), kernel(100 * US, US, None)],
}  # fmt: skip
DEFAULT = ("host_late", "launch_latency", "host_sync", "after_sync")


@pytest.mark.parametrize("cause", CAUSES)
def test_only_causes_on_the_host_are_removed(cause: str) -> None:
    """By default; what the hardware takes goes on request, and what nothing explains never."""
    item = module(CAUSES[cause])
    judged = tir.PassManager((Gaps(),)).run(item)
    assert set(judged.text("gaps.class")) == {cause}
    gap = int(judged["gaps.dur"].max())
    assert ran(item)[1].removed_ns == (gap if cause in DEFAULT else 0)
    if cause.startswith("un"):
        message = rf"classes of dead-gaps is '{cause}', and it has to be a list of host_late"
        with pytest.raises(tir.UsageError, match=message):
            tir.PassManager.parse(f"dead-gaps{{classes={cause}}}")
    else:
        assert ran(item, classes=(cause,))[1].removed_ns == gap
        other = next(name for name in DEFAULT if name != cause)
        assert ran(item, classes=(other,))[1].removed_ns == 0


def test_other_stream_is_never_removed() -> None:
    """A kernel that an event wait held back was waited for."""
    with pytest.raises(tir.UsageError, match="other_stream"):
        tir.PassManager.parse("dead-gaps{classes=host_late+other_stream}")


def test_keep_leaves_the_end_of_a_gap() -> None:
    """Work still begins that much after what came before, and its call stays before it; short gaps stay whole."""
    short = [launch(119 * US), kernel(121 * US, US, 4), launch(122 * US + 100, 50), kernel(122 * US + 900, US, 6)]
    done, report = ran(module([*LATE, *short]), keep=2 * US)
    assert removed(report) == [(20 * US, 98 * US, "host_late"), (110 * US, 119 * US, "host_late")]
    starts = [event.ts for event in done.kernels]
    assert starts == [10 * US, 22 * US, 34 * US, 35 * US + 900]
    (device,) = report.devices
    assert (device.held["keep"], device.held["other_device"]) == (2 * US + 2 * US + 900, 0)


def test_nothing_to_remove_changes_no_time() -> None:
    """Not even the columns are new ones, so nothing is stale; a module without device work is one of these."""
    for events in (CAUSES["unexplained"], [Ev("host.op", "op", 0, 5, "cpu")], []):
        item = tir.PassManager((Gaps(),)).run(module(events))
        done, report = ran(item)
        assert [done.token(name) for name in ("ts", "dur")] == [item.token(name) for name in ("ts", "dur")]
        assert [record.text for record in done.passes] == ["gaps", "dead-gaps"]
        assert (report.removed_ns, report.intervals) == (0, ())
        assert report.span_before_ns == report.span_after_ns == item.span_ns


# --- several devices -------------------------------------------------------------------------------------------------


def test_time_in_which_another_device_works_stays() -> None:
    """gpu1 works for 10 us of the gap of gpu0: what is before and after it goes, and each could gain more alone."""
    done, report = ran(two(kernel(5 * US, 5 * US, None), kernel(40 * US, 10 * US, None), kernel(105 * US, US, None)))
    assert removed(report) == [(20 * US, 40 * US, "host_late"), (50 * US, 100 * US, "host_late")]
    first, second = report.devices
    assert (first.alone_ns, second.alone_ns) == (80 * US, 30 * US + 55 * US)
    assert (first.removed_ns, second.removed_ns) == (70 * US, 70 * US)
    assert (first.held["other_device"], second.held["other_device"]) == (10 * US, 15 * US)
    assert [(d.span_before_ns, d.span_after_ns) for d in report.devices] == [(100 * US, 30 * US), (101 * US, 31 * US)]
    left = {(e.lane.device, e.ts, e.end) for e in done.kernels}
    assert left == {(0, 10 * US, 20 * US), (1, 5 * US, 10 * US), (1, 20 * US, 30 * US), (0, 30 * US, 40 * US),
                    (1, 35 * US, 36 * US)}  # fmt: skip


def test_a_gap_that_another_device_cannot_explain_stays() -> None:
    """Both idle at once, but nobody knows why gpu1 was: it may have worked."""
    events = [*LATE, kernel(0, 15 * US, None, "gpu1.s7"), kernel(110 * US, US, None, "gpu1.s7")]
    _, report = ran(module(events))
    assert report.removed_ns == 0
    assert report.devices[0].held["other_device"] == report.devices[0].alone_ns == 80 * US
    assert report.devices[1].held["class"] == 95 * US


def test_a_device_that_has_not_begun_or_is_done_holds_nothing_back() -> None:
    """As one that does nothing at all would not: its work is touched as little."""
    for only in (kernel(2 * US, US, None), kernel(105 * US, US, None), kernel(21 * US, 0, None)):
        _, report = ran(two(only))
        assert report.removed_ns == 80 * US


def test_idle_time_between_the_work_of_two_devices_stays() -> None:
    """One is done before the other begins: no gap of any device is there, so nothing is proved."""
    _, report = ran(module([launch(0), kernel(10, 10, 0), launch(80), kernel(90, 10, 2, "gpu1.s0")]))
    assert (report.removed_ns, report.span_before_ns) == (0, 90)


def test_the_cause_is_that_of_the_gap_that_ends_first() -> None:
    """gpu1 is held up by a slow launch until 60 us, gpu0 by a late host until 100 us."""
    events = [*LATE, launch(3 * US), kernel(9 * US, US, 4, "gpu1.s7"), launch(11 * US, 45 * US)]
    events += [kernel(60 * US, US, 6, "gpu1.s7")]
    _, report = ran(module(events))
    assert removed(report) == [(20 * US, 60 * US, "launch_latency"), (61 * US, 100 * US, "host_late")]


def test_of_causes_that_end_at_once_the_first_devices_is_named() -> None:
    """Both devices begin again at 100 us, gpu0 after a late host, gpu1 after a slow launch."""
    events = [*LATE, launch(3 * US), kernel(9 * US, 11 * US, 4, "gpu1.s7"), launch(20 * US, 75 * US)]
    events += [kernel(100 * US, US, 6, "gpu1.s7")]
    assert removed(ran(module(events))[1]) == [(20 * US, 100 * US, "host_late")]


def test_time_is_parted_where_a_device_does_work_of_no_length() -> None:
    """The last event of gpu1 is empty and ends its gap amidst that of gpu0: of both parts the end is kept."""
    item = two(kernel(10 * US, US, None), kernel(60 * US, 0, None))
    assert removed(ran(item, keep=US)[1]) == [(20 * US, 59 * US, "host_late"), (60 * US, 99 * US, "host_late")]


def test_devices_without_a_number_are_devices() -> None:
    """A stream of an unnamed device is idle, or not, like any other."""
    item = module(LATE)
    item = attrs.evolve(item, lanes=tuple(attrs.evolve(one, device=None) for one in item.lanes))
    _, report = ran(item)
    assert (report.removed_ns, report.devices[0].device, report.devices[0].alone_ns) == (80 * US, None, 80 * US)
