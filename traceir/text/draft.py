"""What a text says, item by item, before names are resolved and columns are made."""

from __future__ import annotations

from typing import Any

import attrs


class Word(str):
    """A bare word as a value: an enum's value, `true`, `null`, `inf`."""

    __slots__ = ()


class Symbol(str):
    """A name with a sigil as a value: a lane."""

    __slots__ = ()


@attrs.frozen
class Ref:
    """An event's id as a value."""

    id: int


@attrs.frozen
class Quantity:
    """A number with a unit of time as a value, as written."""

    text: str


@attrs.frozen
class Pair:
    """An attribute: a quoted key never names a column. `at` is the offset of the key."""

    key: str
    quoted: bool
    value: Any
    at: int

    @property
    def dotted(self) -> bool:
        """Whether the key is a column's name."""
        return not self.quoted and "." in self.key


Range = tuple[int, int, int]
"""First and last id (inclusive), and the offset where it stands."""


@attrs.frozen
class Clause:
    """How a statement's event is related to others: `parent`, or a kind of edge; `outgoing` if it begins here."""

    relation: str
    outgoing: bool
    ranges: tuple[Range, ...]


@attrs.define
class Statement:
    """One event as written. `at` is the offset of its beginning, `text` what is written."""

    id: int
    kind: str
    quoted: bool
    name: str
    lane: str
    ts: int
    dur: int
    collective: str | None
    clauses: list[Clause]
    pairs: list[Pair]
    dead: bool
    at: int
    text: str


@attrs.frozen
class LaneItem:
    """A lane."""

    name: str
    kind: str
    pairs: list[Pair]
    at: int


@attrs.frozen
class PassItem:
    """A pass that ran: the label that others refer to it by, its word, and its text."""

    label: str
    name: str
    text: str
    at: int


@attrs.frozen
class ColumnItem:
    """The declaration of a column."""

    name: str
    domain: str
    dtype: str
    unit: str
    by: str | None
    pairs: list[Pair]
    at: int


@attrs.frozen
class KindsItem:
    """The kinds that a block's codes stand for."""

    names: list[str]
    at: int


@attrs.frozen
class OrderItem:
    """Rows stand in the order of the text, not in that of time, lane and id."""

    at: int


@attrs.frozen
class ExternItem:
    """Events outside that may be referred to."""

    ranges: list[Range]
    at: int


@attrs.frozen
class HealthItem:
    """A finding."""

    code: str
    level: str
    pairs: list[Pair]
    at: int


@attrs.frozen
class MetaItem:
    """A member of the module's metadata whose value is too large for the header."""

    key: str
    value: Any
    at: int


@attrs.frozen
class RegionItem:
    """A region, with the regions and statements inside it, or with its members listed.

    A member is the lane's name (or None for any lane) and a range of ids.
    """

    name: str
    kind: str
    tree: str | None
    pairs: list[Pair]
    by: str | None
    items: list[Any]
    members: list[tuple[str | None, Range]] | None
    at: int


@attrs.frozen
class BlockItem:
    """A table block: its sort (`events`, `table` …), its table's name where it has one, its columns and rows.

    `rows` is the text between the braces, which begins at the offset `inside`; `at` is that of the name or columns.
    """

    sort: str
    name: str
    columns: list[str]
    rows: str
    inside: int
    at: int


@attrs.frozen
class Draft:
    """A module as written."""

    name: str
    pairs: list[Pair]
    items: list[Any]
    at: int
