"""`--plugin FILE`: what is no file, a file twice, and a file that needs another."""

from __future__ import annotations

from pathlib import Path

import pytest

from .lines import Command

PASS = """
import attrs
import traceir as tir

@attrs.frozen
class {cls}(tir.Pass):
    {doc}

    @classmethod
    def name(cls):
        return "mine"

    def run(self, module, context):
        return module
"""
MINE = PASS.format(cls="Mine", doc='"""Do nothing."""')


def test_a_folder_is_said_to_be_one(decode: Path, command: Command) -> None:
    """And what to do with it."""
    said = command.refusal("passes", "--plugin", ".", code=2)
    assert said == "The plug-in . is a folder; name a Python file, or install the folder as a package."


def test_a_file_may_be_named_twice(decode: Path, command: Command) -> None:
    """However it is written."""
    Path("two.py").write_text(MINE)
    Path("link.py").symlink_to("two.py")
    words = [
        word for path in ("two.py", "./two.py", str(Path("two.py").resolve()), "link.py") for word in ("--plugin", path)
    ]
    assert command.output("passes", *words).count("mine ") == 1
    assert command.output("plugins", *words).count("mine") == 1
    assert command.output("run", "--passes", "mine", "--emit", "tir", *words, str(decode))


def test_one_name_twice_in_a_file_is_said_so(decode: Path, command: Command) -> None:
    """Nothing is to uninstall."""
    Path("two.py").write_text(MINE + MINE.replace("Mine", "Other"))
    said = command.refusal("passes", "--plugin", "two.py", code=2)
    assert said == (
        "The name 'mine' is brought twice by two.py; give one of the classes another name, or add the file once."
    )


@pytest.mark.parametrize(
    ("missing", "end"),
    [
        (
            "helper",
            "No module named 'helper'; helper lies beside it, where nobody looks: put the folder . on PYTHONPATH, or "
            "install both.",
        ),
        (
            "parts.one",
            "No module named 'parts'; parts lies beside it, where nobody looks: put the folder . on PYTHONPATH, or "
            "install both.",
        ),
        ("nowhere", "No module named 'nowhere'."),
    ],
)
def test_a_file_that_needs_its_neighbour_says_how_to_have_it(
    missing: str, end: str, decode: Path, command: Command
) -> None:
    """What is nowhere is only said to be missing."""
    Path("helper.py").write_text("")
    Path("parts").mkdir()
    Path("mine.py").write_text(f"import {missing}\n{MINE}")
    said = command.refusal("passes", "--plugin", "mine.py", code=2)
    assert said == f"The plug-in file mine.py cannot be imported: ModuleNotFoundError: {end}"


def test_a_pass_without_a_docstring_is_worth_a_note(decode: Path, command: Command) -> None:
    """It can be used all the same."""
    Path("mine.py").write_text(PASS.format(cls="Mine", doc="annotates = True"))
    done = command("plugins", "check", "--plugin", "mine.py")
    [line] = [line for line in done.out.splitlines() if line.startswith("pass mine ")]
    assert line.endswith("mine.py  ok: it has no docstring, whose first line would say in lists what it does")
    assert done.code == 0
