"""Joint periods: layers whose bodies are copies of one sequence, run in turns, where nothing tells the copies apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Ints
from traceir_passes.group.hosts import split
from traceir_passes.group.tokens import IS_CORE, event_tokens
from traceir_passes.microbatch.sets import Interleaved

MOST_COPIES: Final = 4
"""Copies that are looked for. Programs run two."""
_LONGEST: Final = 512
_STATES: Final = 20_000
"""Partial splits that are tried of one body before it is left; bodies in turns need a few dozen."""
_USUAL: Final = 0.5
"""The share of a stack's layers that have its body: of less nothing is said."""
_ATTENTION: Final = b"AL"
_PRODUCTS: Final = b"gM"


@attrs.frozen
class Joint:
    """Layers of a stack (a region of the tree `layers`) that hold `copies` like sequences in turns.

    `period_ns` is the median distance of their starts, None for a single layer.
    """

    stack: int
    copies: int
    period_ns: int | None


def joint(module: tir.Module, sets: Sequence[Interleaved]) -> list[Joint]:
    """The stacks outside of `sets` whose usual layer is copies of one sequence in turns.

    Only roles that stand in every layer of their kind are looked at, on the stack's lane. O(n log n) in events; each
    distinct body is looked at once.
    """
    tree = module.tree("layers")
    if not len(tree):
        return []
    taken = {stack for item in sets for copy in item.copies for stack in copy.stacks}
    at, tokens = tree.at("layer"), event_tokens(module)
    lane = np.append(module["group.lane"], -1)[tree.ancestor("stack")[np.maximum(at, 0)]]
    rows = np.flatnonzero((at >= 0) & (module["lane"] == lane) & IS_CORE[tokens])
    layers = split(at[rows], len(tree))
    out = []
    for stack in tree.of_kind("stack").tolist():
        mine = [rows[layers[layer]] for layer in tree.children(stack).tolist()] if stack not in taken else []
        mine = [some for some in mine if len(some)]
        found = _usual([tokens[some].tobytes() for some in mine])
        copies = copies_in(found) if found else 1
        if copies > 1:
            out.append(Joint(stack, copies, _period(module["ts"], mine)))
    return out


def _usual(bodies: list[bytes]) -> bytes:
    """The body of most layers; empty if it is not that of half of them."""
    if not bodies:
        return b""
    (body, count), *_ = Counter(bodies).most_common(1)
    return body if count >= _USUAL * len(bodies) else b""


def _period(ts: Array, layers: list[Ints]) -> int | None:
    starts = np.sort(np.array([ts[some[0]] for some in layers], np.int64))
    return int(np.median(np.diff(starts))) if len(starts) > 1 else None


@lru_cache(1024)
def copies_in(body: bytes) -> int:
    """How many copies of one sequence a body is that are run in turns, 1 if it is none.

    Each holds a layer: attention, and two products at least. The body may begin anywhere in them. Copies of which one
    ends before the next begins are layers that follow each other, and no copies in turns.
    """
    if not 0 < len(body) <= _LONGEST or (body + body).find(body, 1) < len(body):
        return 1
    counts = Counter(body)
    turned = {body[k:] + body[:k] for k in range(len(body)) if body[k] == body[0]}
    turned |= {body[k:] + body[:k] for k in range(len(body)) if chr(body[k]) in "nhF"}
    for copies in range(2, MOST_COPIES + 1):
        whole = all(count % copies == 0 for count in counts.values())
        full = sum(counts[letter] for letter in _ATTENTION) and (
            sum(counts[letter] for letter in _PRODUCTS) >= 2 * copies
        )
        if whole and full and any(_shuffled(text, copies) for text in sorted(turned)):
            return copies
    return 1


def _shuffled(body: bytes, copies: int) -> bool:
    """Whether a body is `copies` equal sequences run into each other. Depth first, each partial split once."""
    size = len(body) // copies
    first = (0,) * copies
    open_: list[tuple[tuple[int, ...], bytes]] = [(first, b"")]
    seen = {(first, b"")}
    while open_ and len(seen) < _STATES:
        places, ahead = open_.pop()  # how far each copy is, the foremost first; what the last one has not run yet
        at = sum(places)
        if at == len(body):
            return True
        letter = body[at : at + 1]
        following = []
        if places[0] < size:
            following.append(((places[0] + 1, *places[1:]), ahead + letter))
        for copy in range(1, copies):
            where = places[copy] - places[-1]
            if places[copy] < places[copy - 1] and ahead[where : where + 1] == letter:
                moved = (*places[:copy], places[copy] + 1, *places[copy + 1 :])
                following.append((moved, ahead[moved[-1] - places[-1] :]))
        for state in following:
            if state not in seen:
                seen.add(state)
                open_.append(state)
    return False


__all__ = ["MOST_COPIES", "Joint", "copies_in", "joint"]
