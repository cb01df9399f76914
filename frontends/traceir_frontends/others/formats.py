"""Formats that no frontend reads, as data: how each is known, and what to do instead."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import attrs

from traceir_frontends.others.protobuf import is_perfetto, is_xspace

_EXECUTION: Final = re.compile(rb'"schema"\s*:\s*"\d+\.\d+')
_JSON: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*[\[{]")
SURE: Final = 0.93


@attrs.frozen
class Format:
    """A format that is known by how its text (decompressed, if it is gzip) begins.

    `known` is what it begins with, a pattern that is searched for, or a test. `mend` goes on behind "which", and a
    `{}` in it is the path as a shell takes it. With `json`, the text has to be JSON too.
    """

    what: str
    mend: str
    known: bytes | re.Pattern[bytes] | Callable[[bytes], bool]
    json: bool = False
    sure: float = SURE

    def fits(self, text: bytes) -> bool:
        """Whether a text is of this format. O(length)."""
        if self.json and not _JSON.match(text):
            return False
        if isinstance(self.known, bytes):
            return text.startswith(self.known)
        if isinstance(self.known, re.Pattern):
            return self.known.search(text) is not None
        return self.known(text)


def _words(*words: str) -> Callable[[bytes], bool]:
    """Whether all of these occur as keys of JSON, in any order."""
    patterns = [re.compile(rf'"{word}"\s*:'.encode()) for word in words]
    return lambda text: all(pattern.search(text) for pattern in patterns)


def _header(*columns: str) -> re.Pattern[bytes]:
    """A pattern for CSV that begins with these columns, quoted or not."""
    return re.compile(
        ("(?:\ufeff)?" + ",".join(rf'"?{re.escape(column)}"?' for column in columns) + r"[,\r\n]").encode()
    )


def _begins(pattern: re.Pattern[bytes]) -> Callable[[bytes], bool]:
    return lambda text: pattern.match(text) is not None


_PACKED: Final = "is not unpacked; unpack it first: "
_UNREAD: Final = "no frontend reads; "
_ROCM: Final = _UNREAD + "record with PyTorch's profiler"
_TABLE: Final = "a table of rocprofv3"

FORMATS: Final = (
    # --- packed ---
    Format("a zip file", "is not unpacked; unzip it and name the file in it", b"PK\x03\x04"),
    Format("packed by zstd", _PACKED + "zstd -d {}", b"\x28\xb5\x2f\xfd"),
    Format("packed by xz", _PACKED + "xz --decompress --keep {}", b"\xfd7zXZ\x00"),
    Format("packed by bzip2", _PACKED + "bunzip2 --keep {}", re.compile(rb"\ABZh[1-9]1AY&SY")),
    Format("packed by lz4", _PACKED + "lz4 -d {}", b"\x04\x22\x4d\x18"),
    Format("packed by 7-Zip", _PACKED + "7z x {}", b"7z\xbc\xaf\x27\x1c"),
    Format("a tar archive", "is not unpacked; unpack it (tar -xf {}) and name the file in it",
           re.compile(rb"\A[^\x00].{256}ustar[\x00 ]", re.DOTALL)),
    Format("packed by atrace", "is not unpacked; record without -z, or name the text", b"TRACE:\n\x78"),
    # --- binary traces ---
    Format("an XPlane profile of XLA (JAX, TensorFlow)",
           _UNREAD + "name the trace.json.gz that the profiler writes beside it", is_xspace),
    Format("a Perfetto trace (protobuf)", _UNREAD + "convert it with: traceconv json {} trace.json", is_perfetto,
           sure=0.9),
    Format("the binary form of trace-cmd", _UNREAD + "print it with: trace-cmd report {}", b"\x17\x08\x44tracing"),
    Format("a Python pickle, as snapshots of torch.cuda.memory are",
           "is never loaded, since that would run what it holds; name a trace of PyTorch's profiler",
           re.compile(rb"\A\x80[\x02-\x05][\x95}\](c\x8c]", re.DOTALL)),
    Format("a profile of Python's cProfile", "has sums and no timeline; record with py-spy or PyTorch's profiler",
           re.compile(rb"\A[{\xfb][(\xa8\xa9)]\x03", re.DOTALL), sure=0.3),
    Format("an HDF5 file", _UNREAD + "if Nsight Systems exported it, export SQLite: nsys export --type=sqlite",
           b"\x89HDF\r\n\x1a\n"),
    Format("a Parquet file", _UNREAD + "if Nsight Systems exported it, export SQLite: nsys export --type=sqlite",
           b"PAR1"),
    Format("an Arrow file", _UNREAD + "if Nsight Systems exported it, export SQLite: nsys export --type=sqlite",
           b"ARROW1\x00\x00"),
    # --- texts ---
    Format("text in UTF-16, as PowerShell writes with >",
           _UNREAD + "convert it first: iconv -f UTF-16 -t UTF-8 {} > trace.txt",
           re.compile(rb"\A(?:\xff\xfe(?:[\x01-\x7f]\x00){2}|\xfe\xff(?:\x00[\x01-\x7f]){2})")),
    Format("a web page", "is not searched for a trace; name the trace that it was made from",
           re.compile(rb"\A(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html)\b", re.IGNORECASE)),
    Format("XML", "no profiler that is read here writes, and is not parsed; name the trace itself",
           re.compile(rb"\A(?:\xef\xbb\xbf)?\s*<\?xml\b")),
    # --- JSON ---
    Format("rocprofv3's own JSON", _ROCM, _words("rocprofiler-sdk-tool"), json=True, sure=0.98),
    Format("a Chakra graph of a workload", "has dependencies and no timeline; name the profiler's trace of the run",
           _words("workload_graph"), json=True),
    Format("a PyTorch execution trace", "has operators without times; name the profiler's trace of the same run",
           lambda text: _EXECUTION.search(text) is not None and b'"nodes"' in text, json=True),
    Format("the options of an Ascend recording", "have no timeline; name the result folder that they lie in",
           _words("config", "start_info", "end_info"), json=True),
    Format("the metadata of an Ascend recording", "has no timeline; name the result folder that it lies in",
           re.compile(rb'\A\s*\{\s*"(?:ENV_VARIABLES|parallel_group_info|distributed_args)"\s*:'), json=True),
    Format("a CPU profile of V8", _UNREAD + "open it in speedscope and save it from there",
           _words("nodes", "timeDeltas"), json=True),
    Format("a profile of Firefox", _UNREAD + "export it as a Chrome trace, or record with py-spy",
           _words("meta", "libs", "preprocessedProfileVersion"), json=True),
    # --- tables ---
    Format(_TABLE + " (kernels)", _ROCM, _begins(_header("Kind", "Agent_Id", "Queue_Id"))),
    Format(_TABLE + " (copies)", _ROCM, _begins(_header("Kind", "Direction"))),
    Format(_TABLE + " (calls or markers)", _ROCM, _begins(_header("Domain", "Function", "Process_Id"))),
    Format(_TABLE + " (counters)", _ROCM, _begins(_header("Correlation_Id", "Dispatch_Id"))),
    Format(_TABLE + " (sums)", _ROCM, _begins(_header("Name", "Calls", "TotalDurationNs"))),
    Format("a table of rocprof", _ROCM, _begins(_header("Index", "KernelName"))),
    Format("the text of nvprof", "is not read; record with nvprof --export-profile FILE and name that",
           re.compile(rb"^==\d+== (?:NVPROF|Profiling)", re.MULTILINE)),
    Format("a summary of nsys stats", "has no timeline; name the report's SQLite export",
           _begins(_header("Time (%)", "Total Time (ns)"))),
)  # fmt: skip
"""Tried in this order; the first that fits is it."""

DATABASES: Final = (
    (("rocpd_kernel_dispatch", "rocpd_info_node"), "a database of rocprofv3 (rocpd)", _ROCM),
    (("rocpd_op", "rocpd_api"), "a database of RPD (rocmProfileData)",
     _UNREAD + "convert it with rpd2tracing.py and name its JSON"),
)  # fmt: skip
"""How the tables of a database begin, one of which it has to have; what it is; what to do."""
