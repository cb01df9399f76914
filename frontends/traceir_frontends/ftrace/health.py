"""What is wrong with a text of ftrace, as far as reading it shows: a finding per code, each one sentence and a mend."""

from __future__ import annotations

from typing import Any

from traceir.ir import Finding, Ints
from traceir_frontends.ftrace.ranges import Work
from traceir_frontends.ftrace.read import Reading, text_of
from traceir_frontends.lines import LineText


def ticks(reading: Reading) -> bool:
    """Whether the clock counts something else than time."""
    return reading.ticks > reading.seconds + reading.relative


def clockless(reading: Reading) -> bool:
    """Whether functions have durations, but no times."""
    return reading.graph.clockless > 0


def findings(
    reading: Reading, work: Work, text: LineText, ts: Ints, dur: Ints, first_open: int | None
) -> list[Finding]:
    """What is wrong with a text of ftrace, a finding per code; `ts` and `dur` are those of the events made."""
    out: list[Finding] = []

    def found(code: str, level: Any, count: int, message: str, first: int | None = None) -> None:
        if count:
            out.append(Finding(code, level, count, message, first))

    between = sum(count or 0 for _, count in reading.losses)
    uncounted = sum(count is None for _, count in reading.losses)
    parts = [f"{reading.overwritten} before the first that is here"] if reading.overwritten else []
    if between:
        parts.append(f"{between} between those that are here")
    if uncounted:
        parts.append(f"an unknown number {_times(uncounted)}")
    found(
        "lost_events", "warning", reading.overwritten + between + uncounted,
        f"The tracer lost events, as it says itself: {', '.join(parts)}; record with a larger buffer (buffer_size_kb), "
        "or fewer kinds of events.",
    )  # fmt: skip
    if text.damage:
        found("truncated", "warning", 1, f"The file is cut: {text.damage}; copy it again from where it was recorded.")
    where = f", the first in line {reading.unread[0]}" if reading.unread else ""
    found(
        "unreadable", "warning", reading.unread_count,
        f"Left out {reading.unread_count} lines that are no events{where}; a cut or mixed-up file has such lines.",
    )  # fmt: skip
    found(
        "continued", "info", reading.continued,
        f"{reading.continued} lines that are no events of their own are kept with the event before them (event.raw).",
    )  # fmt: skip
    found(
        "open_events", "info", work.open + len(reading.graph.open),
        f"{work.open + len(reading.graph.open)} ranges or calls are never ended; they last to the end of the record, "
        "of their thread, or to where events were lost.", first_open,
    )  # fmt: skip
    found(
        "stray_end", "info", work.stray + reading.graph.stray,
        f"{work.stray + reading.graph.stray} ends have no beginning in the record, which starts in the middle of "
        "things: a function is as long as its end says, all others are kept as marks.",
    )  # fmt: skip
    found(
        "missing_switches", "warning", work.broken,
        f"{work.broken} times a CPU goes on with another thread than it was given to: switches are missing, so how "
        "long those threads ran is unknown and shown as 0 ns.",
    )  # fmt: skip
    if ticks(reading):
        found(
            "no_clock", "warning", 1,
            "Times are ticks of a counter (the clock x86-tsc or counter), shown as ns although they are none; record "
            "with trace_clock mono.",
        )  # fmt: skip
    elif reading.ticks and reading.seconds:
        found("mixed_clocks", "warning", reading.ticks, "Some times are seconds and others ticks; order means nothing.")
    if clockless(reading):
        found(
            "no_clock", "warning", reading.graph.clockless,
            "The function graph has no times of its own: durations are exact, but functions are shown one after "
            "another on their CPU; record with the option funcgraph-abstime.",
        )  # fmt: skip
    elif not ticks(reading) and len(ts) and not (ts % 1000).any() and not (dur % 1000).any():
        found(
            "integer_us", "info", len(ts),
            "All times are whole microseconds, as ftrace prints them; order and gaps below 1000 ns are unknown.",
        )  # fmt: skip
    odd = sum(name.count("\N{REPLACEMENT CHARACTER}") > 0 for name in map(text_of, reading.names))
    found("repaired", "warning", odd, f"Replaced what is no UTF-8 in {odd} names.")
    found(
        "no_device", "info", 1,
        "The trace has no device work; it shows what the kernel and its threads did.",
    )  # fmt: skip
    return out


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
