"""Tables of the reports, those of unknown passes made from their fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeGuard

from traceir import units
from traceir.passing import Block, Report
from traceir.passing.report import blocks_of, data_of
from traceir.printers.folded.lines import BLANK, Line
from traceir.printers.folded.room import Room

_WORDS = 24
"""A last column with longer texts is free text, which is wrapped rather than cut."""


def tables(name: str, report: Report, room: Room) -> Iterator[Line]:
    """The tables of one report."""
    blocks: Sequence[Block] | None = blocks_of(name, report)
    if blocks is None:
        blocks = _generic(name, data_of(name, report))
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


def _generic(name: str, data: Mapping[str, object]) -> list[Block]:
    """Tables made from a report's fields: scalars as one table, each list of objects as another."""
    scalars = {key: value for key, value in data.items() if not isinstance(value, list | dict)}
    blocks = [Block(name, (), _facts(scalars))] if scalars else []
    for key, value in data.items():
        if isinstance(value, dict):
            blocks.append(Block(f"{name} {key}", (), _facts(value)))
        elif isinstance(value, list):
            if value and all(isinstance(item, dict) for item in value):
                columns = tuple(value[0])
                rows = tuple(tuple(_cell(column, item.get(column)) for column in columns) for item in value)
                blocks.append(Block(f"{name} {key}", _headings(value, columns), rows))
            else:
                title = _headings([{key: item} for item in value], (key,))[0] if value else key
                ids = _is_ids(key)
                rows = tuple((_id(item) if ids and _is_number(item) else _cell(key, item),) for item in value)
                blocks.append(Block(f"{name} {title}", (), rows))
    return blocks or [Block(name, (), (), "nothing found")]


def _facts(values: Mapping[str, object]) -> tuple[tuple[str, ...], ...]:
    labels = _headings([values], tuple(values))
    return tuple((label, _cell(key, value)) for label, (key, value) in zip(labels, values.items(), strict=True))


def _headings(rows: Sequence[Mapping[str, object]], keys: tuple[str, ...]) -> tuple[str, ...]:
    """What keys are headed by: without `_ns` or `_bytes`, where all their values are printed with a unit of their own.

    A key stays whole where another one would be headed the same.
    """
    short = [key.removesuffix("_ns").removesuffix("_bytes") for key in keys]
    out = []
    for key, word in zip(keys, short, strict=True):
        measured = all((value := row.get(key)) is None or _is_number(value) for row in rows)
        alone = word == key or (word not in keys and short.count(word) == 1)
        out.append(word if word and measured and alone else key)
    return tuple(out)


def _is_bytes(key: str) -> bool:
    """Whether a field holds a number of bytes, by its name."""
    return key == "bytes" or key.endswith("_bytes")


def _is_id(key: str) -> bool:
    """Whether a field holds the id of an event, by its name."""
    return key == "event" or key.endswith("_event")


def _is_ids(key: str) -> bool:
    """Whether a list holds ids of events, by its name; a number of that name is how many there are."""
    return _is_id(key) or key == "events" or key.endswith("_events")


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _id(value: object) -> str:
    return f"%{value}" if isinstance(value, int) and value >= 0 else "none"


def _cell(key: str, value: object) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, list):
        ids = _is_ids(key)
        return ", ".join(_id(item) if ids and _is_number(item) else _cell(key, item) for item in value)
    if not _is_number(value):
        return str(value)
    if key.endswith("_ns"):
        return units.time(value)
    if _is_bytes(key):
        return units.size(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return _id(value) if _is_id(key) else units.count(value)


def _row(row: tuple[str, ...], wordy: bool, *, heading: bool = False) -> Line:
    """A row of a table; a wordy last cell is its free text."""
    cells, text = (row[1:-1], row[-1]) if wordy else (row[1:], "")
    return Line(
        label=row[0], cells=cells or ("",), text=text, indent=2, wraps=wordy, look="note" if heading else "plain"
    )
