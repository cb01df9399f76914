"""The page by role: what kinds of kernels take the time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from traceir import folding, units
from traceir.folding import RoleFold, Roles
from traceir.ir import Module
from traceir.printers.folded import words
from traceir.printers.folded.lines import BLANK, Line
from traceir.printers.folded.room import Room
from traceir.printers.folded.sums import SumColumns


def roles(module: Module) -> Callable[[Room], Iterator[Line]]:
    """The body of the page for any room."""
    folded = folding.fold_roles(module)
    return lambda room: iter(()) if folded is None else _body(folded, room)


def _body(folded: Roles, room: Room) -> Iterator[Line]:
    comm = any(item.exposed_ns is not None for item in folded.kernels)
    text = f"shares of {units.time(folded.kernel_ns)} of kernel time (summed durations)"
    yield Line(label="kernels by role", text=text, look="head", wraps=True)
    if not folded.told:
        yield Line(text="no pass has told roles: the pass infer does", indent=2, look="warning")
    sums = SumColumns.of(item.sums for item in folded.kernels)
    yield _heading("kernels", comm, sums)
    # What is unknown is never among those left out.
    known = [item for item in folded.kernels if item.role is not None]
    unknown = [item for item in folded.kernels if item.role is None]
    most = len(known) if room.everything else 4 * room.rows
    for item in known[:most]:
        yield _line(item, folded.kernel_ns, comm, sums, room)
    if rest := known[most:]:
        total = sum(item.total_ns for item in rest)
        names = ", ".join(item.role or "" for item in rest)
        cells = (units.count(sum(item.count for item in rest)), units.time(total), units.share(total, folded.kernel_ns))
        yield Line(label=f"… {len(rest)} more", cells=cells, text=names, indent=2, look="note")
    for item in unknown:
        yield _line(item, folded.kernel_ns, comm, sums, room)
    yield BLANK
    if folded.copies:
        time = units.time(folded.work_ns - folded.kernel_ns)
        yield Line(label="copies and fills", text=f"no kernels; shares of their {time}", look="head", wraps=True)
        sums = SumColumns.of(item.sums for item in folded.copies)
        yield _heading("events", False, sums)
        for item in folded.copies:
            yield _line(item, folded.work_ns - folded.kernel_ns, False, sums, room)
        yield BLANK


def _heading(events: str, comm: bool, sums: SumColumns) -> Line:
    more = (*(("exposed",) if comm else ()), *sums.headings)
    last = 3 + len(more)
    return Line(
        label="role",
        cells=(events, "time", "share", *more, "median", "p90"),
        indent=2,
        look="note",
        yields=(last + 1, last, *sums.positions(last - len(sums.names)), *((3,) if comm else ()), 0),
        gives=2 + len(sums.names),  # the kernels behind a role tell more than how long one of them takes
    )


def _line(item: RoleFold, whole: int, comm: bool, sums: SumColumns, room: Room) -> Line:
    exposed = "" if item.exposed_ns is None else units.time(item.exposed_ns)
    shown = item.symbols if room.everything else item.symbols[:4]
    parts = [
        symbol.name + (f" {units.share(symbol.time_ns, item.total_ns)}" if len(item.symbols) > 1 else "")
        for symbol in shown
    ]
    left = len(item.symbols) - len(shown) + item.more_symbols
    return Line(
        label=item.role or "unknown",
        cells=(
            units.count(item.count),
            units.time(item.total_ns),
            units.share(item.total_ns, whole),
            *((exposed,) if comm else ()),
            *sums.totals(item.sums),
            units.time(item.median_ns),
            units.time(item.p90_ns),
        ),
        text=" · ".join(parts) + (f" … {words.many(left, 'more name')}" if left else ""),
        indent=2,
        look="warning" if item.role is None else "comm" if item.exposed_ns is not None else "op",
    )
