"""The layers of all stacks as arrays: their work, their bodies, and a label and a block for every op in them."""

from __future__ import annotations

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Ints, Mask
from traceir_passes.group.attach import ended_before_within
from traceir_passes.group.labels import label_layer
from traceir_passes.group.stack import Stack, joined
from traceir_passes.group.tokens import ROLES


@attrs.frozen
class Body:
    """What the layers of one body and direction have in common: the text, a label and a block for each op."""

    text: bytes
    backward: bool
    labels: list[str]
    blocks: list[str]

    @property
    def distinct(self) -> list[str]:
        """The blocks in order."""
        return list(dict.fromkeys(self.blocks))

    @property
    def kind(self) -> str:
        """A word for the body: its attention and its feed-forward part."""
        attention = "attention" if b"A" in self.text or b"L" not in self.text else "linear_attention"
        if self.backward:
            return f"{attention}_backward"
        feed = next((block for block in ("moe", "mlp") if block in self.blocks), "")
        return f"{attention}+{feed}" if feed else attention


@attrs.frozen(eq=False)
class Layers:
    """The layers of all stacks, one after the other, with their work in order of layer and time.

    Per layer: `stack` and `number` (its place there), `body` (a position in `bodies`) and `kernels` (how many).
    Per piece of work: `rows` and `layer`; `main` says that it runs on its stack's own lane.
    """

    stack: Ints
    number: Ints
    body: Ints
    kernels: Ints
    bodies: list[Body]
    rows: Ints
    layer: Ints
    main: Mask

    def __len__(self) -> int:
        return len(self.stack)


def all_layers(module: tir.Module, tokens: Array, stacks: list[Stack]) -> Layers:
    """The layers of `stacks`. Layers with equal work on their own lane share a body, which is labelled once."""
    counts = np.array([stack.layers for stack in stacks], np.int64)
    first = np.cumsum(counts) - counts
    rows, owner = joined(stacks)
    empty = np.empty(0, np.int64)
    layer = np.concatenate([empty, *(stack.layer for stack in stacks)]).astype(np.int64, copy=False) + first[owner]
    if len(rows) and not ((np.diff(layer) > 0) | ((np.diff(layer) == 0) & (np.diff(rows) > 0))).all():
        order = np.lexsort((rows, layer))
        rows, owner, layer = rows[order], owner[order], layer[order]
    main = module["lane"][rows] == np.array([stack.lane for stack in stacks], np.int64)[owner]
    stack = np.repeat(np.arange(len(stacks)), counts)
    kernels = np.bincount(layer[module.is_kind("dev.kernel")[rows]], minlength=len(stack))
    backward = np.array([stack.direction == "backward" for stack in stacks], bool)[stack]
    body, bodies = _bodies(tokens[rows[main]].tobytes(), starts_of(layer[main], len(stack)), backward)
    return Layers(stack, np.arange(len(stack)) - first[stack], body, kernels, bodies, rows, layer, main)


def starts_of(groups: Array, count: int) -> Ints:
    """Where each of `count` groups begins in the sorted `groups`, and the end of the last one."""
    return np.append(0, np.cumsum(np.bincount(groups, minlength=count)))


def _bodies(text: bytes, starts: Ints, backward: Mask) -> tuple[Ints, list[Body]]:
    """The body of each layer, given all of them in one text, and the distinct ones in order of appearance."""
    known: dict[tuple[bytes, bool], int] = {}
    edges = starts.tolist()
    ids = [
        known.setdefault((text[a:b], way), len(known))
        for a, b, way in zip(edges, edges[1:], backward.tolist(), strict=False)
    ]
    return np.array(ids, np.int64), [Body(body, way, *label_layer(body, backward=way)) for body, way in known]


def place_layers(
    module: tir.Module, tokens: Array, layers: Layers, top: Ints, labels: Array, names: list[str]
) -> Array:
    """The leaf region of each event, where `top` is the region of each layer, before those of its blocks.

    Fills in `labels` (codes of `names`, which grows) for all work in layers.
    """
    codes = _codes(tokens, layers, names)
    leaf = np.full(len(module), -1, np.int32)
    rows, layer = layers.rows[layers.main], layers.layer[layers.main]
    sizes = np.array([len(body.text) for body in layers.bodies], np.int64)
    # Where an op's layer begins among these rows, and its body among the ops of all bodies: one lookup for all.
    shift = (np.cumsum(sizes) - sizes)[layers.body] - starts_of(layer, len(layers))[:-1]
    op = np.arange(len(rows)) + shift[layer]
    label = np.array([codes[text] for body in layers.bodies for text in body.labels], np.int64)
    block = np.array([body.distinct.index(name) for body in layers.bodies for name in body.blocks], np.int64)
    labels[rows] = label[op]
    leaf[rows] = top[layer] + 1 + block[op]
    if not layers.main.all():
        _beside(module, tokens, layers, leaf)
        others = layers.rows[~layers.main]
        table = np.array([codes.get(_word(letter), -1) for letter in range(256)], np.int64)
        labels[others] = table[tokens[others]]
    return leaf


def _word(letter: int) -> str:
    """The label of work beside the main lane: what it is, since its place there tells nothing."""
    text = chr(letter)
    return "misc" if text in "g." else ROLES.get(text, "unknown").replace("-", "_")


def _codes(tokens: Array, layers: Layers, names: list[str]) -> dict[str, int]:
    """The code of each label; new ones are appended to `names` in the order in which layers use them."""
    others = np.flatnonzero(~layers.main)
    letters, at = np.unique(tokens[layers.rows[others]], return_index=True)
    homes = layers.layer[others[at]].tolist()
    uses = [(home, 1 + i, [_word(k)]) for home, i, k in zip(homes, at.tolist(), letters.tolist(), strict=True)]
    first = np.unique(layers.body, return_index=True)[1].tolist()
    uses += [(layer, 0, body.labels) for layer, body in zip(first, layers.bodies, strict=True)]
    codes = {name: code for code, name in enumerate(names)}
    for _, _, texts in sorted(uses):
        for text in texts:
            codes.setdefault(text, len(codes))
    names[:] = list(codes)
    return codes


def _beside(module: tir.Module, tokens: Array, layers: Layers, leaf: Array) -> None:
    """Place a layer's work on other lanes: in the block that its own lane was in.

    A reduction goes to the block that produced its input. A layer without work on its own lane has no blocks.
    """
    others = np.flatnonzero(~layers.main)
    rows, home = layers.rows[others], layers.layer[others]
    main = np.flatnonzero(layers.main)
    owned, layer = layers.rows[main], layers.layer[main]
    starts = starts_of(layer, len(layers))
    near = np.maximum(np.searchsorted(main, others) - 1, starts[home])
    reduces = np.flatnonzero(np.isin(tokens[rows], np.frombuffer(b"RX", np.uint8)))
    wanted = np.flatnonzero(np.isin(layer, home[reduces]))
    starting = module["ts"][rows[reduces]], home[reduces]
    found = ended_before_within((module.end[owned[wanted]], layer[wanted]), starting)
    producer = np.append(wanted, -1)[found]
    near[reduces] = np.where(producer >= 0, producer, near[reduces])
    alone = starts[home] == starts[home + 1]
    leaf[rows] = np.where(alone, -1, leaf[np.append(owned, -1)[np.where(alone, len(owned), near)]])
