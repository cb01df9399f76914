"""The CSV: its header after whatever the program printed, and a record per kernel."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import Final

import attrs

from traceir.errors import InputError
from traceir_frontends.whole import cells_up_to

HEADER: Final = '"ID",'
_IDS: Final = (
    "ID", "Process ID", "Process Name", "Host Name", "Kernel Name", "Kernel Time", "Context", "Stream", "Block Size",
    "Grid Size", "Device", "CC", "Section Name",
)  # fmt: skip
_DETAILS: Final = ("Metric Name", "Metric Unit", "Metric Value")
_TRIPLE: Final = re.compile(r"\(?\s*([0-9]{1,18})\s*,\s*([0-9]{1,18})\s*,\s*([0-9]{1,18})\s*\)?\Z")
_INTEGER: Final = re.compile(r"[0-9]{1,18}\Z")
_FIELD: Final = 1 << 20
_DIGITS: Final = 300
"""Digits that a metric may have before its point: what is longer is no number that a counter shows."""
_SCALES: Final = {
    "nsecond": ("ns", 1), "ns": ("ns", 1), "usecond": ("ns", 1_000), "us": ("ns", 1_000), "msecond": ("ns", 1_000_000),
    "ms": ("ns", 1_000_000), "second": ("ns", 1_000_000_000), "s": ("ns", 1_000_000_000), "byte": ("B", 1),
    "Kbyte": ("B", 1_000), "Mbyte": ("B", 1_000_000), "Gbyte": ("B", 1_000_000_000), "byte/second": ("B/s", 1),
    "Kbyte/second": ("B/s", 1_000), "Mbyte/second": ("B/s", 1_000_000), "Gbyte/second": ("B/s", 1_000_000_000),
    "Tbyte/second": ("B/s", 1_000_000_000_000), "hz": ("Hz", 1), "Khz": ("Hz", 1_000), "Mhz": ("Hz", 1_000_000),
    "Ghz": ("Hz", 1_000_000_000), "cycle/nsecond": ("Hz", 1_000_000_000), "cycle/usecond": ("Hz", 1_000_000),
    "cycle/second": ("Hz", 1), "%": ("%", 1),
}  # fmt: skip
"""Units as the profiler scales them, the unit that they become, and the factor."""


@attrs.frozen
class Value:
    """One metric: its number in the base unit (None if it is no number), the unit, and the text as printed."""

    number: Decimal | None
    unit: str
    text: str


@attrs.define
class Kernel:
    """One profiled kernel: `number` in its process, what it was, and what was measured."""

    number: int
    process: int | None
    process_name: str
    name: str
    stream: int | None
    device: int | None
    block: tuple[int, int, int] | None
    grid: tuple[int, int, int] | None
    metrics: dict[str, Value] = attrs.field(factory=dict)
    advice: list[str] = attrs.field(factory=list)


@attrs.define
class Report:
    """All kernels in order, and how many rows were no row of the table."""

    kernels: list[Kernel]
    odd_rows: int
    first_odd: int | None


def read(path: str, text: str) -> Report:
    """The report in a text; InputError if no line begins the table, or no row follows it."""
    lines = text.split("\n")
    begin = next((at for at, line in enumerate(lines) if line.startswith(HEADER)), None)
    if begin is None:
        raise InputError(
            f"The input {path} holds no table of Nsight Compute: no line begins with {HEADER}; record with ncu --csv."
        )
    with cells_up_to(_FIELD):
        return _table(path, lines, begin)


def _table(path: str, lines: Sequence[str], begin: int) -> Report:
    rows = csv.reader(lines[begin:], strict=False)
    header = next(rows)
    missing = [name for name in ("Process ID", "Kernel Name") if name not in header]
    if missing:
        raise InputError(f"The input {path} has a table without the column {missing[0]}, so it is none of ncu's.")
    report = Report([], 0, None)
    known: dict[tuple[str, str], Kernel] = {}
    units: Sequence[str] | None = None
    details = "Metric Name" in header
    for number, row in _numbered(rows, begin + 2, report):
        if not details and units is None and not row[0]:
            units = row
            continue
        item = dict(zip(header, row, strict=False))
        if not _is_row(item):
            _note(report, number)
            continue
        kernel = known.get((item["Process ID"], item["ID"]))
        if kernel is None:
            kernel = known[item["Process ID"], item["ID"]] = _kernel(item)
            report.kernels.append(kernel)
        if details:
            _take_detail(kernel, item)
        else:
            _take_wide(kernel, header, row, units or ())
    if not report.kernels:
        raise InputError(f"The input {path} has the header of a table and no kernel; record with ncu --csv again.")
    return report


def _numbered(rows: Iterator[list[str]], first: int, report: Report) -> Iterator[tuple[int, list[str]]]:
    """The rows with about the number of their line; what the reader refuses is passed over."""
    number = first
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error:
            _note(report, number)
            row = []
        if row:
            yield number, row
        number += 1


def _note(report: Report, number: int) -> None:
    report.odd_rows += 1
    report.first_odd = number if report.first_odd is None else report.first_odd


def _is_row(item: dict[str, str]) -> bool:
    return _integer(item.get("ID")) is not None and bool(item.get("Kernel Name"))


def _kernel(item: dict[str, str]) -> Kernel:
    return Kernel(
        number=int(item["ID"]),
        process=_integer(item.get("Process ID")),
        process_name=item.get("Process Name") or "",
        name=item["Kernel Name"],
        stream=_integer(item.get("Stream")),
        device=_integer(item.get("Device")),
        block=_triple(item.get("Block Size")),
        grid=_triple(item.get("Grid Size")),
    )


def _take_detail(kernel: Kernel, item: dict[str, str]) -> None:
    """A row of the page details: one metric of a section, or a rule's advice."""
    name = item.get("Metric Name")
    if name:
        # A metric that stands in two sections is the same one; that of the first section is kept.
        kernel.metrics.setdefault(name, value_of(item.get("Metric Value") or "", item.get("Metric Unit") or ""))
    elif item.get("Rule Description"):
        kernel.advice.append(item["Rule Description"])


def _take_wide(kernel: Kernel, header: Sequence[str], row: Sequence[str], units: Sequence[str]) -> None:
    """A row of the page raw: a column per metric, whose units stand in a row of their own."""
    for at, (name, text) in enumerate(zip(header, row, strict=False)):
        if name not in _IDS and text:
            kernel.metrics.setdefault(name, value_of(text, units[at] if at < len(units) else ""))


def value_of(text: str, unit: str) -> Value:
    """A metric's value as a number in its base unit: `1,024` byte, `2.5` Mbyte; no number for `n/a` and `nan`."""
    base, factor = _SCALES.get(unit, (unit, 1))
    try:
        number = Decimal(text.replace(",", "").strip())
    except InvalidOperation:
        return Value(None, base, text)
    usable = number.is_finite() and number.adjusted() < _DIGITS
    return Value(number * factor if usable else None, base, text)


def _integer(text: str | None) -> int | None:
    return int(text) if text is not None and _INTEGER.match(text) else None


def _triple(text: str | None) -> tuple[int, int, int] | None:
    found = _TRIPLE.match(text or "")
    return None if found is None else (int(found[1]), int(found[2]), int(found[3]))
