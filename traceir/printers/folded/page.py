"""Composing the page: head, the work by step, lane or role, what was opened, tables of reports, and findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import attrs

from traceir import folding
from traceir.printers.base import Result, Style
from traceir.printers.folded.head import head, health
from traceir.printers.folded.hosts import hosts
from traceir.printers.folded.lanes import lanes
from traceir.printers.folded.lines import BLANK, Line
from traceir.printers.folded.opened import EVENTS_MOST, opened
from traceir.printers.folded.render import render
from traceir.printers.folded.roles import roles
from traceir.printers.folded.room import ALL, ROOMS, SCREEN, Room
from traceir.printers.folded.steps import steps
from traceir.printers.folded.tables import tables

By = Literal["step", "lane", "role"]
Body = Callable[[Room], Iterator[Line]]


def compose(result: Result, style: Style, by: By = "step", expand: Sequence[str] = ()) -> list[Line]:
    """The lines of the page. Sections are separated by blank lines. `verbose` leaves nothing out.

    What is opened by `expand` is shown whole and stands beside the screen that the rest has to fit.
    UsageError if a name of `expand` fits nothing.
    """
    most = 10**9 if style.verbose else EVENTS_MOST
    instances = [folding.open_instance(result.module, name, most) for name in expand]
    inside = [line for item in instances for line in opened(item, everything=style.verbose)]
    body = _body(result, style, by)
    for room in (ALL,) if style.verbose else ROOMS:
        before = [*head(result, style.width), *body(room)]
        after = list(_end(result, room, details=by == "step"))
        if style.verbose or sum(1 for _ in render(_trimmed([*before, *after]), style)) <= SCREEN:
            break
    return _trimmed([*before, *inside, *after])


def _body(result: Result, style: Style, by: By) -> Body:
    """The part that says where the time went, for any room; what it rests on is computed once."""
    if not result.module.work.any():
        return hosts(result.module)
    if by == "lane":
        return lanes(result.module, style.width)
    if by == "role":
        return roles(result.module)
    folded = folding.fold(result.module)
    return lambda room: steps(folded, room)


def _end(result: Result, room: Room, *, details: bool) -> Iterator[Line]:
    """The tables of the reports and the findings; other views than that by step have no room for details."""
    shown = room if details or room.everything else attrs.evolve(room, details=False)
    for name, report in result.reports.items():
        yield from tables(name, report, shown)
    yield from health(result, room)


def _trimmed(lines: list[Line]) -> list[Line]:
    while lines and lines[-1] == BLANK:
        lines.pop()
    return lines
