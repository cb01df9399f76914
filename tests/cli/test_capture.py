"""`--capture FILE`: a second input that gives replays their modules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.passes.test_capture import Writer, kernels
from traceir.cli.main import main


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """A trace with a replay, and one of its capture."""
    taken, run = Writer(), Writer()
    taken.capture(3, names=True)
    run.replay(kernels(3))
    out = []
    for name, writer in (("run", run), ("taken", taken)):
        folder = tmp_path / name
        folder.mkdir()
        writer.module(folder)
        out.append(str(folder / "t.json"))
    return out[0], out[1]


@pytest.mark.parametrize("passes", [[], ["--passes", "group"], ["--passes", "capture,group"]])
def test_layers_are_those_of_the_capture(
    files: tuple[str, str], passes: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever else runs, the join runs first, once; and both inputs are named."""
    trace, taken = files
    assert main(["run", "-q", *passes, "--emit", "json", "--capture", taken, trace]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pipeline"].startswith("capture,infer,group")
    assert [item["path"] for item in found["inputs"]] == [trace, taken]
    assert found["results"]["capture"]["joined"] == 1
    assert [stack["evidence"] for stack in found["results"]["group"]["stacks"]] == ["capture"]


def test_a_capture_that_does_not_fit_is_said(files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """In the report and as a remark; the rest is as without it."""
    trace, _ = files
    other = Writer()
    other.capture(4, names=True)
    folder = Path(trace).parent / "other"
    folder.mkdir()
    other.module(folder)
    asked = ["run", "-q", "--remarks", "--emit", "json", "--capture", str(folder / "t.json"), trace]
    assert main(asked) == 0
    said = capsys.readouterr()
    reason = "no capture has 12 nodes (there are captures of 16)"
    assert json.loads(said.out)["results"]["capture"]["refused"] == {reason: 1}
    assert f"capture: missed: not joined: {reason}." in said.err


def test_mistakes(files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """A capture that is the input, or no trace, or not there."""
    trace, _ = files
    assert main(["run", "-q", "--capture", trace, trace]) == 2
    assert "The capture is the input itself" in capsys.readouterr().err
    missing = str(Path(trace).parent / "none.json")
    for more in ([], ["--dump-pipeline"]):  # said before the input is read, and where nothing runs
        assert main(["run", "-q", *more, "--capture", missing, trace]) == 3
        assert capsys.readouterr().err == f"traceir: The capture {missing} does not exist.\n"
    assert main(["run", "-q", "--capture", "", trace]) == 2
    assert "names no file" in capsys.readouterr().err


@pytest.mark.parametrize("flag", [["-o"], ["--log"]])
def test_no_output_takes_the_place_of_a_second_input(
    files: tuple[str, str], flag: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is as it was."""
    trace, taken = files
    before = Path(taken).read_bytes()
    assert main(["run", "-q", "--capture", taken, *flag, taken, trace]) == 2
    assert "is the input itself" in capsys.readouterr().err
    assert Path(taken).read_bytes() == before


def test_a_text_that_holds_results_says_that_the_capture_did_nothing(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing runs again over it unless it is asked for."""
    trace, taken = files
    text = str(tmp_path / "a.tir")
    assert main(["run", "-q", "--passes", "infer", "--emit", "tir", "-o", text, trace]) == 0
    assert main(["run", "--emit", "json", "--capture", taken, text]) == 0
    assert "--capture did nothing; ask for passes with --passes." in capsys.readouterr().err
