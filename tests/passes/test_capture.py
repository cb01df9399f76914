"""Replays joined to the capture of their graph: node by node, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import traceir as tir
from traceir.ir import Module
from traceir.passing import PassContext, PassManager

Load = Callable[[str], Module]
LAYER = (
    ("LayerNorm", "aten::native_layer_norm", "layer_norm_k"),
    ("Linear", "aten::mm", "nvjet_qkv"),
    ("Attention", "aten::_flash_attention_forward", "flash_fwd_kernel"),
    ("Linear", "aten::mm", "nvjet_o"),
)
"""A layer's captured calls: module class, operator, and the kernel that the replay runs."""


class Writer:
    """Writes Kineto rows of one host thread and one device."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.now, self.correlation = 0, 0

    def row(self, cat: str, name: str, ts: int, dur: int, **args: Any) -> None:
        place = {"pid": 0, "tid": 7} if cat in ("kernel", "gpu_memcpy") else {"pid": 1, "tid": 1}
        self.rows.append({"ph": "X", "cat": cat, "name": name, "ts": ts, "dur": dur, "args": args, **place})

    def call(self, name: str, cat: str = "cuda_runtime", **args: Any) -> int:
        self.correlation += 1
        self.row(cat, name, self.now, 2, correlation=self.correlation, **args)
        self.now += 4
        return self.correlation

    def capture(self, layers: int, *, names: bool, grid: int = 1, dims: int = 32, nodes: Sequence[int] = ()) -> None:
        """A capture of a model; with `names` its calls name the kernels, as on AMD; `nodes` are their ids."""
        left = list(nodes)
        self.call("cudaStreamBeginCapture")
        numbers: dict[str, int] = {}
        start = self.now
        for layer in range(layers):
            begin = self.now
            for cls, operator, kernel in LAYER:
                number = numbers[cls] = numbers.get(cls, -1) + 1
                here = self.now
                self.now += 2
                said: dict[str, Any] = {"kernel": kernel, "grid": [grid, 1, 1]} if names else {}
                if left:
                    said["graph node id"] = left.pop(0)
                self.call("cudaLaunchKernel", **said)
                self.row("cpu_op", operator, here + 1, self.now - here - 2, **{"Input Dims": [[dims, 8]]})
                self.row("python_function", f"nn.Module: {cls}_{number}", here, self.now - here)
            self.row("python_function", f"nn.Module: Block_{layer}", begin, self.now - begin)
        self.row("python_function", "nn.Module: Model_0", start, self.now - start)
        self.call("cudaStreamEndCapture")

    def replay(self, names: list[str], grid: int = 1, nodes: Sequence[int] = ()) -> None:
        """A replay of these kernels, in order of time; `nodes` are their ids."""
        correlation = self.call("cudaGraphLaunch")
        for at, name in enumerate(names):
            args: dict[str, Any] = {"graph node id": nodes[at]} if nodes else {}
            args |= {"correlation": correlation, "stream": 7, "device": 0, "grid": [grid, 1, 1]}
            self.row("kernel", name, self.now, 9, **args)
            self.now += 10

    def module(self, folder: Path) -> Module:
        path = folder / "t.json"
        path.write_text(json.dumps({"schemaVersion": 1, "traceEvents": self.rows}), "utf-8")
        return tir.load(path)


def kernels(layers: int) -> list[str]:
    return [kernel for _ in range(layers) for _, _, kernel in LAYER]


def joined(module: Module, text: str = "capture", **inputs: Module) -> tuple[Module, PassManager, PassContext]:
    context, manager = PassContext(inputs=inputs), PassManager.parse(text)
    return manager.run(module, context), manager, context


def reasons(module: Module) -> list[str | None]:
    return module.text("capture.reason")


@pytest.mark.parametrize(("names", "basis"), [(True, "measured"), (False, "derived")])
def test_each_node_gets_what_enclosed_its_call(tmp_path: Path, names: bool, basis: str) -> None:
    """Modules, operator and shapes, in order; and so do all replays of the graph."""
    writer = Writer()
    writer.capture(3, names=names)
    for _ in range(2):
        writer.replay(kernels(3))
    found, _, _ = joined(writer.module(tmp_path))
    assert found.text("capture.basis") == [basis, basis]
    for replay in np.split(np.flatnonzero(found.work), 2):
        paths = [found.text("capture.module")[row] for row in replay.tolist()]
        assert paths[:5] == [
            "Model_0/Block_0/LayerNorm_0",
            "Model_0/Block_0/Linear_0",
            "Model_0/Block_0/Attention_0",
            "Model_0/Block_0/Linear_1",
            "Model_0/Block_1/LayerNorm_1",
        ]
        assert [found.text("capture.op")[row] for row in replay.tolist()] == [op for _, op, _ in LAYER] * 3
        assert {found.text("capture.shapes")[row] for row in replay.tolist()} == {"[[32,8]]"}
    assert (found["capture.module"] >= 0).sum() == 2 * 12


def test_layers_of_replays_are_those_of_the_capture(tmp_path: Path) -> None:
    """Though the device alone would begin them elsewhere, or not see that the first is a layer of another class."""
    writer = Writer()
    writer.capture(4, names=True)
    for _ in range(3):
        writer.replay(kernels(4))
    found, manager, _ = joined(writer.module(tmp_path), "capture,group")
    stacks = manager.reports(found)["group"].stacks  # type: ignore[attr-defined]
    assert [(one.layers, one.evidence, one.template, one.kernels_per_layer) for one in stacks] == [
        (4, "capture", "Block", 4)
    ] * 3
    tree = found.tree("layers")
    layer = tree.regions["index"][tree.at("layer")[found.work]]
    assert layer.tolist() == np.tile(np.repeat(np.arange(4), 4), 3).tolist()


@pytest.mark.parametrize("at", [0, 5, 11])
@pytest.mark.parametrize("names", [True, False])
def test_one_other_name_refuses_the_whole_join(tmp_path: Path, at: int, names: bool) -> None:
    """With its place; without names an operator has to contradict it."""
    writer = Writer()
    writer.capture(3, names=names)
    wrong = kernels(3)
    wrong[at] = "softmax_warp_forward"
    writer.replay(wrong)
    writer.replay(kernels(3))
    found, _, context = joined(writer.module(tmp_path))
    first, second = reasons(found)
    assert first is not None
    assert first.startswith(f"node {at} is softmax_warp_forward, and in the capture ")
    assert second is None
    assert [one.message for one in context.remarks] == [f"not joined: {first}."]
    assert (found["capture.module"] >= 0).sum() == 12


IDS = [4294967300 + 2 * at for at in range(12)]
"""Ids of nodes as newer profilers record them: the graph's number above, even numbers below."""
SHUFFLED = [*range(0, 12, 2), *range(1, 12, 2)]
"""An order of time that is not that of the capture, as on several streams."""


@pytest.mark.parametrize(("names", "basis"), [(True, "measured"), (False, "derived")])
def test_ids_of_nodes_join_whatever_the_order_of_time(tmp_path: Path, names: bool, basis: str) -> None:
    """Each kernel gets the call that has its id; without the ids the other order refuses the join."""
    order, wanted = kernels(3), []
    for ids in (IDS, []):
        writer = Writer()
        writer.capture(3, names=names, nodes=ids)
        writer.replay(order, nodes=ids)
        writer.replay([order[at] for at in SHUFFLED], nodes=[ids[at] for at in SHUFFLED] if ids else [])
        found, _, _ = joined(writer.module(tmp_path))
        if not ids:
            assert found.text("capture.basis") == [basis, None]
            continue
        assert found.text("capture.basis") == [basis, basis]
        for column in ("capture.module", "capture.op", "capture.shapes"):
            texts = [text for text, work in zip(found.text(column), found.work, strict=True) if work]
            assert texts[12:] == [texts[at] for at in SHUFFLED]
            wanted.append(texts[:12])
    assert wanted[0][0] == "Model_0/Block_0/LayerNorm_0"
    assert wanted[1] == [operator for _, operator, _ in LAYER] * 3


def test_one_other_name_at_an_id_refuses_the_whole_join(tmp_path: Path) -> None:
    """With the place in the capture, though the names are the same ones in another order."""
    writer = Writer()
    writer.capture(3, names=True, nodes=IDS)
    swapped = [1, 0, *range(2, 12)]
    writer.replay(kernels(3), nodes=[IDS[at] for at in swapped])
    found, _, _ = joined(writer.module(tmp_path))
    assert reasons(found) == ["node 0 is nvjet_qkv, and in the capture it is layer_norm_k"]
    assert (found["capture.module"] < 0).all()


def test_ids_of_which_some_are_others_refuse_the_join(tmp_path: Path) -> None:
    """The names are equal, and it is another graph of the same process all the same."""
    writer = Writer()
    writer.capture(3, names=True, nodes=IDS)
    writer.replay(kernels(3), nodes=[*IDS[:5], 77, *IDS[6:]])
    found, _, _ = joined(writer.module(tmp_path))
    assert reasons(found) == [f"node 5 of the capture has the id {IDS[5]}, and no node of the replay has it"]


@pytest.mark.parametrize("nodes", [[at + 5 for at in range(12)], [], [IDS[0]] * 12])
def test_ids_that_do_not_tell_leave_it_to_the_order(tmp_path: Path, nodes: list[int]) -> None:
    """Those of another process, of one side alone, or several alike."""
    writer = Writer()
    writer.capture(3, names=True, nodes=IDS)
    writer.replay(kernels(3), nodes=nodes)
    found, _, _ = joined(writer.module(tmp_path))
    assert found.text("capture.basis") == ["measured"]


def test_ids_choose_among_captures_of_one_program(tmp_path: Path) -> None:
    """Where grids are alike, too: the capture whose ids the replay has gives the shapes."""
    others = [node + 1000 for node in IDS]
    writer = Writer()
    writer.capture(3, names=True, dims=8, nodes=others)
    writer.capture(3, names=True, dims=16, nodes=IDS)
    writer.replay(kernels(3), nodes=IDS)
    found, _, _ = joined(writer.module(tmp_path))
    assert {found.text("capture.shapes")[row] for row in np.flatnonzero(found.work).tolist()} == {"[[16,8]]"}


def test_a_lost_node_refuses_the_join(tmp_path: Path) -> None:
    """Nothing is shifted into place."""
    writer = Writer()
    writer.capture(3, names=True)
    writer.replay(kernels(3)[1:])
    found, _, _ = joined(writer.module(tmp_path))
    assert reasons(found) == ["no capture has 11 nodes (there are captures of 12)"]
    assert "capture.module" in found
    assert (found["capture.module"] < 0).all()


def test_operators_that_say_nothing_are_no_confirmation(tmp_path: Path) -> None:
    """Counts alone are equal too often."""
    writer = Writer()
    writer.call("cudaStreamBeginCapture")
    for _ in range(4):
        writer.call("cudaLaunchKernel")
    writer.call("cudaStreamEndCapture")
    writer.replay(kernels(1))
    found, _, _ = joined(writer.module(tmp_path))
    assert reasons(found) == ["the capture names no kernels, and too few of its operators say what they launch"]


def test_of_captures_of_one_program_the_grids_tell(tmp_path: Path) -> None:
    """Graphs for several batch sizes: the same names, other grids; and shapes go with the capture."""
    writer = Writer()
    writer.capture(3, names=True, grid=1, dims=8)
    writer.capture(3, names=True, grid=2, dims=16)
    writer.replay(kernels(3), grid=2)
    found, _, _ = joined(writer.module(tmp_path))
    assert {found.text("capture.shapes")[row] for row in np.flatnonzero(found.work).tolist()} == {"[[16,8]]"}
    both = Writer()
    both.capture(3, names=True, grid=1, dims=8)
    both.capture(3, names=True, grid=2, dims=16)
    both.replay(kernels(3), grid=1)
    both.replay(kernels(3), grid=2)
    found, _, _ = joined(both.module(tmp_path))
    shapes = [text for text in found.text("capture.shapes") if text is not None]
    assert shapes == ["[[8,8]]"] * 12 + ["[[16,8]]"] * 12, "each replay has the capture of its own size"
    again = Writer()
    again.capture(3, names=True, grid=1, dims=8)
    again.capture(3, names=True, grid=2, dims=16)
    again.replay(kernels(3), grid=3)
    found, _, _ = joined(again.module(tmp_path))
    assert (found["capture.shapes"] < 0).all(), "which capture it was is unknown, and so are the shapes"
    assert (found["capture.module"] >= 0).sum() == 12


def test_captures_on_several_threads(tmp_path: Path) -> None:
    """Calls are of the capture on their own thread; one that nothing ends has all calls to the end of the trace."""
    first, second = Writer(), Writer()
    first.capture(3, names=True)
    second.now, second.correlation = 1, 1000
    second.call("cudaStreamBeginCapture")
    for _, _, name in LAYER:
        second.call("cudaLaunchKernel", kernel=name, grid=[1, 1, 1])
    for row in second.rows:
        row["tid"] = 2
    first.rows += second.rows
    first.replay(kernels(3))
    first.replay(kernels(1))
    found, _, _ = joined(first.module(tmp_path))
    assert found.text("capture.basis") == ["measured", "measured"]


def test_a_capture_in_a_file_of_its_own(tmp_path: Path) -> None:
    """As a second input; all of its launches are captured ones, if it does not say where a capture begins."""
    (tmp_path / "a").mkdir()
    taken, run = Writer(), Writer()
    taken.capture(3, names=True)
    taken.rows = [row for row in taken.rows if "Capture" not in row["name"]]
    run.replay(kernels(3))
    module = run.module(tmp_path)
    found, _, _ = joined(module, capture=taken.module(tmp_path / "a"))
    assert found.text("capture.basis") == ["measured"]
    alone, _, context = joined(module)
    assert reasons(alone) == ["there is no capture"]
    assert context.remarks == []


def test_a_real_capture_joins_its_real_replay(load_shared: Load) -> None:
    """544 of 544; and every kernel has the layer that the device's structure alone gives it."""
    found, manager, _ = joined(load_shared("sgl_dec"), "capture,group", capture=load_shared("sgl_cap"))
    report: Any = manager.reports(found)["capture"]
    assert (report.replays, report.joined, report.work, report.joined_work) == (1, 1, 544, 544)
    assert report.basis == {"measured": 1, "derived": 0}
    alone = PassManager.parse("group{by=device}").run(load_shared("sgl_dec"))
    layers = []
    for module in (found, alone):
        tree = module.tree("layers")
        layers.append(np.append(tree.regions["index"], -1)[tree.at("layer")])
    assert np.array_equal(layers[0], layers[1])
    assert np.count_nonzero(layers[0] >= 0) == 540
    stack: Any = manager.reports(found)["group"]
    assert [(one.evidence, one.template, one.layers) for one in stack.stacks] == [("capture", "Qwen3DecoderLayer", 36)]


def test_a_capture_of_another_batch_size_is_not_joined(load_shared: Load) -> None:
    """The prefill and decode trace of the same model replays a graph of 504 nodes, and not of 544."""
    found, _, _ = joined(load_shared("sgl_pd"), capture=load_shared("sgl_cap"))
    assert all(reason is not None for reason in reasons(found))
    assert (found["capture.module"] < 0).all()
