"""Tensor parallelism: two reductions a layer, by all-reduce or, in sequence parallelism, by its two halves."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

import attrs
import numpy as np

from traceir_passes.collectives.laws.base import Counted, Ints, Law, Mask, Steps
from traceir_passes.collectives.laws.layers import Layers, OfStep

ONCE = "1 in every layer"
"""What is said of layers that all reduce once. So do models that split only one of their blocks, or both as one."""


def tensor_parallel(counted: Counted, steps: Steps, layers: Layers) -> Iterator[Law]:
    """The laws of tensor and sequence parallelism, for each step whose layers reduce.

    They are about forward passes, and asked where reductions lie in at least half of the layers: a few among many
    are not what splits these. A layer that dispatches to experts reduces once, for its attention.
    """
    if not layers.forward:
        return
    ask = _Asked.of(counted, steps, layers)
    forward = layers.ahead(counted)
    halved = steps.split(counted, counted.of_kind("reduce_scatter") & forward)
    whole = steps.split(counted, counted.of_kind("all_reduce") & forward)
    # Scatters that are as many as the law of sequence parallelism wants, or that stand where no all-reduces do, are
    # held to that law one by one; elsewhere the decomposed all-reduces among whole ones are counted as such.
    halves = {
        number
        for number, here in halved.items()
        if ask.splits(number, here) and (ask.near(number, here) or not ask.inside(whole.get(number, here[:0])))
    }
    reduced = steps.split(counted, counted.counted_as("all_reduce") & forward)
    reduced = {number: here for number, here in reduced.items() if number not in halves and ask.splits(number, here)}
    yield from ask.held("2 all-reduces per layer", reduced, 0)
    remaining = steps.split(counted, counted.counted_as("reduce_scatter") & forward)
    scattered = {number: here for number, here in remaining.items() if ask.splits(number, here)}
    scattered = dict(sorted((scattered | {number: halved[number] for number in halves}).items()))
    yield from ask.held("2 reduce-scatters per layer", scattered, 1)
    # Gathers are held to the law in the groups whose forward passes scatter: others gather parameters.
    groups = {counted.groups[at] for here in scattered.values() for at in here.tolist()}
    of_groups = np.array([group in groups for group in counted.groups], bool)
    gathered = steps.split(counted, counted.of_kind("all_gather") & of_groups & forward)
    unpaired = steps.split(counted, counted.counted_as("all_gather") & of_groups & forward)
    none = np.empty(0, np.int64)
    gathers = {number: (gathered if number in halves else unpaired).get(number, none) for number in scattered}
    for law in ask.held("2 all-gathers per layer", gathers, 1):
        surplus = law.holds is False and law.expected is not None and law.found > law.expected
        unsure = surplus and None in groups
        yield attrs.evolve(law, holds=None, note="some may gather parameters", suspects=()) if unsure else law


@attrs.frozen(eq=False)
class _Asked:
    """What these laws are asked of; `routed` are the layers that dispatch to experts or combine."""

    counted: Counted
    steps: Steps
    layers: Layers
    routed: frozenset[int]

    @classmethod
    def of(cls, counted: Counted, steps: Steps, layers: Layers) -> _Asked:
        moved: Mask = counted.of_role("dispatch") | counted.of_role("combine")
        return cls(counted, steps, layers, frozenset(layers.of[counted.rows[moved]].tolist()))

    def splits(self, step: int, here: Ints) -> bool:
        """Whether these collectives lie in at least half of the step's layers."""
        of_step = self.layers.forward.get(step)
        reduced = len(self.layers.counts(self.counted, here))
        return of_step is not None and reduced > 0 and 2 * reduced >= len(of_step.layers)

    def inside(self, here: Ints) -> bool:
        """Whether any of these collectives lies in a layer."""
        return bool(self.layers.counts(self.counted, here))

    def near(self, step: int, here: Ints) -> bool:
        """Whether there are two for each layer of the step, or one more or less for each forward pass."""
        of_step = self.layers.forward[step]
        return abs(len(here) - 2 * len(of_step.layers)) <= of_step.passes

    def held(self, label: str, here: dict[int, Ints], fewer: int) -> Iterator[Law]:
        """The law that each layer has two, and one that dispatches has one, for each step.

        For each forward pass one more may be outside of the layers, and `fewer` may be missing at the edges of the
        stack; what most steps of as many layers have is then expected of all. One too many or too few inside a stack
        breaks the law although the sum may do.
        """
        seen = {number: self._seen(number, mine, fewer) for number, mine in here.items()}
        usual: dict[int, Counter[int]] = defaultdict(Counter)
        for one in seen.values():
            if one.sound and not one.of_step.partial:
                usual[one.low][one.more] += 1
        for number, one in seen.items():
            told = usual[one.low].most_common(1)
            clear = told and 2 * told[0][1] > usual[one.low].total()
            yield self._law(label, number, one, told[0][0] if clear else one.more)

    def _seen(self, step: int, here: Ints, fewer: int) -> _Seen:
        of_step = self.layers.forward[step]
        counts = self.layers.counts(self.counted, here)
        need = {layer: 1 if layer in self.routed else 2 for layer in of_step.layers.tolist()}
        odd = {layer: counts.get(layer, 0) - count for layer, count in need.items() if counts.get(layer, 0) != count}
        low, inner = sum(need.values()), _inner(of_step, odd)
        # What there would be beyond the layers' need if those inside were right, where that is possible.
        mended = len(here) - inner - low
        possible = -fewer * of_step.passes <= mended <= of_step.passes
        routed = sum(count == 1 for count in need.values())
        more = mended if possible else 0
        return _Seen(here, of_step, counts, odd, low, more, inner, routed, possible and inner == 0)

    def _law(self, label: str, step: int, seen: _Seen, more: int) -> Law:
        name, found = self.steps.names.get(step), len(seen.here)
        if seen.of_step.partial:
            sure = True if seen.sound and seen.more == 0 else None
            return Law(label, seen.low, found, sure, name, "the window cuts a stack")
        if seen.sound and seen.more == more:
            return Law(label, found, found, True, name, seen.said(label))
        expected = seen.low + more
        if expected == found:
            expected = found - seen.inner  # as many, but not where they belong
        missing = expected - found
        suspects = (
            self.steps.suspects(step, missing, self.counted.rows[seen.here])
            if missing > 0
            else self.steps.surplus(self.counted, seen.here, -missing)
        )
        told = seen.broken()
        if told == ONCE and not self.steps.likely(step, missing, self.counted.rows[seen.here]):
            return Law(
                label, expected, found, None, name, f"{told}: blocks side by side, or one that is not split", suspects
            )
        return Law(label, expected, found, False, name, told, suspects, self.layers.told(seen.odd))


@attrs.frozen(eq=False)
class _Seen:
    """The collectives of one law in one step.

    `odd` is how many more or fewer than needed a layer has, of those where it is not as many; `low` what the layers
    need, `more` what else there may well be, `inner` how many too many are inside of stacks; `routed` layers need one
    only. `sound` is whether the law can hold.
    """

    here: Ints
    of_step: OfStep
    counts: dict[int, int]
    odd: dict[int, int]
    low: int
    more: int
    inner: int
    routed: int
    sound: bool

    def said(self, label: str) -> str:
        """What is to know of a law that holds."""
        notes = []
        if self.more > 0:
            gathers = "gather" in label
            many = "one" if self.more == 1 else str(self.more)
            notes.append(f"{many} of them {'outside of the layers' if gathers else 'for a split vocabulary'}")
        if self.more < 0:
            notes.append(f"{'one' if self.more == -1 else -self.more} fewer at the edge of the layers")
        if self.routed:
            notes.append(f"1 in the {self.routed} layers that dispatch")
        return "; ".join(notes)

    def broken(self) -> str:
        """How the law breaks, if it does so in the same way in every layer, or in none."""
        there = {self.counts.get(layer, 0) for layer in self.odd}
        if len(self.odd) == len(self.of_step.layers) and len(there) == 1:
            return f"{there.pop()} in every layer"
        return "" if self.odd else "other steps differ" if self.sound else "the surplus is outside of the layers"


def _inner(of_step: OfStep, odd: dict[int, int]) -> int:
    """How many too many or too few are inside stacks.

    Where a layer ends may be a kernel or two off, so that neighbours have one more and one less: that is no harm, and
    neither is what the first or last layer of a stack has, since what lies just outside may have been put into it.
    """
    edges, total, run, free = of_step.at_edges(), 0, 0, False
    for layer in of_step.layers.tolist():
        if layer not in odd:
            total, run, free = total + (0 if free else run), 0, False
            continue
        run, free = run + odd[layer], free or layer in edges
    return total + (0 if free else run)
