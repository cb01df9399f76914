"""A format as data: which table holds which events, and which columns say their times, names, lanes and ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import attrs

Finer = Callable[[str], tuple[str, str]]
"""Of a name as the file has it: the name as it is shown, and the kind if it tells one (else an empty text)."""
Ends = Literal["null", "open", "none"]


@attrs.frozen
class Part:
    """An integer of a row: the first of some columns that is not null, and some bits of it."""

    columns: tuple[str, ...]
    shift: int = 0
    mask: int = -1

    @classmethod
    def of(cls, *columns: str) -> Part:
        """The whole of the first of some columns."""
        return cls(columns)


@attrs.frozen
class Enum:
    """A number that stands for a word; `other` takes the number of one that has none."""

    column: str
    words: Mapping[int, str]
    other: str = "{}"

    def word(self, value: int | None) -> str:
        """The word of a number, of `other` for one that is not known, empty for null."""
        return "" if value is None else self.words.get(value, self.other.format(value))


@attrs.frozen
class Name:
    """How a row is called: a text of its own, else the text of an id, else words of some enumerations.

    `template` has a place for the word of each enumeration, in order; a place is `{}`.
    """

    texts: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    template: str = ""
    enums: tuple[Enum, ...] = ()
    missing: str = "unknown"
    base: Callable[[str], str] | None = None
    """Makes texts of their own that mean the same equal, where each row has another (numbers of operators)."""


How = Literal["one", "list", "sum", "text"]


@attrs.frozen
class Arg:
    """An argument of an event: a column, a list of columns, a sum of columns, or the text that an id stands for."""

    columns: tuple[str, ...]
    how: How = "one"
    enum: Enum | None = None

    def of(self, row: Mapping[str, Any], text: Callable[[int], str | None]) -> Any:
        """The argument of a row; None where the row has nothing of it."""
        if self.how == "one":
            value = None
            for column in self.columns:
                value = row.get(column)
                if value is not None:
                    break
            return value if self.enum is None or not isinstance(value, int) else self.enum.word(value)
        values = [row.get(column) for column in self.columns]
        if self.how == "text":
            return next((text(value) for value in values if isinstance(value, int)), None)
        known = [value for value in values if isinstance(value, int)]
        if self.how == "sum":
            return sum(known) if known else None
        return values if len(known) == len(values) else None


@attrs.frozen(eq=False)
class Table:
    """The events of one table. `names` are its spellings; the first that the file has (with rows) is read.

    `keys` are integers that lanes and joins need, by what the frontend calls them. `lane` names a rule of the format.
    `by` gives another kind to rows by the number in a column (None leaves them out). `end` says what a null end means:
    an event without length, or a range that nobody closed; a row without end column has no length. `args` are the
    arguments as every frontend spells them. `matters` says what is not known without the table.
    """

    names: tuple[str, ...]
    kind: str
    lane: str
    name: Name
    start: tuple[str, ...] = ("start",)
    ends: tuple[str, ...] = ("end",)
    end: Ends = "null"
    keys: Mapping[str, Part] = attrs.field(factory=dict)
    finer: Finer | None = None
    by: tuple[str, Mapping[int, str | None]] | None = None
    opens: tuple[str, frozenset[int]] | None = None
    """A column and its numbers for which a null end means a range that nobody closed (with `end="open"`)."""
    args: Mapping[str, Arg] = attrs.field(factory=dict)
    bare: bool = False
    """Whether events have those arguments alone, and not the row's own columns beside them (samples of counters)."""
    extra: tuple[str, ...] = ()
    """Further columns that the frontend reads itself."""
    matters: str = ""

    def columns(self) -> tuple[str, ...]:
        """All columns that are read for the timeline (arguments are read when somebody looks)."""
        keyed = [column for part in self.keys.values() for column in part.columns]
        named = [*self.name.texts, *self.name.ids, *(enum.column for enum in self.name.enums)]
        special = [self.by[0] if self.by else None, self.opens[0] if self.opens else None]
        return tuple(
            dict.fromkeys(
                column
                for column in (*self.start, *self.ends, *named, *keyed, *special, *self.extra)
                if column is not None
            )
        )


@attrs.frozen(eq=False)
class Format:
    """All tables of a format that hold events, those that it reads for other ends, and where its texts stand."""

    tables: tuple[Table, ...]
    known: frozenset[str]
    """Tables that hold no events of their own, or are read in another way; `*` stands for any ending."""
    strings: tuple[str, str, str]
    """The table of texts, its column of ids, and that of the texts."""
    _of: dict[str, Table] = attrs.field(init=False)
    """Each described table by each of its spellings."""

    @_of.default
    def _spelled(self) -> dict[str, Table]:
        return {name: table for table in self.tables for name in table.names}

    def covers(self, table: str) -> bool:
        """Whether a table of a file is one that the format knows."""
        return table in self._of or any(
            table == word or (word.endswith("*") and table.startswith(word[:-1])) for word in self.known
        )

    def decode(self, table: str, row: Mapping[str, Any], text: Callable[[int], str | None]) -> dict[str, Any]:
        """The arguments of a row by their common spelling, beside the row's own columns."""
        described = self._of.get(table)
        bare = described is not None and described.bare
        out = {} if bare else {column: value for column, value in row.items() if value is not None}
        for key, arg in described.args.items() if described is not None else ():
            value = arg.of(row, text)
            if value is not None:
                out[key] = value
        return out
