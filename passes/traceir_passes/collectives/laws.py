"""Count laws: how many collectives a parallel program must have, and which names a broken law suspects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import attrs
import numpy as np
import numpy.typing as npt

import traceir as tir

MOST_SUSPECTS: Final = 5
INCOMPLETE: Final = ("sampled", "missing_replays")
"""Findings that say that not all events were recorded: under them a count that is short proves nothing."""
Ints = npt.NDArray[Any]


@attrs.frozen
class Law:
    """A law and whether it holds; `step` is null where it is about the whole trace.

    `holds` is null where the trace is cut or sampled so that it cannot be said. `suspects` are names of compute
    that occur exactly as often as is missing: one of them may be communication that its name hides.
    """

    law: str
    expected: int | None
    found: int
    holds: bool | None
    step: str | None = None
    note: str = ""
    suspects: tuple[str, ...] = ()


@attrs.frozen(eq=False)
class Counted:
    """The collectives that laws count: first row, kind, role and size of each instance, and whether in backward."""

    rows: Ints
    kinds: list[str]
    roles: list[str]
    elements: list[int | None]
    groups: list[str | None]
    backward: npt.NDArray[np.bool_]

    def of_kind(self, *kinds: str) -> npt.NDArray[np.bool_]:
        """Which instances are of these kinds."""
        return np.array([kind in kinds for kind in self.kinds], bool)

    def of_role(self, role: str) -> npt.NDArray[np.bool_]:
        """Which instances have this role."""
        return np.array([mine == role for mine in self.roles], bool)


def laws(module: tir.Module, counted: Counted) -> list[Law]:
    """All laws that this trace can be held to; without collectives, the one that there are none."""
    if not len(counted.rows):
        return [Law("no collectives", 0, 0, True)]
    told = [*_tensor_parallel(module, counted), *_experts(module, counted), *_gradients(module, counted)]
    codes = [finding.code for finding in module.health if finding.code in INCOMPLETE]
    return [_doubted(law, codes[0]) if codes and law.holds is False else law for law in told]


def _doubted(law: Law, code: str) -> Law:
    note = f"{law.note}; {code}" if law.note else code
    return attrs.evolve(law, holds=None, note=note, suspects=())


def _tensor_parallel(module: tir.Module, counted: Counted) -> Iterator[Law]:
    """Two reductions a layer, one more where the vocabulary is split too (its embedding is reduced).

    The law is about a step's forward passes: it is asked where reductions lie inside layers. With sequence
    parallelism each all-reduce is a reduce-scatter and an all-gather.
    """
    if not module.has_tree("layers"):
        return
    tree = module.tree("layers")
    layer = tree.at("layer")
    step, names = _steps(module)
    for kind, label in (("all_reduce", "2 all-reduces per layer"), ("reduce_scatter", "2 reduce-scatters per layer")):
        mine = counted.of_kind(kind) & ~counted.backward
        inside = layer[counted.rows] >= 0
        for number in np.unique(step[counted.rows[mine & inside]]).tolist():
            here = mine & (step[counted.rows] == number)
            layers, partial = _layers(module, tree, layer, np.flatnonzero((step == number) & module.work))
            reduced = len(np.unique(layer[counted.rows[here & inside]]))
            if 2 * reduced < layers:
                continue  # a few reductions among many layers are not what splits these
            found = int(here.sum())
            low = 2 * layers
            expected = low + 1 if found == low + 1 else low
            note = "one of them for a split vocabulary" if found == low + 1 else ""
            if partial:
                yield Law(label, expected, found, None, names.get(number), "the window cuts a stack")
                continue
            holds = found == expected
            suspects = () if holds else _suspects(module, np.flatnonzero(step == number), abs(low - found))
            yield Law(label, expected, found, holds, names.get(number), note, suspects)


def _steps(module: tir.Module) -> tuple[Ints, dict[int, str]]:
    """The step of each event (-1 none) and the names of the steps; one nameless step for all if there are none."""
    if not module.has_tree("steps") or not len(module.tree("steps")):
        return np.zeros(len(module), np.int32), {}
    tree = module.tree("steps")
    return tree.at("step"), {region: tree.region_name(region) for region in tree.of_kind("step").tolist()}


def _layers(module: tir.Module, tree: tir.Tree, layer: Ints, rows: Ints) -> tuple[int, bool]:
    """How many layers of forward passes own some of `rows`, and whether the window cuts one of their stacks."""
    regions = np.unique(layer[rows])
    regions = regions[regions >= 0]
    stacks = tree.ancestor("stack")[regions]
    if "group.direction" in module:
        backward = (stacks >= 0) & module.is_in("group.direction", ["backward"])[stacks]
        regions, stacks = regions[~backward], stacks[~backward]
    cut = "group.partial" in module and bool(module["group.partial"][stacks[stacks >= 0]].any())
    return len(regions), cut


def _suspects(module: tir.Module, rows: Ints, missing: int) -> tuple[str, ...]:
    """Names of compute that occur exactly `missing` times among `rows`, those of unknown role first."""
    compute = rows[(module.work & module.is_in("infer.class", ["compute"]))[rows]]
    codes, counts = np.unique(module["name"][compute], return_counts=True)
    unknown = set(module["name"][compute[module.is_in("infer.role", ["unknown"])[compute]]].tolist())
    fitting = codes[counts == missing].tolist()
    ranked = sorted(fitting, key=lambda code: (code not in unknown, module.strings[code]))
    return tuple(module.strings[code] for code in ranked[:MOST_SUSPECTS])


def _experts(module: tir.Module, counted: Counted) -> Iterator[Law]:
    """What is sent to experts comes back: as many combines as dispatches in each step."""
    step, names = _steps(module)
    sent, back = counted.of_role("dispatch"), counted.of_role("combine")
    for number in np.unique(step[counted.rows[sent | back]]).tolist():
        here = step[counted.rows] == number
        expected, found = int((sent & here).sum()), int((back & here).sum())
        rows = np.flatnonzero(module.work & (step == number))
        suspects = () if expected == found else _suspects(module, rows, abs(expected - found))
        yield Law("dispatch = combine", expected, found, expected == found, names.get(number), suspects=suspects)


def _gradients(module: tir.Module, counted: Counted) -> Iterator[Law]:
    """Data parallelism reduces the same list of gradient buckets in every step."""
    if not module.has_tree("steps"):
        return
    step, names = _steps(module)
    mine = np.flatnonzero(counted.backward & counted.of_kind("all_reduce", "reduce_scatter"))
    lists: dict[int, list[tuple[str, str | None, int | None]]] = {}
    for at in mine.tolist():
        number = int(step[counted.rows[at]])
        if number in names:
            lists.setdefault(number, []).append((counted.kinds[at], counted.groups[at], counted.elements[at]))
    if len(lists) < 2:
        return
    usual = Counter(tuple(bucket) for bucket in lists.values()).most_common(1)[0][0]
    same = sum(tuple(bucket) == usual for bucket in lists.values())
    note = f"{len(usual)} reductions a step"
    sizes = [size for _, _, size in usual]
    if all(size is not None for size in sizes):
        note += f", {sum(size for size in sizes if size is not None)} elements"
    yield Law("equal gradient buckets in every step", len(lists), same, same == len(lists), note=note)
