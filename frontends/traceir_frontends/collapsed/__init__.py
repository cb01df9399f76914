"""Collapsed stacks: a line per stack with how often it was seen, as py-spy and flame-graph scripts write them."""

from __future__ import annotations

import re
from typing import ClassVar, Final

import attrs

from traceir.errors import InputError
from traceir.ir import Finding, Lane, Module
from traceir.loading import Frontend, Head, Progress
from traceir_frontends.stacks import Frame, Stacks
from traceir_frontends.whole import decoded, name_of, read_whole

__all__ = ["Collapsed"]

_COUNT: Final = re.compile(r"[0-9]{1,18}\Z")
_THREAD: Final = re.compile(r"thread \((?P<tid>\w+)\)(?:: (?P<name>.*))?\Z")
_PROCESS: Final = re.compile(r"process (?P<pid>[0-9]{1,18})(?::.*)?\Z")
_TRIED: Final = 64
_MOST: Final = 1 << 62


@attrs.frozen
class Collapsed(Frontend):
    """Collapsed stacks (py-spy raw, flame graphs)."""

    word: ClassVar[str] = "collapsed"

    @classmethod
    def sniff(cls, head: Head) -> float:
        """Middling where every line is frames and a count, and some stack is deeper than one frame."""
        text = head.text.decode("utf-8", "replace")
        lines = [line for line in text.split("\n")[:_TRIED] if line.strip()]
        whole = lines[:-1] if len(lines) > 1 and len(head.text) >= 1 << 16 else lines
        fits = bool(whole) and all(_split(line) for line in whole)
        return 0.6 if fits and any(";" in line for line in whole) else 0.0

    def load(self, path: str, progress: Progress | None = None) -> Module:
        """Read the stacks as frames, one after another in the order of the file; a sample is as long as 1 ns.

        The format has no clock: lengths are counts, and the finding `no_clock` says so. Lines that are none are
        left out and counted. InputError if there is no stack at all.
        """
        raw, damage = read_whole(path)
        text, odd = decoded(raw)
        threads: dict[tuple[str, str], list[tuple[list[int], int]]] = {}
        labels: dict[tuple[str, str], str] = {}
        frames: dict[str, int] = {}
        wrong: list[int] = []
        for number, line in enumerate(text.split("\n"), 1):
            found = _split(line)
            if found is None:
                wrong += [number] if line.strip() else []
                continue
            thread, label, names = _thread(found[0].split(";"))
            labels[thread] = labels.get(thread, "") or label
            stack = [frames.setdefault(name, len(frames)) for name in names]
            threads.setdefault(thread, []).append((stack, found[1]))
        if not threads and damage:
            raise InputError(f"The input {path} is a gzip file that is damaged: {damage}; copy it again.")
        if not threads:
            raise InputError(f"The input {path} holds no collapsed stack; each line has to be frames and a count.")
        stacks = Stacks(path, [Frame(name) for name in frames])
        for thread, rows in threads.items():
            stacks.begin(_lane(*thread, labels[thread]))
            at = 0
            if (total := sum(count for _, count in rows)) > _MOST:
                raise InputError(f"The input {path} counts {total} samples of one thread, which no sampler took.")
            for stack, count in rows:
                stacks.become(stack, at)
                at += count
            stacks.end(at)
        return stacks.build("collapsed", name_of(path), _findings(wrong, odd, damage), {})


def _split(line: str) -> tuple[str, int] | None:
    """The stack of a line and its count, which stands behind the last blank; None if it is no such line. O(length)."""
    parts = line.rsplit(maxsplit=1)
    return (parts[0].strip(), int(parts[1])) if len(parts) == 2 and _COUNT.match(parts[1]) else None


def _thread(names: list[str]) -> tuple[tuple[str, str], str, list[str]]:
    """Process and thread that a stack names in its first frames (empty if none), the thread's label, the frames.

    Where a thread stands alone, it is the frame.
    """
    process = _PROCESS.match(names[0])
    pid, rest = (process["pid"], names[1:] or names) if process else ("", names)
    thread = _THREAD.match(rest[0])
    if thread is None:
        return (pid, ""), "", rest
    return (pid, thread["tid"]), thread["name"] or "", rest[1:] or rest


def _lane(pid: str, tid: str, label: str) -> Lane:
    name = f"cpu.t{tid}" if tid else f"cpu.p{pid}" if pid else "cpu.main"
    return Lane(name, "host.thread", pid=int(pid) if pid else None, tid=tid or None, label=label)


def _findings(wrong: list[int], odd: int, damage: str | None) -> list[Finding]:
    out = [
        Finding(
            "no_clock", "info", 1, "Collapsed stacks have no clock: lengths are numbers of samples, shown as ns, and "
            "their order is that of the file; record with a format that keeps time.",
        )
    ]  # fmt: skip
    if wrong:
        out.append(
            Finding(
                "unreadable", "warning", len(wrong), f"Left out {len(wrong)} lines that are no stack and a count, the "
                f"first in line {wrong[0]}.",
            )
        )  # fmt: skip
    if odd:
        out.append(Finding("repaired", "warning", odd, f"Replaced {odd} characters that are no UTF-8."))
    if damage:
        out.append(Finding("truncated", "warning", 1, f"The gzip file is damaged ({damage}); read up to there."))
    return out
