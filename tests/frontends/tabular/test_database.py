"""Databases read column-wise: what they hold, in order, whatever it is; nothing in them runs; damage is read around."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from traceir.ir import NULL_I64
from traceir.loading import Head
from traceir_frontends.tabular import Database, Frame, is_database, is_packed_database


def made(path: Path, *statements: str, rows: dict[str, list[tuple[Any, ...]]] | None = None) -> Path:
    """A database of some statements, and rows for some tables."""
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    for table, values in (rows or {}).items():
        for row in values:
            connection.execute(f'INSERT INTO "{table}" VALUES ({", ".join("?" * len(row))})', row)
    connection.commit()
    connection.close()
    return path


def read(path: Path, table: str, *columns: str) -> tuple[Frame, list[str]]:
    """A table, and what was damaged."""
    with Database.open(str(path)) as database:
        return database.read(table, columns), database.damage


def attempt(path: Path) -> tuple[Frame | None, list[str]]:
    """The table of a damaged file; None if it is refused, which takes one sentence."""
    try:
        return read(path, "t", "a", "s")
    except tir.InputError as error:
        said = str(error)
    assert "begins like a SQLite file and cannot be read as one" in said
    assert "\n" not in said
    return None, []


CELLS = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.none(), st.floats(allow_nan=False), st.text(max_size=5), st.binary(max_size=4),
    st.sampled_from(["12", " 7", "1,2", "", " ", "1e3", "-", "0x10"]),
)  # fmt: skip


@given(cells=st.lists(st.tuples(CELLS, st.integers(), CELLS), max_size=30), seed=st.integers(0, 3))
def test_a_frame_has_what_the_table_has(
    cells: list[tuple[Any, ...]], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Integers stay exact, null stays null, and what is neither is counted; a plain reading says the same."""
    cells = [(a, b % (1 << 40) - (1 << 39), c) for a, b, c in cells]
    path = made(tmp_path_factory.mktemp("d") / "x.db", "CREATE TABLE t (a INTEGER, b INT, c TEXT)", rows={"t": cells})
    connection = sqlite3.connect(path)
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    plain = connection.execute("SELECT a, b, c FROM t ORDER BY rowid").fetchall()
    connection.close()
    frame, damage = read(path, "t", "a", "b", "c", "missing")
    assert damage == []
    assert frame.rows.tolist() == list(range(1, len(cells) + 1))
    assert frame.ints("b").tolist() == [b for _, b, _ in plain]
    wanted = [whole(a) for a, _, _ in plain]
    assert [None if value == NULL_I64 else value for value in frame.ints("a").tolist()] == wanted
    assert frame.odd.get("a", 0) == sum(w is None and a is not None for w, (a, _, _) in zip(wanted, plain, strict=True))
    assert frame.texts("c") == [None if c is None else c if isinstance(c, str) else _text(c) for _, _, c in plain]
    assert (frame.ints("missing") == NULL_I64).all()
    assert "missing" not in frame


def whole(value: Any) -> int | None:
    """The plain rule of what counts as an integer."""
    if isinstance(value, str):
        try:
            value = int(value.strip())
        except ValueError:
            return None
    if isinstance(value, float):
        value = int(value) if value.is_integer() else None
    return value if isinstance(value, int) and abs(value) <= 1 << 62 else None


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def test_rows_keep_their_numbers_over_many_pieces(tmp_path: Path) -> None:
    """Numbers of rows may be far apart and negative; pieces of one reading neither overlap nor leave out any."""
    ids = [-5, 0, 3, *range(10, 80_010), 1 << 40]
    path = made(tmp_path / "x.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, s TEXT)",
                rows={"t": [(id, id * 2 if id % 7 else None, f"s{id}") for id in ids]})  # fmt: skip
    frame, _ = read(path, "t", "a", "s")
    assert frame.rows.tolist() == ids
    assert frame.texts("s") == [f"s{id}" for id in ids]
    known = frame.ints("a") != NULL_I64
    assert known.tolist() == [id % 7 != 0 for id in ids]
    assert (frame.ints("a")[known] == 2 * frame.rows[known]).all()
    with Database.open(str(path)) as database:
        found = database.rows(0, [3, 1 << 40, 99_999_999])
    assert found == {3: {"id": 3, "a": 6, "s": "s3"}, 1 << 40: {"id": 1 << 40, "a": 2 << 40, "s": f"s{1 << 40}"}}
    assert frame.only(np.array(frame.rows == 3)).texts("s") == ["s3"]


def test_nothing_in_the_file_runs(tmp_path: Path) -> None:
    """Views, virtual tables, computed columns and triggers are not read; names are only names."""
    path = made(
        tmp_path / "x.db",
        "CREATE TABLE base (a INTEGER)",
        "CREATE VIEW seen AS SELECT a, randomblob(1000000000) AS b FROM base",
        "CREATE TABLE computed (a INTEGER, b INTEGER AS (length(zeroblob(1000000000))), c INTEGER DEFAULT (random()))",
        "CREATE VIRTUAL TABLE virtual USING fts5(a)",
        "CREATE TABLE keyed (a INTEGER PRIMARY KEY, b TEXT) WITHOUT ROWID, STRICT",
        'CREATE TABLE "odd "" name; DROP TABLE base" ("a b" INTEGER)',
        "CREATE INDEX expensive ON base (abs(a))",
        "CREATE TRIGGER fired AFTER INSERT ON base BEGIN SELECT 1; END",
        "INSERT INTO base VALUES (1)",
        "INSERT INTO computed (a) VALUES (7)",
    )
    with Database.open(str(path)) as database:
        tables = {name: columns for name, columns in database.tables.items() if not name.startswith("virtual_")}
        assert tables == {"base": ("a",), "computed": ("a", "c"), 'odd " name; DROP TABLE base': ("a b",)}
        assert database.read("computed", ("a", "b")).ints("a").tolist() == [7]
        assert len(database.read("seen", ("a", "b"))) == 0
        with pytest.raises(sqlite3.DatabaseError, match=r"not authorized|prohibited"):
            database._connection.execute("SELECT load_extension('x')")
        for statement in ("ATTACH 'other' AS o", "INSERT INTO base VALUES (2)", "PRAGMA journal_mode = WAL"):
            with pytest.raises(sqlite3.DatabaseError, match=r"not authorized|prohibited|readonly"):
                database._connection.execute(statement)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["x.db"]


def test_a_text_that_is_too_long_ends_the_table(tmp_path: Path) -> None:
    """A value larger than any profiler's is damage; the rows before it are read."""
    path = made(tmp_path / "x.db", "CREATE TABLE t (a INTEGER, s TEXT)", rows={"t": [(1, "ok"), (2, "x" * (70 << 20))]})
    frame, damage = read(path, "t", "a", "s")
    assert frame.texts("s") == ["ok"]
    assert damage == ["the table t cannot be read to its end (string or blob too big)"]


def test_a_text_that_is_no_utf8_is_mended(tmp_path: Path) -> None:
    """What is no text becomes the sign of replacement, and stops nothing."""
    path = made(tmp_path / "x.db", "CREATE TABLE t (s TEXT)", "INSERT INTO t VALUES (CAST(x'61ff62' AS TEXT)), ('ä')")
    frame, damage = read(path, "t", "s")
    assert (frame.texts("s"), damage) == (["a\N{REPLACEMENT CHARACTER}b", "ä"], [])


def test_a_file_cut_anywhere_gives_a_prefix_or_a_sentence(tmp_path: Path) -> None:
    """Cut at each page, and within pages: rows before the damage are read, in order, and the damage is said."""
    whole_file = made(tmp_path / "x.db", "CREATE TABLE t (a INTEGER, s TEXT)",
                      rows={"t": [(n, f"text {n}") for n in range(2000)]}).read_bytes()  # fmt: skip
    seen = set()
    for size in [*range(100, len(whole_file), 4096), *range(1000, len(whole_file), 7777)]:
        path = tmp_path / "cut.db"
        path.write_bytes(whole_file[:size])
        frame, damage = attempt(path)
        if frame is None:
            continue
        assert damage
        assert frame.ints("a").tolist() == list(range(len(frame)))
        seen.add(len(frame) > 0)
    assert seen == {True, False}


@pytest.mark.parametrize("position", [50, 4096 * 3 + 10, 4096 * 5])
def test_garbage_inside_a_file_is_damage(position: int, tmp_path: Path) -> None:
    """Pages of something else do not stop the program."""
    path = made(
        tmp_path / "x.db", "CREATE TABLE t (a INTEGER, s TEXT)", rows={"t": [(n, "s" * 50) for n in range(900)]}
    )
    data = bytearray(path.read_bytes())
    data[position : position + 600] = bytes(range(200)) * 3
    path.write_bytes(data)
    frame, damage = attempt(path)
    assert frame is None or damage or len(frame) == 900


def test_a_file_of_a_writer_with_a_log_is_read(tmp_path: Path) -> None:
    """Once its log is in the file; with the log still beside it, the rows in the log are missing, and that is said."""
    connection = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t (a INTEGER)")
    connection.execute("INSERT INTO t VALUES (1)")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert read(tmp_path / "x.db", "t", "a")[1] == []
    connection.execute("INSERT INTO t VALUES (2)")
    frame, damage = read(tmp_path / "x.db", "t", "a")
    assert frame.ints("a").tolist() == [1]
    assert "write-ahead log" in damage[0]
    connection.close()


@pytest.mark.parametrize(("ending", "word"), [("-wal", "write-ahead log"), ("-journal", "rollback journal")])
def test_what_lies_beside_is_said_and_not_touched(ending: str, word: str, tmp_path: Path) -> None:
    """Changes that are not in the file itself are not read, and the reader writes nothing beside it."""
    path = made(tmp_path / "x.db", "CREATE TABLE t (a INTEGER)", rows={"t": [(1,)]})
    (tmp_path / f"x.db{ending}").write_bytes(b"something")
    frame, damage = read(path, "t", "a")
    assert frame.ints("a").tolist() == [1]
    assert damage[0].startswith(f"a {word} of 9 bytes lies beside it")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["x.db", f"x.db{ending}"]


def test_what_is_no_database_is_refused_in_one_line(tmp_path: Path) -> None:
    """Garbage behind the magic, and standard input."""
    path = tmp_path / "x.db"
    path.write_bytes(b"SQLite format 3\x00" + bytes(range(256)) * 40)
    with pytest.raises(tir.InputError, match=r"begins like a SQLite file and cannot be read as one \(.*\); export it"):
        read(path, "t", "a")
    with pytest.raises(tir.InputError, match="cannot be read from standard input"):
        Database.open("-")
    (tmp_path / "y.db").write_bytes(b"no database at all")
    with pytest.raises(tir.InputError, match=r"y\.db is no SQLite file"):
        read(tmp_path / "y.db", "t", "a")
    with pytest.raises(tir.InputError, match=r"z\.db cannot be read: No such file"):
        read(tmp_path / "z.db", "t", "a")
    head = Head("x", path.read_bytes(), path.read_bytes(), False)
    assert is_database(head)
    assert is_packed_database(Head("x", b"\x1f\x8b", head.raw, True))
    assert not is_packed_database(head)
