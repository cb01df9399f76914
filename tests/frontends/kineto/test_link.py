"""Launch edges where correlation alone does not tell, and begin and end rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.frontends.kineto import reference
from tests.frontends.kineto.documents import Event, call, kernel, load_events
from traceir_frontends.kineto.pairs import match


def edges(module: tir.Module) -> set[tuple[int, int]]:
    """Launch edges as ids."""
    return reference.module_launches(module)


def test_nested_calls_of_one_correlation_are_one_launch(tmp_path: Path) -> None:
    """Of a runtime call and the driver call inside it the outer one is the launch, if both hold the correlation."""
    events = [call("cuLaunchKernelEx", 2, 3, 5), call("cudaLaunchKernelExC", 1, 5, 5), kernel("k", 10, 1, 5)]
    module = load_events(tmp_path, events)
    assert edges(module) == {(1, 2)}
    assert "ambiguous_launch" not in reference.codes(module)


def test_a_launching_call_goes_before_another(tmp_path: Path) -> None:
    """A call that launches nothing is no launch while one that does has the correlation."""
    events = [call("cudaStreamIsCapturing", 1, 9, 5), call("cudaLaunchKernel", 2, 3, 5), kernel("k", 10, 1, 5)]
    assert edges(load_events(tmp_path, events)) == {(1, 2)}


def test_the_external_id_tells_equal_correlations_apart(tmp_path: Path) -> None:
    """Two processes' calls with one correlation are joined by External id, whatever the order."""
    events = [
        call("cudaLaunchKernel", 1, 2, 5, tid=7, **{"External id": 70}),
        call("cudaLaunchKernel", 2, 2, 5, tid=8, **{"External id": 80}),
        kernel("a", 10, 1, 5, **{"External id": 80}),
        kernel("b", 20, 1, 5, stream=21, **{"External id": 70}),
    ]
    module = load_events(tmp_path, events)
    assert edges(module) == {(1, 2), (0, 3)}
    assert reference.codes(module)["ambiguous_launch"] == 1


@pytest.mark.parametrize(("tid", "expected"), [(7, {(0, 2), (1, 3)}), (8, set())])
def test_order_tells_them_apart_on_one_thread_and_stream_only(
    tid: int, expected: set[tuple[int, int]], tmp_path: Path
) -> None:
    """A stream runs in order of launch; launches of two threads have no order, so they get no edge."""
    events = [
        call("cudaLaunchKernel", 1, 2, 5),
        call("cudaLaunchKernel", 4, 2, 5, tid=tid),
        kernel("a", 10, 1, 5),
        kernel("b", 20, 1, 5),
    ]
    module = load_events(tmp_path, events)
    assert edges(module) == expected
    (finding,) = (finding for finding in module.health if finding.code == "ambiguous_launch")
    assert finding.poisons == (() if expected else ("gaps",))


def test_a_single_launch_does_not_start_two_kernels(tmp_path: Path) -> None:
    """A second kernel with a plain launch's correlation goes to the launch of its External id, and is reported."""
    events = [
        call("hipLaunchKernel", 1, 2, 5, **{"External id": 1}),
        call("hipLaunchKernel", 4, 2, 6, **{"External id": 2}),
        kernel("a", 10, 1, 5, **{"External id": 1}),
        kernel("b", 20, 1, 5, **{"External id": 2}),
    ]
    module = load_events(tmp_path, events)
    assert edges(module) == {(0, 2), (1, 3)}
    assert reference.codes(module)["ambiguous_launch"] == 1


def test_external_id_joins_work_without_correlation(tmp_path: Path) -> None:
    """Work that has no correlation at all is joined to the one call of its External id."""
    work = kernel("a", 10, 1, None, **{"External id": 9})
    module = load_events(tmp_path, [call("cudaLaunchKernel", 1, 2, 5, **{"External id": 9}), work])
    assert edges(module) == {(0, 1)}


def test_a_flow_joins_the_events_that_enclose_its_ends(tmp_path: Path) -> None:
    """A flow's ends belong to the innermost event that starts there, else to the innermost that encloses them."""
    step: Event = {"ph": "X", "cat": "cpu_op", "pid": 7, "tid": 7}
    flow: Event = {"cat": "mine", "name": "x", "id": "a1", "pid": 7, "tid": 7}
    events = [
        {**step, "name": "outer", "ts": 0, "dur": 50},
        {**step, "name": "inner", "ts": 0, "dur": 20},
        {**step, "name": "later", "ts": 30, "dur": 10},
        {**flow, "ph": "s", "ts": 0},
        {**flow, "ph": "t", "ts": 25},
        {**flow, "ph": "f", "ts": 33},
    ]
    module = load_events(tmp_path, events)
    src, dst = module.edges("flow")
    assert set(zip(module["id"][src].tolist(), module["id"][dst].tolist(), strict=True)) == {(1, 0), (0, 2)}


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=40))
def test_begins_and_ends_match_like_brackets(steps: list[tuple[int, bool]]) -> None:
    """Matching equals a stack per group, strays and unclosed ones too."""
    stacks: dict[int, list[int]] = {}
    pairs, stray = set(), []
    for at, (group, opens) in enumerate(steps):
        stack = stacks.setdefault(group, [])
        if opens:
            stack.append(at)
        elif stack:
            pairs.add((stack.pop(), at))
        else:
            stray.append(at)
    groups = np.array([group for group, _ in steps], np.int64)
    found = match(groups, np.arange(len(steps)), np.array([opens for _, opens in steps], bool))
    assert set(zip(found.begin.tolist(), found.end.tolist(), strict=True)) == pairs
    assert found.stray.tolist() == stray
    assert found.open.tolist() == sorted(at for stack in stacks.values() for at in stack)
