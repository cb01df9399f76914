"""Lines of events: every header and none, flags of any width, fields, scheduling, interrupts, system calls, markers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import traceir as tir
from tests.frontends.texts import assert_round_trip, codes, listing, load, message, parents, told
from traceir_frontends.lines import LineSource

US = 1000


def line(rest: str, ts: str, *, task: str = "app-7", cpu: int = 0, flags: str = "d..2.", tgid: str = "") -> str:
    """A line of `trace`."""
    return f"  {task:>16} {tgid} [{cpu:03}] {flags} {ts}: {rest}"


def text(*lines: str) -> str:
    """A text without any header."""
    return "\n".join(lines) + "\n"


def switch(before: tuple[str, int], state: str, after: tuple[str, int], ts: str, cpu: int = 0) -> str:
    """A sched_switch as the kernel prints it."""
    fields = (
        f"sched_switch: prev_comm={before[0]} prev_pid={before[1]} prev_prio=120 prev_state={state} ==> "
        f"next_comm={after[0]} next_pid={after[1]} next_prio=120"
    )
    return line(fields, ts, task=f"{before[0]}-{before[1]}", cpu=cpu)


IDLE, APP, OTHER = ("swapper/0", 0), ("app", 7), ("my app=2", 8)


@pytest.mark.parametrize(
    "row",
    [
        "          bash-1977  [000] .... 17284.993652: sys_close: fd=3",
        "          bash-1977  [000] d.h1. 17284.993652: sys_close: fd=3",
        "          bash-1977  [000] d.h1.. 17284.993652: sys_close: fd=3",
        "          bash-1977  [000] ... 17284.993652: sys_close: fd=3",
        "          bash-1977  [000] 17284.993652: sys_close:            fd=3",
        "          bash-1977  ( 1977) [000] .... 17284.993652: sys_close: fd=3",
        "          bash-1977  (-----) [000] .... 17284.993652: sys_close: fd=3\r",
        "bash-1977 [0] 17284.993652: sys_close: fd=3",
    ],
)
def test_every_shape_of_a_line_is_the_same_event(row: str, tmp_path: Path) -> None:
    """Flags of three to six columns or none, with or without process, fields padded or not."""
    module = load(tmp_path, text(row, "          bash-1977  [000] .... 17284.993659: sys_close: fd=4"))
    event = module.event(0)
    assert (event.name, event.kind, event.args["fd"], event.args["task"]) == (
        "sys_close",
        "mark.instant",
        3,
        "bash-1977",
    )
    assert told(module)[1] == ("sys_close", 7 * US, 0)
    assert module.meta["clock_start_ns"] == 17284_993652_000


@pytest.mark.parametrize("comm", ["a-b-1", "kworker/0:1H", "<...>", "my app", "a:b.c", "x-1 [2]"])
def test_names_of_tasks_may_hold_anything(comm: str, tmp_path: Path) -> None:
    """The number is what follows the last dash before the CPU."""
    module = load(tmp_path, text(line("foo: a=1", "1.000001", task=f"{comm}-77"), line("foo: a=1", "1.000002")))
    assert module.event(0).args["task"] == f"{comm}-77"
    assert [lane.tid for lane in module.lanes] == [77, 7]
    assert module.lanes[0].label == ("" if comm == "<...>" else comm)


@pytest.mark.parametrize(
    ("header", "tracer"),
    [("", None), ("# tracer: nop\n#\n# entries-in-buffer/entries-written: 2/2   #P:2\n#\n", "nop"),
     ("version = 6\ncpus=6\nCPU 0 is empty\n", None), ("# tracer: function\n", "function"), ("\ufeff", None)],
)  # fmt: skip
def test_headers_may_be_missing(header: str, tracer: str | None, tmp_path: Path) -> None:
    """The frontend is found by the lines themselves."""
    module = load(tmp_path, header + text(line("foo: a=1", "1.000001"), line("foo: a=1", "1.000002")))
    assert (module.source.frontend, len(module), module.meta.get("tracer")) == ("ftrace", 2, tracer)  # type: ignore[union-attr]
    assert codes(module) == []


def test_threads_run_on_cpus(tmp_path: Path) -> None:
    """Runs last from switch to switch; the first one began before the record, idle is no run; waits and pre-emption."""
    module = load(tmp_path, text(
        line("foo: a=1", "1.000000"),
        switch(APP, "R+", OTHER, "1.000010"),
        switch(OTHER, "S", IDLE, "1.000025"),
        switch(IDLE, "R", APP, "1.000040"),
        line("foo: a=1", "1.000050"),
    ))  # fmt: skip
    assert told(module, "os.cpu0", "os.sched") == [
        ("app-7", 0, 10 * US), ("my app=2-8", 10 * US, 15 * US), ("app-7", 40 * US, 10 * US),
    ]  # fmt: skip
    first, second, third = module.select(kind="os.sched")
    assert (first.args["ended"], first.args["state"], first.args["tid"]) == ("preempted", "R+", 7)
    assert (second.args["thread"], second.args["ended"], second.args["state"]) == ("my app=2", "blocked", "S")
    assert (third.args["after_tid"], "ended" in third.args) == (0, False)
    assert_round_trip(module)


@pytest.mark.parametrize(
    ("state", "ended", "letters"),
    [("R", "preempted", "R"), ("D", "blocked", "D"), ("X", "exited", "X"), ("T", "stopped", "T"), ("I", "blocked", "I"),
     ("1", "blocked", "S"), ("1024", "preempted", "R+"), ("256", "preempted", "R+"), ("0", "preempted", "R"),
     ("2", "blocked", "D")],
)  # fmt: skip
def test_states_in_letters_and_numbers(state: str, ended: str, letters: str, tmp_path: Path) -> None:
    """`trace-cmd report -R` gives bits."""
    module = load(tmp_path, text(line("foo: a=1", "1.000000"), switch(APP, state, OTHER, "1.000010")))
    event = next(iter(module.select(kind="os.sched")))
    assert (event.args["ended"], event.args["state"]) == (ended, letters)


def test_switches_as_other_tools_spell_them(tmp_path: Path) -> None:
    """The plug-in of trace-cmd, and raw fields without an arrow."""
    module = load(tmp_path, text(
        line("sched_switch:         app:7 [120] R ==> migration/2:18 [0]", "1.000010"),
        line("sched_switch:         migration/2:18 [0] S ==> app:7 [120]", "1.000014"),
        line("sched_switch:  prev_comm=app prev_pid=7 prev_prio=120 prev_state=1 next_comm=b next_pid=9 next_prio=1",
             "1.000020"),
        line("foo: a=1", "1.000030"),
    ))  # fmt: skip
    assert told(module, kind="os.sched") == [
        ("migration/2-18", 0, 4 * US), ("app-7", 4 * US, 6 * US), ("b-9", 10 * US, 10 * US),
    ]  # fmt: skip
    assert [event.args.get("ended") for event in module.select(kind="os.sched")] == ["blocked", "blocked", None]


def test_a_wake_up_flows_into_the_run_that_it_starts(tmp_path: Path) -> None:
    """Only the last wake-up before a run, and only if the thread did not run in between."""
    wake = "sched_wakeup: comm=my app=2 pid=8 prio=120 target_cpu=000"
    module = load(tmp_path, text(
        line(wake, "1.000000"), line(wake, "1.000001"), switch(APP, "R", OTHER, "1.000005"),
        switch(OTHER, "R", APP, "1.000007"), switch(APP, "S", OTHER, "1.000009"), line("foo: a=1", "1.000020"),
    ))  # fmt: skip
    source, target = module.edges("flow")
    assert [(int(module["ts"][a]), int(module["ts"][b])) for a, b in zip(source, target, strict=True)] == [
        (1 * US, 5 * US)
    ]


def test_a_missing_switch_is_told(tmp_path: Path) -> None:
    """A CPU that goes on with a thread that it was not given to: how long the other ran is unknown."""
    module = load(tmp_path, text(
        switch(APP, "R", OTHER, "1.000000"), switch(("x", 99), "R", APP, "1.000010"), line("foo: a=1", "1.000030"),
    ))  # fmt: skip
    assert told(module, kind="os.sched") == [("my app=2-8", 0, 0), ("app-7", 10 * US, 20 * US)]
    assert codes(module) == ["missing_switches"]


def test_interrupts_nest_on_their_cpu(tmp_path: Path) -> None:
    """Handlers, soft interrupts and vectors; an interrupt's own events lie on the CPU, not on the thread it hit."""
    module = load(tmp_path, text(
        line("irq_handler_entry: irq=28 name=eth0", "1.000001"),
        line("foo: a=1", "1.000002", flags="d.h1."),
        line("irq_handler_exit: irq=28 ret=handled", "1.000003"),
        line("softirq_entry: vec=1 [action=TIMER]", "1.000004"),
        line("local_timer_entry: vector=236", "1.000005"),
        line("local_timer_exit: vector=236", "1.000006"),
        line("softirq_exit: vec=1 [action=TIMER]", "1.000009"),
    ))  # fmt: skip
    assert [lane.name for lane in module.lanes] == ["os.cpu0"]
    assert told(module, kind="os.irq") == [
        ("irq_handler eth0", 0, 2 * US), ("softirq TIMER", 3 * US, 5 * US), ("local_timer", 4 * US, 1 * US),
    ]  # fmt: skip
    assert next(iter(module.select(kind="os.irq"))).args["ret"] == "handled"


def test_system_calls_of_all_spellings(tmp_path: Path) -> None:
    """Numbers, names as events, names as calls; the same call of two threads; what never returned; what had begun."""
    module = load(tmp_path, text(
        line("sys_exit: NR 7 = 1", "1.000000"),
        line("sys_enter: NR 230 (1, 1, 7fd7, 0, 0, 0)", "1.000001"),
        line("sys_enter: NR 230 (1)", "1.000002", task="b-9", cpu=1),
        line("sys_exit: NR 230 = 0", "1.000005"),
        line("sys_enter_read: fd: 0x3, buf: 0x7f", "1.000006"),
        line("sys_exit_read: 0x10", "1.000008"),
        line("sys_futex(uaddr: 7f00, op: 80)", "1.000009"),
        line("sys_futex -> 0xfffffffffffffdfc", "1.000011"),
        line("foo: a=1", "1.000020"),
    ))  # fmt: skip
    assert told(module, "cpu.t7", "os.function") == [
        ("syscall 230", 1 * US, 4 * US), ("sys_read", 6 * US, 2 * US), ("sys_futex", 9 * US, 2 * US),
    ]  # fmt: skip
    assert told(module, "cpu.t9", "os.function") == [("syscall 230", 2 * US, 18 * US)]
    first, _, futex = module.select(lane="cpu.t7", kind="os.function")
    assert (first.args["nr"], first.args["args"][2], first.args["ret"]) == (230, "7fd7", "0")
    assert (futex.args["ret"], futex.args["text"]) == ("0xfffffffffffffdfc", "uaddr: 7f00, op: 80")
    assert codes(module) == ["open_events", "stray_end"]
    assert told(module, "cpu.t7", "mark.instant")[0] == ("syscall 7", 0, 0)
    assert_round_trip(module)


def test_calls_at_one_microsecond_do_not_nest(tmp_path: Path) -> None:
    """Lines are in order even where their times are equal."""
    module = load(tmp_path, text(
        line("sys_enter: NR 14 ()", "1.000001"), line("sys_exit: NR 14 = 0", "1.000001"),
        line("sys_enter: NR 28 ()", "1.000001"), line("sys_exit: NR 28 = 0", "1.000004"),
    ))  # fmt: skip
    assert parents(module) == {"syscall 14": None, "syscall 28": None}


def test_markers_of_programs(tmp_path: Path) -> None:
    """Ranges, counters and asynchronous ranges as atrace writes them; free text."""
    module = load(tmp_path, text(
        line("tracing_mark_write: B|7|outer", "1.000001", tgid="(    7)"),
        line("tracing_mark_write: B|7|inner|x", "1.000002"),
        line("print: tracing_mark_write: C|7|queue len|42", "1.000003"),
        line("tracing_mark_write: S|7|load|cookie", "1.000004"),
        line("tracing_mark_write: E|7", "1.000005"),
        line("tracing_mark_write: hello world", "1.000006"),
        line("tracing_mark_write: F|7|load|cookie", "1.000007", task="other-8"),
        line("tracing_mark_write: I|7|now", "1.000007"),
        line("tracing_mark_write: E", "1.000008"),
        line("bprint:               0xc044504c: cpu: 3 freq: 8", "1.000009"),
    ))  # fmt: skip
    assert told(module, kind="host.range") == [("outer", 0, 7 * US), ("inner|x", 1 * US, 3 * US)]
    assert parents(module)["inner|x"] == "outer"
    counter = next(iter(module.select(kind="ctr.sample")))
    assert (counter.name, counter.lane.name, counter.lane.pid, counter.args["value"]) == (
        "queue len", "ctr.queue_len", 7, 42,
    )  # fmt: skip
    span = next(iter(module.select(kind="host.async")))
    assert (span.name, span.dur, span.lane.name, span.args["cookie"]) == ("load", 3 * US, "async.load", "cookie")
    marks = [(event.name, event.args["text"]) for event in module.select(kind="mark.instant") if "text" in event.args]
    assert marks == [("hello world", "hello world"), ("bprint", "cpu: 3 freq: 8")]
    assert next(lane for lane in module.lanes if lane.tid == 7).pid == 7
    assert_round_trip(module)


def test_functions_with_their_callers(tmp_path: Path) -> None:
    """The tracer function, of the kernel and of trace-cmd; modules in brackets."""
    module = load(tmp_path, "# tracer: function\n" + text(
        line("mutex_unlock <-rb_simple_write", "1.000001"), line("ext4_x [ext4] <-vfs_read", "1.000002"),
        line("function:             schedule <-- do_idle", "1.000003"),
    ))  # fmt: skip
    assert [(event.kind, event.name, event.args["caller"]) for event in module.select()] == [
        ("os.function", "mutex_unlock", "rb_simple_write"), ("os.function", "ext4_x [ext4]", "vfs_read"),
        ("os.function", "schedule", "do_idle"),
    ]  # fmt: skip


def test_stacks_and_fields_of_several_lines_stay_with_their_event(tmp_path: Path) -> None:
    """A kernel stack is an argument; other lines are kept as they are and counted."""
    module = load(tmp_path, text(
        line("kmalloc: bytes=64", "1.000001"), line("<stack trace>", "1.000001"), " => __kmalloc", " => do_sys_open",
        line("odd: pid=4", "1.000002"), " gid=4", line("foo: a=1", "1.000003"),
    ))  # fmt: skip
    first, second, _ = module.select()
    assert (first.args["bytes"], first.args["stack"]) == (64, ["__kmalloc", "do_sys_open"])
    assert (second.args["pid"], second.args["more"]) == (4, " gid=4")
    assert codes(module) == ["continued"]
    assert message(module, "continued").startswith("1 lines that are no events of their own")


def test_fields_keep_blanks_and_sets(tmp_path: Path) -> None:
    """A value goes on to the next key."""
    rest = "x: [FAILED TO PARSE] key=a b=c d pid=3 mask=ARRAY[0f, 00] cpus=0,000f addr=0xff neg=-5 set={24 19}"
    args = dict(load(tmp_path, text(line(rest, "1.0"), line("foo: a=1", "1.1"))).event(0).args)
    del args["task"], args["cpu"], args["flags"]
    assert args == {
        "text": "[FAILED TO PARSE]", "key": "a", "b": "c d", "pid": 3, "mask": "ARRAY[0f, 00]", "cpus": "0,000f",
        "addr": "0xff", "neg": -5, "set": "{24 19}",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rest", "wanted"),
    [
        ("sched_wakeup: comm=my app=2 pid=8 prio=120", {"comm": "my app=2", "pid": 8, "prio": 120}),
        ("task_rename: pid=1 oldcomm=a b newcomm=c oom_score_adj=0",
         {"pid": 1, "oldcomm": "a b", "newcomm": "c", "oom_score_adj": 0}),
        ("sched_process_fork: comm=x=1 pid=7 child_comm=y=2 child_pid=8",
         {"comm": "x=1", "pid": 7, "child_comm": "y=2", "child_pid": 8}),
    ],
)  # fmt: skip
def test_names_of_tasks_that_look_like_fields(rest: str, wanted: dict[str, Any], tmp_path: Path) -> None:
    """A task's name goes on to its number."""
    args = load(tmp_path, text(line(rest, "1.0"), line("foo: a=1", "1.1"))).event(0).args
    assert {key: value for key, value in args.items() if key not in ("task", "cpu", "flags")} == wanted


def test_latency_format(tmp_path: Path) -> None:
    """Microseconds from the beginning, the CPU before the flags."""
    module = load(tmp_path, text(
        "# tracer: nop", "#", "# latency trace v1.1.5 on 6.18.0", "----------------------",
        " python3-19289     1dNs5. 47921us+: sched_wakeup: comm=x pid=3 prio=1 target_cpu=000",
        "   <idle>-0         0d... 47930us!: foo: a=1", "bash-12 11.N.. 47931us : foo: a=2",
    ))  # fmt: skip
    assert [(event.name, event.ts, event.lane.name) for event in module.select()] == [
        ("sched_wakeup", 0, "os.cpu1"), ("foo", 9 * US, "os.cpu0"), ("foo", 10 * US, "cpu.t12"),
    ]  # fmt: skip
    assert module.meta["trace_clock"] == "relative"


def test_clocks_that_are_no_time(tmp_path: Path) -> None:
    """Ticks are shown as they are, and said to be ticks."""
    module = load(tmp_path, text(line("foo: a=1", "2282623239467"), line("foo: a=1", "2282625486959")))
    assert (module.span_ns, module.meta["trace_clock"], codes(module)) == (2247492, "ticks", ["no_clock"])


def test_times_are_exact(tmp_path: Path) -> None:
    """Nanoseconds where there are nine decimals, beyond what a float64 holds."""
    module = load(tmp_path, text(line("foo: a=1", "683201354.908000001"), line("foo: a=1", "683201354.908000003")))
    assert (module.meta["clock_start_ns"], module.span_ns) == (683201354908000001, 2)
    assert not any(item.code == "integer_us" for item in module.health)


def test_the_time_of_day_is_kept_where_a_tool_wrote_it(tmp_path: Path) -> None:
    """To a millisecond, which is too coarse for an origin."""
    sync = "tracing_mark_write: trace_event_clock_sync: realtime_ts=1731024000123"
    module = load(tmp_path, text(line("foo: a=1", "1.000001"), line(sync, "1.000005")))
    assert (module.meta["realtime_ms"], module.meta["realtime_at_ns"]) == (1731024000123, 4000)
    assert module.meta["origin_ns"] is None


def test_lines_out_of_order_are_sorted(tmp_path: Path) -> None:
    """trace-cmd may leave CPUs one after another; what begins and ends is matched in time."""
    module = load(tmp_path, text(
        line("tracing_mark_write: E|7", "1.000009", cpu=1), line("tracing_mark_write: B|7|x", "1.000001", cpu=0),
    ))  # fmt: skip
    assert told(module) == [("x", 0, 8 * US)]


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("catapult_atrace_decompressed.trace.txt", 1042), ("trappy_trace_dat.report.txt", 525),
        ("trappy_trace_failed_to_parse.txt", 11), ("trappy_trace_sched.txt", 11), ("vm618_clock_x86tsc.trace.txt", 379),
        ("vm618_overrun.trace.txt", 133), ("vm618_sched_marker.trace.txt", 341),
    ],
)  # fmt: skip
def test_real_files_account_for_every_line_and_come_back(name: str, lines: int, shared: Any) -> None:
    """Each line is an event, the end of one, or a switch to the idle task; the module is sound and comes back."""
    path = shared(f"ftrace/{name}")
    module = tir.load(path)
    assert_round_trip(module)
    source = module.source
    assert isinstance(source, LineSource)
    raw = [source.raw(offset, length) for offset, length in zip(module["offset"], module["length"], strict=True)]
    whole = sum(b"[" in text and not text.startswith(b"prev_comm") for text in raw)
    switches = [text for text in path.read_bytes().splitlines() if b" sched_switch: " in text]
    offsets, ends, sizes = source.pairs
    ended = sum(b"sched_switch" not in source.raw(int(at), int(size)) for at, size in zip(ends, sizes, strict=True))
    idle = sum(b"next_pid=0 " in text for text in switches)
    assert whole + ended + idle == lines
    assert len(offsets) == len(set(offsets.tolist()))


def test_golden(tmp_path: Path, golden: Callable[[str, str], None]) -> None:
    """A module with a bit of everything, as text with all arguments."""
    golden("frontends/ftrace_events.tir", listing(load(tmp_path, text(
        "# tracer: nop", "#", "# entries-in-buffer/entries-written: 12/14   #P:1", "#",
        line("sched_wakeup: comm=my app=2 pid=8 prio=120 target_cpu=000", "1.000000", tgid="(    7)"),
        switch(APP, "R+", OTHER, "1.000010"),
        line("sys_enter: NR 1 (3, 7f, 40, 0, 0, 0)", "1.000011", task="my app=2-8"),
        line("irq_handler_entry: irq=28 name=eth0", "1.000012", task="my app=2-8", flags="d.h1."),
        line("irq_handler_exit: irq=28 ret=handled", "1.000014", task="my app=2-8", flags="d.h1."),
        line("sys_exit: NR 1 = 64", "1.000015", task="my app=2-8"),
        switch(OTHER, "S", IDLE, "1.000025"), switch(IDLE, "R", APP, "1.000040"),
        line("tracing_mark_write: B|7|load", "1.000041"), line("tracing_mark_write: C|7|queue|4", "1.000042"),
        line("tracing_mark_write: E|7", "1.000043"), line("mm_page_alloc: page=0xff pfn=0x1 order=0", "1.000044"),
    ))))  # fmt: skip
