"""Exports that are damaged, hostile or packed, and reports that need the profiler's own exporter."""

from __future__ import annotations

import gzip
import os
import sqlite3
import stat
import sys
from pathlib import Path

import pytest

import traceir as tir
from tests.frontends.nsys.making import Export, thread
from tests.frontends.nsys.test_tables import codes
from traceir.cli.main import main


def many(path: Path, count: int = 3000) -> Path:
    """An export of some thousand kernels and calls."""
    export = Export().about()
    for number in range(count):
        export.call("cudaLaunchKernel_v7000", 100 * number, 100 * number + 5, number)
        export.kernel("k", 100 * number + 10, 100 * number + 60, number)
    return export.write(path)


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line with which an input is refused."""
    assert main(arguments) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_a_cut_export_is_read_up_to_the_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Kernels before the damage are there, the finding says so, and --strict refuses it."""
    path = many(tmp_path / "report.sqlite")
    data = path.read_bytes()
    seen = []
    for share in (0.3, 0.6, 0.9):
        path.write_bytes(data[: int(len(data) * share)])
        module = tir.load(path)
        assert codes(module)["truncated"] >= 1
        seen.append(len(module))
    assert seen
    assert seen == sorted(seen)
    assert "is damaged, and --strict was given: truncated" in refused(["run", "--strict", str(path)], capsys)


def test_views_and_triggers_of_an_export_are_not_run(tmp_path: Path) -> None:
    """A view in the place of a table is no table; what else hides in the file does nothing."""
    path = many(tmp_path / "report.sqlite", 5)
    connection = sqlite3.connect(path)
    connection.execute("CREATE VIEW CUPTI_ACTIVITY_KIND_MEMCPY AS SELECT * FROM CUPTI_ACTIVITY_KIND_KERNEL")
    connection.execute("CREATE VIRTUAL TABLE NVTX_EVENTS USING fts5(start, text)")
    connection.execute("INSERT INTO NVTX_EVENTS VALUES (1, 'x')")
    connection.execute("CREATE TRIGGER t AFTER INSERT ON StringIds BEGIN DELETE FROM StringIds; END")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    module = tir.load(path)
    assert int(module.work.sum()) == 5
    assert not module.is_kind("host.range").any()
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["report.sqlite"]


@pytest.mark.parametrize("value", ["x", 1e300, -(1 << 62) - 5, (1 << 63) - 1, None])
def test_times_that_are_none_are_left_out(value: object, tmp_path: Path) -> None:
    """Text, infinities and numbers that would overflow are no times."""
    export = Export().about().kernel("k", 5, 10, 1).kernel("odd", 0, 10, 2)
    path = export.write(tmp_path / "report.sqlite")
    connection = sqlite3.connect(path)
    connection.execute("UPDATE CUPTI_ACTIVITY_KIND_KERNEL SET start = ? WHERE correlationId = 2", (value,))
    connection.commit()
    connection.close()
    module = tir.load(path)
    assert [event.name for event in module.kernels] == ["k"]
    assert codes(module)["repaired"] == 1


def test_a_log_beside_the_file_is_said(tmp_path: Path) -> None:
    """What the program that wrote it has not yet moved into the file is missing."""
    path = many(tmp_path / "report.sqlite", 5)
    (tmp_path / "report.sqlite-wal").write_bytes(b"log")
    (finding,) = [finding for finding in tir.load(path).health if finding.code == "truncated"]
    assert "a write-ahead log of 3 bytes lies beside it" in finding.message


def test_what_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence each: no events, a packed file, garbage behind the name of the format, a stranger's database."""
    monkeypatch.chdir(tmp_path)
    Export().about().write(Path("empty.sqlite"))
    assert "empty.sqlite holds no event with a time" in refused(["run", "empty.sqlite"], capsys)
    Path("packed.gz").write_bytes(gzip.compress(many(Path("x.sqlite"), 3).read_bytes()))
    assert "unpack it first: gunzip --keep packed.gz" in refused(["run", "packed.gz"], capsys)
    Path("bad.sqlite").write_bytes(b"SQLite format 3\x00" + b"CUPTI_ACTIVITY_KIND_KERNEL" * 99)
    assert "bad.sqlite begins like a SQLite file" in refused(["run", "bad.sqlite"], capsys)
    sqlite3.connect("other.sqlite").execute("CREATE TABLE bookmarks (url TEXT)").connection.close()
    assert "other.sqlite is a SQLite file with the tables bookmarks" in refused(["run", "other.sqlite"], capsys)
    Path("secret.sqlite").write_bytes(bytes(range(255, 0, -1)) * 40)
    assert "secret.sqlite is no trace that any frontend knows" in refused(["run", "secret.sqlite"], capsys)


def test_a_change_after_loading_is_noticed(tmp_path: Path) -> None:
    """Arguments are read from the file when somebody looks, and have to be those of the events."""
    path = many(tmp_path / "report.sqlite", 5)
    module = tir.load(path)
    assert next(iter(module.kernels)).args["gridX"] == 4
    many(tmp_path / "other.sqlite", 6).replace(path)
    with pytest.raises(tir.InputError, match="has changed since it was loaded"):
        _ = next(iter(module.kernels)).args


def _report(folder: Path) -> Path:
    report = folder / "run 1.nsys-rep"
    report.write_bytes(b"\x00\x01QDSTRM" + bytes(600))
    return report


def test_a_report_without_the_exporter_names_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nsys is not installed, the sentence says what to run elsewhere."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    _report(tmp_path).rename("r.nsys-rep")
    assert refused(["run", "r.nsys-rep"], capsys) == (
        "traceir: The input r.nsys-rep is a report of Nsight Systems, which only its own exporter reads, and nsys is "
        "not on the PATH; run it where the profiler is installed (nsys export --type=sqlite --output=r.sqlite "
        "r.nsys-rep) and read r.sqlite.\n"
    )


@pytest.mark.skipif(sys.platform == "win32", reason="the exporter is played by a script")
def test_a_report_is_exported_where_the_exporter_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Into a temporary folder, which lasts as long as arguments may be asked for; what it says on failure is told."""
    ready = Export().about().kernel("k", 5, 10, 1).range("r", 0, 20).write(tmp_path / "ready.sqlite")
    script = tmp_path / "bin" / "nsys"
    script.parent.mkdir()
    script.write_text(
        f"#!{sys.executable}\nimport shutil, sys\nwords = dict(w.split('=') for w in sys.argv if '=' in w)\n"
        f"assert sys.argv[1] == 'export' and sys.argv[-1].endswith('run 1.nsys-rep'), sys.argv\n"
        f"shutil.copy({str(ready)!r}, words['--output'])\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(script.parent))
    path = _report(tmp_path)
    module = tir.load(path)
    assert module.name == "run 1.nsys-rep"
    assert module.source is not None
    assert module.source.path == str(path)
    assert next(iter(module.kernels)).field("grid") == [4, 2, 1]
    script.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('this report is of another version')\n")
    with pytest.raises(tir.InputError, match=r"cannot be exported by .*nsys .this report is of another version.; try"):
        tir.load(path)


def test_threads_of_the_largest_numbers(tmp_path: Path) -> None:
    """Serialised ids use 48 bits and more; the parts come out right."""
    pid = tid = 0xFFFFFF
    export = Export().about().kernel("k", 5, 10, 1, pid=pid).call("cudaLaunchKernel", 1, 2, 1, pid=pid, tid=tid)
    module = tir.load(export.write(tmp_path / "report.sqlite"))
    assert thread(pid, tid) >> 48 == 1
    assert [(lane.pid, lane.tid) for lane in module.lanes if not lane.is_device] == [(pid, tid)]
    assert next(iter(module.kernels)).launch is not None
