"""The SQLite files of nvprof and the Visual Profiler as data."""

from __future__ import annotations

from typing import Final

from traceir_frontends.kineto.classify import api_kind, range_kind
from traceir_frontends.nvprof.calls import DRIVER, RUNTIME
from traceir_frontends.tabular import Arg, Enum, Format, Name, Part, Table

MEMORY: Final = {
    0: "Unknown", 1: "Pageable", 2: "Pinned", 3: "Device", 4: "Array", 5: "Managed", 6: "Device Static",
    7: "Managed Static",
}  # fmt: skip
COPIES: Final = {
    0: "Unknown", 1: "HtoD", 2: "DtoH", 3: "HtoA", 4: "AtoH", 5: "AtoA", 6: "AtoD", 7: "DtoA", 8: "DtoD", 9: "HtoH",
    10: "PtoP",
}  # fmt: skip
SYNCS: Final = {1: "Event Sync", 2: "Stream Wait Event", 3: "Stream Sync", 4: "Context Sync"}
QUEUED: Final = 2
OVERHEADS: Final = {
    0: "Unknown", 1: "Driver JIT compiler", 1 << 16: "Buffer flush", 2 << 16: "Instrumentation",
    3 << 16: "Resource creation/destruction",
}  # fmt: skip
MARK, BEGIN, END = 1, 2, 4
"""Flags of markers: a point, or one end of a range."""


def _api(text: str) -> tuple[str, str]:
    return text, api_kind(text)


def _range(text: str) -> tuple[str, str]:
    return text, range_kind(text)


_DEVICE: Final = {
    "device": Part.of("deviceId", "dstDeviceId"), "context": Part.of("contextId"), "stream": Part.of("streamId"),
    "correlation": Part.of("correlationId"), "graph": Part.of("graphId"),
}  # fmt: skip
_HOST: Final = {
    "pid": Part.of("processId"), "thread": Part(("threadId",), 0, 0xFFFFFFFF), "correlation": Part.of("correlationId"),
}  # fmt: skip
_ON_DEVICE: Final = {
    "correlation": Arg(("correlationId",)), "device": Arg(("deviceId",)), "stream": Arg(("streamId",)),
    "context": Arg(("contextId",)), "graph node id": Arg(("graphNodeId",)),
}  # fmt: skip
_COPY: Final = Enum("copyKind", COPIES, "kind {}")
_SOURCE, _TARGET, _SET = (Enum(column, MEMORY, "memory {}") for column in ("srcKind", "dstKind", "memoryKind"))

KERNELS: Final = Table(
    ("CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL", "CUPTI_ACTIVITY_KIND_KERNEL"), "dev.kernel", "stream",
    Name(ids=("name",), missing="unknown kernel"), keys=_DEVICE,
    args={
        **_ON_DEVICE, "grid": Arg(("gridX", "gridY", "gridZ"), "list"),
        "block": Arg(("blockX", "blockY", "blockZ"), "list"),
        "registers per thread": Arg(("registersPerThread",)),
        "shared memory": Arg(("staticSharedMemory", "dynamicSharedMemory"), "sum"),
    },
    matters="kernels: record with --print-gpu-trace or without --analysis-metrics",
)  # fmt: skip
COPIED: Final = tuple(
    Table(
        (name,), "dev.memcpy", "stream", Name(template="Memcpy {} ({} -> {})", enums=(_COPY, _SOURCE, _TARGET)),
        keys=_DEVICE, args={**_ON_DEVICE, "bytes": Arg(("bytes",)), "kind": Arg(("copyKind",), enum=_COPY)},
    )
    for name in ("CUPTI_ACTIVITY_KIND_MEMCPY", "CUPTI_ACTIVITY_KIND_MEMCPY2")
)  # fmt: skip
SET: Final = Table(
    ("CUPTI_ACTIVITY_KIND_MEMSET",), "dev.memset", "stream", Name(template="Memset ({})", enums=(_SET,)), keys=_DEVICE,
    args={**_ON_DEVICE, "bytes": Arg(("bytes",)), "value": Arg(("value",))},
)  # fmt: skip
SYNCHRONISED: Final = Table(
    ("CUPTI_ACTIVITY_KIND_SYNCHRONIZATION",), "event.wait", "stream",
    Name(template="{}", enums=(Enum("type", SYNCS, "Sync {}"),)),
    keys={**_DEVICE, "sort": Part.of("type"), "event": Part.of("cudaEventId")},
    args={**_ON_DEVICE, "cuda_sync_kind": Arg(("type",), enum=Enum("type", SYNCS, "Sync {}")),
          "wait_on_cuda_event_id": Arg(("cudaEventId",))},
)  # fmt: skip
CALLS: Final = tuple(
    Table(
        (name,), "rt.call", "thread", Name(template="{}", enums=(Enum("cbid", words, word + " call {}"),)), keys=_HOST,
        finer=_api, args={"correlation": Arg(("correlationId",)), "returned": Arg(("returnValue",))},
        matters=f"{word} calls, so device work may have no launches",
    )
    for name, words, word in (
        ("CUPTI_ACTIVITY_KIND_RUNTIME", RUNTIME, "runtime"), ("CUPTI_ACTIVITY_KIND_DRIVER", DRIVER, "driver"),
    )
)  # fmt: skip
MARKERS: Final = Table(
    ("CUPTI_ACTIVITY_KIND_MARKER",), "host.range", "thread", Name(ids=("name",), missing="unnamed range"),
    start=("timestamp",), ends=(), end="open", finer=_range, extra=("objectId",),
    keys={"id": Part.of("id"), "flags": Part.of("flags"), "object": Part.of("objectKind")},
    args={"domain": Arg(("domain",), "text")},
)  # fmt: skip
OVERHEAD: Final = Table(
    ("CUPTI_ACTIVITY_KIND_OVERHEAD",), "rt.call", "thread",
    Name(template="{}", enums=(Enum("overheadKind", OVERHEADS, "Overhead {}"),)), extra=("objectId",),
    keys={"object": Part.of("objectKind")},
)  # fmt: skip

WORK: Final = (KERNELS, *COPIED, SET)
ON_OBJECT: Final = (MARKERS, OVERHEAD)
"""Tables that name the thread in a few bytes of their own."""
FORMAT: Final = Format(
    tables=(*WORK, *CALLS, SYNCHRONISED, MARKERS, OVERHEAD),
    known=frozenset({
        "StringTable", "Version", "sqlite_*", "CUPTI_ACTIVITY_KIND_DEVICE*", "CUPTI_ACTIVITY_KIND_CONTEXT",
        "CUPTI_ACTIVITY_KIND_STREAM", "CUPTI_ACTIVITY_KIND_NAME", "CUPTI_ACTIVITY_KIND_MARKER_DATA",
        "CUPTI_ACTIVITY_KIND_MODULE", "CUPTI_ACTIVITY_KIND_FUNCTION",
    }),
    strings=("StringTable", "_id_", "value"),
)  # fmt: skip
