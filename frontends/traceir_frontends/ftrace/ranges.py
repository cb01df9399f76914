"""What begins and ends: threads on their CPUs, interrupts, system calls, ranges that programs marked."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise
from typing import Final

import attrs
import numpy as np

from traceir.ir import Array, Ints, Mask
from traceir_frontends.ftrace import read, spelling
from traceir_frontends.ftrace.read import Reading, text_of
from traceir_frontends.kineto.pairs import match

_KEYED: Final = re.compile(rb"(?:irq|vec|vector)=(\w+)")
_SOFTIRQ: Final = re.compile(rb"vec=\d+ \[action=(\w+)\]")
_HANDLER: Final = re.compile(rb"irq=\d+ (?:handler|name)=(\S+)")
_NR: Final = re.compile(rb"NR (-?\d+)")
IDLE: Final = b"0"


@attrs.define(eq=False)
class Work:
    """The rows as arrays, in the order of the file, and what they become.

    `rank` is each row's place in order of time. `kind`, `name` (text), `end` (row or -1) and `keep` are filled in.
    """

    reading: Reading
    ts: Ints
    cpu: Ints
    thread: Ints
    cls: Ints
    way: Ints
    segment: Ints
    """Parts of a CPU's record without a loss in between, numbered."""
    first: Ints
    last: Ints
    """Start and end of each segment."""
    dur: Ints
    keep: Mask
    kind: list[str]
    name: list[str]
    end: Ints
    on_cpu: Mask
    lane: dict[int, tuple[str, str, str]] = attrs.field(factory=dict)
    """Rows that lie on a lane of their own: its kind, name and process."""
    extra: list[tuple[int, int, str, int, int, int]] = attrs.field(factory=list)
    """Threads that ran already when a part began: start, length, name, CPU, offset and length in the text."""
    edges: list[tuple[int, int]] = attrs.field(factory=list)
    open: int = 0
    first_open: int | None = None
    stray: int = 0
    broken: int = 0


def gather(reading: Reading) -> Work:
    """The rows as arrays. O(n log n)."""
    n = len(reading.ts)
    ts, cpu = np.array(reading.ts, np.int64), np.array(reading.cpu, np.int64)
    fresh = np.zeros(n, np.int64)
    fresh[reading.fresh] = 1
    order = np.lexsort((np.arange(n), ts, cpu))
    new = fresh[order]
    if n:
        new[np.append(True, cpu[order][1:] != cpu[order][:-1])] = 1
    numbers = np.cumsum(new) - 1
    segment = np.empty(n, np.int64)
    segment[order] = numbers
    bounds = np.flatnonzero(new)
    starts = ts[order][bounds]
    ends = ts[order][np.append(bounds[1:], n) - 1] if n else starts
    texts = [text_of(name) for name in reading.names]
    cls = np.array(reading.kind, np.int64)
    # What a CPU does for itself, or in an interrupt, is no thread's.
    own = np.array([name.startswith(_CPUS) for name in texts] + [False])
    names = np.array(reading.name, np.int64)
    idle = np.array([who[:2] == b"0:" or not who for who in reading.threads] + [False])
    thread = np.array(reading.thread, np.int64)
    on_cpu = own[names] | idle[thread] | np.array(reading.hard, bool) if n else np.empty(0, bool)
    return Work(
        reading, ts, cpu, thread, cls, np.array(reading.way, np.int64), segment, starts, ends, np.zeros(n, np.int64),
        np.ones(n, bool), ["mark.instant"] * n, [texts[code] for code in reading.name], np.full(n, -1), on_cpu,
    )  # fmt: skip


_CPUS: Final = (
    "sched_", "irq_", "softirq_", "tasklet_", "ipi_", "timer_", "hrtimer_", "tick_", "cpu_", "cpuidle", "power_",
    "clock_", "rcu_", "local_timer", "reschedule_", "call_function", "irq_work", "vector_", "thermal_", "csd_",
)  # fmt: skip
"""Beginnings of the names of events that tell of a CPU rather than of the thread that happens to be on it."""


def find_ranges(work: Work) -> None:
    """Make events with an extent of the rows that begin or end something. O(n log n)."""
    _switches(work)
    _calls(work)
    _bracketed(work, read.IRQ, _irq)
    _bracketed(work, read.SYSCALL, _syscall)
    _marks(work)


def _calls(work: Work) -> None:
    for row in np.flatnonzero(work.cls == read.CALL).tolist():
        work.kind[row] = "os.function"


# --- threads on CPUs -------------------------------------------------------------------------------------------------


def _switches(work: Work) -> None:
    rows = np.flatnonzero(work.cls == read.SWITCH)
    rows = rows[np.lexsort((rows, work.ts[rows], work.segment[rows]))]
    fields = {row: found for row in rows.tolist() if (found := spelling.SWITCH.match(work.reading.bodies[row][1]))}
    rows = rows[[row in fields for row in rows.tolist()]] if len(rows) else rows
    runs: dict[bytes, list[tuple[int, int]]] = {}
    before = -1
    for row in rows.tolist():
        found, segment = fields[row], int(work.segment[row])
        joined = before >= 0 and work.segment[before] == segment
        prev = found["pid"] or found["pid2"]
        if not joined:
            _ran_already(work, row, found, prev, int(work.first[segment]))
        elif (fields[before]["next_pid"] or fields[before]["next_pid2"]) != prev:
            work.broken += 1  # a switch between the two is missing, so when its thread left is not known
            work.dur[before] = 0
        else:
            work.dur[before] = work.ts[row] - work.ts[before]
            work.end[before] = row
        if before >= 0 and not joined:
            _runs_on(work, before)
        following = found["next_pid"] or found["next_pid2"]
        comm = found["next_comm"] or found["next_comm2"]
        work.on_cpu[row] = True
        work.kind[row], work.name[row] = "os.sched", _task(comm, following)
        work.keep[row] = following != IDLE
        if following != IDLE:
            runs.setdefault(following, []).append((int(work.ts[row]), row))
            work.reading.comms.setdefault(following, comm)
        before = row
    if before >= 0:
        _runs_on(work, before)
    _wakes(work, runs)


def _task(comm: bytes, pid: bytes) -> str:
    return f"{text_of(comm)}-{text_of(pid)}"


def _ran_already(work: Work, row: int, found: re.Match[bytes], pid: bytes, since: int) -> None:
    """The thread that leaves first ran from where the part of the record begins."""
    if pid == IDLE or work.ts[row] <= since:
        return
    half = "prev" if found["prev"] is not None else "prev2"
    place = work.reading.bodies[row][0] + found.start(half)
    name = _task(found["comm"] if half == "prev" else found["comm2"], pid)
    work.extra.append((since, int(work.ts[row]) - since, name, int(work.cpu[row]), place, len(found[half])))


def _runs_on(work: Work, row: int) -> None:
    """The last thread of a part runs to its end."""
    work.dur[row] = int(work.last[work.segment[row]]) - int(work.ts[row])


def _wakes(work: Work, runs: dict[bytes, list[tuple[int, int]]]) -> None:
    """A flow from what woke a thread to its next run, if nothing woke or ran it in between."""
    for row in np.flatnonzero(work.cls == read.WAKE).tolist():
        found = spelling.WOKEN.match(work.reading.bodies[row][1])
        if found is not None and (found["pid"] or found["pid2"]) in runs:
            runs[found["pid"] or found["pid2"]].append((int(work.ts[row]), row))
    for items in runs.values():
        items.sort()
        for (_, one), (_, other) in pairwise(items):
            if work.cls[one] == read.WAKE and work.cls[other] == read.SWITCH:
                work.edges.append((one, other))


# --- brackets --------------------------------------------------------------------------------------------------------

Read = Callable[[Work, int], tuple[Hashable, str]]
"""What of a row has to be equal for a begin and an end to belong together, and the name of what they make."""


def _irq(work: Work, row: int) -> tuple[Hashable, str]:
    name, body = work.name[row], work.reading.bodies[row][1]
    base = name.removesuffix("_entry").removesuffix("_exit")
    key = _KEYED.search(body)
    said = _SOFTIRQ.search(body) or _HANDLER.search(body)
    return (int(work.segment[row]), base, key[1] if key else b""), f"{base} {text_of(said[1])}" if said else base


def _syscall(work: Work, row: int) -> tuple[Hashable, str]:
    name, number = work.name[row], _NR.match(work.reading.bodies[row][1])
    if number:
        name = f"syscall {text_of(number[1])}"
    elif name.startswith(("sys_enter_", "sys_exit_")):
        name = "sys_" + name.removeprefix("sys_enter_").removeprefix("sys_exit_")
    return (int(work.thread[row]), name), name


_BRACKETS: Final = {read.IRQ: "os.irq", read.SYSCALL: "os.function"}


def _bracketed(work: Work, cls: int, told: Read) -> None:
    rows = np.flatnonzero(work.cls == cls)
    keys: dict[Hashable, int] = {}
    groups = np.empty(len(rows), np.int64)
    for at, row in enumerate(rows.tolist()):
        key, name = told(work, row)
        groups[at] = keys.setdefault(key, len(keys))
        work.name[row] = name
        if cls == read.IRQ:
            work.on_cpu[row] = True
    _pair(work, rows, groups, work.way[rows] > 0, _BRACKETS[cls])


def _pair(work: Work, rows: Ints, groups: Ints, begins: Mask, kind: str) -> None:
    """Make one event of each begin and its end; ends without a begin stay marks, begins without one last on."""
    if not len(rows):
        return
    found = match(groups, work.ts[rows], begins)
    starts, ends = rows[found.begin], rows[found.end]
    work.dur[starts] = work.ts[ends] - work.ts[starts]
    work.end[starts] = ends
    work.keep[ends] = False
    for row in rows[begins].tolist():
        work.kind[row] = kind
    still = rows[found.open]
    work.dur[still] = _until(work, still) - work.ts[still]
    work.open += len(still)
    if len(still):
        first = int(still[np.argmin(work.ts[still])])
        if work.first_open is None or work.ts[first] < work.ts[work.first_open]:
            work.first_open = first
    work.stray += len(found.stray)


def _until(work: Work, rows: Ints) -> Array:
    """When what was never ended ended at the latest: with its thread, if that exits, else with the record."""
    last = int(work.ts.max())
    exits: dict[int, int] = {}
    code = work.reading.names.get(b"sched_process_exit")
    if code is not None:
        for row in np.flatnonzero(np.array(work.reading.name) == code).tolist():
            exits[int(work.thread[row])] = int(work.ts[row])
    return np.array([max(exits.get(int(work.thread[row]), last), int(work.ts[row])) for row in rows.tolist()], np.int64)


# --- what programs write ---------------------------------------------------------------------------------------------


def _marks(work: Work) -> None:
    ranges: list[tuple[int, int, bool]] = []
    spans: list[tuple[int, Hashable, bool]] = []
    for row in np.flatnonzero(work.cls == read.MARK).tolist():
        text = spelling.MARK.match(work.reading.bodies[row][1])["text"]  # type: ignore[index]
        found = spelling.ATRACE.match(text)
        if found is None or (found["what"] not in b"E" and found["body"] is None):
            if work.name[row] in ("tracing_mark_write", "print") and text:
                work.name[row] = _short(text)
            continue
        work.on_cpu[row] = False
        what, pid, body = found["what"], found["pid"] or b"", found["body"] or b""
        if what in b"BE":
            ranges.append((row, int(work.thread[row]), what == b"B"))
            work.name[row] = _short(body) if what == b"B" else work.name[row]
        elif what in b"SFGH":
            spans.append((row, _async(work, row, what, pid, body), what in b"SG"))
        elif what == b"C":
            work.kind[row], work.name[row] = "ctr.sample", _short(body.rpartition(b"|")[0] or body)
            work.lane[row] = "counter", f"ctr.{work.name[row]}", text_of(pid)
        else:
            work.name[row] = _short(body)
    _pair_listed(work, ranges, "host.range")
    numbers: dict[Hashable, int] = {}
    coded = [(row, numbers.setdefault(key, len(numbers)), begins) for row, key, begins in spans]
    _pair_listed(work, coded, "host.async")


def _async(work: Work, row: int, what: bytes, pid: bytes, body: bytes) -> Hashable:
    """Name and lane of an asynchronous range, and what its two ends have in common."""
    if what in b"SF":
        name, _, cookie = body.rpartition(b"|")
        track, shown = name, name
    else:
        track, _, rest = body.partition(b"|")
        shown, _, cookie = rest.rpartition(b"|")
    work.name[row] = _short(shown or track or cookie)
    work.lane[row] = "derived", f"async.{_short(track or b'range')}", text_of(pid)
    return what in b"SF", pid, track, cookie


def _pair_listed(work: Work, items: Sequence[tuple[int, int, bool]], kind: str) -> None:
    rows = np.array([row for row, _, _ in items], np.int64)
    groups = np.array([group for _, group, _ in items], np.int64)
    _pair(work, rows, groups, np.array([begins for _, _, begins in items], bool), kind)


_NAME_MOST: Final = 160


def _short(text: bytes) -> str:
    shown = text_of(text.strip())
    return shown if len(shown) <= _NAME_MOST else shown[: _NAME_MOST - 1] + "…"
