"""Folding: like steps and layers as one template with statistics, checked against sums done by hand."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import numpy as np
import pytest

import traceir as tir
from traceir import folding
from traceir.ir import Written

from .build import Ev, annotate, module

LABEL = tir.Annotation("group.label", dtype="str", shown="label", doc="The label.")
EXPOSED = tir.Annotation("overlap.exposed", dtype="i64", unit="ns", shown="sum", doc="Exposed.")
BODY = ("norm", "gemm", "all_reduce")


def decoder(steps: int = 2, layers: int = 3, pauses: Mapping[tuple[int, int], int] | None = None) -> tir.Module:
    """Steps of an embedding, layers of norm, gemm and all-reduce, and a head; times depend on all of it.

    Between any two kernels the device idles for 1 ns, and for `pauses[step, layer]` more before a layer.
    """
    events: list[Ev] = []
    labels: dict[int, str] = {}
    exposed: dict[int, int] = {}
    place: list[tuple[int, int]] = []
    now = 0
    for step in range(steps):
        for layer in range(-1, layers + 1):
            now += (pauses or {}).get((step, layer), 0)
            for op in ["embed"] if layer < 0 else ["head"] if layer == layers else BODY:
                duration = 10 + layer + 10 * step if op == "gemm" else 5
                labels[len(events)] = op
                if op == "all_reduce":
                    exposed[len(events)] = 2
                place.append((step, layer if 0 <= layer < layers else -1))
                events.append(Ev("dev.kernel", f"{op}_kernel", now, duration))
                now += duration + 1
    item = annotate(module(events), LABEL, labels)
    item = annotate(item, EXPOSED, exposed)
    item = item.with_tree("steps", [tir.Region("step", f"step.{i}", i) for i in range(steps)], [s for s, _ in place])
    regions = [tir.Region("stack", f"stack.{i}", i) for i in range(steps)]
    leaf = np.full(len(events), -1)
    for step in range(steps):
        for layer in range(layers):
            leaf[[p == (step, layer) for p in place]] = len(regions)
            regions.append(tir.Region("layer", f"stack.{step}.layer.{layer}", layer, parent=step))
    return item.with_tree("layers", regions, leaf)


def test_like_steps_and_layers_fold_to_one_template() -> None:
    """Two like steps of three like layers are one step with one stack; every figure is a sum done by hand."""
    [step] = folding.fold(decoder())
    assert (step.count, step.name, step.kernels) == (2, "step.0", 11)
    embed, stack, head = step.items
    assert isinstance(embed, folding.Op)
    assert isinstance(stack, folding.Stack)
    assert isinstance(head, folding.Op)
    assert (embed.label, head.label, stack.layers, stack.instances) == ("embed", "head", 3, 2)
    gemm = next(op for op in stack.ops if op.label == "gemm")
    durations = [10 + layer + 10 * s for s in range(2) for layer in range(3)]
    assert gemm.total_ns == sum(durations)
    assert gemm.median_ns == int(np.median(durations))
    assert (gemm.present, gemm.instances, gemm.kernels, gemm.symbols) == (6, 6, 1, ("gemm_kernel",))
    assert step.work_ns == 2 * (5 + 5 + 3 * 10) + sum(durations)
    assert [op.label for op in stack.ops] == list(BODY)


def test_the_shares_of_a_step_close() -> None:
    """The items' totals sum to the step's work: nothing is counted twice or left out."""
    [step] = folding.fold(decoder())
    assert sum(item.total_ns for item in step.items) == step.work_ns
    for item in step.items:
        if isinstance(item, folding.Stack):
            assert sum(op.total_ns for op in item.ops) == item.total_ns


def test_exposed_time_is_summed_where_it_is_known() -> None:
    """Ops without communication have no exposed time, rather than zero."""
    [step] = folding.fold(decoder())
    stack = step.items[1]
    assert isinstance(stack, folding.Stack)
    assert [op.exposed_ns for op in stack.ops] == [None, None, 12]
    assert (stack.exposed_ns, step.exposed_ns) == (12, 12)


def test_the_slowest_layer_is_named_with_the_op_that_makes_it_slow() -> None:
    """The outlier is the layer with most time, and the op furthest above its own median there."""
    [step] = folding.fold(decoder())
    stack = step.items[1]
    assert isinstance(stack, folding.Stack)
    assert stack.slowest is not None
    assert (stack.slowest.step, stack.slowest.layer, stack.slowest.label) == ("step.1", 2, "gemm")
    assert stack.slowest.time_ns == 22 + 5 + 5


def test_steps_of_other_shape_stay_apart() -> None:
    """A step with other layers does not fold with the rest."""
    item = decoder(steps=3)
    leaf = item["tree.layers"].copy()
    tree = item.tree("layers")
    gone = [region for region in range(len(tree)) if tree.region_name(region) == "stack.2.layer.2"]
    leaf[leaf == gone[0]] = -1
    item = item.with_columns({"tree.layers": leaf})
    assert [(step.name, step.count) for step in folding.fold(item)] == [("step.0", 2), ("step.2", 1)]


def test_steps_of_other_cost_stay_apart() -> None:
    """Prefill and decode may run the same layers; a median over both would describe neither."""
    item = decoder(steps=3)
    dur = item["dur"].copy()
    dur[item.tree("steps").at("step") == 1] *= 12
    folded = folding.fold(item.with_columns({"dur": dur}))
    assert [(step.name, step.count) for step in folded] == [("step.0", 2), ("step.1", 1)]


def test_without_passes_a_module_folds_by_name() -> None:
    """A module that no pass has seen is one step of its kernels' names."""
    events = [Ev("dev.kernel", "a", 0, 10), Ev("dev.kernel", "b", 20, 30), Ev("dev.kernel", "a", 60, 10)]
    [step] = folding.fold(module(events))
    assert step.name is None
    assert [(item.label, item.total_ns) for item in step.items if isinstance(item, folding.Op)] == [
        ("a", 20),
        ("b", 30),
    ]
    assert (step.span_ns, step.idle_ns) == (70, 20)


def test_the_exposed_time_of_an_instance_is_a_median_like_its_time() -> None:
    """Per layer 2 ns are exposed; the sum over layers is a figure of its own."""
    [step] = folding.fold(decoder())
    stack = step.items[1]
    assert isinstance(stack, folding.Stack)
    assert (stack.exposed_median_ns, step.exposed_median_ns) == (2, 6)
    assert [op.exposed_median_ns for op in stack.ops] == [None, None, 2]


def test_spread_is_told_by_percentile_and_maximum() -> None:
    """The layers' times are known by hand, and so are the slowest and the 90th percentile."""
    [step] = folding.fold(decoder())
    stack = step.items[1]
    assert isinstance(stack, folding.Stack)
    times = [20 + layer + 10 * s for s in range(2) for layer in range(3)]
    assert (stack.median_ns, stack.max_ns) == (int(np.median(times)), max(times))
    assert stack.p90_ns == int(np.percentile(times, 90))


def judged(item: tir.Module) -> tir.Module:
    """The module after the pass gaps."""
    return tir.PassManager.parse("gaps").run(item)


def test_gaps_of_folded_steps_are_told_with_their_place() -> None:
    """Ten gaps of 1 ns lie within a step of eleven kernels, one of them is 50 ns longer, before layer 2 of step.1."""
    [step] = folding.fold(judged(decoder(pauses={(1, 2): 50})))
    assert step.gaps is not None
    assert (step.gaps.count, step.gaps.total_ns, step.gaps.median_ns) == (20, 70, 35)
    [cause] = step.gaps.causes
    assert (cause.name, cause.total_ns, cause.present) == ("unknown_no_launch", 70, 2)
    place = cause.longest
    assert (place.label, place.layer, place.border, place.step, place.total_ns) == ("norm", 2, True, "step.1", 51)
    # Of three layers a step the first op's gaps: 6, of which one is 51 ns.
    assert (cause.common.label, cause.common.border, cause.common.times, cause.common.total_ns) == ("norm", True, 6, 56)


def test_gaps_make_the_idle_time_of_a_step() -> None:
    """On one device the gaps within a step's extent are its idle time, however the steps fold."""
    for pauses in ({}, {(0, 0): 7}, {(1, 2): 50, (2, -1): 100}):
        for step in folding.fold(judged(decoder(steps=3, pauses=pauses))):
            assert step.gaps is not None
            assert step.gaps.median_ns == step.idle_ns
            assert sum(cause.total_ns for cause in step.gaps.causes) == step.gaps.total_ns


def test_gaps_of_several_devices_are_summed() -> None:
    """Each device of a step has gaps of its own, even where the other one works."""
    events = [
        Ev("dev.kernel", "a", 0, 10, "gpu0.s7"),
        Ev("dev.kernel", "b", 0, 40, "gpu1.s7"),
        Ev("dev.kernel", "a", 25, 35, "gpu0.s7"),
        Ev("dev.kernel", "b", 50, 10, "gpu1.s7"),
    ]
    [step] = folding.fold(judged(module(events)))
    assert step.gaps is not None
    assert (step.gaps.devices, step.gaps.count, step.gaps.total_ns, step.idle_ns) == (2, 2, 25, 0)
    opened = folding.open_instance(judged(module(events)), "a", 10)
    assert [(gap.start_ns, gap.dur_ns, gap.device) for gap in opened.idle] == [(10, 15, 0)]
    assert (opened.foreign, opened.lead) == (0, None), "the other device's work is not beside it"


def test_without_the_pass_gaps_are_unknown_rather_than_none() -> None:
    """Nothing is said of causes that nobody judged."""
    [step] = folding.fold(decoder())
    assert step.gaps is None


def declare(item: tir.Module, name: str, values: list[float]) -> tir.Module:
    """The module with a number for each region of the tree `layers`, as a pass would write it."""
    column = tir.Annotation(name, "region:layers", "f64", doc="A number.")
    item = item.with_columns({name: np.array(values)}, "region:layers")
    return attrs.evolve(item, annotations={**item.annotations, name: Written(column, None)})


def test_a_column_of_another_pass_does_not_replace_that_of_group() -> None:
    """`mine.confidence` beside `group.confidence` is another column, in whatever order they were written."""
    item = decoder()
    count = len(item.tree("layers"))
    for names in (("mine.confidence", "group.confidence"), ("group.confidence", "mine.confidence")):
        both = item
        for name in names:
            both = declare(both, name, [0.9 if name.startswith("group") else 0.1] * count)
        [step] = folding.fold(both)
        stack = step.items[1]
        assert isinstance(stack, folding.Stack)
        assert stack.confidence == 0.9
    [step] = folding.fold(declare(item, "mine.confidence", [0.1] * count))
    stack = step.items[1]
    assert isinstance(stack, folding.Stack)
    assert stack.confidence == 0.1, "a pass of its own may take the place of group"


ROLE = tir.Annotation("infer.role", dtype="str", shown="role", doc="The role.")


def test_roles_in_place_of_labels_are_spelt_like_labels() -> None:
    """Kinds of collectives are spelt `send_recv` as labels, and so is the role where there is no label."""
    events = [Ev("dev.kernel", "a", 0, 10), Ev("dev.kernel", "b", 20, 30), Ev("dev.memcpy", "c", 60, 5)]
    item = annotate(module(events), ROLE, {0: "send-recv", 1: "unknown", 2: "memcpy"})
    [step] = folding.fold(item)
    assert [op.label for op in step.items if isinstance(op, folding.Op)] == ["send_recv", "unknown", "memcpy"]
    assert step.unknown_ns == 30
    [step] = folding.fold(module(events))
    assert step.unknown_ns is None, "no pass has told roles"


def test_roles_sum_to_the_device_work() -> None:
    """What has no known role is one row, kernels and copies are apart, and nothing is lost."""
    events = [Ev("dev.kernel", f"k{i % 3}", 20 * i, 10 + i) for i in range(6)] + [Ev("dev.memcpy", "c", 200, 7)]
    item = annotate(module(events), ROLE, {0: "gemm", 1: "unknown", 3: "gemm", 6: "memcpy"})
    roles = folding.fold_roles(item)
    assert roles is not None
    assert (roles.kernel_ns, roles.work_ns, roles.told) == (75, 82, True)
    assert {row.role: (row.count, row.total_ns, row.max_ns) for row in roles.kernels} == {
        "gemm": (2, 23, 13),
        None: (4, 52, 15),
    }
    assert [(row.role, row.total_ns) for row in roles.copies] == [("memcpy", 7)]
    unknown = next(row for row in roles.kernels if row.role is None)
    assert [(symbol.name, symbol.time_ns) for symbol in unknown.symbols] == [("k2", 27), ("k1", 25)]
    assert folding.fold_roles(module([Ev("host.op", "x", 0, 1, "cpu.main")])) is None


def test_lanes_are_told_by_busy_time_with_their_density() -> None:
    """Two streams and a host thread over a window of 100 ns in ten parts; figures by hand."""
    events = [
        Ev("rt.launch", "launch", -10, 15, "cpu.main"),
        Ev("dev.kernel", "a", 0, 30, "gpu0.s7"),
        Ev("dev.memcpy", "copy", 20, 20, "gpu0.s20"),
        Ev("rt.sync", "wait", 50, 80, "cpu.main"),
        Ev("dev.kernel", "b", 90, 10, "gpu0.s7"),
    ]
    lanes = folding.fold_lanes(module(events), 10)
    assert lanes is not None
    assert (lanes.low_ns, lanes.high_ns, lanes.more_hosts) == (0, 100, 0)
    main, side, host = lanes.lanes
    assert (main.name, main.busy_ns, main.gap_ns, main.kernels) == ("gpu0.s7", 40, 60, 2)
    assert main.density == (10, 10, 10, 0, 0, 0, 0, 0, 0, 10)
    assert (side.name, side.busy_ns, side.events, side.kernels, side.causes) == ("gpu0.s20", 20, 1, 0, None)
    assert (host.name, host.busy_ns, host.gap_ns) == ("cpu.main", 55, None), "clipped to the window"
    assert [(op.label, op.time_ns) for op in host.ops] == [("wait", 80), ("launch", 15)]
    for lane in lanes.lanes:
        assert sum(lane.density) == lane.busy_ns


def test_gaps_of_a_lane_are_told_by_cause() -> None:
    """Busy time and causes make the lane's own extent."""
    lanes = folding.fold_lanes(judged(decoder(pauses={(0, 1): 9})), 16)
    assert lanes is not None
    [lane] = lanes.lanes
    assert lane.causes == (("unknown_no_launch", 30),)
    assert lane.gap_ns == 30
    assert lane.busy_ns + 30 == lanes.span_ns


def test_an_instance_is_opened_beside_the_median_of_its_like() -> None:
    """Layer 2 of step.1 takes 32 ns, the median of the six layers 26; the gemm alone makes the difference."""
    opened = folding.open_instance(judged(decoder(pauses={(1, 2): 50})), "step.1.layer.2", 100)
    assert (opened.name, opened.step, opened.fits, opened.like) == ("stack.1.layer.2", "step.1", 1, 6)
    assert (opened.work_ns, opened.like_work_ns, opened.span_ns, opened.foreign) == (32, 26, 34, 0)
    assert [
        (event.label, event.start_ns, event.dur_ns, event.like_ns, event.exposed_ns) for event in opened.events
    ] == [
        ("norm", 0, 5, 5, None),
        ("gemm", 6, 22, 16, None),
        ("all_reduce", 29, 5, 5, 2),
    ]
    assert [(gap.start_ns, gap.dur_ns, gap.cause) for gap in opened.idle] == [
        (5, 1, "unknown_no_launch"),
        (28, 1, "unknown_no_launch"),
    ]
    assert opened.lead is not None
    assert opened.lead.dur_ns == 51


@pytest.mark.parametrize(
    ("name", "found", "events", "fits"),
    [
        ("layer.1", "stack.0.layer.1", 3, 2),
        ("stack.1.layer.1", "stack.1.layer.1", 3, 1),
        ("step.1", "step.1", 11, 1),
        ("stack.1", "stack.1", 9, 1),
        ("gemm", "stack.0.layer.0.gemm", 1, 6),
        ("layer.2.gemm", "stack.0.layer.2.gemm", 1, 1),
        ("step.1.gemm", "stack.1.layer.0.gemm", 1, 3),
        ("head", "step.0.head", 1, 2),
    ],
)
def test_a_name_opens_the_first_that_it_fits(name: str, found: str, events: int, fits: int) -> None:
    """Regions by full name or the end of it, labels, and one within the other."""
    opened = folding.open_instance(decoder(), name, 100)
    assert (opened.name, len(opened.events), opened.fits) == (found, events, fits)


def test_of_a_large_instance_the_first_events_are_listed() -> None:
    """What is left out is counted, and no gap beyond the last event listed is told."""
    opened = folding.open_instance(decoder(), "step.0", 4)
    assert (len(opened.events), opened.left_out) == (4, 7)
    assert [gap.start_ns for gap in opened.idle] == [5, 11, 22]


@pytest.mark.parametrize(
    ("name", "near"), [("layr.1", "layer.1"), ("gem", "gemm"), ("stack.7.layer.1", "stack.1.layer.1")]
)
def test_a_name_that_fits_nothing_is_refused_with_the_nearest(name: str, near: str) -> None:
    """The sentence names what was meant, most likely."""
    with pytest.raises(tir.UsageError, match=rf"no step, layer or op named '{name}'.*nearest names? (is|are) .*{near}"):
        folding.open_instance(decoder(), name, 100)
    with pytest.raises(tir.UsageError, match="the pass group looks for them"):
        folding.open_instance(module([Ev("dev.kernel", "a", 0, 10)]), "layer.1", 100)


def test_dead_events_are_not_folded() -> None:
    """Removed rows count nowhere."""
    item = decoder()
    live = item.live.copy()
    live[np.flatnonzero(item.is_in("group.label", {"gemm"}))] = False
    [step] = folding.fold(item.with_columns({"live": live}))
    assert step.work_ns == 2 * (5 + 5 + 3 * 10)
