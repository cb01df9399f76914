"""Reproducers from the command line: what is claimed of one is what `traceir run` on it does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from traceir.cli.main import main

PASSES = '''
import attrs
import numpy as np
import traceir as tir

CALLS = []

@attrs.frozen
class Flip(tir.Pass):
    """Reverse the times."""

    annotates = False

    def run(self, module, context):
        return module.with_columns({"ts": module["ts"][::-1]})

@attrs.frozen
class Picky(tir.Pass):
    """Fail where times go back."""

    def run(self, module, context):
        if (np.diff(module["ts"]) < 0).any():
            raise tir.PassError("The pass picky met a time that goes back.")
        return module

@attrs.frozen
class Moody(tir.Pass):
    """Fail the first time only."""

    def run(self, module, context):
        CALLS.append(1)
        if len(CALLS) == 1:
            raise tir.PassError("The pass moody is not in the mood.")
        return module

@attrs.frozen
class Loud(tir.Pass):
    """Print, and fail if told to."""

    fail: bool = tir.option(False, help="Fail.")

    def run(self, module, context):
        print("NOISE")
        if self.fail:
            raise tir.PassError("The pass loud fails.")
        return module

    def report(self, module):
        print("NOISE OF THE REPORT")
        return None
'''


@pytest.fixture
def plugin(example: str) -> list[str]:
    """The flag that names a file with the passes; the working directory is an empty one but for it."""
    Path("plug.py").write_text("print('NOISE OF THE FILE')\n" + PASSES)
    return ["--plugin", "plug.py"]


def ran(capsys: pytest.CaptureFixture[str], *words: str, code: int) -> list[str]:
    """What was printed on standard error, noise left out."""
    assert main(["run", "-q", *words]) == code
    said = capsys.readouterr()
    assert said.out == ""
    return [line for line in said.err.splitlines() if not line.startswith("NOISE")]


def test_a_text_that_cannot_be_read(plugin: list[str], example: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Is not said to fail the same way."""
    words = [*plugin, "--verify=off", "--passes", "flip,picky", "--instrument", "reproducer{path=r.tir}"]
    first, second = ran(capsys, *words, example, code=4)
    assert first.startswith(
        "traceir: What picky was given, 2 events, is in r.tir. It does not fail again from this text: "
    )
    assert second == "traceir: The pass picky met a time that goes back."
    (again, *_) = ran(capsys, *plugin, "r.tir", code=3)
    assert first.endswith(again.removeprefix("traceir: "))


def test_a_failure_by_chance(plugin: list[str], example: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither."""
    words = [*plugin, "--passes", "moody", "--instrument", "reproducer{path=r.tir}"]
    first, _ = ran(capsys, *words, example, code=4)
    assert first == (
        "traceir: What moody was given, 6578 events, is in r.tir. It does not fail again from this text: the passes "
        "run through."
    )


@pytest.mark.parametrize("verifier", [["--verify=each"], ["--verify=off", "--instrument", "verify{rules=V03}"], []])
def test_what_the_verifier_finds_is_made_small(
    verifier: list[str], plugin: list[str], example: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whichever flag asks for it: each try is verified as the run was, and so is the text."""
    words = [*plugin, *verifier, "--passes", "flip", "--instrument", "reproducer{path=r.tir}"]
    first, *_, second = ran(capsys, *words, example, code=4)
    assert first == "traceir: A text of 2 events that fails the same way is in r.tir."
    assert "The pass flip breaks the rule V03" in second
    *_, again = ran(capsys, *plugin, "r.tir", code=4)
    assert "The pass flip breaks the rule V03" in again


@pytest.mark.parametrize(
    ("recorded", "flags", "code"),
    [
        (False, [], 0),
        (False, ["--verify=each"], 4),
        (True, [], 4),
        ("verify{rules=V03}", [], 4),
        ("verify{rules=V11}", [], 0),
        ("verify{rules=V03}", ["--verify=off"], 0),
        ("print", [], 2),
    ],
)
def test_the_recorded_verifier_is_applied(
    recorded: object, flags: list[str], code: int, plugin: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """None if there was none; a flag wins; what is no verifier is refused, since a text must not choose what runs."""
    said = json.dumps({"pipeline": "flip", "verify": recorded})
    Path("r.tir").write_text(
        f'#[traceir "1"]\nmodule @m {{\n  meta reproduce = {said};\n  lane @g : dev.stream;\n'
        '  %1 = dev.kernel("k") @g [0 +5];\n  %2 = dev.kernel("k") @g [10 +5];\n}\n'
    )
    assert main(["run", "-q", *plugin, *flags, "-o", "out.txt", "r.tir"]) == code
    if code == 2:
        assert "The text records 'print' as what verified the run" in capsys.readouterr().err


def test_what_passes_print_is_no_product(plugin: list[str], example: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor what plug-in files and reports print: it goes to standard error, and is dropped where it would repeat."""
    assert main(["run", "-q", *plugin, "--passes", "loud", "--emit", "json", example]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["pipeline"] == "loud"
    assert said.err.splitlines() == ["NOISE OF THE FILE", "NOISE", "NOISE OF THE REPORT"]
    assert main(["cut", *plugin, "-q", "--passes", "loud", "--window", "%5196", "-o", "a.tir", example]) == 0
    assert capsys.readouterr().out == ""
    words = ["--passes", "loud{fail=true}", "--instrument", "reproducer{path=r.tir}"]
    assert main(["run", "-q", *plugin, *words, example]) == 4
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[:3] == [
        "NOISE OF THE FILE",
        "NOISE",
        "traceir: A text of 1 event that fails the same way is in r.tir.",
    ]


def test_the_event_is_shown_once(plugin: list[str], example: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Naming the instrument that is always there gives it options, not another one."""
    words = [*plugin, "--passes", "flip", "--instrument", "reproducer{path=r.tir}"]
    lines = ran(capsys, *words, "--instrument", "culprit{most=2}", example, code=4)
    (at,) = [i for i, line in enumerate(lines) if line.startswith("what flip was given around")]
    assert len([line for line in lines[at:] if line.startswith("  ")]) == 2
