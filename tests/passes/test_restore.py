"""The pass `restore`: the module before `dead-gaps` is given back, and what was computed since is computed again."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

import traceir as tir
from tests.build import Ev, module
from tests.passes.dead_gaps_made import bare, ran, restored, same_events
from traceir.cli.main import main
from traceir.synth import Decoder, render
from traceir.testing import assert_equal
from traceir.text import parse, spell
from traceir_passes.dead_gaps import DeadGaps
from traceir_passes.gaps import Gaps
from traceir_passes.restore import Restore

LATE = [
    Ev("rt.launch", "cudaLaunchKernel", 0, 5, "cpu"),
    Ev("dev.kernel", "a", 10, 10, launch=0),
    Ev("mark.instant", "first", 30, 0, "cpu"),
    Ev("mark.instant", "second", 40, 0, "cpu"),
    Ev("rt.launch", "cudaLaunchKernel", 90, 5, "cpu"),
    Ev("dev.kernel", "b", 100, 10, launch=4),
]


def test_what_the_new_times_cannot_tell_comes_back() -> None:
    """Three events stand at one instant once time is closed up; each goes back to its own."""
    item = module(LATE)
    done, _ = ran(item)
    assert done["ts"].tolist() == [0, 10, 20, 20, 20, 20]
    back = restored(done)
    assert back["ts"].tolist() == item["ts"].tolist()
    assert back["dur"].tolist() == item["dur"].tolist()


def test_nothing_of_the_other_times_is_left() -> None:
    """Neither columns nor tables, and `dead-gaps` reports no more."""
    manager = tir.PassManager.parse("gaps,dead-gaps,restore")
    item = module(LATE)
    done = manager.run(item)
    assert [record.text for record in done.passes] == ["gaps", "dead-gaps", "restore"]
    assert not any(name.startswith(("src.", "dead-gaps.")) for name in done.annotations)
    assert not any("dead-gaps" in name for name in done.tables)
    assert manager.reports(done).keys() == {"gaps"}
    judged = tir.PassManager((Gaps(),)).run(item)
    assert_equal(attrs.evolve(done, passes=judged.passes), judged)


def test_what_was_computed_in_between_is_computed_again() -> None:
    """And what was computed before and not since is as fresh as it was, since the old columns are back."""
    done = tir.PassManager.parse("dead-gaps,gaps,restore").run(module(LATE))
    assert [record.text for record in done.passes] == ["gaps", "dead-gaps", "gaps", "restore", "gaps"]
    assert done["gaps.dur"].tolist() == [80, 80]
    assert not any(done.stale(name) for name in done.annotations)


def test_a_pipeline_goes_on_behind_it() -> None:
    """What is removed with other options afterwards is removed from the times of the source."""
    text = "dead-gaps,restore,dead-gaps{keep=30}"
    done = tir.PassManager.parse(text).run(module(LATE))
    assert done.span_ns == 50
    assert DeadGaps(keep=30).report(done).removed_ns == 50


def test_times_of_the_source_stay(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Nothing is put back, nothing is inserted, and the pass says so."""
    item, context = module(LATE), tir.PassContext()
    done = tir.PassManager((Restore(),)).run(item, context)
    assert same_events(done, item)
    assert [remark.message for remark in context.remarks] == [
        "Nothing was put back: the times are those of the source."
    ]
    path = tmp_path / "late.tir"
    path.write_text("".join(spell(item)), "utf-8")
    assert main(["run", "-q", "--passes", "restore", "--emit", "tir", str(path)]) == 0
    assert "pass p1 = restore;\n  %0" in capsys.readouterr().out


def test_once_is_enough() -> None:
    """A second time there is nothing to put back."""
    done = tir.PassManager.parse("dead-gaps,restore,restore").run(module(LATE))
    assert done["ts"].tolist() == [event.ts for event in LATE]


def test_through_text() -> None:
    """A closed-up module that went through a text is put back to the text of the original."""
    item = tir.PassManager((Gaps(),)).run(module(LATE))
    done = parse("".join(spell(tir.PassManager((DeadGaps(),)).run(item))))
    back = tir.PassManager((Restore(),)).run(done)
    assert_equal(bare(back), bare(item))


def test_a_whole_run_is_undone(tmp_path: Path) -> None:
    """All that `group` and `overlap` say of the original they say again."""
    text, _ = render(Decoder(layers=3, steps=2, launch="eager", tensor_parallel=4, stall="host", stall_every=1))
    (path := tmp_path / "trace.json").write_text(text, "utf-8")
    plain, undone = (
        tir.PassManager.parse(passes).run(tir.load(path))
        for passes in ("group,overlap,gaps", "group,dead-gaps,overlap,gaps,restore")
    )
    assert set(plain.annotations) == set(undone.annotations)
    assert_equal(attrs.evolve(bare(undone), health=()), attrs.evolve(bare(plain), health=()))
    assert set(plain.health) == set(undone.health)
