"""The pass metrics: a kernel profile joined to a timeline, by name, launch shape and order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import traceir as tir
from traceir.cli.main import main
from traceir_passes.metrics import Metrics, MetricsReport

GEMM, NORM, ACT = "void cutlass::Kernel2<gemm_bf16>(Params)", "void rms_norm_kernel<float>(float*)", "act_and_mul"
Timed = tuple[str, Sequence[int] | None, int]
"""A kernel of the timeline: name, grid (None: not recorded), µs."""
Told = tuple[str, str, float | str, float | str]
"""A kernel of the profile: name, grid, compute and memory throughput in per cent."""


def timeline(path: Path, kernels: Sequence[Timed]) -> Path:
    """A Kineto file of these kernels."""
    rows = []
    for number, (name, grid, dur) in enumerate(kernels):
        args: dict[str, Any] = {"device": 0, "stream": 7, "correlation": number + 1}
        if grid is not None:
            args |= {"grid": list(grid), "block": [128, 1, 1]}
        rows.append({"ph": "X", "pid": 0, "tid": 7, "cat": "kernel", "name": name, "ts": 100 * number, "dur": dur})
        rows[-1]["args"] = args
    file = path / "trace.json"
    file.write_text(json.dumps({"schemaVersion": 1, "traceEvents": rows}), encoding="utf-8")
    return file


def profile(path: Path, kernels: Sequence[Told]) -> Path:
    """A report of Nsight Compute on these kernels."""
    names = ["ID", "Process ID", "Process Name", "Kernel Name", "Stream", "Block Size", "Grid Size", "Device",
             "Section Name", "Metric Name", "Metric Unit", "Metric Value"]  # fmt: skip
    lines = [names]
    for number, (name, grid, sm, memory) in enumerate(kernels):
        ids = [str(number), "1", "app", name, "7", "(128, 1, 1)", grid, "0", "S"]
        lines.append([*ids, "Compute (SM) Throughput", "%", str(sm)])
        lines.append([*ids, "Memory Throughput", "%", str(memory)])
        lines.append([*ids, "Duration", "us", "10"])
        lines.append([*ids, "dram__bytes.sum", "Mbyte", "20"])
    file = path / "report.csv"
    file.write_text("\n".join(",".join(f'"{field}"' for field in line) for line in lines), encoding="utf-8")
    return file


def joined(
    path: Path, kernels: Sequence[Timed], told: Sequence[Told], **options: Any
) -> tuple[tir.Module, MetricsReport]:
    """The timeline with the profile joined, and the report."""
    context = tir.PassContext(inputs={"metrics": tir.load(profile(path, told))})
    item = Metrics(**options)
    module = tir.PassManager([item]).run(tir.load(timeline(path, kernels)), context)
    return module, item.report(module)


def column(module: tir.Module, name: str) -> list[float | None]:
    """A column of shares, None for null."""
    return [None if np.isnan(value) else value for value in module[f"metrics.{name}"].tolist()]


def test_the_nth_belongs_to_the_nth(tmp_path: Path) -> None:
    """Equal names are told apart by order, and by launch shape where both sides know it."""
    kernels = [(GEMM, (1, 1, 1), 10), (NORM, (4, 1, 1), 5), (GEMM, (8, 1, 1), 20), (GEMM, (1, 1, 1), 10)]
    told = [
        ("Kernel2", "(8, 1, 1)", 80, 20), (GEMM, "(1, 1, 1)", 10, 11), ("cutlass::Kernel2", "(1, 1, 1)", 0, 0),
        (GEMM, "(8, 1, 1)", 90, 30), (GEMM, "(1, 1, 1)", 70, 65), (NORM, "(4, 1, 1)", 5, 75),
    ]  # fmt: skip
    told[0] = (NORM, "(9, 9, 9)", 1, 1)
    told[2] = (ACT, "(1, 1, 1)", 1, 1)
    module, report = joined(tmp_path, kernels, told)
    assert column(module, "sm") == [0.1, 0.05, 0.9, 0.7]
    assert module.text("metrics.bound") == ["latency", "memory", "compute", "compute"]
    assert module.text("metrics.basis") == ["measured"] * 4
    assert column(module, "bandwidth") == [2e12] * 4
    assert (report.kernel_time_ns, report.known_ns, report.guessed_ns) == (45_000, 45_000, 0)
    assert report.bound_ns == {"compute": 30_000, "memory": 5_000, "latency": 10_000}


def test_like_kernels_get_the_median_as_a_guess(tmp_path: Path) -> None:
    """What the profiler did not replay is guessed from its like, or left unknown."""
    kernels = [(NORM, (4, 1, 1), 5)] * 4 + [(ACT, (1, 1, 1), 10)]
    told = [(NORM, "(4, 1, 1)", 10, 62), (NORM, "(4, 1, 1)", 30, 80)]
    module, report = joined(tmp_path, kernels, told)
    assert column(module, "sm") == [0.1, 0.3, 0.2, 0.2, None]
    assert module.text("metrics.basis") == ["measured", "measured", "guessed", "guessed", None]
    assert (report.known_ns, report.guessed_ns, report.kernel_time_ns) == (20_000, 10_000, 30_000)
    module, report = joined(tmp_path, kernels, told, spread=False)
    assert column(module, "sm") == [0.1, 0.3, None, None, None]
    assert report.guessed_ns == 0


def test_a_timeline_without_launch_shapes_is_joined_by_name(tmp_path: Path) -> None:
    """As replays of graphs on some devices are."""
    module, _ = joined(
        tmp_path, [(NORM, None, 5), (NORM, None, 5)], [(NORM, "(4, 1, 1)", 10, 9), (NORM, "(5, 1, 1)", 2, 3)]
    )
    assert column(module, "sm") == [0.1, 0.02]


def test_what_is_no_number_is_unknown(tmp_path: Path) -> None:
    """A metric that was not collected is null, and so is what follows from it."""
    module, report = joined(tmp_path, [(NORM, (4, 1, 1), 5)], [(NORM, "(4, 1, 1)", "n/a", 62)])
    assert (column(module, "sm"), column(module, "memory"), module.text("metrics.bound")) == ([None], [0.62], [None])
    assert report.ops[0].sm is None
    assert report.blocks()[0].rows[0][2] == "unknown"


@pytest.mark.parametrize(("busy", "bound"), [(0.6, "latency"), (0.5, "compute")])
def test_the_threshold_is_an_option(tmp_path: Path, busy: float, bound: str) -> None:
    """Below it neither compute nor memory is what bounds."""
    module, _ = joined(tmp_path, [(NORM, (4, 1, 1), 5)], [(NORM, "(4, 1, 1)", 55, 30)], busy=busy)
    assert module.text("metrics.bound") == [bound]


def test_the_flag_joins_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--metrics FILE` runs the pass behind the others, and both inputs are named."""
    trace = timeline(tmp_path, [(NORM, (4, 1, 1), 5), (ACT, (4, 1, 1), 5)])
    report = profile(tmp_path, [(NORM, "(4, 1, 1)", 10, 62)])
    asked = ["run", "-q", "--passes", "infer", "--emit", "json", "--metrics", str(report), str(trace)]
    assert main(asked) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pipeline"].startswith("infer,metrics")
    assert [item["frontend"] for item in found["inputs"]] == ["kineto", "ncu"]
    ops = {row["op"]: row for row in found["results"]["metrics"]["ops"]}
    assert (ops["norm"]["memory"], ops["act"]["memory"]) == (0.62, None)


def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A report that is not there, or is the input; and none at all is a remark."""
    trace = str(timeline(tmp_path, [(NORM, (4, 1, 1), 5)]))
    missing = str(tmp_path / "none.csv")
    assert main(["run", "--metrics", missing, trace]) == 3
    assert capsys.readouterr().err == f"traceir: The metrics {missing} do not exist.\n"
    assert main(["run", "--metrics", trace, trace]) == 2
    assert "The metrics are the input itself; name another file." in capsys.readouterr().err
    assert main(["run", "-q", "--remarks", "--passes", "metrics", trace]) == 0
    assert "There is no profile to join; give one with --metrics FILE." in capsys.readouterr().err
