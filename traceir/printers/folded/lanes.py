"""The page by lane: device streams and busy host threads side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from traceir import folding, units
from traceir.folding import LaneFold, LaneOp, Lanes
from traceir.ir import Module
from traceir.printers.folded import words
from traceir.printers.folded.lines import BLANK, Line
from traceir.printers.folded.room import Room

_SHADES = " ▁▂▃▄▅▆▇█"
_STRIP_LEAST, _STRIP_MOST = 16, 120
_NAME_MOST = 24
_INNER = 6
"""Indent of what is said of one lane."""
_DETAILED = 12
"""Lanes of which ops and gaps are told; a device with more streams uses most of them for copies."""


def lanes(module: Module, width: int) -> Callable[[Room], Iterator[Line]]:
    """The body of the page for any room; `width` gives the timeline its columns."""
    names = [len(lane.name) + 1 for lane in module.lanes if lane.is_device or lane.kind == "host.thread"]
    room = width - min(max(names, default=0), _NAME_MOST) - 6
    folded = folding.fold_lanes(module, max(min(room, _STRIP_MOST), _STRIP_LEAST))
    return lambda room: iter(()) if folded is None else _body(folded, room, width)


def _body(folded: Lanes, room: Room, width: int) -> Iterator[Line]:
    number = 10**6 if room.everything else 2 * room.rows + 2
    on_device = [lane for lane in folded.lanes if lane.on_device]
    hosts = [lane for lane in folded.lanes if not lane.on_device]
    shown = [*on_device[:number], *hosts]
    yield from _timeline(folded, shown)
    yield from _table(folded, on_device[:number], on_device[number:], width - _INNER)
    if hosts:
        yield from _hosts(folded, hosts, width - _INNER)


def _timeline(folded: Lanes, shown: Sequence[LaneFold]) -> Iterator[Line]:
    parts = len(folded.lanes[0].density)
    yield Line(
        label="timeline",
        text=f"{units.time(folded.span_ns)} from first to last device work, {units.time(folded.span_ns / parts)} a "
        "character; the higher, the busier",
        look="head",
        wraps=True,
    )
    for lane in shown:
        yield Line(label=f"@{lane.name}", cells=(_strip(lane.density, folded.span_ns),), indent=2)
    yield BLANK


def _strip(density: Sequence[int], span: int) -> str:
    """A character per part of the window, from blank (nothing at all) to full."""
    whole, parts = max(span, 1), len(density)
    top = len(_SHADES) - 1
    # An edge lies on a whole ns, so that a part of a very short window may be a ns longer than the average.
    return "".join(_SHADES[min(-(-busy * parts * top // whole), top)] for busy in density)


def _table(folded: Lanes, shown: Sequence[LaneFold], rest: Sequence[LaneFold], width: int) -> Iterator[Line]:
    text = f"shares of {units.time(folded.span_ns)}; gaps between a lane's own first and last event"
    yield Line(label="device lanes", text=text, look="head", wraps=True)
    yield Line(label="lane", cells=("busy", "share", "kernels", "copies"), indent=2, look="note", yields=(3, 2))
    for number, lane in enumerate(shown):
        yield Line(
            label=f"@{lane.name}",
            cells=(
                units.time(lane.busy_ns),
                units.share(lane.busy_ns, folded.span_ns),
                units.count(lane.kernels),
                units.count(lane.events - lane.kernels),
            ),
            text=lane.about,
            indent=2,
            look="fold",
        )
        if number < _DETAILED:
            yield Line(text=_tops(lane, width), indent=_INNER)
            if lane.gap_ns:
                yield Line(text=_gaps(lane, width), indent=_INNER, look="gap")
    if rest:
        busy = sum(lane.busy_ns for lane in rest)
        events = sum(lane.events for lane in rest)
        text = f"… {words.many(len(rest), 'more lane')}, {units.count(events)} events, {units.time(busy)} busy in sum"
        yield Line(text=text, indent=2, look="note")
    yield BLANK


def _tops(lane: LaneFold, width: int) -> str:
    parts = [f"{op.label} {units.share(op.time_ns, lane.ops_ns)}{_times(op)}" for op in lane.ops]
    return words.listed(parts, lane.more_ops, width)


def _times(op: LaneOp) -> str:
    return f" (×{units.count(op.count)})" if op.count > 1 else ""


def _gaps(lane: LaneFold, width: int) -> str:
    assert lane.gap_ns is not None
    text = f"gaps {units.time(lane.gap_ns)}"
    if lane.causes is None:
        return f"{text}, causes unknown: the pass gaps did not run"
    return f"{text}: {words.causes(lane.causes, lane.gap_ns, width - len(text) - 2)}" if lane.causes else text


def _hosts(folded: Lanes, hosts: Sequence[LaneFold], width: int) -> Iterator[Line]:
    more = f"; {words.many(folded.more_hosts, 'less busy thread')} not shown" if folded.more_hosts else ""
    yield Line(
        label="host threads",
        text=f"time in operators and runtime calls, shares of {units.time(folded.span_ns)}{more}",
        look="head",
        wraps=True,
    )
    for lane in hosts:
        yield Line(
            label=f"@{lane.name}",
            cells=(units.time(lane.busy_ns), units.share(lane.busy_ns, folded.span_ns)),
            text=lane.about,
            indent=2,
            look="fold",
        )
        if lane.ops:
            calls = [f"{op.label} {units.time(op.time_ns)}{_times(op)}" for op in lane.ops]
            yield Line(text=words.listed(calls, lane.more_ops, width), indent=_INNER)
    yield BLANK
