"""One step as a program: host instants with costs, launches, and rows of text whose times and ids are slots.

A program is built once per kind of step and then written for every such step: the times are computed anew, the
text is not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import attrs

from traceir.synth.vocabulary import Op

Space = Literal["host", "start", "end"]
Instant = tuple[Space, int]
"""A time of the step: a host instant, or the start or the end of a launch's device work."""
Counter = Literal["external", "ev", "python", "correlation", "step", "graph"]
COUNTERS: tuple[Counter, ...] = ("external", "ev", "python", "correlation", "step", "graph")


@attrs.frozen
class Ts:
    """A start time."""

    at: Instant


@attrs.frozen
class Dur:
    """A duration between two instants."""

    begin: Instant
    end: Instant


@attrs.frozen
class Id:
    """A number that counts on from step to step."""

    counter: Counter
    offset: int


Slot = Ts | Dur | Id
Part = str | Slot
Row = tuple[Part, ...]


@attrs.frozen
class Launch:
    """Device work: where on the host it was launched, its stream, and the earlier launches that it waits for."""

    op: Op
    stream: int
    call: int
    correlation: int
    after: tuple[int, ...]
    replayed: bool
    layer: int
    orphan: bool = False


@attrs.frozen
class Sync:
    """A host call that returns when a launch's device work is done: the instant of its return, and that launch."""

    returns: int
    launch: int


@attrs.define
class Program:
    """What the builder fills."""

    pid: int
    tid: int
    costs: list[int] = attrs.field(factory=lambda: [0])
    host_rows: list[Row] = attrs.field(factory=list)
    runtime_rows: list[Row] = attrs.field(factory=list)
    device_rows: list[Row] = attrs.field(factory=list)
    launches: list[Launch] = attrs.field(factory=list)
    syncs: list[Sync] = attrs.field(factory=list)
    counts: dict[Counter, int] = attrs.field(factory=lambda: dict.fromkeys(COUNTERS, 0))
    frames: list[int] = attrs.field(factory=list)
    externals: list[int] = attrs.field(factory=list)
    stall_call: int | None = None
    """Index of the launch that a stall delays."""

    def now(self, cost: int) -> int:
        """Let the host work for `cost` ns and name the instant at which it is done."""
        self.costs.append(cost)
        return len(self.costs) - 1

    def count(self, counter: Counter) -> int:
        """The next number of a counter, relative to the step's first."""
        self.counts[counter] += 1
        return self.counts[counter] - 1

    @contextmanager
    def frame(self, name: str, module_id: int | None = None, cost: int = 400) -> Iterator[None]:
        """A python_function row around what is built inside."""
        number = self.count("python")
        parent: Part = Id("python", self.frames[-1]) if self.frames else "null"
        begin = self.now(cost)
        self.frames.append(number)
        yield
        self.frames.pop()
        end = self.now(cost)
        module = () if module_id is None else (f', "Python module id": {module_id}',)
        args: Row = ('"Python parent id": ', parent, ', "Python id": ', Id("python", number), *module, ', "Ev Idx": ')
        self.host_rows.append(self._complete("python_function", name, begin, end, (*args, Id("ev", self.count("ev")))))

    @contextmanager
    def op(self, name: str, args: str = "", category: str = "cpu_op", cost: int = 1_100) -> Iterator[int]:
        """A cpu_op (or annotation) row around what is built inside; yields its External id."""
        external = self.count("external")
        begin = self.now(cost)
        self.externals.append(external)
        yield external
        self.externals.pop()
        end = self.now(cost // 2)
        row: Row = ('"External id": ', Id("external", external), f',"Record function id": 0, {args}"Ev Idx": ')
        self.host_rows.append(self._complete(category, name, begin, end, (*row, Id("ev", self.count("ev")))))

    def memory(self, amount: int, device: int, total: int) -> None:
        """A [memory] row."""
        at = self.now(300)
        self.host_rows.append((
            '  {\n    "ph": "i", "cat": "cpu_instant_event", "s": "t", "name": "[memory]", '
            f'"pid": {self.pid}, "tid": {self.tid},\n    "ts": ', Ts(("host", at)),
            f',\n    "args": {{\n      "Total Reserved": {2 * total}, "Total Allocated": {total}, "Bytes": {amount}, '
            f'"Addr": {0x7F0000000000 + total}, "Device Id": {device}, "Device Type": 1, "Ev Idx": ',
            Id("ev", self.count("ev")), "\n    }\n  },\n",
        ))  # fmt: skip

    def call(self, name: str, number: str, cost: int, *, driver: bool = False, extra: str = "", launches: bool = False
             ) -> tuple[int, int, int]:  # fmt: skip
        """A runtime call: its begin, its end, and its correlation. A call that launches nothing gets a flow end."""
        correlation = self.count("correlation")
        begin = self.now(900)
        end = self.now(cost)
        external: Row = ('"External id": ', Id("external", self.externals[-1]), ", ") if self.externals else ()
        args: Row = (*external, f'{number}, "correlation": ', Id("correlation", correlation), extra)
        category = "cuda_driver" if driver else "cuda_runtime"
        self.runtime_rows.append(self._complete(category, name, begin, end, args))
        self.runtime_rows.append(self._flow("s" if launches else "f", correlation, self.pid, self.tid, ("host", begin)))
        return begin, end, correlation

    def work(self, launch: Launch, stream: int, device: int, category: str, args: Row) -> int:
        """A row of device work with its flow end; returns the launch's index."""
        index = len(self.launches)
        self.launches.append(launch)
        begin: Instant = ("start", index)
        end: Instant = ("end", index)
        head = (f'  {{\n    "ph": "X", "cat": "{category}", "name": {_quoted(launch.op.kernel)}, "pid": {device}, '
                f'"tid": {stream},\n    "ts": ')  # fmt: skip
        self.device_rows.append(
            (head, Ts(begin), ', "dur": ', Dur(begin, end), ',\n    "args": {\n      ', *args, "\n    }\n  },\n")
        )
        self.device_rows.append(self._flow("f", launch.correlation, device, stream, begin))
        return index

    def span(self, category: str, name: Row, pid: int, tid: int, begin: Instant, end: Instant, args: Row) -> Row:
        """A complete row on any lane; `name` is quoted by the caller."""
        head = f'  {{\n    "ph": "X", "cat": "{category}", "name": '
        return (head, *name, f', "pid": {pid}, "tid": {tid},\n    "ts": ', Ts(begin), ', "dur": ', Dur(begin, end),
                ',\n    "args": {\n      ', *args, "\n    }\n  },\n")  # fmt: skip

    def _complete(self, category: str, name: str, begin: int, end: int, args: Row) -> Row:
        return self.span(category, (_quoted(name),), self.pid, self.tid, ("host", begin), ("host", end), args)

    def _flow(self, phase: str, correlation: int, pid: int, tid: int, at: Instant) -> Row:
        bind = ', "bp": "e"' if phase == "f" else ""
        return (f'  {{\n    "ph": "{phase}", "id": ', Id("correlation", correlation), f', "pid": {pid}, "tid": {tid}, '
                '"ts": ', Ts(at), f',\n    "cat": "ac2g", "name": "ac2g"{bind}\n  }},\n')  # fmt: skip


def _quoted(name: str) -> str:
    return json.dumps(name)


def dims_args(dims: Sequence[tuple[int, ...]]) -> str:
    """The args that record_shapes adds to a host op."""
    if not dims:
        return ""
    shapes = json.dumps([list(shape) for shape in dims])
    strides = json.dumps([[*shape[1:], 1] if shape else [] for shape in dims])
    types = json.dumps(["c10::BFloat16" if shape else "Scalar" for shape in dims])
    concrete = json.dumps(["" if shape else "1" for shape in dims])
    return f'"Concrete Inputs": {concrete}, "Input type": {types}, "Input Strides": {strides}, "Input Dims": {shapes}, '
