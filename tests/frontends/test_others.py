"""What no frontend reads: each format is named by its content, and the sentence says what to do instead."""

from __future__ import annotations

import bz2
import cProfile
import gzip
import io
import json
import lzma
import pickle
import sqlite3
import tarfile
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

import traceir as tir
from traceir.cli.main import main
from traceir.errors import InputError
from traceir.registry import Registry


def zipped() -> bytes:
    """A zip file of one trace."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr("trace.json", "[]")
    return out.getvalue()


def tarred() -> bytes:
    """A tar archive of one file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as packed:
        packed.addfile(tarfile.TarInfo("trace.json"))
    return out.getvalue()


def profiled(path: Path) -> bytes:
    """What cProfile writes."""
    with cProfile.Profile() as profile:
        sorted([2, 1])
    profile.dump_stats(path / "profile")
    return (path / "profile").read_bytes()


def message(number: int, content: bytes) -> bytes:
    """A field of protobuf that holds a message or a text shorter than 128 bytes."""
    return bytes([number << 3 | 2, len(content)]) + content


PACKET = b"\x40\x05\xe2\x03\x02\x08\x01"
"""A time (field 8) and the description of a track (field 60)."""
SPACE = message(1, b"\x08\x01" + message(2, b"/host:CPU"))
NO_ROCM = "which no frontend reads; record with PyTorch's profiler."
EXPORT = "which no frontend reads; if Nsight Systems exported it, export SQLite: nsys export --type=sqlite."
REFUSED: list[tuple[str, bytes, str]] = [
    ("zip", zipped(), "a zip file, which is not unpacked; unzip it and name the file in it."),
    ("zstd", b"\x28\xb5\x2f\xfd\x00", "packed by zstd, which is not unpacked; unpack it first: zstd -d {}."),
    ("xz", lzma.compress(b"[]"), "packed by xz, which is not unpacked; unpack it first: xz --decompress --keep {}."),
    ("bzip2", bz2.compress(b"[]"), "packed by bzip2, which is not unpacked; unpack it first: bunzip2 --keep {}."),
    ("lz4", b"\x04\x22\x4d\x18\x40", "packed by lz4, which is not unpacked; unpack it first: lz4 -d {}."),
    ("7z", b"7z\xbc\xaf\x27\x1c\x00", "packed by 7-Zip, which is not unpacked; unpack it first: 7z x {}."),
    ("tar", tarred(), "a tar archive, which is not unpacked; unpack it (tar -xf {}) and name the file in it."),
    ("tar.gz", gzip.compress(tarred()),
     "a tar archive, which is not unpacked; unpack it (tar -xf {}) and name the file in it."),
    ("atrace", b"TRACE:\n\x78\x9c", "packed by atrace, which is not unpacked; record without -z, or name the text."),
    ("xplane", SPACE, "an XPlane profile of XLA (JAX, TensorFlow), which no frontend reads; name the trace.json.gz "
     "that the profiler writes beside it."),
    ("perfetto", message(1, PACKET) * 5, "a Perfetto trace (protobuf), which no frontend reads; convert it with: "
     "traceconv json {} trace.json."),
    ("trace-cmd", b"\x17\x08\x44tracing6\x00", "the binary form of trace-cmd, which no frontend reads; print it with: "
     "trace-cmd report {}."),
    ("pickle", pickle.dumps({"segments": []}), "a Python pickle, as snapshots of torch.cuda.memory are, which is never "
     "loaded, since that would run what it holds; name a trace of PyTorch's profiler."),
    ("hdf5", b"\x89HDF\r\n\x1a\n", "an HDF5 file, " + EXPORT),
    ("parquet", b"PAR1\x15\x04", "a Parquet file, " + EXPORT),
    ("arrow", b"ARROW1\x00\x00", "an Arrow file, " + EXPORT),
    ("utf-16", "frame;other 5\n".encode("utf-16"), "text in UTF-16, as PowerShell writes with >, which no frontend "
     "reads; convert it first: iconv -f UTF-16 -t UTF-8 {} > trace.txt."),
    ("html", b"<!DOCTYPE HTML>\n<html>", "a web page, which is not searched for a trace; name the trace that it was "
     "made from."),
    ("xml", b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "cc">]>', "XML, which no profiler that is read here writes, "
     "and is not parsed; name the trace itself."),
    ("rocprofv3", b'{"rocprofiler-sdk-tool": [{"metadata": {}}]}', "rocprofv3's own JSON, " + NO_ROCM),
    ("chakra", b'{"workload_graph": [{"Id": 1, "ctrlDeps": []}]}', "a Chakra graph of a workload, which has "
     "dependencies and no timeline; name the profiler's trace of the run."),
    ("execution", b'{"schema": "1.0.3-chakra.0.0.4", "pid": 1, "nodes": [{"id": 1}]}', "a PyTorch execution trace, "
     "which has operators without times; name the profiler's trace of the same run."),
    ("options", b'{"config": {}, "start_info": {}, "end_info": {}, "rank_id": 0}', "the options of an Ascend "
     "recording, which have no timeline; name the result folder that they lie in."),
    ("metadata", b'{"ENV_VARIABLES": {}}', "the metadata of an Ascend recording, which has no timeline; name the "
     "result folder that it lies in."),
    ("cpuprofile", b'{"nodes": [], "startTime": 1, "timeDeltas": []}', "a CPU profile of V8, which no frontend reads; "
     "open it in speedscope and save it from there."),
    ("firefox", b'{"meta": {"preprocessedProfileVersion": 40}, "libs": [], "threads": []}', "a profile of Firefox, "
     "which no frontend reads; export it as a Chrome trace, or record with py-spy."),
    ("kernels", b'"Kind","Agent_Id","Queue_Id","Kernel_Id"\n', "a table of rocprofv3 (kernels), " + NO_ROCM),
    ("copies", b'"Kind","Direction","Source_Agent_Id"\n', "a table of rocprofv3 (copies), " + NO_ROCM),
    ("calls", b'"Domain","Function","Process_Id"\n', "a table of rocprofv3 (calls or markers), " + NO_ROCM),
    ("counters", b'"Correlation_Id","Dispatch_Id","Agent_Id"\n', "a table of rocprofv3 (counters), " + NO_ROCM),
    ("sums", b'"Name","Calls","TotalDurationNs"\n', "a table of rocprofv3 (sums), " + NO_ROCM),
    ("rocprof", b"Index,KernelName,gpu-id\n", "a table of rocprof, " + NO_ROCM),
    ("nvprof", b"==7== NVPROF is profiling process 7\n==7== Profiling result:\n", "the text of nvprof, which is not "
     "read; record with nvprof --export-profile FILE and name that."),
    ("nsys stats", b'Time (%),Total Time (ns),Instances\n', "a summary of nsys stats, which has no timeline; name the "
     "report's SQLite export."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "said"), REFUSED, ids=[case[0] for case in REFUSED])
def test_a_format_is_refused_by_its_name(name: str, content: bytes, said: str, tmp_path: Path, capsys: Any) -> None:
    """With exit 3 and one line, whatever the file is called; nothing of it is unpacked, loaded or parsed."""
    file = tmp_path / "trace"
    file.write_bytes(content)
    assert main(["info", str(file)]) == 3
    assert capsys.readouterr().err == f"traceir: The input {file} is {said.format(file)}\n"


def test_a_profile_of_sums_is_refused(tmp_path: Path) -> None:
    """Python's own profiler writes marshalled dictionaries, which are not loaded."""
    file = tmp_path / "trace"
    file.write_bytes(profiled(tmp_path))
    with pytest.raises(InputError, match="is a profile of Python's cProfile, which has sums and no timeline"):
        tir.load(file)


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        (("rocpd_kernel_dispatch_0a1b", "rocpd_string_0a1b"),
         "a database of rocprofv3 (rocpd), " + NO_ROCM),
        (("rocpd_api", "rocpd_op"),
         "a database of RPD (rocmProfileData), which no frontend reads; convert it with rpd2tracing.py and name its "
         "JSON."),
        (("a", "b", "c", "d"),
         "a SQLite file with the tables a, b, c and 1 more, which is no trace that any frontend knows; name the "
         "database that the profiler exported."),
        ((), "a SQLite file without tables, which is no trace that any frontend knows; name the database that the "
         "profiler exported."),
    ],
    ids=["rocpd", "rpd", "foreign", "empty"],
)  # fmt: skip
def test_a_database_is_refused_by_its_tables(tables: tuple[str, ...], said: str, tmp_path: Path) -> None:
    """Nothing in it is read but the names of its tables."""
    file = tmp_path / "trace.db"
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version = 1")
    for table in tables:
        connection.execute(f"CREATE TABLE {table} (x)")
    connection.commit()
    connection.close()
    with pytest.raises(InputError) as caught:
        tir.load(file)
    assert str(caught.value) == f"The input {file} is {said}"


def test_a_path_is_quoted_for_the_shell(tmp_path: Path) -> None:
    """What the sentence says can be pasted."""
    file = tmp_path / "my trace.zst"
    file.write_bytes(b"\x28\xb5\x2f\xfd")
    with pytest.raises(InputError, match=r"zstd -d '.*/my trace\.zst'"):
        tir.load(file)


@pytest.mark.parametrize(
    "text",
    [b'{"meta": ' * 7000, b'"schema": "1.0' * 4600, b"\x0a\x00" * 30000, b'{"a":"' + b"\\" * 65000, b"\n" * 65000],
)
def test_looking_takes_no_longer_for_hostile_text(text: bytes) -> None:
    """All frontends look at the first 64 KiB of whatever they are given."""
    from traceir.loading import Head

    registry = Registry.installed()
    begin = time.process_time()
    for _, cls in registry.loaded("frontends"):
        assert 0 <= cls.sniff(Head("x", b"{" + text, b"{" + text, False)) <= 1
        assert 0 <= cls.sniff(Head("x", text, text, False)) <= 1
    assert time.process_time() - begin < 2


def test_real_traces_are_not_taken_for_these() -> None:
    """Words of these formats inside a PyTorch trace change nothing; nor does asking by name."""
    from traceir.loading import Head
    from traceir_frontends.others import Others

    trace = json.dumps({"schemaVersion": 1, "traceEvents": [{"ph": "X", "name": "workload_graph", "cat": "cpu_op"}]})
    assert Others.sniff(Head("x", trace.encode(), trace.encode(), False)) == 0
    assert "others" in dict(Registry.installed().all("frontends"))
