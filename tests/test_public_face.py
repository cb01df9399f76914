"""The public face: names resolve, tables tell the truth, and the command line starts without its machinery."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys

import pytest

import traceir
import traceir_frontends
import traceir_passes
from traceir.registry import GROUPS, Registry

HEAVY = ("numpy", "msgspec", "lark", "networkx", "rich", "attrs", "attr", "hypothesis", "isal")
PACKAGES = (traceir, traceir_passes, traceir_frontends)


def modules() -> list[str]:
    """Every module of the three packages."""
    return [
        name
        for package in PACKAGES
        for name in (
            package.__name__,
            *(m.name for m in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")),
        )
    ]


@pytest.mark.parametrize("name", modules())
def test_every_public_name_resolves(name: str) -> None:
    """A module can be imported, and has what its `__all__` promises, each name once."""
    module = importlib.import_module(name)
    names = getattr(module, "__all__", ())
    assert len(set(names)) == len(names)
    assert [public for public in names if not hasattr(module, public)] == []
    assert (module.__doc__ or "").strip(), "every module says what it is"


def test_the_lazy_names_are_all_listed() -> None:
    """`dir(traceir)` and `__all__` agree, and a name that is not there is an AttributeError."""
    assert set(dir(traceir)) == set(traceir.__all__)
    with pytest.raises(AttributeError, match="module 'traceir' has no attribute 'Nothing'"):
        traceir.Nothing  # noqa: B018


@pytest.mark.parametrize("group", [group for group in GROUPS if group != "pipelines"])
def test_summaries_equal_the_first_lines_of_the_docstrings(group: str) -> None:
    """The lazy tables say of each thing what it says of itself, and know it by its own name."""
    entries = dict(Registry.installed().all(group))  # type: ignore[arg-type]
    assert entries
    for name, entry in entries.items():
        found = entry.load()
        assert entry.summary == (found.__doc__ or "").strip().partition("\n")[0], name
        if group == "passes":
            assert found.name() == name
        if group == "frontends":
            assert found.word == name


def test_pipelines_parse() -> None:
    """Every named pipeline is a pipeline of passes that exist."""
    from traceir.passing import PassManager

    for name, _ in Registry.installed().all("pipelines"):
        assert PassManager.parse(name).passes


def test_every_built_in_pass_declares_itself() -> None:
    """Annotations and options explain themselves; columns begin with the pass's word or a shared one."""
    from traceir.passing.options import options_of

    shared = {"coll", "src", "tree"}
    for name, entry in Registry.installed().all("passes"):
        cls = entry.load()
        assert entry.provider == "traceir"
        for annotation in cls.writes:
            assert annotation.doc, f"{annotation.name} of {name} says nothing of itself"
            assert annotation.word in shared | {name}, f"{name} writes {annotation.name}"
        for option in options_of(cls):
            assert option.help, f"the option {option.name} of {name} has no help"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["run", "--help"], 0),
        ([], 2),
        (["nothing"], 2),
        (["run", "--bogus", "x"], 2),
    ],
)
def test_the_command_line_starts_without_its_machinery(arguments: list[str], code: int) -> None:
    """Help, version and its own errors import none of the dependencies."""
    script = (
        "import sys, json\n"
        "before = set(sys.modules)\n"
        "from traceir.cli.main import main\n"
        f"code = main({arguments!r})\n"
        "print('\\n' + json.dumps([code, sorted({m.partition('.')[0] for m in set(sys.modules) - before})]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    got, loaded = json.loads(done.stdout.splitlines()[-1])
    assert got == code
    assert [name for name in HEAVY if name in loaded] == []
