"""Mixture of experts: what is sent to experts comes back, once a layer and micro-batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from traceir_passes.collectives.laws.base import Counted, Ints, Law, Steps
from traceir_passes.collectives.laws.layers import Layers
from traceir_passes.collectives.pieces import micro_batches

PLURAL = {"dispatch": "dispatches", "combine": "combines"}
ROLES = tuple(PLURAL)
OF_EXPERTS = ("moe-gemm", "moe-route", "moe-combine")
"""Roles of compute by which a layer is known to hold experts."""


def experts(counted: Counted, steps: Steps, layers: Layers) -> Iterator[Law]:
    """As many combines as dispatches in each step, and of both as many as layers with experts × micro-batches."""
    here = {role: steps.split(counted, counted.of_role(role)) for role in ROLES}
    # Where only forward passes have layers, what autograd starts lies in none.
    inside = (layers.of[counted.rows] >= 0) | ~counted.backward
    placed = {role: steps.split(counted, counted.of_role(role) & inside) for role in ROLES}
    none = np.empty(0, np.int64)
    numbers = sorted(here["dispatch"].keys() | here["combine"].keys())
    if not numbers:
        return
    for step in numbers:
        yield _paired(counted, steps, layers, step, *(here[role].get(step, none) for role in ROLES))
    if layers.every:
        pairs = _Pairs(counted, steps, layers, placed)
        for step in numbers:
            for role in ROLES:
                yield from pairs.held(role, step)


def _paired(counted: Counted, steps: Steps, layers: Layers, step: int, sent: Ints, back: Ints) -> Law:
    expected, found = len(sent), len(back)
    name = steps.names.get(step)
    if expected == found:
        return Law("dispatch = combine", expected, found, True, name)
    suspects = steps.suspects(step, abs(expected - found), counted.rows[np.concatenate([sent, back])])
    one, other = layers.counts(counted, sent), layers.counts(counted, back)
    odd = {layer for layer in one.keys() | other.keys() if one.get(layer, 0) != other.get(layer, 0)}
    return Law("dispatch = combine", expected, found, False, name, suspects=suspects, where=layers.told(odd))


class _Pairs:
    """The layers with experts in each step, once for each micro-batch of which they have work.

    Interleaved micro-batches that `group` told apart have layers of their own; others share a layer.
    """

    def __init__(self, counted: Counted, steps: Steps, layers: Layers, here: dict[str, dict[int, Ints]]) -> None:
        module = steps.module
        self.counted, self.steps, self.layers, self.here = counted, steps, layers, here
        self.batch = micro_batches(module)
        own = np.flatnonzero(module.work & module.is_in("infer.role", (*OF_EXPERTS, *ROLES)) & (layers.of >= 0))
        keys = np.unique(np.stack([steps.of[own], layers.of[own], self.batch[own]]), axis=1)
        self.of_step = keys[0]
        self.pairs = keys[1:].T

    def held(self, role: str, step: int) -> Iterator[Law]:
        """The law of a role in a step, asked where any lies in a layer. A pair may have several, if all do."""
        begin, end = np.searchsorted(self.of_step, [step, step + 1])
        rows = self.counted.rows[self.here[role].get(step, np.empty(0, np.int64))]
        told = Counter(zip(self.layers.of[rows].tolist(), self.batch[rows].tolist(), strict=True))
        counts = {(layer, batch): told[layer, batch] for layer, batch in self.pairs[begin:end].tolist()}
        each = Counter(count for count in counts.values() if count).most_common(1)
        if not each or step not in self.layers.every:
            return
        usual, found = each[0][0], len(rows)
        expected = usual * len(counts)
        name, label = self.steps.names.get(step), f"{PLURAL[role]} = MoE layers × micro-batches"
        layers, batches = len({layer for layer, _ in counts}), len({batch for _, batch in counts})
        note = f"{layers} layers" + (f", {batches} micro-batches" if batches > 1 else "")
        note += f", {usual} in each" if usual > 1 else ""
        if expected == found:
            yield Law(label, expected, found, True, name, note)
            return
        odd = {layer for (layer, _), count in counts.items() if count != usual}
        if self.layers.every[step].partial:
            yield Law(label, expected, found, None, name, "the window cuts a stack")
            return
        missing = expected - found
        suspects = self.steps.suspects(step, missing, rows)
        yield Law(label, expected, found, False, name, note, suspects, self.layers.told(odd))
