"""Events on lanes, how they nest and what joins them: the part of a module that a frontend makes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from traceir.ir import Lane, ModuleBuilder, Strings, kinds
from traceir.ir.lanes import LANE_KINDS, LaneKind
from traceir.ir.module import EDGE_KINDS
from traceir.testing.drawing import cycled, several
from traceir.testing.texts import texts

UNKNOWN_KINDS: Final = (
    "acme.dma", 'a b"c', "", "npu.task", "dev.custom", "rt.custom", "host", "x", "a.b.c", "%1", "@a", "coll.all_reduce",
    "dev.kernel of", "핵.a\n", "\ud800",
)  # fmt: skip
"""Kinds that no dialect registers: plug-ins' own, and names that only a quoted form can hold."""

_ENDS: Final = {
    "launch": (("rt", "npu"), ("dev", "event", "npu")),
    "enqueue": (("host", "rt", "mark", "npu"), ("rt", "npu")),
}
"""The dialects at the ends of an edge; an edge of any other kind may join any two events."""

_LEAST: Final = int(np.iinfo(np.int64).min)
_MOST: Final = int(np.iinfo(np.int64).max)
_STARTS: Final[dict[str, Callable[[int], int]]] = {
    "origin": lambda offset: offset,
    "around the origin": lambda offset: offset - 20,
    "Unix time": lambda offset: 1_731_024_000_000_000_000 + offset,
    "least": lambda offset: _LEAST + offset,
    "most": lambda offset: _MOST - offset,
}
"""Where the times of a module lie; of these, no two events are further apart than int64 can say."""


def lanes(text: SearchStrategy[str] | None = None, lane_kinds: Sequence[LaneKind] = LANE_KINDS) -> SearchStrategy[Lane]:
    """A lane of one of these kinds; its pid and tid may be numbers, strings or unknown."""
    return _lanes(texts() if text is None else text, tuple(lane_kinds))


@functools.cache
def _lanes(text: SearchStrategy[str], lane_kinds: tuple[LaneKind, ...]) -> SearchStrategy[Lane]:
    process = st.one_of(st.none(), st.integers(0, 9), st.integers(-(2**31), 2**64 - 1), text)
    number = st.one_of(st.none(), st.integers(0, 9), st.integers(0, 2**31 - 1))
    return st.builds(
        Lane,
        name=st.one_of(st.sampled_from(("gpu0.s7", "cpu.main", "gpu0.s20", "gpu1.s7", "power")), text),
        kind=st.sampled_from(lane_kinds),
        device=number,
        stream=st.one_of(number, st.integers(2**31, 2**64 - 1)),
        pid=process,
        tid=process,
        label=st.one_of(st.just(""), text),
    )


def kinds_on(lane: LaneKind, only: Sequence[str] | None) -> list[str]:
    """The kinds that may lie on a lane of this kind: registered and unknown ones, or those of `only`."""
    known = (*kinds.names(), *UNKNOWN_KINDS) if only is None else tuple(only)
    return [name for name in known if (cls := kinds.find(name)) is None or not cls.lanes or lane in cls.lanes]


@st.composite
def builders(
    draw: DrawFn,
    /,
    text: SearchStrategy[str],
    only: Sequence[str] | None,
    least: int,
    most: int,
    max_edges: int,
    **more: Any,
) -> ModuleBuilder:
    """A builder with lanes, events in order of their ids, parents or none (then time nests them), and edges."""
    on = {kind: kinds_on(kind, only) for kind in LANE_KINDS}
    usable = [kind for kind in LANE_KINDS if on[kind]]
    lane_list = lanes(text, usable or LANE_KINDS)
    named = {lane.name: lane for lane in draw(several(lane_list, 4, min(least, 1)))}
    some = tuple(named.values())
    events = draw(_events(some, on, text, least, most)) if some and usable else []
    lane, kind, name, offset, dur, gap = map(list, zip(*events, strict=True)) if events else ([],) * 6
    place = _STARTS[draw(st.sampled_from(tuple(_STARTS)))]
    ts = [place(value) for value in offset]
    dur = [min(length, _MOST - start, _MOST - 1) for length, start in zip(dur, ts, strict=True)]
    unused = draw(st.lists(st.sampled_from(("dev.kernel", "host.op", "a")), max_size=2)) if only is None else []
    known = list(dict.fromkeys([*unused, *kind]))
    # Texts that nothing uses, before and after those that are used: codes are no ordinals of anything.
    strings, _ = Strings().encode(draw(st.lists(text, max_size=2)))
    strings, codes = strings.encode(name)
    return ModuleBuilder(
        strings=strings,
        lanes=some,
        kinds=known,
        id=np.cumsum(np.array(gap, np.int64)) - 1,
        kind=np.array([known.index(one) for one in kind], np.uint16),
        name_code=codes,
        ts=np.array(ts, np.int64),
        dur=np.array(dur, np.int64),
        lane=np.array(lane, np.int32),
        parent=draw(st.one_of(st.none(), _parents(lane))),
        edges=draw(_edges(kind, max_edges)),
        **more,
    )


def _events(
    some: Sequence[Lane], on: dict[LaneKind, list[str]], text: SearchStrategy[str], least: int, most: int
) -> SearchStrategy[list[tuple[int, str, str, int, int, int]]]:
    """Lane, kind, name, start from where the module lies, duration, and the step from the id before."""
    places = [(at, kind) for at, lane in enumerate(some) for kind in on[lane.kind]]
    event = st.tuples(st.sampled_from(places), text, _DISTANCE, _DURATION, _STEP)
    return several(event, most, least).map(lambda drawn: [(*place, *rest) for place, *rest in drawn])


_DISTANCE: Final = st.sampled_from((*range(40), 1_000, 10**6, 2**31, 2**32, 2**53 + 1, 2**60))
_DURATION: Final = st.sampled_from((*range(30), 1_000, 10**6, 2**31, 2**53 + 1, 2**60, _MOST))
_STEP: Final = st.sampled_from((1, 1, 1, 1, 2, 9, 2**20, 2**48))


def _parents(lane: Sequence[int]) -> SearchStrategy[Any]:
    """For each event one with a lower id on its lane, or none: its parent, wherever their times lie."""
    before = [[-1, *(other for other in range(at) if lane[other] == lane[at])] for at in range(len(lane))]
    return cycled(st.integers(0, 7), len(lane), 0).map(
        lambda drawn: np.array([some[one % len(some)] for one, some in zip(drawn, before, strict=True)], np.int64)
    )


def _edges(kind: Sequence[str], most: int) -> SearchStrategy[list[tuple[str, Any, Any]]]:
    """Edges of every kind whose ends may have them, repeated ones too; an event is launched at most once."""
    joined = []
    for edge in EDGE_KINDS:
        src, dst = ([at for at, name in enumerate(kind) if _may_end(edge, end, name)] for end in (0, 1))
        if src and dst:
            joined.append(st.tuples(st.just(edge), st.sampled_from(src), st.sampled_from(dst)))
    return several(st.one_of(*joined), most).map(_launched_once) if joined else st.just([])


def _may_end(edge: str, end: int, kind: str) -> bool:
    return edge not in _ENDS or kinds.find(kind) is None or kind.partition(".")[0] in _ENDS[edge][end]


def _launched_once(drawn: Sequence[tuple[str, int, int]]) -> list[tuple[str, Any, Any]]:
    """The edges as a builder takes them, without further launches of an event."""
    launched: set[int] = set()
    out: list[tuple[str, Any, Any]] = []
    for edge, src, dst in drawn:
        if edge != "launch" or dst not in launched:
            out.append((edge, np.array([src]), np.array([dst])))
        if edge == "launch":
            launched.add(dst)
    return out
