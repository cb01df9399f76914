"""One instance opened: its device events in order of time, and the idle stretches between them."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from traceir import units
from traceir.folding import Event, Idle, Instance
from traceir.printers.folded import words
from traceir.printers.folded.lines import BLANK, Line
from traceir.printers.folded.sums import SumColumns

EVENTS_MOST = 2_000
"""Events listed of one instance: a whole step may have a hundred thousand, which nobody reads."""
_SMALL = 1_000
"""Gaps of at most so many ns are summed: they are what lies between any two kernels, or a rounding of the clock."""
_DIFFERS = 1.05
"""An event is told to differ from the median of its like from this factor on; less is noise of any clock."""
_YIELDS = ("exposed", "of median", "start")
"""What gives way last, in this order: before it ids and lanes do, and the columns of plug-ins."""


def opened(instance: Instance, *, everything: bool = False) -> Iterator[Line]:
    """The section of one opened instance; with `everything` small gaps have lines of their own."""
    yield Line(label=instance.name, text=" · ".join(_facts(instance)), look="head", wraps=True)
    if instance.fits > 1:
        yield Line(text=_others(instance), indent=2, look="note", wraps=True)
    sums = SumColumns.of(event.sums for event in instance.events)
    names = _columns(instance, sums)
    order = ("id", "lane", *reversed(sums.headings), *_YIELDS)
    yields = tuple(names.index(name) for name in order if name in names)
    yield Line(label="op", cells=names, indent=2, look="note", yields=yields)
    small = [] if everything else [idle for idle in instance.idle if idle.dur_ns <= _SMALL]
    yield from _rows(instance, names, sums, least=0 if everything else _SMALL + 1)
    if small:
        causes = ", ".join(sorted({_cause(idle) for idle in small}))
        total = units.time(sum(idle.dur_ns for idle in small))
        text = f"… {words.many(len(small), 'gap')} of at most {units.time(_SMALL)}, {total} in all: {causes}"
        yield Line(text=text, indent=2, look="gap", wraps=True)
    if instance.left_out:
        text = f"… {words.many(instance.left_out, 'more event')} (--verbose, or open a part of it)"
        yield Line(text=text, indent=2, look="note", wraps=True)
    yield BLANK


def _facts(instance: Instance) -> Iterator[str]:
    if instance.step and not instance.name.startswith(instance.step):
        yield f"in {instance.step}"
    yield f"{words.many(len(instance.events) + instance.left_out, 'device event')} in {units.time(instance.span_ns)}"
    yield f"at {units.time(instance.start_ns)} of the trace"
    work = f"{units.time(instance.work_ns)} of device work"
    if instance.like > 1 and instance.like_work_ns:
        times = instance.work_ns / instance.like_work_ns
        yield f"{work}, ×{times:.2f} the median of {units.count(instance.like)} like it"
    else:
        yield f"{work}, nothing like it to compare with"
    idle = sum(gap.dur_ns for gap in instance.idle)
    unjudged = any(gap.cause is None for gap in instance.idle)
    yield f"gaps {units.time(idle)}{' (the pass gaps, which tells causes, did not run)' if unjudged else ''}"
    if instance.lead is not None and instance.lead.dur_ns > _SMALL:
        yield f"after a gap of {units.time(instance.lead.dur_ns)} ({_cause(instance.lead)})"
    if instance.foreign:
        yield f"meanwhile {words.many(instance.foreign, 'device event')} of others"


def _others(instance: Instance) -> str:
    more = instance.fits - 1 - len(instance.others)
    text = f"{instance.asked} fits {units.count(instance.fits)}, and this is the first in time; also "
    return text + ", ".join(instance.others) + (f" and {units.count(more)} more" if more else "")


def _columns(instance: Instance, sums: SumColumns) -> tuple[str, ...]:
    """The columns that have something to tell."""
    wanted = {
        "start": True,
        "time": True,
        "of median": instance.like > 1,
        "exposed": any(event.exposed_ns is not None for event in instance.events),
        **dict.fromkeys(sums.headings, True),
        "lane": len({event.lane for event in instance.events}) > 1,
        "id": True,
    }
    return tuple(name for name, shown in wanted.items() if shown)


def _rows(instance: Instance, names: tuple[str, ...], sums: SumColumns, least: int) -> Iterator[Line]:
    """A line per event, and one per gap of at least `least` ns before the event that it ends with."""
    rows: list[tuple[int, int, Event | Idle]] = [(event.start_ns, 1, event) for event in instance.events]
    rows += [(idle.start_ns, 0, idle) for idle in instance.idle if idle.dur_ns >= least]
    for _, _, row in sorted(rows, key=lambda item: item[:2]):
        cells, text = _event(row, sums) if isinstance(row, Event) else _gap(row)
        line = Line(cells=tuple(cells.get(name, "") for name in names), text=text, indent=2)
        if isinstance(row, Idle):
            yield attrs.evolve(line, label="gap", look="gap")
        else:
            yield attrs.evolve(line, label=row.label, look="op" if row.exposed_ns is None else "comm")


def _event(event: Event, sums: SumColumns) -> tuple[dict[str, str], str]:
    times = event.dur_ns / event.like_ns if event.like_ns else 1.0
    cells = {
        "start": f"+{units.time(event.start_ns)}",
        "time": units.time(event.dur_ns),
        "of median": "" if event.like_ns is None else "·" if 1 / _DIFFERS < times < _DIFFERS else f"×{times:.2f}",
        "exposed": "" if event.exposed_ns is None else units.time(event.exposed_ns),
        **dict(zip(sums.headings, sums.totals(event.sums), strict=True)),
        "lane": f"@{event.lane}",
        "id": f"%{event.id}",
    }
    return cells, "" if event.symbol == event.label else event.symbol


def _gap(idle: Idle) -> tuple[dict[str, str], str]:
    blame = f", {idle.blame[0]} %{idle.blame[1]}" if idle.blame is not None else ""
    return {"start": f"+{units.time(idle.start_ns)}", "time": units.time(idle.dur_ns)}, _cause(idle) + blame


def _cause(idle: Idle) -> str:
    return idle.cause or "cause unknown"
