"""Templates: alignment by edit distance, kinds of layers, outliers and their causes; figures worked out by hand."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.build import Ev, annotate, module
from traceir import folding
from traceir.folding import templates
from traceir.folding.align import align
from traceir.folding.bodies import Bodies
from traceir.folding.outliers import far

DENSE = (("norm", 10), ("gemm", 30), ("attention", 40), ("gemm", 20), ("norm", 10), ("act", 8), ("gemm", 50))
MOE = (
    ("norm", 10), ("gemm", 30), ("attention", 40), ("gemm", 20), ("norm", 10), ("moe-route", 5), ("moe-gemm", 90),
    ("act", 8), ("moe-gemm", 60),
)  # fmt: skip
Layer = Sequence[tuple[str, int]]


@attrs.frozen
class Op:
    """One event of a layer: its role, duration, kernel, lane, and the pause before it."""

    role: str
    dur: int
    name: str = ""
    lane: str = "gpu0.s7"
    pause: int = 1


def ops(layer: Layer) -> list[Op]:
    """The ops of a layer given as roles and durations."""
    return [Op(role, dur) for role, dur in layer]


def stacked(steps: Sequence[Sequence[Sequence[Op]]]) -> tir.Module:
    """Steps of one stack each: layers of ops, labelled by their role and place among those of their role."""
    events: list[Ev] = []
    roles, labels, place, now = {}, {}, [], 0
    for step, layers in enumerate(steps):
        for layer, body in enumerate(layers):
            seen: dict[str, int] = {}
            for op in body:
                now += op.pause
                seen[op.role] = seen.get(op.role, -1) + 1
                roles[len(events)], labels[len(events)] = op.role, f"{op.role}_{seen[op.role]}"
                place.append((step, layer))
                events.append(Ev("dev.kernel", op.name or f"{op.role}_kernel", now, op.dur, op.lane))
                now += op.dur
    item = annotate(module(events), tir.Annotation("infer.role", dtype="str", shown="role"), roles)
    item = annotate(item, tir.Annotation("group.label", dtype="str", shown="label"), labels)
    item = item.with_tree(
        "steps", [tir.Region("step", f"step.{i}", i) for i in range(len(steps))], [step for step, _ in place]
    )
    regions = [tir.Region("stack", f"stack.{i}", i) for i in range(len(steps))]
    where = {}
    for step, layers in enumerate(steps):
        for layer in range(len(layers)):
            where[step, layer] = len(regions)
            regions.append(tir.Region("layer", f"stack.{step}.layer.{layer}", layer, parent=step))
    return item.with_tree("layers", regions, [where[at] for at in place])


def stack_of(item: tir.Module) -> folding.Stack:
    """The only stack of the only folded step."""
    [step] = folding.fold(item)
    [stack] = step.items
    assert isinstance(stack, folding.Stack)
    return stack


tokens = st.lists(st.integers(0, 3), max_size=9)


@given(tokens, st.lists(tokens, min_size=1, max_size=4))
def test_alignment_is_the_longest_common_subsequence(leader: list[int], bodies: list[list[int]]) -> None:
    """Against the textbook's recursion: the distance, and as many equal tokens in each other's place, in order."""

    @lru_cache(None)
    def common(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return 0
        if leader[i - 1] == body[j - 1]:
            return common(i - 1, j - 1) + 1
        return max(common(i - 1, j), common(i, j - 1))

    matrix = np.full((len(bodies), max(map(len, bodies))), -1)
    for number, body in enumerate(bodies):
        matrix[number, : len(body)] = body
    found = align(np.array(leader, np.int64), matrix, np.array([len(body) for body in bodies]))
    for number, body in enumerate(bodies):
        common.cache_clear()
        places = found.place[number, : len(body)].tolist()
        matched = [place for place in places if place >= 0]
        assert len(matched) == common(len(leader), len(body))
        assert found.distance[number] == len(leader) + len(body) - 2 * len(matched)
        assert matched == sorted(set(matched))
        assert all(leader[place] == token for place, token in zip(places, body, strict=True) if place >= 0)


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=4), min_size=1, max_size=12))
def test_equal_bodies_are_one(bodies: list[list[int]]) -> None:
    """Instances have one body exactly if their tokens are equal, and the most frequent body is the first."""
    instance = np.repeat(np.arange(len(bodies)), [len(body) for body in bodies])
    token = np.array([token for body in bodies for token in body])
    found = Bodies.of(instance, token, np.zeros(len(token), np.int64))
    for i, left in enumerate(bodies):
        for j, right in enumerate(bodies):
            assert (left == right) == (found.body[i] == found.body[j])
    assert found.count.tolist() == sorted(found.count.tolist(), reverse=True)
    assert found.count.sum() == len(bodies)


def test_a_missing_op_does_not_shift_the_others() -> None:
    """Layer 1 lacks its first norm: the op has 3 of 4 instances, and each of the others keeps its own median."""
    layers = [ops(DENSE), ops(DENSE[1:]), ops(DENSE), ops(DENSE)]
    stack = stack_of(stacked([layers]))
    [template] = stack.templates
    assert [(op.roles, op.present, op.median_ns) for op in template.ops] == [
        (("norm",), 3, 10),
        (("gemm",), 4, 30),
        (("attention",), 4, 40),
        (("gemm",), 4, 20),
        (("norm",), 4, 10),
        (("act",), 4, 8),
        (("gemm",), 4, 50),
    ]


def test_an_op_that_only_one_layer_has_is_an_op_of_its_own() -> None:
    """A copy in layer 2 stands between the others, in 1 of 4 layers."""
    more = [*ops(DENSE[:3]), Op("copy", 7), *ops(DENSE[3:])]
    stack = stack_of(stacked([[ops(DENSE), ops(DENSE), more, ops(DENSE)]]))
    [template] = stack.templates
    assert [(op.label, op.present, op.total_ns) for op in template.ops if op.present < 4] == [("copy_0", 1, 7)]


@pytest.mark.parametrize("kinds", [[0, 1] * 6, [0, 0, 0] + [1] * 9, [0] + [1] * 11], ids=["alternate", "three", "one"])
def test_dense_and_moe_layers_are_two_templates(kinds: list[int]) -> None:
    """Alternating, or dense ones first: each kind has its own statistics, and what tells them apart is spelled out."""
    stack = stack_of(stacked([[ops((DENSE, MOE)[kind]) for kind in kinds]] * 2))
    dense, moe = stack.templates
    assert (dense.count, moe.count) == (2 * kinds.count(0), 2 * kinds.count(1))
    assert dense.numbers == tuple(i for i, kind in enumerate(kinds) if kind == 0)
    assert (dense.median_ns, moe.median_ns) == (168, 273)
    assert [op.label for op in stack.ops] == ["norm_0", "gemm_0", "attention_0", "gemm_1", "norm_1", "act_0"]
    assert {item.label: item.median_ns for item in stack.differences} == {
        "gemm_2": (50, None),
        "moe-route_0": (None, 5),
        "moe-gemm_0": (None, 90),
        "moe-gemm_1": (None, 60),
    }
    own = sum(item.ops[place].total_ns for item in stack.templates for place in item.own)
    assert own + sum(op.total_ns for op in stack.ops) == stack.total_ns


def test_linear_and_full_attention_are_two_templates() -> None:
    """Three layers of linear attention to one of full attention."""
    linear = [("linear-attention", 25) if op == ("attention", 40) else op for op in DENSE]
    stack = stack_of(stacked([[ops(DENSE if i % 4 == 3 else linear) for i in range(12)]]))
    assert [(item.count, item.numbers[-1]) for item in stack.templates] == [(9, 10), (3, 11)]
    assert {item.label for item in stack.differences} == {"linear-attention_0", "attention_0"}


@pytest.mark.parametrize("named", [True, False], ids=["by its kernel", "by its time"])
def test_sliding_and_full_attention_are_two_templates(named: bool) -> None:
    """They have one role: the kernel tells them apart, or (one kernel does both) that one takes twice the time."""

    def layer(number: int) -> list[Op]:
        full = number % 2 == 1
        took = (44 if full else 40) if named else (85 + number if full else 40 + number % 3)
        name = ("flash_full" if full else "flash_sliding") if named else "flash"
        return [Op(role, took, name) if role == "attention" else Op(role, dur) for role, dur in DENSE]

    stack = stack_of(stacked([[layer(number) for number in range(8)]]))
    assert [item.numbers for item in stack.templates] == [(0, 2, 4, 6), (1, 3, 5, 7)]
    assert [item.label for item in stack.differences] == ["attention_0"]


@pytest.mark.parametrize("slow", [[3], [3, 5], [2, 3, 5]])
def test_slow_attention_in_some_layers_is_no_other_template(slow: list[int]) -> None:
    """One slow layer is an outlier; times all over the place make no two kinds either."""
    layers = [
        [Op(r, 40 * (2 + slow.index(i)) if i in slow else d) if r == "attention" else Op(r, d) for r, d in DENSE]
        for i in range(8)
    ]
    assert len(stack_of(stacked([layers])).templates) == 1


def test_a_lost_attention_is_damage_and_no_other_kind() -> None:
    """One layer of twenty lacks its attention kernel: one template, attention in 19 of 20."""
    lost = [op for op in ops(DENSE) if op.role != "attention"]
    [template] = stack_of(stacked([[lost if i == 7 else ops(DENSE) for i in range(20)]])).templates
    assert {op.label: op.present for op in template.ops}["attention_0"] == 19


LONG = ("norm", "gemm", "rope", "kv-store", "attention", "gemm", "norm", "quant", "gemm", "act", "copy", "reduce")
LONG_MOE = (*LONG[:7], "gemm", "moe-route", "moe-gemm", "act", "moe-gemm", "moe-combine")


def damaged(kinds: Sequence[int], share: float, seed: int, steps: int = 1) -> list[list[list[Op]]]:
    """Steps of dense (0) and MoE (1) layers of which each event is lost with a probability of `share`."""
    chance = random.Random(seed)
    whole = [[Op(role, 10 + k, f"{role}_{k}") for k, role in enumerate(kind)] for kind in (LONG, LONG_MOE)]
    return [[[op for op in whole[kind] if chance.random() >= share] for kind in kinds] for _ in range(steps)]


@pytest.mark.parametrize("share", [0.03, 0.1, 0.2])
@pytest.mark.parametrize("seed", range(3))
def test_layers_that_lost_events_are_one_template(share: float, seed: int) -> None:
    """None of them need be whole: the template is, and says in how many each op is left."""
    [layers] = steps = damaged([0] * 60, share, seed)
    first, *few = sorted(stack_of(stacked(steps)).templates, key=lambda item: -item.count)
    assert sum(item.count for item in few) <= 3
    left = Counter(op.name for layer in layers for op in layer)
    usual = {op.symbols[0]: op.present for op in first.ops if 2 * op.present > first.count}
    assert [name.rpartition("_")[0] for name in usual] == list(LONG), "in order, though each lacks others"
    assert set(usual) == set(left)
    assert all(0.85 * left[name] - 3 <= present <= left[name] + 2 for name, present in usual.items())


@pytest.mark.parametrize("share", [0.0, 0.03, 0.1, 0.2])
@pytest.mark.parametrize("kinds", [[0, 1] * 20, [0] * 3 + [1] * 40], ids=["alternate", "three"])
def test_kinds_of_layers_stay_apart_whatever_is_lost(kinds: Sequence[int], share: float) -> None:
    """Dense layers are no MoE layers that lost their experts, and each layer is with its kind."""
    stack = stack_of(stacked(damaged(kinds, share, 1)))
    large = [item for item in stack.templates if item.count > 2]
    assert sum(item.count for item in large) >= 0.9 * len(kinds)
    for item in large:
        assert len({kinds[number] for number in item.numbers}) == 1
    assert len(large) == 2


def test_attention_that_one_step_lost_is_not_quick() -> None:
    """Layers 2 and 5 lack their attention in one of two steps: that is no other kind, of half the time."""
    lost = [op for op in ops(DENSE) if op.role != "attention"]
    steps = [[lost if (step, layer) in ((0, 2), (1, 5)) else ops(DENSE) for layer in range(20)] for step in (0, 1)]
    [template] = stack_of(stacked(steps)).templates
    assert (template.count, {op.label: op.present for op in template.ops}["attention_0"]) == (40, 38)


def test_bodies_are_aligned_alike_in_parts_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many distinct bodies are held a few at a time: the ops are those of all at once."""
    item = stacked(damaged([0, 1] * 15, 0.1, 2))
    whole = stack_of(item)
    monkeypatch.setattr(templates, "_CELLS", 40)
    parts = stack_of(item)
    assert [one.ops for one in parts.templates] == [one.ops for one in whole.templates]


def test_the_order_between_lanes_is_chance() -> None:
    """An all-reduce on a lane of its own stands before or after the next norm; both are one body."""
    comm = Op("all-reduce", 12, lane="gpu0.s20")
    early, late = [*ops(DENSE[:4]), comm, *ops(DENSE[4:])], [*ops(DENSE[:5]), comm, *ops(DENSE[5:])]
    [template] = stack_of(stacked([[early, late] * 3])).templates
    assert {op.present for op in template.ops} == {6}


def test_the_outlier_is_named_with_the_op_that_makes_it() -> None:
    """Nine layers of 168 ns and one whose first gemm takes 210 ns in place of 30."""
    slow = [Op("gemm", 210) if (op.role, op.dur) == ("gemm", 30) else op for op in ops(DENSE)]
    stack = stack_of(stacked([[slow if i == 6 else ops(DENSE) for i in range(10)]]))
    [one] = stack.outliers
    assert (one.layer, one.time_ns, one.delta_ns, one.measure, one.cause) == (6, 348, 180, "work", "op")
    assert (one.label, one.cause_ns, folding.why(one)) == ("gemm_0", 210, "gemm_0 ×7.0")
    assert stack.slowest is not None
    assert attrs.evolve(stack.slowest, instance=-1) == attrs.evolve(one, instance=-1)


def test_a_pause_in_a_layer_makes_an_outlier_of_its_extent() -> None:
    """Layer 4 works as long as the others, and waits 900 ns before its attention."""
    waits = [attrs.evolve(op, pause=900) if op.role == "attention" else op for op in ops(DENSE)]
    [one] = stack_of(stacked([[waits if i == 4 else ops(DENSE) for i in range(10)]])).outliers
    assert (one.layer, one.measure, one.cause, one.cause_ns, one.label) == (4, "span", "gap", 900, "attention_0")
    assert folding.why(one) == "gap of 900 ns before attention_0"


def test_pauses_of_which_none_makes_half_of_it_are_told_as_several() -> None:
    """Layer 4 waits 300 ns before each of its seven ops: of 1.8 µs no single gap is the reason."""
    waits = [attrs.evolve(op, pause=300) for op in ops(DENSE)]
    [one] = stack_of(stacked([[waits if i == 4 else ops(DENSE) for i in range(10)]])).outliers
    assert (one.layer, one.delta_ns, one.cause_ns) == (4, 6 * 299, 300)
    assert folding.why(one) == "gaps, the longest of 300 ns before gemm_0"


@pytest.mark.parametrize(("factor", "word"), [(1.5, "slower"), (0.5, "faster")])
def test_a_layer_that_is_slow_throughout_is_told_as_such(factor: float, word: str) -> None:
    """No op makes half of the difference: 25 ns of a gemm in 84 ns in all."""
    odd = [attrs.evolve(op, dur=int(op.dur * factor)) for op in ops(DENSE)]
    [one] = stack_of(stacked([[odd if i == 4 else ops(DENSE) for i in range(10)]])).outliers
    assert (one.moved, one.parts, one.cause_ns) == (7, 7, int(50 * factor))
    assert folding.why(one) == f"all 7 ops {word}, most gemm_2 ×{factor:.1f}"


def test_noise_makes_no_outlier() -> None:
    """Layers that vary by 3 % around one value: none lies five deviations away."""
    rng = np.random.default_rng(1)
    layers = [[Op(role, int(1000 * dur * rng.normal(1, 0.03))) for role, dur in DENSE] for _ in range(64)]
    assert stack_of(stacked([layers])).outliers == ()


@given(st.lists(st.integers(0, 10**6), max_size=40), st.integers(1, 1000))
def test_the_criterion_does_not_depend_on_units(values: list[int], factor: int) -> None:
    """The same values in finer units: the same are outlying (but for deviations below one unit)."""
    fine = np.array(values, np.int64) * 1000
    assert (far(fine) == far(fine * factor)).all()
    assert far(fine).sum() <= len(values) / 2, "a majority is no outlier"


def test_outlying_steps_are_named_with_their_layer_op_or_gap() -> None:
    """Of twelve steps one has a slow op in layer 2, one waits before layer 1, and the others are alike."""
    usual = [ops(DENSE)] * 4
    slow = [*usual[:2], [Op("gemm", 200) if (op.role, op.dur) == ("gemm", 30) else op for op in ops(DENSE)], usual[3]]
    waits = [usual[0], [attrs.evolve(usual[1][0], pause=500), *usual[1][1:]], *usual[2:]]
    steps = [slow if i == 3 else waits if i == 8 else usual for i in range(12)]
    [step] = folding.fold(stacked(steps))
    assert step.count == 12
    found = {one.step: one for one in step.outliers}
    assert set(found) == {"step.3", "step.8"}
    assert (found["step.3"].cause, found["step.3"].at, found["step.3"].label) == ("layer", 2, "gemm_0")
    assert found["step.3"].delta_ns == 170
    assert (found["step.8"].cause, found["step.8"].at, found["step.8"].cause_ns) == ("gap", 1, 500)
    assert folding.why(found["step.8"]) == "gap of 500 ns before norm_0 in layer 1"


def test_extents_of_host_and_device_are_medians_per_layer() -> None:
    """Launches of 5 ns, 10 ns apart, one for each op: 65 ns on the host; one call for two layers is none's alone."""
    events, layer = [], []
    for number in range(3):
        for place, (role, dur) in enumerate(DENSE):
            at = 1000 * number + 10 * place
            events.append(Ev("rt.launch", "launch", at, 5, "cpu.main"))
            events.append(Ev("dev.kernel", role, 10_000 + 1000 * number + 100 * place, dur, launch=len(events) - 1))
            layer += [-1, number + 1]
    item = module(events)
    rows = {int(id): row for row, id in enumerate(item["id"])}
    leaf = np.full(len(events), -1)
    for id, region in enumerate(layer):
        leaf[rows[id]] = region
    regions = [tir.Region("stack", "stack.0", 0), *(tir.Region("layer", f"layer.{i}", i, parent=0) for i in range(3))]
    item = item.with_tree("layers", regions, leaf)
    [step] = folding.fold(item.with_tree("steps", [], np.full(len(events), -1)))
    [stack] = step.items
    assert isinstance(stack, folding.Stack)
    [template] = stack.templates
    assert (template.host_ns, template.span_ns, template.busy_ns) == (65, 650, 168)


@pytest.mark.slow
def test_the_cost_grows_with_the_number_of_stacks() -> None:
    """Passes that no mark parts, each with losses of its own: CPU time of 250 and of 1000 of them."""
    costs = []
    for count in (250, 1000):
        item = stacked(damaged([0] * 4, 0.05, 1, count))
        times = []
        for each in (item, item.with_tree("steps", [], np.full(len(item), -1))):
            clock = time.process_time()
            folded = folding.fold(each)
            times.append(time.process_time() - clock)
            assert sum(step.count for step in folded) in (1, count)
        costs.append(max(times))
    assert costs[1] <= 6 * max(costs[0], 0.05), costs


def test_an_opened_layer_stands_beside_its_own_kind() -> None:
    """A MoE layer is compared with the MoE layers: one of four, of 273 ns, and not of eight."""
    item = stacked([[ops((DENSE, MOE)[kind]) for kind in [0, 1] * 4]])
    opened = folding.open_instance(item, "layer.3", 100)
    assert (opened.like, opened.work_ns, opened.like_work_ns) == (4, 273, 273)
