"""How ftrace spells its lines: events with and without flags, latency format, graphs of functions, losses."""

from __future__ import annotations

import re
from typing import Final

# Blanks are taken possessively and names are bounded: no line, however odd, may take longer than its length.
EVENT: Final = re.compile(
    rb"[ \t]*+(?P<comm>.{0,64}?)-(?P<pid>\d{1,10})[ \t]++(?:\([ \t]*+(?P<tgid>[-\d]{1,10})\)[ \t]++)?"
    rb"\[(?P<cpu>\d{1,5})\][ \t]++(?:(?P<flags>[^\s:]{3,8})[ \t]++)?(?P<ts>\d{1,18}(?:\.\d{1,12})?):[ \t]++(?P<rest>.*)"
)
"""A line of an event. The task may hold blanks and dashes; flags are three to six columns or none."""
LATENCY: Final = re.compile(
    rb"[ \t]*+(?P<comm>.{0,64}?)-(?P<pid>\d{1,10})[ \t]++(?P<cpu>\d{1,4}?)(?P<flags>[.dDNnBbpshHzZ0-9#]{4,6})[ \t]++"
    rb"(?P<ts>\d{1,15})us(?P<mark>[^\s:\d]?)[ \t]*+:[ \t]++(?P<rest>.*)"
)
"""The same with the option `latency-format`: microseconds from the beginning of the record."""
GRAPH: Final = re.compile(
    rb"[ \t]*+(?:(?P<ts>\d{1,18}(?:\.\d{1,12})?) \|[ \t]*+)?(?P<cpu>\d{1,5})\)[ \t]*+"
    rb"(?:(?P<task>\S.{0,63}?)-(?P<pid>\d{1,10})[ \t]*+\|[ \t]*+)?"
    rb"(?:(?P<flags>[.dDNnBbpshHzZ0-9#]{3,8})[ \t]*+\|)?[ \t]*+"
    rb"(?:(?P<mark>[+!#*@$])?[ \t]*+(?P<dur>\d{1,12}(?:\.\d{1,6})?) us)?[ \t]*+\|(?P<func>.*)"
)
"""A line of the tracer function_graph; `func` keeps its indent."""
INTERRUPT: Final = re.compile(
    rb"[ \t]*+(?:(?P<ts>\d{1,18}(?:\.\d{1,12})?) \|[ \t]*+)?(?P<cpu>\d{1,5})\)[ \t].{0,200}?"
    rb"(?P<way>={5,40}>|<={5,40})[ \t]*+\|"
)
"""Where function_graph says that an interrupt began (`==>`) or ended (`<==`)."""
SWITCHED: Final = re.compile(
    rb"[ \t]*+(?P<cpu>\d{1,5})\)[ \t]++(?P<from>\S.{0,63}?)-(?P<from_pid>\d+)"
    rb"[ \t]++=>[ \t]++(?P<to>\S.{0,63}?)-(?P<to_pid>\d+)"
)
"""The banner of function_graph where a CPU goes on with another task."""
LOST: Final = re.compile(
    rb"CPU:[ \t]*+(?P<cpu>\d{1,5}) \[(?:LOST (?P<n>\d{1,18}) EVENTS|(?:(?P<m>\d{1,18}) )?EVENTS DROPPED)\]"
)
ENTRIES: Final = re.compile(rb"# entries-in-buffer/entries-written: (?P<kept>\d{1,18})/(?P<written>\d{1,18})")
TRACER: Final = re.compile(rb"# tracer: (?P<tracer>\S+)")
CHATTER: Final = re.compile(
    rb"#|version = \d|cpus=\d|CPU \d+ is empty|[ \t]*+[-=]{8,}\s*$|[\w-]+ latency trace v|trace-cmd|\s*$"
)
"""Lines that are no events and say nothing that is kept: headers, rules."""
NAMED: Final = re.compile(rb"(?P<name>[A-Za-z_\x80-\xff][\w.\x80-\xff-]{0,127}):(?:[ \t]++(?P<body>.*)|$)")
"""The rest of a line: an event and its fields."""
CALLED: Final = re.compile(rb"(?P<name>[^\s:][^:<]{0,255}?)[ \t]++<--?[ \t]?(?P<caller>\S.*)")
"""The rest of a line of the tracer function."""
SYSCALL_IN: Final = re.compile(rb"(?P<name>sys_\w{1,64})\((?P<body>.*)\)")
SYSCALL_OUT: Final = re.compile(rb"(?P<name>sys_\w{1,64}) -> (?P<body>\S+)")
STACK: Final = re.compile(rb"<(?:user )?stack trace>")
FRAME: Final = re.compile(rb"[ \t]*+=>[ \t]*+(?P<symbol>.*\S)")

SWITCH: Final = re.compile(
    rb"(?P<prev>prev_comm=(?P<comm>.{0,256}?) prev_pid=(?P<pid>\w+) prev_prio=(?P<prio>-?\w+)"
    rb" prev_state=(?P<state>\S+))"
    rb"(?: ==>)? next_comm=(?P<next_comm>.{0,256}?) next_pid=(?P<next_pid>\w+) next_prio=(?P<next_prio>-?\w+)"
    rb"|(?P<prev2>(?P<comm2>\S.{0,256}?):(?P<pid2>\d+) \[(?P<prio2>-?\d+)\] (?P<state2>\S+)) ==> "
    rb"(?P<next_comm2>.{0,256}?):(?P<next_pid2>\d+) \[(?P<next_prio2>-?\d+)\]"
)
"""The fields of sched_switch: as the kernel prints them (raw: without the arrow), or trace-cmd's plug-in."""
LEFT: Final = re.compile(
    rb"prev_comm=(?P<comm>.{0,256}?) prev_pid=(?P<pid>\w+) prev_prio=(?P<prio>-?\w+) prev_state=(?P<state>\S+)"
    rb"|(?P<comm2>\S.{0,256}?):(?P<pid2>\d+) \[(?P<prio2>-?\d+)\] (?P<state2>\S+)"
)
"""The first half of the same."""
WOKEN: Final = re.compile(rb"(?:comm=.{0,256}? pid=(?P<pid>\w+) |.{0,256}?:(?P<pid2>\d+) \[)")
MARK: Final = re.compile(rb"(?:0x[0-9a-f]+: |tracing_mark_write: )*(?P<text>.*)")
ATRACE: Final = re.compile(rb"(?P<what>[BECSFIGHN])(?:\|(?P<pid>\d*)(?:\|(?P<body>.*))?)?$")


def number(text: bytes) -> int:
    """A number in decimals, or in hexadecimals after 0x; -1 if it is none of at most 18 characters."""
    if len(text) > 18:
        return -1
    try:
        return int(text, 0) if text[:2] in (b"0x", b"0X") else int(text)
    except ValueError:
        return -1


_STATES: Final = {1: "S", 2: "D", 4: "T", 8: "t", 16: "X", 32: "Z", 64: "P", 128: "I"}
_PREEMPTED: Final = (256, 512, 1024, 2048, 4096)
"""Bits by which kernels of different age say in numbers that a task was preempted."""


def state_of(text: bytes) -> tuple[str, str]:
    """The letters of a task's state, and in one word why it left its CPU."""
    word = text.decode("ascii", "replace")
    if len(word) < 19 and word.removeprefix("-").isdecimal():
        bits = int(word)
        letters = "".join(letter for bit, letter in _STATES.items() if bits & bit) or "R"
        word = letters + ("+" if any(bits & bit for bit in _PREEMPTED) else "")
    if word.endswith("+") or word.startswith("R"):
        return word, "preempted"
    if word.startswith(("X", "Z", "x")):
        return word, "exited"
    if word.startswith(("T", "t")):
        return word, "stopped"
    return word, "blocked"
