"""From samples to a module: a lane per thread and event, the samples as marks, their stacks as frames."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import numpy as np

from traceir.errors import InputError
from traceir.ir import Array, Finding, Ints, Lane, Module, ModuleBuilder, Strings
from traceir_frontends.ftrace.fields import fields
from traceir_frontends.lines import LineSource, LineText
from traceir_frontends.perf import spelling
from traceir_frontends.perf.read import NO_TIME, Note, Reading, Sample, Series
from traceir_frontends.stacks import Frame, Stacks

_MISSED: Final = 2
"""Intervals after which a thread's next sample shows that it did not run: one sample at least is missing then."""
_Chains = Sequence[tuple[int, ...]]
_ODD: Final = re.compile(r"[^A-Za-z0-9_.-]+")


@attrs.frozen(eq=False)
class _Marks:
    """Samples and records as columns, in the order of lanes."""

    id: Ints
    name: Array
    kind: Array
    ts: Ints
    lane: Array
    offset: Ints
    length: Ints


def lower(path: str, reading: Reading, text: LineText) -> Module:
    """The module of what was read; InputError if there is no sample. O(n log n)."""
    if not reading.series:
        raise InputError(
            f"The input {path} holds no sample of perf; name the text that `perf script` gives (not perf.data itself)."
        )
    clocked = reading.timed > 0
    stacks = Stacks(path, [Frame(name) for name in reading.frames])
    chains = list(reading.stacks)
    main = _main_event(reading)
    lanes: list[Lane] = []
    marks: list[tuple[int, str, str, int, int, int, int]] = []
    intervals = _intervals(reading) if clocked else {}
    for series, samples in reading.series.items():
        lane = _lane(series, main, reading.comms)
        stacks.begin(lane)
        lanes.append(lane)
        event = series[2].decode("utf-8", "replace")
        placed = [one for one in samples if one.ts != NO_TIME] if clocked else samples
        placed.sort(key=lambda one: one.ts)
        starts = [one.ts for one in placed] if clocked else _counted(placed)
        for one, ts in zip(placed, starts, strict=True):
            marks.append((one.ordinal, event, "os.sample", ts, len(lanes) - 1, one.offset, one.length))
        if not spelling.is_time(event) and series[2] != main:
            continue  # how long a stack was there is not what such samples tell; it is in their arguments
        if clocked:
            _timed(stacks, placed, chains, event, intervals.get(series[2], 1))
        else:
            _untimed(stacks, placed, chains, starts)
    _notes(reading, lanes, marks, clocked)
    return _build(path, reading, text, stacks, lanes, marks, main)


def _main_event(reading: Reading) -> bytes:
    """The event whose lanes bear the thread's name alone: of time if there is one, with most stacks, most samples."""
    counts: dict[bytes, tuple[int, int]] = {}
    empty = reading.stacks.get((), -1)
    for (_, _, event), samples in reading.series.items():
        chains, every = counts.get(event, (0, 0))
        counts[event] = chains + sum(one.stack != empty for one in samples), every + len(samples)
    return max(counts, key=lambda event: (spelling.is_time(event.decode("utf-8", "replace")), *counts[event]))


def _lane(series: Series, main: bytes, comms: Mapping[bytes, bytes]) -> Lane:
    pid, tid, event = series
    told = event.decode("utf-8", "replace")
    thread = f"cpu.t{tid.decode()}"
    comm = comms.get(tid, b"").decode("utf-8", "replace")
    tid, _, cpu = tid.partition(b".")
    if cpu:  # the idle tasks share a number but not a CPU
        comm = f"{comms.get(tid, b'').decode('utf-8', 'replace')}, CPU {cpu.decode()}"
    name, label = (thread, comm) if event == main else (f"{thread}.{_ODD.sub('_', told)}", f"{comm}, {told}")
    return Lane(name, "host.thread", pid=int(pid) if pid else None, tid=int(tid), label=label)


def _intervals(reading: Reading) -> dict[bytes, int]:
    """How long a sample of each event stands for, ns: the usual time between two of one thread."""
    gaps: dict[bytes, list[Ints]] = {}
    for (_, _, event), samples in reading.series.items():
        times = np.sort(np.array([one.ts for one in samples if one.ts != NO_TIME], np.int64))
        gaps.setdefault(event, []).append(np.diff(times))
    out = {}
    for event, parts in gaps.items():
        every = np.concatenate(parts)
        every = every[every > 0]
        out[event] = int(np.median(every)) if len(every) else 1
    return out


def _timed(
    stacks: Stacks, samples: Sequence[Sample], chains: Sequence[tuple[int, ...]], event: str, usual: int
) -> None:
    """Frames last from sample to sample, as long as the thread ran: where samples are missing they end before."""
    clock = spelling.is_clock(event)
    until: int | None = None
    for at, one in enumerate(samples):
        if until is not None and until < one.ts:
            stacks.end(until)
        stacks.become(chains[one.stack], one.ts)
        interval = one.period if clock and one.period > 0 else usual
        following = samples[at + 1].ts if at + 1 < len(samples) else None
        joined = following is not None and following - one.ts < _MISSED * interval
        until = None if joined else one.ts + interval
    stacks.end(until if until is not None else samples[-1].ts if samples else 0)


def _untimed(
    stacks: Stacks, samples: Sequence[Sample], chains: Sequence[tuple[int, ...]], starts: Sequence[int]
) -> None:
    for one, at in zip(samples, starts, strict=True):
        stacks.become(chains[one.stack], at)
    stacks.end(starts[-1] + max(samples[-1].period, 1))


def _counted(samples: Sequence[Sample]) -> list[int]:
    """Places for samples without times: one after another, each as long as its period (1 if it has none)."""
    weights = np.array([max(one.period, 1) for one in samples], np.int64)
    out: list[int] = (np.cumsum(weights) - weights).tolist()
    return out


def _notes(
    reading: Reading, lanes: list[Lane], marks: list[tuple[int, str, str, int, int, int, int]], clocked: bool
) -> None:
    """Records that are no samples, on the lane of their thread; those without a time are counted only."""
    known = {lane.tid: at for at, lane in reversed(list(enumerate(lanes)))}
    for note in reading.notes:
        if note.ts == NO_TIME or not clocked:
            continue
        tid = int(note.tid) if note.tid else -1
        if tid not in known:
            known[tid] = len(lanes)
            lanes.append(_of_note(note, reading.comms))
        marks.append((note.ordinal, note.name, "mark.instant", note.ts, known[tid], note.offset, note.length))


def _of_note(note: Note, comms: Mapping[bytes, bytes]) -> Lane:
    if not note.tid:
        return Lane("perf.records", "derived")
    comm = comms.get(note.tid, b"").decode("utf-8", "replace")
    return Lane(
        f"cpu.t{note.tid.decode()}",
        "host.thread",
        pid=int(note.pid) if note.pid else None,
        tid=int(note.tid),
        label=comm,
    )


def _build(
    path: str, reading: Reading, text: LineText, stacks: Stacks, lanes: Sequence[Lane],
    marks: Sequence[tuple[int, str, str, int, int, int, int]], main: bytes,
) -> Module:  # fmt: skip
    frame, start, end, lane, parent = stacks.columns()
    ids, names, kinds, ts, on, offsets, lengths = zip(*marks, strict=True)
    pool = list(dict.fromkeys([*reading.frames, *names]))
    code = {name: at for at, name in enumerate(pool)}
    words = ["os.sample", "mark.instant", "host.frame"]
    used = sorted({*kinds, *(["host.frame"] if len(frame) else [])}, key=words.index)
    places = np.array(reading.places, np.int64).reshape(-1, 2)
    of_frame = np.array([code[name] for name in reading.frames], np.int32)
    all_ts = np.concatenate([np.array(ts, np.int64), start])
    first = int(all_ts.min())
    n = len(ts)
    return ModuleBuilder(
        name="stdin" if path == "-" else os.path.basename(path),
        strings=Strings(pool),
        lanes=lanes,
        kinds=used,
        id=np.concatenate([np.array(ids, np.int64), reading.ordinal + np.arange(len(frame))]),
        kind=np.concatenate(
            [np.array([used.index(kind) for kind in kinds], np.uint16), np.full(len(frame), len(used) - 1, np.uint16)]
        ),
        name_code=np.concatenate([np.array([code[name] for name in names], np.int32), of_frame[frame]]),
        ts=all_ts - first,
        dur=np.concatenate([np.zeros(n, np.int64), end - start]),
        lane=np.concatenate([np.array(on, np.int32), lane.astype(np.int32)]),
        offset=np.concatenate([np.array(offsets, np.int64), places[frame, 0]]),
        length=np.concatenate([np.array(lengths, np.int64), places[frame, 1]]),
        parent=np.concatenate([np.full(n, -1), np.where(parent >= 0, parent + n, -1)]),
        meta=_meta(reading, first),
        health=_findings(reading, text, all_ts, spelling.is_time(main.decode("utf-8", "replace")), bool(len(frame))),
        source=LineSource(text, "perf", decode),
    ).build()


def _meta(reading: Reading, first: int) -> dict[str, Any]:
    events = list(dict.fromkeys(event.decode("utf-8", "replace") for _, _, event in reading.series))
    clocked = reading.timed > 0
    start = {"clock_start_ns": first} if clocked else {}
    return {"origin_ns": None, "sampled": ", ".join(events), "trace_clock": "boot" if clocked else "none", **start}


def decode(line: bytes, _: bytes) -> Mapping[str, Any]:
    """The arguments of a sample, of a record, or of a frame, from its lines."""
    top = line.partition(b"\n")[0]
    record = spelling.RECORD.match(top) if b"PERF_RECORD_" in top else None
    if record is not None:
        return {"text": _text(record["rest"]).strip(" :")}
    head = spelling.HEAD.match(top)
    if head is None:
        frame = spelling.place_of(top)
        return _frame(frame) if frame else {}
    out: dict[str, Any] = {"command": _text(head["comm"])}
    for key in ("pid", "tid", "cpu", "period"):
        if head[key] is not None:
            out[key] = int(head[key])
    rest = (head["rest"] or b"").strip()
    place = spelling.place_of(rest) if rest else None
    if place is not None and place.symbol:
        return out | _frame(place)
    chain = [found for part in line.split(b"\n")[1:] if (found := spelling.place_of(part))]
    stack = [spelling.shown(found) for found in reversed(chain)]
    return out | (fields(rest) if rest else {}) | ({"stack": stack} if stack else {})


def _frame(place: spelling.Place) -> dict[str, Any]:
    told = {"ip": place.ip, "symbol": place.symbol, "dso": place.dso}
    return {key: _text(value) for key, value in told.items() if value}


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _findings(reading: Reading, text: LineText, ts: Ints, of_time: bool, stacked: bool) -> list[Finding]:
    out: list[Finding] = []

    def found(code: str, level: Any, count: int, message: str) -> None:
        if count:
            out.append(Finding(code, level, count, message))

    found(
        "lost_events", "warning", max(reading.lost, reading.losses),
        f"perf lost {reading.lost} events, as it says itself; record with larger buffers (-m) or a lower rate (-F).",
    )  # fmt: skip
    if text.damage:
        found("truncated", "warning", 1, f"The file is cut: {text.damage}; copy it again from where it was recorded.")
    found(
        "unreadable", "warning", reading.unread,
        f"Left out {reading.unread} lines that are neither sample nor frame, the first in line {reading.first_unread}.",
    )  # fmt: skip
    found(
        "continued", "info", reading.continued,
        f"{reading.continued} lines below frames are no frames; they are kept with their sample (event.raw).",
    )  # fmt: skip
    found("clipped", "warning", reading.clipped, f"Left out {reading.clipped} frames of call chains that are too deep.")
    if not reading.timed:
        found(
            "no_clock", "info", 1,
            "The samples have no times: they are shown one after another, each as long as its period, as ns; add time "
            "to the fields (-F +time).",
        )  # fmt: skip
    elif reading.timeless:
        found("no_time", "warning", reading.timeless, f"Left out {reading.timeless} samples without a time.")
    elif not (ts % 1000).any():
        found(
            "integer_us", "info", len(ts),
            "All times are whole microseconds; order and gaps below 1000 ns are unknown, so use perf script --ns.",
        )  # fmt: skip
    timeless = sum(note.ts == NO_TIME for note in reading.notes) if reading.timed else len(reading.notes)
    found("no_time", "info", timeless, f"Left out {timeless} records that are no samples and have no time.")
    if not stacked:
        found("no_stacks", "info", 1, "The samples have neither call chains nor symbols; record with -g.")
    odd = sum("\N{REPLACEMENT CHARACTER}" in name for name in reading.frames)
    found("repaired", "warning", odd, f"Replaced what is no UTF-8 in {odd} names.")
    if stacked and not of_time:
        found(
            "no_time_event", "warning", 1,
            "The samples are of an event that does not follow time (such as page faults): lengths of frames are times "
            "between events, not time spent; count samples instead, or record cpu-clock or cycles.",
        )  # fmt: skip
    found(
        "sampled_stacks", "info", int(stacked),
        "Frames are what samples saw: a frame lasts from sample to sample of its thread, and ends where samples are "
        "missing because the thread did not run.",
    )  # fmt: skip
    found("no_device", "info", 1, "The trace has no device work; it shows where threads spent their time.")
    return out
