"""`traceir cut`: one layer as a small trace that opens anywhere, with what launched it, and without names if asked."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

import traceir as tir
from traceir.printers.chrome import vocabulary
from traceir.text import parse

from .lines import DECODE, Command, Event, events, regions

LAYER = "stack.1.layer.3"
ENDINGS = ("cut.json", "cut.json.gz", "cut.tir", "cut.tir.gz")


def _read(path: str) -> str:
    raw = Path(path).read_bytes()
    return (gzip.decompress(raw) if path.endswith(".gz") else raw).decode("utf-8")


def _slices(text: str) -> list[dict[str, Any]]:
    return [row for row in json.loads(text)["traceEvents"] if row.get("ph") == "X"]


def _came_from(everything: dict[str, Event], chosen: Iterable[str]) -> set[str]:
    """The chosen events with their launches and all that encloses those, by the lines alone."""
    found: set[str] = set()
    todo = set(chosen)
    while todo:
        found |= todo
        todo = {one for id in todo for one in (everything[id].parent, everything[id].launch) if one} - found
    return found


def _cut(command: Command, *words: str, kept: int, of: int = 6578, stdin: bytes | None = None) -> None:
    """Run a cut that has to succeed and say how much it kept."""
    done = command("cut", *words, stdin=stdin)
    assert (done.code, done.out) == (0, "")
    assert done.err == f"traceir: {kept} of {of} events are in {words[words.index('-o') + 1]}.\n"


@pytest.mark.parametrize("name", ENDINGS)
def test_a_cut_opens_again(name: str, whole: str, example: str, command: Command) -> None:
    """Its events are the layer's with all that they came from, in each format, and any command reads it."""
    wanted = _came_from(events(whole), regions(whole)[LAYER])
    _cut(command, "--window", LAYER, example, "-o", name, kept=len(wanted))
    everything = events(whole)
    back = tir.load(name)
    names = {everything[id].name.replace('\\"', '"') for id in wanted}
    assert {event.name for event in back.select()} == names
    assert len(back) == len(wanted)
    report = json.loads(command.output("run", "--emit", "json", name))
    assert report["module"]["events"] == len(wanted)
    assert report["results"]["collectives"]["by_kind"] == {"all_reduce": 2}
    kernels = [everything[id] for id in regions(whole)[LAYER]]
    assert report["results"]["infer"]["kernel_time_ns"] == sum(event.length for event in kernels)
    assert Path(name).exists()
    assert [path.name for path in Path().iterdir()] == [name]


def test_launches_come_with_what_they_launched(whole: str, example: str, command: Command) -> None:
    """The input's own rows: device work with its correlations, their host calls, and no kernel of another layer."""
    _cut(command, "--window", LAYER, example, "-o", "cut.json", kept=19)
    rows = _slices(_read("cut.json"))
    device = [row for row in rows if row["cat"] == "kernel"]
    host = [row for row in rows if row["cat"] != "kernel"]
    assert len(device) == len(regions(whole)[LAYER]) == 15
    launched = {row["args"]["correlation"] for row in device}
    assert launched <= {row["args"].get("correlation") for row in host}
    assert {row["cat"] for row in host} == {"cuda_runtime", "python_function", "user_annotation"}
    original = {json.dumps(row) for row in _slices(gzip.decompress(Path(example).read_bytes()).decode())}
    assert {json.dumps(row) for row in rows} <= original


def test_every_layer_of_an_eager_step_has_its_own_launches(whole: str, example: str, command: Command) -> None:
    """Where each kernel has a call, each call is there with its op, its module and the step around them."""
    everything = events(whole)
    wanted = _came_from(everything, regions(whole)["stack.0.layer.3"])
    done = command("cut", "-q", "--window", "stack.0.layer.3", example, "-o", "cut.tir")
    assert (done.code, done.err) == (0, "")
    found = events(_read("cut.tir"))
    assert found.keys() == wanted
    assert all(event.itself == everything[id].itself for id, event in found.items())
    for id, event in found.items():
        assert (event.parent, event.launch) == (everything[id].parent, everything[id].launch)
        assert event.kind != "dev.kernel" or event.launch in found


def test_a_cut_holds_what_was_read_and_nothing_that_passes_wrote(example: str, command: Command) -> None:
    """No columns, no regions, no lanes of traceir's; the source's own arguments stay in either format."""
    _cut(command, "--window", LAYER, example, "-o", "cut.tir", kept=19)
    _cut(command, "--window", LAYER, example, "-o", "cut.json", kept=19)
    text = _read("cut.tir")
    assert not re.search(r"^  (pass|column|region|table) ", text, re.M)
    assert '"registers per thread"=' in text
    assert not [row for row in json.loads(_read("cut.json"))["traceEvents"] if row.get("cat") == "traceir"]
    assert parse(text).equals(tir.load("cut.tir"))


@pytest.mark.parametrize("words", ["%6393", "@gpu0.s20 in step.1", "144ms..144.5ms"])
def test_anything_that_a_window_names_can_be_cut(words: str, whole: str, example: str, command: Command) -> None:
    """The window's events are in the cut, and more only if they are of the host or lie on a stream before a wait."""
    chosen = events(command.output("run", "--passes", "group", "--emit", "tir", "--window", words, example))
    done = command("cut", "-q", "--window", words, example, "-o", "cut.tir")
    assert done.code == 0
    found = events(_read("cut.tir"))
    assert chosen.keys() <= found.keys() == _came_from(events(whole), chosen.keys())


def test_a_text_can_be_cut(decode: Path, command: Command) -> None:
    """From a `.tir` too, whose regions are there without any pass, and from standard input."""
    _cut(command, "--passes", "", "--window", "layer.1", str(decode), "-o", "cut.tir", kept=5, of=8)
    assert events(_read("cut.tir")).keys() == {"%0", "%1", "%7", "%8", "%9"}
    done = command("cut", "-q", "--passes", "", "--window", "layer.1", "-", "-o", "piped.tir", stdin=DECODE.encode())
    assert done.code == 0
    assert _read("piped.tir") == _read("cut.tir")
    _cut(command, "--passes", "", "--window", "layer.1", str(decode), "-o", "cut.json", kept=5, of=8)
    assert {row["name"] for row in _slices(_read("cut.json")) if row["cat"] != "traceir"} == {
        "decode",
        "cudaLaunchKernel",
        "rms_norm_kernel",
        "ncclDevKernel_AllReduce_Sum_bf16_RING_LL",
    }


def test_standard_input_is_cut_as_the_file_is(example: str, command: Command) -> None:
    """To the byte, with what stands behind the events of the document."""
    _cut(command, "--window", LAYER, example, "-o", "file.json", kept=19)
    _cut(command, "--window", LAYER, "-", "-o", "piped.json", kept=19, stdin=Path(example).read_bytes())
    assert _read("piped.json") == _read("file.json")
    assert json.loads(_read("piped.json"))["traceName"] == "decoder.pt.trace.json"


def test_removed_events_are_not_cut(decode: Path, command: Command) -> None:
    """They are in no window and in no count."""
    Path("removed.tir").write_text(DECODE.replace("<- %2;", "<- %2 dead;"), "utf-8")
    _cut(command, "--passes", "", "--window", "layer.0", "removed.tir", "-o", "cut.tir", kept=3, of=7)
    assert events(_read("cut.tir")).keys() == {"%0", "%1", "%3"}
    message = command.refusal("cut", "--passes", "", "--window", "%4", "removed.tir", "-o", "a.json", code=2)
    assert message.startswith("There is no event %4 here")


def test_the_first_of_several_layers_is_cut_and_said(example: str, command: Command) -> None:
    done = command("cut", "--window", "layer.3", example, "-o", "cut.json")
    assert (done.code, done.out) == (0, "")
    assert done.err == (
        "traceir: 4 regions fit layer.3; stack.0.layer.3, the first in time, is taken: write 'stack.1.layer.3' for "
        "another.\ntraceir: 105 of 6578 events are in cut.json.\n"
    )


# --- redaction -----------------------------------------------------------------------------------------------------


def _texts(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set().union(set(), *(_texts(item) for item in value.values()))
    if isinstance(value, list):
        return set().union(set(), *(_texts(item) for item in value))
    return {value} if isinstance(value, str) else set()


SECRET = ("acme_corp::moe_router", "model/acme.py(7): forward", "nn.Module: AcmeDecoder_4", "acme_fused_gate_kernel")


def _secret(folder: Path) -> Path:
    """A trace in which every place that can hold a name holds one."""
    rows: list[dict[str, Any]] = [
        {"ph": "M", "name": "process_name", "pid": 1, "tid": 0, "ts": 0, "args": {"name": "acme-serve --token"}},
        {"ph": "M", "name": "thread_name", "pid": 1, "tid": 1, "ts": 0, "args": {"name": "acme worker"}},
        {"ph": "X", "cat": "user_annotation", "name": "acme launch plan", "pid": 1, "tid": 1, "ts": 0, "dur": 90},
    ]
    for number, (cat, name) in enumerate(
        zip(("python_function", "python_function", "cpu_op"), SECRET[2::-1], strict=True)
    ):
        rows.append({"ph": "X", "cat": cat, "name": name, "pid": 1, "tid": 1, "ts": 1 + number, "dur": 80 - 2 * number,
                     "args": {"Acme cell": "zone-7", "Call stack": "/home/acme/run.py"}})  # fmt: skip
    rows += [
        {"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 1, "tid": 1, "ts": 10, "dur": 5,
         "args": {"correlation": 5}},
        {"ph": "X", "cat": "kernel", "name": SECRET[3], "pid": 0, "tid": 7, "ts": 30, "dur": 9,
         "args": {"correlation": 5, "device": 0, "stream": 7, "acme flag": "acme-x1"}},
    ]  # fmt: skip
    document = {"traceEvents": rows, "hostname": "acme-host-1", "traceName": "acme.json", "acme": {"acme": "acme"}}
    path = folder / "acme.json"
    path.write_text(json.dumps(document), "utf-8")
    return path


@pytest.mark.parametrize("name", ["cut.json", "cut.json.gz"])
def test_redaction_leaves_no_name_behind(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    """No letter of the owner's is left in the file, and the result opens with the same times and launches."""
    monkeypatch.chdir(tmp_path)
    source = _secret(tmp_path)
    _cut(command, "--window", "@gpu0.s7", source.name, "-o", "plain.json", kept=6, of=6)
    _cut(command, "--redact", "--window", "@gpu0.s7", source.name, "-o", name, kept=6, of=6)
    text = _read(name).lower()
    for word in ("acme", "moe", "router", "forward", "zone", "fused", "gate", "/home", "token", "worker", "plan"):
        assert word in _read("plain.json").lower()
        assert word not in text, word
    plain, redacted = tir.load("plain.json"), tir.load(name)
    assert [(event.ts, event.dur, event.kind) for event in plain.select()] == [
        (event.ts, event.dur, event.kind) for event in redacted.select()
    ]
    assert plain.tables["edge"]["src"].tolist() == redacted.tables["edge"]["src"].tolist()


def test_redaction_of_a_real_layer_keeps_public_names_alone(example: str, command: Command) -> None:
    """Of the example's texts only those that the vocabulary allows are left, and the roles stay as they were."""
    _cut(command, "--window", LAYER, example, "-o", "plain.json", kept=19)
    _cut(command, "--redact", "--window", LAYER, example, "-o", "cut.json", kept=19)
    left = {row["name"] for row in _slices(_read("cut.json"))} & {row["name"] for row in _slices(_read("plain.json"))}
    kinds = ("dev.kernel", "rt.graph_launch", "mark.step", "host.op")
    assert left
    assert all(any(vocabulary.is_public(text, kind) for kind in kinds) for text in left)
    assert "execute_model" in _read("plain.json")
    owner = {
        text
        for text in _texts(json.loads(_read("plain.json")))
        if re.search("execute_model|vllm|nvjet|flash", text, re.I)
    }
    assert owner
    assert not [text for text in owner if text in _read("cut.json")]
    reports = [json.loads(command.output("run", "--emit", "json", name)) for name in ("plain.json", "cut.json")]
    assert reports[0]["results"]["infer"]["roles"] == reports[1]["results"]["infer"]["roles"]
    assert reports[0]["results"]["overlap"]["devices"] == reports[1]["results"]["overlap"]["devices"]


def test_redaction_says_nothing_of_where_it_ran(example: str, command: Command) -> None:
    """Neither the input's path nor its name is written."""
    source = Path(example)
    Path("secret_name.json.gz").write_bytes(source.read_bytes())
    _cut(command, "--redact", "--window", LAYER, "secret_name.json.gz", "-o", "cut.json", kept=19)
    assert "secret_name" not in _read("cut.json")
    assert json.loads(_read("cut.json"))["traceir"] == {"redacted": True}


# --- refusals ------------------------------------------------------------------------------------------------------

REFUSALS = [
    (
        ["--window", "layer.0", "-o", "cut.txt"],
        "The output cut.txt has to end in .json, .json.gz, .tir, .tir.gz, which says what is written.",
    ),
    (["--window", "layer.0", "-o", "-"], "The output - has to end in .json, .json.gz, .tir, .tir.gz, which says"),
    (["--window", "layer.0", "--redact", "-o", "a.tir"], "The flag --redact is for .json files; a.tir is none."),
    (["--window", "layer.0", "-o", "decode.tir"], "The output decode.tir is the input itself; name another file."),
    (
        ["--window", "layer.0", "-o", "nowhere/a.json"],
        "The output nowhere/a.json cannot be written: there is no folder nowhere.",
    ),
    (["--window", "layer.7", "-o", "a.json"], "There is no region or lane layer.7; did you mean layer."),
    (["--window", "%77", "-o", "a.json"], "There is no event %77 here; ids run from %0 to %9, the nearest is %9."),
    (["--window", "1s..2s", "-o", "a.json"], "No event lies in 1s..2s; the events here lie from 0 ns to 100.0 µs."),
]


@pytest.mark.parametrize(
    ("words", "message"), REFUSALS, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_a_cut_that_cannot_be_made_is_one_sentence(
    words: list[str], message: str, decode: Path, command: Command
) -> None:
    """Exit code 2, and no file is left."""
    found = command.refusal("cut", "--passes", "", *words, str(decode), code=2)
    assert found.startswith(message)
    assert "\n" not in found
    assert [path.name for path in Path().iterdir()] == ["decode.tir"]
    assert decode.read_text("utf-8") == DECODE


@pytest.mark.parametrize("words", [["-o", "a.json"], ["--window", "layer.0"]])
def test_a_cut_needs_a_window_and_an_output(words: list[str], decode: Path, command: Command) -> None:
    done = command("cut", *words, str(decode))
    assert (done.code, done.out) == (2, "")
    assert "the following arguments are required" in done.err


def test_a_text_that_cannot_be_read_is_not_cut(decode: Path, command: Command) -> None:
    Path("bad.tir").write_text(DECODE.replace("@gpu0.s20 [", "@gpu0.s21 ["), "utf-8")
    message = command.refusal("cut", "--window", "layer.0", "bad.tir", "-o", "a.json", code=3)
    assert re.match(r"bad\.tir:16:\d+: There is no lane @gpu0\.s21", message), message
    assert not Path("a.json").exists()
