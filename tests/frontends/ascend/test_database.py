"""Databases: what differs from version to version, what viewers add, what is damaged or foreign."""

from __future__ import annotations

import contextlib
import gzip
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.frontends.ascend.documents import (
    DEVICE,
    HOST,
    T0,
    TABLES,
    edges_of,
    events_of,
    load_database,
    rows_of,
    step,
    write_database,
)
from traceir.errors import InputError
from traceir.registry import Registry
from traceir.testing import assert_equal
from traceir.text import Spelling, parse, spell


def named(module: tir.Module, name: str) -> tir.Event:
    """The first event of a name."""
    return next(event for event in (module.event(at) for at in range(len(module))) if event.name == name)


def codes(module: tir.Module) -> list[str]:
    """The codes of all findings."""
    return [finding.code for finding in module.health]


@pytest.mark.parametrize("swapped", [False, True])
def test_shapes_and_types_are_told_apart(tmp_path: Path, swapped: bool) -> None:
    """Some versions write each into the column of the other."""
    args = named(load_database(tmp_path, rows_of(step(), swapped=swapped)), "aten::mm").args
    assert args["Input Dims"] == [[32, 64], [64, 8], [], []]
    assert args["Input type"] == ["float", "float", "Scalar"]


def test_arguments_are_those_of_the_text_export(tmp_path: Path) -> None:
    """Ids of texts are read, other tables joined, and the keys of all frontends are there."""
    module = load_database(tmp_path, rows_of(step()))
    kernel = named(module, "aclnnMm_MatMulCommon_MatMulV2").args
    assert kernel["Input Dims"] == [[32, 64], [64, 8]]
    assert (kernel["Type"], kernel["grid"], kernel["correlation"]) == ("MatMulV2", [16, 1, 1], 7)
    moved = named(module, "hcom_allReduce__271_0_1").args
    assert (moved["Collective name"], moved["In msg nelems"], moved["dtype"]) == ("allReduce", 4096, "fp32")
    part = next(event for event in module.select(kind="npu.part") if event.name == "Memcpy")
    assert (part.args["bytes"], part.args["transport type"]) == (64, "SDMA")
    assert (module.meta["rank"], module.meta["vendor"]) == (11, "ascend")


def test_a_whole_whose_parts_are_listed_is_no_work(tmp_path: Path) -> None:
    """A task without a name of its own that spans tasks with contexts of the same number is counted by its parts."""
    rows = rows_of(step())
    inner = (T0 + 300_200, T0 + 300_900, DEVICE, 20, 50, HOST, 0, 0, 2, 77, 4294967295)
    outer = (T0 + 300_000, T0 + 301_000, DEVICE, 20, 51, HOST, 0, 4294967295, 2, 77, 4294967295)
    lone = (T0 + 302_000, T0 + 303_000, DEVICE, 21, 52, HOST, 0, 4294967295, 2, 78, 4294967295)
    rows["STRING_IDS"] += [(900, "ReduceSum7"), (901, "KERNEL_AIVEC")]
    rows["COMPUTE_TASK_INFO"].append((900, 50, 8, 901, 900, None, None))
    rows["TASK"] += [(*row[:6], 901, *row[7:]) for row in (inner, outer, lone)]
    module = load_database(tmp_path, rows)
    found = {(event.name, event.dur): event.kind for event in (module.event(at) for at in range(len(module)))}
    assert found["ReduceSum7", 700] == "dev.kernel"
    assert found["KERNEL_AIVEC", 1000] in ("npu.part", "dev.kernel")
    kinds = {int(event.ts): event.kind for event in module.select() if event.name == "KERNEL_AIVEC"}
    assert kinds == {300_000: "npu.part", 302_000: "dev.kernel"}


def test_steps_come_from_their_own_table_if_nowhere_else(tmp_path: Path) -> None:
    """Native profiles have no framework rows."""
    rows = rows_of(step())
    rows["PYTORCH_API"] = []
    rows["STEP_TIME"] = [(5, T0, T0 + 900_000)]
    module = load_database(tmp_path, rows)
    assert [(event.name, event.dur) for event in module.select(kind="mark.step")] == [("ProfilerStep#5", 900_000)]
    assert (
        len(load_database(tmp_path, {**rows_of(step()), "STEP_TIME": rows["STEP_TIME"]}).select(kind="mark.step")) == 1
    )


def test_what_viewers_add_is_ignored(tmp_path: Path) -> None:
    """MindStudio Insight writes its own tables and columns into the file that it opens."""
    extra = [
        "CREATE TABLE OVERLAP_ANALYSIS (id INTEGER PRIMARY KEY, deviceId INTEGER, startNs INTEGER, endNs INTEGER, "
        "type INTEGER)",
        f"INSERT INTO OVERLAP_ANALYSIS VALUES (1, 3, {T0}, {T0 + 5}, 0)",
        "CREATE TABLE connectionCats (connectionId INT, cat)",
        "ALTER TABLE TASK ADD COLUMN depth INTEGER",
    ]  # fmt: skip
    plain = load_database(tmp_path, rows_of(step()))
    seen = load_database(tmp_path / "seen", rows_of(step()), extra)
    assert events_of(plain) == events_of(seen)
    assert codes(plain) == codes(seen)


def test_nothing_of_the_file_is_executed(tmp_path: Path) -> None:
    """Triggers and views of the file do nothing; a view in the place of a table is not read."""
    path = write_database(
        tmp_path,
        {**rows_of(step()), "STEP_TIME": []},
        [
            "CREATE TABLE hits (n INTEGER)",
            "CREATE TRIGGER t AFTER INSERT ON TASK BEGIN INSERT INTO hits VALUES (1); END",
            "CREATE VIEW STEP_TIME AS SELECT randomblob(1000000) AS id, 1 AS startNs, 2 AS endNs",
        ],
    )
    before = path.read_bytes()
    assert len(tir.load(path).select(kind="mark.step")) == 1
    assert path.read_bytes() == before


def test_missing_tables_are_told(tmp_path: Path) -> None:
    """Without names, calls or operators the rest is read."""
    rows = {**rows_of(step()), "STRING_IDS": [], "PYTORCH_API": [], "CANN_API": []}
    module = load_database(tmp_path, rows)
    assert len(module.select(where=module.work)) >= 4
    assert "missing_tables" in codes(module)


@pytest.mark.parametrize("table", ["TASK", "CANN_API", "PYTORCH_API", "COMMUNICATION_OP"])
@pytest.mark.parametrize("value", [None, "text", b"\xff", 1 << 62, -5])
def test_odd_values_leave_the_rest(tmp_path: Path, table: str, value: Any) -> None:
    """A start that is no time costs its row, and a finding counts it."""
    rows = rows_of(step())
    at = (
        TABLES[table]
        .replace(" ", "")
        .split(",")
        .index(next(c for c in TABLES[table].replace(" ", "").split(",") if c.startswith("startNs")))
    )
    first = list(rows[table][0])
    first[at] = value
    rows[table][0] = tuple(first)
    module = load_database(tmp_path, rows)
    assert len(events_of(module)) >= len(events_of(load_database(tmp_path / "2", rows_of(step())))) - 2


def test_ranges_of_the_program_are_ranges(tmp_path: Path) -> None:
    """mstx ranges, marks, and ranges that nobody closed."""
    extra = [
        "CREATE TABLE MSTX_EVENTS (startNs INTEGER, endNs INTEGER, eventType INTEGER, message INTEGER, "
        "globalTid INTEGER, connectionId INTEGER)",
        f"INSERT INTO MSTX_EVENTS VALUES ({T0 + 10}, {T0 + 90}, 1, 0, {HOST << 32 | HOST}, 0)",
        f"INSERT INTO MSTX_EVENTS VALUES ({T0 + 20}, {T0 + 20}, 0, 0, {HOST << 32 | HOST}, 0)",
    ]
    module = load_database(tmp_path, rows_of(step()), extra)
    assert [event.dur for event in module.select(kind="host.range")] == [80]
    assert len(module.select(kind="mark.instant")) == 1


@given(cut=st.integers(0, 60_000))
def test_a_cut_database_never_crashes(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    """It is read up to the damage, or refused."""
    folder = tmp_path_factory.mktemp("cut")
    path = write_database(folder, rows_of(step()))
    raw = path.read_bytes()
    path.write_bytes(raw[: min(cut, len(raw) - 1)])
    with contextlib.suppress(InputError):
        module = tir.load(path, frontend="ascend")
        assert not [item for item in tir.verify(module) if item.level == "error"]


def test_databases_of_others_are_left_alone(tmp_path: Path) -> None:
    """A database without a table of this format is not claimed, and that of an analysis is refused by name."""
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE StringIds (id INTEGER, value TEXT)")
    connection.close()
    with pytest.raises(InputError, match="no trace that any frontend knows"):
        tir.load(path)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE StepTraceTime (step TEXT)")
    connection.close()
    with pytest.raises(InputError, match="no timeline; name the database of the profiler"):
        tir.load(path)


def test_an_empty_database_is_refused(tmp_path: Path) -> None:
    """A file with tables and no event has nothing to show."""
    rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in TABLES}
    path = write_database(
        tmp_path,
        {**rows, "STRING_IDS": [(1, "x")]},
        [f"CREATE TABLE TASK ({TABLES['TASK']})", f"CREATE TABLE CANN_API ({TABLES['CANN_API']})"],
    )
    with pytest.raises(InputError, match="holds no event"):
        tir.load(path)


def test_the_module_survives_its_text(tmp_path: Path) -> None:
    """Printed, read again and printed: the same."""
    registry = Registry.installed()
    module = load_database(tmp_path, rows_of(step()))
    text = "".join(spell(module, Spelling("table", dead=True), registry=registry))
    assert_equal(module, parse(text, registry=registry))


def test_connections_of_queues_and_passes_are_edges(tmp_path: Path) -> None:
    """What is put into the queue leads to what is taken out, a forward operator to its backward one."""
    module = load_database(tmp_path, rows_of(step()))
    assert ("Enqueue", "Dequeue@aclnnMm") in edges_of(module, "enqueue")
    assert edges_of(module, "flow") == [("aten::mm", "MmBackward0")]


def test_counters_are_called_as_in_text(tmp_path: Path) -> None:
    """Each column of samples is a lane of its device; a row that holds two values is two samples."""
    extra = [
        "INSERT INTO STRING_IDS VALUES (900, 'read'), (901, 'app'), (902, 'PTA')",
        "CREATE TABLE HBM (deviceId INTEGER, timestampNs INTEGER, bandwidth NUMERIC, hbmId INTEGER, type INTEGER)",
        f"INSERT INTO HBM VALUES (3, {T0 + 5}, 7, 2, 900)",
        "CREATE TABLE LLC (deviceId INTEGER, llcId INTEGER, timestampNs INTEGER, hitRate REAL, throughput INTEGER, "
        "mode INTEGER)",
        f"INSERT INTO LLC VALUES (3, 0, {T0 + 5}, 0.5, 9, 900)",
        "CREATE TABLE NPU_MEM (type INTEGER, ddr NUMERIC, hbm NUMERIC, timestampNs INTEGER, deviceId INTEGER)",
        f"INSERT INTO NPU_MEM VALUES (901, 1, 2, {T0 + 5}, 3)",
        "CREATE TABLE MEMORY_RECORD (component INTEGER, timestamp INTEGER, totalAllocated INTEGER, "
        "totalReserved INTEGER, deviceId INTEGER)",
        f"INSERT INTO MEMORY_RECORD VALUES (902, {T0 + 5}, 10, 20, 3)",
    ]  # fmt: skip
    module = load_database(tmp_path, rows_of(step()), extra)
    found = {event.lane.name: (event.name, event.ts) for event in module.select(kind="ctr.sample")}
    assert {name: item for name, item in found.items() if "Freq" not in name} == {
        "npu3.ctr.HBM_2_Read": ("HBM 2/Read", 5), "npu3.ctr.LLC_0_Read_Throughput": ("LLC 0 Read/Throughput", 5),
        "npu3.ctr.LLC_0_Read_Hit_Rate": ("LLC 0 Read/Hit Rate", 5), "npu3.ctr.NPU_MEM_APP_DDR": ("NPU MEM APP/DDR", 5),
        "npu3.ctr.NPU_MEM_APP_HBM": ("NPU MEM APP/HBM", 5),
        "npu3.ctr.Memory_PTA_Allocated": ("Memory PTA/Allocated", 5),
        "npu3.ctr.Memory_PTA_Reserved": ("Memory PTA/Reserved", 5),
    }  # fmt: skip
    assert [event.args["bandwidth"] for event in module.select(kind="ctr.sample") if event.name == "HBM 2/Read"] == [7]


def test_a_packed_database_is_refused_with_the_command(tmp_path: Path) -> None:
    """It has to be read in any order, which gzip does not allow."""
    path = write_database(tmp_path, rows_of(step()))
    packed = tmp_path / "run.db.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(InputError, match=r"packed database; unpack it first: gunzip --keep .*run\.db\.gz"):
        tir.load(packed)


def test_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    """Also where the frontend is named, so that nobody looked at the file before."""
    with pytest.raises(InputError, match="No such file"):
        tir.load(tmp_path / "gone.db", frontend="ascend")
