"""`traceir plugins`, and what strangers' distributions may do to the rest: nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from tests.cli.lines import DECODE, Command
from traceir import __version__
from traceir.registry import API

MAIN = "import sys; from traceir.cli.main import main; sys.exit(main())"
GOOD = '''"""A good plug-in."""
import attrs
import traceir as tir

@attrs.frozen
class {cls}(tir.Pass):
    """Do {cls}."""
    writes = (tir.Annotation("{word}.a", unit="ns", doc="A."),)

    def run(self, module, context):
        return module.with_columns({{"{word}.a": module["dur"] * 2}})
'''


@attrs.frozen
class Site:
    """A folder of installed distributions, and the command line that sees them."""

    folder: Path

    def install(self, name: str, files: dict[str, str], points: str, version: str = "1.0") -> None:
        """Put a distribution there as pip would leave it."""
        for path, text in files.items():
            (self.folder / path).write_text(text, "utf-8")
        info = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", "utf-8")
        (info / "entry_points.txt").write_text(points, "utf-8")

    def brings(self, name: str, table: str, *, head: str = "", group: str = "passes", **files: str) -> None:
        """Install a distribution `acme-x` whose package `acme_x` has a table of entries after `head`."""
        module = name.replace("-", "_")
        texts = {f"{file}.py": text for file, text in files.items()}
        self.install(
            name, {f"{module}.py": f"{head}\nTABLE = {table}\n", **texts}, f"[traceir.{group}]\nx = {module}:TABLE\n"
        )

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command line that sees these distributions."""
        path = os.pathsep.join([str(self.folder), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path, "NO_COLOR": "1", "PYTHONUTF8": "1"}
        return subprocess.run(
            [sys.executable, "-c", MAIN, *arguments],
            capture_output=True, text=True, encoding="utf-8", env=environment, cwd=self.folder, timeout=120,
            check=False,
        )  # fmt: skip


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """An empty folder for distributions, with a trace in it."""
    (tmp_path / "decode.tir").write_text(DECODE, "utf-8")
    return Site(tmp_path)


def last(text: str) -> str:
    return text.splitlines()[-1]


def test_the_list_says_who_brings_what(site: Site) -> None:
    """Each provider with its version, its API and its names by group; traceir comes first."""
    site.install(
        "acme-tools",
        {
            "acme_tools.py": 'TRACEIR_API = "1"\n'
            'PASSES = {"double": ("acme_double:Double", "Do Double.")}\n'
            'PIPELINES = {"mine": ("infer,double", "Mine.")}\n',
            "acme_double.py": GOOD.format(cls="Double", word="double"),
        },
        "[traceir.passes]\na = acme_tools:PASSES\n[traceir.pipelines]\na = acme_tools:PIPELINES\n",
        "2.5",
    )
    done = site("plugins")
    assert (done.returncode, done.stderr) == (0, "")
    own, theirs = done.stdout.rstrip("\n").split("\n\n")
    assert own.splitlines()[0] == f"traceir {__version__}  (API {API})"
    assert "overlap" in own
    assert theirs.splitlines() == ["acme-tools 2.5  (API 1)", "  passes       double", "  pipelines    mine"]


def test_check_says_ok_of_everything_that_is_built_in(command: Command) -> None:
    """A line for each entry, and a sum."""
    lines = command.output("plugins", "check").splitlines()
    assert lines[-1] == f"{len(lines) - 2} ok, 0 not ok"
    assert any(line.split() == ["pass", "overlap", "traceir", "ok"] for line in lines)
    assert any(line.split() == ["pipeline", "default", "traceir", "ok"] for line in lines)


@pytest.mark.parametrize(
    ("table", "head", "sentence"),
    [
        (
            "{}",
            "raise RuntimeError('boom')",
            "The plug-in acme 1.0 cannot be loaded and is left out: RuntimeError: boom",
        ),
        ("{}", "import nowhere.at_all", "No module named 'nowhere'; reinstall or uninstall it."),
        ("{}", "import sys; sys.exit('bye')", "The plug-in acme 1.0 cannot be loaded and is left out: SystemExit: bye"),
        ("{'a': 1}", "", "its table of passes holds 'a': 1, and not a name: ('package.module:Class', 'a summary')"),
        ("{}", "TRACEIR_API = '2'", f"acme 1.0 is written for API 2 of traceir, and traceir {__version__} has API 1"),
        ("{'overlap': ('acme:X', 'X.')}", "", f"'overlap' of acme 1.0 is left out, since traceir {__version__} has a"),
    ],
)
def test_a_plug_in_that_is_left_out_is_one_line_and_the_rest_works(
    site: Site, table: str, head: str, sentence: str
) -> None:
    """On standard error, naming both parties; the run's product is what it is without the plug-in."""
    before = site("run", "--emit", "json", "decode.tir")
    site.brings("acme", table, head=head)
    after = site("run", "--emit", "json", "decode.tir")
    assert (after.returncode, after.stdout) == (0, before.stdout)
    (line,) = after.stderr.splitlines()
    assert line.startswith("traceir: The ")
    assert "acme 1.0" in line
    assert sentence in line
    listed = site("plugins")
    assert listed.returncode == 0
    assert listed.stderr == after.stderr
    assert sentence in listed.stdout
    checked = site("plugins", "check")
    assert checked.returncode == 2
    assert sentence in checked.stdout
    assert last(checked.stdout).endswith(", 1 not ok")
    assert "Traceback" not in checked.stdout + checked.stderr


def test_two_plug_ins_that_bring_one_name_are_both_named(site: Site) -> None:
    """Neither has it, whichever order they are found in, and what else they bring works."""
    for name in ("acme", "zeta"):
        table = f"{{'dma': ('{name}_dma:Dma', 'Do Dma.'), '{name}-own': ('{name}_own:{name.title()}Own', 'Own.')}}"
        own = GOOD.format(cls=f"{name.title()}Own", word=f"{name}-own")
        site.brings(name, table, **{f"{name}_dma": GOOD.format(cls="Dma", word="dma"), f"{name}_own": own})
    sentence = (
        "traceir: The name 'dma' is brought by both acme 1.0 and zeta 1.0, so neither has it; uninstall all but one."
    )
    done = site("run", "--passes", "acme-own,zeta-own", "decode.tir")
    assert (done.returncode, done.stderr.splitlines()) == (0, [sentence])
    done = site("run", "--passes", "dma", "decode.tir")
    assert (done.returncode, done.stdout) == (2, "")
    assert "brought by both acme 1.0 and zeta 1.0" in last(done.stderr)


BROKEN = {
    "gone": ("acme_nowhere:Gone", "Do Gone.", "cannot be loaded from acme_nowhere:Gone: ModuleNotFoundError"),
    "missing": ("acme_parts:Missing", "Do Missing.", "AttributeError: module 'acme_parts' has no attribute 'Missing'"),
    "plain": ("acme_parts:plain", "Do Plain.", "and it has to be a class derived from traceir.Pass"),
    "bare": ("acme_parts:Bare", "Do Bare.", "is not decorated: write @attrs.frozen above the class Bare"),
    "other-name": ("acme_parts:Double", "Do Double.", "its class calls itself 'double'"),
    "leave": ("acme_leave:Leave", "Do Leave.", "SystemExit: 7"),
}
PARTS = GOOD.format(cls="Double", word="double") + (
    "\nclass Bare(tir.Pass):\n    'Do Bare.'\n\ndef plain():\n    return 1\n"
)


def test_check_finds_what_only_fails_when_it_is_used(site: Site) -> None:
    """Each lazy entry is imported, and each that is broken has a line of its own that says why."""
    table = {name: (target, summary) for name, (target, summary, _) in BROKEN.items()}
    table["double"] = ("acme_parts:Double", "Do something else.")
    site.brings("acme", repr(table), acme_parts=PARTS, acme_leave="import sys\nsys.exit(7)\n")
    done = site("plugins", "check")
    assert (done.returncode, done.stderr) == (2, "")
    lines = {line.split()[1]: line for line in done.stdout.splitlines() if line.startswith("pass ")}
    for name, (_, _, reason) in BROKEN.items():
        assert "acme" in lines[name]
        assert "not ok: " in lines[name]
        assert reason in lines[name]
    assert lines["double"].endswith("ok: its docstring begins otherwise than the summary in the table says")
    assert lines["overlap"].endswith("  ok")
    assert last(done.stdout).endswith(f", {len(BROKEN)} not ok")


def test_what_fails_late_is_a_sentence_of_the_run(site: Site) -> None:
    """Exit code 2, one line that names the distribution; other pipelines do not notice."""
    table = {name: (target, summary) for name, (target, summary, _) in BROKEN.items() if name != "other-name"}
    site.brings("acme", repr(table), acme_parts=PARTS, acme_leave="import sys\nsys.exit(7)\n")
    for name in table:
        done = site("run", "--passes", f"infer,{name}", "decode.tir")
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"traceir: '{name}', which acme brings, ")
        assert BROKEN[name][2] in line
    done = site("run", "--passes", "overlap", "decode.tir")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_pipeline_that_names_nothing_is_not_ok(site: Site) -> None:
    """Its text is parsed, as a run would."""
    site.brings("acme", "{'mine': ('infer,nothing', 'Mine.')}", group="pipelines")
    done = site("plugins", "check")
    assert done.returncode == 2
    (line,) = (line for line in done.stdout.splitlines() if "not ok: " in line)
    assert line.startswith("pipeline mine ")
    assert "There is no pass 'nothing'" in line


def test_single_files_are_checked_too(command: Command, decode: Path) -> None:
    """A file that cannot be read is a line like any other, and the good ones are listed."""
    Path("double.py").write_text(GOOD.format(cls="Double", word="double"), "utf-8")
    Path("old.py").write_text("TRACEIR_API = '0'\n", "utf-8")
    listed = command.output("plugins", "--plugin", "double.py")
    assert listed.endswith("double.py  (API 1)\n  passes       double\n")
    done = command("plugins", "check", "--plugin", "double.py", "--plugin", "old.py", "--plugin", "gone.py")
    assert (done.code, done.err) == (2, "")
    assert any(line.split() == ["pass", "double", "double.py", "ok"] for line in done.out.splitlines())
    assert "The plug-in file old.py is written for API 0 of traceir" in done.out
    assert "The plug-in file gone.py does not exist." in done.out
    assert last(done.out).endswith(", 2 not ok")


def test_a_damaged_metadata_file_takes_nothing_down(site: Site) -> None:
    """A distribution without a name is known by the module that it points at."""
    site.brings("acme", "{}", head="raise RuntimeError('boom')")
    (site.folder / "acme-1.0.dist-info" / "METADATA").write_text("", "utf-8")
    done = site("passes")
    assert done.returncode == 0
    assert "overlap" in done.stdout
    (line,) = done.stderr.splitlines()
    assert "acme" in line
    assert "RuntimeError: boom" in line
