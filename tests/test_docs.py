"""The documents are true: every block of README.md and docs/ is run, and its output compared."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT

DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.md")])
_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# (\w+\.py)\n")
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def _blocks(document: Path) -> list[tuple[str, str, str]]:
    return [(language, info.strip(), body) for language, info, body in _BLOCK.findall(document.read_text("utf-8"))]


def _environment() -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "PYTHONUTF8": "1", "NO_COLOR": "1"}


def _console(body: str, folder: Path) -> None:
    """Run each `$ command` and compare what it prints with the lines below it."""
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        done = subprocess.run(
            shlex.split(command),
            cwd=folder,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        got = done.stdout + done.stderr
        same = doctest.OutputChecker().check_output(expected, got, doctest.ELLIPSIS)
        assert same, f"$ {command}\nexpected:\n{expected}\ngot:\n{got}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_blocks_of_a_document_run_as_printed(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python blocks with a file name are written, `>>>` sessions and console blocks are run in order."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    session = doctest.DocTestRunner(optionflags=_FLAGS)
    names: dict[str, object] = {}
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for language, info, body in _blocks(document):
        named = _FILE.match(body)
        if language == "python" and named:
            (tmp_path / named.group(1)).write_text(body, "utf-8")
            monkeypatch.delitem(sys.modules, Path(named.group(1)).stem, raising=False)
        elif language in ("python", "pycon") and ">>>" in body:
            test = doctest.DocTestParser().get_doctest(body, names, document.name, str(document), 0)
            session.run(test, clear_globs=False)
            names = test.globs
        elif language == "console" and info != "no-run":
            _console(body, tmp_path)
    assert session.failures == 0, f"{session.failures} examples of {document.name} print something else"


def test_ci_runs_the_test_command_of_the_readme() -> None:
    """The README's block under `Tests` and the CI script name the same command."""
    readme = (ROOT / "README.md").read_text("utf-8")
    block = readme.split("## Tests", 1)[1].split("```", 2)[1]
    command = block.strip().splitlines()[-1].strip().removeprefix(".venv/bin/")
    assert command in (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
