"""The laws of `dead-gaps` and `restore` on random modules, against a count of single nanoseconds."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import attrs
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import traceir as tir
from tests.passes.dead_gaps_made import GAPS, busy_modules, by_counting, plain, ran, removed, restored, same_events
from traceir.testing import assert_equal
from traceir.text import parse, spell
from traceir_passes.dead_gaps import DeadGaps
from traceir_passes.dead_gaps.columns import REMOVABLE

classes = st.lists(st.sampled_from(REMOVABLE), min_size=1, unique=True).map(tuple)
keeps = st.sampled_from((0, 0, 1, 4))
MANY = settings(max_examples=80)
options: Callable[..., DeadGaps] = DeadGaps


@MANY
@given(busy_modules(), classes, keeps)
def test_what_is_removed_is_what_is_dead_everywhere(item: tir.Module, wanted: tuple[str, ...], keep: int) -> None:
    """To the nanosecond, and the new times follow from it by counting what was removed before each instant."""
    judged = tir.PassManager((GAPS,)).run(item)
    expected = by_counting(judged, wanted, keep)
    done, report = ran(judged, classes=wanted, keep=keep)
    assert removed(report) == expected
    gone = [t for start, end, _ in expected for t in range(start, end)]
    for row in range(len(item)):
        before, after = item.event(row), done.event(row)
        start, end = (t - sum(one < t for one in gone) for t in (before.ts, before.end))
        assert (after.ts, after.end) == (start, end)
    assert report.span_before_ns - report.span_after_ns == report.removed_ns == len(gone)
    assert (report.span_before_ns, report.span_after_ns) == (item.span_ns, done.span_ns)
    for device in report.devices:
        assert device.removed_ns == device.span_before_ns - device.span_after_ns <= device.alone_ns <= device.idle_ns


@MANY
@given(busy_modules(), classes, keeps)
def test_work_keeps_its_durations_its_order_and_what_it_overlaps(
    item: tir.Module, wanted: tuple[str, ...], keep: int
) -> None:
    """Every pair of device events overlaps for as long as before, and none passes another; launches stay first."""
    done, _ = ran(item, GAPS, classes=wanted, keep=keep)
    assert done["id"].tolist() == item["id"].tolist()
    assert (np.diff(done["ts"]) >= 0).all()
    work = np.flatnonzero(item.work).tolist()
    for one, other in combinations(work, 2):
        pairs = [(module.event(one), module.event(other)) for module in (item, done)]
        overlaps = [max(min(a.end, b.end) - max(a.ts, b.ts), 0) for a, b in pairs]
        assert overlaps[0] == overlaps[1]
    assert done["dur"][work].tolist() == item["dur"][work].tolist()
    src, dst = item.edges("launch")
    early = item["ts"][src] <= item["ts"][dst]
    assert (done["ts"][src] <= done["ts"][dst])[early].all()


@MANY
@given(busy_modules(), classes, keeps, st.booleans())
def test_a_second_run_removes_nothing_more(item: tir.Module, wanted: tuple[str, ...], keep: int, text: bool) -> None:
    """Nor does it say anything else, be it of the module or of one that went through a text."""
    done, report = ran(item, GAPS, classes=wanted, keep=keep)
    if text:
        done = parse("".join(spell(done)))
    again, second = ran(done, classes=wanted, keep=keep)
    assert plain(second) == plain(report)
    for name in ("ts", "dur"):
        assert again[name].tolist() == done[name].tolist()


@MANY
@given(busy_modules(), classes, classes, keeps, keeps)
def test_a_second_run_removes_what_it_asks_for_besides(
    item: tir.Module, first: tuple[str, ...], then: tuple[str, ...], keep: int, floor: int
) -> None:
    """Both together remove no less than either alone; with one floor, what one run with all classes removes."""
    done, _ = ran(item, GAPS, classes=first, keep=keep)
    _, both = ran(done, classes=then, keep=floor)
    for alone in (ran(item, GAPS, classes=first, keep=keep)[1], ran(item, GAPS, classes=then, keep=floor)[1]):
        assert both.removed_ns >= alone.removed_ns
    if keep == floor == 0:
        whole = tuple(dict.fromkeys((*first, *then)))
        assert both.removed_ns == ran(item, GAPS, classes=whole)[1].removed_ns


@MANY
@given(busy_modules(), classes, keeps)
def test_restore_gives_the_module_back(item: tir.Module, wanted: tuple[str, ...], keep: int) -> None:
    """Column by column, though the new times do not tell the old ones; what was computed from them is not stale."""
    judged = tir.PassManager((GAPS,)).run(item)
    done = tir.PassManager((options(classes=wanted, keep=keep),)).run(judged, fresh=False)
    back = restored(done)
    assert same_events(back, judged)
    assert back.tables.keys() == judged.tables.keys()
    assert not any(back.stale(name) for name in back.annotations)
    assert_equal(attrs.evolve(back, passes=judged.passes), judged)


@given(busy_modules(), st.integers(-1000, 10**12))
def test_when_the_record_began_does_not_matter(item: tir.Module, by: int) -> None:
    """All times moved by one amount: the same is removed, as much later."""
    moved = item.with_columns({"ts": item["ts"] + by})
    report, other = ran(item, GAPS)[1], ran(moved, GAPS)[1]
    assert removed(other) == [(start + by, end + by, kind) for start, end, kind in removed(report)]


@given(busy_modules(devices=1), classes)
def test_one_device_gains_what_it_would_gain_alone(item: tir.Module, wanted: tuple[str, ...]) -> None:
    """With one device nothing is held back by another."""
    done, report = ran(item, GAPS, classes=wanted)
    for device in report.devices:
        assert device.alone_ns == device.removed_ns == report.removed_ns
        assert device.held["other_device"] == device.held["keep"] == 0
    left = tir.PassManager((GAPS,)).run(done)
    assert int(left["gaps.dur"][left.is_in("gaps.level", ["device"])].sum()) == sum(
        sum(device.held.values()) for device in report.devices
    )
