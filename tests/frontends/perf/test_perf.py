"""Texts of perf script: samples on lanes by thread and event, stacks as frames that last as long as the thread ran."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.frontends.texts import assert_reopens, assert_round_trip, codes, listing, load, message, told
from traceir.errors import InputError
from traceir_frontends.perf import Perf

MS = 1_000_000


def sample(
    at: str | None, *stack: str, comm: str = "app", tid: str = "7", cpu: str = "", event: str = "cpu-clock",
    period: str = "1000000",
) -> str:  # fmt: skip
    """A sample with its stack, the innermost frame first."""
    time = f" {at}:" if at else ""
    head = f"{comm} {tid} {cpu}{time} {period} {event}: \n"
    return (
        head
        + "".join(f"\t     7f{number:02x} {frame} (/usr/bin/{comm})\n" for number, frame in enumerate(stack))
        + "\n"
    )


TEXT = (
    sample("10.000000", "leaf+0x1f", "work+0x2", "main")
    + sample("10.001000", "other", "work+0x9", "main")
    + sample("10.002000", "other", "work+0x9", "main")
    + sample("10.500000", "main")
)


def test_shared_frames_last_and_a_thread_that_slept_has_none(tmp_path: Path) -> None:
    """A sample stands for its period where that is a time; half a second without one is no work."""
    module = load(tmp_path, TEXT)
    assert told(module, kind="host.frame") == [
        ("main", 0, 3 * MS), ("work", 0, 3 * MS), ("leaf", 0, 1 * MS), ("other", 1 * MS, 2 * MS),
        ("main", 500 * MS, 1 * MS),
    ]  # fmt: skip
    assert told(module, kind="os.sample") == [("cpu-clock", at * MS, 0) for at in (0, 1, 2, 500)]
    first = next(iter(module.select(kind="os.sample")))
    assert first.args == {
        "command": "app", "tid": 7, "period": 1000000, "stack": ["main", "work", "leaf"],
    }  # fmt: skip
    leaf = next(event for event in module.select() if event.name == "leaf")
    assert leaf.args == {"ip": "7f00", "symbol": "leaf+0x1f", "dso": "/usr/bin/app"}
    assert [(lane.name, lane.tid, lane.label) for lane in module.lanes] == [("cpu.t7", 7, "app")]
    assert (module.meta["clock_start_ns"], codes(module)) == (10_000_000_000, [])
    assert_round_trip(module)


def test_processes_threads_and_idle_tasks_have_lanes(tmp_path: Path) -> None:
    """Commands may hold blanks; the idle task of each CPU is its own."""
    module = load(tmp_path, "".join([
        sample("1.000", "a", comm="V8 WorkerThread", tid="25607/25620", cpu="[001] "),
        sample("1.000", "a", comm="swapper", tid="0", cpu="[000] "),
        sample("1.001", "b", comm="swapper", tid="0", cpu="[002] "),
    ]))  # fmt: skip
    assert [(lane.name, lane.pid, lane.tid, lane.label) for lane in module.lanes] == [
        ("cpu.t25620", 25607, 25620, "V8 WorkerThread"), ("cpu.t0.0", None, 0, "swapper, CPU 0"),
        ("cpu.t0.2", None, 0, "swapper, CPU 2"),
    ]  # fmt: skip


def test_events_are_told_apart(tmp_path: Path) -> None:
    """What does not follow time has samples but no frames; its stacks are arguments."""
    faults = sample("10.000500", "x", "main", event="page-faults", period="3")
    module = load(tmp_path, sample("10.000000", "a", "main") + faults + sample("10.001000", "a", "main"))
    assert told(module, "cpu.t7", "host.frame") == [("main", 0, 2 * MS), ("a", 0, 2 * MS)]
    assert told(module, "cpu.t7.page-faults") == [("page-faults", 500_000, 0)]
    (fault,) = module.select(lane="cpu.t7.page-faults")
    assert (fault.args["period"], fault.args["stack"]) == (3, ["main", "x"])
    assert module.meta["sampled"] == "cpu-clock, page-faults"


def test_an_event_alone_that_is_no_time_says_so(tmp_path: Path) -> None:
    """Frames are shown all the same, with what their lengths are."""
    module = load(tmp_path, sample("1.0", "a", event="page-faults") + sample("1.5", "a", event="page-faults"))
    assert codes(module) == ["no_time_event"]
    assert message(module, "no_time_event") == (
        "The samples are of an event that does not follow time (such as page faults): lengths of frames are times "
        "between events, not time spent; count samples instead, or record cpu-clock or cycles."
    )


def test_flat_samples_are_frames_one_deep(tmp_path: Path) -> None:
    """Without call chains the symbol stands behind the event."""
    module = load(tmp_path, "\n".join([
        "         python3 20169   914.842932:    1000000 cpu-clock:u:  ffffffff817554ea elf_load",
        "         python3 20169   914.843932:    1000000 cpu-clock:u:      7f3b7021e7ad _dl start (/lib/ld.so)", "",
    ]))  # fmt: skip
    assert told(module, kind="host.frame") == [("elf_load", 0, MS), ("_dl start", MS, MS)]
    assert [event.args["symbol"] for event in module.select(kind="os.sample")] == ["elf_load", "_dl start"]


@pytest.mark.parametrize(
    ("frame", "name", "dso"),
    [
        ("\t    7f00 A (*)(int)>::at(int const&) const+0x3 (/a b/c (deleted))", "A (*)(int)>::at(int const&) const",
         "/a b/c (deleted)"),
        ("\t    7f00 (anonymous namespace)::f(int) (/x)", "(anonymous namespace)::f(int)", "/x"),
        ("\t    7f00 [unknown] (/lib/libc.so.6)", "[unknown] (libc.so.6)", "/lib/libc.so.6"),
        ("\t    7f00 [unknown] ([unknown])", "[unknown]", "[unknown]"),
        ("\t    7f00  ([kernel.kallsyms])", "[unknown] ([kernel.kallsyms])", "[kernel.kallsyms]"),
        ("\t    7f00 Lfoo;::bar (/tmp/perf-123.map)", "Lfoo;::bar", "/tmp/perf-123.map"),
        ("\t    7f00 inner (inlined)", "inner", "inlined"),
        ("        7f00 spaces+0x1 (/x)", "spaces", "/x"),
    ],
)  # fmt: skip
def test_frames_of_all_spellings(frame: str, name: str, dso: str, tmp_path: Path) -> None:
    """Names with blanks and parentheses, unknown ones, code from compilers at run time."""
    module = load(tmp_path, f"app 7 1.000000: 1 cycles:u: \n{frame}\n\napp 7 1.001: 1 cycles:u: \n{frame}\n")
    (event,) = module.select(kind="host.frame")
    assert (event.name, event.args["dso"], event.dur) == (name, dso, 2 * MS)


def test_without_times(tmp_path: Path) -> None:
    """Samples stand one after another, each as long as its period."""
    rows = [sample(None, "a", "main", period="5"), sample(None, "b", "main", period="7"), sample(None, "b", period="")]
    module = load(tmp_path, "".join(rows))
    assert told(module, kind="host.frame") == [("main", 0, 12), ("a", 0, 5), ("b", 5, 7), ("b", 12, 1)]
    assert codes(module) == ["no_clock"]
    assert message(module, "no_clock") == (
        "The samples have no times: they are shown one after another, each as long as its period, as ns; add time to "
        "the fields (-F +time)."
    )
    assert_round_trip(module)


def test_nanoseconds_are_exact(tmp_path: Path) -> None:
    """`perf script --ns`."""
    module = load(tmp_path, sample("203265377.019000001", "a") + sample("203265377.019000004", "b"))
    assert told(module, kind="os.sample") == [("cpu-clock", 0, 0), ("cpu-clock", 3, 0)]
    assert module.meta["clock_start_ns"] == 203265377_019000001


def test_records_and_losses(tmp_path: Path) -> None:
    """Records that are no samples are marks on their thread, losses a finding, tracepoints keep their fields."""
    module = load(tmp_path, "\n".join([
        "# captured on: Thu", "app 7 1.000000: PERF_RECORD_COMM exec: app:7/7",
        "app 7 [001] 1.000001: PERF_RECORD_MMAP2 7/7: [0x40(0x1) @ 0]: r-xp /usr/bin/app",
        "app 7 1.000100: PERF_RECORD_LOST lost 12", "PERF_RECORD_FORK(7:7):(1:1)",
        "app 7 [001] 1.000200: sched:sched_switch: prev_comm=a b prev_pid=7 prev_state=S ==> next_comm=x", "",
        sample("1.001", "a"),
    ]))  # fmt: skip
    assert [event.name for event in module.select(kind="mark.instant")] == [
        "PERF_RECORD_COMM", "PERF_RECORD_MMAP2", "PERF_RECORD_LOST",
    ]  # fmt: skip
    switch = next(event for event in module.select(kind="os.sample") if event.name.startswith("sched"))
    assert (switch.args["prev_comm"], switch.args["prev_pid"], switch.args["cpu"]) == ("a b", 7, 1)
    assert codes(module) == ["lost_events", "no_time"]
    assert message(module, "lost_events") == (
        "perf lost 12 events, as it says itself; record with larger buffers (-m) or a lower rate (-F)."
    )
    assert_round_trip(module)


def test_odd_lines_and_a_cut_file(tmp_path: Path) -> None:
    """What is neither is counted; source lines below frames stay with their sample; cut gzip is read up to there."""
    text = TEXT.replace("(/usr/bin/app)\n", "(/usr/bin/app)\n  file.c:12\n", 1) + "\nnonsense\n"
    module = load(tmp_path, text)
    assert {item.code: item.count for item in module.health if item.code in ("unreadable", "continued")} == {
        "unreadable": 1, "continued": 1,
    }  # fmt: skip
    line = text.splitlines().index("nonsense") + 1
    assert (
        message(module, "unreadable")
        == f"Left out 1 lines that are neither sample nor frame, the first in line {line}."
    )
    packed = gzip.compress((TEXT * 2000).encode(), 1)
    module = load(tmp_path, packed[: len(packed) // 2])
    assert "truncated" in codes(module)


REFUSED: list[tuple[bytes, str]] = [
    (b"hello\n", "holds no sample of perf; name the text that `perf script` gives (not perf.data itself)."),
    (
        b"PERFILE2" + b"\0" * 100,
        "is perf.data, which only perf of the same machine can name symbols of; write its text with `perf script -i "
        "{path} --ns > {path}.txt` and name that.",
    ),
    (
        gzip.compress(b"\0" * (3 << 20)),
        "has a line of more than 1048576 bytes at byte 0; it is no text that a tracer wrote.",
    ),
]


@pytest.mark.parametrize(("data", "said"), REFUSED, ids=["text", "data", "bomb"])
def test_what_is_none_is_refused_in_one_sentence(data: bytes, said: str, tmp_path: Path) -> None:
    """A refusal names the file and says what to do."""
    path = tmp_path / "trace.txt"
    with pytest.raises(InputError) as caught:
        load(tmp_path, data, frontend="perf")
    assert str(caught.value) == f"The input {path} {said.format(path=path)}"


def test_perf_data_is_known_by_itself(tmp_path: Path) -> None:
    """Who names perf.data is told what to do, without naming a frontend."""
    with pytest.raises(InputError, match=r"is perf\.data"):
        load(tmp_path, b"PERFILE2" + b"\0" * 100)


def test_golden(tmp_path: Path, golden: Callable[[str, str], None]) -> None:
    """The whole module as text."""
    golden("frontends/perf.tir", listing(load(tmp_path, TEXT)))


@given(st.lists(st.tuples(st.integers(0, 50), st.lists(st.sampled_from("abc"), min_size=1, max_size=4)), min_size=1))
def test_frames_cover_what_samples_saw(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, list[str]]]
) -> None:
    """At each sample the open frames are its stack, whatever came before."""
    rows = sorted(dict(rows).items())
    text = "".join(sample(f"1.{at:03}", *stack) for at, stack in rows)
    module = load(tmp_path_factory.mktemp("stacks"), text)
    start = rows[0][0]
    frames = list(module.select(kind="host.frame"))
    for at, stack in rows:
        now = (at - start) * MS
        inside = [event for event in frames if event.ts <= now < event.ts + event.dur]
        assert [event.name for event in sorted(inside, key=lambda event: (event.ts, -event.dur, event.id))] == stack[
            ::-1
        ]
    busy = sum(event.dur for event in frames if module["parent"][event.row] < 0)
    assert busy <= len(rows) * 2 * MS


@given(st.binary(max_size=300))
def test_no_bytes_make_it_fail_otherwise(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Whatever follows sound samples, there is a module."""
    module = load(tmp_path_factory.mktemp("any"), TEXT.encode() + data)
    assert len(list(module.select(kind="os.sample"))) >= 4
    assert not [item for item in tir.verify(module) if item.level == "error"]


@pytest.mark.parametrize(
    "name",
    ["speedscope_forks.linux-perf.txt", "speedscope_simple-with-pid.linux-perf.txt", "vm618_nocallgraph_flat.perf.txt",
     "vm618_ns_timestamps.perf.txt"],
)  # fmt: skip
def test_real_files_have_all_their_samples(name: str, shared: Any) -> None:
    """As many samples as heads, as deep as their stacks; sound, and equal after a round trip."""
    path = shared(f"perf_script/{name}")
    module = tir.load(path)
    heads = re.findall(r"^\s*\S.*?\s\d+(?:/\d+)?\s.*: ", path.read_text("utf-8"), re.MULTILINE)
    heads = [head for head in heads if not head.startswith("\t")]
    samples = list(module.select(kind="os.sample"))
    assert len(samples) == len(heads)
    assert codes(module) == []
    assert_round_trip(module)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_kept_module_finds_its_arguments_again(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """Plain and gzip."""
    assert_reopens(load(tmp_path, pack(TEXT.encode())), tmp_path / "trace.txt", Perf())
