"""Every kind of model, whole and with kernels lost: how many kernels get a wrong layer."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import traceir as tir
from tests.passes.group.architectures import MODELS, cut, lossy, wrong_owners
from tests.passes.group.synthetic import grouped
from tests.passes.group.test_group_traces import members, run, without
from traceir_passes.group import Group

Load = Callable[[str], tir.Module]
SEEDS = 6
MOST = {0.01: 0.01, 0.03: 0.05}
"""Of kernels in layers the share that may be in a wrong one on average, by the share of all kernels that is lost."""


@pytest.mark.parametrize("name", MODELS)
def test_whole_traces_have_no_wrong_owner(name: str) -> None:
    """Not one kernel, and the stacks are sure."""
    module = grouped(MODELS[name].module())
    assert wrong_owners(MODELS[name], module) == 0
    assert min(stack.confidence for stack in Group().report(module).stacks) >= 0.9


@pytest.mark.parametrize("share", MOST)
@pytest.mark.parametrize("name", MODELS)
def test_lost_kernels_misplace_few_others(name: str, share: float) -> None:
    """Or the answer says that it is not sure: what is below even odds is not reported at all."""
    shares = []
    for seed in range(SEEDS):
        model = lossy(MODELS[name], share, seed)
        shares.append(wrong_owners(model, grouped(model.module())))
    assert statistics.mean(shares) <= MOST[share], shares


@pytest.mark.parametrize("name", sorted(MODELS.keys() - {"few layers"}))
def test_windows_may_cut_anywhere(name: str) -> None:
    """Whole layers keep their kernels, wherever the window begins and ends.

    Where a pass has four layers, a cut leaves fewer than make a stack.
    """
    shares = []
    for seed in range(SEEDS):
        window, whole = cut(MODELS[name], seed)
        shares.append(wrong_owners(window, grouped(window.module()), whole))
    assert statistics.mean(shares) <= 0.015, shares


@pytest.mark.parametrize("name", MODELS)
def test_a_tenth_lost_is_no_sure_answer(name: str) -> None:
    """Where many kernels are misplaced the confidence is not that of a whole trace."""
    whole = Group().report(grouped(MODELS[name].module()))
    sure = min(stack.confidence for stack in whole.stacks)
    for seed in range(3):
        model = lossy(MODELS[name], 0.1, seed)
        module = grouped(model.module())
        stacks = Group().report(module).stacks
        if wrong_owners(model, module) > 0.1:
            assert min((stack.confidence for stack in stacks), default=0.0) < sure


@pytest.mark.parametrize("name", ["sgl_dec", "sgl_pd", "vllm_pw", "b200", "qwen_h100"])
def test_lost_kernels_of_real_traces_misplace_few_others(load_shared: Load, name: str) -> None:
    """One in a hundred lost: against the layers of the whole trace, kernel by kernel, by the device alone."""
    module = load_shared(name)
    lane = int(np.bincount(module["lane"][module.work]).argmax())
    known, _ = run(module)
    truth = members(known, lane)
    shares = []
    for seed in range(4):
        lost = module.work & (np.random.default_rng(seed).random(len(module)) < 0.01)
        poor, _ = run(without(module, lost), "group{by=device}")
        shares.append(_wrong(members(poor, lane), truth, set(poor["id"][poor.work].tolist())))
    assert statistics.mean(shares) <= 0.01, shares


def _wrong(mine: dict[int, Any], truth: dict[int, Any], left: set[int]) -> float:
    """The share of kernels whose layer is another one; stacks and layers are counted as they are found."""
    here = {id: place for id, place in truth.items() if id in left}
    wrong: int = sum(mine.get(id) != place for id, place in here.items()) + len(mine.keys() - here)
    return float(wrong) / len(here)
