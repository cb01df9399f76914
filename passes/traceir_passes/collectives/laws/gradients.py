"""Data parallelism: the same gradient buckets in every step; sharded, parameters are gathered twice a reduction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from traceir_passes.collectives.laws.base import Counted, Ints, Law, Steps
from traceir_passes.collectives.laws.layers import Layers


def gradients(counted: Counted, steps: Steps) -> Iterator[Law]:
    """Data parallelism reduces the same list of gradient buckets in every step."""
    mine = np.flatnonzero(counted.backward & counted.of_kind("all_reduce", "reduce_scatter"))
    lists: dict[int, list[tuple[str, str | None, int | None]]] = {}
    for at in mine.tolist():
        number = int(steps.of[counted.rows[at]])
        if number in steps.names:
            lists.setdefault(number, []).append((counted.kinds[at], counted.groups[at], counted.elements[at]))
    if len(lists) < 2:
        return
    usual = Counter(tuple(bucket) for bucket in lists.values()).most_common(1)[0][0]
    odd = [number for number, bucket in lists.items() if tuple(bucket) != usual]
    note = f"{len(usual)} reductions a step"
    sizes = [size for _, _, size in usual]
    if all(size is not None for size in sizes):
        total = sum(size for size in sizes if size is not None)
        note += f", {total} elements: the parameters, if each is reduced once"
    where = tuple(steps.names[number] for number in sorted(odd))
    label = "equal gradient buckets in every step"
    yield Law(label, len(lists), len(lists) - len(odd), not odd, note=note, where=where)


def sharded(counted: Counted, steps: Steps, layers: Layers) -> Iterator[Law]:
    """Fully sharded parameters: each unit is gathered for either pass and its gradients are reduced and scattered once.

    Asked of groups that reduce and scatter in backward passes alone; units are as many as most steps reduce. The one
    that is used last may stay gathered between the passes, so one gather may be missing; if all stay gathered there
    is one for each unit.
    """
    scattered = counted.of_kind("reduce_scatter")
    forward = {counted.groups[at] for at in np.flatnonzero(scattered & ~counted.backward).tolist()}
    groups = {counted.groups[at] for at in np.flatnonzero(scattered & counted.backward).tolist()} - forward
    for group in sorted(groups, key=str):
        mine = counted.of_group(group)
        reduced = steps.split(counted, mine & scattered)
        gathered = steps.split(counted, mine & counted.of_kind("all_gather"))
        if not gathered or not reduced:
            continue  # what is reduced in shards may be gathered by another group, or outside of the trace
        units = Counter(len(here) for here in reduced.values()).most_common(1)[0][0]
        for number, here in reduced.items():
            yield _sharded(counted, steps, layers, number, here, gathered.get(number, here[:0]), units)


def _sharded(
    counted: Counted, steps: Steps, layers: Layers, step: int, reduced: Ints, gathered: Ints, units: int
) -> Law:
    label, name = "2 all-gathers per reduce-scatter", steps.names.get(step)
    found, allowed = len(gathered), {2 * units: "", 2 * units - 1: "one unit stays gathered"}
    allowed[units] = "all units stay gathered between the passes" if units > 1 else ""
    if found in allowed and len(reduced) == units:
        note = f"{units} units" + (f", {allowed[found]}" if allowed[found] else "")
        return Law(label, found, found, True, name, note)
    counts = layers.counts(counted, np.concatenate([reduced, gathered]))
    usual = Counter(counts.values()).most_common(1)
    odd = {layer for layer, count in counts.items() if count != usual[0][0]} if usual else set()
    expected, where = 2 * units, layers.told(odd)
    if len(reduced) != units:
        label, expected, found = "1 reduce-scatter per unit", units, len(reduced)
    suspects = steps.suspects(step, expected - found, counted.rows[reduced])
    return Law(label, expected, found, False, name, f"{units} units", suspects, where)
