"""`--emit chrome` of edited modules: moved, removed, cut out or damaged events, all other bytes untouched."""

from __future__ import annotations

import io
import json
import tempfile
import tracemalloc
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from traceir.ir.source import Elements
from traceir.printers import Result, Style
from traceir.printers.chrome import Chrome
from traceir.printers.chrome.edits import Times, edit

from ..conftest import ROOT
from ..frontends.kineto.documents import call, kernel, load, load_events, op, plain
from .chrome_reading import differences, events_of, improper, load_text, own, render, shifted

EXAMPLE = ROOT / "examples" / "decoder_tp8_graph.json.gz"
SOME = ("sgl_dec", "qwen_h100", "event_sync_multi")


def _texts(text: str) -> list[str]:
    """The elements of a document as they are spelled, one a line."""
    return [line.strip().rstrip(",") for line in text.splitlines() if line.strip().startswith('{"ph"')]


def _lines(*elements: str, tail: str = "") -> str:
    return '{"schemaVersion": 1, "traceEvents": [\n  ' + ",\n  ".join(elements) + f"\n  ]{tail}}}\n"


LAUNCH = '{"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 7, "tid": 7, '
KERNEL = '{"ph": "X", "cat": "kernel", "name": "gemm", "pid": 0, "tid": 20, '


def test_only_the_numbers_of_times_change(tmp_path: Path) -> None:
    """Keys of that name in arguments, blanks, quotes and whole numbers stay as they are."""
    text = _lines(
        LAUNCH + '"ts": 1, "dur": 2, "args": {"correlation": 1}}',
        KERNEL + '"args": {"ts": 5, "dur": 6, "correlation": 1}, "ts" :  20.5,"dur":1e1}',
        KERNEL + '"ts": "40", "dur": "3", "args": {"correlation": 2, "name": "\\"ts\\": 9"}}',
        '{"ph": "i", "s": "t", "name": "mark", "pid": 7, "tid": 7, "ts": 60}',
        tail=', "ts": 7',
    )
    module = shifted(load(tmp_path, text), 4_000, 5_001)
    assert _texts(render(module)) == [
        LAUNCH + '"ts": 1, "dur": 2, "args": {"correlation": 1}}',
        KERNEL + '"args": {"ts": 5, "dur": 6, "correlation": 1}, "ts" :  15.499,"dur":1e1}',
        KERNEL + '"ts": "34.999", "dur": "3", "args": {"correlation": 2, "name": "\\"ts\\": 9"}}',
        '{"ph": "i", "s": "t", "name": "mark", "pid": 7, "tid": 7, "ts": 54.999}',
    ]
    whole = shifted(load(tmp_path, text), 4_000, 5_000)
    assert _texts(render(whole))[2:] == [
        KERNEL + '"ts": "35", "dur": "3", "args": {"correlation": 2, "name": "\\"ts\\": 9"}}',
        '{"ph": "i", "s": "t", "name": "mark", "pid": 7, "tid": 7, "ts": 55}',
    ]


def test_an_event_across_the_removed_time_gets_shorter(tmp_path: Path) -> None:
    """A host op that lasted over the removed time has a new duration and its old start."""
    module = shifted(load_events(tmp_path, [op("a", 0, 100), op("b", 90, 5.5)]), 20_000, 50_000)
    assert [(e["ts"], e["dur"]) for e in events_of(render(module))] == [(0, 50), (40, 5.5)]


def test_arrows_ends_marks_and_counters_move_along(tmp_path: Path) -> None:
    """Ends of arrows go with their events, ends of ranges with their begins, all else with what is around it."""
    events = [
        *plain(),
        {"ph": "B", "name": "range", "pid": 7, "tid": 8, "ts": 100},
        {"ph": "E", "pid": 7, "tid": 8, "ts": 150},
        {"ph": "C", "name": "counter", "pid": 7, "ts": 150, "args": {"v": 1}},
        {"ph": "X", "cat": "Trace", "name": "PyTorch Profiler (0)", "pid": "Spans", "tid": "P", "ts": 100, "dur": 60.5},
        {"ph": "i", "s": "g", "name": "Record Window End", "pid": "", "tid": "", "ts": 160.5},
        {"ph": "s", "cat": "odd", "id": 5, "name": "x", "pid": 9, "tid": 9, "ts": 155},
        {"ph": "M", "name": "thread_name", "pid": 7, "tid": 7, "ts": 150, "args": {"name": "main"}},
    ]
    module = load_events(tmp_path, events)
    origin = 100_000
    found = events_of(render(shifted(module, 112_000 - origin, 5_000)))
    times = [(e["ph"], e["ts"]) for e in found]
    assert times[6:8] == [("s", 105.125), ("f", 115.0)]
    assert times[8:] == [("B", 100), ("E", 145), ("C", 145), ("X", 100), ("i", 155.5), ("s", 150), ("M", 150)]
    assert found[11]["dur"] == 55.5
    assert found[3]["ts"] == found[7]["ts"]


@pytest.mark.parametrize("name", SOME)
def test_moved_shared_traces_read_back_equal(
    name: str, load_shared: Callable[[str], tir.Module], tmp_path: Path
) -> None:
    """A real trace without a stretch of its time: new times, and edges as before; nesting may differ at its border."""
    module = load_shared(name)
    module = shifted(module, int(np.median(module["ts"])), 7_777)
    assert differences(module, load_text(tmp_path, render(module)), "parent") == []


def test_moved_example_differs_in_times_only(tmp_path: Path) -> None:
    """All members but the times are the input's, for every element."""
    module = tir.load(EXAMPLE)
    before = events_of(render(module))
    after = events_of(render(shifted(module, 1_000_000, 123_456)))
    for event in (*before, *after):
        event.pop("ts", None)
        event.pop("dur", None)
    assert before == after


def test_unmoved_module_with_kept_originals_is_untouched(tmp_path: Path) -> None:
    """Columns that were written anew but say the same change no byte of any element."""
    module = tir.load(EXAMPLE)
    same = module.with_columns({"ts": module["ts"] + 0, "src.ts": module["ts"]})
    assert render(same) == render(module)
    again = same.with_columns({"ts": same["ts"] + 1}).with_columns({"ts": module["ts"].copy()})
    assert events_of(render(again)) == events_of(render(module))


_ARGS = st.sampled_from(["{}", '{"ts": 1, "dur": {"ts": 2}}', '"\\"ts\\": 5"', '[{"ts": 3}]'])


@given(st.integers(-(10**6), 10**15), st.integers(0, 10**9), _ARGS)
def test_edit_law(ts: int, dur: int, args: str) -> None:
    """For any numbers: the element's own times are the new ones, to the ns, its arguments as they were."""
    raw = f'{{"args": {args}, "ts": 3.25, "dur": 4, "z": [{{"dur": 5}}]}}'.encode()
    one = np.array([0]), np.array([len(raw)])
    part = Elements(0, 0, raw, *one, np.array([3250]), np.array([4000]), [None], True)
    text, starts, ends = edit(part, Times(np.array([ts]), np.array([dur])))
    found = json.loads(text, parse_float=Decimal)
    assert (int(starts[0]), int(ends[0])) == (0, len(text))
    assert (found.pop("ts") * 1000, found.pop("dur") * 1000) == (ts, dur)
    assert found == {"args": json.loads(args), "z": [{"dur": 5}]}


# --- removed ---------------------------------------------------------------------------------------------------------


def _without(module: tir.Module, *ids: int) -> tir.Module:
    return module.with_columns({"live": ~np.isin(module["id"], ids)})


def test_removed_events_are_left_out_with_their_arrows(tmp_path: Path) -> None:
    """A removed kernel takes its arrow along; with `dead` all is there, byte for byte."""
    module = load_events(tmp_path, plain())
    gone = _without(module, 3)
    assert [e["name"] for e in events_of(render(gone))] == [
        e["name"] for n, e in enumerate(plain()) if n not in (3, 6, 7)
    ]
    assert render(gone, dead=True) == render(module)


def test_a_removed_begin_takes_its_end_along(tmp_path: Path) -> None:
    """Of two nested ranges the inner one goes, and the right end with it."""
    rows = [("B", "outer", 1), ("B", "inner", 2), ("E", "inner", 3), ("E", "outer", 4)]
    events = [{"ph": ph, "name": name, "pid": 1, "tid": 1, "ts": ts} for ph, name, ts in rows]
    module = _without(load_events(tmp_path, events), 1)
    assert [(e["ph"], e["ts"]) for e in events_of(render(module))] == [("B", 1), ("E", 4)]


@pytest.mark.parametrize("keep", [[0], [0, 5], [5], []])
def test_separators_stay_right(keep: list[int], tmp_path: Path) -> None:
    """Whatever is removed, at the ends, in the middle or all of it: the document is JSON."""
    module = load_events(tmp_path, [op(f"a{n}", n, 1) for n in range(6)])
    text = render(_without(module, *(set(range(6)) - set(keep))))
    assert [e["name"] for e in events_of(text)] == [f"a{n}" for n in keep]


# --- windows ---------------------------------------------------------------------------------------------------------


def test_a_window_has_what_belongs_to_it(tmp_path: Path) -> None:
    """Its events, arrows with both ends inside, names of its lanes, and the document's own members."""
    names: list[dict[str, Any]] = [
        {"ph": "M", "name": "process_name", "pid": pid, "tid": 0, "ts": 0, "args": {"name": str(pid)}}
        for pid in (0, 7, 8)
    ]
    names += [
        {"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "ts": 0, "args": {"name": str(tid)}}
        for pid, tid in ((0, 20), (0, 21), (7, 7))
    ]
    tail = [
        {"ph": "s", "cat": "ac2g", "name": "ac2g", "id": 12, "pid": 7, "tid": 7, "ts": 125.0},
        {"ph": "f", "cat": "ac2g", "name": "ac2g", "id": 12, "pid": 0, "tid": 20, "ts": 140.0, "bp": "e"},
        {"ph": "i", "s": "g", "name": "Record Window End", "pid": "", "tid": "", "ts": 160.5},
    ]
    module = load_events(tmp_path, [*plain(), *names, *tail], baseTimeNanoseconds=5, odd=[1])
    window = module.window(np.isin(module["id"], [2, 3, 5]))
    text = render(window)
    assert {key: value for key, value in json.loads(text).items() if key != "traceEvents"} == {
        "schemaVersion": 1, "baseTimeNanoseconds": 5, "odd": [1],
    }  # fmt: skip
    found = events_of(text)
    assert [e["name"] for e in found if e["ph"] == "X"] == ["cudaLaunchKernel", "gemm", "relu"]
    assert [(e["ph"], e["id"]) for e in found if e["ph"] in "sf"] == [("s", 11), ("f", 11)]
    named = [(e["name"], e["pid"], e["tid"]) for e in found if e["ph"] == "M"]
    assert named == [("process_name", 0, 0), ("process_name", 7, 0), ("thread_name", 0, 20), ("thread_name", 7, 7)]
    assert len(found) == 9


@pytest.mark.parametrize("name", SOME)
def test_windows_of_shared_traces_read_back_equal(
    name: str, load_shared: Callable[[str], tir.Module], tmp_path: Path
) -> None:
    """The later half of a real trace is a trace of its own; its arrows have both ends."""
    module = load_shared(name)
    window = module.window(module["ts"] >= np.median(module["ts"]))
    text = render(window)
    assert differences(window, load_text(tmp_path, text)) == []
    assert [line for line in improper(events_of(text)) if line.startswith("arrow")] == []


def test_findings_of_a_window_are_those_of_the_window(tmp_path: Path) -> None:
    """A window with passes run over it: times are the file's, lanes only as far as it goes."""
    module = tir.load(EXAMPLE)
    window = module.window((module["ts"] > 140_000_000) & (module["ts"] < 160_000_000))
    after = tir.PassManager.parse("overlap,gaps").run(window)
    slices = [e for e in own(events_of(render(after))) if e["ph"] == "X"]
    whole = [e for e in events_of(render(window)) if e.get("cat") == "kernel"]
    assert slices
    assert min(e["ts"] for e in slices) >= min(e["ts"] for e in whole)
    assert max(e["ts"] + e["dur"] for e in slices) <= max(e["ts"] + e["dur"] for e in whole) + 0.001


# --- damage ----------------------------------------------------------------------------------------------------------

_SOUND = json.dumps({"schemaVersion": 1, "traceEvents": plain(), "more": [1]})
_DAMAGED = {
    "cut inside an event": _SOUND[: _SOUND.index("relu")],
    "cut after an event": _SOUND[: _SOUND.index("}, {", 400) + 1],
    "no comma": _SOUND.replace("}, {", "} {", 2),
    "two commas": _SOUND.replace("}, {", "}, , {", 2),
    "NaN": _SOUND.replace('"dur": 5,', '"dur": NaN,', 1),
    "NaN above": _SOUND.replace("[1]", "[NaN]"),
    "NaN before": _SOUND.replace('"schemaVersion": 1', '"schemaVersion": NaN'),
    "control character": _SOUND.replace("aten::mm", "aten\x01::mm"),
    "line break": _SOUND.replace("aten::mm", "aten\n::mm"),
    "no object": _SOUND.replace('[{"ph"', '[17, {"ph"', 1),
    "cut behind the list": _SOUND[: _SOUND.index('"more"')],
    "mark of byte order": "\ufeff" + _SOUND,
    "bare list, cut": json.dumps(plain())[:-1],
    "empty list": '{"a": 1, "traceEvents": []}',
    "empty bare list": "[]",
}


@pytest.mark.parametrize("what", _DAMAGED)
def test_damaged_input_gives_a_sound_document(what: str, tmp_path: Path) -> None:
    """What could be read comes out as strict JSON, with what the passes found."""
    module = load(tmp_path, _DAMAGED[what])
    after = tir.PassManager.parse("group,overlap,gaps").run(module)
    text = render(after)
    assert not text.startswith("\ufeff")
    assert differences(module, load_text(tmp_path, text)) == []
    assert bool(own(events_of(text))) == any(module.work)


def test_bad_utf8_becomes_a_replacement(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 in an argument, which no reader of the file had to look at."""
    module = load(tmp_path, _SOUND.replace('"External id": 1', '"x": "\xff", "External id": 1').encode("latin-1"))
    found = events_of(render(module))
    assert found[1]["args"] == {"x": "\ufffd", "External id": 1}


@given(st.lists(st.tuples(st.integers(0, len(_SOUND) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_any_damage_gives_a_sound_document(damage: list[tuple[int, int]]) -> None:
    """Bytes put in at random: the file is refused, or the output is strict JSON with the same events."""
    data = bytearray(_SOUND.encode())
    for at, byte in damage:
        data[at] = byte
    with tempfile.TemporaryDirectory() as folder:
        try:
            module = load(Path(folder), bytes(data))
        except tir.InputError:
            return
        text = render(module)
        assert differences(module, load_text(Path(folder), text)) == []


_ESCAPED = [rf'"{chr(92)}u{ord(letter):04x}{rest}"' for letter, rest in (("t", "s"), ("d", "ur"))]


@given(st.integers(-(10**6), 10**15), st.integers(0, 10**9), _ARGS, st.booleans(), st.booleans())
def test_keys_with_escapes_are_edited_too(ts: int, dur: int, args: str, one: bool, other: bool) -> None:
    """`t` as an escape is `t` still; keys of that name in arguments are not touched, whatever stands first."""
    keys = [
        spelled if odd else plain for spelled, plain, odd in zip(_ESCAPED, ('"ts"', '"dur"'), (one, other), strict=True)
    ]
    raw = f'{{"args": {args}, {keys[0]}: 3.25, {keys[1]}: "4" }}'.encode()
    at = np.array([0]), np.array([len(raw)])
    text, _, ends = edit(
        Elements(0, 0, raw, *at, np.array([3250]), np.array([4000]), [None], True),
        Times(np.array([ts]), np.array([dur])),
    )
    found = json.loads(text, parse_float=Decimal)
    assert int(ends[0]) == len(text)
    assert [Decimal(found["ts"]) * 1000, Decimal(found["dur"]) * 1000] == [Decimal(ts), Decimal(dur)]
    assert found["args"] == json.loads(args)


@pytest.mark.parametrize("number", ['"40"', '" 40 "', "4e1", "40.000"])
def test_odd_spellings_of_numbers_are_edited(number: str, tmp_path: Path) -> None:
    """Whatever the frontend takes for a time is edited, and the document stays sound."""
    module = load(tmp_path, _lines(LAUNCH + '"ts": 1, "dur": 2}', KERNEL + f'"ts": {number}, "dur": "3"}}'))
    assert len(module) == 2
    assert float(events_of(render(shifted(module, 4_000, 5_001)))[1]["ts"]) == 34.999


@pytest.mark.parametrize("raw", ['{"x": 1}', r'{"args": {"ts": 1, "dur": 2}, "\u0041": 3}', "{}"])
@pytest.mark.parametrize("key", ["ts", "dur"])
def test_a_time_that_cannot_be_edited_is_said(raw: str, key: str) -> None:
    """An element without the number that was read of it, if there ever is one: a sentence, and what to do."""
    at = np.array([0]), np.array([len(raw)])
    part = Elements(41, 0, raw.encode(), *at, np.array([3250]), np.array([4000]), [None], True)
    times = Times.none(1)
    getattr(times, key)[0] = 7_000
    with pytest.raises(tir.InputError, match=rf'The time of %41 cannot be edited: its text has no "{key}" of its own'):
        edit(part, times)


def test_a_second_reading_of_an_escaped_key(tmp_path: Path) -> None:
    """The whole printer on a key with an escape, and a key of that name in its arguments."""
    event = KERNEL + '"t\\u0073": 40, "dur": 3, "args": {"ts": 5}}'
    module = load(tmp_path, _lines(LAUNCH + '"ts": 1, "dur": 2}', event))
    assert events_of(render(shifted(module, 4_000, 5_000)))[1]["ts"] == 35


def test_a_hand_made_stream_of_calls_and_kernels_nests(tmp_path: Path) -> None:
    """What a document of our own builders gives is proper by the rules that the tests check with."""
    events = [call("cudaLaunchKernel", 1, 2, 1), kernel("gemm", 5, 2, 1), op("a", 1, 9)]
    assert improper(events) == []
    assert len(improper([*events, op("b", 5, 9)])) == 1


class _Null(io.TextIOBase):
    """An output that forgets what is written."""

    def write(self, text: str) -> int:
        return len(text)


@pytest.mark.parametrize("what", ["untouched", "moved", "removed"])
def test_memory_does_not_grow_with_the_text(what: str, tmp_path: Path) -> None:
    """Of a text of 24 MB only some pieces are ever held, whether it is copied or edited."""
    module = load_events(tmp_path, [op("a", n, 1, filler="x" * 12_000) for n in range(2_000)])
    if what == "moved":
        module = shifted(module, 1_000_000, 500)
    elif what == "removed":
        module = _without(module, *range(0, 2_000, 3))
    tracemalloc.start()
    try:
        Chrome().write(Result(module, {}, ()), _Null(), Style())  # type: ignore[arg-type]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12_000_000
