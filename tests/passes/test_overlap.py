"""Overlap against a count of nanoseconds, its laws, and the traps that other tools fall into."""

from __future__ import annotations

from typing import Any, Literal

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.build import Ev, annotate, module
from traceir.ir import Annotation, Region, Written
from traceir.passing import to_json
from traceir_passes.overlap import Overlap, OverlapReport

CLASSES = ("compute", "comm", "fused", "memory")
ROLES = {"compute": "gemm", "comm": "all-reduce", "fused": "comm-fused", "memory": "memcpy"}
KINDS = ("all_reduce", "all_gather", "unknown")


@attrs.frozen
class Work:
    """One row of device work for tests: its class, and the step and layer that own it (-1 none)."""

    cls: str
    start: int
    dur: int
    lane: str = "gpu0.s7"
    step: int = -1
    layer: int = -1
    role: str | None = None


def traced(works: list[Work], trees: bool = True) -> tir.Module:
    """A module of these rows, as `infer`, `collectives` and `group` would leave it; ids are positions."""
    kinds = {"memory": "dev.memcpy"}
    item = module([Ev(kinds.get(work.cls, "dev.kernel"), work.cls, work.start, work.dur, work.lane) for work in works])
    ids = range(len(works))
    roles = {i: works[i].role or ROLES[works[i].cls] for i in ids}
    item = annotate(item, Annotation("infer.role", dtype="str"), roles)
    item = annotate_enum(item, Annotation("infer.class", dtype="enum", values=CLASSES), {i: works[i].cls for i in ids})
    comm = {i: "all_reduce" for i in ids if works[i].cls == "comm"}
    item = annotate_enum(item, Annotation("coll.kind", dtype="enum", values=KINDS), comm)
    if not trees:
        return item
    rows = [works[id] for id in item["id"].tolist()]
    steps = [Region("step", f"step.{i}", i) for i in range(3)]
    item = item.with_tree("steps", steps, [work.step for work in rows])
    layers = [Region("stack", "stack.0", 0), *(Region("layer", f"layer.{i}", i, 0) for i in range(3))]
    return item.with_tree("layers", layers, [work.layer + 1 if work.layer >= 0 else -1 for work in rows])


def annotate_enum(item: tir.Module, annotation: Annotation, values: dict[int, str]) -> tir.Module:
    """An enum column given by event id; events that are not named are null."""
    codes = {id: annotation.values.index(value) for id, value in values.items()}
    column = np.array([codes.get(id, -1) for id in item["id"].tolist()], np.int16)
    written = {**item.annotations, annotation.name: Written(annotation, None)}
    return attrs.evolve(item.with_columns({annotation.name: column}), annotations=written)


def ran(item: tir.Module, **options: Any) -> tuple[tir.Module, OverlapReport]:
    """The module after `overlap`, whose laws have to hold, and its report."""
    done = tir.PassManager((Overlap(**options),)).run(item)
    assert Overlap(**options).check(done) == []
    return done, Overlap(**options).report(done)


# --- an independent count ------------------------------------------------------------------------------------

LANES = ("gpu0.s1", "gpu0.s2", "gpu1.s1")
WORKS = st.lists(
    st.builds(
        Work,
        st.sampled_from(CLASSES),
        st.integers(0, 40),
        st.integers(0, 12),
        st.sampled_from(LANES),
        st.integers(-1, 2),
        st.integers(-1, 2),
    ),
    max_size=14,
)


def count(own: list[Work], device: list[Work]) -> dict[str, int]:
    """The account of some of a device's rows, counted nanosecond by nanosecond."""

    def ticks(works: list[Work], *classes: str) -> set[int]:
        return {
            t for work in works if not classes or work.cls in classes for t in range(work.start, work.start + work.dur)
        }

    low, high = min(work.start for work in own), max(work.start + work.dur for work in own)
    comm, busy, work = ticks(own, "comm"), ticks(own), ticks(device)
    return {
        "span_ns": high - low,
        "busy_ns": len(busy),
        "compute_ns": len(ticks(own, "compute")),
        "comm_ns": len(comm),
        "memory_ns": len(ticks(own, "memory")),
        "fused_ns": len(ticks(own, "fused")),
        "overlap_ns": len(comm & ticks(device, "compute")),
        "exposed_ns": len(comm - ticks(device, "compute")),
        "exposed_any_ns": len(comm - ticks(device, "compute", "memory", "fused")),
        "idle_ns": len(set(range(low, high)) - work),
        "foreign_ns": len((set(range(low, high)) & work) - busy),
        "events": len(own),
    }


@given(WORKS)
def test_accounts_are_those_counted_by_the_nanosecond(works: list[Work]) -> None:
    """Every figure of every device, step, layer and rest is the number of nanoseconds for which its words hold."""
    _, report = ran(traced(works))
    for number in (0, 1):
        device = [work for work in works if work.lane.startswith(f"gpu{number}")]
        expected: list[tuple[str, int | None, list[Work]]] = [("device", None, device)] if device else []
        for scope in ("step", "layer"):
            owned = [(i, [work for work in device if getattr(work, scope) == i]) for i in (0, 1, 2, -1)]
            some = any(own for i, own in owned if i >= 0)
            expected += [(scope, None if i < 0 else i, own) for i, own in owned if own and some]
        found: list[tuple[str, int | None, Any]] = [("device", None, row) for row in report.devices]
        found += [("step", row.index, row) for row in report.steps]
        found += [("layer", row.index, row) for row in report.layers]
        mine = [(scope, index, row) for scope, index, row in found if row.device == number]
        assert [(scope, index) for scope, index, _ in mine] == [(scope, index) for scope, index, _ in expected]
        for (_, _, row), (_, _, own) in zip(mine, expected, strict=True):
            counted = count(own, device)
            assert {key: getattr(row, key) for key in counted} == counted
            assert row.overlap_ratio == (counted["overlap_ns"] / counted["comm_ns"] if counted["comm_ns"] else None)


@given(WORKS, st.sampled_from(["compute", "any"]))
def test_exposed_part_of_each_event_is_counted(works: list[Work], versus: Literal["compute", "any"]) -> None:
    """`overlap.exposed` is each communication event's own nanoseconds without hiding work, and null elsewhere."""
    done, _ = ran(traced(works), versus=versus)
    hiding = ("compute",) if versus == "compute" else ("compute", "memory", "fused")
    for event in done.select():
        work = works[event.id]
        busy = {
            t
            for other in works
            if other.cls in hiding and other.lane[:4] == work.lane[:4]
            for t in range(other.start, other.start + other.dur)
        }
        alone = sum(t not in busy for t in range(work.start, work.start + work.dur))
        assert event["overlap.exposed"] == (alone if work.cls == "comm" else None)


def figures(report: OverlapReport) -> list[dict[str, Any]]:
    """The accounts without what a shift of all times or another number of events may change."""
    rows = [attrs.asdict(row) for row in (*report.devices, *report.steps, *report.layers)]
    return [{k: v for k, v in row.items() if k not in ("start_ns", "end_ns", "events")} for row in rows]


@given(WORKS, st.randoms(use_true_random=False), st.integers(0, 10**15))
def test_order_and_origin_do_not_matter(works: list[Work], random: Any, shift: int) -> None:
    """Neither the order of events in the source nor a shift of all times changes a figure."""
    expected = figures(ran(traced(works))[1])
    mixed = random.sample(works, len(works))
    assert figures(ran(traced(mixed))[1]) == expected
    assert figures(ran(traced([attrs.evolve(work, start=work.start + shift) for work in works]))[1]) == expected


@given(WORKS, st.integers(0, 12))
def test_cutting_events_in_two_changes_nothing(works: list[Work], cut: int) -> None:
    """Two touching events in place of one give the same figures, but for their number."""
    parts = [
        attrs.evolve(work, start=work.start + at, dur=length)
        for work in works
        for at, length in ((0, min(cut, work.dur)), (min(cut, work.dur), work.dur - min(cut, work.dur)))
    ]
    assert figures(ran(traced(parts))[1]) == figures(ran(traced(works))[1])


# --- classes and options -------------------------------------------------------------------------------------


def test_fused_kernels_are_neither_unless_asked() -> None:
    """A fused kernel hides nothing and is not exposed; as compute it hides, as communication it is exposed."""
    item = traced([Work("comm", 0, 10), Work("fused", 4, 10, "gpu0.s9")])
    third, compute, comm = (ran(item, fused=how)[1].devices[0] for how in ("third", "compute", "comm"))
    assert (third.fused_ns, third.comm_ns, third.exposed_ns, third.exposed_any_ns) == (10, 10, 10, 4)
    assert (compute.fused_ns, compute.compute_ns, compute.exposed_ns) == (0, 10, 4)
    assert (comm.fused_ns, comm.comm_ns, comm.exposed_ns) == (0, 14, 14)


def test_no_communication_gives_no_ratio() -> None:
    """Without communication the ratio is null, not 0 and not NaN, and the head line says that there is none."""
    _, report = ran(traced([Work("compute", 0, 10)]))
    assert report.devices[0].overlap_ratio is None
    assert report.devices[0].same_stream is None
    facts = {fact.label: fact.value for fact in report.headline()}
    assert facts == {"span": 10, "busy": 10, "communication": "none", "idle": 0}


def test_module_without_device_work_has_no_rows() -> None:
    """No device work gives an empty report and no error."""
    _, report = ran(traced([]))
    assert report == OverlapReport((), (), (), (), ())
    assert report.headline() == []


def test_waits_and_ranges_are_not_work() -> None:
    """Event waits and projected ranges on a stream hide nothing and fill no idle time."""
    item = traced([Work("comm", 0, 10), Work("compute", 20, 5, "gpu0.s9")])
    events = [Ev("event.wait", "Stream Wait Event", 0, 20, "gpu0.s9"), Ev("dev.range", "range", 0, 30, "gpu0.s9")]
    both = module([Ev("dev.kernel", "comm", 0, 10), Ev("dev.kernel", "compute", 20, 5, "gpu0.s9"), *events])
    both = annotate(both, Annotation("infer.role", dtype="str"), {0: "all-reduce", 1: "gemm"})
    both = annotate_enum(both, Annotation("infer.class", dtype="enum", values=CLASSES), {0: "comm", 1: "compute"})
    both = annotate_enum(both, Annotation("coll.kind", dtype="enum", values=KINDS), {0: "all_reduce"})
    assert ran(both)[1].devices == ran(item)[1].devices


def test_memset_is_memory_and_never_compute() -> None:
    """A memset that nobody classified is memory: it hides no communication."""
    item = module([Ev("dev.kernel", "comm", 0, 10), Ev("dev.memset", "Memset (Device)", 2, 4, "gpu0.s9")])
    item = annotate(item, Annotation("infer.role", dtype="str"), {0: "all-reduce"})
    item = annotate_enum(item, Annotation("infer.class", dtype="enum", values=CLASSES), {0: "comm"})
    item = annotate_enum(item, Annotation("coll.kind", dtype="enum", values=KINDS), {0: "all_reduce"})
    device = ran(item)[1].devices[0]
    assert (device.compute_ns, device.memory_ns, device.exposed_ns, device.exposed_any_ns) == (0, 4, 10, 6)


def test_collectives_know_communication_that_names_do_not_tell() -> None:
    """An event that `collectives` gives a kind communicates, whatever class its name suggests."""
    item = traced([Work("compute", 0, 10), Work("compute", 4, 10, "gpu0.s9")])
    item = annotate_enum(item, Annotation("coll.kind", dtype="enum", values=KINDS), {1: "all_gather"})
    device = ran(item)[1].devices[0]
    assert (device.compute_ns, device.comm_ns, device.overlap_ns) == (10, 10, 6)


def test_each_event_is_of_one_class() -> None:
    """A copy that communicates is no memory any more; a fused kernel stays fused though it has a kind."""
    item = traced([Work("memory", 0, 10), Work("fused", 20, 10), Work("compute", 40, 10)])
    item = annotate_enum(item, Annotation("coll.kind", dtype="enum", values=KINDS), {0: "all_gather", 1: "all_reduce"})
    device = ran(item)[1].devices[0]
    assert (device.comm_ns, device.memory_ns, device.fused_ns, device.compute_ns) == (10, 0, 10, 10)


def test_removed_events_do_not_count() -> None:
    """A row that a pass has removed is not work."""
    item = traced([Work("comm", 0, 10), Work("compute", 0, 10, "gpu0.s9")])
    gone = item.with_columns({"live": item["id"] == 0})
    assert ran(gone)[1].devices[0].exposed_ns == 10


def test_concurrent_collectives_each_have_their_own_exposed_time() -> None:
    """Two exposed collectives at the same time are exposed 10 ns each; their union is 10, and so is the total."""
    done, report = ran(traced([Work("comm", 0, 10), Work("comm", 0, 10, "gpu0.s9")]))
    assert done["overlap.exposed"].tolist() == [10, 10]
    assert report.devices[0].exposed_ns == 10
    assert [(item.count, item.time_ns, item.union_ns) for item in report.communication] == [(2, 20, 10)]


def test_who_hid_it_is_the_role_beside_it_for_longest() -> None:
    """The hider of a collective is the role of compute that ran longest beside it; without any it is null."""
    works = [Work("comm", 0, 20), Work("compute", 0, 5, "gpu0.s8", role="norm"), Work("comm", 50, 5)]
    works.append(Work("compute", 8, 9, "gpu0.s9", role="attention"))
    done, report = ran(traced(works))
    hidden = {event.id: event["overlap.hidden_by"] for event in done.select()}
    assert hidden == {0: "attention", 1: None, 2: None, 3: None}
    assert {item.role: item.beside_ns for item in report.hidden_by} == {"attention": 9, "norm": 5}


@pytest.mark.parametrize(("lane", "same"), [("gpu0.s7", True), ("gpu0.s9", False)])
def test_one_stream_is_said_to_be_one(lane: str, same: bool) -> None:
    """Overlap of 0 on one stream is marked as such, so that nobody reads it as bad overlap."""
    _, report = ran(traced([Work("comm", 0, 10), Work("compute", 10, 10, lane)]))
    assert report.devices[0].same_stream is same
    assert any("same stream" in fact.note for fact in report.headline()) is same


def test_two_streams_that_both_do_both_are_not_one() -> None:
    """Communication on two streams that also compute could hide, so it is not said to be on one stream."""
    works = [Work(cls, at, 5, lane) for at, lane in ((0, "gpu0.s7"), (20, "gpu0.s9")) for cls in ("comm", "compute")]
    assert ran(traced(works))[1].devices[0].same_stream is False


@pytest.mark.parametrize(("unknown", "flags"), [(5, ()), (6, ("unknown_roles",))])
def test_unknown_roles_make_the_split_unreliable(unknown: int, flags: tuple[str, ...]) -> None:
    """Above 5 % of busy time of unknown role the account is flagged and a finding poisons the split."""
    works = [Work("comm", 0, 10), Work("compute", 10, 90 - unknown), Work("compute", 200, unknown, role="unknown")]
    done, report = ran(traced(works))
    assert report.devices[0].unknown_ns == unknown
    assert report.devices[0].unreliable == flags
    assert tuple(finding.code for finding in done.health) == flags


def test_work_of_no_step_is_a_row_of_its_own() -> None:
    """Steps and the rest together have all events; without any step there are no rows at all."""
    works = [Work("comm", 0, 10, step=0), Work("compute", 20, 10), Work("compute", 40, 10, step=2)]
    steps = ran(traced(works))[1].steps
    assert [(row.index, row.label, row.events) for row in steps] == [
        (0, "step.0", 1),
        (2, "step.2", 1),
        (None, None, 1),
    ]
    assert ran(traced([attrs.evolve(work, step=-1) for work in works]))[1].steps == ()
    assert ran(traced(works, trees=False))[1].steps == ()


def test_compute_of_another_step_hides_communication() -> None:
    """A step's communication is hidden by any step's compute, and that time is foreign to its span."""
    works = [Work("comm", 0, 10, step=0), Work("compute", 2, 4, "gpu0.s9", step=1), Work("comm", 20, 5, step=0)]
    first = ran(traced(works))[1].steps[0]
    assert (first.overlap_ns, first.exposed_ns, first.compute_ns) == (4, 11, 0)
    assert (first.span_ns, first.busy_ns, first.foreign_ns, first.idle_ns) == (25, 15, 0, 10)


def test_layers_name_their_step_if_they_have_one() -> None:
    """A layer whose events all belong to one step names it; one over two steps names none."""
    works = [
        Work("compute", 0, 5, step=0, layer=0),
        Work("compute", 5, 5, step=1, layer=1),
        Work("compute", 10, 5, step=0, layer=2),
        Work("compute", 15, 5, step=1, layer=2),
    ]
    layers = ran(traced(works))[1].layers
    assert [(row.index, row.stack, row.step) for row in layers] == [(0, 0, 0), (1, 0, 1), (2, 0, None)]


def test_report_has_the_keys_of_the_contract() -> None:
    """The JSON objects of devices, steps and layers have the agreed keys, and a device without a number is null."""
    item = traced([Work("comm", 0, 10, step=0, layer=1), Work("compute", 4, 9, "gpu0.s9", step=0, layer=1)])
    lanes = tuple(attrs.evolve(lane, device=None) for lane in item.lanes)
    data = to_json(ran(attrs.evolve(item, lanes=lanes))[1])
    keys = "device span_ns busy_ns compute_ns comm_ns memory_ns fused_ns overlap_ns exposed_ns exposed_any_ns idle_ns"
    wanted = {*keys.split(), "overlap_ratio", "unknown_ns", "foreign_ns"}
    assert all(wanted <= set(data[scope][0]) for scope in ("devices", "steps", "layers"))
    assert (data["devices"][0]["device"], data["devices"][0]["overlap_ns"]) == (None, 6)


def test_many_devices_show_the_extremes() -> None:
    """With more than two devices the head lines are those of the least and the most exposed one."""
    works = [Work("comm", 0, 5 * (n + 1), f"gpu{n}.s1") for n in range(4)] + [
        Work("compute", 40, 10, f"gpu{n}.s1") for n in range(4)
    ]
    labels = [fact.label for fact in ran(traced(works))[1].headline() if fact.label.startswith("exposed")]
    assert labels == ["exposed gpu0", "exposed gpu3"]


def test_options_parse_from_text() -> None:
    """The options can be written in a pipeline, and a value that is none of them is refused."""
    assert Overlap.from_text({"versus": "any", "fused": "comm", "unknown_warn": "10%"}) == Overlap("any", "comm", 0.1)
    with pytest.raises(tir.UsageError, match=r"third \| compute \| comm"):
        Overlap.from_text({"fused": "both"})
