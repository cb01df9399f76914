"""What a pattern found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import overload

import attrs
import numpy as np

from traceir.ir import Module, Rows


@attrs.frozen(eq=False)
class Match:
    """One place where a pattern holds: `rows` in order of the sequence, and the rows of each named part.

    `guessed` says that a condition could not be checked, since a value that it compares is not known.
    """

    module: Module = attrs.field(repr=False)
    rows: Rows
    parts: Mapping[str, Rows]
    guessed: bool = False

    def __getitem__(self, name: str) -> Rows:
        """The rows of a named part; none if it is optional and absent here. KeyError for a name of no part."""
        return self.parts[name]

    def row(self, name: str) -> int:
        """The first row of a named part, -1 if it is absent here."""
        rows = self.parts[name]
        return int(rows[0]) if len(rows) else -1

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids of its events."""
        return tuple(self.module["id"][self.rows].tolist())

    @property
    def time_ns(self) -> int:
        """The sum of its events' durations."""
        return int(self.module["dur"][self.rows].sum())


@attrs.frozen(eq=False)
class Matches(Sequence[Match]):
    """All matches of a pattern, in order of their sequences."""

    found: tuple[Match, ...]

    def __len__(self) -> int:
        """How many there are."""
        return len(self.found)

    def __iter__(self) -> Iterator[Match]:
        return iter(self.found)

    @overload
    def __getitem__(self, at: int) -> Match: ...
    @overload
    def __getitem__(self, at: slice) -> Matches: ...
    def __getitem__(self, at: int | slice) -> Match | Matches:
        return Matches(self.found[at]) if isinstance(at, slice) else self.found[at]

    @property
    def rows(self) -> Rows:
        """The rows of all matches, sorted, each once."""
        parts = [match.rows for match in self.found]
        return np.unique(np.concatenate(parts)).astype(np.int32) if parts else np.empty(0, np.int32)
