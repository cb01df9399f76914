"""Run HTA and TraceLens on traces and compare their overlap figures with what `overlap{compat=…}` works out.

    python benchmarks/agree.py --hta-python hta/bin/python --tracelens-python tracelens/bin/python trace.json.gz …

Each tool runs in a process of its own, by an interpreter in which it is installed. Every figure that it prints has
to be ours by its definitions: exactly for HTA, which counts in whole us, and to 0.01 us for TraceLens, which sums up
floating point numbers. Where a tool prints NaN or stops, ours has to be null. What a tool cannot read at all is told
and counts as nothing. Exit code 1 if a figure differs, 2 if a tool is not there.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

_START = """
import json, logging, math, sys, warnings
warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)
path, out = sys.argv[1], {}
"""
_END = """
plain = {k: None if v is None or math.isnan(v) else v for k, v in out.items()}
print("\\n" + json.dumps(plain))
"""
PROGRAMS = {
    "hta": _START
    + """
from hta.trace_analysis import TraceAnalysis
trace = TraceAnalysis(trace_files={0: path})
names = ("idle_time(us)", "compute_time(us)", "non_compute_time(us)", "kernel_time(us)")
try:
    row = trace.get_temporal_breakdown(visualize=False).iloc[0]
    out |= {name: float(row[name]) for name in names}
except (AssertionError, IndexError):
    out |= dict.fromkeys(names)
out["comp_comm_overlap_pctg"] = float(trace.get_comm_comp_overlap(visualize=False).iloc[0]["comp_comm_overlap_pctg"])
"""
    + _END,
    "tracelens": _START
    + """
from TraceLens import TreePerfAnalyzer
names = ("computation_time", "exposed_comm_time", "exposed_memcpy_time", "busy_time", "idle_time", "total_time",
         "total_comm_time", "total_memcpy_time")
tree = TreePerfAnalyzer.from_file(path)
try:
    table = tree.get_df_gpu_timeline().set_index("type")["time ms"]
    out |= {f"{name}(us)": float(table[name]) * 1000 for name in names}
except ValueError:
    out |= {f"{name}(us)": None for name in names}
"""
    + _END,
}
MODULES = {"hta": "hta.trace_analysis", "tracelens": "TraceLens"}
NEAR_US = {"hta": 0.0, "tracelens": 0.01}
Figures = dict[str, float | None]


def installed(tool: str, python: str) -> bool:
    """Whether an interpreter has a tool."""
    try:
        done = subprocess.run([python, "-c", f"import {MODULES[tool]}"], capture_output=True, check=False, timeout=120)
    except OSError:
        return False
    return done.returncode == 0


def measured(tool: str, python: str, path: Path, limit_s: float = 900) -> Figures | str:
    """The figures that a tool prints of a trace; the last line of its error if it cannot read the trace at all."""
    done = subprocess.run(
        [python, "-c", PROGRAMS[tool], str(path.resolve())], capture_output=True, text=True, check=False,
        timeout=limit_s,
    )  # fmt: skip
    if done.returncode:
        return done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}"
    found: Figures = json.loads(done.stdout.strip().rpartition("\n")[2])
    return found


def worked_out(tool: str, path: Path) -> Figures:
    """The same figures by `overlap{compat=…}`."""
    import traceir as tir

    manager = tir.PassManager.parse(f"overlap{{compat={tool}}}")
    report: Any = manager.reports(manager.run(tir.load(path)))["overlap"]
    found: Figures = dict(report.compat[0].reported)
    return found


def differences(tool: str, theirs: Figures, ours: Figures) -> list[str]:
    """The figures that differ, a sentence each."""
    out = []
    for name in sorted({*theirs, *ours}):
        one, other = theirs.get(name), ours.get(name)
        if one is None or other is None:
            if one is not other:
                out.append(f"{name}: {tool} has {one}, and we have {other}.")
        elif not math.isclose(one, other, rel_tol=0, abs_tol=NEAR_US[tool]):
            out.append(f"{name}: {tool} has {one}, and we have {other}.")
    return out


def main(arguments: list[str] | None = None) -> int:
    """Compare, print a line per tool and trace, and say whether all agree."""
    parser = argparse.ArgumentParser(description="Whether overlap{compat=…} gives what the tools themselves print.")
    parser.add_argument("traces", nargs="+", type=Path)
    parser.add_argument("--hta-python", help="a Python in which HolisticTraceAnalysis is installed")
    parser.add_argument("--tracelens-python", help="a Python in which AMD's TraceLens is installed")
    given = parser.parse_args(arguments)
    wanted = {"hta": given.hta_python, "tracelens": given.tracelens_python}
    tools = {tool: python for tool, python in wanted.items() if python is not None}
    missing = [tool for tool, python in tools.items() if not installed(tool, python)]
    if missing or not tools:
        print(f"{', '.join(missing) or 'No tool'} cannot be imported; name a Python that has it.", file=sys.stderr)
        return 2
    wrong = 0
    for path in given.traces:
        for tool, python in tools.items():
            theirs = measured(tool, python, path)
            if isinstance(theirs, str):
                print(f"{path.name}: {tool} cannot read it: {theirs}")
                continue
            found = differences(tool, theirs, worked_out(tool, path))
            wrong += len(found)
            print(f"{path.name}: {tool}: {' '.join(found) or f'{len(theirs)} figures agree'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
