"""The pass what-if: the text of edits and what is wrong with it, what each edit does, bounds and doubt."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.build import Ev, annotate, module
from tests.conftest import ROOT
from tests.passes.test_critical_path import waiting
from tests.passes.test_replay import traced
from traceir.ir import NULL_I64, Annotation, Written
from traceir.testing import modules
from traceir_passes.what_if import WhatIf, WhatIfReport
from traceir_passes.what_if.grammar import parse

US = 1_000
EXAMPLE = ROOT / "examples" / "decoder_tp8_graph.json.gz"


def ran(item: tir.Module, edit: str = "", **options: Any) -> tuple[tir.Module, WhatIfReport]:
    manager = tir.PassManager([WhatIf(edit=edit, **options)])
    after = manager.run(item)
    report = manager.reports(after)["what-if"]
    assert isinstance(report, WhatIfReport)
    return after, report


def kept(item: tir.Module, edit: str, **options: Any) -> int:
    ns = ran(item, edit, **options)[1].span.kept_ns
    assert ns is not None
    return ns


def launched(at: int, dur: int = US, lane: str = "cpu") -> Ev:
    return Ev("rt.launch", "cudaLaunchKernel", at, dur, lane)


def kernel(at: int, dur: int, call: int | None, lane: str = "gpu0.s7", name: str = "k") -> Ev:
    return Ev("dev.kernel", name, at, dur, lane, call)


def queue(*names: str, dur: int = 100 * US, gap: int = US) -> list[Ev]:
    """Kernels launched at once that run one after the other on one stream."""
    items = [launched(2 * at * US) for at in range(len(names))]
    return items + [
        kernel(50 * US + at * (dur + gap), dur, at, name=name) for at, name in enumerate(names)
    ]  # fmt: skip


NORM, GEMM, REDUCE = "rms_norm_kernel", "nvjet_tst_64x8", "ncclDevKernel_AllReduce_Sum_bf16_RING_LL"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ("quicken gemm 2", "'quicken' is no edit; there are speed, scale, drop, remove, move, split, fuse, bandwidth"),
        ("speed gemm", "a factor is missing; write speed WHAT FACTOR"),
        ("speed gemm two", "'two' is no factor; write 2, 1.5 or 50%"),
        ("speed gemm 0", "'0' has to be above 0"),
        ("speed gemm 2 3", "'3' is too much; write speed WHAT FACTOR, and ; between edits"),
        ("drop", "what to drop is missing; write drop WHAT, drop gaps [WHAT], or drop sync [CALL]"),
        ("remove gaps", "'gaps' cannot be removed; write remove launch-gaps"),
        ("move all_reduce after gemm", "'after' is neither before nor past; write move WHAT before WHAT, or move WHAT "
         "past NUMBER"),
        ("split all_reduce past 0", "'0' is no number of events of 1 or more"),
        ("fuse norm", "what to fuse it with is missing; write fuse WHAT WHAT … [saving SHARE]"),
        ("fuse norm gemm saving 110%", "no more than 100% can be saved"),
        ("scale 'a kernel", "a quote is opened and never closed"),
    ],
)  # fmt: skip
def test_a_wrong_edit_is_refused_with_its_place(edit: str, message: str) -> None:
    """Before anything runs; the column is that of the word which is wrong, or where one is missing."""
    with pytest.raises(tir.UsageError) as caught:
        WhatIf(edit=edit)
    column = int(str(caught.value).partition("column ")[2].partition(":")[0])
    assert str(caught.value) == f"The edit {edit!r} of what-if is wrong at column {column}: {message}."
    quoted = message.split("'")[1] if message.startswith("'") else None
    if quoted is not None:
        assert edit[column - 1 :].startswith(quoted)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ("drop sync; speed gem 2", "The edit 'drop sync; speed gem 2' of what-if means no event by 'gem' at column 18; "
         "did you mean gemm."),
        ("speed %99 2", "The edit 'speed %99 2' of what-if means no event by '%99' at column 7; the trace has no such "
         "event."),
        ("speed 'gemm' 2", "The edit \"speed 'gemm' 2\" of what-if means no event by 'gemm' at column 7; did you mean "
         "gemm."),
        ("fuse gemm gemm norm", "The edit 'fuse gemm gemm norm' of what-if fuses nothing: no stream has gemm gemm norm "
         "one after the other."),
        ("bandwidth tp 2", "The edit 'bandwidth tp 2' of what-if needs to know the collectives: write collectives "
         "before what-if in the pipeline."),
    ],
)  # fmt: skip
def test_an_edit_that_means_nothing_of_the_trace(edit: str, message: str) -> None:
    """What there is, or what is meant, is named."""
    with pytest.raises(tir.UsageError) as caught:
        ran(module(queue(NORM, GEMM, REDUCE)), edit)
    assert str(caught.value) == message


def test_edits_survive_the_text_of_a_pipeline() -> None:
    """One option of one grammar: quotes, semicolons and percents come back as they were."""
    edit = "speed gemm 2; scale 'aten::mm (x, y)' 50%; move all_reduce past 2"
    manager = tir.PassManager([WhatIf(edit=edit)])
    again = tir.PassManager.parse(manager.text)
    assert again.passes == manager.passes
    assert [item.verb for item in parse(edit)] == ["scale", "scale", "move"]
    assert parse(" ; ;") == ()


def test_a_role_a_name_a_lane_and_an_id() -> None:
    """Whatever the word is that means the kernel, its duration changes and the rest follows."""
    item = module(queue(NORM, GEMM, REDUCE))
    span = item.span_ns
    for word in ("gemm", "role:gemm", f"'{GEMM}'", "%4"):
        assert kept(item, f"speed {word} 2") == span - 50 * US
    assert kept(item, "scale gpu0.s7 0.5") == span - 150 * US
    assert kept(item, "scale comm 0") == span - 100 * US


def test_host_time_counts_once_and_only_where_it_delays() -> None:
    """Half the time of an op is saved from the launch behind it; of an op beside queued work nothing is."""
    items = [
        launched(0), kernel(5 * US, US, 0), Ev("host.op", "aten::mm", 10 * US, 80 * US, "cpu"),
        Ev("host.op", "aten::empty", 20 * US, 40 * US, "cpu"), launched(95 * US), kernel(100 * US, US, 4),
    ]  # fmt: skip
    item = module(items)
    assert kept(item, "speed aten::mm 2") == item.span_ns - 40 * US
    assert kept(item, "scale aten::empty 0") == item.span_ns - 40 * US
    assert kept(item, "speed host 2") == item.span_ns - 47 * US
    beside = module([*queue("a", "b", "c"), Ev("host.op", "aten::mm", 10 * US, 80 * US, "cpu")])
    assert kept(beside, "speed aten::mm 2") == beside.span_ns


def test_launch_gaps_go_up_to_the_next_wait() -> None:
    """Launches between two synchronisations become one; what follows a wait still follows it."""
    items: list[Ev] = []
    for at in range(0, 300, 100):
        items += [launched(at * US), kernel((at + 5) * US, 10 * US, len(items))]
    item = module(items)
    assert kept(item, "remove launch-gaps", graph_launch=0) == 3 * 10 * US
    waiting = [*items, Ev("rt.sync", "cudaStreamSynchronize", 150 * US, 2 * US, "cpu")]
    assert kept(module(waiting), "remove launch-gaps", graph_launch=0) == item.span_ns - 101 * US


def test_dropped_work_is_gone_with_its_gap() -> None:
    """What follows begins where it began; its launch call is gone, and the code around that stays."""
    item = module(queue(GEMM, NORM, GEMM))
    report = ran(item, "drop norm")[1]
    assert report.span.kept_ns == item.span_ns - 101 * US
    assert [(done.events, done.note) for done in report.edits] == [
        (1, "host code around the launches that are gone is kept")
    ]
    assert kept(item, "drop %4; drop %5") == 100 * US
    late = module([launched(0), kernel(5 * US, US, 0), launched(50 * US), kernel(60 * US, US, 2, name="b"),
                   launched(51 * US), kernel(70 * US, US, 4, name="c")])  # fmt: skip
    before, after = (ran(late, edit)[0] for edit in ("", "drop b"))
    starts = [int(one["what-if.start"][one["id"] == 5][0]) for one in (before, after)]
    assert starts[1] < starts[0], "neither the work nor its launch call holds up what follows"


def test_dropped_host_events_take_no_time_and_wait_for_nothing() -> None:
    """An op with a wait in it; the launch behind it comes as much earlier, and what it launched stays."""
    items = [
        launched(0), kernel(5 * US, 100 * US, 0), Ev("host.op", "aten::item", 10 * US, 100 * US, "cpu"),
        Ev("rt.sync", "cudaStreamSynchronize", 20 * US, 87 * US, "cpu"), launched(200 * US), kernel(210 * US, US, 4),
    ]  # fmt: skip
    item = module(items)
    assert kept(item, "drop aten::item") == item.span_ns - 100 * US
    assert kept(item, "drop cudaStreamSynchronize") == item.span_ns - 87 * US


def test_dropped_gaps_let_work_begin_when_its_stream_is_free() -> None:
    """As if all had been launched in time: only the queue's own lag stays; of some work, only before that."""
    items: list[Ev] = []
    for at in range(4):
        items += [launched(100 * at * US), kernel((100 * at + 5) * US, 10 * US, len(items), name=f"k{at}")]
    item = module(items)
    report = ran(item, "drop gaps")[1]
    assert (report.span.kept_ns, report.edits[0].events) == (40 * US, 3)
    assert report.edits[0].note == "all but the first work of a stream is taken to be launched in time"
    assert kept(item, "drop gaps k1") == item.span_ns, "the host holds up the last one as before"
    assert kept(item, "drop gaps k3") == item.span_ns - 90 * US
    with pytest.raises(tir.UsageError, match="means no device work by 'cudaLaunchKernel' at column 11"):
        ran(item, "drop gaps cudaLaunchKernel")


def test_dropped_gaps_keep_what_waits_on_the_device() -> None:
    """Work that waits for another stream begins no earlier than that allows."""
    items = [
        launched(0), kernel(5 * US, 10 * US, 0), launched(2 * US), kernel(7 * US, 300 * US, 2, "gpu0.s9"),
        launched(4 * US), Ev("dev.kernel", "reader", 308 * US, 10 * US, "gpu0.s7", 4),
    ]  # fmt: skip
    item = module(items)
    assert kept(item, "drop gaps") == item.span_ns


def test_a_factor_that_times_cannot_hold_is_refused() -> None:
    """Rather than to wrap around."""
    item = module(queue(NORM, GEMM))
    with pytest.raises(tir.UsageError, match="longer than 36 years"):
        ran(item, "scale gemm 99999999999999999")


def test_without_a_wait_nothing_can_be_dropped() -> None:
    """It is said, and changes nothing."""
    item = module(queue(NORM, GEMM))
    report = ran(item, "drop sync")[1]
    assert report.span.kept_ns == item.span_ns
    assert [(done.events, done.note) for done in report.edits] == [(0, "no call waits for the device")]


def test_waits_for_other_ranks_are_no_transfer() -> None:
    """Twice the bandwidth leaves a known wait of 40 µs as it is; a faster collective says that it does not."""
    item = waiting(40 * US)
    item = item.with_texts("coll.group", ["tp"], "table:collectives")
    declared = Written(Annotation("coll.group", domain="table:collectives", dtype="str"), None)
    item = attrs.evolve(item, annotations={**item.annotations, "coll.group": declared})
    assert kept(item, "bandwidth tp 2") == item.span_ns - 30 * US
    report = ran(item, "speed all_reduce 2")[1]
    assert report.span.kept_ns == item.span_ns - 50 * US
    assert report.edits[0].note == "40.0 µs of it, which wait for other ranks, are scaled as well"
    assert report.path["comm_wait"] == 20 * US


def test_damage_makes_the_answer_unreliable() -> None:
    """What leaves all gaps in doubt leaves the replay in doubt, in the report and as a finding."""
    damaged = module(queue(NORM, GEMM)).with_health(tir.Finding("sampled", "info", 1, "Filtered.", None, ("gaps",)))
    after, report = ran(damaged, "speed gemm 2")
    assert (report.reliable, report.reason) == (False, "the finding sampled leaves open what waited for what")
    messages = [item.message for item in after.health if item.code == "replay_unreliable"]
    assert messages == ["The finding sampled leaves open what waited for what."]


def test_moved_work_blocks_only_its_reader() -> None:
    """A collective leaves the stream: what follows begins at once, its first reader when it is done."""
    item = module(queue(GEMM, REDUCE, NORM, GEMM, dur=100 * US, gap=US))
    assert kept(item, "move all_reduce before gemm") == item.span_ns - 101 * US
    assert kept(item, "move all_reduce past 1") == item.span_ns - 101 * US
    slow = queue(GEMM, REDUCE, NORM, GEMM)
    slow[5] = kernel(151 * US, 300 * US, 1, name=REDUCE)
    slow[6], slow[7] = kernel(452 * US, 100 * US, 2, name=NORM), kernel(553 * US, 100 * US, 3, name=GEMM)
    assert kept(module(slow), "move all_reduce past 1") == module(slow).span_ns - 100 * US - 2 * US
    unread = ran(item, "move all_reduce past 9")[1]
    assert unread.edits[0].note == "1 have no reader behind them, so nothing waits for these"


def test_split_reductions_leave_half_in_place() -> None:
    """The scatter takes half and stays; the gather runs beside the kernel that does not read it."""
    item = module(queue(GEMM, REDUCE, NORM, GEMM))
    assert kept(item, "split all_reduce past 1") == item.span_ns - 50 * US


def test_fused_chains_have_one_launch_and_no_gaps() -> None:
    """Two gaps of two chains go, and the share of their time that memory traffic took."""
    item = module(queue(NORM, GEMM, NORM, GEMM))
    report = ran(item, "fuse norm gemm saving 25%")[1]
    assert report.span.kept_ns == item.span_ns - 2 * US - 4 * 25 * US
    assert report.edits[0].events == 4


def test_bandwidth_leaves_what_does_not_depend_on_bytes() -> None:
    """Of 100 µs for 1000 B and 190 µs for 10000 B, 90 are fixed: at twice the bandwidth they take 95 and 140."""
    items = [launched(0), launched(2 * US), kernel(50 * US, 100 * US, 0), kernel(151 * US, 190 * US, 1)]
    item = module(items)
    table = {"coll.bytes": np.array([1000, 10000]), "coll.group": np.array([-1, -1], np.int32)}
    item = item.with_table("collectives", table)
    text = [("coll.group", "str", "table:collectives"), ("coll.bytes", "i64", "table:collectives")]
    item = item.with_texts("coll.group", ["tp", "tp"], "table:collectives")
    declared = {
        name: Written(Annotation(name, domain=domain, dtype=dtype), None)  # type: ignore[arg-type]
        for name, dtype, domain in text
    }
    item = attrs.evolve(item, annotations={**item.annotations, **declared})
    kinds = Annotation("coll.kind", dtype="enum", values=("all_reduce",))
    instance = Annotation("coll.instance", dtype="id", unit="table:collectives")
    item = annotate(item, instance, {0: -1, 1: -1, 2: 0, 3: 1})
    item = annotate(item, kinds, {0: -1, 1: -1, 2: 0, 3: 0})
    assert kept(item, "bandwidth tp 2") == item.span_ns - 5 * US - 50 * US
    assert ran(item, "bandwidth all 2")[1].edits[0].note is None


def test_without_an_edit_the_error_is_the_answer() -> None:
    """The page says what the replay of the unchanged trace misses; predicted times are those measured."""
    item = module(queue(NORM, GEMM))
    after, report = ran(item)
    assert report.span.kept_ns == report.span.measured_ns == item.span_ns
    assert report.edits == ()
    assert report.blocks()[0].note == "unchanged replay without the unexplained: 0 % of the span"
    assert after["what-if.start"][after.work].tolist() == after["ts"][after.work].tolist()
    assert after["what-if.end"][after.work].tolist() == after.end[after.work].tolist()


def test_the_error_of_each_time_stands_on_the_page() -> None:
    """Of a queue with one gap of 3 µs more than the shortest: what the replay without it misses, with its sign."""
    items = queue("a", "b", "c", "d")
    items[7] = kernel(items[7].ts + 3 * US, 100 * US, 3, name="d")
    block = ran(module(items))[1].blocks()[0]
    assert block.columns == ("time", "measured", "replayed", "error")
    assert block.rows == (("span", "406.0 µs", "403.0 µs", "-0.74 %"),)


def test_an_answer_above_the_limit_is_unreliable() -> None:
    """With the reason in the report, as a finding, and on the page."""
    items = queue(NORM, GEMM)
    items[3] = kernel(900 * US, 100 * US, 1, name=GEMM)
    after, report = ran(module(items), "speed gemm 2")
    assert not report.reliable
    assert report.reason == "nothing in the trace explains 750.0 µs of the critical path, 78.9 % of the span"
    assert any(item.code == "replay_unreliable" and item.poisons == ("what-if",) for item in after.health)
    assert report.blocks()[0].note.startswith("speed gemm 2; unreliable: nothing")
    assert ran(module(items), "speed gemm 2", max_residual_share=1.0)[1].reliable


def test_steps_are_predicted() -> None:
    """Of a decoder the median step and the distance of steps, as measured and as predicted."""
    manager = tir.PassManager([*tir.PassManager.parse("group").passes, WhatIf(edit="speed gemm 2")])
    report = manager.reports(manager.run(tir.load(EXAMPLE)))["what-if"]
    assert isinstance(report, WhatIfReport)
    assert report.step.measured_ns is not None
    assert report.step.kept_ns is not None
    assert report.pitch.kept_ns is not None
    assert 0.7 * report.step.measured_ns < report.step.kept_ns < report.step.measured_ns
    assert report.pitch.kept_ns >= report.step.kept_ns


@given(modules(trees=False, annotations=False, tables=False))
def test_laws_hold_on_any_module(item: tir.Module) -> None:
    """The paths sum to their spans, which the manager checks; nothing changed is what was measured."""
    after, report = ran(item, "speed host 2; drop sync; remove launch-gaps")
    assert report.span.measured_ns == int(after["what-if.span"][0])
    assert after["ts"].tolist() == item["ts"].tolist()
    _, unchanged = ran(item)
    assert unchanged.span.kept_ns == unchanged.span.measured_ns


@given(
    traced(), st.sampled_from(["speed host 2", "drop sync", "remove launch-gaps", "scale call 0", "scale gpu0.s0 0"])
)
def test_what_only_takes_time_away_brings_nothing_later(item: tir.Module, edit: str) -> None:
    """No event ends later, and without what is unexplained none ends later than with it."""
    if "gpu0.s0" in edit and "gpu0.s0" not in {lane.name for lane in item.lanes}:
        return
    after, report = ran(item, edit, graph_launch=0)
    end, known = after["what-if.end"], after["what-if.end"] != NULL_I64
    if edit != "remove launch-gaps":  # a capture has other gaps between its kernels
        assert (end[known] <= after.end[known]).all()
    assert report.span.kept_ns is not None
    assert report.span.dropped_ns is not None


@given(traced(), st.floats(1, 8))
def test_edits_of_all_work_scale_it(item: tir.Module, factor: float) -> None:
    """Faster work is never slower in sum, and one factor after the other is both."""
    lanes = [lane.name for lane in item.lanes if lane.is_device]
    if not lanes:
        return
    once = "; ".join(f"speed {lane} {factor:.3f}" for lane in lanes)
    span = ran(item, once)[1].span
    assert span.kept_ns is not None
    assert span.measured_ns is not None
    assert ran(item, f"{once}; {once}")[1].span.kept_ns <= span.measured_ns + len(item)  # type: ignore[operator]
