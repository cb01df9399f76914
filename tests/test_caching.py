"""The cache: a second run reads columns, whatever happens to the file or to the cache in between."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import traceir as tir
from traceir.caching import Cache
from traceir.cli.main import main
from traceir_frontends.kineto import Kineto


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """A cache that keeps small inputs too."""
    return Cache(tmp_path / "cache", least=1)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """A small trace."""
    return write(tmp_path / "trace.json", 3)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that the frontend was asked to read."""
    asked: list[str] = []
    load = Kineto.load

    def noted(self: Kineto, path: str, progress: Any = None) -> tir.Module:
        asked.append(path)
        return load(self, path, progress)

    monkeypatch.setattr(Kineto, "load", noted)
    return asked


def write(file: Path, kernels: int) -> Path:
    """A trace of some kernels, gzip by its name."""
    rows = [
        {"ph": "X", "cat": "kernel", "name": f"k{n}", "pid": 0, "tid": 7, "ts": 10 * n, "dur": 5,
         "args": {"device": 0, "stream": 7, "grid": [n, 1, 1]}}
        for n in range(kernels)
    ]  # fmt: skip
    raw = json.dumps({"schemaVersion": 1, "traceEvents": rows}).encode()
    file.write_bytes(gzip.compress(raw) if file.suffix == ".gz" else raw)
    return file


@pytest.mark.parametrize("name", ["trace.json", "trace.json.gz"])
def test_a_second_run_does_not_read_the_text(tmp_path: Path, cache: Cache, loads: list[str], name: str) -> None:
    """The module is the same, and the arguments of its events are found in the input."""
    trace = write(tmp_path / name, 5)
    first, second = (tir.load(trace, cache=cache) for _ in range(2))
    assert loads == [str(trace)]
    assert second.equals(first)
    assert second.event(3).field("grid") == [3, 1, 1]
    assert second.source is not None
    assert (second.source.path, second.source.frontend) == (str(trace), "kineto")
    assert second.source.raw(int(second["offset"][0]), int(second["length"][0])).startswith(b'{"ph"')


def test_the_trace_can_be_written_out_again(
    trace: Path, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text of the input's own events is copied from it, as after a first run."""
    monkeypatch.setattr(Cache, "of_user", classmethod(lambda _: cache))
    outs = []
    for number in range(2):
        outs.append(out := tmp_path / f"{number}.json")
        assert main(["run", "-q", "--passes", "infer", "--emit", "chrome", "-o", str(out), str(trace)]) == 0
    assert outs[0].read_bytes() == outs[1].read_bytes()


def test_a_changed_input_is_read_again(trace: Path, cache: Cache, loads: list[str]) -> None:
    """By its size, its time or its content."""
    tir.load(trace, cache=cache)
    write(trace, 4)
    assert len(tir.load(trace, cache=cache)) == 4
    status = trace.stat()
    raw = trace.read_bytes().replace(b'"k1"', b'"kX"')
    trace.write_bytes(raw)
    os.utime(trace, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert "kX" in tir.load(trace, cache=cache).strings.texts
    assert len(loads) == 3


def test_a_damaged_file_is_made_again(trace: Path, cache: Cache, loads: list[str]) -> None:
    """Cut, changed or of another program: it costs the time of a first run and nothing else."""
    tir.load(trace, cache=cache)
    (entry,) = cache.entries()
    whole = entry.path.read_bytes()
    for broken in (whole[:100], whole[:-80], b"", whole.replace(b'"version":1', b'"version":2')):
        entry.path.write_bytes(broken)
        assert len(tir.load(trace, cache=cache)) == 3
        assert entry.path.read_bytes() == whole
    assert len(loads) == 5


def test_small_inputs_and_standard_input_are_not_kept(trace: Path, tmp_path: Path) -> None:
    """What is read in no time is not kept."""
    cache = Cache(tmp_path / "cache")
    tir.load(trace, cache=cache)
    assert cache.entries() == []
    assert cache.key("-", "kineto") is None


def test_a_cache_that_cannot_be_written_to_is_none(trace: Path, tmp_path: Path) -> None:
    """The trace is read all the same."""
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    assert len(tir.load(trace, cache=Cache(blocked / "cache", least=1))) == 3


def test_the_oldest_go_first(tmp_path: Path) -> None:
    """Beyond its size a cache lets go of what was not used for longest, never of the newest."""
    cache = Cache(tmp_path / "cache", least=1)
    traces = [write(tmp_path / f"t{number}.json", 3) for number in range(3)]
    for age, trace in enumerate(traces):
        tir.load(trace, cache=cache)
        newest = cache.entries()[0]
        os.utime(newest.path, (1000 + age, 1000 + age))
    tir.load(traces[0], cache=cache)  # used: now the newest
    size = cache.entries()[0].size
    small = Cache(cache.folder, least=1, most=2 * size)
    tir.load(write(tmp_path / "t3.json", 3), cache=small)
    assert len(small.entries()) == 2
    tiny = Cache(cache.folder, least=1, most=1)
    tir.load(write(tmp_path / "t4.json", 3), cache=tiny)
    assert len(tiny.entries()) == 1


def test_several_processes_may_use_one(trace: Path, cache: Cache) -> None:
    """All of them get the module, and one file is left."""
    code = (
        "import sys, traceir as tir; from pathlib import Path; from traceir.caching import Cache;"
        "print(len(tir.load(sys.argv[1], cache=Cache(Path(sys.argv[2]), least=1))))"
    )
    command = [sys.executable, "-c", code, str(trace), str(cache.folder)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate(timeout=60)[0].strip() for process in running] == ["3"] * 4
    assert len(list(cache.folder.iterdir())) == 1


def test_the_command_line(
    trace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`traceir cache` shows what is kept and where, and clears it; other files of the folder stay."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("TRACEIR_CACHE", str(folder))
    tir.load(trace, cache=Cache(folder, least=1))
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    assert main(["cache"]) == 0
    assert capsys.readouterr().out.startswith(f"{folder}: 1 files, ")
    assert main(["cache", "clear"]) == 0
    assert capsys.readouterr().out == f"Removed 1 files from {folder}.\n"
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_no_cache(trace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loads: list[str]) -> None:
    """`--no-cache` neither finds nor keeps anything."""
    monkeypatch.setenv("TRACEIR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Cache, "of_user", classmethod(lambda cls: cls(tmp_path / "cache", least=1)))
    asked = ["run", "-q", "--passes", "infer", "--emit", "json", str(trace)]
    assert main([*asked, "--no-cache"]) == 0
    assert not (tmp_path / "cache").exists()
    assert main(asked) == main(asked) == 0
    assert len(loads) == 2
