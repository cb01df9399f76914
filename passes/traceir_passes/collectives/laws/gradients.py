"""Data parallelism: the same gradient buckets in every step; sharded, parameters are gathered twice a reduction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import numpy as np

from traceir_passes.collectives.gradients import Reduction
from traceir_passes.collectives.gradients import gradients as which
from traceir_passes.collectives.laws.base import Counted, Ints, Law, Steps
from traceir_passes.collectives.laws.layers import Layers
from traceir_passes.collectives.sources import first_inputs

ACCUMULATES: Final = "torch::autograd::AccumulateGrad"


def gradients(counted: Counted, steps: Steps) -> Iterator[Law]:
    """Data parallelism reduces the same list of gradient buckets in every step."""
    told = zip(counted.kinds, counted.groups, counted.elements, counted.backward.tolist(), strict=True)
    mine = which([Reduction(*item) for item in told])
    lists: dict[int, list[tuple[str, str | None, int | None]]] = {}
    for at in mine:
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


def parameters(counted: Counted, steps: Steps) -> Iterator[Law]:
    """What is reduced of gradients is what the backward passes accumulate, element by element.

    Asked where autograd's engine recorded the shape of every gradient that it accumulates, over all steps at once,
    as host events are of no step. Several backward passes may accumulate before one reduction. More may be reduced
    than accumulated (padding of shards, parameters that got no gradient), and less where not all reductions are seen:
    then it cannot be said.
    """
    module = steps.module
    code = module.strings.code(ACCUMULATES)
    rows = np.flatnonzero((module["name"] == code) & module.live) if code >= 0 else np.empty(0, np.int64)
    told = zip(counted.kinds, counted.groups, counted.elements, counted.backward.tolist(), strict=True)
    mine = which([Reduction(*item) for item in told])
    reduced = [counted.elements[at] for at in mine]
    if not len(rows) or not reduced or None in reduced or len(set(counted.devices[mine].tolist())) > 1:
        return
    sizes = [item.elements for item in first_inputs(module, rows).values()]
    if None in sizes:
        return
    expected, found = sum(size or 0 for size in sizes), sum(size or 0 for size in reduced)
    rounds, rest = divmod(expected, found) if found else (0, 1)
    label = "gradient buckets = parameters"
    if not rest:
        note = f"{rounds} backward passes a reduction" if rounds > 1 else ""
        yield Law(label, expected // rounds, found, True, note=note)
        return
    short = found < expected and _is_whole(counted, steps, mine)
    note = "" if short else "more is reduced: padding, or no gradient" if found > expected else "not all may be seen"
    yield Law(label, expected, found, False if short else None, note=note)


def _is_whole(counted: Counted, steps: Steps, mine: list[int]) -> bool:
    """Whether all gradients go through these reductions: of one group, in several like steps, without experts.

    One step may be cut by the window, other groups and the owners of experts reduce the rest, and shards are padded.
    """
    sizes: dict[int, list[int | None]] = {}
    for at in mine:
        sizes.setdefault(int(steps.of[counted.rows[at]]), []).append(counted.elements[at])
    alike = len(sizes) > 1 and len({tuple(own) for own in sizes.values()}) == 1
    one = {(counted.kinds[at], counted.groups[at]) for at in mine}
    return alike and len(one) == 1 and one.pop()[0] == "all_reduce" and "dispatch" not in counted.roles


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
