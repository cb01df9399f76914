"""`dead-gaps` among other passes, over several runs, and in every printer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import attrs
import numpy as np
import pytest

import traceir as tir
from tests.build import module
from tests.passes.dead_gaps_made import LATE, US, kernel, launch, plain, ran, removed, restored, two
from traceir.cli.main import main
from traceir.ir import Annotation, Region, Written
from traceir.passing import to_json
from traceir.passing.report import blocks_of, headline_of
from traceir.synth import Decoder, render
from traceir.testing import assert_equal
from traceir.text import Spelling, parse, spell
from traceir_passes.dead_gaps import DeadGaps, TimeMap


def _written(folder: Path, text: str) -> Path:
    path = folder / "trace.json"
    path.write_text(text, "utf-8")
    return path


def test_passes_behind_see_the_new_times_and_those_before_run_again(tmp_path: Path) -> None:
    """Though `gaps` stands at the end only: what the pass needs of it is computed before as well."""
    text, _ = render(Decoder(layers=3, steps=3, launch="eager", stall="host", stall_every=1))
    module = tir.load(_written(tmp_path, text))
    manager = tir.PassManager.parse("group,dead-gaps,overlap,gaps")
    done = manager.run(module)
    assert [record.name for record in done.passes] == [
        "infer", "group", "gaps", "dead-gaps", "infer", "group", "collectives", "overlap", "gaps",
    ]  # fmt: skip
    assert not any(done.stale(name) for name in done.annotations)
    reports = to_json(manager.reports(done))
    dead, gaps, overlap = reports["dead-gaps"], reports["gaps"]["devices"][0], reports["overlap"]["devices"][0]
    assert dead["removed_ns"] > 0
    assert dead["span_after_ns"] == gaps["span_ns"] == overlap["span_ns"] == done.span_ns
    assert gaps["classes"]["host_late"] == gaps["classes"]["host_sync"] == gaps["classes"]["after_sync"] == 0
    assert gaps["idle_ns"] == sum(dead["devices"][0]["held"].values())
    assert sum(step["removed_ns"] for step in dead["steps"]) <= dead["removed_ns"]
    before = tir.PassManager.parse("group").run(module)
    steps = [before.extent(before.work & (before.tree("steps").at("step") == region)) for region in range(3)]
    assert [step["before_ns"] for step in dead["steps"]] == [end - start for start, end in filter(None, steps)]
    assert len(dead["steps"]) == 3


@pytest.mark.parametrize("stall", ["host", "blocking"])
def test_planted_stalls_are_removed(stall: Literal["host", "blocking"], tmp_path: Path) -> None:
    """What stopped the host in the middle of a step is no time of the device any more, to the ns."""
    text, truth = render(Decoder(layers=4, steps=4, launch="eager", stall=stall, stall_every=2, stall_ns=5_000_000))
    module = tir.load(_written(tmp_path, text))
    _, report = ran(module)
    assert {gap.gap_class for gap in truth.gaps} == {"host_late" if stall == "host" else "host_sync", "after_sync"}
    for gap in truth.gaps:
        start, end = (time + truth.base_ns - (module.meta["origin_ns"] or 0) for time in (gap.start_ns, gap.end_ns))
        assert (start, end, gap.gap_class) in removed(report)


def test_through_text_nothing_is_lost() -> None:
    """A closed-up module is a text like any other: it parses to the same, rows of one instant in their order."""
    done, report = ran(two(kernel(5 * US, 5 * US, None), kernel(40 * US, 10 * US, None), kernel(105 * US, US, None)))
    for form in ("statements", "table"):
        text = "".join(spell(done, Spelling(form)))
        back = parse(text)
        assert_equal(back, done)
        assert "".join(spell(back, Spelling(form))) == text
        assert plain(DeadGaps().report(back)) == plain(report)


def test_a_window_keeps_both_times() -> None:
    """A part of a closed-up module can be put back; it no longer says what was removed around it."""
    done, _ = ran(module(LATE))
    part = done.window(np.flatnonzero(done["ts"] >= 20 * US))
    assert part["ts"].tolist() == [20 * US, 20 * US]
    assert restored(part)["ts"].tolist() == [90 * US, 100 * US]
    with pytest.raises(tir.PassError, match="closed up before, and it does not say where; put the times back"):
        tir.PassManager((DeadGaps(),)).run(part)


CHANGED: dict[str, Callable[[tir.Module], tir.Module]] = {
    "times": lambda m: m.with_columns({"ts": m["ts"] + 1}),
    "durations": lambda m: m.with_columns({"dur": m["dur"] + 1}),
}


@pytest.mark.parametrize("what", CHANGED)
def test_other_times_than_it_left_are_refused(what: str) -> None:
    """The map and the times would not fit each other."""
    done, _ = ran(module(LATE))
    with pytest.raises(tir.PassError, match="has changed since, in its times or in what is removed; put the times"):
        tir.PassManager((DeadGaps(),)).run(CHANGED[what](done))


def test_work_that_comes_back_in_removed_time_is_refused() -> None:
    """A kernel was removed, then the gap in which it ran; alive again, it would have lost its duration."""
    item = module([*LATE, launch(39 * US), kernel(50 * US, 10 * US, 4)])
    gone = item.with_columns({"live": item["id"] != 5})
    done, report = ran(gone)
    assert report.removed_ns == 80 * US
    with pytest.raises(tir.PassError, match="has changed since, in its times or in what is removed"):
        tir.PassManager((DeadGaps(),)).run(done.with_columns({"live": item["live"]}))


def test_work_that_goes_between_two_runs_opens_a_gap() -> None:
    """The gap around it is judged anew, and what was removed before stays removed."""
    item = module([*LATE, launch(39 * US), kernel(50 * US, 10 * US, 4)])
    done, report = ran(item)
    assert report.removed_ns == 70 * US
    again, second = ran(done.with_columns({"live": done["id"] != 5}))
    assert second.removed_ns == 80 * US
    assert again.span_ns == 20 * US


def test_work_that_comes_back_in_a_gap_that_stayed_parts_it() -> None:
    """Nothing was removed there, so nothing is lost; what was judged of the whole gap no longer holds."""
    item = module([*LATE, launch(39 * US), kernel(50 * US, 10 * US, 4)])
    done, report = ran(item.with_columns({"live": item["id"] != 5}), classes=("after_sync",))
    assert report.removed_ns == 0
    _, second = ran(done.with_columns({"live": item["live"]}))
    assert removed(second) == [(20 * US, 50 * US, "host_late"), (60 * US, 100 * US, "host_late")]


def test_what_an_earlier_run_proved_stays_proved() -> None:
    """gpu0 idles for a late host, gpu1 for a slow launch: neither cause alone is dead on both, both together are."""
    events = [*LATE, launch(3 * US), kernel(9 * US, 11 * US, 4, "gpu1.s7"), launch(20 * US, 75 * US)]
    item = module([*events, kernel(100 * US, US, 6, "gpu1.s7")])
    done, report = ran(item, classes=("host_late",))
    assert report.removed_ns == 0 == ran(item, classes=("launch_latency",))[1].removed_ns
    assert ran(done, classes=("launch_latency",))[1].removed_ns == 80 * US


def test_half_of_the_originals_is_refused() -> None:
    """Starts without durations put nothing back."""
    done, _ = ran(module(LATE))
    event = done.tables["event"]
    columns = {name: column for name, column in event.columns.items() if name != "src.dur"}
    half = attrs.evolve(done, tables={**done.tables, "event": attrs.evolve(event, columns=columns)})
    for one in (DeadGaps(), tir.PassManager.parse("restore").passes[0]):
        with pytest.raises(
            tir.PassError, match=r"original starts or durations without the others: src\.dur is missing"
        ):
            one.run(half, tir.PassContext())


# --- what is shown ---------------------------------------------------------------------------------------------------


def test_the_report_as_a_page() -> None:
    """The time removed with its denominator, its causes, and a line for each device."""
    _, report = ran(two(kernel(5 * US, 5 * US, None), kernel(40 * US, 10 * US, None), kernel(105 * US, US, None)))
    first, second = headline_of("dead-gaps", report)
    assert (first.value, first.whole, first.unit) == (70 * US, 105 * US, "ns")
    assert second.value == "host_late 70.0 µs"
    (block,) = blocks_of("dead-gaps", report) or ()
    assert block.rows == (
        ("gpu0", "100.0 µs", "30.0 µs", "70.0 µs", "80.0 µs", "10.0 µs by another device"),
        ("gpu1", "101.0 µs", "31.0 µs", "70.0 µs", "85.0 µs", "15.0 µs by another device"),
    )
    assert "upper bound" in block.note


def test_a_device_is_called_as_its_lanes_are() -> None:
    """An NPU is no GPU; a device without a number has none."""
    for name, number, place in (("npu3.s2", 3, "npu3"), ("gpu.s7", None, "gpu")):
        item = module(LATE)
        lanes = tuple(
            attrs.evolve(lane, name=name, device=number) if lane.is_device else lane for lane in item.lanes
        )  # fmt: skip
        _, report = ran(attrs.evolve(item, lanes=lanes))
        assert [(one.device, one.place) for one in report.devices] == [(number, place)]
        assert (blocks_of("dead-gaps", report) or ())[0].rows[0][0] == place


def test_steps_are_measured_before_and_after() -> None:
    """Each by the work that it owns; a gap between two steps is of neither."""
    events = [*LATE, launch(190 * US), kernel(200 * US, 10 * US, 4)]
    item = module(events)
    leaf = np.where(item["ts"] < 150 * US, 0, 1).astype(np.int32)
    item = item.with_tree("steps", [Region("step", "step.3", 3), Region("step", "step.4", 4)], leaf)
    tree = Annotation("tree.steps", dtype="id", doc="Steps.")
    item = attrs.evolve(item, annotations={tree.name: Written(tree, None)})
    _, report = ran(item)
    found = [(step.index, step.label, step.before_ns, step.after_ns, step.removed_ns) for step in report.steps]
    assert found == [(3, "step.3", 100 * US, 20 * US, 80 * US), (4, "step.4", 10 * US, 10 * US, 0)]


def test_what_the_queue_takes_is_proposed_for_keep() -> None:
    """The median of the lanes' gaps between queued kernels; unknown without any."""
    queued = [launch(91 * US), launch(92 * US), launch(93 * US)]
    queued += [kernel(112 * US, US, 4), kernel(114 * US, US, 5), kernel(119 * US, US, 6)]
    assert ran(module([*LATE, *queued]))[1].devices[0].queue_ns == 2 * US
    beside = [kernel(110 * US, US, 4, "gpu0.s8"), kernel(113 * US, US, 5)]
    assert ran(module([*LATE, *queued[:3], *beside]))[1].devices[0].queue_ns == 3 * US
    assert ran(module(LATE))[1].devices[0].queue_ns is None


def test_every_printer_shows_the_new_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON, Chrome and text, through the command line."""
    path = tmp_path / "late.tir"
    path.write_text("".join(spell(module(LATE))), "utf-8")
    shown = {}
    for printer in ("json", "tir", "folded"):
        assert main(["run", "-q", "--passes", "dead-gaps,gaps", "--emit", printer, str(path)]) == 0
        shown[printer] = capsys.readouterr().out
    found = json.loads(shown["json"])
    assert found["pipeline"] == "gaps,dead-gaps,gaps"
    assert found["module"]["span_ns"] == 20 * US == found["results"]["gaps"]["devices"][0]["busy_ns"]
    assert found["results"]["dead-gaps"]["intervals"] == [
        {"start_ns": 20 * US, "end_ns": 100 * US, "class": "host_late"}
    ]
    assert "@gpu0.s7 [20000 +10000] <- %2 {src.ts=100000, src.dur=10000" in shown["tir"]
    assert "dead gaps removed 80.0 µs (80.0 % of the span before)" in shown["folded"]
    assert "100.0 µs  20.0 µs  80.0 µs  80.0 µs  none" in shown["folded"]


def test_chrome_has_the_new_times(tmp_path: Path) -> None:
    """The input's own elements, with other times."""
    text, _ = render(Decoder(layers=2, steps=2, launch="eager", stall="host", stall_every=1))
    source, out = _written(tmp_path, text), tmp_path / "out.json"
    assert main(["run", "-q", "--passes", "dead-gaps", "--emit", "chrome", "-o", str(out), str(source)]) == 0
    found, back = ran(tir.load(source))[0], tir.load(out)
    assert back.span_ns == found.span_ns < tir.load(source).span_ns
    assert np.diff(back["ts"][back.work]).tolist() == np.diff(found["ts"][found.work]).tolist()
    assert back["dur"][back.work].tolist() == found["dur"][found.work].tolist()


def test_the_time_map_can_be_asked() -> None:
    """An instant in the gap and its two ends are one instant now; a module that nobody closed up is as it was."""
    done, _ = ran(module(LATE))
    at = np.array([0, 20, 50, 100, 101]) * US
    assert TimeMap.read(done).at(at).tolist() == [0, 20 * US, 20 * US, 20 * US, 21 * US]
    assert TimeMap.read(module(LATE)).at(at).tolist() == at.tolist()
