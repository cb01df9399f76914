"""Traces with a layer between: an operator hands its work to a worker thread, which launches it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np

import traceir as tir
from tests.passes.gaps_made import ran, rows
from traceir.ir import Column, Table
from traceir.text import parse
from traceir_passes.sync import Sync

HEAD = """#[traceir "1"]
module @m {clock="ns", vendor="ascend"} {
  lane @cpu.1 : host.thread {pid=1, tid=1};
  lane @cpu.2 : host.thread {pid=1, tid=2};
  lane @npu0.s7 : dev.stream {device=0, stream=7};
"""
US = 1_000
NORM, QUERY, SCORE, SOFT, VALUE, OUT = "layer_norm", "mm", "bmm", "_softmax", "bmm", "mm"


def handed(number: int, name: str, at: int, op: str, kernel: str, start: int, dur: int, inside: int = -1) -> str:
    """The four events of one piece of work (ids `number` to `number + 3`), and what hands it over at `at` + 1 µs."""
    within = f" in %{inside}" if inside >= 0 else ""
    return f"""
  %{number} = host.op("{op}") @cpu.1 [{at} +{2 * US}]{within};
  %{number + 1} = rt.call("Dequeue@{name}") @cpu.2 [{at + 3 * US} +{4 * US}] enqueue %{number};
  %{number + 2} = rt.launch("Node@launch") @cpu.2 [{at + 4 * US} +{US}] in %{number + 1};
  %{number + 3} = dev.kernel("{kernel}") @npu0.s7 [{start} +{dur}] <- %{number + 2};
"""


def made(*parts: str) -> tir.Module:
    """A module of some events in any order."""
    lines = [line for part in parts for line in part.strip().splitlines()]
    starts = [int(line.partition("[")[2].partition(" ")[0]) for line in lines]
    return parse(HEAD + "\n".join(line for _, line in sorted(zip(starts, lines, strict=True))) + "\n}\n")


def ran_as(text: str, item: tir.Module) -> tir.Module:
    """The module after some passes."""
    return tir.PassManager.parse(text).run(item)


def test_roles_of_the_operator_that_handed_work_over() -> None:
    """Where the kernel's name says nothing the operator on the other thread does."""
    item = ran_as("infer", made(handed(0, "x", 0, "aten::addmm", "te_kernel_77", 9 * US, US)))
    assert [item.text("infer.role")[row] for row in item.kernels.rows] == ["gemm"]


def test_late_hosts_are_blamed_on_the_thread_that_asked() -> None:
    """The worker had nothing to do: what kept the other thread is the cause. Where the worker is slow, it is."""
    slow = f'\n  %90 = host.op("aten::slow") @cpu.1 [{4 * US} +{60 * US}];'
    late = made(
        handed(0, "a", 0, "aten::a", "Add", 6 * US, US), slow, handed(4, "b", 70 * US, "aten::b", "Add", 76 * US, US)
    )
    done, report = ran(late)
    (gap,) = (row for row in rows(done) if row["level"] == "device")
    assert (gap["class"], gap["blame"], gap["blame_ns"]) == ("host_late", 90, 57 * US)
    assert [one.frame for one in report.devices[0].under] == ["aten::slow"]
    busy = f'\n  %90 = rt.call("Dequeue@compile") @cpu.2 [{8 * US} +{60 * US}];'
    queued = f"""
  %4 = host.op("aten::b") @cpu.1 [{3 * US} +{US}];
  %5 = rt.call("Dequeue@b") @cpu.2 [{70 * US} +{4 * US}] enqueue %4;
  %6 = rt.launch("Node@launch") @cpu.2 [{71 * US} +{US}] in %5;
  %7 = dev.kernel("Add") @npu0.s7 [{73 * US} +{US}] <- %6;
"""
    done, _ = ran(made(handed(0, "a", 0, "aten::a", "Add", 6 * US, US), busy, queued))
    (gap,) = (row for row in rows(done) if row["level"] == "device")
    assert (gap["class"], gap["blame"]) == ("host_late", 90)


def test_idle_time_is_told_by_the_frames_of_the_thread_that_asked() -> None:
    """Frames of the program stand above the operator, not above the worker."""
    frame = f'\n  %80 = host.frame("train.py(3): step") @cpu.1 [0 +{90 * US}];'
    work = [handed(4 * n, "a", 30 * n * US, "aten::a", "Add", (30 * n + 6) * US, US, 80) for n in range(3)]
    _, report = ran(made(frame, *work))
    assert [one.frame for one in report.devices[0].under] == ["train.py(3): step"]


def test_a_blocking_call_of_the_worker_names_its_operator() -> None:
    """The chain of operators goes over to the thread that asked."""
    sync = f"""
  %4 = host.frame("loss.py(9): log") @cpu.1 [{8 * US} +{90 * US}];
  %5 = host.op("aten::item") @cpu.1 [{9 * US} +{80 * US}] in %4;
  %6 = rt.call("Dequeue@sync") @cpu.2 [{10 * US} +{70 * US}] enqueue %5;
  %7 = rt.sync("AscendCL@aclrtSynchronizeStream") @cpu.2 [{11 * US} +{60 * US}] in %6;
"""
    done = ran_as("sync", made(handed(0, "a", 0, "aten::a", "Add", 6 * US, 60 * US), sync))
    (cause,) = Sync().report(done).causes
    assert (cause.chain, cause.frame) == ("AscendCL@aclrtSynchronizeStream < aten::item", "loss.py(9): log")


LAYER: Sequence[tuple[str, str]] = (
    ("LayerNormV3", NORM), ("MatMulV2", QUERY), ("BatchMatMulV2", SCORE), ("SoftmaxV2", SOFT), ("BatchMatMulV2", VALUE),
    ("MatMulV2", OUT),
)  # fmt: skip


def test_modules_and_steps_of_work_that_was_handed_over() -> None:
    """Layers come from the module frames, and steps from the marks, of the thread that asked."""
    parts, number, at = [], 100, 0
    late = 1_000 * US  # the worker runs so far behind that its own times lie in the next step
    for step in range(2):
        begin = at
        for layer in range(4):
            first = at
            for kernel, op in LAYER:
                parts.append(
                    f"""
  %{number} = host.op("aten::{op}") @cpu.1 [{at} +{2 * US}] in %{10 + 4 * step + layer};
  %{number + 1} = rt.call("Dequeue@x") @cpu.2 [{at + late} +{4 * US}] enqueue %{number};
  %{number + 2} = rt.launch("Node@launch") @cpu.2 [{at + late + US} +{US}] in %{number + 1};
  %{number + 3} = dev.kernel("{kernel}") @npu0.s7 [{at + late + 3 * US} +{3 * US}] <- %{number + 2};
"""
                )
                number, at = number + 4, at + 5 * US
            parts.append(
                f'  %{10 + 4 * step + layer} = host.frame("nn.Module: Block_{layer}") @cpu.1 [{first} +{at - first}] '
                f"in %{2 + step};"
            )
        parts.append(f'  %{2 + step} = host.frame("nn.Module: Model_0") @cpu.1 [{begin} +{at - begin}] in %{step};')
        parts.append(f'  %{step} = mark.step("ProfilerStep#{step}") @cpu.1 [{begin} +{at - begin}];')
    item = ran_as("group", made(*parts))
    layers, steps = item.tree("layers"), item.tree("steps")
    assert len(layers.of_kind("layer")) == 8
    assert {item.text("group.evidence")[region] for region in layers.of_kind("stack")} == {"modules"}
    assert [len(steps.events(int(region))) for region in steps.of_kind("step")] == [24, 24]


def test_collectives_are_told_by_the_operator_that_handed_them_over() -> None:
    """As by one right around the launch."""
    item = made(handed(0, "HcclX", 0, "c10d::allreduce_", "hccl_kernel_unnamed", 6 * US, US))
    done = ran_as("collectives", item)
    assert [kind for kind in done.text("coll.kind") if kind] == ["all_reduce"]


def test_one_call_of_several_kernels_is_no_graph() -> None:
    """Operators launch kernel after kernel; a correlation shared by work without a launch is none there either."""
    item = made(
        handed(0, "a", 0, "aten::a", "Add", 6 * US, US), f'  %4 = dev.kernel("Add") @npu0.s7 [{20 * US} +{US}] <- %2;'
    )
    assert [row["class"] for row in rows(ran(item)[0]) if row["level"] == "device"] == ["unexplained"]


def test_waits_beside_each_other_on_one_lane_count_once() -> None:
    """Some runtimes wait on one stream for several peers at a time."""
    waits = [(120, 30), (125, 40), (126, 4), (180, 10)]
    lines = ['  %1 = dev.kernel("hcom_allReduce__271_3_1") @npu0.s7 [100 +100];']
    lines += [f'  %{n} = event.wait("Notify_Wait") @npu0.s7 [{at} +{dur}];' for n, (at, dur) in enumerate(waits, 2)]
    done = ran_as("collectives", made(*lines))
    assert (done["coll.wait"].tolist(), done["coll.transfer"].tolist()) == ([55], [45])


@attrs.define
class Told:
    """A source in which one event, by its offset, has inputs."""

    offset: int
    frontend: str = "test"
    path: str = ""

    def raw(self, offset: int, length: int) -> bytes:
        raise NotImplementedError

    def args(self, offsets: Any, lengths: Any) -> list[dict[str, Any]]:
        inputs = {"Input Dims": [[32, 64], [64, 16]], "Input type": ["float", "float"]}
        return [inputs if offset == self.offset else {} for offset in offsets.tolist()]


def test_shapes_are_those_of_the_framework_s_operator() -> None:
    """The runtime's own operator stands between, and has recorded none."""
    outer = f'  %8 = host.op("aten::mm") @cpu.1 [0 +{3 * US}];'
    item = made(outer, handed(0, "aclnnMm", 0, "aclnnMm", "MatMulV2", 9 * US, US, 8))
    table = item.tables["event"]
    columns = {"offset": Column.own(item["id"].copy()), "length": Column.own(np.ones(len(item), np.int32))}
    tables = {**item.tables, "event": Table("event", len(item), {**table.columns, **columns})}
    done = ran_as("infer{operands=true}", attrs.evolve(item, tables=tables, source=Told(8)))
    (kernel,) = done.kernels.rows
    assert (done.text("infer.shape")[kernel], done.text("infer.dtype")[kernel]) == ("32x16x64", "fp32")
