"""A plug-in is installed as a stranger would install it, and used through the command line."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import traceir as tir
from traceir.registry import API

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MAIN = "import sys; from traceir.cli.main import main; sys.exit(main())"
LOG = """# kernel log
0 100 7 gemm
200 110 7 gemm
400 90 7 gemm
600 500 7 gemm
100 30 20 copy
"""
KINETO = {
    "schemaVersion": 1,
    "traceEvents": [
        {
            "ph": "X", "cat": "kernel", "name": "gemm", "pid": 0, "tid": 7, "ts": 10 * i, "dur": dur,
            "args": {"device": 0, "stream": 7},
        }
        for i, dur in enumerate([1, 1, 1, 9])
    ],
}  # fmt: skip


def traceir(*arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own; `path` is searched for installed plug-ins, this folder is not."""
    places = [str(ROOT), str(ROOT / "passes"), str(ROOT / "frontends")] if _from_tree() else []
    places += [str(path)] if path is not None else []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places), "NO_COLOR": "1", "COLUMNS": "100"}
    return subprocess.run(
        [sys.executable, "-P", "-c", MAIN, *arguments],
        capture_output=True, text=True, encoding="utf-8", env=environment, cwd=HERE, timeout=120, check=False,
    )  # fmt: skip


def _from_tree() -> bool:
    """Whether traceir is imported from the tree without being installed."""
    return importlib.util.find_spec("traceir_passes") is None


def report(*arguments: str, path: Path | None = None) -> Any:
    """The JSON report of a run that has to succeed."""
    done = traceir("run", "--emit", "json", *arguments, path=path)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the plug-in, built by its own build backend, from a copy of its source."""
    for needed in ("pip", "hatchling"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed")
    source = tmp_path_factory.mktemp("source") / "plugin"
    target = tmp_path_factory.mktemp("site")
    shutil.copytree(HERE, source, ignore=shutil.ignore_patterns("__pycache__", "test_plugin.py"))
    done = subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
            "--no-build-isolation", "--no-index", "--target", str(target), str(source),
        ],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def log(tmp_path: Path) -> str:
    """A trace in the plug-in's own format."""
    (tmp_path / "trace.log").write_text(LOG, "utf-8")
    return str(tmp_path / "trace.log")


def test_an_installed_plug_in_is_listed(installed: Path) -> None:
    """Its pass and its frontend are found by their entry points, with their summaries and options."""
    listing = traceir("passes", path=installed)
    assert listing.returncode == 0
    assert "straggler" in listing.stdout
    assert "Find kernels that took much longer than most of their name." in listing.stdout
    assert "straggler" not in traceir("passes").stdout
    shown = traceir("passes", "show", "straggler", path=installed)
    assert "factor=2.0" in shown.stdout
    assert "How many times the median of its name a straggler takes at least." in shown.stdout
    assert "kernel-log" in traceir("frontends", path=installed).stdout


def test_its_report_is_in_the_json(installed: Path, log: str) -> None:
    """Through its own frontend, sniffed from the content, and with its option."""
    found = report("--passes", "straggler", log, path=installed)
    assert found["inputs"][0]["frontend"] in ("kernel-log", "")
    assert found["results"]["straggler"] == {"kernels": 1, "excess_ns": 390}
    strict = report("--passes", "straggler{factor=10}", log, path=installed)
    assert strict["results"]["straggler"] == {"kernels": 0, "excess_ns": 0}


def test_its_report_is_on_the_folded_page(installed: Path, log: str) -> None:
    """Without further code, with the unit that the key's ending gives."""
    page = traceir("run", "--passes", "straggler", log, path=installed)
    assert (page.returncode, page.stderr) == (0, "")
    assert "straggler" in page.stdout
    assert "390 ns" in page.stdout.replace("\u00a0", " ")


def test_it_works_on_the_built_in_formats_and_beside_built_in_passes(installed: Path, tmp_path: Path) -> None:
    """A stranger's pass runs over a Kineto trace and among traceir's own passes."""
    trace = tmp_path / "trace.json"
    trace.write_text(json.dumps(KINETO), "utf-8")
    found = report("--passes", "infer,straggler", str(trace), path=installed)
    assert list(found["results"]) == ["infer", "straggler"]
    assert found["results"]["straggler"] == {"kernels": 1, "excess_ns": 8_000}


def test_a_single_file_is_a_plug_in_too(tmp_path: Path) -> None:
    """`--plugin FILE` needs no packaging; the same pass gives the same report."""
    trace = tmp_path / "trace.json"
    trace.write_text(json.dumps(KINETO), "utf-8")
    found = report("--plugin", str(HERE / "single_file.py"), "--passes", "straggler", str(trace))
    assert found["results"]["straggler"] == {"kernels": 1, "excess_ns": 8_000}


def test_the_pass_is_short_and_the_same_in_both_forms() -> None:
    """What a stranger has to write is under thirty lines; the single file differs only in its first line."""
    packaged = (HERE / "traceir_straggler" / "straggler.py").read_text("utf-8").splitlines()
    single = (HERE / "single_file.py").read_text("utf-8").splitlines()
    assert packaged[1:] == single[1:]
    start = next(i for i, line in enumerate(packaged) if line.startswith("class Straggler(")) - 1
    assert len(packaged) - start < 30


def test_its_own_tests_pass_where_it_is_installed(installed: Path, tmp_path: Path) -> None:
    """With the kit that traceir publishes, from a folder that knows nothing of this project."""
    places = [str(installed), *([str(ROOT), str(ROOT / "passes"), str(ROOT / "frontends")] if _from_tree() else [])]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--pyargs", "traceir_straggler"],
        capture_output=True, text=True, check=False, timeout=300, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_it_is_named_with_its_version_and_all_of_it_can_be_loaded(installed: Path) -> None:
    """Its distribution stands in the list of plug-ins, and the check finds nothing to say."""
    listed = traceir("plugins", path=installed)
    assert (listed.returncode, listed.stderr) == (0, "")
    assert listed.stdout.endswith(
        "\n\ntraceir-straggler 0.1.0  (API 1)\n  passes       straggler\n  frontends    kernel-log\n"
    )
    checked = traceir("plugins", "check", path=installed)
    assert checked.returncode == 0
    lines = [line.split() for line in checked.stdout.splitlines()]
    assert ["pass", "straggler", "traceir-straggler", "ok"] in lines
    assert ["frontend", "kernel-log", "traceir-straggler", "ok"] in lines


def test_for_another_api_it_is_left_out_by_name(installed: Path, tmp_path: Path) -> None:
    """Both parties are named with their API, in one line, and the rest works."""
    copy = tmp_path / "site"
    # Compiled files are told to be old by the second in which the source was written, which may be this one.
    shutil.copytree(installed, copy, ignore=shutil.ignore_patterns("__pycache__"))
    table = copy / "traceir_straggler" / "__init__.py"
    table.write_text(table.read_text("utf-8").replace('TRACEIR_API = "1"', 'TRACEIR_API = "2"'), "utf-8")
    listing = traceir("passes", path=copy)
    assert listing.returncode == 0
    assert "overlap" in listing.stdout
    assert "straggler" not in listing.stdout
    (line,) = listing.stderr.splitlines()
    assert line == (
        "traceir: The plug-in traceir-straggler 0.1.0 is written for API 2 of traceir, and "
        f"traceir {tir.__version__} has API {API}, so it is left out."
    )


def test_a_plug_in_that_fails_to_import_takes_nothing_down(tmp_path: Path) -> None:
    """The listing still works, and says on standard error, in one line, which plug-in is left out."""
    (tmp_path / "bad_plugin.py").write_text("raise RuntimeError('boom')\n", "utf-8")
    info = tmp_path / "bad_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bad-plugin\nVersion: 1.0\n", "utf-8")
    (info / "entry_points.txt").write_text("[traceir.passes]\nbad = bad_plugin:PASSES\n", "utf-8")
    listing = traceir("passes", path=tmp_path)
    assert listing.returncode == 0
    assert "overlap" in listing.stdout
    assert listing.stderr == (
        "traceir: The plug-in bad-plugin 1.0 cannot be loaded and is left out: RuntimeError: boom; "
        "reinstall or uninstall it.\n"
    )
