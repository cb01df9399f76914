"""Damage, bombs, wrong encodings, and inputs that change: messages word for word."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.frontends.texts import assert_reopens, codes, load, message, told
from traceir.errors import InputError
from traceir_frontends.ftrace import Ftrace

ROW = "            bash-1977  [000] d..2. 17284.99365{}: foo: a=1\n"
ROWS = "".join(ROW.format(at) for at in range(4))


@pytest.mark.parametrize(
    ("lines", "count", "said"),
    [
        ("# entries-in-buffer/entries-written: 3/2974   #P:2\n", 2971, "2971 before the first that is here"),
        ("CPU:1 [LOST 85 EVENTS]\nCPU:0 [LOST 5 EVENTS]\n", 90, "90 between those that are here"),
        ("CPU:1 [EVENTS DROPPED]\n", 1, "an unknown number once"),
        ("CPU:1 [EVENTS DROPPED]\nCPU:2 [7 EVENTS DROPPED]\nCPU:0 [EVENTS DROPPED]\n", 9,
         "7 between those that are here, an unknown number 2 times"),
    ],
)  # fmt: skip
def test_losses_are_told(lines: str, count: int, said: str, tmp_path: Path) -> None:
    """What the tracer says of lost events, in any of its spellings."""
    module = load(tmp_path, lines + ROWS)
    (found,) = (item for item in module.health if item.code == "lost_events")
    assert (found.level, found.count) == ("warning", count)
    assert found.message == (
        f"The tracer lost events, as it says itself: {said}; record with a larger buffer (buffer_size_kb), or fewer "
        "kinds of events."
    )


def test_a_loss_parts_the_runs_of_a_cpu(tmp_path: Path) -> None:
    """A run ends with the last event before a loss, and what runs after it began there."""
    to_b = "==> next_comm=b next_pid=8 next_prio=1"
    module = load(tmp_path, f"""\
 a-7 [000] d..2. 1.000001: sched_switch: prev_comm=a prev_pid=7 prev_prio=1 prev_state=S {to_b}
 b-8 [000] d..2. 1.000004: foo: a=1
CPU:0 [LOST 9 EVENTS]
 c-9 [000] d..2. 1.000010: foo: a=1
 c-9 [000] d..2. 1.000015: sched_switch: prev_comm=c prev_pid=9 prev_prio=1 prev_state=S {to_b}
""")  # fmt: skip
    assert told(module, "os.cpu0", "os.sched") == [("b-8", 0, 3000), ("c-9", 9000, 5000), ("b-8", 14000, 0)]


def test_a_cut_line_and_odd_ones_are_left_out(tmp_path: Path) -> None:
    """Lines before the first event are nobody's; later ones are kept with the event before them."""
    module = load(tmp_path, "garbage here\n" + ROWS + "            bash-19", frontend="ftrace")
    assert len(module) == 4
    assert codes(module) == ["unreadable", "continued"]
    assert message(module, "unreadable") == (
        "Left out 1 lines that are no events, the first in line 1; a cut or mixed-up file has such lines."
    )
    assert module.event(3).args["more"] == "            bash-19"


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """Names that are no UTF-8 are shown with the replacement character; NUL bytes at the end are no event."""
    module = load(tmp_path, ROWS.encode().replace(b"foo", b"f\xffo", 1) + b"\0" * 64)
    assert module.event(0).name == "f\N{REPLACEMENT CHARACTER}o"
    assert message(module, "repaired") == "Replaced what is no UTF-8 in 1 names."


def test_gzip_and_where_it_is_cut(tmp_path: Path) -> None:
    """A cut gzip file is read up to there; the arguments come from the same text."""
    packed = gzip.compress((ROWS * 3000).encode(), 1)
    module = load(tmp_path, packed[: len(packed) // 2])
    assert 100 < len(module) < 12000
    assert "truncated" in codes(module)
    assert module.event(len(module) // 2).args["a"] == 1


NOTHING = "holds no event of ftrace; name a file that `trace`, `trace_pipe` or `trace-cmd report` gave."
REFUSED: list[tuple[bytes, str]] = [
    (b"hello\n", NOTHING),
    (b"# tracer: nop\n#\n", NOTHING),
    (ROWS.encode("utf-16"), NOTHING),
    (
        gzip.compress(b"\0" * (3 << 20)),
        "has a line of more than 1048576 bytes at byte 0; it is no text that a tracer wrote.",
    ),
    (
        b"\x1f\x8bhello",
        "begins like gzip, but nothing of it can be decompressed: its compressed data are damaged at byte 3 (Error -3 "
        "while decompressing data: unknown compression method); copy it again from where it was recorded.",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("data", "said"), REFUSED, ids=[str(at) for at in range(len(REFUSED))])
def test_what_is_no_trace_is_refused_in_one_sentence(data: bytes, said: str, tmp_path: Path) -> None:
    """The frontend is named, so that its own words are heard."""
    with pytest.raises(InputError) as caught:
        load(tmp_path, data, frontend="ftrace")
    assert str(caught.value) == f"The input {tmp_path / 'trace.txt'} {said}"


def test_a_bomb_of_many_lines_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text that is hundreds of times its gzip file, beyond a size that real ones have."""
    monkeypatch.setattr("traceir_frontends.lines._LARGE", 1 << 20)
    packed = gzip.compress(b"# \n" * (1 << 20))
    with pytest.raises(InputError) as caught:
        load(tmp_path, packed, frontend="ftrace")
    assert str(caught.value).startswith(
        f"The input {tmp_path / 'trace.txt'} is a gzip file of {len(packed)} bytes that"
    )
    assert str(caught.value).endswith("it is no trace, so unpack it yourself if you trust it.")


def test_an_input_that_changes_is_noticed(tmp_path: Path) -> None:
    """Arguments are read again when somebody asks; not from another file."""
    module = load(tmp_path, ROWS)
    (tmp_path / "trace.txt").write_text(ROWS * 2, encoding="utf-8")
    with pytest.raises(InputError, match="has changed since it was loaded"):
        _ = module.event(0).args["a"]


@pytest.mark.parametrize(
    "text",
    ["just words\n", "a-1: b\n", '{"ph": "X"}\n', "1,2,3\n", "main;work 3\n",
     "python3 20169   914.842932: 1 cpu-clock:\n", "2024-01-01 12:00:00 [001] INFO: hello\n"],
)  # fmt: skip
def test_other_texts_are_not_its_own(text: str, tmp_path: Path) -> None:
    """Texts that only look like it are left to others."""
    from traceir.loading import Head

    assert Ftrace.sniff(Head("x", text.encode(), text.encode(), False)) == 0.0


@given(st.binary(max_size=300))
def test_no_bytes_make_it_fail_otherwise(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Whatever follows sound lines, there is a module or a refusal."""
    module = load(tmp_path_factory.mktemp("any"), ROWS.encode() + data)
    assert len(module) >= 4
    assert not [item for item in tir.verify(module) if item.level == "error"]


@given(
    st.lists(st.tuples(st.sampled_from("BESFC"), st.integers(1, 3), st.integers(0, 9), st.integers(0, 2)), max_size=40)
)
def test_any_order_of_markers_is_read(
    tmp_path_factory: pytest.TempPathFactory, marks: list[tuple[str, int, int, int]]
) -> None:
    """Ends without begins and begins without ends: every line is an event or the end of one."""
    lines = [
        f" t-{tid} [{cpu:03}] ..... 1.00000{ts}: tracing_mark_write: {what}|{tid}" + ("" if what == "E" else "|n|1")
        for what, tid, ts, cpu in marks
    ]
    module = load(tmp_path_factory.mktemp("marks"), ROWS + "\n".join(lines) + "\n")
    ends = len(module.source.pairs[0])  # type: ignore[union-attr]
    assert len(module) + ends == 4 + len(marks)
    assert not [item for item in tir.verify(module) if item.level == "error"]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_kept_module_finds_its_arguments_again(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """Those of ends, too, which stand in lines of their own."""
    mark = " t-7 [000] ..... 1.00000{}: {}\n"
    ends = mark.format(5, "sys_enter: NR 1 (3)") + mark.format(6, "sys_exit: NR 1 = 64")
    module = load(tmp_path, pack((ROWS + ends).encode()))
    assert module.event(0).args["ret"] == "64"
    assert_reopens(module, tmp_path / "trace.txt", Ftrace())
