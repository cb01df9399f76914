"""Folding: like steps and layers as one template with statistics, checked against sums done by hand."""

from __future__ import annotations

import numpy as np

import traceir as tir
from traceir import folding

from .build import Ev, annotate, module

LABEL = tir.Annotation("group.label", dtype="str", shown="label", doc="The label.")
EXPOSED = tir.Annotation("overlap.exposed", dtype="i64", unit="ns", shown="sum", doc="Exposed.")
BODY = ("norm", "gemm", "all_reduce")


def decoder(steps: int = 2, layers: int = 3) -> tir.Module:
    """Steps of an embedding, layers of norm, gemm and all-reduce, and a head; times depend on all of it."""
    events: list[Ev] = []
    labels: dict[int, str] = {}
    exposed: dict[int, int] = {}
    place: list[tuple[int, int]] = []
    now = 0
    for step in range(steps):
        for layer in range(-1, layers + 1):
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


def test_dead_events_are_not_folded() -> None:
    """Removed rows count nowhere."""
    item = decoder()
    live = item.live.copy()
    live[np.flatnonzero(item.is_in("group.label", {"gemm"}))] = False
    [step] = folding.fold(item.with_columns({"live": live}))
    assert step.work_ns == 2 * (5 + 5 + 3 * 10)
