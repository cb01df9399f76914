"""Which layers have work in which step, and how many collectives lie in each."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
import numpy as np

import traceir as tir
from traceir_passes.collectives.laws.base import Counted, Ints, Mask, Steps


@attrs.frozen(eq=False)
class OfStep:
    """The layers of a step in order, the stack of each (-1 none), and whether the window cuts one of their stacks."""

    layers: Ints
    stacks: Ints
    partial: bool

    @property
    def passes(self) -> int:
        """How many stacks there are: each is a forward pass of its own, of a micro-batch or of a part of the model."""
        return len(np.unique(self.stacks))

    def at_edges(self) -> set[int]:
        """The first and the last layer of each stack: what lies just outside may have been put into them."""
        changes = np.flatnonzero(self.stacks[1:] != self.stacks[:-1])
        return set(self.layers[np.concatenate([[0], changes, changes + 1, [len(self.layers) - 1]])].tolist())


@attrs.frozen(eq=False)
class Layers:
    """The layers by step: those of forward passes and all. `of` is the layer of each event, -1 for none.

    `back` are the layers of backward passes.
    """

    of: Ints
    forward: dict[int, OfStep]
    every: dict[int, OfStep]
    names: list[str]
    back: Ints

    def ahead(self, counted: Counted) -> Mask:
        """Which collectives are of forward passes, as far as their launch or their layer tells."""
        return ~counted.backward & ~np.isin(self.of[counted.rows], self.back)

    @classmethod
    def find(cls, module: tir.Module, steps: Steps) -> Layers:
        """The layers of a module; none where it has no such tree. O(events log events)."""
        if not module.has_tree("layers"):
            return cls(np.full(len(module), -1), {}, {}, [], np.empty(0, np.int64))
        tree = module.tree("layers")
        layer, rows = tree.at("layer"), np.flatnonzero(module.work)
        rows = rows[layer[rows] >= 0]
        pairs = np.unique(steps.of[rows].astype(np.int64) * len(tree) + layer[rows])
        step, region = pairs // max(len(tree), 1), pairs % max(len(tree), 1)
        known = np.array([steps.known(number) for number in step.tolist()], bool)
        step, region = step[known], region[known]
        stack = tree.ancestor("stack")[region]
        cut = (stack >= 0) & module["group.partial"][stack] if "group.partial" in module else np.zeros(len(stack), bool)
        ahead = np.ones(len(stack), bool)
        if "group.direction" in module:
            ahead = (stack < 0) | ~module.is_in("group.direction", ["backward"])[stack]
        names = [tree.region_name(number) for number in range(len(tree))]
        return cls(
            layer,
            _by_step(step[ahead], region[ahead], stack[ahead], cut[ahead]),
            _by_step(step, region, stack, cut),
            names,
            np.unique(region[~ahead]),
        )

    def counts(self, counted: Counted, here: Ints) -> dict[int, int]:
        """How many of some instances lie in each layer that has any."""
        inside = self.of[counted.rows[here]]
        numbers, counts = np.unique(inside[inside >= 0], return_counts=True)
        return dict(zip(numbers.tolist(), counts.tolist(), strict=True))

    def told(self, layers: Iterable[int]) -> tuple[str, ...]:
        """The names of some layers, in order and each once."""
        return tuple(dict.fromkeys(self.names[number] for number in sorted(layers)))


def _by_step(step: Ints, layer: Ints, stack: Ints, cut: Mask) -> dict[int, OfStep]:
    if not len(step):
        return {}
    numbers, begins = np.unique(step, return_index=True)
    parts = (np.split(values, begins[1:]) for values in (layer, stack, cut))
    return {
        number: OfStep(layers, stacks, bool(partial.any()))
        for number, layers, stacks, partial in zip(numbers.tolist(), *parts, strict=True)
    }
