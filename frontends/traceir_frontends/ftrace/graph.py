"""The tracer function_graph: calls drawn as a tree, CPU by CPU, back to functions with begin and end."""

from __future__ import annotations

import re
from typing import Final

import attrs

from traceir_frontends.ftrace import spelling
from traceir_frontends.lines import seconds_to_ns

_LEFT: Final = re.compile(rb"\}[;]?[ \t]*+(?:/\*[ \t]*+(?P<name>[^\s*=<]+(?: \[\w+\])?)?.*)?$")
_CALL: Final = re.compile(rb"(?P<name>[^\s(/{};][^({};]*)\(.*?\)(?: \[\w+\])?[ \t]*+(?P<way>[;{])")
_COMMENT: Final = re.compile(rb"/\*(?P<text>.*?)(?:\*/|$)")
_EXIT: Final = re.compile(rb"(?:(?P<mark>[+!#*@$])?[ \t]*+(?P<dur>[\d.]+) us)?[ \t]*+\|(?P<func>.*)")
UNKNOWN: Final = b"[unknown]"
"""The name of a function whose beginning the record does not hold and whose end does not name it."""


@attrs.define(eq=False)
class _Open:
    """A function that was entered: its row, its depth as the indent of its line, its name."""

    row: int
    depth: int
    name: bytes


@attrs.define(eq=False)
class Graph:
    """Functions as they are read, a list per column, in the order of their first lines.

    Where lines have no time of their own, functions follow one another on their CPU: durations are exact, the time
    between functions and a function's own time are not placed. `key` is the thread's number as text, or `cpu:<n>`
    where the record does not say whose the function is.
    """

    start: list[int] = attrs.field(factory=list)
    dur: list[int] = attrs.field(factory=list)
    name: list[bytes] = attrs.field(factory=list)
    key: list[bytes] = attrs.field(factory=list)
    cpu: list[int] = attrs.field(factory=list)
    offset: list[int] = attrs.field(factory=list)
    length: list[int] = attrs.field(factory=list)
    end_offset: list[int] = attrs.field(factory=list)
    """Where the line of a function's end begins, -1 where it has none."""
    end_length: list[int] = attrs.field(factory=list)
    irq: list[bool] = attrs.field(factory=list)
    """Whether the row is an interrupt that the tracer marked, not a function."""
    open: list[int] = attrs.field(factory=list)
    """Rows that were entered and never left, as far as the record says."""
    stray: int = 0
    """Functions that were left but never entered: they began before the record, or in a loss."""
    clocked: int = 0
    clockless: int = 0
    comms: dict[bytes, bytes] = attrs.field(factory=dict)
    _stacks: dict[bytes, list[_Open]] = attrs.field(factory=dict)
    _task: dict[int, bytes] = attrs.field(factory=dict)
    _owner: dict[bytes, bytes] = attrs.field(factory=dict)
    """Whose functions those were that came before a CPU's first banner."""
    _cursor: dict[int, int] = attrs.field(factory=dict)
    _interrupts: dict[int, int] = attrs.field(factory=dict)

    def take(self, line: bytes, offset: int) -> tuple[int, int, bytes, bytes, int] | tuple[()] | None:
        """Take a line. None if it is none of a graph; time, CPU, task, text and place of an event told in a comment."""
        mark = spelling.INTERRUPT.match(line) if b"=====" in line else None
        if mark is not None:
            self._interrupt(mark, offset, len(line))
            return ()
        found = spelling.GRAPH.match(line)
        if found is None:
            return self._banner(line)
        cpu = int(found["cpu"])
        ts = self._time(found["ts"], cpu)
        if found["task"] is not None:
            key = b"0:%d" % cpu if found["pid"] == b"0" else found["pid"]
            self.comms[key] = found["task"].strip()
            self._task[cpu] = key
        else:
            key = self._task.setdefault(cpu, b"cpu:%d" % cpu)
        text = found["func"]
        comment = _COMMENT.match(text.strip())
        if comment:
            said = comment["text"].strip()
            return ts, cpu, key if key[:4] != b"cpu:" else b"", said, found.start("func") + text.find(said)
        self._function(key, cpu, ts, found["dur"], text, offset, len(line), clocked=found["ts"] is not None)
        return ()

    def event(self, key: bytes, cpu: int, ts: int, body: bytes, offset: int, length: int) -> None:
        """Take the fields of trace-cmd's `funcgraph_entry` and `funcgraph_exit`."""
        found = _EXIT.match(body)
        if found is not None:
            self.clocked += 1
            self._function(key, cpu, ts, found["dur"], found["func"], offset, length, clocked=True)

    def lose(self, cpu: int) -> None:
        """Events of a CPU were lost: what is open there ends at an unknown time."""
        task = self._task.get(cpu)
        if task is not None:
            for item in self._stacks.pop(task, []):
                self._unfinished(item.row, self._cursor.get(cpu, 0))

    def finish(self) -> None:
        """Everything is read: what is open stays so, until the end of its CPU's record."""
        for stack in self._stacks.values():
            for item in stack:
                self._unfinished(item.row, self._cursor.get(self.cpu[item.row], 0))
        for row in self._interrupts.values():
            self._unfinished(row, self._cursor.get(self.cpu[row], 0))
        self._stacks, self._interrupts = {}, {}
        self.key = [
            key if irq else self._owner.get(key, key) for key, irq in zip(self.key, self.irq, strict=True)
        ]  # fmt: skip

    def _time(self, text: bytes | None, cpu: int) -> int:
        if text is None:
            self.clockless += 1
            return self._cursor.setdefault(cpu, 0)
        self.clocked += 1
        ts = seconds_to_ns(text) if b"." in text else int(text)
        self._cursor[cpu] = max(self._cursor.get(cpu, ts), ts)
        return ts

    def _function(
        self, key: bytes, cpu: int, ts: int, dur: bytes | None, text: bytes, offset: int, length: int, *, clocked: bool
    ) -> None:
        body = text.lstrip()
        depth = len(text) - len(body)
        ns = None if dur is None else _micros(dur)
        stack = self._stacks.setdefault(key, [])
        if body[:1] == b"}":
            self._leave(stack, key, cpu, ts, ns, depth, body, offset, length, clocked=clocked)
            return
        call = _CALL.match(body)
        name = call["name"].rstrip() if call else body.strip(b" \t\r;{") or UNKNOWN
        while stack and stack[-1].depth >= depth:
            self._unfinished(stack.pop().row, ts)
        start = ts if clocked or not stack else max(ts, self.start[stack[-1].row])
        row = self._row(start, ns or 0, name, key, cpu, offset, length)
        if call is not None and call["way"] == b"{":
            stack.append(_Open(row, depth, name))
            self._cursor[cpu] = max(self._cursor.get(cpu, start), start)
        else:
            self._cursor[cpu] = max(self._cursor.get(cpu, start), start + (ns or 0))

    def _leave(
        self, stack: list[_Open], key: bytes, cpu: int, ts: int, ns: int | None, depth: int, body: bytes, offset: int,
        length: int, *, clocked: bool,
    ) -> None:  # fmt: skip
        found = _LEFT.match(body)
        said = found["name"] if found else None
        while stack and stack[-1].depth > depth:
            self._unfinished(stack.pop().row, ts)
        if stack and stack[-1].depth == depth and said in (None, stack[-1].name):
            row = stack.pop().row
            end = self.start[row] + ns if ns is not None else ts
            self.dur[row] = max(end - self.start[row], 0)
            self.end_offset[row], self.end_length[row] = offset, length
        else:  # it began before the record did
            self.stray += 1
            end = ts if clocked else max(self._cursor.get(cpu, 0), ns or 0)
            self._row(end - (ns or 0), ns or 0, said or UNKNOWN, key, cpu, offset, length)
        self._cursor[cpu] = max(self._cursor.get(cpu, end), end)

    def _row(self, start: int, dur: int, name: bytes, key: bytes, cpu: int, offset: int, length: int) -> int:
        self.start.append(start)
        self.dur.append(dur)
        self.name.append(name)
        self.key.append(key)
        self.cpu.append(cpu)
        self.offset.append(offset)
        self.length.append(length)
        self.end_offset.append(-1)
        self.end_length.append(0)
        self.irq.append(False)
        return len(self.start) - 1

    def _unfinished(self, row: int, at: int) -> None:
        self.dur[row] = max(at - self.start[row], 0)
        self.open.append(row)

    def _banner(self, line: bytes) -> tuple[()] | None:
        found = spelling.SWITCHED.match(line)
        if found is None:
            return None
        cpu = int(found["cpu"])
        before, after = (b"0:%d" % cpu if pid == b"0" else pid for pid in (found["from_pid"], found["to_pid"]))
        nobody = b"cpu:%d" % cpu
        if self._task.get(cpu, nobody) == nobody:
            self._owner.setdefault(nobody, before)
            if nobody in self._stacks:  # what the task of before the banner has open, it goes on with later
                self._stacks[before] = self._stacks.pop(nobody) + self._stacks.get(before, [])
        self.comms.setdefault(before, found["from"])
        self.comms.setdefault(after, found["to"])
        self._task[cpu] = after
        return ()

    def _interrupt(self, found: re.Match[bytes], offset: int, length: int) -> None:
        cpu = int(found["cpu"])
        ts = self._time(found["ts"], cpu)
        if found["way"].endswith(b">"):
            row = self._row(ts, 0, b"interrupt", b"cpu:%d" % cpu, cpu, offset, length)
            self.irq[row] = True
            if cpu in self._interrupts:
                self._unfinished(self._interrupts[cpu], ts)
            self._interrupts[cpu] = row
        elif cpu in self._interrupts:
            row = self._interrupts.pop(cpu)
            self.dur[row] = max(ts - self.start[row], 0)
            self.end_offset[row], self.end_length[row] = offset, length
        else:
            self.stray += 1


def _micros(text: bytes) -> int:
    """Microseconds in decimals as ns, exactly."""
    whole, _, fraction = text.partition(b".")
    return int(whole or b"0") * 1000 + int(fraction[:3].ljust(3, b"0"))
