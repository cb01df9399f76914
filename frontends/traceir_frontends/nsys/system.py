"""What the system around the program recorded: scheduling, samples of stacks, counters of the devices."""

from __future__ import annotations

import numpy as np

from traceir.ir import NULL_I64, Ints
from traceir_frontends.nsys.threads import Threads
from traceir_frontends.tabular import Assembly, Database, Rows, Texts
from traceir_frontends.tabular.assembly import distinct_rows


def pair_schedule(rows: Rows, threads: Threads, assembly: Assembly) -> Rows:
    """Slices of time that threads were on a CPU, from rows that say only that one came or went. O(n log n).

    A slice begins with a row that says in, and ends with the next row of the same CPU. One that nothing ends lasts to
    the end of the record, and a row that says out without one that says in stays an event without length.
    """
    cpu, thread, came = rows.key("cpu"), rows.key("thread"), rows.key("in") > 0
    order = np.lexsort((came, rows.start, cpu))
    following = np.append(order[1:], -1)
    same = np.append(cpu[order[1:]] == cpu[order[:-1]], False)[: len(order)]
    end = np.full(len(rows), NULL_I64)
    end[order[same]] = rows.start[following[same]]
    before = np.append(-1, order[:-1])
    ended = np.zeros(len(rows), bool)  # rows that say out and end a slice of their thread are its end, and no event
    follows = np.append(False, same[:-1])[: len(order)]
    ends = follows & ~came[order] & came[before] & (thread[order] == thread[before])
    ended[order[ends]] = True
    rows.end = np.where(came, end, rows.start)
    rows.open = came & (end == NULL_I64)
    rows.kind = np.where(ended, -1, rows.kind)
    distinct, inverse = distinct_rows([thread])
    rows.name = assembly.texts(_called(key[0], threads) for key in distinct)[inverse]
    return rows


def _called(thread: int, threads: Threads) -> str:
    if thread == NULL_I64:
        return "unknown thread"
    tid = thread & 0xFFFFFF
    name = threads.name(thread)
    return "idle" if tid == 0 and not name else f"{name or 'thread'} ({tid})"


def name_samples(rows: Rows, database: Database, texts: Texts, assembly: Assembly) -> None:
    """Call samples after the innermost function of their stack, where the file has stacks."""
    frame = database.read("SAMPLING_CALLCHAINS", ("id", "symbol", "stackDepth"))
    top = np.flatnonzero(frame.ints("stackDepth") == 0)
    ids, symbol = frame.ints("id")[top], frame.ints("symbol")[top]
    order = np.argsort(ids, kind="stable")
    if not len(order):
        return
    mine = rows.key("id")
    at = np.minimum(np.searchsorted(ids[order], mine), len(order) - 1)
    known = ids[order][at] == mine
    values, inverse = np.unique(symbol[order][at], return_inverse=True)
    named: Ints = assembly.texts(texts.of(values), "sample").astype(np.int64)[inverse.reshape(-1)]
    rows.name = np.where(known, named, rows.name).astype(np.int32)


def name_metrics(rows: Rows, database: Database, assembly: Assembly) -> None:
    """Call samples of counters after their metric; those before the session began are left out."""
    frame = database.read("TARGET_INFO_GPU_METRICS", ("typeId", "metricId", "id", "metricName", "name"))
    metric = frame.ints("metricId", "id").tolist()
    words = frame.texts("metricName", "name")
    names = dict(zip(zip(frame.ints("typeId").tolist(), metric, strict=True), words, strict=True))
    loose = dict(zip(metric, words, strict=True))
    distinct, inverse = distinct_rows([rows.key("type"), rows.key("metric")])
    found = [names.get((key[0], key[1])) or loose.get(key[1]) or f"metric {key[1]}" for key in distinct]
    rows.name = assembly.texts(found)[inverse]
    rows.start[rows.start < 0] = NULL_I64
