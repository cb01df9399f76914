"""Small runs of a model whose truth is known: layers of kernels on streams, the calls that launched them, the gaps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs
import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from traceir.ir import Ints, Lane, Module, ModuleBuilder, Strings

KERNELS: Final = ("rms_norm", "gemm_qkv", "rotary_embedding", "flash_fwd", "gemm_o", "silu_and_mul", "gemm_down")
"""Names for the kernels of a layer, all different."""


@attrs.frozen(eq=False)
class DeviceStreams:
    """A module and what is true of it, told by how it was made and not by any pass.

    `layer` gives each kernel's id its layer (-1: before or after the layers), `launch` the id of the call that launched
    it. `gaps` are the half-open intervals of ns between one kernel and the next, by lane name, in order.
    """

    module: Module
    layers: int
    layer: dict[int, int]
    launch: dict[int, int]
    gaps: dict[str, tuple[tuple[int, int], ...]]


@st.composite
def times(draw: DrawFn, max_size: int = 12, *, overlap: bool = True) -> tuple[Ints, Ints]:
    """Starts, ascending, and durations of intervals in ns, as two int64 arrays of one length.

    Equal starts, durations of 0 and intervals that touch come often; with `overlap` false none begins inside another.
    """
    length = st.one_of(st.integers(0, 4), st.integers(0, 10**6))
    drawn = draw(st.lists(st.tuples(length, length), max_size=max_size))
    gap, dur = np.array(drawn, np.int64).reshape(-1, 2).T
    step = gap if overlap else gap + np.append(np.int64(0), dur)[: len(dur)]
    return np.cumsum(step), dur.copy()


@st.composite
def device_streams(
    draw: DrawFn, *, min_layers: int = 1, max_layers: int = 6, max_streams: int = 2, graph: bool | None = None
) -> DeviceStreams:
    """A forward pass: a kernel before, like layers, a kernel after; kernels go to the streams as in a fixed pattern.

    Kernels of one stream do not overlap. Each has a call of its own on one host thread, or, with `graph`, all have one
    graph launch (None: either). Every launch begins before its kernel.
    """
    one_call = draw(st.booleans()) if graph is None else graph
    body = draw(st.lists(st.tuples(st.sampled_from(KERNELS), st.integers(0, max_streams - 1)), min_size=1, max_size=5))
    layers = draw(st.integers(min_layers, max_layers))
    names = ["embedding", *[name for name, _ in body] * layers, "lm_head"]
    lane = [0, *[stream for _, stream in body] * layers, 0]
    layer = [-1, *[number for number in range(layers) for _ in body], -1]
    work = draw(st.lists(_WORK, min_size=len(names), max_size=len(names)))
    calls = [0] * len(names) if one_call else list(range(len(names)))
    return _run(names, lane, layer, work, calls, max_streams)


_WORK: Final[SearchStrategy[tuple[int, int]]] = st.tuples(
    st.one_of(st.just(0), st.integers(1, 5_000)), st.integers(1, 50_000)
)
"""The gap before a kernel on its stream, and its duration, in ns."""


def _run(
    names: Sequence[str],
    lane: Sequence[int],
    layer: Sequence[int],
    work: Sequence[tuple[int, int]],
    calls: Sequence[int],
    streams: int,
) -> DeviceStreams:
    """The module of some kernels in order, whose calls come first in the source, and its truth."""
    count = max(calls) + 1
    lanes = [*(Lane(f"gpu0.s{k}", "dev.stream", 0, k) for k in range(streams)), Lane("cpu.main", "host.thread")]
    begin = 10 * count
    free = [begin] * streams
    gaps: dict[str, list[tuple[int, int]]] = {item.name: [] for item in lanes if item.is_device}
    starts = []
    for stream, (gap, dur) in zip(lane, work, strict=True):
        start = free[stream] + gap
        if gap and free[stream] > begin:
            gaps[lanes[stream].name].append((free[stream], start))
        starts.append(start)
        free[stream] = start + dur
    strings, codes = Strings().encode([*["cudaGraphLaunch" if count == 1 else "cudaLaunchKernel"] * count, *names])
    total = count + len(names)
    module = ModuleBuilder(
        name="made up",
        strings=strings,
        lanes=lanes,
        kinds=("rt.graph_launch" if count == 1 else "rt.launch", "dev.kernel"),
        id=np.arange(total),
        kind=np.repeat([0, 1], [count, len(names)]),
        name_code=codes,
        ts=np.array([*range(0, begin, 10), *starts], np.int64),
        dur=np.array([*[9] * count, *(dur for _, dur in work)], np.int64),
        lane=np.array([*[streams] * count, *lane]),
        edges=[("launch", np.array(calls), np.arange(count, total))],
        meta={"origin_ns": None},
    ).build()
    return DeviceStreams(
        module,
        max(layer) + 1,
        {count + at: number for at, number in enumerate(layer)},
        {count + at: call for at, call in enumerate(calls)},
        {name: tuple(found) for name, found in gaps.items()},
    )
