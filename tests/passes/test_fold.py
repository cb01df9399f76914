"""The passes `fold` and `inline`: what they keep, whatever the module, and what a folded module prints as."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.build import Ev, annotate, module
from traceir import folding
from traceir.ir import Written
from traceir.ir.equality import difference
from traceir.passing import to_json
from traceir.passing.promises import apply
from traceir.synth import Decoder, render
from traceir.testing import assert_sound, modules
from traceir.text import parse, spell
from traceir_passes.fold import TABLES, WRITES, Fold
from traceir_passes.inline import Inline

ROLES = ("norm", "gemm", "attention", "moe-gemm", "all-reduce")
MINE = frozenset(one.name for one in (*WRITES, *Inline.writes))
Load = Callable[[str], tir.Module]


@st.composite
def grouped(draw: st.DrawFn) -> tir.Module:
    """Kernels in any order of steps, layers, roles and lanes, with any durations: layers need not be contiguous."""
    count = draw(st.integers(0, 24))
    events, now = [], 0
    for _ in range(count):
        now += draw(st.integers(0, 3))
        kind = draw(st.sampled_from(["dev.kernel", "dev.memcpy", "host.op"]))
        lane = "cpu.main" if kind == "host.op" else draw(st.sampled_from(["gpu0.s7", "gpu0.s20", "gpu1.s7"]))
        events.append(Ev(kind, draw(st.sampled_from("abc")), now, draw(st.integers(0, 9)), lane))
    item = module(events)
    ids = range(count)
    roles = {id: draw(st.sampled_from(ROLES)) for id in ids if draw(st.booleans())}
    item = annotate(item, tir.Annotation("infer.role", dtype="str", shown="role"), roles)
    labels = {id: draw(st.sampled_from(("qkv_proj", "misc"))) for id in ids if draw(st.booleans())}
    item = annotate(item, tir.Annotation("group.label", dtype="str", shown="label"), labels)
    steps = [tir.Region("step", f"step.{i}", i) for i in range(3)]
    leaf = [draw(st.integers(-1, 2)) for _ in ids]
    item = item.with_tree("steps", steps, leaf)
    regions: list[tir.Region] = []
    for i in range(3):
        regions.append(tir.Region("stack", f"stack.{i}", i))
        regions += [tir.Region("layer", f"stack.{i}.layer.{k}", k, parent=4 * i) for k in range(3)]
    # A stack lies in one step, as those of group do.
    inner = [4 * step + draw(st.integers(1, 3)) if step >= 0 and draw(st.booleans()) else -1 for step in leaf]
    item = item.with_tree("layers", regions, inner)
    trees = {name: Written(tir.Annotation(name, dtype="id"), None) for name in ("tree.steps", "tree.layers")}
    return attrs.evolve(item, annotations={**item.annotations, **trees})


def plain(item: tir.Module, like: tir.Module) -> tir.Module:
    """A module without what the two passes wrote, and with the record of passes of another."""
    tables = {
        name: attrs.evolve(table, columns={key: one for key, one in table.columns.items() if key not in MINE})
        for name, table in item.tables.items()
        if name not in TABLES
    }
    written = {name: one for name, one in item.annotations.items() if name not in MINE}
    return attrs.evolve(item, tables=tables, annotations=written, passes=like.passes)


def both(item: tir.Module) -> tir.Module:
    """The module folded and inlined, every promise and law checked."""
    context = tir.PassContext()
    return apply(Inline(), apply(Fold(), item, context), context)


def assert_lossless(item: tir.Module) -> None:
    """Folding and inlining give the module back, and the flat list is made of the folded one."""
    made = both(item)
    assert difference(plain(made, item), item) is None
    rows = np.flatnonzero(item.work)
    assert (made["inline.median"] + made["inline.delta"])[rows].tolist() == item["dur"][rows].tolist()
    assert sum(one.total_ns for template in Fold().report(made).templates for one in template.ops) == int(
        item["dur"][rows].sum()
    )
    # Each event is in one op and one instance, and every instance knows its own.
    op, instance = made["fold.op"][rows], made["fold.instance"][rows]
    assert (made.tables["region:fold"]["parent"][op] == made["fold.template"][instance]).all()
    layer = made["fold.layer"][instance]
    inside = item.tree("layers").at("layer")[rows]
    assert layer.tolist() == inside.tolist()
    assert made["fold.step"][instance].tolist() == item.tree("steps").at("step")[rows].tolist()
    # The folded form alone says which events there are, where they lie and how long they take.
    names = made.tree("fold").regions["name"]
    assert made["inline.template"][rows].tolist() == names[made["fold.template"][instance]].tolist()
    flat = {
        (int(i), int(o), int(p)): int(m + d)
        for i, o, p, m, d in zip(
            instance, op, *(made[f"inline.{name}"][rows] for name in ("place", "median", "delta")), strict=True
        )
    }
    assert len(flat) == len(rows), "an event is known by its instance, its op and its place"
    assert sum(flat.values()) == int(item["dur"][rows].sum())
    places = made["inline.present"][rows]
    assert (places <= made["inline.count"][rows]).all()
    assert (places >= 1).all()


@given(grouped())
def test_nothing_is_lost(item: tir.Module) -> None:
    """Whatever the trees: kernels of one layer in several places, layers without work, work outside any step."""
    assert_lossless(item)


@given(modules(trees=False, annotations=False))
def test_nothing_is_lost_of_drawn_modules(item: tir.Module) -> None:
    """Any module that the IR can hold, after the passes that fold needs."""
    done = tir.PassManager.parse("group").run(item)
    made = both(done)
    assert difference(plain(made, done), done) is None
    assert_sound(made)


@given(grouped())
def test_a_folded_module_is_written_and_read(item: tir.Module) -> None:
    """Templates, instances and what the events say of them survive the text."""
    made = both(item)
    assert difference(parse("".join(spell(made))), made) is None


@given(grouped(), st.integers(-(10**12), 10**12))
def test_shifting_all_times_changes_nothing(item: tir.Module, shift: int) -> None:
    """What is folded does not depend on when it was."""
    moved = item.with_columns({"ts": item["ts"] + shift})
    assert to_json(Fold().report(moved)) == to_json(Fold().report(item))


@given(grouped())
def test_the_body_is_one_instance(item: tir.Module) -> None:
    """The events of a template's body are all of one instance, which all rows of the template refer to."""
    made = apply(Fold(), item, tir.PassContext())
    leaf = made.tree("fold").leaf
    assert (made["fold.op"][leaf >= 0] == leaf[leaf >= 0]).all()
    for region in made.tree("fold").of_kind("template"):
        rows = np.flatnonzero(made["fold.template"] == region)
        assert len(rows) == made["fold.count"][region]
        body = np.unique(made["fold.body"][rows])
        assert len(body) == 1
        own = np.isin(made.tree("fold").parent[leaf], [region]) & (leaf >= 0)
        instances = np.unique(made["fold.instance"][own])
        assert len(instances) <= 1
        if len(instances):
            assert made["fold.first"][instances[0]] == body[0]


@cache
def decoder() -> tir.Module:
    """A made trace: six decode steps of twelve layers, dense and MoE in turn, after the passes of a page."""
    text, _ = render(Decoder(layers=12, steps=6, launch="graph", mlp="alternating"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made.json"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return tir.PassManager.parse("group,overlap,gaps").run(tir.load(path))


def test_a_window_on_the_folding_shows_bodies_and_all_instances() -> None:
    """The events of one step, one dense and one MoE layer are left, and every instance in the table."""
    made = apply(Fold(), decoder(), tir.PassContext())
    bodies = made.window(made.tree("fold").leaf >= 0)
    assert len(bodies["fold.work"]) == len(made["fold.work"]) == 6 + 36 + 36
    assert len(bodies) == sum(bodies["fold.kernels"][bodies["fold.kernels"] > 0])
    assert bodies["fold.total"].tolist() == made["fold.total"].tolist(), "totals are of all instances"
    assert_sound(bodies)


def test_the_report_of_a_made_trace() -> None:
    """Two templates of 36 layers each; what experts cost more is spelled out, and steps and layers fold."""
    report = Fold().report(apply(Fold(), decoder(), tir.PassContext()))
    step, dense, moe = report.templates
    assert (step.of, step.instances, step.layers) == ("step", 6, None)
    assert [(one.title, one.instances, one.layers) for one in (dense, moe)] == [
        ("attention+mlp", 36, 12),
        ("attention+moe", 36, 12),
    ]
    assert (dense.numbers, moe.numbers) == (tuple(range(0, 12, 2)), tuple(range(1, 12, 2)))
    costs = {item.label: [cost.median_ns is not None for cost in item.costs] for item in report.differences}
    assert costs == {
        "gate_up_proj": [True, True],
        "activation": [True, True],
        "down_proj": [True, True],
        "router": [False, True],
        "route": [False, True],
        "moe_combine": [False, True],
    }


def test_a_step_that_is_slow_throughout_is_told_once() -> None:
    """All twelve of its layers are outlying, and the page has a row for each template; the report has all."""
    item = decoder()
    dur = item["dur"].copy()
    dur[(item.tree("steps").at("step") == 4) & item.work] *= 3
    report = Fold().report(apply(Fold(), item.with_columns({"dur": dur}), tir.PassContext()))
    assert [one.layer is None for one in report.outliers] == [True] + [False] * 12
    [block] = report.blocks()
    layers = [row[1] for row in block.rows]
    assert layers[0] == ""
    assert [text.partition(" ")[2] for text in layers[1:]] == ["and 5 more"] * 2
    assert block.rows[0][-1].startswith("all ")


def test_folding_twice_is_folding_once() -> None:
    """The tree and the tables are written anew, not added to."""
    once = apply(Fold(), decoder(), tir.PassContext())
    twice = apply(Fold(), once, tir.PassContext())
    for one in WRITES:
        assert np.array_equal(once[one.name], twice[one.name], equal_nan=one.dtype == "f64")


def test_a_lower_threshold_names_more() -> None:
    """The option is the criterion: at half a deviation many are outlying, at a hundred none."""
    item = decoder()
    found = [len(Fold(outlier=value).report(item).outliers) for value in (0.5, 5.0, 100.0)]
    assert found == sorted(found, reverse=True)
    assert found[0] > found[2] == 0


def test_the_page_is_that_of_the_folding() -> None:
    """The pass and the page fold alike: each template's median stands in both."""
    item = decoder()
    [step] = folding.fold(item)
    stacks = [one for one in step.items if isinstance(one, folding.Stack)]
    medians = [template.median_ns for stack in stacks for template in stack.templates]
    assert medians == [one.median_ns for one in Fold().report(item).templates if one.of == "layer"]


TRACES = ("sgl_dec", "sgl_pd", "vllm_pw", "b200", "qwen_h100", "bert_h100", "bert_mi300", "nccl", "triton", "mi250")


@pytest.mark.parametrize("name", TRACES)
def test_nothing_is_lost_of_a_real_trace(load_shared: Load, name: str) -> None:
    """Of several vendors and frameworks."""
    assert_lossless(tir.PassManager.parse("group,overlap,gaps").run(load_shared(name)))


@pytest.mark.parametrize(
    ("name", "templates", "differ"),
    [
        ("sgl_dec", [36], set()),
        ("sgl_pd", [36], set()),
        ("vllm_pw", [12, 12], {"attention"}),
        ("b200", [18, 18], {"attention"}),
        ("qwen_h100", [10, 24], set()),
        ("bert_h100", [4], set()),
        ("bert_mi300", [4], set()),
        ("nccl", [], set()),
    ],
)
def test_templates_of_real_traces(load_shared: Load, name: str, templates: list[int], differ: set[str]) -> None:
    """Layers by template: sliding and full attention alternate, by two kernels in b200 and by time in vllm_pw."""
    item = tir.PassManager.parse("group").run(load_shared(name))
    report = Fold().report(item)
    assert [one.instances for one in report.templates if one.of == "layer"] == templates
    assert {one.label for one in report.differences} == differ


def test_outliers_of_a_real_trace(load_shared: Load) -> None:
    """The known one of sgl_dec: layer 7 takes 378.5 µs, and its qkv_proj seven times the usual."""
    report = Fold().report(tir.PassManager.parse("group").run(load_shared("sgl_dec")))
    first = report.outliers[0]
    assert (first.layer, first.time_ns, first.reason) == (7, 378_511, "qkv_proj ×7.0")
