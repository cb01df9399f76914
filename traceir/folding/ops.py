"""Ops: statistics per op over the instances of a layer or a step."""

from __future__ import annotations

import numpy as np

from traceir.folding.model import Op
from traceir.folding.work import Work
from traceir.ir import Array, Ints, Mask


def fold_ops(
    work: Work, at: Array, instance: Array, instances: int, code: Array | None = None, line: Array | None = None
) -> tuple[Op, ...]:
    """The ops of some work over its instances, in order of their median place in an instance.

    An op is a label in its place; `code` parts the work into ops otherwise, and then each is called by the label that
    most of its events have. `line` says of each event where in an instance that lacks nothing it would stand: then
    that goes before its place, which is another where events before it are missing. O(n log n).
    """
    keys, inverse = np.unique(work.key[at] if code is None else code, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    bounds = np.searchsorted(inverse[order], np.arange(len(keys) + 1))
    place = _place(instance)
    ops = []
    for number in range(len(keys)):
        mine = order[bounds[number] : bounds[number + 1]]
        op = _op(work, at[mine], instance[mine], instances)
        first = float(np.median(line[mine])) if line is not None else 0.0
        ops.append((first, float(np.median(place[mine])), op.label, op))
    return tuple(op for *_, op in sorted(ops, key=lambda item: item[:3]))


def _op(work: Work, here: Array, of: Array, instances: int) -> Op:
    """One op: the events `here`, each of the instance `of`."""
    cells, cell = _cells(of, instances)
    times = np.bincount(cell, weights=work.dur[here]).astype(np.int64)
    counts = np.bincount(cell)
    usual = int(np.bincount(counts).argmax())
    sample = here[cell == _sample(cell, counts == usual, work.symbol[here])]
    low, middle, high = np.percentile(times, [10, 50, 90])
    called = int(here[_called(work.key[here])])
    return Op(
        label=work.label_of(called),
        kernels=usual,
        symbols=tuple(work.name(c) for c in work.symbol[sample].tolist()),
        roles=work.roles_of(here),
        lanes=work.lanes_of(here),
        present=len(cells),
        instances=instances,
        median_ns=int(middle),
        p10_ns=int(low),
        p90_ns=int(high),
        total_ns=int(times.sum()),
        exposed_ns=work.exposed_of(here),
        block=work.block_of(called),
        max_ns=int(times.max()),
        exposed_median_ns=work.exposed_median_of(here, of),
        sums=work.sums_of(here, of),
        rows=work.rows[here],
        dur=work.dur[here],
        of=of,
    )


def _sample(cell: Array, typical: Mask, symbol: Array) -> int:
    """An instance in the middle of those that have the usual number of kernels, and of these the usual kernels."""
    mixed = (symbol.astype(np.int64) * 2_654_435_761) % 1_000_003  # sums of these tell lists of names apart
    found = np.bincount(cell, weights=mixed)[typical]
    values, count = np.unique(found, return_counts=True)
    usual = np.flatnonzero(typical)[found == values[np.argmax(count)]]
    return int(usual[len(usual) // 2])


def _called(key: Array) -> int:
    """The first event that has the label of most."""
    if (key == key[0]).all():
        return 0
    _, first, count = np.unique(key, return_index=True, return_counts=True)
    return int(first[np.argmax(count)])


def _cells(code: Array, most: int) -> tuple[Array, Array]:
    """The distinct codes below `most` in order, and which of them each code is: by counting, where that is not far."""
    if most > 4 * len(code) + 2**20:
        return np.unique(code, return_inverse=True)
    used = np.bincount(code, minlength=most) > 0
    return np.flatnonzero(used), (np.cumsum(used) - 1)[code]


def _place(instance: Array) -> Ints:
    """Each event's position within its instance (events come in order of time)."""
    order = np.argsort(instance, kind="stable")
    ordered = instance[order]
    first = np.searchsorted(ordered, ordered)
    out = np.empty(len(instance), np.int64)
    out[order] = np.arange(len(instance)) - first
    return out
