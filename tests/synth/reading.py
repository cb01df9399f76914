"""A second, independent reading of a trace: strict JSON, exact ns, and device time painted ns by ns."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from traceir.synth import Decoder

Rows = list[dict[str, Any]]
WORK = ("kernel", "gpu_memcpy", "gpu_memset")
COMM = re.compile(r"nccl|cross_device_reduce|multimem_all_reduce", re.IGNORECASE)
QUICK: dict[str, Any] = {"layers": 2, "steps": 2, "host_gap_ns": 30_000, "stall_ns": 400_000}


def parse(text: str) -> dict[str, Any]:
    """The document, with decimal numbers as Decimal; repeated keys and non-numbers are errors."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({key for key, _ in pairs}) == len(pairs), f"a key is repeated in {pairs}"
        return dict(pairs)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    document = json.loads(text, parse_float=Decimal, parse_constant=refuse, object_pairs_hook=unique)
    assert isinstance(document, dict)
    return document


def ns(value: Any) -> int:
    """Microseconds as exact ns."""
    scaled = Decimal(value) * 1000
    assert scaled == int(scaled), f"{value} µs has digits below 1 ns"
    return int(scaled)


def begin(row: dict[str, Any]) -> int:
    return ns(row["ts"])


def end(row: dict[str, Any]) -> int:
    return ns(row["ts"]) + ns(row["dur"])


def work(rows: Rows) -> Rows:
    """Device work in order of time."""
    return sorted((row for row in rows if row.get("cat") in WORK), key=begin)


def paint(rows: Rows) -> dict[str, int]:
    """The lengths that the overlap accounting defines, counted over an array with one cell per ns."""
    first, last = min(map(begin, rows)), max(map(end, rows))
    cells = {kind: np.zeros(last - first, bool) for kind in ("compute", "comm", "memory")}
    for row in rows:
        kind = "memory" if row["cat"] != "kernel" else "comm" if COMM.search(row["name"]) else "compute"
        cells[kind][begin(row) - first : end(row) - first] = True
    compute, comm, memory = cells["compute"], cells["comm"], cells["memory"]
    busy = compute | comm | memory

    def count(where: NDArray[np.bool_]) -> int:
        return int(np.count_nonzero(where))

    return {
        "span_ns": last - first,
        "busy_ns": count(busy),
        "compute_ns": count(compute),
        "comm_ns": count(comm),
        "memory_ns": count(memory),
        "overlap_ns": count(comm & compute),
        "exposed_ns": count(comm & ~compute),
        "exposed_any_ns": count(comm & ~compute & ~memory),
        "idle_ns": count(~busy),
    }


def by_step(rows: Rows, options: Decoder) -> list[Rows]:
    """Device work by the mark that contains its launch; work without a launch belongs to no step."""
    marks = sorted(
        (row for row in rows if row.get("cat") == "user_annotation" and re.match("ProfilerStep|execute", row["name"])),
        key=begin,
    )
    assert options.marks != "none"
    calls = {row["args"]["correlation"]: row for row in rows if row.get("cat") in ("cuda_runtime", "cuda_driver")}
    steps: list[Rows] = [[] for _ in marks]
    for row in work(rows):
        call = calls.get(row["args"]["correlation"])
        if call is not None:
            steps[next(n for n, mark in enumerate(marks) if begin(mark) <= begin(call) < end(mark))].append(row)
    return steps
