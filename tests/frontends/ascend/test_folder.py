"""Result folders: the timeline is found, the tables beside it are joined, several ranks are refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

import traceir as tir
from tests.frontends.ascend.documents import T0, rows_of, step, timeline, us, write_database, write_text
from traceir.cli.main import main
from traceir.errors import InputError, UsageError

RESULT = "ASCEND_PROFILER_OUTPUT"
KERNELS = (
    "Step Id,Name,Type,Accelerator Core,Start Time(us),Duration(us),Block Dim,Input Shapes,Input Data Types\n"
    f'5,aclnnMm_MatMulCommon_MatMulV2,MatMulV2,AI_CORE,{us(100_123)}\t,30.125,16,"""32,64;64,8""",FLOAT;DT_BF16\n'
    f"5,Relu9,Relu,AI_VECTOR_CORE,{us(200_000)}\t,40.0,N/A,N/A,N/A\n"
)
STEPS = (
    "Step,Computing,Communication(Not Overlapped),Overlapped,Communication,Free,Stage,Bubble\n"
    "5,70.125,110.00000000000001,40.0,150,1.5,199.877,0\n"
)
COMMUNICATION = (
    '{"step5": {"p2p": {}, "collective": {"hcom_allReduce__271_0_1@22022204950826225271": {"Communication Time Info": '
    f'{{"Start Timestamp(us)": {float(us(150_000))!r}, "Elapse Time(ms)": 0.15, "Wait Time(ms)": 0.06}}, '
    '"Communication Bandwidth Info": {"HCCS": {"Transit Size(MB)": 1, "Transit Time(ms)": 0.09}, "PCIE": '
    '{"Transit Size(MB)": 0, "Transit Time(ms)": 0}}}}}}'
)
INFO = '{"config": {"experimental_config": {"_profiler_level": "Level1"}}, "rank_id": 11}'


def result(folder: Path) -> Path:
    """A result folder of one rank."""
    write_text(folder / RESULT, timeline(step()))
    (folder / "profiler_info_11.json").write_text(INFO)
    (folder / RESULT / "kernel_details.csv").write_text(KERNELS)
    (folder / RESULT / "step_trace_time.csv").write_text(STEPS)
    (folder / RESULT / "communication.json").write_text(COMMUNICATION)
    (folder / RESULT / "op_statistic.csv").write_text("OP Type,Core Type,Count\nMatMulV2,AI_CORE,1\n")
    return folder


def named(module: tir.Module, name: str) -> tir.Event:
    """The first event of a name."""
    return next(event for event in (module.event(at) for at in range(len(module))) if event.name == name)


@pytest.mark.parametrize("part", ["", RESULT, f"{RESULT}/trace_view.json"])
def test_a_folder_is_its_timeline_with_all_that_lies_beside(tmp_path: Path, part: str) -> None:
    """The folder, the folder inside, or the file: the same run."""
    module = tir.load(result(tmp_path / "w0_2025_ascend_pt") / part)
    kernel = named(module, "aclnnMm_MatMulCommon_MatMulV2").args
    assert kernel["Input Dims"] == [[32, 64], [64, 8]]
    assert (kernel["Input type"], kernel["Type"], kernel["grid"]) == (["FLOAT", "DT_BF16"], "MatMulV2", [16, 1, 1])
    assert "Input Shapes" not in named(module, "Relu9").args
    moved = named(module, "hcom_allReduce__271_0_1").args
    assert (moved["Wait Time(ms)"], moved["group hash"]) == (0.06, "22022204950826225271")
    assert list(moved["bandwidth"]) == ["HCCS"]
    assert (module.meta["rank"], module.meta["level"]) == (11, "Level1")
    (vendor,) = module.meta["step_trace_time"]
    assert (vendor["step"], vendor["computing_ns"], vendor["not_overlapped_ns"]) == ("5", 70_125, 110_000)


def test_text_goes_before_a_database(tmp_path: Path) -> None:
    """Where both were exported the text has the vendor's analysis too; without it the database is read."""
    folder = result(tmp_path / "w0_ascend_pt")
    write_database(folder / RESULT, rows_of(step()))
    assert tir.load(folder).name == "trace_view.json"
    (folder / RESULT / "trace_view.json").unlink()
    assert tir.load(folder).name == "ascend_pytorch_profiler_11.db"


def test_native_results_are_found(tmp_path: Path) -> None:
    """msprof writes other names."""
    write_text(tmp_path / "PROF_000001_2025" / "mindstudio_profiler_output", timeline(step()), "msprof_20250109.json")
    assert tir.load(tmp_path).name == tir.load(tmp_path / "PROF_000001_2025").name == "msprof_20250109.json"


def test_several_ranks_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One has to be named."""
    for rank in range(2):
        result(tmp_path / f"rank{rank}_ascend_pt")
    with pytest.raises(UsageError, match=r"holds 2 Ascend results.*name one, such as rank0_ascend_pt"):
        tir.load(tmp_path)
    assert main(["info", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_slices_of_one_timeline_are_refused(tmp_path: Path) -> None:
    """A native export may be cut into slices."""
    for part in range(2):
        write_text(
            tmp_path / "PROF_1" / "mindstudio_profiler_output", timeline(step()), f"msprof_slice_{part}_2025.json"
        )
    with pytest.raises(UsageError, match=r"such as .*msprof_slice_0_2025\.json"):
        tir.load(tmp_path / "PROF_1")


def test_raw_data_are_refused_with_the_command(tmp_path: Path) -> None:
    """A folder that nobody analysed has no timeline yet."""
    (tmp_path / "w0_ascend_pt" / "PROF_000001" / "host").mkdir(parents=True)
    with pytest.raises(InputError, match=r"analyse them first, with torch_npu\.profiler"):
        tir.load(tmp_path / "w0_ascend_pt")


def test_other_folders_are_as_ever(tmp_path: Path) -> None:
    """A folder with one JSON trace is that trace, whatever it is; an empty one holds none."""
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "t.json").write_text(
        '{"traceEvents": [{"ph": "X", "name": "a", "pid": 1, "tid": 1, "ts": 1, "dur": 1}]}'
    )
    assert tir.load(tmp_path / "one").name == "t.json"
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="holds no trace"):
        tir.load(tmp_path / "none")


def test_a_named_frontend_is_asked_alone(tmp_path: Path) -> None:
    """Another frontend does not know result folders, and sees several JSON files in one."""
    folder = result(tmp_path / "w0_ascend_pt")
    with pytest.raises(UsageError, match="holds 2 traces"):
        tir.load(folder / RESULT, frontend="speedscope")


def test_a_frontend_that_fails_at_folders_stops_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plug-in may fail in any way when it is asked."""
    (tmp_path / "odd.py").write_text(
        "from traceir.loading import Frontend\n\n\nclass Odd(Frontend):\n"
        '    """Fails."""\n\n    word = "odd"\n\n    @classmethod\n'
        "    def claims(cls, path):\n        raise ValueError(path)\n"
        "\n    @classmethod\n    def sniff(cls, head):\n        return 0\n"
    )
    folder = result(tmp_path / "w0_ascend_pt")
    assert main(["info", "--plugin", str(tmp_path / "odd.py"), str(folder)]) == 0
    assert "ascend" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("kernel_details.csv", KERNELS.replace("aclnnMm", "other").replace("Relu9", "Gone"), "table_unmatched"),
        ("kernel_details.csv", KERNELS + "5,short\n", "repaired"),
        ("kernel_details.csv", "", "table_unreadable"),
        ("step_trace_time.csv", "", "table_unreadable"),
    ],
)
def test_tables_that_do_not_fit_are_told(tmp_path: Path, name: str, text: str, code: str) -> None:
    """They cost what they would have told, and nothing else."""
    folder = result(tmp_path / "w0_ascend_pt")
    (folder / RESULT / name).write_text(text)
    module = tir.load(folder)
    assert code in [finding.code for finding in module.health]
    assert len(module.select(where=module.work)) == 4


@pytest.mark.parametrize(
    "text", ["[]", "{", "[[[", '{"step5": 3}', '{"step5": {"collective": {"a": {"Communication Time Info": 7}}}}']
)
def test_communication_that_is_none_is_ignored(tmp_path: Path, text: str) -> None:
    """A damaged file beside the timeline takes nothing away."""
    folder = result(tmp_path / "w0_ascend_pt")
    (folder / RESULT / "communication.json").write_text(text)
    assert "Wait Time(ms)" not in named(tir.load(folder), "hcom_allReduce__271_0_1").args


def test_a_bomb_beside_the_timeline_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table beyond all measure is left out with a finding; by itself it is refused."""
    folder = result(tmp_path / "w0_ascend_pt")
    (folder / RESULT / "kernel_details.csv").unlink()
    bomb = folder / RESULT / "kernel_details.csv.gz"
    bomb.write_bytes(gzip.compress(KERNELS.encode() + b"," * 50_000))
    monkeypatch.setattr("traceir_frontends.ascend.tables.MOST", 10_000)
    assert "table_unreadable" in [finding.code for finding in tir.load(folder).health]
    with pytest.raises(InputError, match="holds more than 10000 bytes"):
        tir.load(bomb)


def test_old_tables_that_lost_digits_are_joined_by_order(tmp_path: Path) -> None:
    """Starts that went through floating point are a quarter of a microsecond off."""
    folder = result(tmp_path / "w0_ascend_pt")
    text = KERNELS
    for start in (100_123, 200_000):
        text = text.replace(us(start), repr(float(us(start))))
    (folder / RESULT / "kernel_details.csv").write_text(text)
    assert named(tir.load(folder), "aclnnMm_MatMulCommon_MatMulV2").args["Type"] == "MatMulV2"


# --- tables by themselves --------------------------------------------------------------------------------------------


def test_a_table_of_kernels_is_a_trace(tmp_path: Path) -> None:
    """Device work without its host; times are exact, shapes are there."""
    path = tmp_path / "kernel_details.csv"
    path.write_text(KERNELS)
    module = tir.load(path)
    events = [module.event(at) for at in range(len(module))]
    assert [(event.name, event.ts, event.dur, event.lane.name) for event in events] == [
        ("aclnnMm_MatMulCommon_MatMulV2", 0, 30_125, "npu.kernels"), ("Relu9", 99_877, 40_000, "npu.kernels"),
    ]  # fmt: skip
    assert module.meta["origin_ns"] == T0 + 100_123
    assert events[0].args["Input Dims"] == [[32, 64], [64, 8]]
    assert not tir.verify(module)


def test_a_native_table_has_streams_and_devices(tmp_path: Path) -> None:
    """op_summary calls its columns otherwise; collectives without a stream are not laid under the kernels."""
    path = tmp_path / "op_summary_20250109.csv"
    path.write_text(
        "Device_id,Task ID,Stream ID,Op Name,OP Type,Task Type,Task Start Time(us),Task Duration(us)\n"
        f"2,1,7,MatMul1,MatMul,AI_CORE,{us(0)}\t,5.5\n2,N/A,N/A,hcom_allReduce__271_0_1,hcom,HCCL,{us(2_000)}\t,9\n"
        f"2,3,7,MatMul2,MatMul,AI_CORE,soon,1\n"
    )
    module = tir.load(path)
    assert [(event.name, event.lane.name) for event in module.select(kind="dev.kernel")] == [
        ("MatMul1", "npu2.s7"), ("hcom_allReduce__271_0_1", "npu2.comm"),
    ]  # fmt: skip
    assert "repaired" in [finding.code for finding in module.health]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("step_trace_time.csv", STEPS),
        ("op_statistic.csv", "OP Type,Core Type,Count,Total Time(us)\nMatMulV2,AI_CORE,1,2\n"),
        ("memory_record.csv", "Component,Timestamp(us),Total Allocated(MB)\nAPP,1.0,2\n"),
        ("communication.json", COMMUNICATION),
    ],
)
def test_tables_without_a_timeline_are_refused_by_name(
    tmp_path: Path, name: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence says what to name instead."""
    path = tmp_path / name
    path.write_text(text)
    assert main(["run", str(path)]) == 3
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "name trace_view.json" in error
