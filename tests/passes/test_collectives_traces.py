"""Collectives on real traces: counts and figures that are known by other means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

import traceir as tir
from tests.conftest import SHORT, find_trace
from traceir_passes.collectives import Collectives, CollectivesReport

Load = Callable[[str], tir.Module]


def _run(load: Load, name: str, pipeline: str = "infer,collectives") -> tuple[tir.Module, CollectivesReport]:
    item = tir.PassManager.parse(pipeline).run(load(name))
    return item, Collectives().report(item)


BY_KIND = [
    ("b200", {"all_reduce": 73, "all_gather": 1}),
    ("nccl", {"all_reduce": 15, "broadcast": 6}),
    ("dlrm", {"all_to_all": 5, "all_reduce": 3}),
    ("s0", {"all_reduce": 4, "all_to_all": 4, "all_gather": 2}),
    ("gloo", {"all_reduce": 4, "all_gather": 2}),
    *((name, {}) for name in ("sgl_dec", "sgl_pd", "vllm_pw", "qwen_h100", "bert_h100", "alexnet", "mtia", "ranges")),
]


@pytest.mark.parametrize(("name", "wanted"), BY_KIND)
def test_kinds(load_shared: Load, name: str, wanted: dict[str, int]) -> None:
    """Instances by kind, whatever the kernels are called."""
    _, report = _run(load_shared, name)
    assert report.by_kind == wanted
    assert report.count == sum(wanted.values())


def test_staged_all_reduces(load_shared: Load) -> None:
    """All 73 all-reduces go through a buffer: 146 copies, 781.5 µs."""
    _, report = _run(load_shared, "b200")
    form = report.forms[0]
    assert (form.form, form.count, form.of, form.extra_members, form.extra_ns) == ("staged", 73, 73, 146, 781_500)


def test_prefill_message(load_shared: Load) -> None:
    """An all-reduce of the prefill moves 888 tokens of 2880 elements, and the logits are gathered from 8 ranks."""
    _, report = _run(load_shared, "b200")
    first, last = report.instances[0], report.instances[-1]
    assert (first.library, first.in_elements, first.dtype, first.bytes) == (
        "symm_mem",
        888 * 2880,
        "bf16",
        888 * 2880 * 2,
    )
    assert (last.kind, last.library, last.group_size, last.bytes) == ("all_gather", "nccl", 8, 402_176)


def test_tensor_parallel_law(load_shared: Load) -> None:
    """Two all-reduces in each of 36 layers and one for the embedding: 73."""
    _, report = _run(load_shared, "b200", "infer,group,collectives")
    assert [(law.law, law.expected, law.found, law.holds) for law in report.laws] == [
        ("2 all-reduces per layer", 73, 73, True)
    ]


def test_gradient_buckets(load_shared: Load) -> None:
    """Five buckets in each of three steps that hold all parameters of the network: 25 557 032."""
    _, report = _run(load_shared, "nccl", "infer,group,collectives")
    buckets = [item for item in report.composites if item.form == "bucketed"]
    assert [len(item.members) for item in buckets] == [5, 5, 5]
    law = report.laws[0]
    assert (law.expected, law.found, law.holds) == (3, 3, True)
    assert "25557032 elements" in law.note


def test_rewrite_of_staged_reductions(load_shared: Load) -> None:
    """No layer fuses its all-reduces with the norm that follows, as the copy out of the buffer stands between."""
    _, report = _run(load_shared, "b200", "infer,group,collectives")
    told = Counter((row.expected, row.sites, row.state, row.blocked_by) for row in report.verdicts)
    assert told == {("fused", 2, "not", "memcpy between"): 36}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("b200", {("staged", "all_reduce"): 73}),
        ("nccl", {("bucketed", "all_reduce"): 3}),
        ("s0", {("send_recv", "all_to_all"): 4, ("send_recv", "all_reduce"): 4, ("send_recv", "all_gather"): 2}),
        ("s1", {("send_recv", "all_to_all"): 4, ("send_recv", "all_reduce"): 4, ("send_recv", "all_gather"): 2}),
        ("dlrm", {("send_recv", "all_to_all"): 5, ("bucketed", "all_reduce"): 1}),
        ("qwen_h100", {}),
        ("alexnet", {}),
    ],
)
def test_forms(load_shared: Load, name: str, wanted: dict[tuple[str, str], int]) -> None:
    """Composites by form and kind, and no others."""
    _, report = _run(load_shared, name, "infer,group,collectives")
    assert {(row.form, row.kind): row.count for row in report.forms} == wanted


def test_all_ranks_do_the_same() -> None:
    """Eight ranks of one step, a file each, do the same collectives of the same sizes in the same order."""
    seen = set()
    for path in sorted(find_trace("dlrm").parent.glob("worker*.json.gz")):
        report = Collectives().report(tir.PassManager.parse("infer,collectives").run(tir.load(path)))
        seen.add(tuple((row.kind, row.kernels, row.dtype) for row in report.instances))
    assert len(seen) == 1
    assert Counter(kind for kind, _, _ in seen.pop()) == {"all_to_all": 5, "all_reduce": 3}


ASCEND = [
    f"ascend/msinsight_text/level2/rank{rank}_ascend_pt/ASCEND_PROFILER_OUTPUT/trace_view.json.gz" for rank in (0, 1)
]


@pytest.mark.parametrize("name", ASCEND)
def test_buckets_are_the_parameters(load_shared: Load, name: str) -> None:
    """What an AlexNet reduces are its 61 100 840 parameters, as autograd's engine recorded their gradients."""
    _, report = _run(load_shared, name, "infer,group,collectives")
    assert [(law.law, law.expected, law.found, law.holds) for law in report.laws] == [
        ("gradient buckets = parameters", 61_100_840, 61_100_840, True)
    ]


def test_kinds_from_metadata(load_shared: Load) -> None:
    """Where the events carry metadata it decides, and every size is known."""
    _, report = _run(load_shared, "nccl")
    assert {row.source for row in report.instances} == {"metadata"}
    assert {row.group_size for row in report.instances} == {2}
    assert all(row.bytes is not None for row in report.instances)


def test_send_recv_inside_all_reduce(load_shared: Load) -> None:
    """Four SendRecv kernels launched inside all-reduces: the operator is kept as a guess, and a finding says so."""
    item, report = _run(load_shared, "s0")
    assert Counter(row.basis for row in report.instances if row.kind == "all_reduce") == {"guessed": 4}
    assert Counter(row.basis for row in report.instances if row.kind != "all_reduce") == {"derived": 6}
    assert [finding.count for finding in item.health if finding.code == "kind_conflict"] == [4]


@pytest.mark.parametrize("name", SHORT)
def test_all_communication_is_accounted(load_shared: Load, name: str) -> None:
    """All communication on devices has a kind, no other device work has one, and each instance has its event."""
    item, report = _run(load_shared, name)
    communication = item.work & item.is_in("infer.class", ["comm", "fused"])
    assert (communication == (item.work & (item["coll.kind"] >= 0))).all()
    assert [item.row_of(row.event) for row in report.instances] == item["coll.event"].tolist()
    assert Collectives().check(item) == []
