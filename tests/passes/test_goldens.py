"""Goldens of the passes: small modules by hand, the command on their first line, and what it prints.

`tests/golden/<pass>/<case>.tir` begins with its command, `// RUN: traceir run --passes <pass> … %s`, where `%s` is the
file. The lines of comment after it say in words what the case shows; those that begin with `// CHECK:` are figures
worked out by hand, each a part of one line of the output (`...` stands for anything); `// NEXT:` is one for the line
after it. The whole output stands in `<case>.out.tir`, `.json` or `.txt`. `pytest --update-goldens` writes the outputs
anew, and never the checks.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

import traceir as tir
from tests.conftest import ROOT
from traceir.cli.main import main
from traceir.passing.pipeline import parse_items
from traceir.registry import Registry
from traceir.testing import assert_equal, assert_sound
from traceir.text import parse, spell

GOLDEN = ROOT / "tests" / "golden"
PASSES = sorted(name for name, entry in Registry.installed().all("passes") if entry.provider == "traceir")
ENDINGS = {"tir": "tir", "json": "json", "folded": "txt"}
MOST_EVENTS = 60
"""Cases that every pass has at least, and events above which a case can no longer be read at a glance."""


@attrs.frozen
class Case:
    """One golden file: its path, its command as words, its prose, and what its output has to hold."""

    path: Path
    words: tuple[str, ...]
    prose: tuple[str, ...]
    checks: tuple[tuple[str, ...], ...]
    """Each a run of lines that stand one after the other in the output."""

    @classmethod
    def of(cls, path: Path) -> Case:
        """The case of a file; a file that breaks the rules of this folder fails with a sentence."""
        lines = path.read_text("utf-8").splitlines()
        head = [line.removeprefix("//").strip() for line in lines[: _head(lines)]]
        assert (head or [""])[0].startswith("RUN: traceir "), f"{path.name} has to begin with // RUN: traceir …"
        words = shlex.split(head[0].removeprefix("RUN: traceir "))
        checks: list[tuple[str, ...]] = []
        prose = []
        for line in head[1:]:
            if line.startswith("CHECK: "):
                checks.append((line.removeprefix("CHECK: "),))
            elif line.startswith("NEXT: "):
                checks[-1] += (line.removeprefix("NEXT: "),)
            else:
                prose.append(line)
        return cls(path, tuple(words), tuple(prose), tuple(checks))

    def option(self, flag: str, default: str) -> str:
        """The value of a flag of the command."""
        return self.words[self.words.index(flag) + 1] if flag in self.words else default

    @property
    def printer(self) -> str:
        """The word of the printer."""
        return parse_items(self.option("--emit", "folded"))[0].word

    @property
    def golden(self) -> str:
        """The file of the output, as the fixture names it."""
        return f"{self.path.parent.name}/{self.path.stem}.out.{ENDINGS[self.printer]}"

    def run(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
        """What the command prints; it has to succeed without a word on standard error."""
        monkeypatch.chdir(self.path.parent)  # so that no path of this machine gets into an output
        code = main([self.path.name if word == "%s" else word for word in self.words])
        out, err = capsys.readouterr()
        assert (code, err) == (0, "")
        return out.replace(f'"traceir": "{tir.__version__}"', '"traceir": "<version>"')


def _stands(check: tuple[str, ...], lines: list[str]) -> bool:
    """Whether lines of the output hold the parts of a check, one after the other; blanks count as one."""
    parts = [".*".join(re.escape(" ".join(part.split())) for part in line.split("...")) for line in check]
    runs = zip(*(lines[at:] for at in range(len(parts))), strict=False)
    return any(all(map(re.search, parts, run)) for run in runs)


def _head(lines: list[str]) -> int:
    """How many lines of comment a file begins with."""
    return next((at for at, line in enumerate(lines) if not line.startswith("//")), len(lines))


def _paths() -> list[Path]:
    return [path for name in PASSES for path in sorted((GOLDEN / name).glob("*.tir")) if ".out." not in path.name]


def _named(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", _paths(), ids=_named)
def test_golden(
    path: Path,
    golden: Callable[[str, str], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The command prints what stands beside the case, what was worked out by hand among it."""
    case = Case.of(path)
    out = case.run(capsys, monkeypatch)
    lines = [" ".join(line.split()) for line in out.splitlines()]
    for check in case.checks:
        assert _stands(check, lines), f"the output does not hold: {check}\n{out}"
    golden(case.golden, out)
    if case.printer == "tir":
        module = parse(out)
        again = "".join(spell(module))
        assert again == out, "printing what the output reads as gives another text"
        assert_equal(parse(again), module)
        assert_sound(module)


@pytest.mark.parametrize("path", _paths(), ids=_named)
def test_case_keeps_the_rules_of_the_folder(path: Path) -> None:
    """Its command runs the pass of its folder, it says what it shows, and it is small enough to read."""
    case = Case.of(path)
    assert case.words[0] == "run"
    assert "%s" in case.words
    assert path.parent.name in [item.word for item in parse_items(case.option("--passes", "default"))]
    assert case.prose, "say in a line of comment after RUN what the case shows"
    assert case.checks, "work out some figures by hand and state them in // CHECK: lines"
    assert len(parse(path.read_text("utf-8"))) <= MOST_EVENTS


@pytest.mark.parametrize("name", sorted({path.parent.name for path in _paths()}))
def test_no_output_is_left_over(name: str) -> None:
    """An output whose case was renamed fails here."""
    paths = [path for path in _paths() if path.parent.name == name]
    outputs = {path.name for path in (GOLDEN / name).iterdir() if ".out." in path.name}
    assert outputs == {Path(Case.of(path).golden).name for path in paths}
