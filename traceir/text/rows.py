"""Rows of table blocks: all numbers at once where they are numbers, cell by cell where they are not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, NoReturn

import attrs
import numpy as np

from traceir.ir import Array, Mask
from traceir.text.draft import BlockItem, Quantity, Ref, Symbol, Word
from traceir.text.errors import MistakeError
from traceir.text.words import decimal, id_value, symbol_text, unquote

NULL: Final = "_"
_LEAST: Final = int(np.iinfo(np.int64).min)
_LARGEST: Final = int(np.iinfo(np.int64).max)
_EXACT: Final = 1 << 53
"""Up to here all integers are floats too."""
_COMMENT: Final = re.compile(r"//[^\n]*")
_PLAIN: Final = np.isin(np.arange(256), np.frombuffer(b"-0123456789_ \n", np.uint8))
"""Which bytes may stand in a block of integers."""
_DECIMALS: Final = re.compile(
    r"[ \n]*+(?:(?:-?(?:[0-9]++(?:\.[0-9]*+)?(?:[eE][+-]?[0-9]++)?|inf)|_)(?:[ \n]++|\Z))*+\Z"
)
_CELL: Final = re.compile(r'(@?"[^"\\\n]*(?:\\.[^"\\\n]*)*")|(//[^\n]*)|([^\s"]+)')
_TOKEN: Final = re.compile(r'@?"[^"\\\n]*(?:\\.[^"\\\n]*)*"|//[^\n]*|[^\s"]+')
_WHOLES: Final = re.compile(r"(?:(?:-?[0-9]++|_)(?: |\Z))*+\Z")
_WHOLE: Final = re.compile(r"-?\d+\Z", re.A)
_DECIMAL: Final = re.compile(r"-?(?:\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|inf)\Z", re.A)
_QUANTITY: Final = re.compile(r"-?\d+(?:\.\d+)?(?:ns|us|µs|ms|s)\Z", re.A)


@attrs.frozen(eq=False)
class Cells:
    """One column of a block: `values` (i64, or f64 for decimals) with a mask of nulls, or objects.

    `objects` are the distinct cells in the order in which they are met, and `codes` says which stands in each row.
    """

    values: Array | None
    null: Mask | None
    objects: Sequence[Any] = ()
    codes: Array = attrs.field(factory=lambda: np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.codes if self.values is None else self.values)

    def listed(self) -> list[Any]:
        """The cells as objects, None for null."""
        if self.values is None or self.null is None:
            return [self.objects[code] for code in self.codes.tolist()]
        return [None if null else value for value, null in zip(self.values.tolist(), self.null.tolist(), strict=True)]


def read_rows(block: BlockItem, decimals: frozenset[str] = frozenset()) -> dict[str, Cells]:
    """The columns of a block. `decimals` are those that hold floats.

    A row stands on a line of its own and has a cell for each column; an error points at the first that has not, or
    at a number out of range. Numbers are read at once by numpy, all else by the cell.
    """
    if len(set(block.columns)) < len(block.columns):
        twice = next(name for i, name in enumerate(block.columns) if name in block.columns[:i])
        raise MistakeError(f"The column {twice} is given twice.", block.at)
    if not block.columns:
        raise MistakeError("A block has at least one column.", block.at)
    found = _numbers(block, decimals)
    return found if found is not None else _cells(block)


def read_strings(block: BlockItem) -> list[str]:
    """The texts of a pool, one in quotes on each line; one that stands there twice is a MistakeError."""
    out = []
    for cells in _lines(block):
        if len(cells) != 1 or cells[0][1][0] != '"':
            raise MistakeError("Each line of the string pool is one text in quotes.", cells[0][0])
        out.append(_text(*cells[0]))
    if len(set(out)) < len(out):
        raise MistakeError("The string pool holds a text twice.", block.at)
    return out


def place(block: BlockItem, row: int, column: int = 0) -> int:
    """The offset of a cell, for the message of an error. O(length)."""
    for number, cells in enumerate(_lines(block)):
        if number == row:
            return cells[min(column, len(cells) - 1)][0]
    return block.at


def _numbers(block: BlockItem, decimals: frozenset[str]) -> dict[str, Cells] | None:
    """The columns if all cells are numbers or null, and every line has its cells; None if that is not so."""
    text = block.rows
    wide = len(block.columns)
    as_floats = bool(decimals.intersection(block.columns))
    lines = _regular(text, wide) if text.isascii() else None
    if lines is None:
        return None
    nulls = text.count(NULL)
    tokens = text.split() if as_floats else []
    flat = _floats(text) if as_floats else _integers(text)
    if flat is None or len(flat) != lines * wide:
        return None
    null = np.isnan(flat) if as_floats else flat == _LEAST
    if int(null.sum()) != nulls or not _exact(flat, as_floats):
        return None
    table, mask = flat.reshape(lines, wide), null.reshape(lines, wide)
    out = {}
    for i, name in enumerate(block.columns):
        values = table[:, i]
        if as_floats and name not in decimals:
            known = np.where(mask[:, i], 0, values)
            if (np.abs(known) >= _EXACT).any() or not _WHOLES.match(" ".join(tokens[i::wide])):
                return None
            values = known.astype(np.int64)
        out[name] = Cells(np.ascontiguousarray(values), np.ascontiguousarray(mask[:, i]))
    return out


def _integers(text: str) -> Array | None:
    """All numbers of a text, null as the least integer; None if it holds anything else."""
    if not _sound(np.frombuffer(text.encode(), np.uint8)):
        return None
    plain = text.replace(NULL, str(_LEAST)) if NULL in text else text
    return np.fromstring(plain, np.int64, sep=" ") if plain.strip() else np.empty(0, np.int64)


def _floats(text: str) -> Array | None:
    if not _DECIMALS.match(text):
        return None
    tokens = text.replace(NULL, "nan").split()
    try:
        found = np.fromiter(map(float, tokens), np.float64, len(tokens))
    except ValueError:
        return None
    # A number that is not inf and reads as it is out of range; the cell says so.
    return found if int(np.isinf(found).sum()) == text.count("inf") else None


def _exact(flat: Array, as_floats: bool) -> bool:
    """Whether no number was clamped: the largest integer may be one that was, so it is read again by the cell."""
    return as_floats or not len(flat) or int(flat.max()) < _LARGEST


def _regular(text: str, wide: int) -> int | None:
    """The number of rows if each line has `wide` cells with one blank between them; None if any has not."""
    start = len(text) - len(text.lstrip("\n "))
    # The last line of the block and the brace's indent are left out, so every line ends in a cell.
    raw = np.frombuffer(text.encode(), np.uint8)[start : len(text.rstrip("\n "))]
    if not len(raw):
        return 0
    apart = (raw == ord(" ")) | (raw == ord("\n"))
    if bool((apart[1:] & apart[:-1]).any()):
        return None
    ends = np.flatnonzero(raw[apart] == ord("\n"))
    rows = len(ends) + 1
    regular = np.array_equal(ends, np.arange(wide - 1, wide * (rows - 1), wide))
    return rows if regular and int(apart.sum()) == wide * rows - 1 else None


def _sound(raw: Array) -> bool:
    """Whether bytes of integers are spelled as such: a sign begins a number, and null stands alone."""
    if not bool(_PLAIN[raw].all()):
        return False
    digit = (raw >= ord("0")) & (raw <= ord("9"))
    sign, null = np.flatnonzero(raw == ord("-")), np.flatnonzero(raw == ord("_"))
    padded = np.concatenate([[False], digit | (raw == ord("-")) | (raw == ord("_")), [False]])  # shifted by one
    alone = not (padded[sign].any() or padded[null].any() or padded[null + 2].any())
    return alone and bool(np.append(digit, False)[sign + 1].all())


def _lines(block: BlockItem) -> list[list[tuple[int, str]]]:
    """The cells of each line with their offsets, without comments and empty lines."""
    out = []
    at = block.inside
    for line in block.rows.split("\n"):
        cells = [(at + found.start(), found.group()) for found in _CELL.finditer(line) if found.group(2) is None]
        if cells:
            out.append(cells)
        at += len(line) + 1
    return out


def _cells(block: BlockItem) -> dict[str, Cells]:
    """The columns by the cell: numbers at once where a whole column is numbers, each other text only once."""
    plain = '"' not in block.rows and "//" not in block.rows
    lines = block.rows.split("\n")
    rows = [line.split() if plain else [t for t in _TOKEN.findall(line) if t[:2] != "//"] for line in lines]
    rows = [row for row in rows if row]
    wide = len(block.columns)
    for number, row in enumerate(rows):
        if len(row) != wide:
            raise MistakeError(
                f"The row has {len(row)} cells, and the block has {wide} columns: "
                f"{', '.join(block.columns[:8])}{' …' if wide > 8 else ''}.",
                place(block, number, min(len(row), wide) - 1),
            )
    columns = zip(*rows, strict=True) if rows else [()] * wide
    return {name: _column(block, i, cells) for i, (name, cells) in enumerate(zip(block.columns, columns, strict=True))}


def _column(block: BlockItem, number: int, cells: Sequence[str]) -> Cells:
    text = " ".join(cells)
    flat = _integers(text) if text.isascii() else None
    if flat is not None and len(flat) == len(cells) and _exact(flat, False):
        null = flat == _LEAST
        if int(null.sum()) == text.count(NULL):
            return Cells(flat, null)
    known: dict[str, int] = {}
    codes = np.fromiter((known.setdefault(cell, len(known)) for cell in cells), np.int64, len(cells))
    try:
        objects = [_cell(0, cell) for cell in known]
    except MistakeError:
        # Read again, with its place; the first time no place was looked for, since that takes long.
        objects = [_cell(place(block, cells.index(cell), number), cell) for cell in known]
    return Cells(None, None, objects, codes)


def _cell(at: int, text: str) -> Any:
    if text == NULL:
        return None
    if text[0] == '"':
        return _text(at, text)
    try:
        if _WHOLE.match(text):
            return int(text)
        if _DECIMAL.match(text):
            return decimal(text)
        if text[0] == "%":
            return Ref(id_value(text))
        if text[0] == "@" and len(text) > 1:
            return Symbol(symbol_text(text))
    except ValueError:
        _odd(at, text)
    if _QUANTITY.match(text):
        return Quantity(text)
    if not text[0].isalpha():
        _odd(at, text)
    return Word(text)


def _odd(at: int, text: str) -> NoReturn:
    raise MistakeError(f"The cell {text[:30]!r} is no number, word, id, lane or text, or is out of range.", at)


def _text(at: int, token: str) -> str:
    try:
        return unquote(token)
    except ValueError as error:
        raise MistakeError(str(error), at) from None
