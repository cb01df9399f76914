"""The truth of a synthetic trace is what a brute-force reading of its document finds."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.synth.reading import COMM, QUICK, begin, by_step, end, paint, parse, work
from traceir.synth import Decoder, Truth, render


@st.composite
def decoders(draw: st.DrawFn) -> Decoder:
    """Small decoders with any combination of options."""
    parallel = draw(st.sampled_from([1, 2, 8]))
    comm_stream = draw(st.booleans())
    layers = draw(st.integers(1, 3))
    overlap = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0])) if comm_stream and parallel > 1 else 0.0
    return Decoder(
        layers=layers,
        steps=draw(st.integers(1, 3)),
        mlp=draw(st.sampled_from(["dense", "moe", "alternating"])),
        qk_norm=draw(st.booleans()),
        vendor=draw(st.sampled_from(["nvidia", "amd"])),
        launch=draw(st.sampled_from(["eager", "graph", "mixed"])),
        prefill_every=draw(st.integers(0, 2)),
        prefill_scale=draw(st.integers(1, 3)),
        tensor_parallel=parallel,
        all_reduce=draw(st.sampled_from(["nccl", "custom", "multimem"])),
        comm_stream=comm_stream,
        overlap=overlap,
        modules=draw(st.booleans()),
        stack=draw(st.booleans()),
        frames=draw(st.integers(0, 2)),
        shapes=draw(st.booleans()),
        memory=draw(st.booleans()),
        sync_rows=draw(st.booleans()),
        graph_ids=draw(st.booleans()),
        marks=draw(st.sampled_from(["profiler", "serving"])),
        orphan_layers=draw(st.integers(0, layers)),
        stall=draw(st.sampled_from([None, "host", "blocking"])),
        stall_every=draw(st.integers(1, 2)),
        stall_ns=400_000,
        sync=draw(st.booleans()),
        host_gap_ns=30_000,
        jitter=draw(st.sampled_from([0.0, 0.03, 0.2])),
        seed=draw(st.integers(0, 5)),
        device=draw(st.integers(0, 3)),
    )


def _compare(options: Decoder, text: str, truth: Truth) -> None:
    rows = parse(text)["traceEvents"]
    device = work(rows)
    found = paint(device)
    assert {key: value for key, value in attrs.asdict(truth.times).items() if key in found} == found
    kernels = [row for row in device if row["cat"] == "kernel"]
    assert truth.kernels == len(kernels)
    assert truth.events == len(rows)
    assert truth.bytes == len(text)
    steps = by_step(rows, options)
    assert len(steps) == len(truth.steps)
    for step, members in zip(truth.steps, steps, strict=True):
        times = attrs.asdict(step.times)
        assert {key: times[key] for key in found} == paint(members)
        assert (step.start_ns, step.end_ns) == (begin(members[0]), max(map(end, members)))
        assert step.kernels == sum(row["cat"] == "kernel" for row in members)
        collectives = sum(bool(COMM.search(row["name"])) for row in members)
        gathers = 1 if options.tensor_parallel > 1 else 0
        assert step.all_reduces + gathers == collectives


@settings(max_examples=60)
@given(decoders())
def test_the_truth_is_what_brute_force_finds_in_the_document(options: Decoder) -> None:
    """Counts and device times, in all and by step, are exact to the ns under all options."""
    text, truth = render(options)
    _compare(options, text, truth)


@settings(max_examples=60)
@given(decoders())
def test_constructed_gaps_are_device_gaps_with_the_stated_cause_on_the_host(options: Decoder) -> None:
    """Each stated gap is idle from end to end and touches work on both sides, and its cause is on the host."""
    text, truth = render(options)
    rows = parse(text)["traceEvents"]
    device = work(rows)
    spans = [(begin(row), end(row)) for row in device]
    blocking = [
        (begin(row), end(row))
        for row in rows
        if row.get("cat") == "cuda_runtime"
        and any(word in row["name"] for word in ("Synchronize", "WithStream", "Malloc"))
    ]
    for gap in truth.gaps:
        assert not any(start < gap.end_ns and stop > gap.start_ns for start, stop in spans)
        assert any(stop == gap.start_ns for _, stop in spans)
        assert any(start == gap.end_ns for start, _ in spans)
        inside = sum(max(0, min(stop, gap.end_ns) - max(start, gap.start_ns)) for start, stop in blocking)
        spanning = any(start <= gap.start_ns < stop < gap.end_ns for start, stop in blocking)
        if gap.gap_class == "host_sync":
            assert 2 * inside >= gap.end_ns - gap.start_ns
        elif gap.gap_class == "after_sync":
            assert spanning
        else:
            assert 2 * inside < gap.end_ns - gap.start_ns


@pytest.mark.parametrize("launch", ["eager", "graph"])
def test_a_tensor_parallel_decoder_has_two_all_reduces_a_layer_and_one_for_the_embedding(launch: Any) -> None:
    """The count law of tensor parallelism holds in every step."""
    _, truth = render(Decoder(layers=5, steps=3, tensor_parallel=8, launch=launch, all_reduce="custom"))
    assert [step.all_reduces for step in truth.steps] == [2 * 5 + 1] * 3
    assert (truth.all_reduces, truth.all_gathers) == (33, 3)


@pytest.mark.parametrize("share", [0.1, 0.4, 0.7, 0.95])
def test_the_overlap_option_sets_the_hidden_share(share: float) -> None:
    """In a replay without jitter the hidden share of communication is near the one asked for."""
    options = Decoder(
        layers=30, steps=1, launch="graph", tensor_parallel=2, comm_stream=True, overlap=share, jitter=0.0, memory=False
    )
    _, truth = render(options)
    assert truth.times.overlap_ns / truth.times.comm_ns == pytest.approx(share, abs=0.06)


def test_communication_on_the_main_stream_is_never_hidden() -> None:
    """On one stream nothing overlaps, and all communication is exposed."""
    _, truth = render(Decoder(**QUICK, launch="eager", tensor_parallel=4))
    assert truth.times.overlap_ns == 0
    assert truth.times.exposed_ns == truth.times.comm_ns > 0


def test_stalls_and_steps_make_the_gaps_that_they_should() -> None:
    """Every stalled replay has its gap, and every step after the first one behind a sync."""
    causes: list[tuple[Any, Any]] = [("host", "host_late"), ("blocking", "host_sync")]
    for stall, cause in causes:
        _, truth = render(Decoder(layers=3, steps=6, launch="graph", stall=stall, stall_every=2))
        assert [gap.gap_class for gap in truth.gaps].count(cause) == 3
        assert [gap.gap_class for gap in truth.gaps].count("after_sync") == 5


def test_variants_name_every_layer_once_with_its_members_in_order() -> None:
    """An alternating model has two bodies that share the layers between them."""
    _, truth = render(Decoder(layers=5, steps=1, mlp="alternating", launch="graph"))
    assert {variant.name: variant.layers for variant in truth.variants} == {"dense": (0, 2, 4), "moe": (1, 3)}
    dense = next(variant for variant in truth.variants if variant.name == "dense")
    assert truth.kernels_per_layer == len(dense.members)
    assert [member.label for member in dense.members][:2] == ["input_norm", "qkv_proj"]
    assert truth.stacks[0].kernels == sum(len(variant.members) * len(variant.layers) for variant in truth.variants)


def test_orphans_come_before_the_window_and_form_a_partial_stack() -> None:
    """Work launched before the window has no runtime call, a smaller correlation, and an `f` without an `s`."""
    text, truth = render(Decoder(**QUICK, launch="eager", orphan_layers=1))
    rows = parse(text)["traceEvents"]
    calls = {row["args"]["correlation"] for row in rows if row.get("cat") in ("cuda_runtime", "cuda_driver")}
    orphans = [row for row in work(rows) if row["args"]["correlation"] not in calls]
    assert len(orphans) == truth.orphans > 0
    assert max(row["args"]["correlation"] for row in orphans) < min(calls)
    assert not any("External id" in row["args"] for row in orphans)
    begun = {row["id"] for row in rows if row["ph"] == "s"}
    assert all(row["args"]["correlation"] not in begun for row in orphans)
    assert truth.stacks[0].partial
    assert (truth.stacks[0].step, truth.stacks[0].layers) == (None, 1)
