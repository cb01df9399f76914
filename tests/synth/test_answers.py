"""The passes find in synthetic traces what is known to be in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings

import traceir as tir
from tests.synth.test_truth import decoders
from traceir.passing.report import to_json
from traceir.synth import Decoder, Truth, write

SMALL: dict[str, Any] = {"layers": 8, "steps": 2, "host_gap_ns": 60_000, "frames": 1}


def analyse(options: Decoder, pipeline: str, folder: Path) -> tuple[Truth, tir.Module, dict[str, Any]]:
    """What is true of a trace, and what the pipeline says of it."""
    path = folder / "trace.json"
    truth = write(options, path)
    manager = tir.PassManager.parse(pipeline)
    module = manager.run(tir.load(path))
    return truth, module, {name: to_json(report) for name, report in dict(manager.reports(module)).items()}


def _same(found: dict[str, Any], times: Any) -> None:
    known = attrs.asdict(times)
    keys = set(known) & set(found)
    assert {"span_ns", "busy_ns", "comm_ns", "compute_ns", "overlap_ns", "exposed_ns", "idle_ns"} <= keys
    assert {key: found[key] for key in keys} == {key: known[key] for key in keys}


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(options=decoders())
def test_overlap_is_exact_for_the_device_and_each_step(options: Decoder, tmp_path: Path) -> None:
    """Hidden, exposed, busy and idle time equal the truth to the ns, whatever the options."""
    truth, _, results = analyse(options, "group,overlap", tmp_path)
    (device,) = results["overlap"]["devices"]
    _same(device, truth.times)
    known = {step.start_ns: step for step in truth.steps}
    assert len(results["overlap"]["steps"]) >= len(known)
    exact = [
        row for row in results["overlap"]["steps"] if row.get("span_ns") in {s.times.span_ns for s in known.values()}
    ]
    assert len(exact) == len(known)
    for row, step in zip(exact, truth.steps, strict=True):
        _same(row, step.times)


LAYERED: list[dict[str, Any]] = [
    {"launch": "graph"},
    {"launch": "graph", "mlp": "moe", "modules": False, "tensor_parallel": 4, "all_reduce": "custom"},
    {"launch": "graph", "mlp": "alternating", "layers": 9},
    {"launch": "graph", "vendor": "amd", "tensor_parallel": 8, "all_reduce": "custom"},
    {"launch": "graph", "qk_norm": False, "jitter": 0.2},
    {"launch": "eager", "tensor_parallel": 2},
    {"launch": "eager", "tensor_parallel": 2, "modules": False, "marks": "none"},
    {"launch": "eager", "stack": False, "tensor_parallel": 8, "all_reduce": "multimem"},
    {"launch": "eager", "prefill_every": 2, "marks": "serving"},
    {"launch": "eager", "tensor_parallel": 8, "comm_stream": True, "overlap": 0.6},
    {"launch": "eager", "orphan_layers": 5, "tensor_parallel": 2},
    {"launch": "mixed", "prefill_every": 2, "tensor_parallel": 2, "stall": "host"},
]


@pytest.mark.parametrize("given_", LAYERED, ids=lambda given_: "-".join(f"{k}={v}" for k, v in given_.items()))
def test_layers_have_the_kernels_and_labels_that_they_were_made_of(given_: dict[str, Any], tmp_path: Path) -> None:
    """Every stack has its layers, every layer its kernels, and every kernel the label of its place."""
    options = Decoder(**{**SMALL, **given_})
    truth, module, results = analyse(options, "group{detail=events}", tmp_path)
    stacks = [(stack["layers"], stack["partial"], stack["kernels"]) for stack in results["group"]["stacks"]]
    assert stacks == [(stack.layers, stack.partial, stack.kernels) for stack in truth.stacks]
    bodies = {layer: variant.members for variant in truth.variants for layer in variant.layers}
    row_of = {int(number): row for row, number in enumerate(module["id"].tolist())}
    labels, kinds = module.text("group.label"), module.kinds
    for layer in results["group"]["layers"]:
        skipped = options.layers - truth.stacks[layer["stack"]].layers
        rows = sorted(row_of[number] for number in layer["events"])
        found = [labels[row] for row in rows if kinds[module["kind"][row]] == "dev.kernel"]
        known = [member.label for member in bodies[layer["index"] + skipped]]
        # Beside another stream the order in time is not the order of the body.
        assert (sorted if options.comm_stream else list)(map(str, found)) == (sorted if options.comm_stream else list)(
            known
        )


@pytest.mark.parametrize(
    "given_",
    [
        {"launch": "eager", "all_reduce": "nccl"},
        {"launch": "graph", "all_reduce": "nccl"},
        {"launch": "graph", "all_reduce": "multimem", "comm_stream": True},
        {"launch": "mixed", "all_reduce": "custom", "prefill_every": 2},
        {"launch": "eager", "all_reduce": "nccl", "vendor": "amd"},
    ],
    ids=lambda given_: "-".join(map(str, given_.values())),
)
def test_collectives_are_counted_by_kind(given_: dict[str, Any], tmp_path: Path) -> None:
    """Two all-reduces a layer and one for the embedding, and one all-gather a step, of whatever library."""
    truth, _, results = analyse(Decoder(**SMALL, tensor_parallel=8, **given_), "collectives", tmp_path)
    counts = {kind: count for kind, count in results["collectives"]["by_kind"].items() if count}
    assert counts == {"all_reduce": truth.all_reduces, "all_gather": truth.all_gathers}
    assert truth.all_reduces == 2 * (2 * 8 + 1)


@pytest.mark.parametrize("stall", ["host", "blocking"])
@pytest.mark.parametrize("launch", ["graph", "eager"])
def test_gaps_that_were_made_have_the_cause_they_were_made_with(stall: Any, launch: Any, tmp_path: Path) -> None:
    """Stalls of the host, syncs at the end of a step and the seams of a replay get their class, to the ns."""
    options = Decoder(**{**SMALL, "steps": 4}, launch=launch, stall=stall)
    truth, _, results = analyse(options, "gaps", tmp_path)
    (device,) = results["gaps"]["devices"]
    assert device["idle_ns"] == truth.times.idle_ns == sum(device["classes"].values())
    made = {gap.gap_class: sum(g.end_ns - g.start_ns for g in truth.gaps if g.gap_class == gap.gap_class)
            for gap in truth.gaps}  # fmt: skip
    for cause in made.keys() - {"host_late"}:
        assert device["classes"][cause] == made[cause]
    # The eager host is late by itself now and then, which is on top of the stalls.
    assert device["classes"].get("host_late", 0) >= made.get("host_late", 0)
    assert device["classes"].get("graph_internal", 0) == truth.times.graph_internal_ns
    assert ("host_late" if stall == "host" else "host_sync") in made


@pytest.mark.parametrize(
    "given_",
    [
        {"mlp": "alternating", "layers": 8},
        {"mlp": "alternating", "layers": 28},
        {"tensor_parallel": 8, "comm_stream": True},
    ],
    ids=["longer-last-layer", "many-longer-last-layer", "collective-between-layers"],
)
def test_replayed_layers_have_all_their_kernels(given_: dict[str, Any], tmp_path: Path) -> None:
    """No kernel of a layer is left outside the stack, where only the device knows of layers."""
    truth, _, results = analyse(Decoder(**{**SMALL, **given_}, launch="graph"), "group", tmp_path)
    assert [stack["kernels"] for stack in results["group"]["stacks"]] == [stack.kernels for stack in truth.stacks]
