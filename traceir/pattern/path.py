"""Paths: two events and what lies between them, as a dominator pattern has it."""

from __future__ import annotations

import attrs
import numpy as np

from traceir.ir import Array, Ints, Mask, Module, Rows
from traceir.pattern.events import Events
from traceir.pattern.matches import Match, Matches
from traceir.pattern.order import Order, Per
from traceir.pattern.values import of_events

FIRST, BETWEEN, BLOCKERS, LAST = "first", "between", "blockers", "last"


@attrs.frozen
class Path:
    """From a `first` event to the next `last` one, with only `over` between them.

    Between lies what starts after the first has ended and before the last starts: work that ran beside the first
    cannot depend on it. The ends agree in the columns `same`; where one of those is null, ends on one lane may
    still be a pair, which is `guessed`. A `last` belongs to the nearest `first` before it, each to one pair.
    """

    first: Events
    last: Events
    over: Events
    same: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the path reads, each once."""
        return tuple(dict.fromkeys((*self.first.columns, *self.last.columns, *self.over.columns, *self.same)))

    def find(self, module: Module, *, per: Per = "device", within: tuple[str, ...] = ()) -> Matches:
        """The pairs with nothing but `over` between; parts `first`, `between`, `last`. O(n log n)."""
        return Matches(tuple(match for match in self._pairs(module, per, within) if not len(match[BLOCKERS])))

    def blocked(self, module: Module, *, per: Per = "device", within: tuple[str, ...] = ()) -> Matches:
        """The pairs with something else between: the part `blockers` says what. O(n log n)."""
        return Matches(tuple(match for match in self._pairs(module, per, within) if len(match[BLOCKERS])))

    def _pairs(self, module: Module, per: Per, within: tuple[str, ...]) -> list[Match]:
        order = Order.of(module, per, within)
        rows, sequence = order.rows, order.sequence
        if not len(rows):
            return []
        firsts, lasts = self.first.mask(module)[rows], self.last.mask(module)[rows]
        keys, guessed = self._keys(module, rows, sequence)
        begins, ends = _paired(np.flatnonzero(firsts), np.flatnonzero(lasts), keys)
        low = _after(module, rows, sequence, begins)
        fits = self.over.mask(module)[rows]
        out = []
        for begin, start, end in zip(begins.tolist(), low.tolist(), ends.tolist(), strict=True):
            if start > end:
                continue  # the last starts before the first has ended, so it cannot depend on it
            between = rows[start:end]
            parts = {
                FIRST: rows[begin : begin + 1],
                BETWEEN: between,
                BLOCKERS: between[~fits[start:end]],
                LAST: rows[end : end + 1],
            }
            whole = np.concatenate([parts[FIRST], between, parts[LAST]])
            out.append(Match(module, whole, parts, bool(guessed[begin] or guessed[end])))
        return out

    def _keys(self, module: Module, rows: Rows, sequence: Ints) -> tuple[Ints, Mask]:
        """What two ends have in common, as a number per row, and where it is only their lane."""
        unknown = np.zeros(len(rows), bool)
        columns: list[Array] = [sequence]
        for name in self.same:
            values, null = of_events(module, name)
            unknown |= null[rows]
            columns.append(values[rows])
        table = np.stack([column.astype(np.int64) for column in columns])
        table[1:, unknown] = -1
        table = np.vstack([table, np.where(unknown, module["lane"][rows], -1)])
        return np.unique(table, axis=1, return_inverse=True)[1].reshape(-1), unknown


def _paired(firsts: Ints, lasts: Ints, keys: Ints) -> tuple[Ints, Ints]:
    """Each first and the last that follows it before any other first of its key, in order of the firsts."""
    at = np.concatenate([firsts, lasts])
    is_first = np.arange(len(at)) < len(firsts)
    sort = np.lexsort((at, keys[at]))
    at, is_first = at[sort], is_first[sort]
    follows = is_first[:-1] & ~is_first[1:] & (keys[at[:-1]] == keys[at[1:]]) if len(at) else is_first
    here = np.flatnonzero(follows)
    begins, ends = at[here], at[here + 1]
    back = np.argsort(begins, kind="stable")
    return begins[back], ends[back]


def _after(module: Module, rows: Rows, sequence: Ints, begins: Ints) -> Ints:
    """For each position the first position of its sequence whose event starts at or after its end. O(n log n)."""
    starts, ends = module["ts"][rows], module.end[rows[begins]]
    asked = np.append(np.ones(len(rows), bool), np.zeros(len(begins), bool))
    sort = np.lexsort((asked, np.append(starts, ends), np.append(sequence, sequence[begins])))
    before = np.cumsum(asked[sort])
    place = np.empty(len(sort), np.int64)
    place[sort] = before
    return np.maximum(place[len(rows) :], begins + 1)
