"""Columns of the rows as they are read: dictionary codes, times, places, and what joins some of them to others."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, Final

import attrs
import numpy as np

from traceir.ir import NULL_I64, Array, Ints, Mask
from traceir_frontends.kineto.classify import Class, classify
from traceir_frontends.kineto.decode import Args, Piece
from traceir_frontends.kineto.repair import Damage

Key = tuple[str, str | None, Any, Any]
_ACTIONS: Final = ("drop", "event", "flow", "meta", "window")
EVENT, FLOW, META, WINDOW = 1, 2, 3, 4
_EMPTY: Final = Args()
JOINS: Final = ("correlation", "external", "on_record", "on_stream", "graph")
_LEAST: Final = 1 << 12
"""Entries by which a column grows at least."""


class Codes(dict[Any, int]):
    """A dictionary that gives each new key the next code."""

    def __missing__(self, key: Any) -> int:
        code = self[key] = len(self)
        return code


@attrs.define(eq=False)
class Growing:
    """A column that grows at its end, in one block of memory that `realloc` mostly moves without a copy."""

    dtype: Any
    length: int = 0
    _block: Array = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._block = np.empty(0, self.dtype)

    @property
    def values(self) -> Array:
        """What has been added; not to be kept while the column still grows."""
        return self._block[: self.length]

    def add(self, values: Array) -> None:
        """Append values. Amortised O(len(values))."""
        end = self.length + len(values)
        if end > len(self._block):
            # views are never kept, so that nobody looks at the old block
            self._block.resize(end + max(end >> 2, _LEAST), refcheck=False)
        self._block[self.length : end] = values
        self.length = end

    def take(self) -> Array:
        """The whole column, which this object lets go."""
        self._block.resize(self.length, refcheck=False)
        out, self._block, self.length = self._block, np.empty(0, self.dtype), 0
        return out


def _i64() -> Growing:
    return Growing(np.int64)


def _i32() -> Growing:
    return Growing(np.int32)


@attrs.define(eq=False)
class Rows:
    """What has been read. Event columns have one entry per row kept; `join` ones one per row in `join_at`.

    `keys` are (phase, category, pid, tid), `names` texts, each with its code; `classes` are the keys' classes.
    """

    damage: Damage
    keys: Codes = attrs.field(factory=Codes)
    names: Codes = attrs.field(factory=Codes)
    classes: list[Class] = attrs.field(factory=list)
    device_args: dict[int, tuple[Any, Any]] = attrs.field(factory=dict)
    """What the first row of a device key says of itself: device and stream."""
    process_names: dict[Any, str] = attrs.field(factory=dict)
    thread_names: dict[tuple[Any, Any], str] = attrs.field(factory=dict)
    window: tuple[int, int] | None = None
    """Start and end of the record as the profiler gives it, ns."""
    id: Growing = attrs.field(factory=_i64)
    key: Growing = attrs.field(factory=_i32)
    name: Growing = attrs.field(factory=_i32)
    ts: Growing = attrs.field(factory=_i64)
    dur: Growing = attrs.field(factory=_i64)
    offset: Growing = attrs.field(factory=_i64)
    length: Growing = attrs.field(factory=_i32)
    join_at: Growing = attrs.field(factory=_i64)
    joins: dict[str, Growing] = attrs.field(factory=lambda: {name: Growing(np.int64) for name in JOINS})
    memory_at: Growing = attrs.field(factory=_i64)
    memory_bytes: Growing = attrs.field(factory=_i64)
    flow_key: Growing = attrs.field(factory=_i32)
    flow_id: Growing = attrs.field(factory=_i64)
    flow_ts: Growing = attrs.field(factory=_i64)
    async_at: Growing = attrs.field(factory=_i64)
    async_id: Growing = attrs.field(factory=_i64)
    _ids: Codes = attrs.field(factory=Codes)
    _action: Array = attrs.field(factory=lambda: np.empty(0, np.int8))
    _joined: Mask = attrs.field(factory=lambda: np.empty(0, bool))
    _waits: Mask = attrs.field(factory=lambda: np.empty(0, bool))
    _memory: Mask = attrs.field(factory=lambda: np.empty(0, bool))
    _paired: Mask = attrs.field(factory=lambda: np.empty(0, bool))
    _timed: Mask = attrs.field(factory=lambda: np.empty(0, bool))

    def add(self, piece: Piece, first: int) -> None:
        """Take the rows of a piece whose first element has the ordinal `first`. O(n), a few passes in C per column."""
        events, n = piece.events, len(piece.events)
        # here and below: a comprehension reads an attribute in half the time that `attrgetter` takes
        places = [(event.ph, event.cat, event.pid, event.tid) for event in events]
        keys = np.fromiter(map(self.keys.__getitem__, places), np.int32, n)
        names = np.fromiter(map(self.names.__getitem__, [event.name for event in events]), np.int32, n)
        self._learn(keys, events)
        action = self._action[keys]
        self._rare(events, piece, action)
        lost = (piece.ts == NULL_I64) & ((action == EVENT) | (action == FLOW))
        if lost.any():
            self.damage.note("no_time", first + int(np.argmax(lost)), int(lost.sum()))
            action = np.where(lost, 0, action)
        at = np.flatnonzero(action == EVENT)
        kept = keys[at]
        base = self.id.length
        self.id.add(at + first)
        self.key.add(kept)
        self.name.add(names[at])
        self.ts.add(piece.ts[at])
        self.dur.add(self._durations(piece.dur[at], kept, at + first))
        self.offset.add(piece.starts[at])
        self.length.add(piece.ends[at] - piece.starts[at])
        self._join(events, at, kept, base)
        self._flows(events, keys, action, piece.ts)

    def _learn(self, keys: Array, events: Sequence[Any]) -> None:
        """Classify keys that are new, and see what device keys say of themselves."""
        known = len(self.classes)
        if len(self.keys) == known:
            return
        for ph, cat, pid, _ in list(self.keys)[known:]:
            self.classes.append(classify(ph, cat, pid))
        new, at = np.unique(keys, return_index=True)
        for code, row in zip(new.tolist(), at.tolist(), strict=True):
            if code >= known and self.classes[code].side == "device":
                args = events[row].args or _EMPTY
                self.device_args[code] = args.device, args.stream
        self._action = np.array([_ACTIONS.index(item.action) for item in self.classes], np.int8)
        self._joined = np.array([item.joins for item in self.classes], bool)
        self._waits = np.array([item.finer in ("wait", "engine") for item in self.classes], bool)
        self._memory = np.array([item.finer == "memory" for item in self.classes], bool)
        self._paired = np.array([item.side == "async" for item in self.classes], bool)
        self._timed = np.array([key[0] == "X" for key in self.keys], bool)

    def _rare(self, events: Sequence[Any], piece: Piece, action: Array) -> None:
        """Names of processes and threads, and the window: rows that are not kept. A loop over these rows only."""
        for row in np.flatnonzero(action == META).tolist():
            event = events[row]
            args = event.args or _EMPTY
            if event.name == "thread_name" and args.name:
                self.thread_names[event.pid, event.tid] = str(args.name)
            elif event.name == "process_name" and args.name:
                self.process_names.setdefault(event.pid, str(args.name))
            elif event.name == "process_labels" and args.labels:
                self.process_names[event.pid] = str(args.labels)
        for row in np.flatnonzero((action == WINDOW) & (piece.ts != NULL_I64) & (piece.dur != NULL_I64)).tolist():
            start, dur = int(piece.ts[row]), int(piece.dur[row])
            self.window = self.window or (start, start + max(dur, 0))

    def _durations(self, dur: Ints, keys: Array, ids: Ints) -> Ints:
        """Durations with none where a row has no extent, and what is missing or negative mended and noted."""
        timed = self._timed[keys]
        missing = timed & (dur == NULL_I64)
        negative = timed & (dur < 0) & ~missing
        for mask, what in ((missing, "no_dur"), (negative, "negative_dur")):
            if mask.any():
                self.damage.note(what, int(ids[np.argmax(mask)]), int(mask.sum()))
        return np.where(timed & (dur > 0), dur, 0)

    def _join(self, events: Sequence[Any], at: Ints, keys: Array, base: int) -> None:
        """Ids that join rows to others, of the rows whose class has any."""
        chosen = np.flatnonzero(self._joined[keys])
        if len(chosen):
            args = [event.args or _EMPTY for event in map(events.__getitem__, at[chosen].tolist())]
            self.join_at.add(chosen + base)
            self.joins["correlation"].add(_ints([item.correlation for item in args]))
            self.joins["external"].add(_ints([item.external for item in args]))
            self.joins["graph"].add(_ints([item.graph for item in args]))
            # only waits have the other two, and most pieces hold none
            nulls = None if self._waits[keys].any() else np.full(len(args), NULL_I64)
            self.joins["on_record"].add(_ints([item.on_record for item in args]) if nulls is None else nulls)
            self.joins["on_stream"].add(_ints([item.on_stream for item in args]) if nulls is None else nulls)
        chosen = np.flatnonzero(self._memory[keys])
        if len(chosen):
            self.memory_at.add(chosen + base)
            self.memory_bytes.add(_ints([(events[row].args or _EMPTY).bytes for row in at[chosen].tolist()]))
        chosen = np.flatnonzero(self._paired[keys])
        if len(chosen):
            self.async_at.add(chosen + base)
            self.async_id.add(self._id_codes([event.id for event in map(events.__getitem__, at[chosen].tolist())]))

    def _flows(self, events: Sequence[Any], keys: Array, action: Array, ts: Ints) -> None:
        at = np.flatnonzero(action == FLOW)
        if len(at):
            self.flow_key.add(keys[at])
            self.flow_ts.add(ts[at])
            self.flow_id.add(self._id_codes([event.id for event in map(events.__getitem__, at.tolist())]))

    def _id_codes(self, ids: list[Any]) -> Ints:
        """Ids as int64: ints as they are, anything else by a code of its own below zero."""
        found = _whole(ids)
        if found is not None:
            return found
        return np.array(
            [value if type(value) is int and 0 <= value < 2**62 else -2 - self._ids[value] for value in ids], np.int64
        )


def _ints(values: list[Any]) -> Ints:
    """Ids as int64, null for what is none; numbers beyond int64 are folded, texts of digits are read."""
    found = _whole(values)
    return found if found is not None else np.fromiter(map(_int, values), np.int64, len(values))


def _whole(values: list[Any]) -> Ints | None:
    """Ints as int64; None if one of the values is something else (a bool, too) or beyond int64."""
    if set(map(type, values)) <= {int}:
        with contextlib.suppress(OverflowError):
            return np.fromiter(values, np.int64, len(values))
    return None


def _int(value: Any) -> int:
    if isinstance(value, str):
        try:
            value = int(value, 0)
        except ValueError:
            return NULL_I64
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return NULL_I64
    return (value + 2**63) % 2**64 - 2**63
