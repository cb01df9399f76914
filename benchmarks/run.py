"""Run traceir and its peers on big traces as whole processes, in turn, and print what each costs.

    python benchmarks/run.py --size 1GB
    python benchmarks/run.py --size 300MB --tile trace.json.gz --hta-python ~/hta/bin/python --json result.json
    python benchmarks/run.py --text --size 340MB
    python benchmarks/run.py --passes --size 340MB

Inputs are made first: a synthetic decoder trace and, with --tile, a real one repeated in time. Every program then runs
in a process of its own, A B C A B C, and `wait4` tells its CPU seconds and its peak memory. CPU and memory are the
figures to trust: wall time is that of the machine on the day. `--text` measures the text form instead: a module of a
million events (340 MB of trace) as blocks, and 10 000 of them as statements. `--passes` measures single passes on as
many events, and what a second run saves that finds the trace in the cache.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# Nothing heavy may be imported here. On Linux the peak memory that a child reports begins at the size of the process
# that started it, so this one has to stay smaller than the smallest program that it measures.

HERE = Path(__file__).resolve().parent
_JSON = "import sys, json\nwith open(sys.argv[1], encoding='utf-8') as f: json.load(f)"
_JSON_OFF = "import sys, json, gc\ngc.disable()\nwith open(sys.argv[1], encoding='utf-8') as f: json.load(f)"
_ORJSON = "import sys, orjson\nwith open(sys.argv[1], 'rb') as f: orjson.loads(f.read())"
_MSGSPEC = "import sys, msgspec\nwith open(sys.argv[1], 'rb') as f: msgspec.json.decode(f.read())"
_HTA_LOAD = "import sys\nfrom hta.trace_analysis import TraceAnalysis\nt = TraceAnalysis(trace_files={0: sys.argv[1]})"
_HTA = (
    _HTA_LOAD + "\nt.get_temporal_breakdown(visualize=False)\nt.get_comm_comp_overlap(visualize=False)"
    "\nt.get_idle_time_breakdown(ranks=[0], visualize=False)\nt.get_gpu_kernel_breakdown(visualize=False)"
)
_TRACEIR = "import sys\nfrom traceir.cli.main import main\nsys.exit(main())"
PASSES = "group,overlap"
SINGLE = ("collectives", "gaps", "sync", "critical-path")
"""The passes that are measured one by one, each with what it needs before it."""

WINDOW = 10_000
"""Events of the windows that are measured as statements: more than anybody reads."""
_START = (
    "import sys, traceir as tir\nfrom traceir.text import Spelling, parse, spell\n"
    "parse('#[traceir \"1\"] module @empty {}')\n"
)
_LOAD = _START + "module = tir.load(sys.argv[1])\n"
_BLOCKS = _LOAD + "sys.stdout.writelines(spell(module, Spelling(form='table')))\n"
_MAKE = (
    _START + "import json, numpy, pathlib\nmodule = tir.load(sys.argv[1])\n"
    "most, *paths = int(sys.argv[2]), *map(pathlib.Path, sys.argv[3:])\n"
    "after = tir.PassManager.parse('default').run(module)\n"
    "first = module.window(numpy.arange(min(len(module), most)))\n"
    "work = after.window(numpy.flatnonzero(after.work)[:most])\n"
    "facts = {pathlib.Path(sys.argv[1]).name: {'events': len(module), 'equal': None}}\n"
    "for part, form, path in zip((module, first, work), ('table', 'statements', 'statements'), paths, strict=True):\n"
    "    text = ''.join(spell(part, Spelling(form=form)))\n"
    "    path.write_text(text, 'utf-8', newline='\\n')\n"
    "    back = tir.load(path)\n"
    "    equal = back.equals(part) and ''.join(spell(back, Spelling(form=form))) == text\n"
    "    facts[path.name] = {'events': len(part), 'equal': equal}\n"
    "print(json.dumps(facts))\n"
)


def programs(hta: str | None) -> dict[str, list[str]]:
    """The command lines by name, each to be followed by the input; peers that are not installed are left out."""
    python = sys.executable
    known = {
        f"traceir run --passes {PASSES} --emit json": [
            python, "-c", _TRACEIR, "run", "-q", "--passes", PASSES, "--emit", "json",
        ],
        "json.load": [python, "-c", _JSON],
        "json.load, gc off": [python, "-c", _JSON_OFF],
    }  # fmt: skip
    for when in ("off", "each"):
        known[f"default passes, --verify={when}"] = [
            python, "-c", _TRACEIR, "run", "-q", "--emit", "json", f"--verify={when}",
        ]  # fmt: skip
    for name, code in (("orjson", _ORJSON), ("msgspec", _MSGSPEC)):
        if _version(python, name):
            known[f"{name}, objects only"] = [python, "-c", code]
    if hta and _version(hta, "HolisticTraceAnalysis"):
        known["HTA load"] = [hta, "-c", _HTA_LOAD]
        known["HTA load + temporal, overlap, idle, kernels"] = [hta, "-c", _HTA]
    return known


def _version(python: str, distribution: str) -> str | None:
    code = f"import importlib.metadata as m; print(m.version({distribution!r}))"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() or None


def measure(command: list[str], output: Path, limit_s: float = 3600, cache: Path | None = None) -> dict[str, Any]:
    """Run one process to its end or the limit: CPU s with its children, wall s, peak resident bytes, how it ended.

    Without a `cache` that several runs share, each finds an empty one.
    """
    with output.open("wb") as out, tempfile.TemporaryFile() as errors, tempfile.TemporaryDirectory() as empty:
        environment = os.environ | {"TRACEIR_CACHE": str(cache or empty), "PYTHONDONTWRITEBYTECODE": ""}
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=errors, env=environment)
        stop = threading.Timer(limit_s, process.kill)
        stop.start()
        _, status, usage = os.wait4(process.pid, 0)
        stop.cancel()
        wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        tail = errors.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "user_s": usage.ru_utime,
        "wall_s": wall,
        "peak_bytes": usage.ru_maxrss * unit,
        "exit": process.returncode,
        "error": f"stopped after {limit_s:.0f} s" if wall >= limit_s else tail if process.returncode else "",
    }


def build(folder: Path, size: str, tiles: Iterable[Path]) -> list[Path]:
    """Make the inputs, each in a process of its own; one that lies there already is kept."""
    commands: dict[Path, list[str]] = {
        folder / f"synth_{size}.json": [
            sys.executable, "-m", "traceir.synth", "--size", size, "--launch", "eager", "--tensor-parallel", "8",
            "--comm-stream", "--overlap", "0.5", "--truth", str(folder / f"synth_{size}.truth.json"), "-o",
        ]
    }  # fmt: skip
    for source in tiles:
        target = folder / f"{source.name.partition('.')[0]}_{size}.json"
        commands[target] = [sys.executable, str(HERE / "tile.py"), str(source), "--size", size, "-o"]
    for target, command in commands.items():
        if not target.exists():
            subprocess.run([*command, str(target)], check=True)
    return list(commands)


def agreement(report: Path, truth: Path) -> dict[str, Any]:
    """How far traceir's report of the synthetic input agrees with what is known of it."""
    if not truth.exists():
        return {}
    known = json.loads(truth.read_text(encoding="utf-8"))
    try:
        results = json.loads(report.read_text(encoding="utf-8"))["results"]
    except (ValueError, KeyError):
        return {"readable": False}
    found: dict[str, Any] = next((row for row in results.get("overlap", {}).get("devices", [])), {})
    keys = ("span_ns", "busy_ns", "compute_ns", "comm_ns", "overlap_ns", "exposed_ns", "idle_ns")
    layers = [stack["layers"] for stack in results.get("group", {}).get("stacks", [])]
    return {
        "overlap": {key: found.get(key) == known["times"][key] for key in keys},
        "stacks": layers == [stack["layers"] for stack in known["stacks"]],
    }


def run(
    inputs: list[Path],
    known: dict[str, list[str]],
    repeat: int,
    folder: Path,
    limit_s: float,
    cache: Path | None = None,
) -> list[dict[str, Any]]:
    """All programs on all inputs, in turn; one row per input and program with the median of its runs."""
    rows = []
    for source in inputs:
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in known}
        report = folder / "report.json"
        for _ in range(repeat):
            for name, command in known.items():
                if runs[name] and runs[name][-1]["exit"]:
                    continue  # what failed once is not tried again
                sys.stderr.write(f"{source.name}: {name}\n")
                own = name.startswith("traceir run")
                output = report if own else folder / "discarded"
                runs[name].append(measure([*command, str(source)], output, limit_s, cache))
        text = source.stat().st_size
        basis = statistics.median(one["cpu_s"] for one in runs["json.load"]) if "json.load" in runs else None
        for name, several in runs.items():
            row = {key: statistics.median(one[key] for one in several) for key in ("cpu_s", "wall_s", "peak_bytes")}
            row |= {
                "input": source.name, "input_bytes": text, "program": name, "runs": len(several),
                "exit": several[-1]["exit"], "error": several[-1]["error"],
                "cpu_to_json_load": row["cpu_s"] / basis if basis else None,
                "peak_to_text": row["peak_bytes"] / text,
            }  # fmt: skip
            if name.startswith("traceir run") and not row["exit"]:
                row["agreement"] = agreement(report, source.with_suffix("").with_suffix(".truth.json"))
            rows.append(row)
    return rows


def text_form(folder: Path, size: str, repeat: int, scratch: Path, limit_s: float) -> list[dict[str, Any]]:
    """The text form on a synthetic trace, in turn; a row per input and program, with events per CPU second.

    A rate is over the CPU time beyond that of the first program on the same input, which does all but what is measured:
    it reads the trace without printing it, or starts and parses an empty text. The texts are the whole as `blocks`, and
    two windows as statements: the `first` events as they were read, and the first device `work` with all that the
    default passes say of it.
    """
    (trace,) = build(folder, size, ())
    texts = [trace.with_suffix(f".{name}.tir") for name in ("blocks", "first", "work")]
    python = sys.executable
    made = subprocess.run(
        [python, "-c", _MAKE, str(trace), str(WINDOW), *map(str, texts)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    facts: dict[str, Any] = json.loads(made.stdout)
    start, load = [python, "-c", _START], [python, "-c", _LOAD]
    printing = {"traceir, read the trace": load, "traceir, and print it as blocks": [python, "-c", _BLOCKS]}
    parsing = {"traceir, start and parse nothing": start, "traceir, parse the text": load}
    rows = []
    for source, known in ((trace, printing | {"json.load": [python, "-c", _JSON]}), *((one, parsing) for one in texts)):
        basis, measured, *others = run([source], known, repeat, scratch, limit_s)
        beyond = measured["cpu_s"] - basis["cpu_s"]
        facts_of = {"events": facts[source.name]["events"], "round_trip_equal": facts[source.name]["equal"]}
        measured["events_per_cpu_s"] = facts_of["events"] / beyond if beyond > 0 else None
        rows += [row | facts_of for row in (basis, measured, *others)]
    return rows


def single_passes(folder: Path, size: str, repeat: int, scratch: Path, limit_s: float) -> list[dict[str, Any]]:
    """Single passes on the synthetic input of a size, and runs that find it in the cache; one row per program.

    A rate is over the CPU time beyond that of reading the trace and running nothing.
    """
    (trace,) = build(folder, size, ())
    start = [sys.executable, "-c", _TRACEIR, "run", "-q", "--emit", "json", "--verify=off"]
    known = {"traceir, read the trace": [*start, "--no-cache", "--passes", ""]}
    known |= {f"traceir, read and {name}": [*start, "--no-cache", "--passes", name] for name in SINGLE}
    again = {"traceir, from the cache": [*start, "--passes", ""]}
    again |= {f"traceir, from the cache, {PASSES}": [*start, "--passes", PASSES]}
    report, kept = scratch / "report.json", scratch / "cache"
    measure([*next(iter(again.values())), str(trace)], report, limit_s, kept)  # the first run fills the cache
    events = json.loads(report.read_text(encoding="utf-8"))["module"]["events"]
    rows = [*run([trace], known, repeat, scratch, limit_s), *run([trace], again, repeat, scratch, limit_s, kept)]
    for row in rows:
        beyond = row["cpu_s"] - rows[0]["cpu_s"]
        row |= {"events": events, "round_trip_equal": None}
        row["events_per_cpu_s"] = events / beyond if beyond > 0 and "cache" not in row["program"] else None
    return rows


def versions(hta: str | None) -> dict[str, str | None]:
    """What was measured, and where."""
    names = ("traceir", "numpy", "msgspec", "orjson", "numba")
    found: dict[str, str | None] = {name: _version(sys.executable, name) for name in names}
    found["HolisticTraceAnalysis"] = _version(hta, "HolisticTraceAnalysis") if hta else None
    return found | {"python": platform.python_version(), "machine": f"{platform.machine()}, {os.cpu_count()} cores"}


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as aligned text, one block per input."""
    lines = []
    for source in dict.fromkeys(row["input"] for row in rows):
        mine = [row for row in rows if row["input"] == source]
        lines.append(f"\n{source}   {mine[0]['input_bytes'] / 1e6:.0f} MB, median of {mine[0]['runs']}")
        lines.append(
            f"  {'program':46} {'CPU s':>8} {'wall s':>8} {'peak MB':>8} {'x json.load':>12} {'peak/text':>10}"
        )
        for row in mine:
            if row["exit"]:
                lines.append(f"  {row['program']:46} failed, exit {row['exit']}: {row['error'][:60]}")
                continue
            ratio = "" if row["cpu_to_json_load"] is None else f"{row['cpu_to_json_load']:.2f}"
            lines.append(
                f"  {row['program']:46} {row['cpu_s']:8.2f} {row['wall_s']:8.2f} {row['peak_bytes'] / 1e6:8.0f}"
                f" {ratio:>12} {row['peak_to_text']:10.2f}"
            )
    return "\n".join(lines)


def text_table(rows: list[dict[str, Any]]) -> str:
    """The rows as aligned text, one block per input; a program's rate stands beside it."""
    lines = []
    for source in dict.fromkeys(row["input"] for row in rows):
        mine = [row for row in rows if row["input"] == source]
        equal = mine[0]["round_trip_equal"]
        said = "" if equal is None else ", reads back equal" if equal else ", DOES NOT READ BACK EQUAL"
        size = f"{mine[0]['events']} events, {mine[0]['input_bytes'] / 1e6:.1f} MB"
        lines.append(f"\n{source}   {size}, median of {mine[0]['runs']}{said}")
        lines.append(
            f"  {'program':36} {'CPU s':>8} {'wall s':>8} {'peak MB':>8} {'peak/text':>10} {'events/CPU s':>13}"
        )
        for row in mine:
            if row["exit"]:
                lines.append(f"  {row['program']:36} failed, exit {row['exit']}: {row['error'][:60]}")
                continue
            rate = row.get("events_per_cpu_s")
            lines.append(
                f"  {row['program']:36} {row['cpu_s']:8.2f} {row['wall_s']:8.2f} {row['peak_bytes'] / 1e6:8.0f}"
                f" {row['peak_to_text']:10.2f} {f'{rate:.0f}' if rate else '':>13}"
            )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Build, run, print."""
    parser = argparse.ArgumentParser(description="What traceir and its peers cost on big traces.")
    parser.add_argument("--size", default="300MB", help="size of the inputs' text, such as 300MB or 1GB")
    parser.add_argument("--tile", type=Path, action="append", default=[], help="a real trace to repeat to that size")
    parser.add_argument("--input", type=Path, action="append", default=[], help="a further input, taken as it is")
    parser.add_argument("--folder", type=Path, help="where inputs are made and kept (default: a temporary folder)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each program")
    parser.add_argument("--limit", type=float, default=900, help="seconds after which a program is stopped")
    parser.add_argument("--only", action="append", default=[], help="only programs whose name contains this word")
    parser.add_argument("--text", action="store_true", help="measure the text form instead, on the synthetic input")
    parser.add_argument("--passes", action="store_true", help="measure single passes and the cache instead")
    parser.add_argument("--hta-python", help="a Python in which HolisticTraceAnalysis is installed")
    parser.add_argument("--json", type=Path, help="write the results there as JSON")
    given = parser.parse_args(arguments)
    known = programs(given.hta_python)
    if given.only:
        known = {name: command for name, command in known.items() if any(word in name for word in given.only)}
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        if given.text:
            rows = text_form(folder, given.size, given.repeat, Path(scratch), given.limit)
        elif given.passes:
            rows = single_passes(folder, given.size, given.repeat, Path(scratch), given.limit)
        else:
            inputs = [*build(folder, given.size, given.tile), *given.input]
            rows = run(inputs, known, given.repeat, Path(scratch), given.limit)
    found = versions(given.hta_python)
    print(text_table(rows) if given.text or given.passes else table(rows))
    print("\n" + ", ".join(f"{name} {version}" for name, version in found.items() if version))
    for row in rows:
        if "agreement" in row:
            print(f"{row['input']}: agreement with the truth: {json.dumps(row['agreement'])}")
    if given.json:
        given.json.write_text(json.dumps({"versions": found, "results": rows}, indent=1) + "\n", encoding="utf-8")
    failed = any(row["exit"] for row in rows if row["program"].startswith("traceir"))
    return 1 if failed or any(row.get("round_trip_equal") is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
