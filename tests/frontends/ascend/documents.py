"""One small training step of an Ascend device, written as the text export and as the database have it."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

import traceir as tir

Event = dict[str, Any]
T0: Final = 1736408883688177930
"""Where the step begins, in Unix ns: float64 could not tell it from a quarter of a microsecond later."""
HOST, MAIN, QUEUE, BACKWARD = 4321, 4321, 4322, 4323
DEVICE: Final = 3
PLACES: Final = {
    "Python": 0, "CANN": 7, "Ascend Hardware": 13, "AI Core Freq": 14, "HCCL": 15, "HBM": 17, "Overlap Analysis": 23,
}  # fmt: skip


@attrs.frozen
class Host:
    """A row of the framework: `links` are the connections of what it launched."""

    category: str
    name: str
    tid: int
    start: int
    dur: int
    links: tuple[int, ...] = ()
    shapes: str = ""
    types: str = ""
    queue: int | None = None
    flow: int | None = None


@attrs.frozen
class Call:
    """A call of CANN."""

    level: str
    name: str
    tid: int
    start: int
    dur: int
    link: int


@attrs.frozen
class Task:
    """A task of the device; `context` and `plane` (with its own name) of parts, `shapes` of kernels."""

    name: str
    type: str
    stream: int
    number: int
    start: int
    dur: int
    link: int
    context: int = 4294967295
    plane: int | None = None
    part: str = ""
    shapes: str = ""


@attrs.frozen
class Operation:
    """A collective."""

    name: str
    start: int
    dur: int
    link: int
    count: int
    group: str = "22022204950826225271"


@attrs.frozen
class Run:
    """What was recorded."""

    hosts: tuple[Host, ...]
    calls: tuple[Call, ...]
    tasks: tuple[Task, ...]
    operations: tuple[Operation, ...]
    frequencies: tuple[tuple[int, int], ...] = ((0, 1800), (500_000, 800))


def step(calls: bool = True) -> Run:
    """A matrix product, a copy, an event between streams, a reduction in parts on two planes, and a backward op."""
    hosts = (
        Host("cpu_op", "ProfilerStep#5", MAIN, 0, 900_000),
        Host("python_function", "model.py(3): forward", MAIN, 5_000, 60_000),
        Host("cpu_op", "aten::mm", MAIN, 10_000, 50_000, flow=61, shapes="32,64;\r\n64,8;\r\n;\r\n",
             types="float;\r\nfloat;\r\nScalar"),
        Host("cpu_op", "aclnnMm", MAIN, 15_010, 30_000, links=(7,)),
        Host("enqueue", "Enqueue", MAIN, 30_000, 2_000, queue=51),
        Host("dequeue", "Dequeue@aclnnMm", QUEUE, 33_000, 40_000, queue=51),
        Host("cpu_op", "aten::copy_", MAIN, 70_000, 10_000, links=(8,)),
        Host("cpu_op", "HcclAllreduce", BACKWARD, 90_000, 10_000, links=(9,)),
        Host("cpu_op", "MmBackward0", BACKWARD, 110_000, 10_000, flow=61),
    )  # fmt: skip
    made = (
        Call("AscendCL", "aclnnMm", QUEUE, 35_000, 35_000, 6),
        Call("Node", "launch", QUEUE, 40_000, 5_000, 7),
        Call("AscendCL", "aclrtMemcpyAsync", QUEUE, 75_000, 4_000, 8),
        Call("AscendCL", "hcom_allReduce_", BACKWARD, 92_000, 7_000, 5),
        Call("Node", "launch", BACKWARD, 93_000, 3_000, 9),
        Call("AscendCL", "aclrtRecordEvent", QUEUE, 100_000, 1_000, 10),
        Call("AscendCL", "aclrtStreamWaitEvent", QUEUE, 102_000, 1_000, 11),
        Call("AscendCL", "aclrtSynchronizeStream", MAIN, 130_000, 500_000, 12),
    )
    tasks = (
        Task("aclnnMm_MatMulCommon_MatMulV2", "AI_CORE", 2, 1, 100_123, 30_125, 7, shapes="32,64;64,8"),
        Task("MEMCPY_ASYNC", "SDMA_SQE", 2, 2, 140_000, 5_000, 8),
        Task("EVENT_RECORD", "EVENT_RECORD_SQE", 2, 3, 146_000, 20, 10),
        Task("EVENT_WAIT", "EVENT_WAIT_SQE", 4, 4, 146_500, 3_500, 11),
        Task("SDMA", "SDMA", 4, 5, 150_000, 10_000, 9, 0, 0, "Memcpy"),
        Task("Write Value", "Write Value", 4, 5, 160_500, 500, 9, 1, 1, "Notify_Record"),
        Task("Notify Wait", "Notify Wait", 4, 5, 161_000, 60_000, 9, 2, 1, "Notify_Wait"),
        Task("Notify Wait", "Notify Wait", 4, 5, 161_200, 30_000, 9, 3, 2, "Notify_Wait"),
        Task("SDMA", "SDMA", 4, 5, 221_100, 78_900, 9, 4, 1, "Memcpy"),
        Task("Relu9", "AI_VECTOR_CORE", 2, 6, 200_000, 40_000, 13, shapes="32,8"),
    )
    operations = (Operation("hcom_allReduce__271_0_1", 150_000, 150_000, 9, 4096),)
    return Run(hosts, made if calls else (), tasks, operations)


# --- text ------------------------------------------------------------------------------------------------------------


def us(ns: int) -> str:
    """Microseconds as the text export writes them."""
    return f"{(T0 + ns) // 1000}.{(T0 + ns) % 1000:03d}"


def pid(process: str) -> int:
    """The id of a process as newer versions pack it."""
    return HOST if process == "Python" else HOST << 10 | PLACES[process] << 5 | (DEVICE if process != "CANN" else 0)


def row(process: str, tid: int, name: str, start: int, dur: int, **more: Any) -> Event:
    """A row of a timeline."""
    return {"ph": "X", "name": name, "pid": pid(process), "tid": tid, "ts": us(start), "dur": dur / 1000, **more}


def point(ph: str, process: str, tid: int, start: int, category: str, id: Any) -> Event:
    """An end of a flow."""
    return {"ph": ph, "name": category, "cat": category, "id": id, "pid": pid(process), "tid": tid, "ts": us(start)}


def metadata(run: Run) -> list[Event]:
    """Names of processes and threads."""
    out: list[Event] = []
    for name in (name for name in PLACES if name != "CANN" or run.calls):
        mine = {"ph": "M", "pid": pid(name), "tid": 0}
        label = "CPU" if name in ("Python", "CANN") else "NPU"
        out += [
            {**mine, "name": "process_name", "args": {"name": name}},
            {**mine, "name": "process_labels", "args": {"labels": label}},
            {**mine, "name": "process_sort_index", "args": {"sort_index": PLACES[name]}},
        ]
    threads = [("HCCL", 0, "Group 0 Communication"), *(("HCCL", at + 1, f"Plane {at}") for at in range(3))]
    threads += [("Overlap Analysis", at, name) for at, name in enumerate(("Computing", "Communication"))]
    streams = sorted({task.stream for task in run.tasks})
    threads += [("Ascend Hardware", stream, f"Stream {stream}") for stream in streams]
    for process, tid, name in threads:
        out.append({"ph": "M", "name": "thread_name", "pid": pid(process), "tid": tid, "args": {"name": name}})
    return out


def framework(run: Run) -> list[Event]:
    """Rows of the framework and the flows from them."""
    out: list[Event] = []
    starts = {task.link: (("Ascend Hardware", task.stream), task.start) for task in reversed(run.tasks)}
    starts |= {item.link: (("HCCL", 0), item.start) for item in run.operations}
    for host in run.hosts:
        args: dict[str, Any] = {"Input Dims": host.shapes, "Input type": host.types} if host.shapes else {}
        if host.queue is not None:
            args["correlation_id"] = host.queue
            phase = "s" if host.category == "enqueue" else "f"
            out.append(point(phase, "Python", host.tid, host.start, "async_task_queue", host.queue))
        if host.flow is not None:
            phase = "f" if "Backward" in host.name else "s"
            out.append(point(phase, "Python", host.tid, host.start, "fwdbwd", host.flow))
        out.append(row("Python", host.tid, host.name, host.start, host.dur, cat=host.category, args=args))
        for link in host.links:
            place, start = starts[link]
            out.append(point("s", "Python", host.tid, host.start, "async_npu", T0 + start))
            out.append(point("f", *place, start, "async_npu", T0 + start))
    return out


def timeline(run: Run) -> list[Event]:
    """The events of trace_view.json."""
    out = [*metadata(run), *framework(run)]
    for call in run.calls:
        args = {"level": call.level.lower(), "connection_id": call.link}
        out.append(row("CANN", call.tid, f"{call.level}@{call.name}", call.start, call.dur, args=args))
    for task in run.tasks:
        args = {
            "Task Type": task.type, "Physic Stream Id": task.stream, "Task Id": task.number, "Batch Id": 0,
            "Subtask Id": task.context, "connection_id": task.link,
        }  # fmt: skip
        out.append(row("Ascend Hardware", task.stream, task.name, task.start, task.dur, args=args))
        if task.plane is not None:
            args = {"stream id": task.stream, "task id": task.number, "context id": task.context, "size(Byte)": 64}
            out.append(row("HCCL", task.plane + 1, task.part, task.start, task.dur, args=args))
    for item in run.operations:
        args = {"connection_id": item.link, "data_type": "FP32", "alg_type": "MESH-RING", "count": item.count}
        out.append(row("HCCL", 0, item.name, item.start, item.dur, args=args))
    for start, value in run.frequencies:
        sample = {"ph": "C", "name": "AI Core Freq", "pid": pid("AI Core Freq"), "tid": 0, "ts": us(start)}
        out.append({**sample, "args": {"MHz": value}})
    out.append(row("Overlap Analysis", 0, "Computing", 100_123, 30_125))
    out.append(row("Overlap Analysis", 1, "Communication", 150_000, 150_000))
    return out


def write_text(folder: Path, events: Iterable[Event] | bytes, name: str = "trace_view.json") -> Path:
    """A timeline as a file."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = events if isinstance(events, bytes) else json.dumps(list(events)).encode()
    (folder / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return folder / name


def load_text(folder: Path, events: Iterable[Event] | bytes, name: str = "trace_view.json") -> tir.Module:
    """The module of a timeline."""
    return tir.load(write_text(folder, events, name))


# --- database --------------------------------------------------------------------------------------------------------

TABLES: Final = {
    "STRING_IDS": "id INTEGER PRIMARY KEY, value TEXT",
    "TASK": "startNs INTEGER, endNs INTEGER, deviceId INTEGER, connectionId INTEGER, globalTaskId INTEGER, "
    "globalPid INTEGER, taskType INTEGER, contextId INTEGER, streamId INTEGER, taskId INTEGER, modelId INTEGER",
    "COMPUTE_TASK_INFO": "name INTEGER, globalTaskId INTEGER PRIMARY KEY, blockDim INTEGER, taskType INTEGER, "
    "opType INTEGER, inputDataTypes INTEGER, inputShapes INTEGER",
    "COMMUNICATION_TASK_INFO": "name INTEGER, globalTaskId INTEGER, taskType INTEGER, planeId INTEGER, "
    "groupName INTEGER, transportType INTEGER, size INTEGER, opId INTEGER",
    "COMMUNICATION_OP": "opName INTEGER, startNs INTEGER, endNs INTEGER, connectionId INTEGER, groupName INTEGER, "
    "opId INTEGER PRIMARY KEY, dataType INTEGER, algType INTEGER, count NUMERIC",
    "CANN_API": "startNs INTEGER, endNs INTEGER, type INTEGER, globalTid INTEGER, connectionId INTEGER PRIMARY KEY, "
    "name INTEGER",
    "PYTORCH_API": "startNs TEXT, endNs TEXT, globalTid INTEGER, connectionId INTEGER, name INTEGER, "
    "sequenceNumber INTEGER, fwdThreadId INTEGER, inputDtypes INTEGER, inputShapes INTEGER, callchainId INTEGER, "
    "type INTEGER",
    "CONNECTION_IDS": "id INTEGER, connectionId INTEGER",
    "AICORE_FREQ": "deviceId INTEGER, timestampNs NUMERIC, freq INTEGER",
    "RANK_DEVICE_MAP": "rankId INTEGER, deviceId INTEGER",
    "STEP_TIME": "id INTEGER, startNs INTEGER, endNs INTEGER",
}  # fmt: skip
LEVELS: Final = {"AscendCL": 20000, "Node": 10000, "Runtime": 5000, "Hccl": 5500}
TYPES: Final = {"cpu_op": 50001, "enqueue": 50002, "dequeue": 50002, "python_function": 50003}


def rows_of(run: Run, *, swapped: bool = False) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of a database. `swapped` writes shapes where types belong, as some versions do."""
    texts: dict[str, int] = {}

    def text(value: str) -> int:
        return texts.setdefault(value, len(texts))

    out: dict[str, list[tuple[Any, ...]]] = {name: [] for name in TABLES}
    for number, host in enumerate(run.hosts):
        links = [
            *host.links,
            *([host.queue + 10_000] if host.queue else []),
            *([host.flow + 20_000] if host.flow else []),
        ]
        out["CONNECTION_IDS"] += [(number, link) for link in links]
        both = [text(host.types) if host.types else None, text(host.shapes) if host.shapes else None]
        types, shapes = reversed(both) if swapped else both
        start = T0 + host.start
        out["PYTORCH_API"].append((str(start), str(start + host.dur), HOST << 32 | host.tid, number if links else None,
                                   text(host.name), -1, 0, types, shapes, None, TYPES[host.category]))  # fmt: skip
    for call in run.calls:
        start = T0 + call.start
        out["CANN_API"].append(
            (start, start + call.dur, LEVELS[call.level], HOST << 32 | call.tid, call.link, text(call.name))
        )
    for number, task in enumerate(run.tasks):
        start = T0 + task.start
        kernel = task.type.startswith("AI_")
        type = "KERNEL_AICORE" if kernel else task.name
        out["TASK"].append((start, start + task.dur, DEVICE, task.link, number, HOST, text(type), task.context,
                            task.stream, task.number, 4294967295))  # fmt: skip
        if kernel:
            out["COMPUTE_TASK_INFO"].append((text(task.name), number, 16, text(task.type), text("MatMulV2"),
                                             text("FLOAT;FLOAT"), text(f'"{task.shapes}"')))  # fmt: skip
        if task.plane is not None:
            out["COMMUNICATION_TASK_INFO"].append(
                (text("op"), number, text(task.part), task.plane, text("g"), 0, 64, 1)
            )
    for number, item in enumerate(run.operations):
        start = T0 + item.start
        out["COMMUNICATION_OP"].append((text(item.name), start, start + item.dur, item.link, text("g"), number, 4,
                                        text("MESH-RING"), item.count))  # fmt: skip
    out["AICORE_FREQ"] = [(DEVICE, T0 + start, value) for start, value in run.frequencies]
    out["RANK_DEVICE_MAP"] = [(11, DEVICE)]
    out["STRING_IDS"] = [(id, value) for value, id in texts.items()]
    return out


def write_database(folder: Path, rows: Mapping[str, list[tuple[Any, ...]]], extra: Iterable[str] = ()) -> Path:
    """A database as a file; tables without rows are not made, as the exporter does."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "ascend_pytorch_profiler_11.db"
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as connection:
        for name, values in rows.items():
            if values:
                connection.execute(f"CREATE TABLE {name} ({TABLES[name]})")
                marks = ", ".join("?" * len(values[0]))
                connection.executemany(f"INSERT INTO {name} VALUES ({marks})", values)
        for statement in extra:
            connection.execute(statement)
    connection.close()
    return path


def load_database(folder: Path, rows: Mapping[str, list[tuple[Any, ...]]], extra: Iterable[str] = ()) -> tir.Module:
    """The module of a database."""
    return tir.load(write_database(folder, rows, extra))


# --- comparison ------------------------------------------------------------------------------------------------------

Told = tuple[str, str, int, int, str]


def told(module: tir.Module, at: int) -> Told:
    """Kind, name, start in Unix ns, duration and lane of a row."""
    event = module.event(at)
    origin = module.meta["origin_ns"]
    return event.kind, event.name, event.ts + origin, event.dur, event.lane.name


def events_of(module: tir.Module) -> list[Told]:
    """All events but counters and the vendor's analysis, in an order of their own."""
    every = (told(module, at) for at in range(len(module)))
    return sorted(item for item in every if item[0] not in ("ctr.sample", "npu.analysis"))


def edges_of(module: tir.Module, kind: str) -> list[tuple[str, str]]:
    """Names at the ends of all edges of a kind."""
    source, target = module.edges(kind)
    pairs = zip(source.tolist(), target.tolist(), strict=True)
    return sorted((module.event(one).name, module.event(two).name) for one, two in pairs)
