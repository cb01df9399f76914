"""Rows as text: a program becomes one template whose slots are filled, for every step, from columns of numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs
import numpy as np
from numpy.typing import NDArray

from traceir.synth.program import COUNTERS, Counter, Id, Instant, Program, Row, Ts
from traceir.synth.schedule import Times


@attrs.frozen
class Template:
    """The text of a step with `%d` slots, and how the values of the slots come from instants and counters.

    A time takes two values, whole µs and the three digits behind the point, so that no ns is lost.
    """

    text: str
    values: int
    at: NDArray[np.int64]
    """Positions in the values of start times; with `instant`, the instants that they print."""
    instant: NDArray[np.int64]
    dur: NDArray[np.int64]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    ids: NDArray[np.int64]
    counter: NDArray[np.int64]
    offset: NDArray[np.int64]
    rows: int

    def fill(self, times: Times, bases: Mapping[Counter, int]) -> str:
        """The text of one step."""
        instants = np.concatenate([times.host, times.start, times.end])
        values = np.empty(self.values, np.int64)
        starts = instants[self.instant]
        values[self.at], values[self.at + 1] = starts // 1000, starts % 1000
        lengths = instants[self.end] - instants[self.begin]
        values[self.dur], values[self.dur + 1] = lengths // 1000, lengths % 1000
        base = np.array([bases[counter] for counter in COUNTERS], np.int64)
        values[self.ids] = base[self.counter] + self.offset
        return self.text % tuple(values.tolist())


def compile_rows(program: Program, rows: Iterable[Row]) -> Template:
    """Compile rows to a template; instants are numbered host, then starts, then ends of device work."""
    hosts, launches = len(program.costs), len(program.launches)
    first = {"host": 0, "start": hosts, "end": hosts + launches}

    def place(instant: Instant) -> int:
        return first[instant[0]] + instant[1]

    parts: list[str] = []
    at: list[tuple[int, int]] = []
    dur: list[tuple[int, int, int]] = []
    ids: list[tuple[int, int, int]] = []
    values = count = 0
    for row in rows:
        count += 1
        for part in row:
            if isinstance(part, str):
                parts.append(part.replace("%", "%%"))
            elif isinstance(part, Id):
                ids.append((values, COUNTERS.index(part.counter), part.offset))
                parts.append("%d")
                values += 1
            else:
                if isinstance(part, Ts):
                    at.append((values, place(part.at)))
                else:
                    dur.append((values, place(part.begin), place(part.end)))
                parts.append("%d.%03d")
                values += 2
    starts = np.array(at, np.int64).reshape(-1, 2).T
    lengths = np.array(dur, np.int64).reshape(-1, 3).T
    numbers = np.array(ids, np.int64).reshape(-1, 3).T
    return Template(
        "".join(parts), values, at=starts[0], instant=starts[1], dur=lengths[0], begin=lengths[1], end=lengths[2],
        ids=numbers[0], counter=numbers[1], offset=numbers[2], rows=count,
    )  # fmt: skip
