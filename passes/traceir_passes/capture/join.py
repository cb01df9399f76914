"""The join: which capture a replay is a copy of, call by call; refused as soon as one name differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Ints
from traceir_passes.capture.sessions import Session, grids

Basis = Literal["measured", "derived"]
SORTS: Final = {"dev.kernel": "kernel", "dev.memcpy": "memcpy", "dev.memset": "memset"}
HEAVY: Final = frozenset({"gemm", "attention", "conv", "moe-gemm", "norm", "softmax", "embed"})
"""Roles of which an operator launches one and not another; with casts and reductions beside it, an operator's other
kernels say nothing."""


@attrs.frozen(eq=False)
class Replay:
    """One replay: its launch, and its device work in the order in which it was captured."""

    launch: int
    rows: Ints


@attrs.frozen(eq=False)
class Match:
    """A capture that a replay is a copy of, and how sure that is; `shapes`: the input shapes are sure, too."""

    session: Session
    basis: Basis
    shapes: bool


@attrs.frozen
class Refusal:
    """Why a replay has no capture: a sentence's end."""

    reason: str


def replays(module: tir.Module) -> list[Replay]:
    """The replays of a module, in order of their launches.

    On one lane the order of time is the order of capture; on several it is that of the graph's node ids, which newer
    profilers record, else of time. O(n log n).
    """
    graph = np.append(module.is_kind("rt.graph_launch") & module.live, False)
    rows = np.flatnonzero(module.work & graph[module.launch] & module.is_kind(*SORTS))
    launch = module.launch[rows]
    order = np.lexsort((rows, launch))
    rows, launch = rows[order], launch[order]
    edges = np.flatnonzero(np.diff(launch, prepend=-1, append=-1))
    return [
        Replay(int(launch[a]), _in_order(module, rows[a:b]))
        for a, b in zip(edges.tolist(), edges[1:].tolist(), strict=False)
    ]


def _in_order(module: tir.Module, rows: Ints) -> Ints:
    if len(np.unique(module["lane"][rows])) < 2:
        return rows
    nodes = module.select(where=rows).field("graph_node")
    if any(node is None for node in nodes):
        return rows
    return rows[np.argsort(np.array(nodes, np.uint64), kind="stable")]


@attrs.define(eq=False)
class Joiner:
    """Finds the capture of each replay; replays of the same kernels in the same order are looked at once.

    `role_of` gives the role of a kernel's name, `meant` that which an operator's name gives to what it launches.
    """

    module: tir.Module
    sessions: Sequence[Session]
    role_of: Callable[[str], str]
    meant: Callable[[str], str]
    _known: dict[tuple[bytes, bytes], Match | Refusal] = attrs.field(factory=dict)

    def match(self, replay: Replay) -> Match | Refusal:
        """The capture of a replay, or why there is none."""
        names, kinds = self.module["name"][replay.rows], self.module["kind"][replay.rows]
        key = names.tobytes(), kinds.tobytes()
        if key not in self._known:
            self._known[key] = self._find(replay, names, kinds)
        return self._known[key]

    def _find(self, replay: Replay, names: Array, kinds: Array) -> Match | Refusal:
        texts = [self.module.strings[code] for code in names.tolist()]
        sorts = tuple(SORTS[self.module.kinds[code]] for code in kinds.tolist())
        like = [session for session in self.sessions if len(session) == len(texts)]
        if not like:
            sizes = ", ".join(str(size) for size in sorted({len(session) for session in self.sessions})) or "none"
            return Refusal(f"no capture has {len(texts)} nodes (there are captures of {sizes})")
        said = [(session, self._differs(session, texts, sorts)) for session in like]
        fitting = [session for session, differs in said if differs is None]
        if not fitting:
            return Refusal(next(differs for _, differs in said if differs is not None))
        return self._choose(replay, fitting)

    def _differs(self, session: Session, texts: list[str], sorts: tuple[str, ...]) -> str | None:
        """Where a capture is another program than a replay; None if nowhere."""
        confirmed, wanted = 0, 0
        for at, (sort, kernel) in enumerate(zip(session.sort, session.kernel, strict=True)):
            if sort != sorts[at]:
                return f"node {at} is a {sorts[at]}, and in the capture it is a {sort}"
            if kernel is not None and kernel != texts[at]:
                return f"node {at} is {_short(texts[at])}, and in the capture it is {_short(kernel)}"
            if kernel is not None or sort != "kernel":
                continue
            operator = session.frames.operators[at]
            mine, theirs = self.role_of(texts[at]), self.meant(operator) if operator else "unknown"
            if mine in HEAVY:
                wanted += 1
            if mine in HEAVY and theirs in HEAVY:
                if mine != theirs:
                    return f"node {at} is {_short(texts[at])}, and in the capture the operator {operator} launched it"
                confirmed += 1
        if confirmed * 2 < wanted:
            return "the capture names no kernels, and too few of its operators say what they launch"
        return None

    def _choose(self, replay: Replay, fitting: list[Session]) -> Match | Refusal:
        """Of captures that fit by names the one whose grids fit, too; of several their common frames."""
        if len(fitting) > 1:
            given = grids(self.module, replay.rows)
            alike = [session for session in fitting if _same_grids(session, given)]
            fitting = alike or fitting
        first = fitting[0]
        if any(other.frames.modules != first.frames.modules for other in fitting[1:]):
            return Refusal(f"{len(fitting)} captures fit equally well, and their modules differ")
        shapes = all(other.frames.shapes == first.frames.shapes for other in fitting[1:])
        named = all(
            kernel is not None for kernel, sort in zip(first.kernel, first.sort, strict=True) if sort == "kernel"
        )
        return Match(first, "measured" if named else "derived", shapes)


def _same_grids(session: Session, given: Sequence[tuple[int, ...] | None]) -> bool:
    pairs = [(a, b) for a, b in zip(session.grid, given, strict=True) if a is not None and b is not None]
    return bool(pairs) and all(a == b for a, b in pairs)


def _short(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:59]}…"


__all__ = ["Joiner", "Match", "Refusal", "Replay", "replays"]
