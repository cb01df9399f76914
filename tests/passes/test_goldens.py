"""Goldens of the passes: small modules by hand under `tests/golden/<pass>`, and what their commands print.

`traceir.testing.goldens` says what stands in a case. `pytest --update-goldens` writes the outputs anew, and never the
checks.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import ROOT
from traceir.passing.pipeline import parse_items
from traceir.registry import Registry
from traceir.testing import GoldenCase, assert_golden, assert_sound, golden_cases
from traceir.text import parse

GOLDEN = ROOT / "tests" / "golden"
PASSES = sorted(name for name, entry in Registry.installed().all("passes") if entry.provider == "traceir")
PATHS = [path for name in PASSES for path in golden_cases(GOLDEN / name)]
MOST_EVENTS = 60
"""Events above which a case can no longer be read at a glance."""


def _named(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", PATHS, ids=_named)
def test_golden(path: Path, request: pytest.FixtureRequest) -> None:
    """The command prints what stands beside the case, what was worked out by hand among it."""
    output = assert_golden(path, update=request.config.getoption("--update-goldens"))
    if GoldenCase.of(path).printer == "tir":
        assert_sound(parse(output))


@pytest.mark.parametrize("path", PATHS, ids=_named)
def test_case_keeps_the_rules_of_the_folder(path: Path) -> None:
    """Its command runs the pass of its folder, it says what it shows, and it is small enough to read."""
    case = GoldenCase.of(path)
    assert case.words[0] == "run"
    assert "%s" in case.words
    assert path.parent.name in [item.word for item in parse_items(case.option("--passes", "default"))]
    assert case.prose, "say in a line of comment after RUN what the case shows"
    assert case.checks, "work out some figures by hand and state them in // CHECK: lines"
    assert len(parse(path.read_text("utf-8"))) <= MOST_EVENTS


@pytest.mark.parametrize("name", PASSES)
def test_each_pass_has_cases_and_no_output_is_left_over(name: str) -> None:
    """Three at least; an output whose case was renamed fails here."""
    paths = [path for path in PATHS if path.parent.name == name]
    assert len(paths) >= 3
    assert {path.name for path in (GOLDEN / name).iterdir() if ".out." in path.name} == {
        GoldenCase.of(path).output.name for path in paths
    }
