"""Modules of any size with many threads and lanes, for tests of growth."""

from __future__ import annotations

import numpy as np

import traceir as tir
from traceir.ir.module import EDGE_KINDS

KINDS = ("rt.launch", "rt.sync", "rt.call", "host.op", "dev.kernel", "event.wait", "event.record")
NAMES = ("cudaLaunchKernel", "cudaStreamSynchronize", "cudaEventQuery", "aten::mm", "kernel", "wait", "record")
LAUNCH, SYNC, QUERY, OP, KERNEL, WAIT, RECORD = range(len(KINDS))


def grown(events: int, threads: int, lanes: int, devices: int = 1) -> tir.Module:
    """So many rounds that there are about `events` rows, turn by turn on each of the threads and lanes.

    In a round an operator of a thread launches a kernel, now and then waits for the stream, asks for an event, and lets
    the stream wait for another one's.
    """
    rounds = np.arange(events // 6)
    thread, lane = rounds % threads, rounds % lanes
    base = rounds * 1_000
    count = len(rounds)
    first = threads + lane
    other = threads + (lane + 1) % lanes
    parts = [
        (OP, base, 900, thread), (LAUNCH, base + 100, 50, thread), (KERNEL, base + 400 + rounds % 7 * 40, 300, first),
        (np.where(rounds % 5 == 0, SYNC, QUERY), base + 200, 300, thread), (RECORD, base + 390, 0, other),
        (WAIT, base + 395, 0, first),
    ]  # fmt: skip
    kind, ts, dur, where = (
        np.concatenate([np.broadcast_to(np.asarray(part[at], np.int64), count) for part in parts]) for at in range(4)
    )
    at = np.arange(count)
    host = [tir.Lane(f"cpu.{n}", "host.thread", pid=1, tid=n) for n in range(threads)]
    device = [tir.Lane(f"gpu{n % devices}.s{n}", "dev.stream", device=n % devices, stream=n) for n in range(lanes)]
    return tir.ModuleBuilder(
        name="grown",
        strings=tir.Strings(list(NAMES)),
        lanes=host + device,
        kinds=list(KINDS),
        id=np.arange(len(kind)),
        kind=kind,
        name_code=kind,
        ts=ts,
        dur=dur,
        lane=where,
        edges=[("launch", count + at, 2 * count + at), (EDGE_KINDS[2], 4 * count + at, 5 * count + at)],
    ).build()
