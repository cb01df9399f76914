"""The distribution: source archive, wheel, and what an installation puts where."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = {"traceir": ROOT / "traceir", "traceir_passes": ROOT / "passes", "traceir_frontends": ROOT / "frontends"}
DATA = {".py", ".lark", ".toml", ".typed"}


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source archive, and the wheel that was built from it and not from the tree."""
    for needed in ("build", "hatchling", "pip"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed")
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT))
    return out


@pytest.fixture(scope="module")
def site(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site-packages of a clean environment into which only the wheel was installed."""
    home = tmp_path_factory.mktemp("clean")
    run(sys.executable, "-m", "venv", "--without-pip", str(home))
    (wheel,) = built.glob("*.whl")
    python = home / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    run(sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", "--no-index", str(wheel))
    return Path(run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())


def tree_files() -> set[str]:
    """What the packages hold in the tree: code, grammars, tables and typing marks, by their place in a wheel."""
    bases = {"traceir": ROOT, "traceir_passes": ROOT / "passes", "traceir_frontends": ROOT / "frontends"}
    return {
        path.relative_to(base).as_posix()
        for name, base in bases.items()
        for path in (base / name).rglob("*")
        if path.suffix in DATA and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_the_packages_whole(built: Path) -> None:
    """Every module, grammar and table of the tree is in the wheel, and nothing but the packages and the metadata."""
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    inside = {name for name in names if ".dist-info/" not in name}
    assert tree_files() - inside == set()
    assert {name.partition("/")[0] for name in inside} == set(PACKAGES)
    assert {f"{package}/py.typed" for package in PACKAGES} <= inside
    assert {"traceir/text/tir.lark", "traceir/text/mistakes.toml", "traceir/passing/pipeline.lark"} <= inside
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


def test_the_source_archive_can_be_tested(built: Path) -> None:
    """It has the tests, the plug-in among them, the licence and the project file."""
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    wanted = {"LICENSE", "README.md", "pyproject.toml", "tests/conftest.py", "tests/plugin/pyproject.toml"}
    assert wanted <= names


def programs(site: Path) -> Path:
    """The folder of the environment's programs."""
    home = site
    while not (home / "pyvenv.cfg").exists():
        home = home.parent
    return home / ("Scripts" if sys.platform == "win32" else "bin")


def test_an_installation_adds_only_these_names(site: Path) -> None:
    """Three packages and the metadata; no `passes`, no `frontends`, no `tests`."""
    names = {path.name for path in site.iterdir() if path.name != "__pycache__"}
    (info,) = {name for name in names if name.endswith(".dist-info")}
    assert info.startswith("traceir-")
    assert names - {info} == set(PACKAGES)


def test_the_clean_environment_can_say_what_it_is(site: Path) -> None:
    """Without any dependency installed, the version and the help are printed, and the entry points are there."""
    python, script = str(programs(site) / "python"), programs(site) / "traceir"
    from traceir import __version__

    assert run(str(script), "--version") == f"traceir {__version__}\n"
    assert "usage: traceir" in run(str(script), "--help")
    listing = (
        "import importlib.metadata as m, json; print(json.dumps(sorted("
        "p.group for p in m.distribution('traceir').entry_points)))"
    )
    groups = json.loads(run(python, "-c", listing))
    assert {"console_scripts", "traceir.frontends", "traceir.passes", "traceir.printers"} <= set(groups)


TEXT = """#[traceir "1"]
module @installed {
  lane @cpu : host.thread;
  lane @gpu0.s7 : dev.stream {device=0, stream=7};
  %1 = rt.launch("cudaLaunchKernel") @cpu [0 +4us];
  %2 = dev.kernel("gemm") @gpu0.s7 [10us +2.5us] <- %1;
}
"""


def test_a_text_is_read_by_what_was_installed(site: Path, tmp_path: Path) -> None:
    """The grammar and the table of mistakes are found in the installation, and nothing of the tree is.

    The clean environment borrows the dependencies of this one, behind its own packages; what is installed here in
    place stays out, since that stands in a `.pth` file, which only a folder of site-packages has read.
    """
    (tmp_path / "good.tir").write_text(TEXT, "utf-8")
    (tmp_path / "bad.tir").write_text(TEXT.replace("host.thread", "host.thraed"), "utf-8")
    needed = ("attrs", "lark", "msgspec", "networkx", "numpy", "rich")
    folders = sorted({str(importlib.metadata.distribution(name).locate_file("")) for name in needed})
    start = f"import sys; sys.path += {folders}; from traceir.cli.main import main; import traceir.text as text; "
    python, good, bad = str(programs(site) / "python"), str(tmp_path / "good.tir"), str(tmp_path / "bad.tir")
    printed = run(python, "-I", "-c", f"{start}print(text.__file__); main(['print', '--emit', 'tir', {good!r}])")
    file, _, out = printed.partition("\n")
    assert Path(file).is_relative_to(site)
    assert out == TEXT.replace("@installed {", '@installed {clock="ns"} {').replace("4us", "4000").replace(
        "10us +2.5us", "10000 +2500"
    )
    code = f"{start}sys.stderr = sys.stdout; print(main(['run', {bad!r}]))"
    message, *_, exit_code = run(python, "-I", "-c", code).splitlines()
    assert message == f"traceir: {bad}:3:15: There is no kind of lane host.thraed; did you mean host.thread?"
    assert exit_code == "3"
