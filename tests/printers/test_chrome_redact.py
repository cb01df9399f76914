"""`--emit chrome{redact=true}`: nothing of the owner's text is left, and the analyses say the same."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from traceir.passing import to_json
from traceir.printers.chrome import vocabulary
from traceir.printers.chrome.redact import Pseudonyms, Redactor

from .. import build
from ..build import Ev
from ..conftest import ROOT
from ..frontends.kineto.documents import call, kernel, load_events, op, plain
from .chrome_reading import differences, events_of, improper, load_text, own, render, shifted

EXAMPLES = ("decoder_tp8_graph.json.gz", "qwen_tiny_cpu.json.gz")
SOME = ("sgl_dec", "bert_mi300", "dlrm", "vllm_pw")
PIPELINE = "group,overlap,gaps"


def _strings(value: Any, keys: bool = False) -> set[str]:
    """All strings of a document; `keys`: those of objects too."""
    if isinstance(value, str):
        return {value}
    if isinstance(value, list):
        return set().union(*(_strings(item, keys) for item in value))
    if isinstance(value, dict):
        found = set().union(*(_strings(item, keys) for item in value.values()))
        return found | set(value) if keys else found
    return set()


def _is_public(text: str) -> bool:
    """Whether a text may stay, by the vocabulary alone."""
    kinds = ("dev.kernel", "rt.call", "host.op", "event.wait", "")
    return (
        any(vocabulary.is_public(text, kind) for kind in kinds)
        or vocabulary.PLACES.fullmatch(text) is not None
        or text.lower() in vocabulary.CATEGORIES
        or any(form.fullmatch(text) for form in vocabulary.TEXTS.values())
        or any(form.fullmatch(text) for form in (vocabulary.MODEL, vocabulary.VERSION, vocabulary.BACKEND))
        or len(text) <= 1  # phases and scopes
        or text in ("ms", "ns")
    )


def _facts(module: tir.Module) -> dict[str, Any]:
    """What the analyses say in numbers, on a module that is as it was read."""
    manager = tir.PassManager.parse(PIPELINE)
    after = manager.run(module)
    found = {name: to_json(report) for name, report in manager.reports(after).items()}
    return {
        "roles": [(item["role"], item["count"], item["time_ns"]) for item in found["infer"]["roles"]],
        "stacks": [
            (s["layers"], s["kernels"], s["kernels_per_layer"], s["evidence"]) for s in found["group"]["stacks"]
        ],
        "steps": [(s["start_ns"], s["end_ns"], s["kernels"]) for s in found["group"]["steps"]],
        "overlap": found["overlap"]["devices"],
        "layers": found["overlap"]["layers"],
        "gaps": [(item["idle_ns"], item["classes"], item["counts"]) for item in found["gaps"]["devices"]],
        "collectives": (found["collectives"]["count"], found["collectives"]["by_kind"]),
    }


def _check(module: tir.Module, raw: str, tmp_path: Path) -> None:
    text = render(tir.PassManager.parse(PIPELINE).run(module), redact=True)
    back = load_text(tmp_path, text)
    assert differences(module, back, "name") == []
    assert _facts(module) == _facts(back)
    secret = {text for text in _strings(json.loads(raw)) if not _is_public(text)}
    assert secret & _strings(json.loads(text), keys=True) == set()
    for item in secret:
        if len(item) > 6 and item not in ("python", "kernel"):
            assert json.dumps(item)[1:-1] not in text, item


def _raw(path: Path) -> str:
    data = path.read_bytes()
    return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_keep_their_figures_and_lose_their_text(name: str, tmp_path: Path) -> None:
    """Layers, overlap, gaps and roles are the same; no string of the input is found in the output unless public."""
    path = ROOT / "examples" / name
    _check(tir.load(path), _raw(path), tmp_path)


@pytest.mark.parametrize("name", SOME)
def test_shared_traces_keep_their_figures_and_lose_their_text(
    name: str, load_shared: Callable[[str], tir.Module], shared: Callable[[str], Path], tmp_path: Path
) -> None:
    """The same for real traces of several engines and vendors."""
    _check(load_shared(name), _raw(shared(name)), tmp_path)


def _secret() -> list[dict[str, Any]]:
    """A document in which everything that can be somebody's is."""
    return [
        *plain(),
        {"ph": "M", "name": "process_name", "pid": 7, "tid": 0, "ts": 0, "args": {"name": "acme_server"}},
        {"ph": "M", "name": "thread_name", "pid": 7, "tid": 7, "ts": 0, "args": {"name": "thread 7 (acme)"}},
        {"ph": "M", "name": "process_labels", "pid": 7, "tid": 0, "ts": 0, "args": {"labels": "acme host"}},
        {"ph": "M", "name": "acme_meta", "pid": 7, "tid": 0, "ts": 0, "args": {"acme": 1}},
        op("acme::secret_op", 102, 1, **{"Input Dims": [[4096]], "Call stack": "/home/acme/x.py", "acme key": 5}),
        {**op("/home/acme/model.py(7): forward", 103, 1), "cat": "python_function", "acme": "x"},
        {**op("nn.Module: AcmeLayer_3", 104, 0.5), "cat": "python_function"},
        {**op("acme training", 106, 1), "cat": "user_annotation"},
        {**op("Optimizer.step#AcmeOpt.step", 106, 1), "cat": "user_annotation"},
        {**op("cudaAcmeRange", 107, 1), "cat": "acme_category"},
        call("acmeLaunch", 108, 1, 13, acme="y"),
        {
            **kernel("acme_fused_kernel<acme::T>", 150, 2, 13),
            "args": {"correlation": 13, "grid": [1, 2, 3], "Process Group Name": "acme_tp", "path": "/acme"},
        },
        {
            **kernel("ncclDevKernel_AllReduce_Sum_bf16_RING_LL", 153, 2, 14),
            "args": {"correlation": 14, "dtype": "acme", "Process Group Ranks": "[0, 1]"},
        },
        {"ph": "C", "name": "acme counter", "pid": 7, "ts": 150, "args": {"acme series": 4.5, "note": "acme"}},
        {"ph": "i", "s": "t", "name": "acme mark", "pid": "acme process", "tid": "acme thread", "ts": 151},
        {"ph": "b", "cat": "acme_async", "name": "acme range", "id": "acme id", "pid": 7, "tid": 7, "ts": 151},
        {"ph": "e", "cat": "acme_async", "name": "acme range", "id": "acme id", "pid": 7, "tid": 7, "ts": 152},
        {"ph": "B", "name": "acme begin", "pid": 7, "tid": 9, "ts": 151},
        {"ph": "E", "name": "acme begin", "pid": 7, "tid": 9, "ts": 152},
        {"ph": "s", "cat": "acme_flow", "name": "acme flow", "id": 3, "pid": 7, "tid": 7, "ts": 105.125},
    ]


_TOP: dict[str, Any] = {
    "host_name": "acme01", "traceName": "/acme/x.json", "trace_id": "ACME", "acme": {"acme": 1}, "cupti_version": 28,
    "deviceProperties": [{"id": 0, "name": "NVIDIA H100 80GB HBM3", "numSms": 132, "serial": "acme"}],
    "distributedInfo": {"rank": 3, "world_size": 8, "backend": "nccl", "pg_config": [{"pg_desc": "acme"}]},
    "displayTimeUnit": "acme",
}  # fmt: skip


def test_nothing_of_the_owner_is_left(tmp_path: Path) -> None:
    """Every place of a document that can hold text; what is added says nothing either."""
    module = tir.PassManager.parse(PIPELINE).run(load_events(tmp_path, _secret(), **_TOP))
    for text in (render(module, redact=True), render(attrs.evolve(module, source=None), redact=True)):
        assert "acme" not in text.lower()
        assert own(events_of(text))
        assert improper(own(events_of(text))) == []
    assert "acme" in render(module).lower()


def test_document_of_a_redacted_trace(tmp_path: Path, golden: Callable[[str, str], None]) -> None:
    """What is left, to be reviewed by eye."""
    module = tir.PassManager.parse("infer").run(load_events(tmp_path, _secret(), **_TOP))
    golden("chrome/redacted.json", render(module, redact=True, add=()))


def test_names_keep_their_form(tmp_path: Path) -> None:
    """Modules keep their number, kernels their role, calls their sort; equal names stay equal, others differ."""
    module = tir.PassManager.parse("infer").run(load_events(tmp_path, _secret(), **_TOP))
    redactor = Redactor(module, Pseudonyms("salt"))
    first = redactor.name("host.frame", "nn.Module: AcmeLayer_3")
    other = redactor.name("host.frame", "nn.Module: AcmeLayer_4")
    assert first[:-1] == other[:-1]
    assert (first[-2:], other[-2:]) == ("_3", "_4")
    assert redactor.name("dev.kernel", "acme", "attention").startswith("flash_fwd_")
    assert (
        redactor.name("dev.kernel", "acme<1>", "gemm", "acme")[:11]
        == redactor.name("dev.kernel", "acme<2>", "gemm", "acme")[:11]
    )
    assert redactor.name("dev.kernel", "acme<1>", "gemm", "acme") != redactor.name(
        "dev.kernel", "acme<2>", "gemm", "acme"
    )
    assert redactor.name("host.op", "aten::mm") == "aten::mm"
    assert redactor.name("dev.kernel", "cudaAcmeKernel").startswith("kernel_")


@pytest.mark.parametrize("role", vocabulary.ROLES)
def test_pseudonyms_are_read_as_the_role_that_they_stand_for(role: str) -> None:
    """The word of each role gets that role from `infer` again, whatever digits follow."""
    words = [f"{vocabulary.ROLES[role]}_{Pseudonyms(str(n)).digits('x')}<{n}a2a>" for n in range(8)]
    module = build.module([Ev("dev.kernel", name, n * 10, 5) for n, name in enumerate(words)])
    assert set(tir.PassManager.parse("infer").run(module).text("infer.role")) == {role}


def test_every_role_but_unknown_has_a_word() -> None:
    """The vocabulary knows all roles that `infer` gives to kernels; parts of norms get other roles in the end."""
    from traceir_passes.infer.classes import ROLES

    assert set(ROLES) - set(vocabulary.ROLES) == {"unknown", "norm-part"}


@given(st.lists(st.text(min_size=1), unique=True, max_size=30), st.text(max_size=80))
def test_pseudonyms_are_stable_and_distinct(texts: list[str], salt: str) -> None:
    """The same in another file; never the same for two texts; others under another salt."""
    first, second = Pseudonyms(salt), Pseudonyms(salt)
    digits = [first.digits(text) for text in texts]
    assert digits == [second.digits(text) for text in texts]
    assert len(set(digits)) == len(texts)
    if texts:
        assert Pseudonyms("other" + salt).digits(texts[0]) != digits[0]


def test_colliding_pseudonyms_get_longer() -> None:
    """Where two texts have the same first digits, the second takes one more."""
    names = Pseudonyms()
    taken = names.digits("a")
    other = Pseudonyms()
    other._taken.add(taken)
    assert other.digits("a").startswith(taken)
    assert len(other.digits("a")) == len(taken) + 1


def test_times_of_a_moved_trace_are_the_new_ones(tmp_path: Path) -> None:
    """Redaction of an edited module: new times, and still no text."""
    module = load_events(tmp_path, _secret(), **_TOP)
    moved = shifted(module, 20_000, 7_001)
    text = render(moved, redact=True)
    assert "acme" not in text.lower()
    assert differences(moved, load_text(tmp_path, text), "name", "lane", "parent") == []
