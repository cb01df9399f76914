"""What the command line imports before it has anything to do: nothing but the standard library and itself."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from traceir.cli.main import COMMANDS

DEPENDENCIES = {"attr", "attrs", "hypothesis", "isal", "lark", "msgspec", "networkx", "numpy", "rich", "zstandard"}
MACHINERY = {
    "traceir.ir", "traceir.loading", "traceir.passing", "traceir.printers", "traceir.registry", "traceir.te",
    "traceir.text", "traceir.windows",
}  # fmt: skip
PLUGINS = {"traceir_passes", "traceir_frontends"}

SCRIPT = """
import sys, json
before = set(sys.modules)
from traceir.cli.main import main
code = main(json.loads(sys.argv[1]))
sys.stdout.flush()
print(json.dumps([code, sorted(set(sys.modules) - before)]), file=sys.stderr)
"""


def loaded(*argv: str) -> tuple[int, set[str], str]:
    """The exit code of a command line, the modules that it imported, and all that it printed."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(argv)], capture_output=True, text=True, check=True, timeout=60
    )
    *said, last = done.stderr.splitlines()
    code, modules = json.loads(last)
    return code, set(modules), done.stdout + "\n".join(said)


def below(modules: set[str], roots: set[str]) -> list[str]:
    """The modules that are one of the roots or in one of them."""
    return sorted(name for name in modules if any(name == root or name.startswith(f"{root}.") for root in roots))


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (["--help"], 0, "usage: traceir"),
        (["--version"], 0, "traceir "),
        *([[command, "--help"], 0, f"usage: traceir {command}"] for command in COMMANDS),
        ([], 2, "the following arguments are required: COMMAND"),
        (["rnu", "trace.json"], 2, "invalid choice: 'rnu'"),
        (["run"], 2, "the following arguments are required: INPUT"),
        (["run", "--bogus", "trace.json"], 2, "unrecognized arguments: --bogus"),
        (["run", "--passes"], 2, "expected one argument"),
        (["run", "--width", "wide", "trace.json"], 2, "invalid int value: 'wide'"),
        (["run", "--verify", "maybe", "trace.json"], 2, "invalid choice: 'maybe'"),
        (["cut", "trace.json"], 2, "the following arguments are required: --window, -o/--output"),
        (["new-pass"], 2, "the following arguments are required: NAME"),
        (["plugins", "chekc"], 2, "invalid choice: 'chekc'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_help_and_mistakes_of_the_command_line_import_nothing_heavy(argv: list[str], code: int, says: str) -> None:
    """No dependency, no machinery of traceir, and none of the modules that entry points name."""
    got, modules, said = loaded(*argv)
    assert got == code
    assert says in said
    assert "traceir.cli.main" in modules, "the check has to see the modules that are imported"
    assert below(modules, DEPENDENCIES) == []
    assert below(modules, PLUGINS) == []
    assert below(modules, MACHINERY) == []


def test_lists_of_names_import_no_pass_and_no_frontend() -> None:
    """The tables say all that a list shows; the classes are imported when they are used."""
    for command in ("passes", "frontends", "plugins"):
        code, modules, said = loaded(command)
        assert code == 0
        assert "kineto" in said or "overlap" in said
        assert below(modules, PLUGINS) == sorted(PLUGINS)
        assert below(modules, {"networkx", "rich", "hypothesis"}) == []


def test_showing_a_pass_imports_only_that_pass() -> None:
    """One class is loaded, not its neighbours of which it needs nothing."""
    code, modules, _ = loaded("passes", "show", "fold")
    assert code == 0
    assert "traceir_passes.fold" in modules
    assert below(modules, {"traceir_passes.gaps", "traceir_passes.overlap", "traceir_frontends.kineto"}) == []
