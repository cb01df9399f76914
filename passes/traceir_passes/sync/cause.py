"""What made a call: the chain of operators above it, and the frame of the program that they were called from."""

from __future__ import annotations

from typing import Final

import attrs
import numpy as np

from traceir.ir import Array, Mask, Module

BUILTIN: Final = "<built-in"
"""How the names of frames begin that are no place in a program; such a name may hold an address."""
_LINKS: Final = 5
"""Names of a chain that are printed; those in the middle of a longer one are left out."""


@attrs.frozen(eq=False)
class Causes:
    """For each call the outermost operator of those right above it and the innermost frame, range or mark above those
    (-1 if there is none), and the names from the call to that operator as one text."""

    op: Array
    frame: Array
    chain: list[str]


def find(module: Module, rows: Array) -> Causes:
    """Who made each call; built-in frames between operators are passed over. One round a level of nesting."""
    is_op = np.append(module.is_kind("host.op"), False)
    is_place = np.append(module.is_kind("host.frame", "host.range", "mark.step"), False) & ~_builtin(module)
    caller = np.append(module.caller, -1)
    op, frame = np.full(len(rows), -1, np.int64), np.full(len(rows), -1, np.int64)
    names = module["name"].astype(np.int64)
    codes, chain = np.unique(names[rows], return_inverse=True)
    chains: list[tuple[int, ...]] = [(code,) for code in codes.tolist()]
    chain = chain.reshape(-1)
    up = caller[rows]
    while (open_ := np.flatnonzero((up >= 0) & (frame < 0))).size:
        here = up[open_]
        placed, ops = is_place[here], is_op[here]
        frame[open_[placed]] = here[placed]
        op[open_[ops]] = here[ops]
        longer = chain[open_[ops]] * len(module.strings) + names[here[ops]]
        longer, place = np.unique(longer, return_inverse=True)
        chain[open_[ops]] = len(chains) + place.reshape(-1)
        chains += [(*chains[link // len(module.strings)], link % len(module.strings)) for link in longer.tolist()]
        up[open_] = caller[here]
    texts = [_spelled(module, codes) for codes in chains]
    return Causes(op, frame, [texts[at] for at in chain.tolist()])


def _builtin(module: Module) -> Mask:
    codes = np.array([text.startswith(BUILTIN) for text in module.strings.texts] + [False])
    return np.append(codes[module["name"]], False)


def _spelled(module: Module, codes: tuple[int, ...]) -> str:
    """`cudaStreamSynchronize < aten::_local_scalar_dense < aten::item`: like neighbours once, the middle left out."""
    names = [module.strings[code] for at, code in enumerate(codes) if at == 0 or codes[at - 1] != code]
    if len(names) > _LINKS:
        names = [*names[: _LINKS - 1], "…", names[-1]]
    return " < ".join(names)
