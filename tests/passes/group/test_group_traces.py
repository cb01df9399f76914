"""Grouping of real traces: known layers, by every evidence, with evidence taken away, and under damage."""

from __future__ import annotations

import re
from collections.abc import Callable

import attrs
import numpy as np
import pytest

import traceir as tir
from traceir.ir import Mask, Table
from traceir.ir.module import EDGE_KINDS
from traceir_passes.group.report import GroupReport

Load = Callable[[str], tir.Module]


def run(module: tir.Module, text: str = "group") -> tuple[tir.Module, GroupReport]:
    """The grouped module and its report."""
    manager = tir.PassManager.parse(text)
    result = manager.run(module)
    report = manager.reports(result)["group"]
    assert isinstance(report, GroupReport)
    return result, report


def shape(report: GroupReport) -> list[tuple[int, int]]:
    """Layers and kernels of a layer, stack by stack."""
    return [(stack.layers, stack.kernels_per_layer) for stack in report.stacks]


def without(module: tir.Module, drop: Mask, *, edges: bool = True) -> tir.Module:
    """The module built anew without some events, or without its launches."""
    keep = ~drop
    at = np.cumsum(keep) - 1
    table = module.tables["edge"]
    whole = keep[table["src"]] & keep[table["dst"]]
    linked = [
        (kind, at[table["src"][whole & (table["kind"] == k)]], at[table["dst"][whole & (table["kind"] == k)]])
        for k, kind in enumerate(EDGE_KINDS)
    ]
    return tir.ModuleBuilder(
        name=module.name,
        strings=module.strings,
        lanes=module.lanes,
        kinds=module.kinds,
        id=module["id"][keep],
        kind=module["kind"][keep],
        name_code=module["name"][keep],
        ts=module["ts"][keep],
        dur=module["dur"][keep],
        lane=module["lane"][keep],
        offset=module["offset"][keep],
        length=module["length"][keep],
        edges=linked if edges else [],
        source=module.source,
        slack_ns=1000,
    ).build()


KNOWN = {
    "sgl_dec": ("device", [(36, 15)]),
    "sgl_pd": ("modules", [(36, 14)]),
    "vllm_pw": ("device", [(24, 17)]),
    "b200": ("modules", [(36, 21)]),
    "qwen_h100": ("mixed", [(10, 42), (24, 42)]),
    "bert_h100": ("modules", [(4, 12)]),
    "bert_mi300": ("modules", [(4, 12)]),
}


@pytest.mark.parametrize("name", KNOWN)
def test_layers_of_known_models(load_shared: Load, name: str) -> None:
    """Layers and kernels a layer are those of the model, with the best evidence there is."""
    _, report = run(load_shared(name))
    assert (report.evidence, shape(report)) == KNOWN[name]
    assert report.confidence > 0.9


@pytest.mark.parametrize("name", KNOWN)
def test_device_structure_alone_finds_the_same_layers(load_shared: Load, name: str) -> None:
    """Without modules, without launches and without the host the layers are the same, kernel by kernel."""
    module = load_shared(name)
    known, _ = run(module)
    frames = np.array([text.startswith("nn.Module") for text in module.strings.texts])[module["name"]]
    none = np.zeros(len(module), bool)
    lane = int(np.bincount(module["lane"][module.work]).argmax())
    for poor in (without(module, frames), without(module, none, edges=False), without(module, ~module.work)):
        found, report = run(poor)
        assert shape(report) == KNOWN[name][1]
        assert report.evidence == "device"
        assert members(found, lane) == members(known, lane)


def members(module: tir.Module, lane: int) -> dict[int, tuple[int, int]]:
    """For each event of a lane in a layer its stack and layer, by id."""
    tree = module.tree("layers")
    layer = tree.at("layer")
    rows = np.flatnonzero((layer >= 0) & (module["lane"] == lane) & module.work)
    index, parent = tree.regions["index"], tree.parent
    return {int(module["id"][r]): (int(index[parent[layer[r]]]), int(index[layer[r]])) for r in rows}


@pytest.mark.parametrize("share", [0.01, 0.03, 0.05])
@pytest.mark.parametrize("name", ["sgl_pd", "vllm_pw", "b200", "qwen_h100"])
def test_lost_kernels_leave_the_count(load_shared: Load, name: str, share: float) -> None:
    """With up to 5 % of the device work lost the device's own structure still gives the same numbers of layers."""
    module = load_shared(name)
    for seed in range(2):
        lost = module.work & (np.random.default_rng(seed).random(len(module)) < share)
        _, report = run(without(module, lost), "group{by=device}")
        assert [stack.layers for stack in report.stacks] == [layers for layers, _ in KNOWN[name][1]]


def test_shuffled_template_arguments_change_nothing(load_shared: Load) -> None:
    """Roles are the alphabet: layers do not depend on which variant of a kernel ran."""
    module = load_shared("sgl_dec")
    texts = [re.sub(r"(MT|Li)(\d+)", lambda m: f"{m[1]}{int(m[2]) * 7 % 256}", text) for text in module.strings.texts]
    rng = np.random.default_rng(0)
    names = [texts[code] for code in module["name"].tolist()]
    gemms = [k for k, text in enumerate(names) if text.startswith("Cijk")]
    for k in gemms:
        names[k] = names[gemms[int(rng.integers(len(gemms)))]]
    strings, codes = tir.Strings().encode(names)
    columns = {name: column.data for name, column in module.tables["event"].columns.items()}
    tables = {**module.tables, "event": Table.of("event", {**columns, "name": codes}, len(module))}
    _, report = run(attrs.evolve(module, strings=strings, tables=tables))
    assert shape(report) == [(36, 15)]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nccl", "no_repetition"),
        ("s0", "no_repetition"),
        ("alexnet", "no_repetition"),
        ("dlrm", "no_repetition"),
        ("mi250", "no_repetition"),
        ("event_sync", "no_repetition"),
        ("triton", "single_block"),
        ("cpu_only", "no_device_work"),
    ],
)
def test_traces_without_layers(load_shared: Load, name: str, reason: str) -> None:
    """Convnets, recommenders, a single block and host-only traces have no layers, and the reason is said."""
    _, report = run(load_shared(name))
    assert (report.evidence, report.stacks, report.reason) == ("none", (), reason)


def test_steps_by_launch(load_shared: Load) -> None:
    """Three training steps of a convnet hold exactly 900 kernels each when kernels count where they were launched."""
    _, report = run(load_shared("nccl"))
    assert [(step.label, step.kernels) for step in report.steps] == [(f"ProfilerStep#{k}", 900) for k in (4, 5, 6)]


def test_graph_members_before_and_after_the_layers(load_shared: Load) -> None:
    """Of the 544 kernels of one replay one precedes the layers (embed) and three follow them (norm, head, cast)."""
    module, _ = run(load_shared("sgl_dec"))
    graph = int(np.flatnonzero(module.is_kind("rt.graph_launch"))[0])
    mine = np.flatnonzero((module.launch == graph) & module.work)
    inside = module["tree.layers"][mine] >= 0
    first, last = int(inside.argmax()), len(mine) - int(inside[::-1].argmax())
    assert (len(mine), first, len(mine) - last) == (544, 1, 3)
    labels = module.text("group.label")
    assert [labels[row] for row in [*mine[:1], *mine[-3:]]] == ["embed", "final_norm", "lm_head", None]


CLASS_LABELS = {
    "QKVParallelLinear": {"qkv_proj"},
    "RowParallelLinear": {"o_proj", "down_proj"},
    "MergedColumnParallelLinear": {"gate_up_proj"},
    "SiluAndMul": {"activation"},
    "RotaryEmbedding": {"rope"},
    "RadixAttention": {"attention", "kv_store"},
    "RMSNorm": {"input_norm", "qk_norm", "post_norm", "final_norm"},
    "Qwen3Attention": {"qk_norm"},
    "VocabParallelEmbedding": {"embed"},
    "BertIntermediate": {"gate_up_proj"},
    "GELUActivation": {"activation"},
    "LayerNorm": {"post_norm", "output_norm", "embed_norm"},
}


@pytest.mark.parametrize("name", ["sgl_pd", "bert_h100", "bert_mi300"])
def test_labels_equal_module_classes(load_shared: Load, name: str) -> None:
    """Where modules launched the work, each label read from the order of roles is one of the module's."""
    module, _ = run(load_shared(name), "group{by=device}")
    labels = module.text("group.label")
    checked = 0
    for row in np.flatnonzero(module["tree.layers"] >= 0).tolist():
        event = module.event(row)
        launch = event.launch
        classes = [] if launch is None else [a.name for a in launch.ancestors if a.name.startswith("nn.Module: ")]
        cls = re.sub(r"nn\.Module: (.*)_\d+", r"\1", classes[0]) if classes else ""
        if cls in CLASS_LABELS:
            checked += 1
            assert labels[row] in CLASS_LABELS[cls], (event.name, classes[:2])
    assert checked >= 12
