"""A first glance at an input: whether it can be a format's at all, so that only likely frontends are imported.

Each function answers for one frontend, or for several, and says no only where their own `sniff` would say 0: what it
looks for is a part of what they ask for. Nothing here imports a frontend.
"""

from __future__ import annotations

import re
from typing import Final

from traceir.loading import Head

_BOM: Final = b"\xef\xbb\xbf"
_SQLITE: Final = b"SQLite format 3\x00"
_ASCEND: Final = (
    b"Ascend", b"Task Type", b"Overlap Analysis", b"async_npu", b"HostToDevice", b"Node@launch", b"torch_to_npu",
    b"enqueue_to_dequeue", b"AI Core Freq", b"Communication Time Info", b"Communication Bandwidth Info",
    b"Transport Type",
)  # fmt: skip
_TRIED: Final = 64
_DIGITS: Final = "0123456789"


def _lines(head: Head) -> list[bytes]:
    """The first lines of a text, as many as frontends look at."""
    return head.text.removeprefix(_BOM)[: 1 << 15].split(b"\n", _TRIED)[:_TRIED]


def is_json(head: Head) -> bool:
    """Whether an object or a list begins."""
    return head.text.removeprefix(_BOM).lstrip()[:1] in (b"{", b"[")


def ascend(head: Head) -> bool:
    """JSON with a word or the spelling of times that this profiler has; all that is no JSON."""
    if not is_json(head) or any(word in head.text for word in _ASCEND):
        return True
    return re.search(rb'"ts"\s*:\s*"', head.text) is not None


def collapsed(head: Head) -> bool:
    """Text whose first line ends in a digit."""
    lines = head.text.decode("utf-8", "replace").split("\n")[:_TRIED]
    first = next((line for line in lines if line.strip()), "")
    return first.rstrip()[-1:] in _DIGITS if first else False


def ftrace(head: Head) -> bool:
    """Text with a tracer's header, or some line that begins as an event does."""
    event = re.compile(
        rb"# tracer:|CPU:|[ \t]*+.{0,64}?-\d{1,10}[ \t]++[\d\[(]|[ \t]*+(?:[\d.]{1,32} \|[ \t]*+)?\d{1,5}\)"
    )
    return any(map(event.match, _lines(head)))


def ncu(head: Head) -> bool:
    """Reports, and text with the CSV's first column or the profiler's own lines."""
    return head.raw.startswith(b"NVR") or b'"ID",' in head.text or head.text.startswith(b"==PROF==")


def nsys(head: Head) -> bool:
    """Databases, packed or not, and the profiler's own reports by their names."""
    return head.text.startswith(_SQLITE) or head.path.endswith((".nsys-rep", ".qdrep"))


def nvprof(head: Head) -> bool:
    """Databases."""
    return head.raw.startswith(_SQLITE)


def perf(head: Head) -> bool:
    """perf.data, and text in which some line begins as a sample does, or is a record."""
    if head.text[:8] in (b"PERFILE2", b"2ELIFREP"):
        return True
    sample = re.compile(rb"[ \t]*+\S.{0,63}?[ \t]++(?:-?\d{1,10}/)?-?\d{1,10}[ \t]")
    return any(sample.match(line) or b"PERF_RECORD_" in line for line in _lines(head))


def speedscope(head: Head) -> bool:
    """Text with one of the format's words."""
    return b"speedscope.app" in head.text or b'"frames"' in head.text


def tir(head: Head) -> bool:
    """Text with a version line somewhere."""
    return b'#[traceir "' in head.text


def tirb(head: Head) -> bool:
    """Bytes that begin with the form's name."""
    return head.raw.startswith(b"\x89TIRB")
