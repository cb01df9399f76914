"""Foreign code that asks to leave the program: it is named, and nothing ends with success that has not succeeded."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .lines import Command

FRONTEND = '''
import sys
from traceir.loading import Frontend

class Mine(Frontend):
    """Read mine."""
    word = "mine"

    @classmethod
    def sniff(cls, head):
        {sniff}

    def use_registry(self, registry):
        {use}

    def load(self, path, progress=None):
        {load}
'''
PASS = '''
import sys
import attrs
import traceir as tir

@attrs.frozen
class Mine(tir.Pass):
    """Do nothing."""

    def run(self, module, context):
        return module
'''
LEAVES = "sys.exit(0)"


def plugin(text: str) -> list[str]:
    Path("plugin.py").write_text(text, "utf-8")
    return ["--plugin", "plugin.py"]


def test_a_frontend_that_leaves_while_it_sniffs_knows_nothing(decode: Path, command: Command) -> None:
    """The others are asked, and it is named."""
    words = plugin(FRONTEND.format(sniff=LEAVES, use="pass", load="pass"))
    done = command("print", "--emit", "tir", *words, str(decode))
    assert (done.code, done.out) == (0, decode.read_text("utf-8"))
    assert done.err == "traceir: The frontend mine cannot tell what it reads: SystemExit: 0.\n"


def test_a_frontend_that_says_nothing_of_why_is_told_without_a_colon(decode: Path, command: Command) -> None:
    """An error without a text is its kind alone."""
    words = plugin(FRONTEND.format(sniff="raise NotImplementedError", use="pass", load="pass"))
    done = command("print", "--emit", "tir", *words, str(decode))
    assert done.err == "traceir: The frontend mine cannot tell what it reads: NotImplementedError.\n"


@pytest.mark.parametrize(("use", "load"), [(LEAVES, "pass"), ("pass", LEAVES)])
def test_a_frontend_that_leaves_while_it_reads_is_an_input_that_cannot_be_read(
    use: str, load: str, decode: Path, command: Command
) -> None:
    """With its name."""
    words = plugin(FRONTEND.format(sniff="return 2", use=use, load=load))
    said = command.refusal("run", *words, str(decode), code=3)
    assert said == "The input decode.tir cannot be read: the frontend mine failed: SystemExit: 0."


@pytest.mark.parametrize("command_line", [["run", "--passes", "infer"], ["print"]])
def test_a_printer_that_leaves_is_named(
    command_line: list[str], decode: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that it was to write is as it was."""
    from traceir.printers.json import Json

    monkeypatch.setattr(Json, "write", lambda *_: sys.exit(0))
    Path("out.json").write_text("before")
    said = command.refusal(*command_line, "--emit", "json", "-o", "out.json", str(decode), code=4)
    assert said == "The printer json failed: SystemExit: 0."
    assert Path("out.json").read_text() == "before"


@pytest.mark.parametrize("method", ["summary", "name"])
@pytest.mark.parametrize("line", [LEAVES, "1 // 0"])
def test_a_class_that_cannot_say_what_it_is_is_named(method: str, line: str, decode: Path, command: Command) -> None:
    """With its file."""
    words = plugin(PASS + f"\n    @classmethod\n    def {method}(cls):\n        {line}\n")
    told = "SystemExit: 0." if line == LEAVES else "ZeroDivisionError: integer division or modulo by zero."
    said = command.refusal("passes", *words, code=2)
    assert said == f"The plug-in file plugin.py cannot be used: The {method}() of the class Mine fails: {told}"
    done = command("plugins", "check", *words)
    assert done.code == 2
    assert said in done.out


def test_whatever_else_leaves_is_an_internal_error(
    decode: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 5 and a report, whatever code it asked for."""
    from traceir.cli import run

    def leave(_: object) -> int:
        raise SystemExit(0)

    monkeypatch.setattr(run, "execute", leave)
    monkeypatch.setattr("tempfile.tempdir", str(Path.cwd()))
    said = command.refusal("run", str(decode), code=5)
    assert said.startswith("An internal error occurred (SystemExit: 0); the report is in ")
    [report] = Path.cwd().glob("traceir-*.txt")
    assert "SystemExit: 0" in report.read_text("utf-8")


def test_an_internal_error_without_a_text_is_its_kind(
    decode: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from traceir.cli import run

    def fail(_: object) -> int:
        raise NotImplementedError

    monkeypatch.setattr(run, "execute", fail)
    monkeypatch.setattr("tempfile.tempdir", str(Path.cwd()))
    said = command.refusal("run", str(decode), code=5)
    assert said.startswith("An internal error occurred (NotImplementedError); the report is in ")
