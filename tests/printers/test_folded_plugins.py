"""The folded page with passes of plug-ins: their columns keep to their own names, their reports are made to tables."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from math import nan

import attrs
import numpy as np
import pytest

import traceir as tir
from traceir import folding
from traceir.folding import Sum
from traceir.passing import Report
from traceir.printers import InputInfo, Result, Style
from traceir.printers.folded import Folded
from traceir.printers.folded.sums import SumColumns
from traceir.registry import Registry

from ..build import Ev, annotate, module
from ..conftest import ROOT

EXAMPLE = ROOT / "examples" / "decoder_tp8_graph.json.gz"
DOC = "Of a test."
VIEWS = {"step": Folded(), "role": Folded(by="role"), "layer": Folded(expand=("layer.3",))}


@attrs.frozen
class Queue(tir.Pass):
    """Write three columns that are summed: one called as overlap's is, one of times, one of bytes."""

    writes = (
        tir.Annotation("queue.exposed", unit="ns", shown="sum", doc=DOC, null="no copy"),
        tir.Annotation("queue.delay", unit="ns", shown="sum", doc=DOC, null="no launch"),
        tir.Annotation("queue.moved", unit="B", dtype="f64", shown="sum", doc=DOC, null="no copy"),
    )

    def run(self, module: tir.Module, context: tir.PassContext) -> tir.Module:
        """Copies hide nothing and move two bytes a ns; what is launched waits for its start."""
        copy, launch = module.is_kind("dev.memcpy"), module.launch
        delay = np.where(launch >= 0, module["ts"] - module.end[launch], tir.NULL_I64)
        return module.with_columns(
            {
                "queue.exposed": np.where(copy, module["dur"], tir.NULL_I64),
                "queue.delay": np.where(module.work, delay, tir.NULL_I64),
                "queue.moved": np.where(copy, 2.0 * module["dur"], np.nan),
            }
        )


def passes(pipeline: str) -> list[tir.Pass]:
    """The passes of a pipeline, in which `queue` is the pass of this test."""
    registry = Registry.installed()
    return [Queue() if word == "queue" else registry.find("passes", word)() for word in pipeline.split(",")]


def page(item: tir.Module, pipeline: str, width: int = 120, printer: Folded = VIEWS["step"]) -> str:
    """The page after a pipeline."""
    manager = tir.PassManager(passes(pipeline))
    after = manager.run(item)
    result = Result(after, manager.reports(after), (InputInfo(after.name, "kineto", len(after)),))
    out = io.StringIO()
    printer.write(result, out, Style(width))
    return out.getvalue()


@pytest.fixture(scope="module")
def example() -> tir.Module:
    """The generated example: prefill and decode of 36 layers on 8 ranks."""
    return tir.load(EXAMPLE)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("view", VIEWS)
def test_columns_of_plugins_stand_beside_the_page_s_own(
    view: str, width: int, example: tir.Module, golden: Callable[[str, str], None]
) -> None:
    """Each under its own name; those that the width does not hold are left out with a word."""
    golden(f"folded/plugin_sums.{view}.{width}.txt", page(example, "group,overlap,gaps,queue", width, VIEWS[view]))


def under(heading: str, text: str) -> list[str]:
    """The cells of the columns with this heading, in order: their figures end where it ends."""
    found, end = [], 0
    for line in text.splitlines():
        if at := re.search(rf"(?<=  ){re.escape(heading)}(?=  )", line):
            end = at.end()
        elif not line:
            end = 0
        elif end and (cell := re.search(r"  ([\d.]+ [µm]?s)$", line[:end])):
            found.append(cell[1])
    return found


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("pipeline", ["group,overlap,queue", "group,queue,overlap"])
def test_no_plugin_takes_the_place_of_overlap(view: str, pipeline: str, example: tir.Module) -> None:
    """What stands under `exposed` is overlap's, whichever ran last; without overlap nothing stands there."""
    own, both, alone = (page(example, text, 200, VIEWS[view]) for text in ("group,overlap", pipeline, "group,queue"))
    assert len(under("exposed", own)) >= 2
    assert under("exposed", both) == under("exposed", own)
    assert under("exposed", alone) == under("queue.exposed", own) == []
    assert under("queue.exposed", both) == under("queue.exposed", alone) != []


def test_sums_are_those_of_the_column() -> None:
    """Nulls count nowhere, what is no number has no column, and a stale one is not told. Figures by hand."""
    events = [Ev("dev.kernel", "a", 0, 10), Ev("dev.kernel", "a", 20, 30), Ev("dev.kernel", "b", 60, 10)]
    wait = tir.Annotation("my-pass.wait", unit="ns", shown="sum", doc=DOC)
    ratio = tir.Annotation("my-pass.part", dtype="f64", shown="sum", doc=DOC)
    label = tir.Annotation("my-pass.word", dtype="str", shown="sum", doc=DOC)
    item = annotate(
        annotate(annotate(module(events), wait, {0: 3, 1: 4}), ratio, {0: nan, 1: nan, 2: 0.5}), label, {0: "x"}
    )
    [step] = folding.fold(item)
    assert step.sums == (Sum("my-pass.wait", "ns", 7, 7), Sum("my-pass.part", "", 0.5, 0.5))
    assert step.exposed_ns is None, "what is not overlap's is not exposed"
    ops = {op.label: op.sums for op in step.items if isinstance(op, folding.Op)}
    assert [one.total for one in ops["a"]] == [7, None]
    assert [one.total for one in ops["b"]] == [None, 0.5]
    roles = folding.fold_roles(item)
    assert roles is not None
    assert [one.total for one in roles.kernels[0].sums] == [7, 0.5]
    opened = folding.open_instance(item, "a", 10)
    assert [[one.total for one in event.sums] for event in opened.events] == [[3, None], [4, None]]


@pytest.mark.parametrize(
    ("names", "headings"),
    [
        (("a.wait", "b.late"), ("wait", "late")),
        (("a.wait", "b.wait", "b.late"), ("a.wait", "b.wait", "late")),
        (("a.exposed", "b.share"), ("a.exposed", "b.share")),
        (("a.in.flight",), ("in.flight",)),
    ],
)
def test_a_heading_says_whose_column_it_is_where_the_name_does_not(
    names: tuple[str, ...], headings: tuple[str, ...]
) -> None:
    """The part behind the dot, unless two have it, or the page means something by it."""
    columns = SumColumns.of([[Sum(name, "ns", 1)] for name in names])
    assert columns.headings == headings


@attrs.frozen
class Found:
    """One row of a table."""

    event: int
    dur_ns: int | None
    share_ns: str
    beside: tuple[int, ...]
    copy_events: tuple[int, ...] = ()


@attrs.frozen
class Told(Report):
    """A report that says nothing of how it looks."""

    events: int
    worst_event: int
    no_event: int
    first_event: int | None
    lost_ns: int
    mean_ns: float
    lost: int
    took_ns: int
    slow_events: tuple[int, ...]
    waits_ns: tuple[int, ...]
    found: tuple[Found, ...]
    by_kind: Mapping[str, int]


@attrs.frozen
class Moved:
    """One row of a table."""

    bytes: int | None
    sent_ns: int
    sent_bytes: int


@attrs.frozen
class Sizes(Report):
    """Numbers of bytes, alone and in a table."""

    bytes: int
    moved_bytes: int
    mean_bytes: float
    lost_bytes: int | None
    each_bytes: tuple[int, ...]
    moved: tuple[Moved, ...] = ()


def test_bytes_of_a_report_have_their_unit(example: tir.Module) -> None:
    """By the name of the field, as times have theirs; a heading that two would have stays whole. Figures by hand."""
    sizes = Sizes(8_192, 3 << 30, 0.5, None, (512, 1_536), (Moved(None, 2_500, 1 << 20),))
    out = io.StringIO()
    Folded().write(Result(example, {"sizes": sizes}, ()), out, Style(100))
    text = out.getvalue()
    tail = [" ".join(line.split()) for line in text[text.index("\nsizes\n") + 1 :].splitlines() if line]
    assert tail == [
        "sizes", "bytes 8.0 KiB", "moved 3.0 GiB", "mean 0.5 B", "lost unknown",
        "sizes each", "512 B", "1.5 KiB",
        "sizes moved", "bytes sent_ns sent_bytes", "unknown 2.5 µs 1.0 MiB",
    ]  # fmt: skip


def test_ids_and_times_of_a_report_are_printed_as_such(example: tir.Module, golden: Callable[[str, str], None]) -> None:
    """Ids as people write them, times without `_ns` in their headings, counts as they are."""
    told = Told(
        events=12_345, worst_event=9_641, no_event=-1, first_event=None,
        lost_ns=1_500, mean_ns=2_250.5, lost=3, took_ns=4_000,
        slow_events=(9_641, 12), waits_ns=(1_000, 250),
        found=(Found(9_641, 17_000, "n/a", (1_000, 2), (5, 6_000)), Found(12, None, "n/a", ())),
        by_kind={"copy_ns": 5_000, "kernels": 6_000},
    )  # fmt: skip
    out = io.StringIO()
    Folded().write(Result(example, {"told": told}, ()), out, Style(100))
    text = out.getvalue()
    golden("folded/plugin_report.txt", text[text.index("\ntold\n") + 1 :])
