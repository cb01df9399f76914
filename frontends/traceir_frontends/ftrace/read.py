"""From lines to rows: who, where, when and what, each a column; bodies only of lines that something is made from."""

from __future__ import annotations

import re
from typing import Any, Final

import attrs

from traceir.loading import Progress
from traceir_frontends.ftrace import spelling
from traceir_frontends.ftrace.graph import Graph
from traceir_frontends.lines import LineText, seconds_to_ns

INSTANT, SWITCH, WAKE, IRQ, SYSCALL, MARK, CALL = range(7)
"""What a row is used for."""
_WAKES: Final = ("sched_wakeup", "sched_wakeup_new")
_MARKS: Final = ("tracing_mark_write", "print", "bprint", "bputs")
_BORDER: Final = re.compile(
    r"(?P<irq>(?:irq_handler|softirq|tasklet|\w+_vector|local_timer|reschedule|spurious_apic|error_apic|irq_work"
    r"|call_function|call_function_single|threshold_apic|deferred_error_apic|thermal_apic|x86_platform_ipi|ipi"
    r"|vector_\w+)_(?P<way>entry|exit))\Z"
)
"""Events of an interrupt's beginning and end."""


def class_of(name: str) -> tuple[int, int]:
    """What an event's name makes of its row, and whether it begins (1) or ends (-1) something (0: neither)."""
    if name == "sched_switch":
        return SWITCH, 0
    if name in _WAKES:
        return WAKE, 0
    if name in _MARKS:
        return MARK, 0
    if name.startswith(("sys_enter", "sys_exit")):
        return SYSCALL, 1 if name.startswith("sys_enter") else -1
    border = _BORDER.match(name)
    if border:
        return IRQ, 1 if border["way"] == "entry" else -1
    return INSTANT, 0


@attrs.define(eq=False)
class Reading:
    """The rows, a list per column, in the order of the file; and what was met on the way.

    `ts` are ns (of latency format and clocks of ticks: as they are scaled), `thread` and `name` codes. `body` are the
    fields of the rows whose class needs them, with their offsets.
    """

    names: dict[bytes, int] = attrs.field(factory=dict)
    threads: dict[bytes, int] = attrs.field(factory=dict)
    """Threads by their numbers as text."""
    comms: dict[bytes, bytes] = attrs.field(factory=dict)
    tgids: dict[bytes, bytes] = attrs.field(factory=dict)
    ts: list[int] = attrs.field(factory=list)
    cpu: list[int] = attrs.field(factory=list)
    thread: list[int] = attrs.field(factory=list)
    name: list[int] = attrs.field(factory=list)
    kind: list[int] = attrs.field(factory=list)
    way: list[int] = attrs.field(factory=list)
    hard: list[bool] = attrs.field(factory=list)
    """Whether an interrupt was being handled, by the line's flags."""
    offset: list[int] = attrs.field(factory=list)
    length: list[int] = attrs.field(factory=list)
    bodies: dict[int, tuple[int, bytes]] = attrs.field(factory=dict)
    """The fields of rows, and where they begin."""
    fresh: list[int] = attrs.field(factory=list)
    """Rows that come first on their CPU after a loss."""
    graph: Graph = attrs.field(factory=Graph)
    tracer: str | None = None
    ticks: int = 0
    seconds: int = 0
    relative: int = 0
    losses: list[tuple[int, int | None]] = attrs.field(factory=list)
    """Losses said in the text: CPU and how many events, if that is said."""
    overwritten: int = 0
    unread: list[int] = attrs.field(factory=list)
    """The first numbers of lines that are no events."""
    unread_count: int = 0
    continued: int = 0
    line: int = 0
    _lost: set[int] = attrs.field(factory=set)
    _classes: list[tuple[int, int]] = attrs.field(factory=list)
    _last: bool = False
    """Whether the line before was an event, which the next one may continue."""

    def read(self, text: LineText, progress: Progress | None = None) -> None:
        """Take all lines of a text. O(bytes)."""
        for base, block in text.blocks(progress):
            offset = base
            # what follows the last newline of a block is the next block's, not an empty line
            for line in block.removesuffix(b"\n").split(b"\n"):
                self.line += 1
                self._take(line, offset)
                offset += len(line) + 1

    def _take(self, line: bytes, offset: int) -> None:
        found = spelling.EVENT.match(line)
        if found is not None:
            self._event(found, line, offset)
            return
        found = spelling.LATENCY.match(line)
        if found is not None:
            self._event(found, line, offset, relative=True)
            return
        if not line.strip() or line[:1] == b"#":
            self._header(line)
            return
        if self._graph(line, offset) or self._loss(line):
            return
        if spelling.CHATTER.match(line):
            return
        if self._last and self.offset:  # the fields of an event may hold newlines, and stacks follow their events
            self.length[-1] = offset + len(line) - self.offset[-1]
            self.continued += 0 if spelling.FRAME.match(line) else 1
            return
        self._unread()

    def _unread(self) -> None:
        self._last = False
        self.unread_count += 1
        if not self.unread:
            self.unread.append(self.line)

    def _header(self, line: bytes) -> None:
        entries = spelling.ENTRIES.match(line)
        if entries:
            self.overwritten += max(int(entries["written"]) - int(entries["kept"]), 0)
        tracer = spelling.TRACER.match(line)
        if tracer and self.tracer is None:
            self.tracer = tracer["tracer"].decode("ascii", "replace")

    def _loss(self, line: bytes) -> bool:
        lost = spelling.LOST.match(line)
        if lost is None:
            return False
        count = lost["n"] or lost["m"]
        cpu = int(lost["cpu"])
        self.losses.append((cpu, int(count) if count else None))
        self._lost.add(cpu)
        self.graph.lose(cpu)
        self._last = False
        return True

    def _graph(self, line: bytes, offset: int) -> bool:
        """Take a line of function_graph, if it is one; events among the functions become rows like any other."""
        told = self.graph.take(line, offset)
        if told is None:
            return False
        self._last = False
        if told:
            at, cpu, task, comment, place = told
            self._add(at, cpu, task, comment, offset, len(line), offset + place, hard=False)
        return True

    def _event(self, found: re.Match[bytes], line: bytes, offset: int, *, relative: bool = False) -> None:
        comm, pid, cpu, flags, time, rest = found.group("comm", "pid", "cpu", "flags", "ts", "rest")
        if relative:
            ts = int(time) * 1000
            self.relative += 1
        elif b"." in time:
            ts = seconds_to_ns(time)
            self.seconds += 1
        else:
            ts = int(time)
            self.ticks += 1
        stack = rest[:1] == b"<" and self._last and spelling.STACK.match(rest)
        if stack and self.threads.get(self._who(pid, int(cpu))) == self.thread[-1]:
            self.length[-1] = offset + len(line) - self.offset[-1]
            return
        if comm[:1] != b"<":
            self.comms[pid] = comm.lstrip()
        if not relative and found["tgid"] and found["tgid"].isdigit():
            self.tgids[pid] = found["tgid"]
        hard = flags is not None and not {*b"hHsZz"}.isdisjoint(flags[2:3])
        self._add(ts, int(cpu), pid, rest, offset, len(line), offset + found.start("rest"), hard=hard)

    @staticmethod
    def _who(pid: bytes, cpu: int) -> bytes:
        """A thread's key: the idle tasks share a number but not a CPU."""
        return b"0:%d" % cpu if pid == b"0" else pid

    def _add(
        self, ts: int, cpu: int, pid: bytes, rest: bytes, offset: int, length: int, place: int, *, hard: bool
    ) -> None:
        rest = rest.rstrip(b"\r")
        named = spelling.NAMED.match(rest)
        body: bytes = b""
        if named is not None:
            name, body = named["name"], named["body"] or b""
            if name in (b"funcgraph_entry", b"funcgraph_exit"):
                self.graph.event(self._who(pid, cpu), cpu, ts, body, offset, length)
                self._last = False
                return
            code = self._name(name)
            kind, way = self._classes[code]
            place += named.start("body") if named["body"] else 0
            if name == b"function" and (called := spelling.CALLED.match(body)):
                code, kind, body = self._name(called["name"]), CALL, b""
        else:
            code, kind, way, body = self._unnamed(rest)
        row = len(self.ts)
        self.ts.append(ts)
        self.cpu.append(cpu)
        who = self._who(pid, cpu)
        self.thread.append(self.threads.setdefault(who, len(self.threads)))
        self.name.append(code)
        self.kind.append(kind)
        self.way.append(way)
        self.hard.append(hard)
        self.offset.append(offset)
        self.length.append(length)
        if kind not in (INSTANT, CALL):
            self.bodies[row] = place, body
        if cpu in self._lost:
            self._lost.discard(cpu)
            self.fresh.append(row)
        self._last = True

    def _unnamed(self, rest: bytes) -> tuple[int, int, int, bytes]:
        """Code, class and way of a line without an event's name: a function, a system call, free text."""
        entered = spelling.SYSCALL_IN.match(rest)
        if entered:
            return self._name(entered["name"]), SYSCALL, 1, b""
        left = spelling.SYSCALL_OUT.match(rest)
        if left:
            return self._name(left["name"]), SYSCALL, -1, b""
        called = spelling.CALLED.match(rest)
        if called:
            return self._name(called["name"]), CALL, 0, b""
        return self._name(rest[:80] or b"(empty)"), INSTANT, 0, b""

    def _name(self, name: bytes) -> int:
        code = self.names.setdefault(name, len(self.names))
        if code == len(self._classes):
            self._classes.append(class_of(name.decode("utf-8", "replace")))
        return code


def text_of(raw: bytes) -> str:
    """A text, with the replacement character for what is no UTF-8."""
    return raw.decode("utf-8", "replace")


Told = tuple[Any, ...]
