"""One workload as PyTorch's profiler and as Nsight Systems record it: the passes give equal answers."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings

import traceir as tir
from tests.frontends.nsys.making import Export, process
from tests.synth.test_truth import decoders
from traceir.passing.report import to_json
from traceir.synth import Decoder, write
from traceir_frontends.nsys.tables import COPIES, MEMORY

DEVICE, HOST = ("kernel", "gpu_memcpy", "gpu_memset"), ("cuda_runtime", "cuda_driver")
PLAIN: dict[str, Any] = {
    "layers": 6, "steps": 3, "stack": False, "modules": False, "shapes": False, "host_gap_ns": 60_000,
    "graph_ids": False,
}  # fmt: skip
CASES: dict[str, dict[str, Any]] = {
    "eager": {"launch": "eager"},
    "graph": {"launch": "graph", "stall": "blocking"},
    "mixed": {"launch": "mixed", "prefill_every": 2, "mlp": "moe", "stall": "host"},
    "parallel": {"launch": "eager", "tensor_parallel": 4, "comm_stream": True, "overlap": 0.5, "sync_rows": True},
    "orphans": {"launch": "graph", "orphan_layers": 2, "tensor_parallel": 2},
    "serving": {"launch": "eager", "marks": "serving"},
}


def rewritten(path: Path) -> Export:
    """The rows of a synthetic Kineto file as an export of Nsight Systems would have them."""
    document = json.loads(path.read_text(), parse_float=Decimal)
    base = document["baseTimeNanoseconds"]
    export = Export().about()
    for row in document["traceEvents"]:
        if row["ph"] != "X" or row["cat"] == "Trace":
            continue
        start = int(Decimal(row["ts"]) * 1000) + base
        end = start + int(Decimal(row["dur"]) * 1000)
        _row(export, row, start - base, end - base)
    return export


def _row(export: Export, row: dict[str, Any], start: int, end: int) -> None:
    args, cat, name = row.get("args", {}), row["cat"], row["name"]
    if cat in HOST:
        suffix = "" if cat == "cuda_driver" else "_v3020"
        export.call(name + suffix, start, end, args["correlation"], pid=row["pid"], tid=row["tid"],
                    cls=int(cat == "cuda_driver"))  # fmt: skip
    elif cat == "user_annotation":
        export.range(name, start, end, pid=row["pid"], tid=row["tid"])
    elif cat == "cpu_op":
        export.range(f"{name}, op_id = {start % 9973 + 1}", start, end, pid=row["pid"], tid=row["tid"])
    elif cat in DEVICE or cat == "cuda_sync":
        place = {"start": start, "end": end, "deviceId": args["device"], "contextId": 1, "streamId": args["stream"],
                 "correlationId": args["correlation"], "globalPid": process(4121)}  # fmt: skip
        if cat == "kernel":
            export.add("CUPTI_ACTIVITY_KIND_KERNEL", **place, demangledName=export.id(name))
        elif cat == "cuda_sync":
            _sync(export, args, place)
        else:
            way, rest = name.removeprefix("Memcpy ").removesuffix(")").split(" (")
            source, target = rest.split(" -> ")
            kinds = {word: number for number, word in MEMORY.items()}
            direction = next(number for number, word in COPIES.items() if word == way)
            export.add("CUPTI_ACTIVITY_KIND_MEMCPY", **place, bytes=args["bytes"], copyKind=direction,
                       srcKind=kinds[source], dstKind=kinds[target])  # fmt: skip


def _sync(export: Export, args: dict[str, Any], place: dict[str, Any]) -> None:
    recorded = args.get("wait_on_cuda_event_record_corr_id")
    sort = {"Stream Wait Event": 2, "Stream Sync": 3}[args["cuda_sync_kind"]]
    event, once = (4294967295, 0) if recorded is None else (9, recorded)
    export.add("CUPTI_ACTIVITY_KIND_SYNCHRONIZATION", **place, syncType=sort, eventId=event, eventSyncId=once)
    if recorded is not None:
        export.add("CUPTI_ACTIVITY_KIND_CUDA_EVENT", deviceId=0, contextId=1, streamId=args["wait_on_stream"],
                   correlationId=recorded, globalPid=process(4121), eventId=9, eventSyncId=recorded)  # fmt: skip


IDS = ("previous", "next", "blame", "example", "event", "mark", "first", "last", "before", "after", "call", "wait")
UNKNOWN = ("bytes", "group", "dtype")
"""What PyTorch's metadata says of a collective; kernels do not."""


def answers(module: tir.Module) -> dict[str, Any]:
    """What the passes say, with events as names and times: the two files count their rows differently."""
    manager = tir.PassManager.parse("group,overlap,gaps")
    reports = dict(manager.reports(manager.run(module)))
    place = {
        id: (module.strings[name], ts, dur)
        for id, name, ts, dur in zip(*(module[column].tolist() for column in ("id", "name", "ts", "dur")), strict=True)
    }
    return {name: _told(to_json(reports[name]), place) for name in ("infer", "group", "overlap", "gaps")}


def _told(value: Any, place: dict[int, Any], key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _told(item, place, name) for name, item in value.items() if name not in UNKNOWN}
    if isinstance(value, list):
        return [_told(item, place, key) for item in value]
    return place[value] if key in IDS and isinstance(value, int) else value


def compare(options: Decoder, folder: Path) -> None:
    """Write the workload in both formats, and fail where the answers differ."""
    write(options, folder / "trace.json")
    kineto = tir.load(folder / "trace.json")
    nsys = tir.load(rewritten(folder / "trace.json").write(folder / "report.sqlite"))
    assert int(nsys.work.sum()) == int(kineto.work.sum()) > 0
    assert len(nsys.edges("launch")[0]) >= len(kineto.edges("launch")[0]) > 0
    mine, theirs = answers(nsys), answers(kineto)
    for name, found in theirs.items():
        assert mine[name] == found, f"{name} differs for {options}"


@pytest.mark.parametrize("case", CASES)
def test_the_passes_answer_alike(case: str, tmp_path: Path) -> None:
    """Steps, layers, hidden and exposed time, and every gap with its cause: the same to the nanosecond."""
    compare(Decoder(**PLAIN | CASES[case]), tmp_path)


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(options=decoders())
def test_the_passes_answer_alike_for_any_workload(options: Decoder, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The same for drawn options, but those that only one of the two profilers can record."""
    plain: dict[str, Any] = {
        "vendor": "nvidia",
        "stack": False,
        "modules": False,
        "shapes": False,
        "memory": False,
        "graph_ids": False,
    }
    compare(attrs.evolve(options, **plain), tmp_path_factory.mktemp("pair"))
