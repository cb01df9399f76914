"""The command line as a test calls it, and statements of the text form read by a pattern, not by the parser."""

from __future__ import annotations

import io
import re
import sys

import attrs
import pytest

from traceir.cli.main import main

DECODE = """#[traceir "1"]
module @decode {clock="ns", origin=1731024000000000000, rank=0, world=2} {
  lane @cpu.main : host.thread {pid=1, tid=1};
  lane @gpu0.s7 : dev.stream {device=0, stream=7};
  lane @gpu0.s20 : dev.stream {device=0, stream=20};
  column tree.step : event<id>;
  %0 = host.op("decode") @cpu.main [0 +100000];
  %1 = rt.launch("cudaLaunchKernel") @cpu.main [1000 +4000] in %0;
  %2 = rt.launch("cudaLaunchKernel") @cpu.main [6000 +4000] in %0;
  region @step.0 : step {
    region @step.0.layer.0 : layer {
      %3 = dev.kernel("rms_norm_kernel") @gpu0.s7 [10000 +2000] <- %1;
      %4 = dev.kernel("nvjet_tst_64x64") @gpu0.s7 [12500 +7500] <- %2;
    }
    region @step.0.layer.1 : layer {
      %9 = dev.kernel("ncclDevKernel_AllReduce_Sum_bf16_RING_LL") @gpu0.s20 [21000 +9000] <- %7;
      %8 = dev.kernel("rms_norm_kernel") @gpu0.s7 [30000 +2000] <- %1;
    }
  }
  %7 = rt.launch("cudaLaunchKernel") @cpu.main [11000 +4000] in %0;
}
"""
"""A step of two layers as the printer writes it, with ids out of the order of time and two kernels of one launch."""

_EVENT = re.compile(
    r'^\s*(?P<id>%\d+) = (?:coll\.\w+ of )?(?P<kind>[\w.]+)\("(?P<name>(?:[^"\\]|\\.)*)"\)'
    r" @(?P<lane>[\w.]+) \[(?P<start>-?\d+) \+(?P<length>\d+)\](?: in (?P<parent>%\d+))?(?: <- (?P<launch>%\d+))?"
)


@attrs.frozen
class Event:
    """One line of an event; times in ns, relations by id."""

    id: str
    kind: str
    name: str
    lane: str
    start: int
    length: int
    parent: str | None
    launch: str | None

    @property
    def itself(self) -> tuple[str, str, str, int, int]:
        """What does not depend on what else is printed."""
        return self.kind, self.name, self.lane, self.start, self.length


def events(text: str) -> dict[str, Event]:
    """The events of a text of statements by id, in the order of their lines."""
    found = {}
    for line in text.splitlines():
        match = _EVENT.match(line)
        if match:
            id, kind, name, lane, start, length, parent, launch = match.groups()
            found[id] = Event(id, kind, name, lane, int(start), int(length), parent, launch)
    return found


def regions(text: str) -> dict[str, set[str]]:
    """The ids of the events of each nested region, those of its descendants too, by the region's name."""
    found: dict[str, set[str]] = {}
    open_: list[str] = []
    for line in text.splitlines():
        begin = re.match(r"\s*region @(\S+) : .*\{$", line)
        if begin and not line.rstrip().endswith("};"):
            open_.append(begin[1])
            found[begin[1]] = set()
        elif line.strip() == "}" and open_:
            open_.pop()
        elif event := _EVENT.match(line):
            for name in open_:
                found[name].add(event["id"])
    return found


@attrs.frozen
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str


@attrs.frozen
class Command:
    """Runs command lines in this process."""

    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch

    def __call__(self, *argv: str, stdin: bytes | None = None) -> Done:
        """Run one and say how it ended."""
        with self.monkeypatch.context() as patch:
            if stdin is not None:
                patch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(stdin))))
            self.capsys.readouterr()
            code = main(argv)
        out, err = self.capsys.readouterr()
        return Done(code, out, err)

    def output(self, *argv: str, stdin: bytes | None = None) -> str:
        """Run one that has to succeed without a word on standard error, and give what it printed."""
        done = self(*argv, stdin=stdin)
        assert (done.code, done.err) == (0, "")
        return done.out

    def refusal(self, *argv: str, code: int, stdin: bytes | None = None) -> str:
        """Run one that has to print nothing and fail with a code, and give its message without the prefix."""
        done = self(*argv, stdin=stdin)
        assert (done.code, done.out) == (code, ""), done.err
        assert done.err.startswith("traceir: ")
        return done.err.removeprefix("traceir: ").removesuffix("\n")
