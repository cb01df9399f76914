"""The page of a trace without device work: where its threads spent their time, and who ran on its CPUs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs
import numpy as np

from traceir import units
from traceir.ir import Ints, Module, Spans
from traceir.ir.kinds import nesting_kinds
from traceir.printers.folded.lines import BLANK, Line
from traceir.printers.folded.room import Room


@attrs.frozen
class _Sum:
    """What one name adds up to: its own time, how often it occurs, the longest one, and where most of its time is."""

    name: str
    own: int
    count: int
    longest: int
    lane: str


def hosts(module: Module) -> Callable[[Room], Iterator[Line]]:
    """The body of the page for any room: names by self time, and runs of threads on CPUs. O(n log n)."""
    nests = module.is_kind(*(name for name in nesting_kinds() if name in module.kinds)) & module.live
    rows = np.flatnonzero(nests)
    parent = module.parent
    inner = rows[parent[rows] >= 0]
    covered = np.bincount(parent[inner], weights=module["dur"][inner], minlength=len(module)).astype(np.int64)
    own = np.maximum(module["dur"] - covered, 0)
    frames = _sums(module, rows, own)
    runs = np.flatnonzero(module.is_kind("os.sched") & module.live)
    ran = _sums(module, runs, module["dur"])
    timed = module.meta.get("trace_clock") != "ticks" and (
        "os.function" in module.kinds or all(item.code != "no_clock" for item in module.health)
    )
    marks = np.flatnonzero(module.is_kind("mark.instant") & module.live)

    def body(room: Room) -> Iterator[Line]:
        number = 10**6 if room.everything else room.ops
        if frames and sum(item.own for item in frames):
            yield from _table(module, rows, frames, "host", "self time of frames, calls and ranges", number, timed)
        if ran:
            yield from _table(module, runs, ran, "CPUs", "time of threads on them", number, timed)
        if not frames and not ran:
            yield from _counted(_sums(module, marks, module["dur"]), number)

    return body


def _sums(module: Module, rows: Ints, own: Ints) -> list[_Sum]:
    """The names of some rows, most time of their own first."""
    if not len(rows):
        return []
    codes, inverse = np.unique(module["name"][rows], return_inverse=True)
    inverse = np.asarray(inverse).reshape(-1)
    mine = own[rows]
    total = np.zeros(len(codes), np.int64)
    np.add.at(total, inverse, mine)
    counts = np.bincount(inverse)
    longest = np.zeros(len(codes), np.int64)
    np.maximum.at(longest, inverse, module["dur"][rows])
    lanes = len(module.lanes)
    key, place = np.unique(inverse * lanes + module["lane"][rows], return_inverse=True)
    parts = np.zeros(len(key), np.int64)
    np.add.at(parts, np.asarray(place).reshape(-1), mine)
    best = key[np.lexsort((parts, key // lanes))]  # the last one of each name has most of its time
    last = best[np.flatnonzero(np.append(np.diff(best // lanes) != 0, True))] % lanes
    spread = np.bincount(key // lanes)
    order = np.argsort(-total, kind="stable").tolist()
    return [
        _Sum(
            module.strings[int(codes[at])], int(total[at]), int(counts[at]), int(longest[at]),
            _where(module, int(last[at]), int(spread[at])),
        )
        for at in order
    ]  # fmt: skip


def _where(module: Module, lane: int, spread: int) -> str:
    more = f" and {spread - 1} more" if spread > 1 else ""
    return f"@{module.lanes[lane].name}{more}"


def _table(
    module: Module, rows: Ints, sums: list[_Sum], title: str, what: str, number: int, timed: bool
) -> Iterator[Line]:
    """A table of names with a denominator: the time in which anything of the kind went on, lane by lane."""
    used = np.unique(module["lane"][rows])
    busy = 0
    for lane in used.tolist():
        mine = rows[module["lane"][rows] == lane]
        busy += Spans.of(module["ts"][mine], module.end[mine]).length
    told = _amount(busy, timed)
    count = f"{len(used)} lane{'s' if len(used) != 1 else ''}"
    yield Line(label=title, text=f"{what}; shares are of {told} on {count}", look="head", wraps=True)
    yield Line(
        label="name",
        cells=("time" if timed else "amount", "share", "count", "longest"),
        text="lane",
        indent=2,
        look="note",
    )
    shown = [item for item in sums if item.own][:number]
    for item in shown:
        cells = (_amount(item.own, timed), units.share(item.own, busy), units.count(item.count))
        yield Line(label=item.name, cells=(*cells, _amount(item.longest, timed)), text=item.lane, indent=2, look="op")
    rest = [item for item in sums if item.own][len(shown) :]
    if rest:
        left = sum(item.own for item in rest)
        text = f"… {units.count(len(rest))} more, {_amount(left, timed)} in sum (--verbose)"
        yield Line(text=text, indent=2, look="note")
    yield BLANK


def _counted(sums: list[_Sum], number: int) -> Iterator[Line]:
    """A table of marks, where there is nothing that lasts."""
    if not sums:
        return
    sums = sorted(sums, key=lambda item: -item.count)
    yield Line(label="marks", text="points in time by name; nothing in the trace lasts", look="head", wraps=True)
    yield Line(label="name", cells=("count",), text="lane", indent=2, look="note")
    for item in sums[:number]:
        yield Line(label=item.name, cells=(units.count(item.count),), text=item.lane, indent=2, look="op")
    if len(sums) > number:
        yield Line(text=f"… {units.count(len(sums) - number)} more (--verbose)", indent=2, look="note")
    yield BLANK


def _amount(value: int, timed: bool) -> str:
    """A time; where lengths are none (samples, ticks), a plain number."""
    return units.time(value) if timed else units.count(value)


__all__ = ["hosts"]
