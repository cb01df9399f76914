"""The SQLite export of Nsight Systems as data: tables and columns of all schema versions from 2.x on."""

from __future__ import annotations

from typing import Final

from traceir_frontends.nsys import names
from traceir_frontends.tabular import Arg, Enum, Format, Name, Part, Table

PID: Final = Part(("globalPid", "globalTid"), 24, 0xFFFFFF)
"""Bits 47 to 24 of both serialised ids are the process; correlation ids are unique in it only."""
PROCESS: Final = Part(("globalPid", "globalTid"), 24)
"""The same with the virtual machine and the hardware id above it: two containers may share a pid."""
THREAD: Final = Part.of("globalTid")
CORRELATION: Final = Part.of("correlationId")
BACKTRACE: Final = 67
"""The class of the rows in which the collector of backtraces repeats a call, with the same correlation."""
NO_STREAM: Final = 0xFFFFFFFF
NO_EVENT: Final = 0xFFFFFFFF

MEMORY: Final = {
    0: "Pageable",
    1: "Pinned",
    2: "Device",
    3: "Array",
    4: "Managed",
    5: "Device Static",
    6: "Managed Static",
}
COPIES: Final = {
    0: "Unknown", 1: "HtoD", 2: "DtoH", 3: "HtoA", 4: "AtoH", 5: "AtoA", 6: "AtoD", 7: "DtoA", 8: "DtoD", 9: "HtoH",
    10: "PtoP", 11: "UVM HtoD", 12: "UVM DtoH", 13: "UVM DtoD",
}  # fmt: skip
SYNCS: Final = {
    0: "Unknown Sync", 1: "Event Sync", 2: "Stream Wait Event", 3: "Stream Sync", 4: "Context Sync",
}  # fmt: skip
"""As the other profiler of this vendor's library calls them."""
QUEUED: Final = 2
"""The wait that a stream makes; all others are the host's."""
_SYNC_CALLS: Final = (
    ("StreamWaitEvent", 2), ("EventSynchronize", 1), ("StreamSynchronize", 3), ("DeviceSynchronize", 4),
    ("CtxSynchronize", 4), ("ThreadSynchronize", 4),
)  # fmt: skip


def sync_of(call: str) -> int:
    """The number of the sort of synchronisation that a call makes, -1 for a call that makes none."""
    return next((sort for word, sort in _SYNC_CALLS if word in call), -1)


OVERHEADS: Final = {
    0: "Undefined", 1: "Unknown", 2: "Driver JIT compiler", 3: "Buffer flush", 4: "Instrumentation",
    5: "Resource creation/destruction", 6: "Runtime module loading", 7: "Lazy function loading",
    8: "Command buffer full",
}  # fmt: skip
SEVERE: Final = 2
"""Severity of a diagnostic message from which it is a warning."""

_STREAM: Final = {
    "process": PROCESS, "pid": PID, "device": Part.of("deviceId"), "context": Part.of("contextId"),
    "stream": Part.of("streamId"), "correlation": CORRELATION,
}  # fmt: skip
_DEVICE: Final = {**_STREAM, "graph": Part.of("graphId")}
_HOST: Final = {"process": PROCESS, "pid": PID, "thread": THREAD}
_ON_DEVICE: Final = {
    "correlation": Arg(("correlationId",)), "device": Arg(("deviceId",)), "stream": Arg(("streamId",)),
    "context": Arg(("contextId",)), "graph id": Arg(("graphId",)), "graph node id": Arg(("graphNodeId",)),
}  # fmt: skip
_COPY: Final = Enum("copyKind", COPIES, "kind {}")
_SOURCE, _TARGET, _SET = (Enum(column, MEMORY, "memory {}") for column in ("srcKind", "dstKind", "memKind"))

KERNELS: Final = Table(
    ("CUPTI_ACTIVITY_KIND_KERNEL",), "dev.kernel", "stream",
    Name(ids=("demangledName", "shortName", "mangledName"), missing="unknown kernel"), keys=_DEVICE,
    args={
        **_ON_DEVICE, "grid": Arg(("gridX", "gridY", "gridZ"), "list"),
        "block": Arg(("blockX", "blockY", "blockZ"), "list"),
        "registers per thread": Arg(("registersPerThread",)),
        "shared memory": Arg(("staticSharedMemory", "dynamicSharedMemory"), "sum"),
        "cluster": Arg(("clusterX", "clusterY", "clusterZ"), "list"),
        "short name": Arg(("shortName",), "text"), "mangled name": Arg(("mangledName",), "text"),
    },
    matters="kernels: record with --trace=cuda",
)  # fmt: skip
COPIED: Final = Table(
    ("CUPTI_ACTIVITY_KIND_MEMCPY",), "dev.memcpy", "stream",
    Name(template="Memcpy {} ({} -> {})", enums=(_COPY, _SOURCE, _TARGET)), keys=_DEVICE,
    args={**_ON_DEVICE, "bytes": Arg(("bytes",)), "kind": Arg(("copyKind",), enum=_COPY),
          "source": Arg(("srcKind",), enum=_SOURCE), "target": Arg(("dstKind",), enum=_TARGET)},
)  # fmt: skip
SET: Final = Table(
    ("CUPTI_ACTIVITY_KIND_MEMSET",), "dev.memset", "stream", Name(template="Memset ({})", enums=(_SET,)), keys=_DEVICE,
    args={**_ON_DEVICE, "bytes": Arg(("bytes",)), "value": Arg(("value",))},
)  # fmt: skip
GRAPHS: Final = Table(
    ("CUPTI_ACTIVITY_KIND_GRAPH_TRACE",), "dev.graph", "stream",
    Name(template="CUDA graph {}", enums=(Enum("graphId", {}),)), keys=_DEVICE,
    args={**_ON_DEVICE, "graph exec id": Arg(("graphExecId",))},
)  # fmt: skip
SYNCHRONISED: Final = Table(
    ("CUPTI_ACTIVITY_KIND_SYNCHRONIZATION",), "event.wait", "wait",
    Name(template="{}", enums=(Enum("syncType", SYNCS, "Sync {}"),)),
    keys={**_STREAM, "sort": Part.of("syncType", "deprecatedSyncType"), "event": Part.of("eventId"),
          "once": Part.of("eventSyncId")},
    args={**_ON_DEVICE, "wait_on_cuda_event_id": Arg(("eventId",))},
)  # fmt: skip
RECORDED: Final = Table(
    ("CUPTI_ACTIVITY_KIND_CUDA_EVENT",), "event.record", "stream", Name(missing="Event Record"),
    keys={**_STREAM, "event": Part.of("eventId"), "once": Part.of("eventSyncId")}, ends=(),
    args={**_ON_DEVICE, "event": Arg(("eventId",))},
)  # fmt: skip
CALLS: Final = Table(
    ("CUPTI_ACTIVITY_KIND_RUNTIME",), "rt.call", "thread", Name(ids=("nameId",), missing="unknown call"),
    keys={**_HOST, "correlation": CORRELATION, "class": Part.of("eventClass")}, finer=names.api,
    by=("eventClass", {BACKTRACE: "host.frame"}),
    args={"correlation": Arg(("correlationId",)), "returned": Arg(("returnValue",))},
    matters="calls of the host, so device work has no launches: record with --trace=cuda",
)  # fmt: skip
NVTX: Final = Table(
    ("NVTX_EVENTS",), "host.range", "range",
    Name(texts=("text",), ids=("textId",), missing="unnamed range", base=names.nvtx_base),
    keys={**_HOST, "until": Part.of("endGlobalTid"), "domain": Part.of("domainId"), "sort": Part.of("eventType")},
    finer=names.nvtx, end="open", opens=("eventType", frozenset({59, 60, 70, 71})),
    by=("eventType", {34: "mark.instant", 65: "mark.instant",
                      **dict.fromkeys((33, 35, 36, 37, 38, 39, 64, 66, 67, 68, 69, 72, 73, 74, 75, 76))}),
    args={"domain": Arg(("domainId",)), "category": Arg(("category",)), "color": Arg(("color",))},
    matters="ranges of the program: record with --trace=nvtx (and emit_nvtx in PyTorch)",
)  # fmt: skip
START_END: Final = (60, 71)
"""Types of ranges that may end on another thread than they began on."""
CREATED: Final = Table(
    ("CUDA_GRAPH_NODE_EVENTS", "CUDA_GRAPH_EVENTS"), "rt.call", "thread", Name(ids=("nameId",), missing="graph node"),
    keys=_HOST, finer=names.call, args={"graph node id": Arg(("graphNodeId",)), "graph id": Arg(("graphId",))},
)  # fmt: skip
SCHEDULED: Final = Table(
    ("SCHED_EVENTS",), "os.sched", "cpu", Name(missing="thread"), ends=(),
    keys={**_HOST, "cpu": Part.of("cpu"), "in": Part.of("isSchedIn")},
)  # fmt: skip
SAMPLED: Final = Table(
    ("COMPOSITE_EVENTS",), "os.sample", "thread", Name(missing="sample"), ends=(),
    keys={**_HOST, "id": Part.of("id")}, args={"cpu": Arg(("cpu",)), "cycles": Arg(("cpuCycles",))},
)  # fmt: skip
METRICS: Final = Table(
    ("GPU_METRICS",), "ctr.sample", "counter", Name(missing="metric"), start=("timestamp", "start"), ends=(),
    keys={"type": Part.of("typeId"), "metric": Part.of("metricId"), "device": Part(("typeId",), 0, 0xFF)},
    args={"value": Arg(("value",))}, bare=True,
)  # fmt: skip
USED: Final = Table(
    ("CUDA_GPU_MEMORY_USAGE_EVENTS",), "mem.alloc", "memory",
    Name(template="[memory] {}", enums=(_SET,)), ends=(), by=("memoryOperationType", {1: "mem.free"}),
    keys={"process": PROCESS, "pid": PID, "device": Part.of("deviceId"), "context": Part.of("contextId")},
    args={"Bytes": Arg(("bytes",)), "Addr": Arg(("address",)), "Device Id": Arg(("deviceId",))},
)  # fmt: skip


def _on_thread(kind: str, *tables: str, text: bool = False) -> Table:
    """A table of calls on threads of which nothing but name and time is read."""
    name = Name(texts=("text",), ids=("textId",), missing="unnamed") if text else Name(ids=("nameId",), missing="call")
    return Table(tables, kind, "thread", name, keys=_HOST, finer=None if text else names.call)


PLAIN: Final = (
    _on_thread("os.function", "OSRT_API"),
    _on_thread("os.function", "SYSCALL"),
    _on_thread("host.frame", "CUBLAS_EVENTS"),
    _on_thread("host.frame", "CUDNN_EVENTS"),
    _on_thread("host.range", "MPI_P2P_EVENTS", text=True),
    _on_thread("host.range", "MPI_COLLECTIVES_EVENTS", text=True),
    _on_thread("host.range", "MPI_START_WAIT_EVENTS", text=True),
    _on_thread("host.range", "MPI_OTHER_EVENTS", text=True),
    Table(("PROFILER_OVERHEAD",), "rt.call", "thread",
          Name(ids=("nameId",), template="{}", enums=(Enum("overheadType", OVERHEADS),)), keys=_HOST),
    Table(("CUPTI_ACTIVITY_KIND_OVERHEAD",), "rt.call", "thread",
          Name(ids=("nameId",), template="{}", enums=(Enum("overheadType", OVERHEADS),)), keys=_HOST),
)  # fmt: skip
"""Tables of which a row is one event on its thread and takes part in no join."""

WORK: Final = (KERNELS, COPIED, SET, GRAPHS)
FORMAT: Final = Format(
    tables=(*WORK, CALLS, SYNCHRONISED, RECORDED, NVTX, CREATED, *PLAIN, SCHEDULED, SAMPLED, METRICS, USED),
    known=frozenset({
        "StringIds", "ThreadNames", "PROCESSES", "ProcessStreams", "ANALYSIS_FILE", "ANALYSIS_DETAILS",
        "DIAGNOSTIC_EVENT", "UnwindMethodType", "CUDA_CALLCHAINS", "OSRT_CALLCHAINS", "SAMPLING_CALLCHAINS",
        "META_DATA_*", "EXPORT_META_DATA", "TARGET_INFO_*", "ENUM_*", "NVTX_PAYLOAD_*", "sqlite_*",
        "CUDA_GRAPH_EXEC_*", "CUDA_GRAPH_CLONE*", "MPI_RANKS", "MPI_COMMUNICATORS",
    }),
    strings=("StringIds", "id", "value"),
)  # fmt: skip
MARKS: Final = ("META_DATA_EXPORT", "EXPORT_META_DATA", "META_DATA_CAPTURE")
"""Tables that this exporter alone writes."""
