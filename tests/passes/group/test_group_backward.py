"""Backward layers by the forward ops that they belong to, with and without recomputation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

import traceir as tir
from traceir.passing import PassManager

FORWARD = (
    ("LayerNorm", "aten::native_layer_norm", ("layer_norm_k",)),
    ("Linear", "aten::addmm", ("nvjet_qkv",)),
    ("Attention", "aten::_flash_attention_forward", ("flash_fwd_kernel",)),
    ("Linear", "aten::addmm", ("nvjet_o",)),
)
BACKWARD = {
    "aten::native_layer_norm": ("NativeLayerNormBackward0", ("layer_norm_bwd_k",)),
    "aten::addmm": ("AddmmBackward0", ("nvjet_tst_64x8", "nvjet_tst_128x8")),
    "aten::_flash_attention_forward": ("FlashAttentionBackward0", ("flash_bwd_dot_do_o", "flash_bwd_kernel")),
}


@attrs.define
class Training:
    """Writes a training step: a forward pass on one thread, its backward pass on another."""

    rows: list[dict[str, Any]] = attrs.field(factory=list)
    truth: dict[int, int] = attrs.field(factory=dict)
    """The layer of each kernel, by its start."""
    host: int = 0
    device: int = 1000
    numbers: dict[str, int] = attrs.field(factory=dict)
    flows: int = 0
    correlation: int = 0

    def span(self, cat: str, name: str, ts: int, tid: int) -> None:
        self.rows.append(
            {"ph": "X", "cat": cat, "name": name, "ts": ts, "dur": self.host - ts, "pid": 1, "tid": tid, "args": {}}
        )

    def kernels(self, names: tuple[str, ...], layer: int, tid: int) -> None:
        for name in names:
            self.correlation += 1
            start = self.host
            self.host += 2
            call = {"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "ts": start, "dur": 1, "pid": 1}
            self.rows.append({**call, "tid": tid, "args": {"correlation": self.correlation}})
            self.device = max(self.device + 10, self.host + 5)
            self.truth[self.device] = layer
            self.rows.append({"ph": "X", "cat": "kernel", "name": name, "ts": self.device, "dur": 9, "pid": 0, "tid": 7,
                              "args": {"correlation": self.correlation, "stream": 7, "device": 0}})  # fmt: skip

    def op(self, name: str, kernels: tuple[str, ...], layer: int, tid: int) -> int:
        """An operator; where it began."""
        start = self.host
        self.host += 1
        self.kernels(kernels, layer, tid)
        self.host += 1
        self.span("cpu_op", name, start, tid)
        return start

    def flow(self, source: tuple[int, int], target: tuple[int, int]) -> None:
        self.flows += 1
        for phase, (ts, tid) in (("s", source), ("f", target)):
            self.rows.append({"ph": phase, "cat": "fwdbwd", "name": "fwdbwd", "id": self.flows, "pid": 1, "tid": tid,
                              "ts": ts, **({"bp": "e"} if phase == "f" else {})})  # fmt: skip

    def forward(self, layer: int, tid: int, numbers: dict[str, int]) -> list[tuple[str, int]]:
        """A layer; its operators and where they began."""
        begun = []
        start = self.host
        for cls, operator, kernels in FORWARD:
            number = numbers[cls] = numbers.get(cls, -1) + 1
            here = self.host
            self.host += 1
            begun.append((operator, self.op(operator, kernels, layer, tid)))
            self.host += 1
            self.span("python_function", f"nn.Module: {cls}_{number}", here, tid)
        self.host += 1
        self.span("python_function", f"nn.Module: Block_{layer}", start, tid)
        return begun

    def backward(self, begun: list[tuple[str, int]], source: int, layer: int, tid: int) -> None:
        """The backward ops of a layer's operators, the last first."""
        for operator, at in reversed(begun):
            name, kernels = BACKWARD[operator]
            self.flow((at, source), (self.op(name, kernels, layer, tid), tid))

    def step(self, layers: int, *, checkpoint: bool = False) -> None:
        start = self.host
        made: list[list[tuple[str, int]]] = []
        wrapped: list[int] = []
        counted: list[dict[str, int]] = []
        numbers: dict[str, int] = {}
        for layer in range(layers):
            counted.append(dict(numbers))
            here = self.host
            self.host += 1
            made.append(self.forward(layer, 1, numbers))
            self.host += 1
            if checkpoint:
                self.span("cpu_op", "CheckpointFunction", here, 1)
            wrapped.append(here)
        self.span("python_function", "nn.Module: Model_0", start, 1)
        self.host += 50
        for layer in reversed(range(layers)):
            if not checkpoint:
                self.backward(made[layer], 1, layer, 2)
                continue
            here = self.host
            self.host += 1
            again = self.forward(layer, 2, dict(counted[layer]))
            self.backward(again, 2, layer, 2)
            self.host += 1
            self.span("cpu_op", "CheckpointFunctionBackward", here, 2)
            self.flow((wrapped[layer], 1), (here, 2))
        self.op("Optimizer.step", ("multi_tensor_apply_kernel",), -1, 1)

    def module(self, folder: Path) -> tir.Module:
        path = folder / "t.json"
        path.write_text(json.dumps({"schemaVersion": 1, "traceEvents": self.rows}), "utf-8")
        return tir.load(path)


@pytest.mark.parametrize("checkpoint", [False, True])
def test_backward_work_belongs_to_the_module_of_its_forward_op(tmp_path: Path, checkpoint: bool) -> None:
    """Each kernel of the backward pass, recomputed ones among them, lies in the layer that it is of."""
    writer = Training()
    writer.step(6, checkpoint=checkpoint)
    found = PassManager.parse("group{by=modules}").run(writer.module(tmp_path))
    report: Any = PassManager.parse("group{by=modules}").reports(found)["group"]
    assert [(one.layers, one.direction, one.evidence, one.template) for one in report.stacks] == [
        (6, "forward", "modules", "Block"),
        (6, "backward", "modules", "Block_backward"),
    ]
    tree = found.tree("layers")
    layer = tree.at("layer")
    origin = min(writer.truth) * 1000 - int(found["ts"][found.work].min())
    for row in np.flatnonzero(found.work).tolist():
        true = writer.truth[(int(found["ts"][row]) + origin) // 1000]
        if true < 0:
            assert layer[row] < 0
            continue
        region = int(layer[row])
        stack = int(tree.regions["index"][tree.parent[region]])
        index = int(tree.regions["index"][region])
        assert (index if stack == 0 else 5 - index) == true
    stacks = np.append(tree.ancestor("stack"), -1)[layer[found.work]]
    assert np.count_nonzero(stacks == tree.of_kind("stack")[1]) == 6 * (11 if checkpoint else 7)


def test_two_steps_are_four_stacks(tmp_path: Path) -> None:
    """A module has one instance, and a layer in each step."""
    writer = Training()
    for _ in range(2):
        writer.step(4)
        writer.host += 100
    marks = [row["ts"] for row in writer.rows if row["name"] == "nn.Module: Model_0"]
    for number, begin in enumerate(marks):
        end = marks[number + 1] if number + 1 < len(marks) else writer.host
        writer.rows.append({"ph": "X", "cat": "user_annotation", "name": f"ProfilerStep#{number}", "ts": begin - 1,
                            "dur": end - begin - 1, "pid": 1, "tid": 1, "args": {}})  # fmt: skip
    manager = PassManager.parse("group")
    report: Any = manager.reports(manager.run(writer.module(tmp_path)))["group"]
    assert [(one.layers, one.direction, one.step) for one in report.stacks] == [
        (4, "forward", 0),
        (4, "backward", 0),
        (4, "forward", 1),
        (4, "backward", 1),
    ]
    assert {one.evidence for one in report.stacks} == {"modules"}


def test_without_flows_the_device_tells(tmp_path: Path) -> None:
    """The same backward layers, by structure; and it confirms those by modules."""
    writer = Training()
    writer.step(6)
    manager = PassManager.parse("group")
    both: Any = manager.reports(manager.run(writer.module(tmp_path)))["group"]
    assert all("device_agrees" in one.checks for one in both.stacks)
    writer.rows = [row for row in writer.rows if row["ph"] == "X"]
    report: Any = manager.reports(manager.run(writer.module(tmp_path)))["group"]
    assert [(one.layers, one.direction, one.evidence) for one in report.stacks] == [
        (6, "forward", "modules"),
        (6, "backward", "device"),
    ]


def _reported(module: tir.Module) -> Any:
    manager = PassManager.parse("group")
    return manager.reports(manager.run(module))["group"]


@pytest.mark.parametrize("checkpoint", [False, True])
def test_linked_backward_work_is_said_to_be_so(tmp_path: Path, checkpoint: bool) -> None:
    """All of it belongs to forward ops, what is computed again too."""
    writer = Training()
    writer.step(6, checkpoint=checkpoint)
    backward = _reported(writer.module(tmp_path)).backward
    assert (backward.kernels, backward.unlinked, backward.unlinked_share) == (6 * (11 if checkpoint else 7), 0, 0)
    assert backward.time_ns == 9000 * backward.kernels


def test_backward_work_without_a_forward_op_is_counted(tmp_path: Path) -> None:
    """A custom function has no number, and the op of the loss ran in no module; what the optimizer runs is neither."""
    writer = Training()
    writer.step(5)
    writer.op("MyFunctionBackward", ("my_kernel_bwd", "my_other_kernel_bwd"), -1, 2)
    loss = writer.op("aten::cross_entropy_loss", ("cross_entropy_fwd",), -1, 1)
    writer.flow((loss, 1), (writer.op("CrossEntropyLossBackward0", ("cross_entropy_bwd",), -1, 2), 2))
    report = _reported(writer.module(tmp_path))
    assert (report.backward.kernels, report.backward.unlinked) == (5 * 7 + 3, 3)
    assert report.backward.unlinked_time_ns == 27000
    assert report.backward.unlinked_share == pytest.approx(3 / 38, abs=1e-6)
    (fact,) = [fact for fact in report.headline() if "backward" in fact.label]
    assert (fact.value, fact.unit, fact.note) == (report.backward.unlinked_share, "share", "3 of 38 kernels")


def test_without_modules_only_the_forward_op_is_asked_for(tmp_path: Path) -> None:
    """Nothing is said of modules where the trace has none."""
    writer = Training()
    writer.step(5)
    writer.op("MyFunctionBackward", ("my_kernel_bwd",), -1, 2)
    writer.rows = [row for row in writer.rows if row.get("cat") != "python_function"]
    backward = _reported(writer.module(tmp_path)).backward
    assert (backward.kernels, backward.unlinked) == (5 * 7 + 1, 1)


def test_no_backward_pass_has_no_such_share(tmp_path: Path) -> None:
    """Without flows nothing tells which thread runs a backward pass."""
    writer = Training()
    writer.step(5)
    writer.rows = [row for row in writer.rows if row["ph"] == "X"]
    report = _reported(writer.module(tmp_path))
    assert report.backward is None
    assert not [fact for fact in report.headline() if "backward" in fact.label]
