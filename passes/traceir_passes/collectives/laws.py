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
    steps = _Steps.find(module)
    told = [*_tensor_parallel(module, counted, steps), *_experts(counted, steps), *_gradients(counted, steps)]
    codes = [finding.code for finding in module.health if finding.code in INCOMPLETE]
    return [_doubted(law, codes[0]) if codes and law.holds is False else law for law in told]


def _doubted(law: Law, code: str) -> Law:
    note = f"{law.note}; {code}" if law.note else code
    return attrs.evolve(law, holds=None, note=note, suspects=())


@attrs.frozen(eq=False)
class _Steps:
    """The device work of each step, found once: a law per step must not look at all events per step.

    `of` is the step of each event (-1 none), `names` the steps' names; without steps all is one nameless step.
    """

    module: tir.Module
    of: Ints
    names: dict[int, str]
    _rows: Ints
    _steps: Ints

    @classmethod
    def find(cls, module: tir.Module) -> _Steps:
        of, names = np.zeros(len(module), np.int32), {}
        if module.has_tree("steps") and len(module.tree("steps")):
            tree = module.tree("steps")
            of = tree.at("step")
            names = {region: tree.region_name(region) for region in tree.of_kind("step").tolist()}
        rows = np.flatnonzero(module.work)
        rows = rows[np.argsort(of[rows], kind="stable")]
        return cls(module, of, names, rows, of[rows])

    def work(self, step: int) -> Ints:
        """The rows of a step's device work."""
        begin, end = np.searchsorted(self._steps, [step, step + 1])
        return self._rows[begin:end]

    def suspects(self, step: int, missing: int) -> tuple[str, ...]:
        """Names of compute that occur exactly `missing` times in a step, those of unknown role first."""
        module, rows = self.module, self.work(step)
        compute = rows[module["infer.class"][rows] == _code(module, "infer.class", "compute")]
        codes, counts = np.unique(module["name"][compute], return_counts=True)
        unknown = module["infer.role"][compute] == module.strings.code("unknown")
        first = set(module["name"][compute[unknown]].tolist())
        fitting = codes[counts == missing].tolist()
        ranked = sorted(fitting, key=lambda code: (code not in first, module.strings[code]))
        return tuple(module.strings[code] for code in ranked[:MOST_SUSPECTS])


def _code(module: tir.Module, column: str, value: str) -> int:
    return module.annotations[column].annotation.values.index(value)


def _tensor_parallel(module: tir.Module, counted: Counted, steps: _Steps) -> Iterator[Law]:
    """Two reductions a layer, one more where the vocabulary is split too (its embedding is reduced).

    The law is about a step's forward passes: it is asked where reductions lie inside layers. With sequence
    parallelism each all-reduce is a reduce-scatter and an all-gather.
    """
    if not module.has_tree("layers"):
        return
    layer = module.tree("layers").at("layer")[counted.rows]
    owned = _layers(module, steps)
    for kind, label in (("all_reduce", "2 all-reduces per layer"), ("reduce_scatter", "2 reduce-scatters per layer")):
        mine = np.flatnonzero(counted.of_kind(kind) & ~counted.backward)
        if not len(mine):
            continue
        mine = mine[np.argsort(steps.of[counted.rows[mine]], kind="stable")]
        numbers, begins = np.unique(steps.of[counted.rows[mine]], return_index=True)
        for number, here in zip(numbers.tolist(), np.split(mine, begins[1:]), strict=True):
            layers, partial = owned.get(number, (0, False))
            reduced = len(np.unique(layer[here][layer[here] >= 0]))
            if not reduced or 2 * reduced < layers:
                continue  # a few reductions among many layers are not what splits these
            yield _per_layer(label, len(here), layers, partial, number, steps)


def _per_layer(label: str, found: int, layers: int, partial: bool, step: int, steps: _Steps) -> Law:
    low = 2 * layers
    expected = low + 1 if found == low + 1 else low
    if partial:
        return Law(label, expected, found, None, steps.names.get(step), "the window cuts a stack")
    note = "one of them for a split vocabulary" if found == low + 1 else ""
    suspects = () if found == expected else steps.suspects(step, abs(low - found))
    return Law(label, expected, found, found == expected, steps.names.get(step), note, suspects)


def _layers(module: tir.Module, steps: _Steps) -> dict[int, tuple[int, bool]]:
    """For each step how many layers of forward passes have work in it, and whether the window cuts one of them."""
    tree = module.tree("layers")
    layer, rows = tree.at("layer"), np.flatnonzero(module.work)
    rows = rows[layer[rows] >= 0]
    pairs = np.unique(steps.of[rows].astype(np.int64) * len(tree) + layer[rows])
    step, region = pairs // len(tree), pairs % len(tree)
    stack = tree.ancestor("stack")[region]
    if "group.direction" in module:
        forward = (stack < 0) | ~module.is_in("group.direction", ["backward"])[stack]
        step, stack = step[forward], stack[forward]
    cut = (stack >= 0) & module["group.partial"][stack] if "group.partial" in module else np.zeros(len(stack), bool)
    numbers, begins, counts = np.unique(step, return_index=True, return_counts=True)
    partial = np.logical_or.reduceat(cut, begins) if len(begins) else cut
    return dict(zip(numbers.tolist(), zip(counts.tolist(), partial.tolist(), strict=True), strict=True))


def _experts(counted: Counted, steps: _Steps) -> Iterator[Law]:
    """What is sent to experts comes back: as many combines as dispatches in each step."""
    number = steps.of[counted.rows]
    sent, back = (Counter(number[counted.of_role(role)].tolist()) for role in ("dispatch", "combine"))
    for step in sorted(sent | back):
        expected, found = sent[step], back[step]
        suspects = () if expected == found else steps.suspects(step, abs(expected - found))
        yield Law("dispatch = combine", expected, found, expected == found, steps.names.get(step), suspects=suspects)


def _gradients(counted: Counted, steps: _Steps) -> Iterator[Law]:
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
    same = sum(tuple(bucket) == usual for bucket in lists.values())
    note = f"{len(usual)} reductions a step"
    sizes = [size for _, _, size in usual]
    if all(size is not None for size in sizes):
        note += f", {sum(size for size in sizes if size is not None)} elements"
    yield Law("equal gradient buckets in every step", len(lists), same, same == len(lists), note=note)
