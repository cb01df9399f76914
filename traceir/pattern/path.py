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
    """From a `first` event to the next `last` one, with only `over` (None: nothing) between them.

    Between lies what starts after the first has ended and before the last starts: work that ran beside the first
    cannot depend on it. What passes `aside` lies between only on the lanes of the ends: a copy or a message on a
    third stream is on no way from one to the other. The ends agree in the columns `same`; where one of those is
    null, ends on one lane may still be a pair, which is `guessed`. A `last` belongs to the nearest `first` before
    it, each to one pair.
    """

    first: Events
    last: Events
    over: Events | None = None
    same: tuple[str, ...] = ()
    aside: Events | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the path reads, each once."""
        tests = (self.first, self.last, self.over, self.aside)
        own = [name for test in tests if test is not None for name in test.columns]
        return tuple(dict.fromkeys((*own, *self.same)))

    def find(self, module: Module, *, per: Per = "device", within: tuple[str, ...] = ()) -> Matches:
        """The pairs with nothing but `over` between; parts `first`, `between`, `last`. O(n log n)."""
        return self.pairs(module, per=per, within=within)[0]

    def blocked(self, module: Module, *, per: Per = "device", within: tuple[str, ...] = ()) -> Matches:
        """The pairs with something else between: the part `blockers` says what. O(n log n)."""
        return self.pairs(module, per=per, within=within)[1]

    def pairs(self, module: Module, *, per: Per = "device", within: tuple[str, ...] = ()) -> tuple[Matches, Matches]:
        """All pairs in one search: those that `find` gives, and those that `blocked` gives. O(n log n)."""
        found = self._pairs(module, per, within)
        clear = tuple(match for match in found if not len(match[BLOCKERS]))
        return Matches(clear), Matches(tuple(match for match in found if len(match[BLOCKERS])))

    def _pairs(self, module: Module, per: Per, within: tuple[str, ...]) -> list[Match]:
        order = Order.of(module, per, within)
        rows, sequence = order.rows, order.sequence
        if not len(rows):
            return []
        firsts, lasts = (np.flatnonzero(test.mask(module)[rows]) for test in (self.first, self.last))
        ends_at = np.unique(np.concatenate([firsts, lasts]))
        keys, guessed = self._keys(module, rows, sequence, ends_at)
        begins, ends = _paired(firsts, lasts, keys)
        low = _after(module, rows, sequence, begins)
        fits, aside = (
            test.mask(module)[rows] if test is not None else np.zeros(len(rows), bool)
            for test in (self.over, self.aside)
        )
        lane = module["lane"][rows]
        out = []
        for begin, start, end in zip(begins.tolist(), low.tolist(), ends.tolist(), strict=True):
            if start > end:
                continue  # the last starts before the first has ended, so it cannot depend on it
            at = np.arange(start, end)
            if aside[start:end].any():
                at = at[~aside[at] | (lane[at] == lane[begin]) | (lane[at] == lane[end])]
            between = rows[at]
            parts = {
                FIRST: rows[begin : begin + 1],
                BETWEEN: between,
                BLOCKERS: between[~fits[at]],
                LAST: rows[end : end + 1],
            }
            whole = np.concatenate([parts[FIRST], between, parts[LAST]])
            out.append(Match(module, whole, parts, bool(guessed[begin] or guessed[end])))
        return out

    def _keys(self, module: Module, rows: Rows, sequence: Ints, at: Ints) -> tuple[Ints, Mask]:
        """For the positions `at`: what two ends have in common, as a number, and where it is only their lane."""
        unknown = np.zeros(len(at), bool)
        columns: list[Array] = [sequence[at]]
        for name in self.same:
            values, null = of_events(module, name)
            unknown |= null[rows[at]]
            columns.append(values[rows[at]])
        table = np.stack([column.astype(np.int64) for column in columns])
        table[1:, unknown] = -1
        table = np.vstack([table, np.where(unknown, module["lane"][rows[at]], -1)])
        keys, guessed = np.full(len(rows), -1, np.int64), np.zeros(len(rows), bool)
        keys[at], guessed[at] = _numbered(table), unknown
        return keys, guessed


def _numbered(table: Ints) -> Ints:
    """A number for each column of a table, equal where the columns are. O(n log n)."""
    order = np.lexsort(table)
    new = np.append(False, (table[:, order][:, 1:] != table[:, order][:, :-1]).any(axis=0))[: len(order)]
    out = np.empty(len(order), np.int64)
    out[order] = np.cumsum(new)
    return out


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
