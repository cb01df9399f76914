"""`--log`, and every other file that a run writes: none of them hides a failure or takes another's place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .lines import DECODE, Command

PLUGIN = '''
import sys
import attrs
import numpy as np
import traceir as tir
from traceir.passing import Instrument

@attrs.frozen
class Bad(tir.Pass):
    """Fail."""
    reads = ("infer.role",)

    def run(self, module, context):
        return 1 // 0

@attrs.define(eq=False)
class Notes(Instrument):
    """Give as figures what is asked for."""
    how: str = tir.option("none", help="Which.")

    def figures(self):
        if self.how == "raise":
            raise ValueError("no figures today")
        if self.how == "leave":
            sys.exit(0)
        return {
            "none": (), "one": [{"mine": 1}], "two": [{"mine": 1}, {"mine": 2}], "text": "ab", "texts": ["a", "b"],
            "taken": [{"pass": "x", "mine": 1}, {"mine": 2}], "timed": [{"wall_s": 1}, {}],
            "numpy": [{"mine": np.int64(7)}, {"mine": np.float64("nan")}], "object": [{"mine": {1}}, {"mine": 0}],
        }[self.how]
'''


@pytest.fixture
def plugin(decode: Path) -> str:
    """A plug-in file with a pass that fails and an instrument with all sorts of figures, beside `decode.tir`."""
    Path("plugin.py").write_text(PLUGIN, "utf-8")
    return "plugin.py"


def logged(path: str = "log.json") -> dict[str, Any]:
    """What a log holds."""
    found: dict[str, Any] = json.loads(Path(path).read_text("utf-8"))
    return found


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--log", "decode.tir"], "The log decode.tir is the input itself; name another file."),
        (["--log", "./x", "-o", "x"], "The log ./x is the output too; name two files."),
        (["--log", "-"], "The log cannot go to standard output, which carries the product; name a file."),
        (
            ["--instrument", "reproducer{path=decode.tir}"],
            "The reproducer decode.tir is the input itself; name another file.",
        ),
        (["--instrument", "reproducer{path=x}", "--log", "x"], "The reproducer x is the log too; name two files."),
        (
            ["--instrument", "reproducer{path=x}", "--instrument", "reproducer{path=x}"],
            "The reproducer x is the reproducer too; name two files.",
        ),
        (
            ["--instrument", "reproducer{path=no/x}"],
            "The reproducer no/x cannot be written: there is no folder no.",
        ),
    ],
)
def test_no_file_takes_anothers_place(words: list[str], message: str, decode: Path, command: Command) -> None:
    """Said before the input is read, and nothing is written."""
    assert command.refusal("run", "--passes", "infer", *words, str(decode), code=2) == message
    assert decode.read_text("utf-8") == DECODE
    assert sorted(path.name for path in Path().iterdir()) == ["decode.tir"]


def test_one_link_is_one_file(decode: Path, command: Command) -> None:
    """A link to the output is the output."""
    Path("out").write_text("")
    Path("link").symlink_to("out")
    said = command.refusal("run", "-o", "out", "--log", "link", str(decode), code=2)
    assert said == "The log link is the output too; name two files."


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="this system has no /dev/stdout")
@pytest.mark.parametrize("end", ["| cat", "> out && cat out"])
def test_a_log_by_another_name_of_standard_output_is_refused(end: str, decode: Path) -> None:
    """It would be mixed into the product, or take its place; other pipes and devices are as good as files."""
    traceir = f"{sys.executable} -c 'from traceir.cli.main import script; script()'"
    shell = ["sh", "-c", f"{{ {traceir} run --passes infer --emit tir --log $LOG decode.tir; }} {end}"]
    for place, said in (("/dev/stdout", "traceir: The log cannot go to standard output, "), ("/dev/stderr", "{")):
        environment = {**os.environ, "LOG": place}
        done = subprocess.run(shell, capture_output=True, text=True, env=environment, timeout=60, check=False)
        assert done.stderr.startswith(said)
        assert done.stdout.startswith("#[traceir") == (place == "/dev/stderr")


# --- failures --------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_log_that_cannot_be_written_hides_no_failure(plugin: str, command: Command) -> None:
    """The pass's error is what the run ends with; the log's is below it."""
    words = ["--plugin", plugin, "--passes", "bad", "--instrument", "reproducer{budget_s=0,most_events=0}"]
    done = command("run", "-q", *words, "--log", "/dev/full", "decode.tir")
    assert (done.code, done.out) == (4, "")
    assert "traceir: The pass bad failed: ZeroDivisionError: integer division or modulo by zero.\n" in done.err
    assert done.err.endswith("  The log /dev/full cannot be written: No space left on device.\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_the_product_is_there_though_the_log_is_not(decode: Path, command: Command) -> None:
    """And the run says so."""
    done = command("run", "--passes", "infer", "--emit", "tir", "--log", "/dev/full", str(decode))
    assert done.out.startswith('#[traceir "1"]')
    assert (done.code, done.err) == (2, "traceir: The log /dev/full cannot be written: No space left on device.\n")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("raise", "The instrument notes failed in figures: ValueError: no figures today."),
        ("leave", "The instrument notes failed in figures: SystemExit: 0."),
        ("text", "The figures of the instrument notes are 'ab', and they have to be a list of dicts."),
        ("texts", "The figures of the instrument notes are ['a', 'b'], and they have to be a list of dicts."),
        ("one", "The figures of the instrument notes are of 1 pass, and 2 ran, so the log leaves them out."),
        (
            "object",
            "The figures of the instrument notes cannot be written: The field [0].mine is of type set, and it has to "
            "be a number, a text, a bool, None, or a list, dict, numpy array or attrs object of such.",
        ),
    ],
)
def test_figures_that_no_log_can_hold_are_refused_by_name(
    how: str, message: str, plugin: str, command: Command
) -> None:
    """When the product and the log, with what the others noted, are written."""
    words = ["--plugin", plugin, "--passes", "group", "--timing", "--instrument", f"notes{{how={how}}}"]
    done = command("run", "-q", *words, "--emit", "tir", "--log", "log.json", "decode.tir")
    assert done.code == 4
    assert done.out.startswith('#[traceir "1"]')
    assert done.err.endswith(f"traceir: {message}\n")
    assert [row["pass"] for row in logged()["passes"]] == ["infer", "group"]
    assert all(row["wall_s"] > 0 and "mine" not in row for row in logged()["passes"])


def test_figures_that_raise_hide_no_failure(plugin: str, command: Command) -> None:
    """They are a note below it."""
    words = ["--plugin", plugin, "--passes", "bad", "--instrument", "notes{how=raise}"]
    done = command("run", "-q", *words, "--instrument", "reproducer{path=r.tir}", "--log", "log.json", "decode.tir")
    assert done.code == 4
    assert "traceir: The pass bad failed: ZeroDivisionError" in done.err
    assert done.err.endswith("  The instrument notes failed in figures: ValueError: no figures today.\n")
    assert [row["failed"] for row in logged()["passes"]] == [False, True]


# --- rows ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "rows"),
    [
        ("two", [{"mine": 1}, {"mine": 2}]),
        ("numpy", [{"mine": 7}, {"mine": None}]),
        ("none", [{}, {}]),
        ("taken", [{"notes{how=taken}": {"pass": "x", "mine": 1}}, {"notes{how=taken}": {"mine": 2}}]),
    ],
)
def test_figures_replace_nothing(how: str, rows: list[dict[str, Any]], plugin: str, command: Command) -> None:
    """An instrument with a key that is taken has an object of its own in each row."""
    words = ["--plugin", plugin, "--passes", "group", "--instrument", f"notes{{how={how}}}"]
    done = command("run", "-q", *words, "--log", "log.json", "decode.tir")
    assert (done.code, done.err) == (0, "")
    for row, name, own in zip(logged()["passes"], ("infer", "group"), rows, strict=True):
        assert row.pop("pass") == name
        assert row.pop("text").startswith(name)
        assert row == {"failed": False, **own}


def test_two_instruments_with_one_key_have_both_theirs(plugin: str, command: Command) -> None:
    """The first as ever, the second under its name; what says the same is there once."""
    words = ["--plugin", plugin, "--timing", "--instrument", "notes{how=timed}", "--instrument", "diff{most=1}"]
    done = command("run", "-q", *words, "--diff", "--passes", "group", "--log", "log.json", "decode.tir")
    assert done.code == 0
    infer = logged()["passes"][0]
    assert infer["wall_s"] != 1
    assert infer["notes{how=timed}"] == {"wall_s": 1}
    columns, few = infer["diff"]["columns"], infer["diff{most=1}"]["diff"]["columns"]
    assert [change["name"] for change in columns] == [change["name"] for change in few]
    assert columns != few


def test_what_some_built_in_instruments_do_not_note_of_a_failure_is_not_missing(plugin: str, command: Command) -> None:
    """The statistics and diffs of a pass that failed are none, and no sentence is wasted on that."""
    words = ["--plugin", plugin, "--passes", "bad", "--statistics", "--diff", "--timing", "--remarks"]
    done = command("run", "-q", *words, "--instrument", "reproducer{path=r.tir}", "--log", "log.json", "decode.tir")
    assert done.code == 4
    assert "figures" not in done.err.replace("no figures", "")
    first, second = logged()["passes"]
    assert first.keys() - second.keys() == {"statistics", "counts", "diff"}
    assert second["error"].startswith("The pass bad failed")
