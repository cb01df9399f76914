"""Count laws of a stack: what a parallel program must do equally often in each layer, held to what was found."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

from traceir.ir import Array, Ints
from traceir_passes.group.stack import Stack

_REDUCTIONS: Array = np.frombuffer(b"RXF", np.uint8)
_SENDS: Array = np.frombuffer(b"><T", np.uint8)
_EXPERTS: Array = np.frombuffer(b"M><", np.uint8)


def reductions_hold(tokens: Array, layer: Array, layers: int, beside: int) -> bool | None:
    """The law of reductions: 2 · L under tensor parallelism, one behind each half of a layer; None without reductions.

    `tokens` are those of the stack's own lane and `layer` the layer of each. Layers of models whose halves are summed
    first have one. Layers that send to experts are counted apart from those that do not, for they may reduce less. One
    more is that of the embedding. The first or the last layer may have one less if there are reductions `beside` the
    stack, right before or behind it: fused with a norm one may have been counted to what lies there.
    """
    counts = _per_layer(tokens, layer, layers, _REDUCTIONS)
    if not counts.any():
        return None
    sends = _per_layer(tokens, layer, layers, _SENDS) > 0
    usual = np.zeros(layers, np.int64)
    for kind in (sends, ~sends):
        if kind.any():
            usual[kind] = np.bincount(counts[kind]).argmax()
    if not usual.all():
        return False
    short = beside > 0 and (counts < usual)[[0, -1]].any()
    return int(counts.sum() - usual.sum()) in ((0, 1, -1) if short else (0, 1))


def dispatches_hold(tokens: Array, layer: Array, layers: int) -> bool | None:
    """The law of experts: as many combines as dispatches, equally many for each layer with experts; None without.

    Equally many is once for each micro-batch that runs through the layer.
    """
    sent, got = (int((tokens == ord(letter)).sum()) for letter in "><")
    if not sent and not got:
        return None
    homes = int((_per_layer(tokens, layer, layers, _EXPERTS) > 0).sum())
    return sent == got and sent % homes == 0


def _per_layer(tokens: Array, layer: Array, layers: int, wanted: Array) -> Ints:
    counts: Ints = np.bincount(layer[np.isin(tokens, wanted)], minlength=layers)
    return counts


def with_laws(stacks: list[Stack], tokens: Array) -> list[Stack]:
    """Stacks that the host tells, held to the laws by their work on all lanes; those of the device are already.

    Not backward ones (gradients are reduced as buckets fill), nor those that the window cuts.
    """
    out = []
    for stack in stacks:
        if stack.evidence == "device" or stack.direction == "backward" or stack.cut or stack.partial:
            out.append(stack)
            continue
        mine = tokens[stack.rows]
        laws = {
            "collectives": reductions_hold(mine, stack.layer, stack.layers, 1),
            "dispatch_combine": dispatches_hold(mine, stack.layer, stack.layers),
        }
        held = {name: holds for name, holds in laws.items() if holds is not None}
        out.append(attrs.evolve(stack, checks={**stack.checks, **held}))
    return out


def given_layers(stacks: list[Stack], given: Sequence[int], step: Array) -> tuple[list[Stack], list[str]]:
    """Stacks held to the numbers of layers that the user states, and a remark for each other number that was found.

    Several stacks of one lane, step and direction may be a model together, as two graphs for a step are. What the
    window cuts says nothing, unless it has more layers than any tower.
    """
    if not given:
        return stacks, []
    together: dict[tuple[int, int, str], int] = {}
    keys = [(stack.lane, int(step[stack.rows[0]]), stack.direction) for stack in stacks]
    for key, stack in zip(keys, stacks, strict=True):
        together[key] = together.get(key, 0) + stack.layers
    stated = "+".join(map(str, given))
    out: list[Stack] = []
    remarks: dict[str, None] = {}
    for key, stack in zip(keys, stacks, strict=True):
        whole = key[1] >= 0 and together[key] in (*given, sum(given))
        holds = stack.layers in given or (whole and stack.layers < max(given))
        if not holds and (stack.cut or stack.partial) and stack.layers < max(given):
            out.append(stack)
            continue
        if not holds:
            remarks[f"{stack.evidence} finds {stack.layers} layers where layers={stated} was given."] = None
        out.append(attrs.evolve(stack, checks={**stack.checks, "given_layers": holds}))
    return out, list(remarks)
