"""A module without a Chrome source, written from its columns as Kineto would have."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs
import numpy as np

import traceir
from traceir.ir import Array, Ints, Lane, Module
from traceir.printers.chrome.findings import Found
from traceir.printers.chrome.redact import Redactor
from traceir.printers.chrome.text import Sink, all_micros, dumps
from traceir.printers.chrome.tracks import free_pid, meta, rows

CATEGORIES: Final = {
    "host.op": "cpu_op",
    "host.frame": "python_function",
    "host.range": "user_annotation",
    "mark.step": "user_annotation",
    "rt": "cuda_runtime",
    "dev.kernel": "kernel",
    "dev.memcpy": "gpu_memcpy",
    "dev.memset": "gpu_memset",
    "dev.graph": "kernel",
    "dev.range": "gpu_user_annotation",
    "event.record": "cuda_event",
    "event.wait": "cuda_sync",
    "mem": "cpu_instant_event",
}
"""Kineto's category of each kind (or dialect). A kind that it has no word for keeps its own name as category."""
_PHASES: Final = {"mark.instant": "i", "mem.alloc": "i", "mem.free": "i", "ctr.sample": "C", "host.async": "b"}
_PIECE: Final = 1 << 14
"""Events whose arguments are decoded at once."""
_ARROWS: Final = {"launch": "ac2g", "flow": "fwdbwd", "sync": "traceir.sync", "enqueue": "traceir.enqueue"}
"""Categories of arrows. Kineto has none for the last two, which therefore are shown and not read back."""
_JOINS: Final = ("correlation", "External id")
Place = tuple[Any, Any]


def category(kind: str) -> str:
    """The category of a kind."""
    return CATEGORIES.get(kind) or CATEGORIES.get(kind.partition(".")[0]) or kind


def places_of(module: Module) -> list[Place]:
    """Process and thread of each lane: as the source names them, else device and stream, else numbers not in use."""
    taken = {str(number) for lane in module.lanes for number in (lane.pid, lane.device)}
    spare = next(number for number in itertools.count(1) if str(number) not in taken)
    used: set[tuple[bool, Any, Any]] = set()
    out: list[Place] = []
    for at, lane in enumerate(module.lanes):
        device, stream = (lane.device, lane.stream) if lane.is_device else (None, None)
        pid: Any = next(item for item in (lane.pid, device, spare) if item is not None)
        tid: Any = next(item for item in (lane.tid, stream, at) if item is not None)
        while (lane.is_device, pid, tid) in used:  # two lanes of one name have to stay apart
            tid = f"{tid} {lane.name}"
        used.add((lane.is_device, pid, tid))
        out.append((pid, tid))
    return out


def write(module: Module, found: Found, sink: Sink, *, dead: bool, redactor: Redactor | None) -> None:
    """Write the document: metadata, events in order of their ids, edges as arrows, names of lanes, what was found.

    Times are from the module's origin, which is `baseTimeNanoseconds` if it is known. A call and the work that it
    launched share a number of their own as `correlation` and `External id`.
    """
    places = places_of(module)
    if redactor is not None:
        places = [(redactor.place(pid), redactor.place(tid)) for pid, tid in places]
    events = _Events(module, places, np.ones(len(module), bool) if dead else module.live, redactor)
    members = _metadata(module)
    sink.text(_head({**redactor.metadata(members), "traceir": {**members["traceir"], "redacted": True}}
                    if redactor is not None else members))  # fmt: skip
    extra = rows(found.tracks, found.arrows, found.counters, places, free_pid(module), 0)
    elements = itertools.chain(events.elements(), events.arrows(), _names(module.lanes, places, redactor), extra)
    sink.rows(elements, first=True)
    sink.text("\n  ]\n}\n")


def _metadata(module: Module) -> dict[str, Any]:
    source = module.source
    members: dict[str, Any] = {
        "schemaVersion": 1,
        "displayTimeUnit": "ms",
        "traceir": {
            "regenerated": True,
            "from": source.frontend if source is not None else "columns",
            "version": traceir.__version__,
        },
    }
    if module.meta.get("origin_ns") is not None:
        members["baseTimeNanoseconds"] = module.meta["origin_ns"]
    if module.meta.get("devices"):
        members["deviceProperties"] = module.meta["devices"]
    if module.meta.get("rank") is not None:
        members["distributedInfo"] = {"rank": module.meta["rank"], "world_size": module.meta.get("world")}
    return members


def _head(members: Mapping[str, Any]) -> str:
    lines = [f"  {dumps(key)}: {dumps(value)}" for key, value in members.items()]
    return "{\n" + ",\n".join([*lines, '  "traceEvents": [']) + "\n  "


def _names(lanes: Sequence[Lane], places: Sequence[Place], redactor: Redactor | None) -> Iterator[str]:
    """Names of processes and threads."""
    kinds: dict[Any, str] = {}
    for lane, (pid, _) in zip(lanes, places, strict=True):
        kinds.setdefault(pid, f"GPU {pid}" if lane.is_device else "CPU")
    for pid, label in kinds.items():
        yield meta("process_labels", pid, 0, labels=label)
    for lane, (pid, tid) in zip(lanes, places, strict=True):
        if lane.kind != "counter":
            label = lane.label or lane.name
            yield meta("thread_name", pid, tid, name=label if redactor is None else redactor.place(label))


@attrs.define(eq=False)
class _Events:
    """The elements of a module's events."""

    module: Module
    places: Sequence[Place]
    keep: Array
    redactor: Redactor | None
    correlation: Ints = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        src, dst = self._edges("launch")
        self.correlation = np.full(len(self.module), -1, np.int64)
        calls = self.module.is_kind("rt")[src]
        self.correlation[src[calls]] = self.module["id"][src[calls]]
        self.correlation[dst[calls]] = self.module["id"][src[calls]]

    def _edges(self, kind: str) -> tuple[Array, Array]:
        src, dst = self.module.edges(kind)
        both = self.keep[src] & self.keep[dst]
        return src[both], dst[both]

    def elements(self) -> Iterator[str]:
        """The events in order of their ids; an asynchronous one is a begin and an end."""
        module = self.module
        order = np.argsort(module["id"], kind="stable")
        order = order[self.keep[order]]
        cats = [category(kind) for kind in module.kinds]
        if self.redactor is not None:
            cats = [self.redactor.category(cat) for cat in cats]
        heads = [(_PHASES.get(kind, "X"), cat) for kind, cat in zip(module.kinds, cats, strict=True)]
        where = [f'"pid": {dumps(pid)}, "tid": {dumps(tid)}' for pid, tid in self.places]
        texts = {code: dumps(module.strings[code]) for code in np.unique(module["name"][order]).tolist() if code >= 0}
        for low in range(0, len(order), _PIECE):
            chunk = order[low : low + _PIECE]
            columns = zip(
                module["kind"][chunk].tolist(), module["name"][chunk].tolist(), module["lane"][chunk].tolist(),
                module["id"][chunk].tolist(), all_micros(module["ts"][chunk]), all_micros(module["dur"][chunk]),
                all_micros(module.end[chunk]), self._args(chunk), chunk.tolist(), strict=True,
            )  # fmt: skip
            for kind, name, lane, id, ts, dur, end, args, row in columns:
                ph, cat = heads[kind]
                place, text = where[lane], texts.get(name, '""')
                if self.redactor is not None and name >= 0:
                    text = dumps(self.redactor.event_name(row, module.strings[name]))
                if ph == "b":
                    cat = module.lanes[lane].name.removeprefix("async.")
                    cat = cat if self.redactor is None else self.redactor.category(cat)
                body = f'"cat": {dumps(cat)}, "name": {text}, {place}'
                if ph == "X":
                    yield f'{{"ph": "X", {body}, "ts": {ts}, "dur": {dur}{args}}}'
                elif ph == "b":
                    yield f'{{"ph": "b", {body}, "id": {id}, "ts": {ts}{args}}}'
                    yield f'{{"ph": "e", {body}, "id": {id}, "ts": {end}}}'
                else:
                    scope = ', "s": "t"' if ph == "i" else ""
                    yield f'{{"ph": "{ph}", {body}, "ts": {ts}{scope}{args}}}'

    def _args(self, chunk: Array) -> list[str]:
        """The arguments of some events as text: those of the source without its joins, and the joins made here."""
        source, numbers = self.module.source, self.correlation[chunk].tolist()
        given: Sequence[Mapping[str, Any]] = [{}] * len(chunk)
        if source is not None:
            given = source.args(self.module["offset"][chunk], self.module["length"][chunk])
        counters = self.module.is_kind("ctr.sample")[chunk].tolist()
        out = []
        for own, number, counter in zip(given, numbers, counters, strict=True):
            told = own
            if self.redactor is not None:
                told = self.redactor.counter_args(own) if counter else self.redactor.args(own)
            args = {key: value for key, value in told.items() if key not in _JOINS}
            if number >= 0:
                args |= dict.fromkeys(_JOINS, number)
            out.append(f', "args": {dumps(args)}' if args else "")
        return out

    def arrows(self) -> Iterator[str]:
        """Edges as arrows from start to start; ids are numbers of their own, but for launches the correlation."""
        module, number = self.module, 0
        for kind, cat in _ARROWS.items():
            src, dst = self._edges(kind)
            ids = self.correlation[dst].tolist() if kind == "launch" else []
            started: set[int] = set()
            for at, (one, other) in enumerate(zip(src.tolist(), dst.tolist(), strict=True)):
                number += 1
                id = ids[at] if ids and ids[at] >= 0 else len(module) + number
                if id not in started:
                    yield self._point("s", cat, id, one)
                    started.add(id)
                yield self._point("f", cat, id, other)

    def _point(self, ph: str, cat: str, id: int, row: int) -> str:
        pid, tid = self.places[int(self.module["lane"][row])]
        ts = all_micros(self.module["ts"][row : row + 1])[0]
        bound = ', "bp": "e"' if ph == "f" else ""
        return (
            f'{{"ph": "{ph}", "cat": "{cat}", "name": "{cat}", "id": {id}, "pid": {dumps(pid)}, "tid": {dumps(tid)}, '
            f'"ts": {ts}{bound}}}'
        )
