"""Collapsed stacks: lines become frames one after another, threads lanes."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import traceir as tir
from tests.frontends.texts import assert_round_trip, listing
from traceir.errors import InputError

TEXT = """thread (7): MainThread;main (a.py:1);work (a.py:2) 3
thread (7): MainThread;main (a.py:1);leaf (a.py:3) 4
thread (7) 1
thread (8): hasher;main (a.py:1) 2
"""


def load(path: Path, text: str) -> tir.Module:
    """The module of a text."""
    file = path / "stacks.txt"
    file.write_text(text, encoding="utf-8")
    return tir.load(file)


def told(module: tir.Module, lane: str) -> list[tuple[str, int, int]]:
    """Name, start and length of each frame on a lane."""
    return [(event.name, event.ts, event.dur) for event in module.select(lane=lane)]


def test_threads_are_lanes_and_shared_frames_are_one(tmp_path: Path) -> None:
    """Lines that follow one another and share frames share events."""
    module = load(tmp_path, TEXT)
    assert [(lane.name, lane.tid, lane.label) for lane in module.lanes] == [
        ("cpu.t7", "7", "MainThread"), ("cpu.t8", "8", "hasher"),
    ]  # fmt: skip
    assert told(module, "cpu.t7") == [
        ("main (a.py:1)", 0, 7), ("work (a.py:2)", 0, 3), ("leaf (a.py:3)", 3, 4), ("thread (7)", 7, 1),
    ]  # fmt: skip
    assert told(module, "cpu.t8") == [("main (a.py:1)", 0, 2)]
    assert [item.code for item in module.health] == ["no_clock"]
    assert not tir.verify(module)


def test_processes_and_plain_stacks(tmp_path: Path) -> None:
    """A process is named by its first frame; a stack without either lies on one lane; blanks stay in frames."""
    module = load(tmp_path, 'process 5:"python x.py";thread (9): t;f 1\na b;c d_[j] 2\na b 1\n')
    assert [(lane.name, lane.pid) for lane in module.lanes] == [("cpu.t9", 5), ("cpu.main", None)]
    assert told(module, "cpu.main") == [("a b", 0, 3), ("c d_[j]", 0, 2)]


def test_lines_that_are_none_are_told(tmp_path: Path) -> None:
    """What is no stack and a count is left out and counted, with the first one's line."""
    file = tmp_path / "stacks.txt"
    file.write_text("a;b 1\nhello there\n\na;c 2\n", encoding="utf-8")
    module = tir.load(file, frontend="collapsed")
    found = [item for item in module.health if item.code == "unreadable"]
    assert [(item.count, item.message) for item in found] == [
        (1, "Left out 1 lines that are no stack and a count, the first in line 2.")
    ]


def test_gzip_and_damage(tmp_path: Path) -> None:
    """A gzip file that is cut is read up to there."""
    file = tmp_path / "stacks.txt.gz"
    packed = gzip.compress(TEXT.encode() * 500)
    file.write_bytes(packed)
    assert [item.code for item in tir.load(file).health] == ["no_clock"]
    file.write_bytes(packed[:-12])
    assert "truncated" in [item.code for item in tir.load(file, frontend="collapsed").health]


def test_nothing_in_it(tmp_path: Path) -> None:
    """A text without any stack is refused with what it should hold."""
    file = tmp_path / "stacks.txt"
    file.write_text("hello\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        tir.load(file, frontend="collapsed")
    assert str(caught.value) == (f"The input {file} holds no collapsed stack; each line has to be frames and a count.")


@pytest.mark.parametrize("text", ["just 1\nwords 2\n", "key=value\n", "1,2,3\n", '{"a;b": 1}\n'])
def test_other_texts_are_not_its_own(tmp_path: Path, text: str) -> None:
    """Texts that only look like it are left to others."""
    with pytest.raises(InputError):
        load(tmp_path, text)


def test_shared_files(shared: Any) -> None:
    """Real files: as many samples as their counts say."""
    for name, total in (("local_pyspy_threads.raw.txt", None), ("asyncprofiler_sample1.collapsed", None)):
        file = shared(f"pyspy_speedscope/{name}")
        counts: dict[str, int] = {}
        for line in file.read_text(encoding="utf-8").splitlines():
            counts[""] = counts.get("", 0) + int(line.rpartition(" ")[2])
        module = tir.load(file)
        roots = module["dur"][module["parent"] < 0].sum()
        assert int(roots) == (total or counts[""])


def test_damaged_gzip_and_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gzip file of which nothing can be read, and one that holds far too much."""
    file = tmp_path / "stacks.txt"
    file.write_bytes(b"\x1f\x8bhello")
    with pytest.raises(InputError) as caught:
        tir.load(file, frontend="collapsed")
    assert str(caught.value) == (
        f"The input {file} is a gzip file that is damaged: Error -3 while decompressing data: unknown compression "
        "method; copy it again."
    )
    monkeypatch.setattr("traceir_frontends.whole.read_whole.__defaults__", (1 << 20,))
    file.write_bytes(gzip.compress(b"a;b 1\n" * (1 << 18)))
    with pytest.raises(InputError) as caught:
        tir.load(file, frontend="collapsed")
    assert str(caught.value) == f"The input {file} holds more than 1048576 bytes of text; cut it, or record less."


def test_golden(tmp_path: Path, golden: Callable[[str, str], None]) -> None:
    """The whole module as text."""
    module = load(tmp_path, TEXT)
    assert_round_trip(module)
    golden("frontends/collapsed.tir", listing(module))


@pytest.mark.parametrize("name", ["local_pyspy_threads.raw.txt", "asyncprofiler_sample1.collapsed"])
def test_real_files_come_back(name: str, shared: Any) -> None:
    """Every shared file is sound, and equal after a round trip."""
    assert_round_trip(tir.load(shared(f"pyspy_speedscope/{name}")))
