"""What the built-in passes declare is what they read: nothing besides `reads`, `uses` and their own columns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings

import traceir as tir
from tests.conftest import ROOT, find_trace
from traceir.ir.access import Access
from traceir.ir.annotation import null_mask
from traceir.passing import Pass
from traceir.passing.promises import apply
from traceir.registry import Registry
from traceir.synth import Decoder, render
from traceir.testing import modules

ORDER = ("infer", "group", "collectives", "overlap", "gaps", "fold")
OTHERS = tuple(
    name
    for name, entry in Registry.installed().all("passes")
    if entry.provider == "traceir" and name not in ORDER and entry.load().annotates
)
PASSES = (*ORDER, *OTHERS)
"""All that come with traceir and only annotate: those that use what others write behind these."""
ARGS = frozenset(("offset", "length"))
"""Where an event stands in its source: who reads its arguments looks there."""
DECODER = Decoder(
    layers=3, steps=2, launch="mixed", prefill_every=2, tensor_parallel=8, comm_stream=True, overlap=0.5, memory=True,
    sync_rows=True, stall="blocking", stall_every=1,
)  # fmt: skip


def reads(item: Pass, before: tir.Module) -> tuple[set[str], tir.Module]:
    """The columns that `run`, `report` and `check` look at, and the module after the pass."""
    seen = Access()
    item.run(before.watched(seen), tir.PassContext())
    after = apply(item, before, tir.PassContext())
    item.report(after.watched(seen))
    item.check(after.watched(seen))
    return seen.read, after


def undeclared(module: tir.Module) -> Iterator[tuple[str, list[str]]]:
    """What each pass read and does not declare. Columns that are there before any pass are anybody's."""
    there = set(module.annotations)
    for item in tir.PassManager.parse(",".join(PASSES)).resolve(module):
        seen, module = reads(item, module)
        declared = {*item.inputs(), *(one.name for one in item.writes), *there}
        yield item.name(), sorted(seen - declared - (ARGS if "args" in declared else set()))


@cache
def made() -> bytes:
    """Eight ranks, graphs and eager steps, prefill and decode, blocking calls, copies."""
    text, _ = render(DECODER)
    return text if isinstance(text, bytes) else text.encode()


@pytest.mark.parametrize("name", ["decoder_tp8_graph.json.gz", "qwen_tiny_cpu.json.gz", "made"])
def test_passes_read_what_they_declare(name: str, tmp_path: Path) -> None:
    """On whole traces, in which they find something."""
    path = ROOT / "examples" / name
    if name == "made":
        path = tmp_path / "made.json"
        path.write_bytes(made())
    assert {name: more for name, more in undeclared(tir.load(path)) if more} == {}


@pytest.mark.parametrize("short", ["sgl_dec", "bert_h100", "mi250", "event_sync_multi", "gloo"])
def test_passes_read_what_they_declare_on_real_traces(short: str) -> None:
    """Of several vendors."""
    assert {name: more for name, more in undeclared(tir.load(find_trace(short))) if more} == {}


@settings(max_examples=30, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # the names say enough
@given(
    modules(
        trees=False,
        annotations=False,
        tables=False,
        kinds=("dev.kernel", "rt.launch", "host.op", "ctr.sample"),
        min_events=4,
    )
    | modules(trees=False, annotations=False, tables=False)
)
def test_passes_read_what_they_declare_on_any_module(module: tir.Module) -> None:
    """Removed events, windows and hostile names among them."""
    assert {name: more for name, more in undeclared(module) if more} == {}


def test_the_source_s_arguments_are_declared_where_they_are_read() -> None:
    """So that `why` can name them; they never change, so nothing is stale by them."""
    declared = {name for name, entry in Registry.installed().all("passes") if "args" in entry.load().inputs()}
    assert declared >= {"collectives", "gaps", "fold"}
    module = tir.PassManager.parse("collectives").run(tir.load(ROOT / "examples" / "decoder_tp8_graph.json.gz"))
    assert ("args", 0) in module.annotations["coll.kind"].inputs
    assert not module.stale("coll.kind")


def test_null_texts_are_true_of_every_row() -> None:
    """What a column that only stacks have, or only device work, says of another row is not that it was looked at."""
    module = tir.load(ROOT / "examples" / "decoder_tp8_graph.json.gz")
    module = tir.PassManager.parse(",".join(PASSES)).run(module)
    regions = module.tables["region:layers"]
    kinds = module.strings.decode(regions["kind"])
    host = ~module.work
    for written in module.annotations.values():
        item = written.annotation
        null = null_mask(module[item.name], item)
        assert item.null or not null.any(), f"{item.name} has nulls, and its declaration does not say what they mean"
        if item.domain == "event" and not item.name.startswith("tree.") and null[host].all():
            assert re.search("no .*work|communication|in no layer", item.null), item.name
        if item.domain == "region:layers":
            bare = {kind for kind, missing in zip(kinds, null, strict=True) if missing}
            assert not bare or re.search("not a (stack|layer)", item.null), item.name
    step = module.annotations["group.step"].annotation
    assert step.null == "in no step, or not a stack"
