"""Modules made up for tests of windows: any edges, several trees, names of any kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import attrs
import numpy as np
from hypothesis import strategies as st

import traceir as tir
from tests.build import Ev, module
from traceir.ir import Annotation, Table, Written
from traceir.ir.module import EDGE_KINDS

LANES = ("cpu", "cpu.1", "gpu0.s1", "gpu0.s2")


def with_edges(item: tir.Module, edges: Iterable[tuple[int, int, str]]) -> tir.Module:
    """The module with further edges, by the ids of their ends."""
    made = [(item.row_of(src), item.row_of(dst), EDGE_KINDS.index(kind)) for src, dst, kind in edges]
    src, dst, kind = (np.array([edge[at] for edge in made], np.int64) for at in range(3))
    old = item.tables["edge"]
    columns = {
        "src": np.concatenate([old["src"], src]).astype(np.int32),
        "dst": np.concatenate([old["dst"], dst]).astype(np.int32),
        "kind": np.concatenate([old["kind"], kind]).astype(old["kind"].dtype),
    }
    return attrs.evolve(item, tables={**item.tables, "edge": Table.of("edge", columns)}, derived={})


def with_tree(item: tir.Module, name: str, regions: Sequence[tir.Region], leaf: Sequence[int]) -> tir.Module:
    """The module with a tree that is declared; `leaf` is by id."""
    rows = np.array(leaf, np.int32)[item["id"]]
    item = item.with_tree(name, regions, rows)
    written = Written(Annotation(f"tree.{name}", dtype="id"), None)
    return attrs.evolve(item, annotations={**item.annotations, f"tree.{name}": written})


def rows_of(item: tir.Module, *ids: int) -> list[int]:
    """The rows of some events, ascending."""
    return sorted(item.row_of(id) for id in ids)


def ids_of(item: tir.Module, rows: Any) -> list[int]:
    """The ids of some rows, ascending."""
    return sorted(item["id"][rows].tolist())


def decode() -> tir.Module:
    """Two steps of two layers on one stream, each step a graph launch under an op; a copy stands outside.

    Ids: 0 op, 1 launch, 2–5 kernels of step 0 (layers 0, 0, 1, 1), 6 op, 7 launch, 8–11 those of step 1, 12 a copy.
    """
    events = []
    for step in range(2):
        at = 1000 * step
        events += [Ev("host.op", "forward", at, 500, "cpu"), Ev("rt.graph_launch", "launch", at + 10, 20, "cpu")]
        events += [Ev("dev.kernel", f"k{k}", at + 100 + 50 * k, 40, launch=6 * step + 1) for k in range(4)]
    events.append(Ev("dev.memcpy", "copy", 3000, 10, "gpu0.s9"))
    steps = [tir.Region("step", f"step.{k}", k) for k in range(2)]
    layers = []
    for step in range(2):
        layers.append(tir.Region("stack", f"stack.{step}", step))
        layers += [tir.Region("layer", f"stack.{step}.layer.{k}", k, 3 * step) for k in range(2)]
    item = module(events)
    item = with_tree(item, "steps", steps, [-1, -1, 0, 0, 0, 0, -1, -1, 1, 1, 1, 1, -1])
    return with_tree(item, "layers", layers, [-1, -1, 1, 1, 2, 2, -1, -1, 4, 4, 5, 5, -1])


@st.composite
def modules(draw: st.DrawFn, names: st.SearchStrategy[str] | None = None, most: int = 14) -> tir.Module:
    """Random nested events with random edges of every kind and up to two trees, whose names `names` gives."""
    if names is None:
        names = st.sampled_from(["a", "a.b", "c.a", "c.a.b", "step.0", "layer.1", "s.layer.1"])
    events = draw(
        st.lists(st.tuples(st.sampled_from(LANES), st.integers(0, 30), st.integers(0, 12)), min_size=1, max_size=most)
    )
    hosts = [id for id, event in enumerate(events) if event[0].startswith("cpu")]
    launch = st.one_of(st.none(), st.sampled_from(hosts)) if hosts else st.none()
    device = st.sampled_from(["dev.kernel", "dev.kernel", "event.wait", "event.record"])
    host = st.sampled_from(["host.op", "rt.launch", "rt.sync"])
    item = module(
        [
            Ev(draw(host), f"n{id % 3}", ts, dur, lane)
            if lane.startswith("cpu")
            else Ev(draw(device), f"n{id % 3}", ts, dur, lane, draw(launch))
            for id, (lane, ts, dur) in enumerate(events)
        ]
    )
    ends = st.integers(0, len(events) - 1)
    kinds = st.sampled_from(["enqueue", "sync", "flow", "peer"])
    edges = draw(st.lists(st.tuples(ends, ends, kinds), max_size=6))
    item = with_edges(item, [edge for edge in edges if edge[2] != "enqueue" or set(edge[:2]) <= set(hosts)])
    for tree in draw(st.sampled_from([(), ("t",), ("t", "u")])):
        parents = draw(st.lists(st.integers(-1, 4), min_size=1, max_size=5))
        regions = [tir.Region("layer", draw(names), at, min(parent, at - 1)) for at, parent in enumerate(parents)]
        size = len(events)
        leaf = draw(st.lists(st.integers(-1, len(regions) - 1), min_size=size, max_size=size))
        item = with_tree(item, tree, regions, leaf)
    return item
