"""TraceLens: which events it counts, as what, and at what times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from traceir.ir import Mask, Module
from traceir_passes.overlap.compat.elements import NONE, Seen
from traceir_passes.overlap.compat.figures import COMM, COMPUTE, MEMORY, NOT_COUNTED, Counted

VERSION: Final = "171dd74"
_WORDS: Final = ("nccl", "rccl", "cross_device_reduce")
_DEVICE: Final = ("kernel", "gpu_memcpy", "gpu_memset")
_CALLS: Final = ("cuda_runtime", "cuda_driver")
_GRAPH: Final = "GraphLaunch"
_NO_CATEGORY, _NO_LINK = range(2)
_REASONS: Final = (
    "of a category that is none of kernel, gpu_memcpy and gpu_memset, dropped",
    "that no launch arrow links to a recorded call, dropped",
)


def count(module: Module, seen: Seen, tool: str) -> Counted:
    """What TraceLens counts: kernels, copies and memsets that it can link to a recorded call, all devices as one.

    Copies are memory, a name with nccl, rccl or cross_device_reduce in it communicates, and all others compute, memsets
    among them. Times are as recorded. O(n).
    """
    device = seen.is_category(*_DEVICE)
    talks = [any(word in text for word in _WORDS) for text in module.strings.texts]
    comm = np.array([*talks, False])[module["name"]]
    cls = np.where(seen.is_category("gpu_memcpy"), MEMORY, np.where(comm, COMM, COMPUTE))
    cls = np.where(device & _linked(module, seen, device), cls, NOT_COUNTED)
    return Counted(cls, module["ts"], module.end, np.where(device, _NO_LINK, _NO_CATEGORY), _REASONS)


def _linked(module: Module, seen: Seen, device: Mask) -> Mask:
    """Which rows a launch leads to: all of its correlation for graphs, else the last one at the end of its arrow."""
    call = seen.is_category(*_CALLS) & (seen.correlation != NONE)
    graph = np.array([*(_GRAPH in text for text in module.strings.texts), False])[module["name"]]
    out = device & np.isin(seen.correlation, seen.correlation[call & graph])
    lanes = [(lane.pid, lane.tid) for lane in module.lanes]
    wanted = {id for id in np.unique(seen.correlation[call & ~graph]).tolist() if id in seen.begins}
    rows = np.flatnonzero(np.isin(seen.correlation, sorted(wanted)))
    rows = rows[np.argsort(module["id"][rows], kind="stable")]  # of several at one place the last in the file counts
    last = {
        (*lanes[lane], id): row
        for row, lane, id in zip(
            rows.tolist(), module["lane"][rows].tolist(), seen.correlation[rows].tolist(), strict=True
        )
    }
    for id in wanted:
        row = last.get((*seen.ends[id], id)) if id in seen.ends else None
        if row is not None:
            out[row] = True
    return np.asarray(out)


def reported(found: Mapping[str, int], events: int) -> dict[str, float | None]:
    """The figures that TraceLens prints, by its own names with the unit; null where it stops: nothing is counted."""
    names = {
        "computation_time": "compute_ns", "exposed_comm_time": "exposed_ns", "exposed_memcpy_time": "memory_exposed_ns",
        "busy_time": "busy_ns", "idle_time": "idle_ns", "total_time": "span_ns", "total_comm_time": "comm_ns",
        "total_memcpy_time": "memory_ns",
    }  # fmt: skip
    return {f"{name}(us)": found[key] / 1000 if events else None for name, key in names.items()}
