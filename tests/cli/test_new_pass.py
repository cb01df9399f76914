"""`traceir new-pass`: what it writes works, keeps the tools quiet, and never overwrites anything."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.lines import Command
from tests.conftest import ROOT

NAMES = ("slow-copies", "top-2", "a-b-c", "excess")
"""Words whose class spells them, and words that no class can spell."""


def files(word: str) -> tuple[str, str]:
    module = word.replace("-", "_")
    return f"{module}.py", f"test_{module}.py"


def tool(*command: str, folder: Path) -> str:
    """Run a tool in a folder; it has to succeed."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture
def written(command: Command, tmp_path: Path) -> Path:
    """A folder with the skeletons of all names."""
    for word in NAMES:
        command.output("new-pass", word, "--into", str(tmp_path / "mine"))
    return tmp_path / "mine"


def test_the_skeletons_pass_their_own_tests(written: Path) -> None:
    """In a process of their own, as the command that was printed runs them."""
    tests = [files(word)[1] for word in NAMES]
    out = tool(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, folder=written)
    assert f"{3 * len(NAMES)} passed" in out


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ('over = work["dur"] > self.most', 'over = work["dur"] > 100_000', "STRICT"),
        ('work["dur"][over] - self.most', 'work["dur"][over] - self.most + 1', "1 ns are neither allowed nor excess."),
        ("int(found", "1 + int(found", "test_what_lasts_too_long_has_an_excess - Assert"),
    ],
)
def test_the_tests_of_a_skeleton_can_fail(right: str, wrong: str, says: str, written: Path) -> None:
    """A pass that ignores its option, breaks its law or reports another figure is caught by what stands beside it."""
    path = written / "excess.py"
    text = path.read_text("utf-8")
    assert text.count(right) == 1
    path.write_text(text.replace(right, wrong), "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not any_module", "test_excess.py"],
        cwd=written, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 1
    assert says in done.stdout


@pytest.mark.slow  # hypothesis looks for the least module that fails for most of a minute
def test_the_law_of_a_skeleton_can_fail(written: Path) -> None:
    """The modules that it draws hold what the pass looks for: a broken law is found without the texts by hand."""
    path = written / "excess.py"
    right = 'work["dur"][over] - self.most'
    path.write_text(path.read_text("utf-8").replace(right, f"{right} + 1"), "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "any_module", "test_excess.py"],
        cwd=written, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 1
    assert "breaks its own law: 1 ns are neither allowed nor excess." in done.stdout


def test_the_skeletons_keep_the_tools_quiet(written: Path) -> None:
    """mypy --strict, and ruff with its own rules and with those of this project, formatter included."""
    for needed in ("mypy", "ruff"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed")
    python = (sys.executable, "-m")
    tool(*python, "mypy", "--strict", "--cache-dir", os.devnull, ".", folder=written)
    for settings in (("--isolated",), ("--config", str(ROOT / "pyproject.toml"))):
        tool(*python, "ruff", "check", "--no-cache", *settings, ".", folder=written)
        tool(*python, "ruff", "format", "--no-cache", "--check", *settings, ".", folder=written)
    tool(*python, "ruff", "check", "--no-cache", str(written), folder=ROOT)


@pytest.mark.parametrize("word", NAMES)
def test_a_skeleton_runs_over_a_trace(word: str, command: Command, example: str, written: Path) -> None:
    """It is a pass by its word, with its option, its column and its report."""
    plugin = str(written / files(word)[0])
    out = command.output("run", "--plugin", plugin, "--passes", word, "--emit", "json", example)
    found = json.loads(out)["results"][word]
    strict = f"{word}{{most=1ms}}"
    less = json.loads(command.output("run", "--plugin", plugin, "--passes", strict, "--emit", "json", example))
    assert found["events"] > less["results"][word]["events"] > 0
    assert found["excess_ns"] > less["results"][word]["excess_ns"] > 0
    shown = command.output("passes", "show", word, "--plugin", plugin)
    assert shown.startswith(f"{word}: Find work on a device that lasts longer than it may.\n")
    assert "most=100us  (duration)" in shown
    assert f"{word}.excess : event<i64, ns>" in shown
    assert any(
        line.split() == ["pass", word, plugin, "ok"]
        for line in command.output("plugins", "check", "--plugin", plugin).splitlines()
    )


def test_the_skeleton_holds_what_the_guide_teaches(written: Path) -> None:
    """One option, one column, a report, a law, and a docstring on everything."""
    text = (written / "slow_copies.py").read_text("utf-8")
    tree = ast.parse(text)
    named = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    assert {"SlowCopies", "SlowCopiesReport", "run", "report", "check"} <= {node.name for node in named}
    assert all(ast.get_docstring(node) for node in (tree, *named))
    assert text.count("tir.option(") == text.count("tir.Annotation(") == 1
    assert 'TRACEIR_API = "1"' in text
    assert "assert_pass(" in (written / "test_slow_copies.py").read_text("utf-8")
    assert "$" not in text + (written / "test_slow_copies.py").read_text("utf-8")


def test_it_prints_the_commands_that_run_it_and_its_test(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They can be pasted, whatever the folder is called."""
    monkeypatch.chdir(tmp_path)
    assert command.output("new-pass", "slow-copies").splitlines() == [
        "Wrote slow_copies.py and test_slow_copies.py. To run the pass, and to test it:",
        "",
        "  traceir run --plugin slow_copies.py --passes slow-copies trace.json.gz",
        "  python -m pytest test_slow_copies.py",
    ]
    last = command.output("new-pass", "slow-copies", "--into", "my folder").splitlines()[-1]
    assert Path(shlex.split(last)[-1]).is_file()


@pytest.mark.parametrize("there", files("slow-copies"))
def test_it_never_overwrites(there: str, command: Command, tmp_path: Path) -> None:
    """Neither file is touched if one of them is there."""
    (tmp_path / there).write_text("mine", "utf-8")
    message = command.refusal("new-pass", "slow-copies", "--into", str(tmp_path), code=2)
    assert message == (
        f"The file {tmp_path / there} exists already; choose another name, or another folder with --into."
    )
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text("utf-8") == "mine"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        *((name, "cannot be that of a pass") for name in ("Foo", "a--b", "a-", "2fast", "a_b", "a b", "é", "", "a\n")),
        ("overlap", "There is a pass 'overlap' already, which traceir brings; choose another name."),
        ("default", "There is a pipeline 'default' already, which traceir brings; choose another name."),
        ("import", "The name 'import' is a word of Python itself; choose another name."),
        ("random", "The file random.py would hide the Python module random, which is installed"),
        ("numpy", "The file numpy.py would hide the Python module numpy, which is installed"),
        ("tree", "The columns tree.* are shared by several passes"),
    ],
)
def test_a_name_that_will_not_do_is_refused(name: str, says: str, command: Command, tmp_path: Path) -> None:
    """With a sentence, and nothing is written."""
    assert says in command.refusal("new-pass", name, "--into", str(tmp_path), code=2)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_a_sentence(command: Command, tmp_path: Path) -> None:
    """Such as a file in its place."""
    (tmp_path / "file").write_text("", "utf-8")
    message = command.refusal("new-pass", "slow-copies", "--into", str(tmp_path / "file"), code=2)
    assert message.startswith(f"The file {tmp_path / 'file' / 'slow_copies.py'} cannot be written: ")
