"""What the command line refuses: one sentence on stderr, the exit code of the design, never a traceback."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from traceir.cli.main import main

SMALL = (
    '{"traceEvents": [{"ph": "X", "cat": "kernel", "name": "k", "pid": 0, "tid": 7, "ts": 1.5, "dur": 2.25,'
    ' "args": {"device": 0, "stream": 7}}]}'
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one input of each bad sort, as the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.json").write_bytes(b"")
    (tmp_path / "words.txt").write_text("hello, this is no trace")
    (tmp_path / "other.json").write_text('{"name": "not a trace"}')
    (tmp_path / "broken.gz").write_bytes(b"\x1f\x8b\x08\x00 this is no gzip stream")
    (tmp_path / "packed.gz").write_bytes(gzip.compress(b"hello"))
    (tmp_path / "good.json").write_text(SMALL)
    (tmp_path / "cut.json").write_text(SMALL[:-40])
    (tmp_path / "ranks").mkdir()
    for rank in range(2):
        (tmp_path / "ranks" / f"rank{rank}.json").write_text(SMALL)
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "rank0.json").write_text(SMALL)
    (tmp_path / "none").mkdir()
    (tmp_path / "bad_plugin.py").write_text("import nowhere_to_be_found\n")
    (tmp_path / "no_pass.py").write_text("x = 1\n")
    return tmp_path


CASES = [
    (["run", "missing.json"], 3, "traceir: The input missing.json does not exist."),
    (["run", "empty.json"], 3, "traceir: The input empty.json is empty (0 bytes)."),
    (
        ["run", "words.txt"],
        3,
        "traceir: The input words.txt is no trace that any frontend knows: it begins with 'hello, this is no trace'.",
    ),
    (
        ["run", "broken.gz"],
        3,
        "traceir: The input broken.gz is no trace that any frontend knows: it begins like a gzip file that is "
        "damaged from its first block on.",
    ),
    (
        ["run", "packed.gz"],
        3,
        "traceir: The input packed.gz is no trace that any frontend knows: it begins with 'hello'.",
    ),
    (
        ["run", "ranks"],
        2,
        "traceir: The folder ranks holds 2 traces, and several ranks are not supported yet; name one file, such as "
        "rank0.json.",
    ),
    (
        ["run", "-o", "good.json", "good.json"],
        2,
        "traceir: The output good.json is the input itself; name another file.",
    ),
    (
        ["run", "--passes", "group{min_layers=0}", "good.json"],
        2,
        "traceir: The option min_layers of group is 0, and it has to be 1 or more (column 7 of the pipeline).",
    ),
    (
        ["run", "--strict", "cut.json"],
        3,
        "traceir: The input cut.json is damaged, and --strict was given: truncated: ",
    ),
    (["run", "no\nsuch\x1b[31m.json"], 3, "traceir: The input no\\nsuch\\x1b[31m.json does not exist."),
    (["run", "none"], 3, "traceir: The folder none holds no trace (no .json or .json.gz file)."),
    (
        ["run", "--frontend", "kinto", "good.json"],
        2,
        "traceir: There is no frontend 'kinto'; did you mean kineto.",
    ),
    (
        ["run", "--emit", "jsn", "good.json"],
        2,
        "traceir: There is no printer 'jsn'; did you mean json.",
    ),
    (
        ["run", "--passes", "grup,overlap", "good.json"],
        2,
        "traceir: There is no pass 'grup'; did you mean group or gaps (column 1 of the pipeline).",
    ),
    (
        ["run", "--passes", "group,overlap{verus=any}", "good.json"],
        2,
        "traceir: The pass overlap has no option 'verus'; did you mean versus (column 15 of the pipeline).",
    ),
    (
        ["run", "--passes", "overlap{versus=some}", "good.json"],
        2,
        "traceir: The option versus of overlap is 'some', and it has to be compute | any (column 9 of the pipeline).",
    ),
    (
        ["run", "--width", "10", "good.json"],
        2,
        "traceir: The width 10 is too narrow for a page; it has to be 40 or more.",
    ),
    (
        ["run", "-o", "nowhere/out.json", "good.json"],
        2,
        "traceir: The output nowhere/out.json cannot be written: there is no folder nowhere.",
    ),
    (["run", "--plugin", "gone.py", "good.json"], 2, "traceir: The plug-in file gone.py does not exist."),
    (
        ["run", "--plugin", "no_pass.py", "good.json"],
        2,
        "traceir: The plug-in file no_pass.py defines no pass, no frontend and no instrument.",
    ),
    (
        ["run", "--plugin", "bad_plugin.py", "good.json"],
        2,
        "traceir: The plug-in file bad_plugin.py cannot be imported: ModuleNotFoundError: No module named "
        "'nowhere_to_be_found'.",
    ),
    (
        ["run", "--print-after", "overlp", "good.json"],
        2,
        "traceir: There is no pass 'overlp' to print after; did you mean overlap",
    ),
    (
        ["run", "--passes", "infer", "--print-after", "group", "good.json"],
        2,
        "traceir: There is no pass 'group' to print around in this run; there are all, infer.",
    ),
    (
        ["run", "--instrument", "verify{rules=V99}", "good.json"],
        2,
        "traceir: There is no verifier rule 'V99'; did you mean V",
    ),
    (
        ["run", "--log", "nowhere/log.json", "missing.json"],
        2,
        "traceir: The log nowhere/log.json cannot be written: there is no folder nowhere.",
    ),
    (
        ["passes", "list", "foo"],
        2,
        "traceir: The list has all passes; to show one, write: traceir passes show foo.",
    ),
    (["passes", "show"], 2, "traceir: Name the pass to show, as in: traceir passes show overlap."),
    (["passes", "show", "overlp"], 2, "traceir: There is no pass 'overlp'; did you mean overlap"),
]


@pytest.mark.parametrize(
    ("argv", "code", "message"), CASES, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_a_refusal_is_one_sentence(
    argv: list[str], code: int, message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """stdout stays empty, stderr has one line that names the file or the place, the exit code says which sort."""
    assert main(argv) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(message), err
    assert err.count("\n") == 1


@pytest.mark.parametrize("argv", [[], ["rum"], ["run"], ["run", "--nope", "x"]])
def test_wrong_arguments_are_usage_errors(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """What argparse refuses has exit code 2 as well, and goes to stderr."""
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "usage: traceir" in err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--passes", "gapsmin=1", "gapsclasses=a", "x"], "gapsmin=1 gapsclasses=a"),
        (["--passes", "group,gapsmin=1,x", "group,gapsclasses=a,x", "x"], "group,gapsmin=1,x group,gapsclasses=a,x"),
        (["--emit", "foldedby=role", "foldedexpand=a", "x"], "foldedby=role foldedexpand=a"),
        (["--passes", "gapsa=1", "gapsb=2", "gapsc=3", "x"], "gapsa=1 gapsb=2"),
        (["--passes", "gaps", "a=1", "x"], None),
        (["--passes", "a=1", "b=1", "x"], None),
        (["--width", "run=1", "ring=2", "x"], None),
    ],
)
def test_braces_that_the_shell_expanded_are_recognised(
    words: list[str], hint: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the shell hands them over: several words, of which one is taken for the input and the input for too much."""
    assert main(["run", *words]) == 2
    *_, said = capsys.readouterr().err.splitlines()
    if hint is None:
        assert "shell" not in said
    else:
        assert said == (
            f"traceir: error: {hint} reads as if your shell expanded the braces: quote the text, as in {words[0]} "
            "'name{key=value}'"
        )


def test_an_internal_error_leaves_a_report(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something unforeseen is one line with the path of a saved report, exit code 5."""
    from traceir.cli import run

    def fail(_: object) -> int:
        raise RuntimeError("boom")

    monkeypatch.setattr(run, "execute", fail)
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    assert main(["run", "good.json"]) == 5
    err = capsys.readouterr().err
    assert err.startswith("traceir: An internal error occurred (RuntimeError: boom); the report is in ")
    [report] = folder.glob("traceir-*.txt")
    assert "RuntimeError: boom" in report.read_text("utf-8")


def test_a_plugin_pass_that_fails_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pass's own exception ends in exit code 4 and a sentence that names the pass."""
    (folder / "broken.py").write_text(
        "import attrs\nimport traceir as tir\n\n@attrs.frozen\nclass Broken(tir.Pass):\n"
        '    """Fail."""\n    def run(self, module, context):\n        return 1 // 0\n'
    )
    asked = ["--plugin", "broken.py", "--passes", "broken", "--instrument", "reproducer{path=repro.tir}"]
    assert main(["run", *asked, "good.json"]) == 4
    failure = "traceir: The pass broken failed: ZeroDivisionError: integer division or modulo by zero.\n"
    failure += "  It failed in broken.py, line 8: return 1 // 0\n"
    assert capsys.readouterr().err == (
        "traceir: A text of 1 event that fails the same way is in repro.tir.\n" + failure
    )
    assert main(["run", "-q", "--plugin", "broken.py", "repro.tir"]) == 4
    assert capsys.readouterr().err == failure


def test_a_folder_with_one_trace_is_that_trace(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A profiler's result folder may be named instead of its file."""
    assert main(["run", "one"]) == 0
    assert capsys.readouterr().out.startswith("rank0.json")


def test_a_report_that_is_no_report_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plug-in's report of a wrong type, and an exit in a pass, end in exit code 4, not in an internal error."""
    head = "import attrs\nimport traceir as tir\n\n@attrs.frozen\n"
    body = head + "class {}(tir.Pass):\n    def run(self, m, c):\n        {}\n"
    (folder / "odd.py").write_text(
        body.format("Odd", "return m") + "    def report(self, m):\n        return {'a': 1}\n"
    )
    (folder / "leave.py").write_text("import sys\n" + body.format("Leave", "sys.exit(0)"))
    for word, part in (("odd", "The report of the pass odd is a dict"), ("leave", "The pass leave failed: SystemExit")):
        assert main(["run", "--plugin", f"{word}.py", "--passes", word, "good.json"]) == 4
        out, err = capsys.readouterr()
        assert out == ""
        assert part in err


def test_names_cannot_move_the_cursor(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters of a kernel's name are printed as escapes."""
    (folder / "evil.json").write_text(SMALL.replace('"name": "k"', r'"name": "a\u001b[31mb\nc"'))
    assert main(["run", "--passes", "infer", "evil.json"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\\x1b" in out


def test_an_output_that_cannot_take_it_is_a_sentence(folder: Path) -> None:
    """A full device is one line on stderr and exit code 2."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    command = f"{sys.executable} -c 'from traceir.cli.main import script; script()' run good.json > /dev/full"
    done = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr == "traceir: The output cannot be written: No space left on device.\n"


def test_a_closed_pipe_is_quiet(folder: Path) -> None:
    """`traceir … | head -1` ends without a word on stderr."""
    command = f"{sys.executable} -c 'from traceir.cli.main import script; script()' run good.json --emit json"
    done = subprocess.run(
        ["sh", "-c", f"{command} | head -1"], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "{\n"
    assert done.stderr == ""
