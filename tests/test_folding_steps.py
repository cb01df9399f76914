"""Which steps, and which passes within a step, fold: by their shape, their kernels and their cost."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

import traceir as tir
from traceir import folding

from .build import annotate
from .test_folding import decoder


def passes(steps: int, count: int, prompt: int) -> tir.Module:
    """Steps of `count` passes each through a model: the first, of the prompt, takes `prompt` times as long."""
    item = level(steps * count)
    of = item.tree("steps").at("step")
    dur = item["dur"].copy()
    dur[of % count == 0] *= prompt
    item = item.with_columns({"dur": dur})
    return item.with_tree("steps", [tir.Region("step", f"step.{i}", i) for i in range(steps)], of // count)


def test_like_passes_within_a_step_fold() -> None:
    """An answer of ten tokens within one mark: the layers of the prompt, and those of all tokens as one."""
    item = passes(1, 10, prompt=100)
    [step] = folding.fold(item)
    stacks = [part for part in step.items if isinstance(part, folding.Stack)]
    assert [(stack.layers, stack.instances) for stack in stacks] == [(3, 1), (3, 9)]
    assert [part.label if isinstance(part, folding.Op) else "stack" for part in step.items] == [
        *("embed", "stack", "head", "embed", "stack"),
        *("embed", "head"),
    ]
    assert [part.kernels for part in step.items if isinstance(part, folding.Op)] == [1, 1, 1, 8, 9]
    assert sum(part.total_ns for part in step.items) == step.work_ns
    assert folding.open_instance(item, "stack.4.layer.1", 10).like == 27


def test_few_passes_of_a_step_stay_in_order() -> None:
    """A draft twice before its target is told as it runs; nor do passes of other steps change that."""
    [step] = folding.fold(passes(1, 2, prompt=1))
    assert [part.instances for part in step.items if isinstance(part, folding.Stack)] == [1, 1]
    [step] = folding.fold(passes(3, 2, prompt=1))
    assert [part.instances for part in step.items if isinstance(part, folding.Stack)] == [3, 3]


def scaled(item: tir.Module, factors: Mapping[int, float]) -> tir.Module:
    """The module with the kernels of some steps longer by a factor."""
    dur, step = item["dur"].copy(), item.tree("steps").at("step")
    for number, factor in factors.items():
        dur[step == number] = np.round(dur[step == number] * factor)
    return item.with_columns({"dur": dur})


@pytest.mark.parametrize("factor", [0.3, 3.0, 12.0])
def test_a_slow_or_quick_step_among_many_is_an_outlier(factor: float) -> None:
    """It runs the same kernels: one template of twelve, and the odd one named with what makes it."""
    [step] = folding.fold(scaled(level(12), {5: factor}))
    assert step.count == 12
    [one] = step.outliers
    assert (one.step, one.moved, one.parts) == ("step.5", 5, 5)
    word = "faster" if factor < 1 else "slower"
    assert folding.why(one).startswith(f"all 5 ops and layers {word}, most layer")


def test_many_slow_steps_are_steps_of_their_own() -> None:
    """A median over eight short and four long ones would describe neither."""
    item = scaled(level(12), dict.fromkeys((1, 4, 7, 10), 3.0))
    assert [(step.name, step.count) for step in folding.fold(item)] == [("step.0", 8), ("step.1", 4)]


def test_a_slow_step_of_other_kernels_is_another_step() -> None:
    """Of one shape, but its gemms are another kernel: it does something else."""
    item = scaled(level(12), {5: 3.0})
    other = (item.tree("steps").at("step") == 5) & (item["name"] == item.strings.code("gemm_kernel"))
    symbol = tir.Annotation("infer.symbol", dtype="str", shown="symbol", doc="The kernel.")
    folded = folding.fold(annotate(item, symbol, dict.fromkeys(item["id"][other].tolist(), "large_gemm")))
    assert [(step.name, step.count) for step in folded] == [("step.0", 11), ("step.5", 1)]


def test_one_quick_step_does_not_part_the_others() -> None:
    """Costs of 0.6, 1.0 and 1.25: the last two are alike, wherever the first lies."""
    item = scaled(level(12), {0: 0.6, **dict.fromkeys(range(6, 12), 1.25)})
    [step] = folding.fold(item)
    assert (step.count, [one.step for one in step.outliers]) == (12, [])


def level(steps: int) -> tir.Module:
    """Like steps of three layers, each kernel 100 times as long, whose times depend on the layer alone."""
    item = decoder(steps)
    dur, step = item["dur"] * 100, item.tree("steps").at("step")
    dur[item["name"] == item.strings.code("gemm_kernel")] -= (
        1000 * step[item["name"] == item.strings.code("gemm_kernel")]
    )
    return item.with_columns({"dur": dur})
