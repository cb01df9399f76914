"""`dead-gaps` on real traces: known figures, and its laws by walks that share no code with it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import attrs
import numpy as np
import pytest

import traceir as tir
from tests.conftest import SHORT
from tests.passes.dead_gaps_made import bare, plain, ran, removed, restored, same_events
from traceir.testing import assert_equal
from traceir_passes.dead_gaps import DeadGaps, DeadGapsReport
from traceir_passes.gaps import Gaps

Load = Callable[[str], tir.Module]
KNOWN = {
    "b200": (72_752_907, 11_734_271),
    "nccl": (501_849_852, 158_701_153),
    "qwen_h100": (1_545_309, 48_107_523),
    "sgl_dec": (398_641, 473_351_302),
    "bert_h100": (3_598_388, 309_437),
    "vllm_pw": (0, 156_466_417),
    "s0": (0, 1_222_847_000),
}
"""Removed time and what is left of the span, ns."""
_done: dict[str, tuple[tir.Module, DeadGapsReport]] = {}


def closed(load: Load, name: str) -> tuple[tir.Module, DeadGapsReport]:
    """A shared trace after `dead-gaps`, run once."""
    if name not in _done:
        _done[name] = ran(load(name))
    return _done[name]


@pytest.mark.parametrize("name", KNOWN)
def test_known_figures(load_shared: Load, name: str) -> None:
    """What is removed is the sum of its classes in `gaps`, and the span is shorter by that, to the ns."""
    _, report = closed(load_shared, name)
    assert (report.removed_ns, report.span_after_ns) == KNOWN[name]
    (device,) = Gaps().report(tir.PassManager((Gaps(),)).run(load_shared(name))).devices
    causes = ("host_late", "launch_latency", "host_sync", "after_sync")
    found = sum(device.classes[cause] for cause in causes)
    assert report.removed_ns == (0 if name == "s0" else found)
    assert report.devices[0].held["health"] == (found if name == "s0" else 0)


@pytest.mark.parametrize("name", SHORT)
def test_laws_on_every_shared_trace(load_shared: Load, name: str) -> None:
    """The span loses what is removed; work keeps durations, order and overlaps; again nothing goes; all comes back."""
    item = load_shared(name)
    done, report = closed(load_shared, name)
    assert report.span_before_ns - report.span_after_ns == report.removed_ns
    assert report.removed_ns == sum(end - start for start, end, _ in removed(report))
    assert (report.span_before_ns, report.span_after_ns) == (item.span_ns, done.span_ns)
    work = np.flatnonzero(item.work)
    assert done["dur"][work].tolist() == item["dur"][work].tolist()
    assert (np.diff(done["ts"]) >= 0).all()
    for lane in np.unique(item["lane"][work]).tolist():
        mine = work[item["lane"][work] == lane].tolist()
        for one, other in pairwise(mine):
            before = int(item["ts"][other] - item.end[one])
            after = int(done["ts"][other] - done.end[one])
            assert after == before or 0 <= after < before  # overlaps stay, gaps only get shorter
    inside = np.searchsorted(item["ts"][work], [start for start, _, _ in removed(report)], side="right")
    ends = np.maximum.accumulate(item.end[work]) if len(work) else np.empty(0)
    for (start, end, _), at in zip(removed(report), inside.tolist(), strict=True):
        assert ends[at - 1] <= start
        assert at == len(work) or item["ts"][work][at] >= end
    assert plain(ran(done)[1]) == plain(report)
    back = restored(done)
    assert same_events(back, attrs.evolve(item, health=()))
    fresh = tir.PassManager((Gaps(),)).run(back)
    assert_equal(bare(fresh), bare(tir.PassManager((Gaps(),)).run(item)))


def test_of_the_hole_of_a_cut_trace_nothing_goes(load_shared: Load) -> None:
    """463 ms between two steps of a decode trace whose neighbours were cut out; by its steps it is found as a hole."""
    for before in ((), tuple(tir.PassManager.parse("group").passes)):
        manager = tir.PassManager((*before, DeadGaps()))
        done = manager.run(load_shared("sgl_dec"))
        judged = done["dead-gaps.gap_dur"] > 400_000_000
        assert judged.sum() == 1
        start = int(done["dead-gaps.gap_start"][judged][0])
        end = start + int(done["dead-gaps.gap_dur"][judged][0])
        assert end - start == 463_295_405
        assert not tir.Spans.of(
            done["dead-gaps.start"], done["dead-gaps.start"] + done["dead-gaps.dur"]
        ).covered(np.array([start]), np.array([end])).any()  # fmt: skip


def test_a_filtered_trace_keeps_its_gaps_unless_asked(load_shared: Load) -> None:
    """Events were left out of it, so in any of its gaps there may have been work."""
    assert closed(load_shared, "s0")[1].removed_ns == 0
    assert ran(load_shared("s0"), despite=("sampled",))[1].removed_ns == 284_694_000


@pytest.mark.parametrize("name", ["b200", "nccl", "bert_mi300", "sgl_pd", "qwen_h100"])
def test_layers_are_those_of_the_original(load_shared: Load, name: str) -> None:
    """Grouping over the new times finds the same steps and layers, event by event."""
    plain_, closed_ = (
        tir.PassManager.parse(passes).run(load_shared(name)) for passes in ("group", "group,dead-gaps,gaps")
    )
    for tree in ("tree.steps", "tree.layers"):
        if tree in plain_:
            assert plain_[tree].tolist() == closed_[tree].tolist()
