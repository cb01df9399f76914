"""Columns of a timeline's rows as they are read: dictionary codes, times, places, and what joins them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, Final

import attrs
import numpy as np

from traceir.ir import NULL_I64, Array, Ints, Mask
from traceir_frontends.ascend.document import Args
from traceir_frontends.kineto.classify import OWN
from traceir_frontends.kineto.decode import Piece
from traceir_frontends.kineto.repair import Damage
from traceir_frontends.tabular.frame import integers

Key = tuple[str, str | None, Any, Any]
_EMPTY: Final = Args()
_EVENTS: Final = frozenset("XCiI")
_FLOWS: Final = frozenset("stf")
NUMBERS: Final = ("connection", "task", "context", "stream", "part_task", "part_context", "part_stream")


class Codes(dict[Any, int]):
    """A dictionary that gives each new key the next code."""

    def __missing__(self, key: Any) -> int:
        code = self[key] = len(self)
        return code


@attrs.define(eq=False)
class Process:
    """What a timeline says of a process id."""

    name: str = ""
    label: str = ""
    sort: int | None = None


@attrs.define(eq=False)
class Rows:
    """What has been read, in the order of the file. `keys` are (phase, category, pid, tid), each with its code."""

    damage: Damage
    keys: Codes = attrs.field(factory=Codes)
    names: Codes = attrs.field(factory=Codes)
    types: Codes = attrs.field(factory=Codes)
    ids: Codes = attrs.field(factory=Codes)
    """The ids of flows, as opaque texts: some are numbers of more than 64 bits."""
    processes: dict[Any, Process] = attrs.field(factory=dict)
    threads: dict[tuple[Any, Any], str] = attrs.field(factory=dict)
    _parts: dict[str, list[Array]] = attrs.field(factory=dict)

    def add(self, piece: Piece, first: int) -> None:
        """Take the rows of a piece whose first element has the ordinal `first`. O(n)."""
        events = piece.events
        n = len(events)
        places = [(event.ph, event.cat, event.pid, event.tid) for event in events]
        keys = np.fromiter(map(self.keys.__getitem__, places), np.int32, n)
        phases = np.array([self._action(key) for key in self.keys], np.int8)[keys]
        for row in np.flatnonzero(phases == 3).tolist():
            self._meta(events[row])
        lost = (piece.ts == NULL_I64) & np.isin(phases, (1, 2))
        if lost.any():
            self.damage.note("no_time", first + int(np.argmax(lost)), int(lost.sum()))
            phases = np.where(lost, 0, phases)
        self._events(events, piece, keys, np.flatnonzero(phases == 1), first)
        at = np.flatnonzero(phases == 2)
        ids = [self.ids[str(events[row].id)] for row in at.tolist()]
        self._grow(flow_key=keys[at], flow_ts=piece.ts[at], flow_id=np.array(ids, np.int64))

    def take(self, name: str) -> Array:
        """A whole column; empty if nothing was read."""
        parts = self._parts.pop(name, [])
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def _events(self, events: Sequence[Any], piece: Piece, keys: Array, at: Ints, first: int) -> None:
        rows = at.tolist()
        args = [events[row].args or _EMPTY for row in rows]
        dur = self._durations(piece.dur[at], np.array([events[row].ph == "X" for row in rows], bool), at + first)
        self._grow(
            id=at + first,
            key=keys[at],
            name=np.array([self.names[events[row].name] for row in rows], np.int32),
            ts=piece.ts[at],
            dur=dur,
            offset=piece.starts[at],
            length=(piece.ends - piece.starts)[at],
            type=np.array([self.types[_text(item.task_type)] for item in args], np.int32),
            connection=_ints([item.connection for item in args]),
            task=_ints([item.task for item in args]),
            context=_ints([item.context for item in args]),
            stream=_ints([item.old_stream if item.new_stream == NULL_I64 else item.new_stream for item in args]),
            part_task=_ints([item.part_task for item in args]),
            part_context=_ints([item.part_context for item in args]),
            part_stream=_ints([item.part_stream for item in args]),
        )

    def _grow(self, **columns: Array) -> None:
        for name, values in columns.items():
            self._parts.setdefault(name, []).append(values)

    def _action(self, key: Key) -> int:
        """1 for events, 2 for flows, 3 for metadata, 0 for what is not kept."""
        ph, category = key[0], (key[1] or "").lower()
        if ph == "M":
            return 3
        if category.partition(".")[0] == OWN:
            return 0
        return 1 if ph in _EVENTS else 2 if ph in _FLOWS else 0

    def _meta(self, event: Any) -> None:
        args = event.args or _EMPTY
        process = self.processes.setdefault(event.pid, Process())
        if event.name == "thread_name" and args.name:
            self.threads[event.pid, event.tid] = str(args.name)
        elif event.name == "process_name" and args.name:
            process.name = str(args.name)
        elif event.name == "process_labels" and args.labels:
            process.label = str(args.labels)
        elif event.name == "process_sort_index" and isinstance(args.sort_index, int):
            process.sort = args.sort_index

    def _durations(self, dur: Ints, timed: Mask, ids: Ints) -> Ints:
        """Durations; none where a row has no extent, and what is missing or negative is noted."""
        missing, negative = timed & (dur == NULL_I64), timed & (dur < 0) & (dur != NULL_I64)
        for mask, what in ((missing, "no_dur"), (negative, "negative_dur")):
            if mask.any():
                self.damage.note(what, int(ids[np.argmax(mask)]), int(mask.sum()))
        return np.where(timed & (dur > 0), dur, 0)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _ints(values: list[Any]) -> Ints:
    """Ids as int64, null for what is none; most files have nothing but integers there."""
    if set(map(type, values)) <= {int}:
        with contextlib.suppress(OverflowError):
            return np.array(values, np.int64)
    return integers(values)[0]
