"""Modules whose truth is known: the IR says of them what they were made to be."""

from __future__ import annotations

import numpy as np
from hypothesis import given

from traceir.ir import Ints, Spans
from traceir.testing import DeviceStreams, assert_sound, device_streams, times


@given(device_streams())
def test_the_truth_is_that_of_the_module(drawn: DeviceStreams) -> None:
    """Launches, gaps and layers, each found another way."""
    module = drawn.module
    assert_sound(module)
    ids = module["id"]
    kernels = module.kernels
    assert {int(ids[row]): int(ids[module.launch[row]]) for row in kernels.rows} == drawn.launch
    assert set(drawn.layer) == set(ids[kernels.rows].tolist())
    bodies = [
        [kernel.name for kernel in sorted(kernels, key=lambda k: k.id) if drawn.layer[kernel.id] == number]
        for number in range(drawn.layers)
    ]
    assert len({tuple(body) for body in bodies}) == 1
    for lane in module.lanes:
        if lane.is_device:
            work = module.select(lane=lane.name)
            busy = Spans.of(work["ts"], work["ts"] + work["dur"])
            gaps = tuple(zip(busy.ends[:-1].tolist(), busy.starts[1:].tolist(), strict=True))
            assert gaps == drawn.gaps[lane.name]


@given(device_streams(min_layers=3, max_layers=3, graph=True))
def test_one_graph_launch_starts_all(drawn: DeviceStreams) -> None:
    assert drawn.layers == 3
    assert [event.kind for event in drawn.module.select(kind="rt")] == ["rt.graph_launch"]


@given(times(), times(overlap=False))
def test_times_ascend_and_overlap_only_if_asked(any_times: tuple[Ints, Ints], apart: tuple[Ints, Ints]) -> None:
    for starts, durations in (any_times, apart):
        assert starts.dtype == durations.dtype == np.int64
        assert (np.diff(starts) >= 0).all()
        assert (durations >= 0).all()
    starts, durations = apart
    assert Spans.of(starts, starts + durations).length == durations.sum()
