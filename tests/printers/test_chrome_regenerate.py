"""`--emit chrome` of modules without a Chrome source: Kineto text from columns, which reads back equal."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from traceir.printers.chrome.regenerate import category, places_of

from .. import build
from ..build import Ev
from ..conftest import ROOT
from .chrome_reading import differences, events_of, improper, load_text, own, render, tracks

HOST = (tir.Lane("cpu.main", "host.thread", pid=77, tid=77), tir.Lane("cpu.78", "host.thread", pid=77, tid=78))
DEVICE = (
    tir.Lane("gpu0.s7", "dev.stream", 0, 7, 0, 7),
    tir.Lane("gpu0.s20", "dev.stream", 0, 20, 0, 20),
    tir.Lane("gpu3.s7", "dev.stream", 3, 7, 3, 7),
)
NAMES = {
    "host.op": ("aten::mm", 'a "b" \\ µ'),
    "host.frame": ("model.py(7): forward",),
    "host.range": ("layer 3",),
    "mark.step": ("ProfilerStep#3",),
    "mark.instant": ("here",),
    "rt.launch": ("cudaLaunchKernel", "hipLaunchKernel"),
    "rt.graph_launch": ("cudaGraphLaunch",),
    "rt.memcpy": ("cudaMemcpyAsync",),
    "rt.sync": ("cudaDeviceSynchronize",),
    "rt.alloc": ("cudaMalloc",),
    "rt.call": ("cudaEventRecord",),
    "dev.kernel": ("nvjet_gemm", "relu"),
    "dev.memcpy": ("Memcpy HtoD (Pinned -> Device)",),
    "dev.memset": ("Memset (Device)",),
    "dev.range": ("ProfilerStep#3",),
}
LAUNCHED = {"rt.launch": ("dev.kernel",), "rt.graph_launch": ("dev.kernel", "dev.memcpy"), "rt.memcpy": ("dev.memcpy",)}


@st.composite
def modules(draw: st.DrawFn) -> tir.Module:
    """Modules of what Kineto has words for; the first event starts at 0, work starts behind its launch."""
    rows: list[tuple[str, str, int, int, int]] = [("host.op", "aten::mm", 0, 10, 0)]
    edges: list[tuple[int, int]] = []
    for _ in range(draw(st.integers(0, 10))):
        kind = draw(st.sampled_from(sorted(NAMES)))
        device = kind.startswith("dev.")
        lane = draw(st.integers(2, 4) if device else st.integers(0, 1))
        ts = draw(st.integers(0, 10**7))
        dur = 0 if kind == "mark.instant" else draw(st.integers(0, 10**5))
        rows.append((kind, draw(st.sampled_from(NAMES[kind])), ts, dur, lane))
        if kind in LAUNCHED:
            for _ in range(draw(st.integers(0, 3 if kind == "rt.graph_launch" else 1))):
                work = draw(st.sampled_from(LAUNCHED[kind]))
                edges.append((len(rows) - 1 if not edges or edges[-1][0] != _last(rows) else edges[-1][0], len(rows)))
                rows.append(
                    (
                        work,
                        draw(st.sampled_from(NAMES[work])),
                        ts + draw(st.integers(0, 99)),
                        5,
                        draw(st.integers(2, 4)),
                    )
                )
    return _module(rows, edges)


def _last(rows: list[Any]) -> int:
    """The last launching row."""
    return max(at for at, row in enumerate(rows) if row[0] in LAUNCHED)


def _module(rows: list[tuple[str, str, int, int, int]], edges: list[tuple[int, int]]) -> tir.Module:
    kind, name, ts, dur, lane = zip(*rows, strict=True)
    kinds, names = list(dict.fromkeys(kind)), list(dict.fromkeys(name))
    pairs = np.array(edges, np.int64).reshape(-1, 2)
    return tir.ModuleBuilder(
        name="made",
        strings=tir.Strings(names),
        lanes=[*HOST, *DEVICE],
        kinds=kinds,
        id=np.arange(len(rows), dtype=np.int64),
        kind=np.array([kinds.index(item) for item in kind], np.uint16),
        name_code=np.array([names.index(item) for item in name], np.int32),
        ts=np.array(ts, np.int64),
        dur=np.array(dur, np.int64),
        lane=np.array(lane, np.int32),
        edges=[("launch", pairs[:, 0], pairs[:, 1])],
        meta={"origin_ns": 1_700_000_000_000_000_123, "rank": 3, "world": 8},
        slack_ns=2,
    ).build()


@given(modules())
def test_what_kineto_can_hold_reads_back_equal(module: tir.Module) -> None:
    """Kinds, names, times to the ns, lanes, nesting, launches and the origin survive."""
    text = render(module)
    with tempfile.TemporaryDirectory() as folder:
        back = load_text(Path(folder), text)
    assert differences(module, back) == []
    assert (back.meta["origin_ns"], back.meta["rank"], back.meta["world"]) == (1_700_000_000_000_000_123, 3, 8)


def test_document_says_that_it_is_regenerated() -> None:
    """And from what; arrows have both ends."""
    module = _module([("rt.launch", "cudaLaunchKernel", 0, 5, 0), ("dev.kernel", "k", 9, 5, 2)], [(0, 1)])
    document = json.loads(render(module))
    assert document["traceir"] == {"regenerated": True, "from": "columns", "version": tir.__version__}
    events = document["traceEvents"]
    assert improper(events) == []
    assert [(e["ph"], e["ts"], e["pid"], e["tid"]) for e in events if e["ph"] in "sf"] == [
        ("s", 0, 77, 77),
        ("f", 0.009, 0, 7),
    ]


@pytest.mark.parametrize("name", ["decoder_tp8_graph.json.gz", "qwen_tiny_cpu.json.gz"])
def test_examples_without_their_source_read_back_equal(name: str, tmp_path: Path) -> None:
    """All but the sign of allocations, which only arguments tell; findings are added here too."""
    module = attrs.evolve(tir.load(ROOT / "examples" / name), source=None)
    plain = module.window(~module.is_kind("mem"))
    after = tir.PassManager.parse("infer").run(plain)
    text = render(after)
    assert differences(plain, load_text(tmp_path, text), "sync") == []
    assert bool(own(events_of(text))) == any(module.work)


def test_other_edges_are_shown_but_not_read_as_flows(tmp_path: Path) -> None:
    """A sync edge becomes an arrow of a category of its own, which the frontend does not take for a flow."""
    module = build.module([Ev("rt.call", "cudaEventRecord", 0, 5, "cpu"), Ev("event.wait", "wait", 9, 1)])
    table = attrs.evolve(module.tables["edge"], length=1, columns={}).with_columns(
        {"src": np.array([0], np.int32), "dst": np.array([1], np.int32), "kind": np.array([2], np.int8)}
    )
    module = attrs.evolve(module, tables={**module.tables, "edge": table})
    text = render(module)
    assert [e["cat"] for e in events_of(text) if e["ph"] in "sf"] == ["traceir.sync"] * 2
    assert not len(load_text(tmp_path, text).edges("flow")[0])


def test_removed_events_are_left_out(tmp_path: Path) -> None:
    """With what led to them."""
    module = _module([("rt.launch", "cudaLaunchKernel", 0, 5, 0), ("dev.kernel", "k", 9, 5, 2)], [(0, 1)])
    gone = module.with_columns({"live": np.array([True, False])})
    assert [e["ph"] for e in events_of(render(gone)) if e["ph"] != "M"] == ["X"]
    assert [e["ph"] for e in events_of(render(gone, dead=True)) if e["ph"] != "M"] == ["X", "X", "s", "f"]


def test_kinds_that_kineto_has_no_word_for_keep_their_own(tmp_path: Path) -> None:
    """They are categories then, and ranges when they are read back."""
    assert (category("os.irq"), category("npu.task"), category("rt.sync")) == ("os.irq", "npu.task", "cuda_runtime")
    module = build.module([Ev("os.irq", "timer", 0, 5, "cpu0"), Ev("host.async", "load", 3, 4, "async.io")])
    found = events_of(render(module))
    assert [(e["ph"], e["cat"]) for e in found if e["ph"] != "M"] == [("X", "os.irq"), ("b", "io"), ("e", "io")]
    assert [e["ts"] for e in found if e["ph"] in "be"] == [0.003, 0.007]


def test_lanes_without_numbers_get_free_ones() -> None:
    """Threads without ids of their own do not fall on a device's or another's."""
    lanes = (tir.Lane("a", "host.thread"), tir.Lane("b", "host.thread"), tir.Lane("gpu1.s2", "dev.stream", 1, 2))
    module = attrs.evolve(build.module([Ev("host.op", "x", 0, 1)]), lanes=lanes)
    places = places_of(module)
    assert places[2] == (1, 2)
    assert len(set(places)) == 3
    assert places[0][0] == places[1][0] != 1


def test_findings_lie_on_the_times_of_the_events() -> None:
    """The lane of computing starts where the first kernel does."""
    rows = [("dev.kernel", "nvjet_gemm", ts, 50, 2) for ts in (0, 5_000)]
    module = tir.PassManager.parse("overlap,gaps").run(_module(rows, []))
    found = tracks(events_of(render(module)))
    assert [(e["ts"], e["dur"]) for e in found["gpu0 computing"]] == [(0, 0.05), (5, 0.05)]
    assert [(e["ts"], e["dur"], e["name"]) for e in found["gpu0 gaps"]] == [(0.05, 4.95, "unknown_no_launch")]
