"""HolisticTraceAnalysis: which events it counts, as what, and at what times."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import numpy as np

from traceir.ir import Array, Ints, Mask, Module
from traceir_passes.overlap.compat.elements import NONE, Seen
from traceir_passes.overlap.compat.figures import COMM, COMPUTE, MEMORY, NOT_COUNTED, OTHER, Counted

VERSION: Final = "0.5.0"
_RULES: Final = {
    "hta": re.compile(r"nccl.*Kernel"),
    "hta_main": re.compile(r"nccl|hip|hccl|.*ncclKernel"),
}
_MEMORY: Final = re.compile(r"Memcpy|Memset|dma")
_NO_COMPUTE: Final = re.compile(r"nccl.*Kernel|.*Memcpy|Memset|.*Sync")
_SYNCS: Final = ("Event Sync", "Context Sync")
_STEP: Final = "ProfilerStep"
_NO_STREAM, _LAST_STEP, _NO_ROW = range(3)
_REASONS: Final = (
    "without a stream among their arguments, not taken for device work",
    "of the last profiler step or launched outside of the steps, dropped",
    "without a duration or a category, dropped",
)


def count(module: Module, seen: Seen, tool: str) -> Counted:
    """What HTA counts: whatever has a stream, all devices of a file as one, times rounded inward to whole us.

    With two profiler steps or more the last one is dropped, and so is what no call before it has launched. A name that
    matches the tool's rule communicates, names that begin with Memcpy, Memset or dma are memory, and all others
    compute, but those with Memcpy or Sync in them. O(n).
    """
    start, end = _rounded(module, seen.origin)
    read = seen.category != NONE
    kept = read & _of_steps(module, seen, start, read)
    cls = np.where(kept & (seen.stream != NONE), _classes(module, tool), NOT_COUNTED)
    dropped = np.where(~read, _NO_ROW, np.where(seen.stream == NONE, _NO_STREAM, _LAST_STEP))
    return Counted(cls, start, end, dropped, _REASONS)


def _rounded(module: Module, origin: int) -> tuple[Ints, Ints]:
    """The first whole us after each start and the last before each end, in ns from the module's origin.

    Computed as the tool does, in floating point on the file's own times: a start of 1.7e15 us has no ns any more.
    """
    starts = _micros(module["ts"] + origin)
    ends = np.floor(starts + module["dur"] / 1000.0).astype(np.int64)
    return np.ceil(starts).astype(np.int64) * 1000 - origin, ends * 1000 - origin


def _micros(ns: Ints) -> Array:
    """Times in us as the floating point number that is nearest to the file's decimal text."""
    whole, rest = np.divmod(ns, 1000)
    # Below 2^53 the division rounds once; above, the whole us are exact and the rest is too small to round twice.
    return np.asarray(np.where(np.abs(ns) < 1 << 53, ns / 1000.0, whole + rest / 1000.0))


def _of_steps(module: Module, seen: Seen, start: Ints, read: Mask) -> Mask:
    """What is left when the last profiler step is dropped; everything where there are fewer than two of them."""
    step = module.strings.is_in(module["name"], [text for text in module.strings.texts if _STEP in text]) & read
    if len(np.unique(module["name"][step])) < 2:
        return np.ones(len(module), bool)
    sync = module.strings.is_in(module["name"], _SYNCS)
    device = ((seen.stream >= 0) & (seen.correlation >= 0)) | sync
    host = read & ~device
    if not (host & step).any():
        return np.zeros(len(module), bool)
    host &= start < start[host & step].max()
    return host | (read & device & np.isin(seen.correlation, seen.correlation[host]))


def _classes(module: Module, tool: str) -> Array:
    """The class of each row by its name."""
    table = np.array([*(_class(text, tool) for text in module.strings.texts), COMPUTE], np.int64)
    return np.asarray(table[module["name"]])


def _class(name: str, tool: str) -> int:
    if _RULES[tool].match(name):
        return COMM
    if _MEMORY.match(name):
        return MEMORY
    return OTHER if _NO_COMPUTE.match(name) else COMPUTE


def reported(found: Mapping[str, int], events: int) -> dict[str, float | None]:
    """The figures that HTA prints, by its own names; null where it prints NaN or stops.

    It stops without device work, and where rounding has made a part larger than the whole.
    """
    us = {key: value / 1000 for key, value in found.items()}
    out: dict[str, float | None] = dict.fromkeys(
        ("idle_time(us)", "compute_time(us)", "non_compute_time(us)", "kernel_time(us)", "comp_comm_overlap_pctg")
    )
    rest = us["span_ns"] - us["compute_ns"] - us["idle_ns"]
    if events and rest >= 0 and max(us["idle_ns"], us["compute_ns"]) <= us["span_ns"]:
        out |= {
            "idle_time(us)": us["idle_ns"], "compute_time(us)": us["compute_ns"], "non_compute_time(us)": rest,
            "kernel_time(us)": us["span_ns"],
        }  # fmt: skip
    if found["comm_ns"]:
        out["comp_comm_overlap_pctg"] = round(100 * (found["overlap_ns"] / found["comm_ns"]), 2)
    return out
