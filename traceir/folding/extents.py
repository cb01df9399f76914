"""Extents: how long each instance of a template takes, on the device and on the host."""

from __future__ import annotations

import numpy as np

from traceir.folding.model import Instances
from traceir.folding.work import Work
from traceir.ir import NULL_I64, Array, GroupedSpans, Ints


def extents(work: Work, at: Array, instance: Array, region: Array) -> Instances:
    """The instances of some work (each has an event at least); `region` is that of each. O(n log n)."""
    module, rows, count = work.module, work.rows[at], len(region)
    ts, end = module["ts"][rows], module.end[rows]
    low, high = _least(instance, ts, count), -_least(instance, -end, count)
    first = np.full(count, len(module), np.int64)
    np.minimum.at(first, instance, rows)
    return Instances(
        region=np.asarray(region, np.int64),
        first=first,
        work_ns=np.bincount(instance, weights=work.dur[at], minlength=count).astype(np.int64),
        span_ns=high - low,
        busy_ns=GroupedSpans.of(instance, ts, end, count).lengths,
        host_ns=_host(work, rows, instance, count),
    )


def _least(instance: Array, values: Ints, count: int) -> Ints:
    out = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(out, instance, values)
    return out


def _host(work: Work, rows: Array, instance: Array, count: int) -> Ints:
    """The extent of the calls that launched each instance, NULL_I64 where that is not its own.

    One launch of a graph starts many layers: how long that call takes says nothing of any of them.
    """
    module = work.module
    launch = module.launch[rows]
    known = np.flatnonzero(launch >= 0)
    out = np.full(count, NULL_I64)
    if not len(known):
        return out
    call, owner = launch[known], instance[known].astype(np.int64)
    order = np.argsort(call, kind="stable")
    changes = (call[order][1:] == call[order][:-1]) & (owner[order][1:] != owner[order][:-1])
    shared = np.zeros(count, bool)
    calls = np.unique(call[order][1:][changes])
    shared[owner[np.isin(call, calls)]] = True
    ts, end = module["ts"][call], module.end[call]
    span = -_least(owner, -end, count) - _least(owner, ts, count)
    has = np.zeros(count, bool)
    has[owner] = True
    return np.where(has & ~shared, span, NULL_I64)


def median_known(values: Ints) -> int | None:
    """The median of what is known; None if nothing is."""
    known = values[values != NULL_I64]
    return int(np.median(known)) if len(known) else None
