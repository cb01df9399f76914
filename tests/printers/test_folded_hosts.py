"""The page of a trace without device work: self times with their denominator, runs on CPUs, marks."""

from __future__ import annotations

from traceir.printers import Style
from traceir.printers.folded.hosts import hosts
from traceir.printers.folded.render import render
from traceir.printers.folded.room import ALL, ROOMS, Room
from traceir.text import parse

HEAD = '#[traceir "1"]\nmodule @m {clock="ns"} {\n'


def page(text: str, room: Room = ROOMS[0]) -> list[str]:
    """The lines of the body, 80 columns wide."""
    return list(render(list(hosts(parse(HEAD + text + "}\n"))(room)), Style(width=80)))


FRAMES = """  lane @cpu.t7 : host.thread {pid=1, tid=7, label="main"};
  lane @cpu.t8 : host.thread {pid=1, tid=8};
  lane @os.cpu0 : os.cpu;
  %0 = host.frame("run") @cpu.t7 [0 +100000];
  %1 = host.op("add") @cpu.t7 [10000 +30000] in %0;
  %2 = host.op("add") @cpu.t8 [50000 +20000];
  %3 = os.sched("app-7") @os.cpu0 [0 +60000];
  %4 = os.sched("app-8") @os.cpu0 [60000 +20000];
"""


def test_self_times_and_runs() -> None:
    """Own time, how often, the longest, and where most of it is; shares are of what the lanes were busy."""
    assert page(FRAMES) == [
        "host  self time of frames, calls and ranges; shares are of 120.0 µs on 2 lanes",
        "  name     time   share  count   longest   lane",
        "  run   70.0 µs  58.3 %      1  100.0 µs   @cpu.t7",
        "  add   50.0 µs  41.7 %      2   30.0 µs   @cpu.t7 and 1 more",
        "",
        "CPUs  time of threads on them; shares are of 80.0 µs on 1 lane",
        "  name      time   share  count  longest   lane",
        "  app-7  60.0 µs  75.0 %      1  60.0 µs   @os.cpu0",
        "  app-8  20.0 µs  25.0 %      1  20.0 µs   @os.cpu0",
        "",
    ]


def test_a_screen_holds_the_largest_and_a_sum() -> None:
    """What is left out is summed; `--verbose` leaves nothing out."""
    lanes = "  lane @cpu.t7 : host.thread {tid=7};\n"
    rows = "".join(f'  %{at} = host.op("op{at:02}") @cpu.t7 [{at * 1000} +{at + 1}];\n' for at in range(30))
    short = page(lanes + rows, ROOMS[-1])
    assert short[-2] == "  … 27 more, 378 ns in sum (--verbose)"
    assert [line.split()[0] for line in short[2:5]] == ["op29", "op28", "op27"]
    assert len(page(lanes + rows, ALL)) == 33


def test_counts_are_no_times() -> None:
    """Samples without a clock are numbers."""
    lines = page(
        '  lane @cpu.t7 : host.thread {tid=7};\n  health no_clock : info {count=1, message="none"};\n'
        '  %0 = host.frame("run") @cpu.t7 [0 +185];\n'
    )
    assert lines[0] == "host  self time of frames, calls and ranges; shares are of 185 on 1 lane"
    assert lines[2].split() == ["run", "185", "100.0", "%", "1", "185", "@cpu.t7"]


def test_marks_where_nothing_lasts() -> None:
    """Names and how often they occur."""
    assert page('  lane @os.cpu0 : os.cpu;\n  %0 = mark.instant("wake") @os.cpu0 [0 +0];\n') == [
        "marks  points in time by name; nothing in the trace lasts", "  name  count   lane",
        "  wake      1   @os.cpu0", "",
    ]  # fmt: skip


def test_nothing_at_all() -> None:
    """A module of counters has no such page."""
    assert page('  lane @c : counter;\n  %0 = ctr.sample("c") @c [0 +0];\n') == []
