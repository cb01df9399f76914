"""Tables of the reports, those of unknown passes made from their fields."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from traceir import units
from traceir.passing import Block, Report, to_json
from traceir.printers.folded.lines import BLANK, Line
from traceir.printers.folded.room import Room

_WORDS = 24
"""A last column with longer texts is free text, which is wrapped rather than cut."""


def tables(name: str, report: Report, room: Room) -> Iterator[Line]:
    """The tables of one report."""
    blocks = report.blocks()
    if blocks is None:
        blocks = _generic(name, report)
    for block in blocks:
        if block.detail and not room.details:
            continue
        yield Line(label=block.title, text=block.note, look="head", wraps=True)
        rows = block.rows[: room.rows]
        wordy = len(block.columns) > 2 and any(len(row[-1]) > _WORDS for row in rows)
        if block.columns:
            yield _row(block.columns, wordy, heading=True)
        for row in rows:
            yield _row(row, wordy)
        if len(rows) < len(block.rows):
            yield Line(text=f"… {len(block.rows) - len(rows)} more (--verbose)", indent=2, look="note")
        yield BLANK


def _generic(name: str, report: Report) -> list[Block]:
    """Tables made from a report's fields: scalars as one table, each list of objects as another."""
    data = to_json(report) if attrs.has(type(report)) else {}
    scalars = tuple((key, _cell(key, value)) for key, value in data.items() if not isinstance(value, list | dict))
    blocks = [Block(name, (), scalars)] if scalars else []
    for key, value in data.items():
        if isinstance(value, dict):
            blocks.append(Block(f"{name} {key}", (), tuple((k, _cell(k, v)) for k, v in value.items())))
        elif isinstance(value, list):
            if value and all(isinstance(item, dict) for item in value):
                columns = tuple(value[0])
                rows = tuple(tuple(_cell(column, item.get(column)) for column in columns) for item in value)
                blocks.append(Block(f"{name} {key}", columns, rows))
            else:
                blocks.append(Block(f"{name} {key}", (), tuple((_cell(key, item),) for item in value)))
    return blocks or [Block(name, (), (), "nothing found")]


def _cell(key: str, value: object) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, int) and not isinstance(value, bool) and key.endswith("_ns"):
        return units.time(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return units.count(value) if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _row(row: tuple[str, ...], wordy: bool, *, heading: bool = False) -> Line:
    """A row of a table; a wordy last cell is its free text."""
    cells, text = (row[1:-1], row[-1]) if wordy else (row[1:], "")
    return Line(
        label=row[0], cells=cells or ("",), text=text, indent=2, wraps=wordy, look="note" if heading else "plain"
    )
