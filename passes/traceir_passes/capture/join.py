"""The join: which capture a replay is a copy of, call by call; refused as soon as one name differs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, Self

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Ints
from traceir_passes.capture.sessions import Session, grids, node_ids

Basis = Literal["measured", "derived"]
SORTS: Final = {"dev.kernel": "kernel", "dev.memcpy": "memcpy", "dev.memset": "memset"}
HEAVY: Final = frozenset({"gemm", "attention", "conv", "moe-gemm", "norm", "softmax", "embed"})
"""Roles of which an operator launches one and not another; with casts and reductions beside it, an operator's other
kernels say nothing."""


MOST_TELLING: Final = 32
"""Nodes whose grids are compared, spread over those at which captures differ: sizes differ at nearly all of them."""


@attrs.frozen(eq=False)
class Replay:
    """One replay: its launch, and its device work in the order in which it was captured."""

    launch: int
    rows: Ints


@attrs.frozen(eq=False)
class Match:
    """A capture that a replay is a copy of, and how sure that is; `shapes`: the input shapes are sure, too.

    `order` has for each captured call the place of its copy in the replay, None where they are in the same order.
    """

    session: Session
    basis: Basis
    shapes: bool
    order: Ints | None = None

    def place(self, node: int) -> int:
        """Where the copy of a captured call stands in the replay."""
        return node if self.order is None else int(self.order[node])


@attrs.frozen(eq=False)
class Fitting:
    """Captures that fit a replay by names: one, or several of one program for other sizes.

    `telling` are nodes at which their grids differ, `places` where these stand in the replay; both are empty where
    grids tell nothing. A replay's grids stand in the source's arguments, so that only a few are read of each.
    """

    matches: tuple[Match, ...]
    telling: tuple[int, ...] = ()
    places: tuple[int, ...] = ()

    @classmethod
    def of(cls, matches: Sequence[Match]) -> Self:
        """Of captures with as many nodes each."""
        columns = zip(*(match.session.grid for match in matches), strict=True) if len(matches) > 1 else ()
        differ = [at for at, column in enumerate(columns) if len(set(column)) > 1]
        telling = tuple(differ[:: max(1, -(-len(differ) // MOST_TELLING))])
        places = sorted({match.place(at) for match in matches for at in telling})
        return cls(tuple(matches), telling, tuple(places))


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
    nodes = _nodes(module, rows)
    return rows if nodes is None else rows[np.argsort(nodes, kind="stable")]


def _nodes(module: tir.Module, rows: Ints) -> Array | None:
    """The ids of replayed nodes, None unless each has one of its own."""
    return node_ids(module.select(where=rows).field("graph_node"))


@attrs.define(eq=False)
class Joiner:
    """Finds the capture of each replay; replays of the same kernels in the same order are compared once.

    `role_of` gives the role of a kernel's name, `meant` that which an operator's name gives to what it launches.
    """

    module: tir.Module
    sessions: Sequence[Session]
    role_of: Callable[[str], str]
    meant: Callable[[str], str]
    _sized: dict[int, list[Session]] = attrs.field(init=False)
    _known: dict[tuple[bytes, bytes, bytes], Fitting | Refusal] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self._sized = {}
        for session in self.sessions:
            self._sized.setdefault(len(session), []).append(session)

    def match(self, replay: Replay) -> Match | Refusal:
        """The capture of a replay, or why there is none."""
        names, kinds = self.module["name"][replay.rows], self.module["kind"][replay.rows]
        # Ids stand in the source's arguments, so that they are read only where a capture has them, too.
        with_ids = any(session.nodes is not None for session in self._sized.get(len(replay.rows), ()))
        nodes = _nodes(self.module, replay.rows) if with_ids else None
        key = names.tobytes(), kinds.tobytes(), b"" if nodes is None else nodes.tobytes()
        if key not in self._known:
            self._known[key] = self._fitting(names, kinds, nodes)
        known = self._known[key]
        return known if isinstance(known, Refusal) else self._choose(replay, known)

    def _fitting(self, names: Array, kinds: Array, nodes: Array | None) -> Fitting | Refusal:
        """The captures with these nodes: one, or several of one program for other sizes."""
        texts = [self.module.strings[code] for code in names.tolist()]
        sorts = [SORTS[self.module.kinds[code]] for code in kinds.tolist()]
        like = self._sized.get(len(texts), [])
        if not like:
            sizes = ", ".join(map(str, sorted(self._sized))) or "none"
            return Refusal(f"no capture has {len(texts)} nodes (there are captures of {sizes})")
        fitting: list[Match] = []
        reasons: list[str] = []
        for session in like:
            order = by_ids(session, nodes)
            if isinstance(order, Refusal):
                reasons.append(order.reason)
                continue
            places = range(len(texts)) if order is None else order.tolist()
            differs = self._differs(session, [texts[at] for at in places], [sorts[at] for at in places])
            if differs is None:
                fitting.append(Match(session, "measured" if _named(session) else "derived", True, order))
            else:
                reasons.append(differs)
        by_id = [match for match in fitting if match.order is not None]
        return Fitting.of(by_id or fitting) if fitting else Refusal(reasons[0])

    def _differs(self, session: Session, texts: list[str], sorts: list[str]) -> str | None:
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

    def _choose(self, replay: Replay, known: Fitting) -> Match | Refusal:
        """Of captures that fit by names the one that fits by grids, too; of several their common frames."""
        fitting = known.matches
        if known.places:
            given = dict(zip(known.places, grids(self.module, replay.rows[list(known.places)]), strict=True))
            fitting = tuple(match for match in fitting if _same_grids(match, known.telling, given)) or fitting
        first = fitting[0]
        frames = first.session.frames
        if any(other.session.frames.modules != frames.modules for other in fitting[1:]):
            return Refusal(f"{len(fitting)} captures fit equally well, and their modules differ")
        return attrs.evolve(first, shapes=all(other.session.frames.shapes == frames.shapes for other in fitting[1:]))


def by_ids(session: Session, nodes: Array | None) -> Ints | Refusal | None:
    """For each captured call the place of the replayed node that has its id.

    None where ids do not tell: a side has none, or they share none, as those of two processes. A Refusal where some
    nodes are the same and others not, for then it is another graph. O(n log n).
    """
    if session.nodes is None or nodes is None:
        return None
    known = np.isin(session.nodes, nodes)
    if not known.any():
        return None
    if not known.all():
        at = int(np.flatnonzero(~known)[0])
        return Refusal(f"node {at} of the capture has the id {session.nodes[at]}, and no node of the replay has it")
    order = np.argsort(nodes)
    return order[np.searchsorted(nodes, session.nodes, sorter=order)]


def _named(session: Session) -> bool:
    """Whether the capture names all of its kernels."""
    return all(
        kernel is not None for kernel, sort in zip(session.kernel, session.sort, strict=True) if sort == "kernel"
    )


def _same_grids(match: Match, telling: Sequence[int], given: Mapping[int, tuple[int, ...] | None]) -> bool:
    pairs = [(match.session.grid[at], given[match.place(at)]) for at in telling]
    pairs = [(a, b) for a, b in pairs if a is not None and b is not None]
    return bool(pairs) and all(a == b for a, b in pairs)


def _short(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:59]}…"


__all__ = ["Joiner", "Match", "Refusal", "Replay", "by_ids", "replays"]
