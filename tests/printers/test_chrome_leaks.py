"""`--emit chrome{redact=true}` of hostile input: what only looks public does not stay, and nothing nests too deep."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from traceir.printers import Result, Style
from traceir.printers.chrome.redact import Pseudonyms, Redactor
from traceir.printers.chrome.text import dumps
from traceir.printers.tir import Tir

from .. import build
from ..build import Ev
from ..frontends.kineto.documents import call, kernel, load_events, op, plain
from .chrome_reading import events_of, render, tracks

_TEXT = """#[traceir "1"]
module @acme_module {rank=0, source="acme_source", host="acme_host", "acme_key"="acme"} {
 lane @acme_lane : host.thread {pid="acme_pid", tid="acme_tid", label="acme label"};
 lane @g : dev.stream {device=0, stream=7, label="acme stream"};
 lane @"async.acme_cat" : host.thread;
 lane @acme_counter : counter;
 pass p1 = "acme_pass" named "acme_pass";
 column acme.private : event<str> {shown="label", doc="acme"};
 column acme.secret : region:acmetree<i64>;
 %1 = host.op("acme_op") @acme_lane [0 +50] {acme_arg=3, dtype="acme", grid=["acme"], "External id"="12acme"};
 %2 = rt.launch("cudaAcmeLaunch") @acme_lane [10 +5] in %1;
 %3 = "foo.acme_kind"("acme") @acme_lane [16 +5];
 %4 = host.async("acme") @"async.acme_cat" [16 +5];
 %5 = ctr.sample("acme") @acme_counter [16 +0] {acme_series=4, "acme other"=2.5, note="acme"};
 region @acme_region : acme_sort of acmetree {acme.secret=7} {
 %6 = dev.kernel("acme_kernel") @g [20 +5] <- %2 {acme.private="acme"};
 }
 meta acme = {"acme": 1};
}
"""


def _redactor() -> Redactor:
    return Redactor(build.module([Ev("host.op", "a", 0, 1)]), Pseudonyms())


def test_text_form_with_a_secret_in_every_place(tmp_path: Path) -> None:
    """Kinds that nobody registered, calls that only begin like the runtime's, columns of private passes."""
    path = tmp_path / "acme.tir"
    path.write_text(_TEXT)
    module = tir.load(path)
    assert "acme" in render(module)
    text = render(module, redact=True)
    assert "acme" not in text.lower()
    found = events_of(text)
    assert next(e["cat"] for e in found if e["name"].startswith("event_")).startswith("cat_")
    assert next(e for e in found if e["ph"] == "C")["args"] == {"value": 4, "value1": 2.5}
    (region,) = (slices for name, slices in tracks(found).items() if name.startswith("text_"))
    (key,) = (key for key in region[0]["args"] if key.startswith("column_"))
    assert region[0]["args"] == {key: 7, "events": 1, "time_ns": 5}


def test_registered_kinds_without_a_category_of_kinetos_keep_their_name() -> None:
    """They are words of traceir, not of the input."""
    module = build.module([Ev("os.irq", "acme", 0, 5, "cpu0"), Ev("os.acme", "acme", 9, 5, "cpu0")])
    first, second = (e["cat"] for e in events_of(render(module, redact=True)) if e["ph"] == "X")
    assert first == "os.irq"
    assert second.startswith("cat_")


def test_counters_keep_their_values_from_every_source(tmp_path: Path) -> None:
    """Whether the text is edited or the module written from its columns."""
    counter = {"ph": "C", "name": "acme", "pid": 7, "ts": 101, "args": {"acme": 4.5, "acme 2": 3, "note": "acme"}}
    module = load_events(tmp_path, [*plain(), counter])
    out = io.StringIO()
    Tir(args=True).write(Result(module, {}, ()), out, Style())
    (tmp_path / "own.tir").write_text(out.getvalue(), "utf-8")
    for one in (module, tir.load(tmp_path / "own.tir")):
        (found,) = (e for e in events_of(render(one, redact=True)) if e["ph"] == "C")
        assert found["args"] == {"value": 4.5, "value1": 3}


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("AcmeBackward0", r"op_D+Backward0"),
        ("AcmeFnBackward", r"op_D+Backward"),
        ("autograd::engine::evaluate_function: AcmeBackward0", r"autograd::engine::evaluate_function: op_D+Backward0"),
        (
            "autograd::engine::evaluate_function: torch::autograd::CppNode<Acme>",
            r"autograd::engine::evaluate_function: op_D+",
        ),
        ("acme::op", r"op_D+"),
        ("AcmeBackward20240815", r"op_D+"),
    ],
)
def test_nodes_of_others_still_read_as_backward(name: str, form: str) -> None:
    """The end stays, and what runs it; the class becomes a pseudonym, the same in both spellings."""
    text = _redactor().name("host.op", name)
    assert re.fullmatch(form.replace("D", "[0-9a-f]"), text)
    prefix = "autograd::engine::evaluate_function: "
    assert _redactor().name("host.op", prefix + name.removeprefix(prefix)).endswith(text.removeprefix(prefix))


def test_odd_phases_are_left_out(tmp_path: Path) -> None:
    """A phase can hold any text; those that anybody reads are one character."""
    odd = {"ph": "acme phase", "name": "acme", "pid": 7, "tid": 7, "ts": 103}
    module = load_events(tmp_path, [*plain(), odd])
    assert "acme" in render(module)
    assert "acme" not in render(module, redact=True)


@pytest.mark.parametrize("levels", [5, 63, 450, 700])
def test_deep_arguments_are_not_numeric(levels: int, tmp_path: Path) -> None:
    """Lists of any depth where a number is expected: what nests deeper than shapes do is left out."""
    text = "[" * levels + "1" + "]" * levels
    event = {**op("aten::mm", 101, 2), "args": {"grid": "HERE", "stream": [7, [8]]}}
    document = json.dumps({"traceEvents": [*plain(), event]})
    (tmp_path / "deep.json").write_text(document.replace('"HERE"', text))
    found = events_of(render(tir.load(tmp_path / "deep.json", frontend="kineto"), redact=True))
    assert next(e for e in found if e["name"] == "aten::mm" and "stream" in e.get("args", {}))["args"] == {
        "stream": [7, [8]]
    }


@given(st.integers(0, 3000), st.booleans())
def test_values_of_any_depth_are_written(levels: int, objects: bool) -> None:
    """Strict JSON whatever the depth; where the interpreter cannot, the deepest part is null."""
    value: Any = 1
    for _ in range(levels):
        value = {"x": value} if objects else [value]
    text = dumps({"a": value})
    assert text.startswith('{"a":')
    depth = text.count("{" if objects else "[") - objects
    assert depth == levels or (depth >= 90 and "null" in text)


@pytest.mark.parametrize("levels", [100, 450, 900])
def test_deep_metadata_and_columns_are_written(levels: int, tmp_path: Path) -> None:
    """Damaged text, whose metadata are written anew, and metadata of redacted traces."""
    deep = "[" * levels + "1" + "]" * levels
    body = json.dumps({"deviceProperties": "HERE", "acme": "HERE", "traceEvents": [*plain(), call("x", 108, 1, 13)]})
    text = body.replace('"HERE"', deep)[:-20]
    (tmp_path / "cut.json").write_text(text)
    module = tir.load(tmp_path / "cut.json", frontend="kineto")
    for one in (module, attrs.evolve(module, source=None)):
        assert events_of(render(one))
        assert events_of(render(one, redact=True))


def test_kernels_of_the_vocabularys_pieces_end(tmp_path: Path) -> None:
    """The whole printer on names that once took for ever."""
    names = ["ncclDevKernel_" + "128" * 90 + "secret", "1" * 300 + "!", "nccl:" + "all_to" * 50 + "x"]
    events = [*plain(), *(kernel(name, 200 + 10 * at, 2, 20 + at) for at, name in enumerate(names))]
    top = {"deviceProperties": [{"id": 0, "name": "1" * 300 + "!"}], "distributedInfo": {"backend": "cuda:" * 60 + "x"}}
    text = render(load_events(tmp_path, events, **top), redact=True)
    assert "128128" not in text
    assert "1111" not in text
