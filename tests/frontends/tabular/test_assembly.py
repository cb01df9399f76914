"""Tables put together to a module: positions, lanes, kinds, joins, and what is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from traceir.ir import NULL_I64, Ints
from traceir_frontends.tabular import Assembly, Frame, TableSource, matched, row_codes
from traceir_frontends.tabular.assembly import distinct_rows

KEYS = st.lists(st.tuples(st.sampled_from([NULL_I64, 0, 1, 2, 1 << 61]), st.integers(-2, 2)), max_size=12)


def columns(keys: list[tuple[int, int]]) -> list[Ints]:
    """Two columns of keys."""
    return [np.array([key[at] for key in keys], np.int64) for at in (0, 1)]


@given(source=KEYS, target=KEYS)
def test_matched_is_the_last_equal_key(source: list[tuple[int, int]], target: list[tuple[int, int]]) -> None:
    """Each target with a known key has the last source of that key; null equals nothing."""
    src, dst = matched(columns(source), columns(target))
    known = {key: at for at, key in enumerate(source) if NULL_I64 not in key}
    wanted = [(known[key], at) for at, key in enumerate(target) if key in known]
    assert list(zip(src.tolist(), dst.tolist(), strict=True)) == wanted


@given(keys=KEYS)
def test_numbers_of_rows_tell_keys_apart(keys: list[tuple[int, int]]) -> None:
    """Two rows have one number exactly if their keys are equal, however wide the keys are."""
    codes = row_codes(columns(keys)).tolist()
    assert len(set(codes)) == len(set(keys)) == len(set(zip(codes, keys, strict=True)))
    distinct, number = distinct_rows(columns(keys))
    assert [distinct[at] for at in number.tolist()] == keys


def _assembly(path: Path, start: list[int], end: list[int], opens: bool = False) -> tuple[Assembly, Ints]:
    assembly = Assembly(str(path))
    lane = assembly.lanes([np.zeros(len(start), np.int64)], lambda _: tir.Lane("cpu.main", "host.thread"))
    name = assembly.texts([f"e{n}" for n in range(len(start))])
    at = assembly.add(
        "host.range", name, np.array(start), np.array(end), lane, table=0, rows=np.arange(len(start)), open_ends=opens
    )
    return assembly, at


def test_rows_without_a_start_and_negative_lengths(tmp_path: Path) -> None:
    """The first are left out, the second have no length; both are counted, and positions stay those of the events."""
    assembly, at = _assembly(tmp_path, [5, NULL_I64, 9, 20], [8, 9, 3, NULL_I64])
    assert at.tolist() == [0, -1, 1, 2]
    assert assembly.repaired == {"no_time": 1, "negative_dur": 1}
    assert assembly.first["negative_dur"] == 1
    assert assembly.columns().dur.tolist() == [3, 0, 0]


def test_open_ranges_last_to_the_end_of_the_record(tmp_path: Path) -> None:
    """Also when later tables reach further."""
    assembly, _ = _assembly(tmp_path, [5, 9], [30, NULL_I64], opens=True)
    assert assembly.columns().dur.tolist() == [25, 21]
    lane = np.array([assembly.lane(tir.Lane("gpu0.s1", "dev.stream", 0, 1))], np.int32)
    assembly.add("dev.kernel", assembly.texts(["k"]), np.array([40]), np.array([50]), lane, table=1, rows=np.array([1]))
    columns_ = assembly.columns()
    assert columns_.dur.tolist() == [25, 41, 10]
    assert columns_.open.tolist() == [False, True, False]


def test_only_what_is_used_is_in_the_module(tmp_path: Path) -> None:
    """Names, kinds and lanes that no event has are left out; streams come after threads, by number."""
    path = tmp_path / "x"
    path.write_bytes(b"")
    assembly = Assembly(str(path))
    assembly.text("unused")
    assembly.kind("mark.step")
    assembly.lane(tir.Lane("ctr.none", "counter"))
    lanes = [assembly.lane(tir.Lane(f"gpu0.s{n}", "dev.stream", 0, n)) for n in (9, 2)]
    lanes += [assembly.lane(tir.Lane(name, "host.thread")) for name in ("cpu.7", "cpu.main")]
    start = np.array([100, 101, 102, 103])
    kinds = np.array([assembly.kind(kind) for kind in ("dev.kernel", "dev.kernel", "rt.launch", "rt.launch")])
    at = assembly.add(kinds, assembly.texts(["a", "b", "c", "d"]), start, start + 1, np.array(lanes, np.int32), table=0,
                      rows=np.arange(4))  # fmt: skip
    assembly.edges("launch", at[[2, 3, -1]], np.array([at[0], at[1], -1]))
    source = TableSource(str(path), "test", lambda table, row: row)
    module = assembly.build(source, {"vendor": None}, 1000, "x")
    assert [lane.name for lane in module.lanes] == ["cpu.main", "cpu.7", "gpu0.s2", "gpu0.s9"]
    assert list(module.kinds) == ["dev.kernel", "rt.launch"]
    assert module.strings.texts == ("a", "b", "c", "d")
    assert module.meta["origin_ns"] == 1100
    assert {(event.name, event.launch.name) for event in module.kernels if event.launch} == {("a", "c"), ("b", "d")}


def test_an_empty_input_is_refused() -> None:
    """Nothing to make a module of."""
    with pytest.raises(tir.InputError, match="The input x holds no event with a time"):
        Assembly("x").columns()
    with pytest.raises(ValueError, match=r"There is no kind 'no\.such'"):
        Assembly("x").kind("no.such")


def test_frames_read_the_first_column_that_is_there() -> None:
    """Versions spell columns differently, and leave some null where another one speaks."""
    frame = Frame(
        "t", 0, np.arange(3), {"new": np.array([1, NULL_I64, 3]), "old": [7, 8, "x"], "real": [1.5, None, "y"]}
    )
    assert frame.ints("newest", "new", "old").tolist() == [1, NULL_I64, 3]
    assert frame.coalesced("newest", "new", "old").tolist() == [1, 8, 3]
    assert frame.first_of("none", "old") == "old"
    assert frame.texts("new") == ["1", None, "3"]
    assert np.isnan(frame.floats("real")).tolist() == [False, True, True]
    assert frame.floats("new")[2] == 3.0
    assert frame.odd == {"old": 1}
