"""The report of `sync`: what waits, by kind and by who made it wait."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import attrs
import numpy as np

import traceir as tir
from traceir import units
from traceir.ir import Array, Ints, Mask, Module
from traceir_passes.gaps.report import short
from traceir_passes.sync.awaited import PARTS, VERDICTS
from traceir_passes.sync.calls import KINDS

TOP: Final = 20
_ROWS: Final = 6
"""Causes on the page."""
_PLACE: Final = 36
"""Characters of a frame's name on the page."""
_HOST: Final = tuple(kind for kind in KINDS if kind not in ("wait", "poll"))
_WAITS: Final = ("device", "stream", "event")
"""Calls that do nothing but wait: where no work was left, they could have been spared."""


@attrs.frozen(kw_only=True)
class Cost:
    """What some calls cost: `time_ns` is the sum of their lengths, so calls of two threads at once count twice.

    `busy_ns` to `back_ns` are the parts of the calls whose awaited work is known and `unknown_ns` the length of the
    others. `device_idle_ns` is when the calls' devices did nothing, where those are known. `done` and `done_ns` are of
    calls before which all awaited work had ended, `undecided` counts those of which nobody can tell.
    """

    count: int
    time_ns: int
    busy_ns: int
    copy_ns: int
    other_ns: int
    idle_ns: int
    back_ns: int
    unknown_ns: int
    device_idle_ns: int
    done: int
    done_ns: int
    undecided: int


@attrs.frozen(kw_only=True)
class Kind:
    """The calls of one kind."""

    kind: str
    cost: Cost


@attrs.frozen(kw_only=True)
class Cause:
    """The blocking calls of one name that operators of one name made under one frame.

    `operator` is the outermost of those right above the call, `chain` the names from the longest call up to it.
    Operator and frame are null where there is none.
    """

    call: str
    operator: str | None
    chain: str
    frame: str | None
    kind: str
    cost: Cost
    example: int


@attrs.frozen(kw_only=True)
class Waits:
    """The waits of streams for events: how many, of how many the awaited work is known, how long they held up."""

    count: int
    known: int
    time_ns: int
    held_ns: int


@attrs.frozen(kw_only=True)
class Polls:
    """Runs of queries: how many runs, how many queries, and how long the runs are."""

    count: int
    calls: int
    time_ns: int


@attrs.frozen(kw_only=True)
class Call:
    """One blocking call; `call` and `waited_for` are ids of events. Null parts and verdict: unknown."""

    call: int
    kind: str
    start_ns: int
    dur_ns: int
    waited_for: int | None
    basis: str | None
    verdict: str | None
    busy_ns: int | None
    copy_ns: int | None
    other_ns: int | None
    idle_ns: int | None
    back_ns: int | None
    device_idle_ns: int | None
    chain: str


@attrs.frozen
class SyncReport(tir.Report):
    """Blocking calls by kind and by cause, the dearest first. `needless` are those that only wait and had nothing to
    wait for; what they cost is their own overhead."""

    threads: int
    total: Cost
    needless: Cost
    kinds: tuple[Kind, ...]
    causes: tuple[Cause, ...]
    waits: Waits
    polls: Polls
    longest: tuple[Call, ...]

    def headline(self) -> Sequence[tir.Fact]:
        """The time that the host was blocked, and what of it was in vain."""
        if not self.total.count:
            return ()
        threads = f" of {self.threads} threads" if self.threads > 1 else ""
        calls = "1 call" if self.total.count == 1 else f"{units.count(self.total.count)} calls"
        facts = [tir.Fact(f"host blocked in {calls}{threads}", self.total.time_ns, "ns")]
        if self.needless.count:
            facts.append(tir.Fact("needless syncs", self.needless.count))
        return facts

    def blocks(self) -> Sequence[tir.Block]:
        """Who made the host wait, the dearest first."""
        rows = [_row(item) for item in self.causes[:_ROWS]]
        columns = ("operator and call", "calls", "blocked", "device idle", "example", "from")
        return (tir.Block("what the host was blocked in", columns, tuple(rows)),) if rows else ()


def _row(item: Cause) -> tuple[str, ...]:
    cost = item.cost
    place = short(item.frame) if item.frame else "–"
    return (
        f"{item.operator} · {item.call}" if item.operator else item.call,
        units.count(cost.count),
        units.time(cost.time_ns),
        units.time(cost.device_idle_ns),
        f"%{item.example}",
        place if len(place) <= _PLACE else f"{place[: _PLACE - 1]}…",
    )


@attrs.frozen(eq=False)
class _Table:
    module: Module

    def __getitem__(self, name: str) -> Array:
        return self.module[f"sync.{name}"]

    def of(self, *kinds: str) -> Mask:
        return np.isin(self["kind"], [KINDS.index(kind) for kind in kinds])


def build(module: Module) -> SyncReport:
    """The report of a module that `sync` has run over."""
    table = _Table(module)
    host = table.of(*_HOST)
    done = table["verdict"] == VERDICTS.index("done")
    kinds = ((name, np.flatnonzero(table.of(name))) for name in _HOST)
    waits, polls = np.flatnonzero(table.of("wait")), np.flatnonzero(table.of("poll"))
    held = table["held"][waits]
    return SyncReport(
        threads=len(np.unique(module["lane"][table["call"][host]])),
        total=_cost(table, np.flatnonzero(host)),
        needless=_cost(table, np.flatnonzero(done & table.of(*_WAITS))),
        kinds=tuple(Kind(kind=name, cost=_cost(table, rows)) for name, rows in kinds if len(rows)),
        causes=tuple(_causes(table, np.flatnonzero(host))),
        waits=Waits(
            count=len(waits),
            known=int((held != tir.NULL_I64).sum()),
            time_ns=int(table["dur"][waits].sum()),
            held_ns=int(held[held != tir.NULL_I64].sum()),
        ),
        polls=Polls(count=len(polls), calls=int(table["calls"][polls].sum()), time_ns=int(table["dur"][polls].sum())),
        longest=tuple(_longest(table, np.flatnonzero(host))),
    )


def _cost(table: _Table, rows: Array) -> Cost:
    dur, verdict, idle = table["dur"][rows], table["verdict"][rows], table["device_idle"][rows]
    known = table["back"][rows] != tir.NULL_I64
    done = verdict == VERDICTS.index("done")
    parts = {f"{name}_ns": int(table[name][rows][known].sum()) for name in PARTS}
    return Cost(
        count=len(rows),
        time_ns=int(dur.sum()),
        **parts,
        unknown_ns=int(dur[~known].sum()),
        device_idle_ns=int(idle[idle != tir.NULL_I64].sum()),
        done=int(done.sum()),
        done_ns=int(dur[done].sum()),
        undecided=int((verdict < 0).sum()),
    )


def _causes(table: _Table, rows: Array) -> Iterator[Cause]:
    """The causes with most time, at most `TOP`; chain and example are those of the longest call."""
    module, dur = table.module, table["dur"][rows]
    name = np.append(module["name"], -1)
    columns = (*(name[table[of][rows]] for of in ("call", "op", "frame")), table["kind"][rows])
    found, group = np.unique(np.stack(columns).astype(np.int64), axis=1, return_inverse=True)
    group = group.reshape(-1)
    order, time = np.argsort(group, kind="stable"), _sums(group, dur, found.shape[1])
    bounds = np.concatenate([[0], np.cumsum(np.bincount(group, minlength=found.shape[1]))])
    texts = [tuple("" if code < 0 else module.strings[code] for code in keys) for keys in found[:3].T.tolist()]
    for at in sorted(range(len(texts)), key=lambda at: (-int(time[at]), texts[at], int(found[3, at])))[:TOP]:
        mine = rows[order[bounds[at] : bounds[at + 1]]]
        longest = mine[np.argmax(table["dur"][mine])]
        call, operator, frame = texts[at]
        yield Cause(
            call=call,
            operator=operator or None,
            chain=module.strings[int(table["chain"][longest])],
            frame=frame or None,
            kind=KINDS[int(found[3, at])],
            cost=_cost(table, mine),
            example=int(module["id"][table["call"][longest]]),
        )


def _sums(group: Array, values: Ints, count: int) -> Ints:
    out = np.zeros(count, np.int64)
    np.add.at(out, group, values)
    return out


def _longest(table: _Table, rows: Array) -> Iterator[Call]:
    ids = table.module["id"]
    for row in rows[np.argsort(-table["dur"][rows], kind="stable")[:TOP]].tolist():
        waited, basis, verdict = (int(table[name][row]) for name in ("waited_for", "basis", "verdict"))
        parts = {name: int(table[name][row]) for name in (*PARTS, "device_idle")}
        yield Call(
            call=int(ids[table["call"][row]]),
            kind=KINDS[int(table["kind"][row])],
            start_ns=int(table["start"][row]),
            dur_ns=int(table["dur"][row]),
            waited_for=int(ids[waited]) if waited >= 0 else None,
            basis=_name(table, "basis", basis),
            verdict=_name(table, "verdict", verdict),
            **{f"{name}_ns": None if value == tir.NULL_I64 else value for name, value in parts.items()},
            chain=table.module.strings[int(table["chain"][row])],
        )


def _name(table: _Table, column: str, code: int) -> str | None:
    return table.module.annotations[f"sync.{column}"].annotation.values[code] if code >= 0 else None
