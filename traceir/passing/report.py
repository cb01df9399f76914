"""Reports: what a pass found, as plain data that JSON and pages are made from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypeVar, get_args

import attrs
import numpy as np

from traceir.errors import PassError, SchemaError, TraceirError
from traceir.passing.words import said

Unit = Literal["ns", "count", "share", "B", "text"]
T = TypeVar("T")
_LEAVES: Final = frozenset((int, str, bool, type(None)))
"""Types that are plain data as they are; a float may be none."""


def _figure(value: int | float | str | np.generic | None) -> Any:
    """A scalar of numpy as Python's own; what is no finite number is unknown."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _number(value: int | float | np.generic | None) -> Any:
    return _figure(value)


def _check(holds: Callable[[Any], bool], wanted: str) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    """A validator that says what an attribute of a fact or a block has to be."""

    def check(item: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not holds(value):
            first = next(iter(attrs.fields(type(item)))).name
            raise SchemaError(
                f"The {attribute.name} of the {type(item).__name__.lower()} {getattr(item, first)!r} is {value!r}, "
                f"and it has to be {wanted}."
            )

    return check


_is_text = _check(lambda value: isinstance(value, str), "a text")
_is_figure = _check(lambda value: value is None or isinstance(value, int | float | str), "a number, a text or None")
_is_number = _check(lambda value: value is None or isinstance(value, int | float), "a number or None")
_is_unit = _check(lambda value: value in get_args(Unit), f"one of {', '.join(get_args(Unit))}")


@attrs.frozen
class Fact:
    """One figure of a page: `label` and `value`, its unit, and the denominator of a share.

    A null value (NaN, too) is printed as `unknown` with `note` as the reason; a text stands in the place of a figure,
    such as `none`. A `share` is given as a fraction of 1. `of` names the denominator; with `whole`, its value, the
    share is printed beside the figure. SchemaError for what is none of these.
    """

    label: str = attrs.field(validator=_is_text)
    value: int | float | str | None = attrs.field(converter=_figure, validator=_is_figure)
    unit: Unit = attrs.field(default="count", validator=_is_unit)
    of: str = attrs.field(default="", validator=_is_text)
    note: str = attrs.field(default="", validator=_is_text)
    whole: int | float | None = attrs.field(default=None, converter=_number, validator=_is_number)


def _is_row(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(cell, str) for cell in value)


def _as_tuple(value: Sequence[str]) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _as_rows(rows: Sequence[Sequence[str]]) -> Any:
    return tuple(map(_as_tuple, rows)) if isinstance(rows, list | tuple) else rows


def _check_rows(block: Block, _: Any, rows: Any) -> None:
    if not isinstance(rows, tuple):
        raise SchemaError(f"The rows of the block {block.title!r} are {rows!r}, and they have to be a tuple of tuples.")
    width = len(block.columns) or len(rows[0] if rows else ())
    for number, row in enumerate(rows):
        if not _is_row(row):
            raise SchemaError(
                f"Row {number} of the block {block.title!r} is {row!r}, and it has to be a tuple of texts; "
                "traceir.units spells figures."
            )
        if len(row) != width or not row:
            raise SchemaError(
                f"Row {number} of the block {block.title!r} has {len(row)} cells, and it has to have {max(width, 1)}."
            )


@attrs.frozen
class Block:
    """A titled table of a page; cells are texts. A `detail` gives way where the page has no room for it.

    Each row has a cell for each of `columns`; without those, as many as the first. SchemaError if it has not.
    """

    title: str = attrs.field(validator=_is_text)
    columns: tuple[str, ...] = attrs.field(converter=_as_tuple, validator=_check(_is_row, "a tuple of texts"))
    rows: tuple[tuple[str, ...], ...] = attrs.field(converter=_as_rows, validator=_check_rows)
    note: str = attrs.field(default="", validator=_is_text)
    detail: bool = False


class Report:
    """Base of reports: an attrs class whose fields are the keys of the JSON object.

    `headline` and `blocks` say how it looks on a page; without them the scalar fields become facts and the
    lists tables, so that a plug-in's report is shown without further code.
    """

    def headline(self) -> Sequence[Fact]:
        """The figures that belong at the head of the page."""
        return ()

    def blocks(self) -> Sequence[Block] | None:
        """The tables of the page's tail, or None to have them made from the fields."""
        return None


# --- what is asked of reports, which anybody may have written --------------------------------------------


def headline_of(name: str, report: Report) -> tuple[Fact, ...]:
    """The headline of the report of the pass `name`; PassError, naming both, if it is none or cannot be made."""
    return _checked(name, "headline", _asked(name, "headline", report.headline), Fact)


def blocks_of(name: str, report: Report) -> tuple[Block, ...] | None:
    """The tables of the report of the pass `name`, None to make them from its fields; PassError as `headline_of`."""
    found = _asked(name, "blocks", report.blocks)
    return None if found is None else _checked(name, "blocks", found, Block)


def data_of(name: str, report: Report) -> dict[str, Any]:
    """The plain JSON data of the report of the pass `name`; PassError that names the pass and the field."""
    data: dict[str, Any] = _asked(name, "fields", lambda: to_json(report))
    return data


def _asked(name: str, what: str, ask: Callable[[], T]) -> T:
    try:
        return ask()
    except TraceirError as error:
        raise PassError(f"The {what} of the report of the pass {name} cannot be shown: {error}") from error
    except (Exception, SystemExit) as error:
        raise PassError(f"The {what} of the report of the pass {name} failed: {said(error)}") from error


def _checked(name: str, what: str, found: Any, kind: type[T]) -> tuple[T, ...]:
    """What a report gave as a tuple, if it is of one kind."""
    several = isinstance(found, Iterable) and not isinstance(found, str | Mapping)
    items: tuple[Any, ...] = _asked(name, what, lambda: tuple(found)) if several else ()
    if not several or not all(isinstance(item, kind) for item in items):
        raise PassError(
            f"The {what} of the report of the pass {name} is {items or found!r}, and it has to be a list of "
            f"traceir.{kind.__name__}."
        )
    return items


# --- plain data ------------------------------------------------------------------------------------------


def to_json(value: Any) -> Any:
    """Plain JSON data of a report: attrs objects become objects, tuples and arrays lists, no finite number null.

    Scalars and arrays of numpy become Python's numbers and lists. SchemaError, naming the field, for what JSON has no
    form of (a set, a module), and for keys of an object that are neither texts nor integers. O(size).
    """
    return _plain(value, "")


def _plain(value: Any, at: str) -> Any:
    kind = type(value)
    if kind in _LEAVES:
        return value
    if isinstance(value, list | tuple):
        if _LEAVES.issuperset(map(type, value)):  # ids and times, of which there may be very many
            return list(value)
        return [_plain(item, f"{at}[{number}]") for number, item in enumerate(value)]
    if isinstance(value, Mapping):
        return {_key(key, at): _plain(item, _dotted(at, str(key))) for key, item in value.items()}
    if attrs.has(kind):
        return {field.name: _plain(getattr(value, field.name), _dotted(at, field.name)) for field in attrs.fields(kind)}
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufU":
        return _plain(value.tolist(), at)
    return _scalar(value, at)


def _scalar(value: Any, at: str) -> Any:
    """A float, or what derives from a plain type, such as a member of a StrEnum."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    for kind in (str, int):
        if isinstance(value, kind):
            return kind(value)
    raise SchemaError(
        f"{f'The field {at}' if at else 'It'} is of type {type(value).__name__}, and it has to be a number, a text, a "
        "bool, None, or a list, dict, numpy array or attrs object of such."
    )


def _dotted(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


def _key(key: object, at: str) -> str:
    if isinstance(key, str | int | np.integer) and not isinstance(key, bool):
        return str(key)
    raise SchemaError(f"The field {at or 'of the report'} has the key {key!r}, and keys have to be texts or integers.")
