"""The comparison with other tools tells a difference, and a tool that is not there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .test_tile import _script

BOTH = {"kernel_time(us)": 10.0, "comp_comm_overlap_pctg": None}


@pytest.mark.parametrize(
    ("tool", "theirs", "count"),
    [
        ("hta", BOTH, 0),
        ("hta", {**BOTH, "kernel_time(us)": 10.004}, 1),
        ("tracelens", {**BOTH, "kernel_time(us)": 10.004}, 0),
        ("hta", {**BOTH, "comp_comm_overlap_pctg": 0.0}, 1),
        ("hta", {"kernel_time(us)": 10.0}, 0),
        ("hta", {"comp_comm_overlap_pctg": None}, 1),
    ],
)
def test_a_figure_that_differs_is_told(tool: str, theirs: dict[str, float | None], count: int) -> None:
    """Exactly for one tool, to 0.01 us for the other; null equals null only."""
    assert len(_script("agree").differences(tool, theirs, BOTH)) == count


def test_a_tool_that_is_not_there_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is compared, and the exit code says so: here the tools are required."""
    script = _script("agree")
    nobody = str(tmp_path / "python")
    assert script.main([str(tmp_path / "a.json")]) == 2
    assert script.main(["--hta-python", nobody, str(tmp_path / "a.json")]) == 2
    assert "hta cannot be imported" in capsys.readouterr().err


def test_what_differs_sets_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line per trace; what a tool cannot read counts as nothing."""
    script = _script("agree")
    monkeypatch.setattr(script, "installed", lambda tool, python: True)
    monkeypatch.setattr(script, "worked_out", lambda tool, path: BOTH)
    for given, code in ((BOTH, 0), ({**BOTH, "kernel_time(us)": 1.0}, 1), ("ValueError: no", 0)):
        monkeypatch.setattr(script, "measured", lambda tool, python, path, given=given: given)
        assert script.main(["--hta-python", sys.executable, str(tmp_path / "a.json")]) == code
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "a.json: hta: 2 figures agree"
    assert "hta has 1.0, and we have 10.0" in lines[1]
    assert lines[2] == "a.json: hta cannot read it: ValueError: no"
