"""Tokens: one letter per role, so that a lane's work is a string that repeats can be sought in."""

from __future__ import annotations

import itertools
from typing import Final

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Ints

COMM: Final = {
    "all-reduce": "R",
    "all-gather": "G",
    "reduce-scatter": "X",
    "all-to-all": "T",
    "broadcast": "B",
    "send-recv": "D",
    "dispatch": ">",
    "combine": "<",
    "comm-meta": "m",
    "comm-unknown": "?",
    "comm-reduce": "U",
    "comm-gather": "V",
    "comm-scatter": "W",
    "comm-fused": "F",
}
"""Communication roles; they are part of a layer's body."""

CORE: Final = {
    **COMM,
    "norm": "n",
    "norm-part": "h",
    "gemm": "g",
    "attention": "A",
    "linear-attention": "L",
    "softmax": "S",
    "moe-gemm": "M",
    "moe-route": "r",
    "moe-combine": "c",
    "act": "a",
    "rope": "p",
    "kv-store": "k",
    "conv": "v",
    "bn": "b",
    "embed": "E",
    "sample": "Z",
}
"""Roles that the search for repeats looks at."""

LOOSE: Final = {
    "copy": "y",
    "fill": "f",
    "elementwise": "e",
    "memset": "0",
    "memcpy": "1",
    "gemm-aux": "x",
    "attention-aux": "u",
    "quant": "q",
    "index": "i",
    "reduce": "d",
    "pool": "o",
    "sort": "s",
    "scan": "N",
    "random": "w",
    "delay": "_",
    "optimizer": "O",
    "graph": "#",
    "unknown": ".",
}
"""Roles that the search drops: they vary with shapes and in the first and last layers."""

TOKENS: Final = {**CORE, **LOOSE}
ROLES: Final = {letter: role for role, letter in TOKENS.items()}
HEAVY: Final = frozenset("gMvAL")
NORMS: Final = frozenset("nhF")
FEED_FORWARD: Final = frozenset("aMrc><")
_CORE_LETTERS: Final = frozenset(CORE.values())


def letters(wanted: frozenset[str]) -> Array:
    """A table over byte values that is true for the letters in `wanted`."""
    table = np.zeros(256, bool)
    table[[ord(letter) for letter in wanted]] = True
    return table


IS_CORE: Final = letters(_CORE_LETTERS)
IS_HEAVY: Final = letters(HEAVY)


def heavies(body: bytes) -> int:
    """How many heavy tokens (gemm, attention, conv, expert gemm) a body has."""
    return sum(body.count(letter.encode()) for letter in HEAVY)


@attrs.frozen(eq=False)
class LaneWork:
    """The device work of one lane in order of start.

    `rows` are event rows (int64), `tokens` a letter per row, `names` name codes, `launch` launching rows (-1
    none). `core` are the positions of core tokens in these arrays. `text` is `tokens` as bytes.
    """

    lane: int
    rows: Ints
    tokens: Array
    names: Array
    launch: Array
    core: Ints
    text: bytes
    core_text: bytes

    def __len__(self) -> int:
        return len(self.rows)


def event_tokens(module: tir.Module) -> Array:
    """A letter (uint8) per event: that of its role, `.` for device work of unknown or unlisted role, 0 elsewhere."""
    texts = module.strings.texts
    table = np.full(len(texts) + 1, ord("."), np.uint8)
    for role, letter in TOKENS.items():
        code = module.strings.code(role)
        if code >= 0:
            table[code] = ord(letter)
    return np.where(module.work, table[module["infer.role"]], 0).astype(np.uint8)


def lane_works(module: tir.Module) -> list[LaneWork]:
    """The work of each device lane that has any, in order of lanes. O(n)."""
    tokens = event_tokens(module)
    rows = np.flatnonzero(module.work)
    lanes = module["lane"][rows]
    order = np.argsort(lanes, kind="stable")
    rows, lanes = rows[order], lanes[order]
    bounds = np.concatenate([[0], np.flatnonzero(lanes[1:] != lanes[:-1]) + 1, [len(rows)]])
    out = []
    for start, stop in itertools.pairwise(bounds.tolist()):
        if start == stop:
            continue
        chosen = rows[start:stop]
        mine = tokens[chosen]
        core = np.flatnonzero(IS_CORE[mine])
        out.append(
            LaneWork(
                int(lanes[start]),
                chosen,
                mine,
                module["name"][chosen],
                module.launch[chosen],
                core,
                mine.tobytes(),
                mine[core].tobytes(),
            )
        )
    return out
