"""Reads the tables that a format describes: columns of times, names and keys, with no object for a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import numpy as np

from traceir.ir import NULL_I64, Array, Ints, Mask
from traceir_frontends.tabular.assembly import Assembly
from traceir_frontends.tabular.database import Database
from traceir_frontends.tabular.describe import Finer, Format, Name, Table
from traceir_frontends.tabular.frame import Frame


@attrs.define(eq=False)
class Texts:
    """The texts of a file by their ids. Ids need not be dense, nor unique: the last one counts."""

    ids: Ints
    texts: list[str | None]
    _by_id: dict[int, str | None] | None = None

    @classmethod
    def read(cls, database: Database, form: Format) -> Texts:
        """All texts of a file; none if it has no table of them."""
        table, id, text = form.strings
        frame = database.read(table, (id, text))
        ids, texts = frame.ints(id), frame.texts(text)
        order = np.argsort(ids, kind="stable")
        last = np.append(ids[order][1:] != ids[order][:-1], True)[: len(order)]
        order = order[last]
        return cls(ids[order], [texts[at] for at in order.tolist()])

    def get(self, id: int) -> str | None:
        """The text of one id, None if there is none. O(1) after the first call."""
        if self._by_id is None:
            self._by_id = dict(zip(self.ids.tolist(), self.texts, strict=True))
        return self._by_id.get(id)

    def of(self, ids: Ints) -> list[str | None]:
        """The texts of some ids, None where there is none. O(n log n)."""
        if not len(self.ids):
            return [None] * len(ids)
        at = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        found = (self.ids[at] == ids) & (ids != NULL_I64)
        return [self.texts[place] if hit else None for place, hit in zip(at.tolist(), found.tolist(), strict=True)]


@attrs.define(eq=False)
class Rows:
    """The rows of one table, ready to become events. `kind` has -1 for those that are to be left out.

    Once they are events, the assembly holds their times, names and kinds; here remain their keys and positions.
    """

    table: Table
    frame: Frame
    start: Ints
    end: Ints
    name: Array
    kind: Array
    keys: dict[str, Ints]
    open: Mask
    at: Ints = attrs.field(factory=lambda: np.empty(0, np.int64))
    """Positions of the events in the assembly once they are added, -1 for rows that are none."""

    def __len__(self) -> int:
        return len(self.frame)

    def key(self, name: str) -> Ints:
        """One of the keys, null where the table has none."""
        return self.keys.get(name, np.full(len(self), NULL_I64))


def read_table(database: Database, table: Table, texts: Texts, assembly: Assembly) -> Rows | None:
    """The rows of a table; None if the file has no such table, or an empty one. O(n log n)."""
    name = database.first_of(*table.names)
    if name is None or database.is_empty(name):
        return None
    frame = database.read(name, table.columns())
    if not len(frame):
        return None
    keys = {}
    for word, part in table.keys.items():
        values = frame.coalesced(*part.columns)
        keys[word] = np.where(values == NULL_I64, NULL_I64, (values >> part.shift) & part.mask)
    codes, kind = _names(frame, table.name, table.finer, texts, assembly, assembly.kind(table.kind))
    kind = _by(frame, table, kind, assembly)
    start = frame.coalesced(*table.start)
    end = frame.coalesced(*table.ends) if table.ends else np.full(len(frame), NULL_I64)
    open_ = np.full(len(frame), table.end == "open")
    if table.opens is not None:
        open_ &= np.isin(frame.ints(table.opens[0]), sorted(table.opens[1]))
    kept = {column: frame.columns[column] for column in table.extra if column in frame}
    return Rows(table, attrs.evolve(frame, columns=kept), start, end, codes, kind, keys, open_)


def add_rows(assembly: Assembly, rows: Rows, lane: Array) -> None:
    """Add rows to the assembly as events, and note where they are."""
    kept = np.flatnonzero(rows.kind >= 0)
    rows.at = np.full(len(rows), -1, np.int64)
    frame = rows.frame
    rows.at[kept] = assembly.add(
        rows.kind[kept], rows.name[kept], rows.start[kept], rows.end[kept], lane[kept],
        table=frame.number, rows=frame.rows[kept], open_ends=rows.open[kept],
    )  # fmt: skip
    rows.start = rows.end = rows.name = rows.kind = rows.open = np.empty(0, np.int64)  # the assembly has them now


def _by(frame: Frame, table: Table, kind: Array, assembly: Assembly) -> Array:
    if table.by is None:
        return kind
    column, words = table.by
    values = frame.ints(column)
    for value, word in words.items():
        kind[values == value] = -1 if word is None else assembly.kind(word)
    return kind


def _names(
    frame: Frame, name: Name, finer: Finer | None, texts: Texts, assembly: Assembly, default: int
) -> tuple[Array, Array]:
    """The code of each row's name and the kind that it tells: each distinct name is looked at once."""
    spelled = Spelled(assembly, finer, default)
    codes = np.full(len(frame), -1, np.int64)
    for column in (column for column in name.ids if column in frame):
        left = np.flatnonzero(codes < 0)
        ids, inverse = np.unique(frame.ints(column)[left], return_inverse=True)
        found = np.array([-1 if text is None else spelled(text) for text in texts.of(ids)], np.int64)
        codes[left] = found[inverse.reshape(-1)]
    for column in (column for column in name.texts if column in frame):
        own = frame.texts(column)
        if name.base is not None:
            own = [None if text is None else name.base(text) for text in own]
        if any(text is not None for text in own):
            known = {text: spelled(text) for text in dict.fromkeys(own) if text is not None}
            mine = np.array([-1 if text is None else known[text] for text in own], np.int64)
            codes = np.where(mine >= 0, mine, codes)
    left = np.flatnonzero(codes < 0)
    if len(left) and name.enums:
        codes[left] = _words(frame, name, left, spelled)
    elif len(left):
        codes[left] = spelled(name.missing)
    return np.array(spelled.shown, np.int32)[codes], np.array(spelled.kinds, np.int64)[codes]


def _words(frame: Frame, name: Name, left: Ints, spelled: Callable[[str], int]) -> Ints:
    values = [frame.ints(enum.column)[left] for enum in name.enums]
    distinct, inverse = np.unique(np.stack(values), axis=1, return_inverse=True)
    made = []
    for row in distinct.T.tolist():
        words = [enum.word(None if value == NULL_I64 else value) for enum, value in zip(name.enums, row, strict=True)]
        made.append(spelled(name.template.format(*(word or "?" for word in words))))
    return np.array(made, np.int64)[inverse.reshape(-1)]


@attrs.define(eq=False)
class Spelled:
    """Names as a file has them, numbered; each with its code in the assembly and the kind that it tells."""

    assembly: Assembly
    finer: Finer | None
    default: int
    shown: list[int] = attrs.field(factory=list)
    kinds: list[int] = attrs.field(factory=list)
    _known: dict[str, int] = attrs.field(factory=dict)

    def __call__(self, text: str) -> int:
        """The number of a name."""
        number = self._known.get(text)
        if number is None:
            number = self._known[text] = len(self.shown)
            shown, kind = (text, "") if self.finer is None else self.finer(text)
            self.shown.append(self.assembly.text(shown))
            self.kinds.append(self.assembly.kind(kind) if kind else self.default)
        return number


def joined(parts: Sequence[Array]) -> Ints:
    """Columns one behind the other, as i64; empty if there is none."""
    return np.concatenate([np.empty(0, np.int64), *(np.asarray(part, np.int64) for part in parts)])
