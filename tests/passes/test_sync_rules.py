"""What calls waited for, against a plain reading of the rules tick by tick."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.build import Ev, module
from tests.passes.sync_made import ran, rows

SLACK = 2
LANES = ("gpu0.s1", "gpu0.s2", "gpu1.s1")
THREADS = ("cpu.main", "cpu.other")
CALLS = {
    "rt.launch": ("cudaLaunchKernel",),
    "rt.memcpy": ("cudaMemcpy", "hipMemcpyWithStream", "cudaMemcpyAsync"),
    "rt.sync": ("cudaDeviceSynchronize", "cudaStreamSynchronize", "cudaEventSynchronize"),
    "rt.alloc": ("cudaMalloc", "cudaFree", "cudaMallocAsync"),
}


@st.composite
def traces(draw: st.DrawFn) -> list[Ev]:
    """Calls of two threads and what they launched, some work without a launch."""
    out: list[Ev] = []
    for _ in range(draw(st.integers(0, 10))):
        kind = draw(st.sampled_from(sorted(CALLS)))
        name, thread = draw(st.sampled_from(CALLS[kind])), draw(st.sampled_from(THREADS))
        start, dur = draw(st.integers(0, 30)), draw(st.integers(0, 8))
        at = len(out)
        out.append(Ev(kind, name, start, dur, thread))
        if kind in ("rt.launch", "rt.memcpy") and draw(st.booleans()):
            work = "dev.memcpy" if kind == "rt.memcpy" else "dev.kernel"
            after, size = draw(st.integers(0, 8)), draw(st.integers(0, 8))
            out.append(Ev(work, "work", start + after, size, draw(st.sampled_from(LANES)), at))
    for _ in range(draw(st.integers(0, 2))):
        out.append(Ev("dev.kernel", "lone", draw(st.integers(0, 30)), draw(st.integers(0, 8)),
                      draw(st.sampled_from(LANES))))  # fmt: skip
    return out


def end(item: Ev) -> int:
    return item.ts + item.dur


def ticks(items: list[Ev], low: int, high: int) -> int:
    return sum(1 for t in range(low, high) if any(item.ts <= t < end(item) for item in items))


def blocks(item: Ev) -> bool:
    return item.kind in ("rt.sync", "rt.alloc", "rt.memcpy") and "Async" not in item.name


@attrs.frozen
class Reading:
    """What the rules say of a call: the end of what it waited for, and whether there was anything left."""

    kind: str
    until: int | None
    verdict: str | None
    parts: tuple[int, int, int, int, int] | None


def read(call: int, trace: list[Ev]) -> Reading:
    me = trace[call]
    works = [item for item in trace if item.kind.startswith("dev.")]
    kind = {"rt.alloc": "memory", "rt.memcpy": "copy"}.get(me.kind, "")
    kind = kind or next(word for word in ("device", "stream", "event") if word in me.name.lower())
    mine = [item for item in works if item.launch is not None and trace[item.launch].lane == me.lane
            and trace[item.launch].ts < me.ts]  # fmt: skip
    last = max(mine, key=lambda item: (trace[item.launch or 0].ts, order(item, works)), default=None)
    lanes, devices = {item.lane for item in works}, {item.lane[:4] for item in works}
    device = last.lane[:4] if last else (next(iter(devices)) if len(devices) == 1 else None)
    of_device = {lane for lane in lanes if device is not None and lane.startswith(device)}
    lane = last.lane if last else (next(iter(of_device)) if len(of_device) == 1 else None)

    def enqueued(where: str | None) -> Ev | None:
        on = [item for item in works if where is not None and item.lane.startswith(where)]
        known = [item for item in on if item.launch is not None and trace[item.launch].ts < me.ts]
        lone = [item for item in on if item.launch is None and end(item) <= end(me)]
        return max(known + lone, key=end, default=None)

    own = next((item for item in works if kind == "copy" and item.launch == call), None)
    awaited = own if kind == "copy" else None if kind == "event" else enqueued(lane if kind == "stream" else device)
    ran_on = kind != "copy" and awaited is not None and end(awaited) > end(me) + SLACK
    if ran_on and kind == "memory":
        return Reading(kind, None, "done", (0, 0, 0, 0, me.dur))
    latest = awaited is None or ran_on
    if latest and kind in ("stream", "device", "event"):
        over = [item for item in works if device is not None and item.lane.startswith(device) and end(item) <= end(me)]
        awaited = max(over, key=end, default=None)
    if awaited is None:
        return Reading(kind, None, None, None)
    verdict: str | None = "needed" if end(awaited) > me.ts else "done"
    if verdict == "done" and kind == "memory":
        return Reading(kind, None, "done", (0, 0, 0, 0, me.dur))
    if verdict == "needed" and (latest or (kind == "memory" and "Malloc" in me.name)):
        verdict = None
    return Reading(kind, end(awaited), verdict, None)


def order(item: Ev, works: list[Ev]) -> int:
    return works.index(item)


@settings(max_examples=200)
@given(traces())
def test_calls_wait_for_what_the_rules_say(trace: list[Ev]) -> None:
    """Kind, end of the awaited work, verdict and parts of each blocking call are those of the plain reading."""
    found = {row["call"]: row for row in rows(ran(module(trace), slack=SLACK)[0])}
    item = module(trace)
    inside = {
        event.id for event in item.select() if any(blocks(trace[up.id]) for up in event.ancestors)
    }  # fmt: skip
    expected = [at for at, one in enumerate(trace) if blocks(one) and at not in inside]
    assert sorted(found) == expected
    for call in expected:
        me, row, reading = trace[call], found[call], read(call, trace)
        ties = [one for one in trace if one.launch is not None and trace[one.launch].lane == me.lane]
        if len({trace[one.launch or 0].ts for one in ties}) < len(ties):
            continue  # of two launches at one instant nobody can say which was the last
        assert (row["kind"], row["verdict"]) == (reading.kind, reading.verdict), call
        until = None if row["waited_for"] is None else end(trace[row["waited_for"]])
        assert until == reading.until
        parts = tuple(row[name] for name in ("busy", "copy", "other", "idle", "back"))
        if until is None:
            assert parts == (reading.parts or (None,) * 5)
            continue
        awaited = trace[row["waited_for"]]
        stop = min(max(until, me.ts), end(me))
        whole = row["kind"] in ("device", "memory")
        works = [one for one in trace if one.kind.startswith("dev.")]
        near = [one for one in works if one.lane.startswith(awaited.lane[:4])]
        mine = near if whole else [one for one in near if one.lane == awaited.lane]
        copy = ticks([one for one in works if row["kind"] == "copy" and one.launch == call], me.ts, stop)
        busy, all_ = ticks(mine, me.ts, stop), ticks(near, me.ts, stop)
        assert parts == (busy - copy, copy, all_ - busy, stop - me.ts - all_, end(me) - stop)
        assert row["device_idle"] == me.dur - ticks(near, me.ts, end(me))


@given(traces(), st.integers(1, 10**15))
def test_shift_of_all_times_changes_only_starts(trace: list[Ev], shift: int) -> None:
    """Moving the whole trace in time changes nothing but the starts."""
    here = rows(ran(module(trace), slack=SLACK)[0])
    there = rows(ran(module([attrs.evolve(one, ts=one.ts + shift) for one in trace]), slack=SLACK)[0])
    assert there == [{**row, "start": row["start"] + shift} for row in here]


@pytest.mark.parametrize("kind", sorted(CALLS))
def test_no_call_of_a_module_without_work_waits_for_any(kind: str) -> None:
    """Without device work nothing is known of what calls waited for, and nothing fails."""
    found = rows(ran(module([Ev(kind, CALLS[kind][0], 0, 5, "cpu")]))[0])
    assert [row["waited_for"] for row in found] == [None] * (kind != "rt.launch")
