"""`closed`: what a cut needs beside the chosen events."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.build import Ev, module
from tests.conftest import SHORT
from tests.windows.made import decode, ids_of, modules, rows_of, with_edges
from traceir.ir.window import extern_ids
from traceir.passing import PassManager
from traceir.windows import closed, select_window

Load = Callable[[str], tir.Module]


def needs(item: tir.Module, row: int) -> set[int]:
    """What one event needs, read from the definition."""
    edge = item.tables["edge"]
    out = {int(item["parent"][row])} - {-1}
    for src, dst, code in zip(edge["src"].tolist(), edge["dst"].tolist(), edge["kind"].tolist(), strict=True):
        kind = tir.ir.module.EDGE_KINDS[code]
        host = not item.event(src).kind.startswith("dev.")
        if dst == row and (kind in ("launch", "enqueue") or (kind == "sync" and host)):
            out.add(src)
    lane = item.event(row).lane
    before = [other for other in range(row) if item.event(other).lane == lane]
    if lane.is_device and before and item.event(before[-1]).kind in ("event.wait", "event.record"):
        out.add(before[-1])
    return out


def closure(item: tir.Module, rows: set[int]) -> set[int]:
    """The smallest set with all needs, one event at a time."""
    done: set[int] = set()
    while rows - done:
        row = min(rows - done)
        done.add(row)
        rows = rows | needs(item, row)
    return done


def check_laws(item: tir.Module, chosen: np.ndarray[tuple[int], np.dtype[np.int32]]) -> None:
    """What holds of any closed window: launches and ancestors are in, no further device work, and it is sound."""
    rows = closed(item, chosen)
    kept = np.zeros(len(item) + 1, bool)
    kept[rows] = True
    src, dst = item.edges("launch")
    assert kept[src[kept[dst]]].all()
    parent = item["parent"][rows]
    assert kept[parent[parent >= 0]].all()
    work = item.is_kind("dev")
    assert set(rows[work[rows]].tolist()) == set(chosen[work[chosen]].tolist())
    assert closed(item, rows).tolist() == rows.tolist()
    cut = item.window(rows)
    assert not [found for found in tir.verify(cut) if found.level == "error" and found.rule not in ("V14", "V16")]
    if "table:extern" in cut.tables:
        into = ~cut["extern.outgoing"]
        outer = {relation for relation, inward in zip(cut.text("extern.relation"), into, strict=True) if inward}
        assert not outer & {"parent", "launch", "enqueue"}


class TestClosed:
    def test_a_layer_of_a_graph_launch(self) -> None:
        """Launch and op come along; the launch's other kernels stay outside and are declared."""
        item = decode()
        chosen = select_window(item, "stack.1.layer.0").rows
        rows = closed(item, chosen)
        assert ids_of(item, rows) == [6, 7, 8, 9]
        assert extern_ids(item.window(rows)).tolist() == [10, 11]

    def test_waits_lead_to_their_records_and_not_to_other_work(self) -> None:
        """A kernel after a wait: the wait, its call, the call that recorded; not the work that was waited for."""
        item = module(
            [
                Ev("rt.launch", "launch a", 0, 2, "cpu"),
                Ev("dev.kernel", "a", 10, 50, "gpu0.s1", launch=0),
                Ev("host.op", "record", 3, 3, "cpu"),
                Ev("rt.call", "cudaEventRecord", 4, 1, "cpu"),
                Ev("rt.call", "cudaStreamWaitEvent", 7, 1, "cpu"),
                Ev("event.wait", "Stream Wait Event", 8, 1, "gpu0.s2", launch=4),
                Ev("rt.launch", "launch b", 9, 1, "cpu"),
                Ev("dev.kernel", "b", 60, 5, "gpu0.s2", launch=6),
                Ev("dev.kernel", "c", 70, 5, "gpu0.s2", launch=6),
            ]
        )
        item = with_edges(item, [(1, 5, "sync"), (3, 5, "sync"), (1, 8, "flow")])
        assert ids_of(item, closed(item, np.array(rows_of(item, 7)))) == [2, 3, 4, 5, 6, 7]
        assert ids_of(item, closed(item, np.array(rows_of(item, 8)))) == [6, 8]
        assert extern_ids(item.window(closed(item, np.array(rows_of(item, 7))))).tolist() == [1, 8]

    def test_a_blocking_call_and_an_enqueueing_op(self) -> None:
        """An rt.sync leads to its wait, an enqueued call to its op on another lane and that op's parent."""
        item = module(
            [
                Ev("host.op", "python", 0, 90, "cpu"),
                Ev("host.op", "op", 5, 20, "cpu"),
                Ev("rt.launch", "launch", 30, 5, "cann"),
                Ev("dev.kernel", "k", 40, 10, launch=2),
                Ev("event.wait", "Context Sync", 41, 10, "gpu0.s9"),
                Ev("rt.sync", "synchronize", 60, 20, "cpu"),
            ]
        )
        item = with_edges(item, [(1, 2, "enqueue"), (4, 5, "sync"), (3, 5, "sync")])
        assert ids_of(item, closed(item, np.array(rows_of(item, 3)))) == [0, 1, 2, 3]
        assert ids_of(item, closed(item, np.array(rows_of(item, 5)))) == [0, 4, 5]

    def test_nothing_is_closed(self) -> None:
        assert closed(decode(), np.empty(0, np.int32)).tolist() == []
        assert closed(decode(), np.ones(13, bool)).tolist() == list(range(13))

    @given(modules(), st.data())
    def test_it_is_the_smallest_set_with_all_needs(self, item: tir.Module, data: st.DataObject) -> None:
        """Compared with the definition one event at a time; the laws hold, and more events close to no fewer."""
        flags = st.lists(st.booleans(), min_size=len(item), max_size=len(item))
        mask, more = np.array(data.draw(flags), bool), np.array(data.draw(flags), bool)
        rows = closed(item, mask)
        assert set(rows.tolist()) == closure(item, set(np.flatnonzero(mask).tolist()))
        assert set(rows.tolist()) <= set(closed(item, mask | more).tolist())
        check_laws(item, np.flatnonzero(mask).astype(np.int32))

    @pytest.mark.parametrize("name", list(SHORT))
    def test_laws_on_real_traces(self, load_shared: Load, name: str) -> None:
        """Steps, layers, single kernels and times of every shared trace."""
        item = PassManager.parse("group").run(load_shared(name))
        windows = ["step.0", "layer.3", "stack.1.layer.0", "layer.0 in step.0", "1ms..3ms"]
        kernels = item.kernels.rows
        windows += [f"%{item['id'][kernels[len(kernels) // 2]]}"] if len(kernels) else []
        tried = 0
        for text in windows:
            try:
                chosen = select_window(item, text).rows
            except tir.UsageError:
                continue
            check_laws(item, chosen)
            tried += 1
        assert tried or not len(kernels)

    def test_a_real_wait(self, load_shared: Load) -> None:
        """The first work on a stream after a stream's wait comes with the wait, its call and the recording call."""
        item = load_shared("event_sync_multi")
        wait = item.row_of(68)
        first = int(np.flatnonzero((item["lane"] == item["lane"][wait]) & item.work).min())
        found = ids_of(item, closed(item, np.array([first])))
        assert {66, 68, 70, int(item["id"][first])} <= set(found)
        assert 24 not in found
        assert 24 in extern_ids(item.window(closed(item, np.array([first]))))
