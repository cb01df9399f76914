"""The databases of Ascend profiles as data: tables and columns of all versions, and what stands for what."""

from __future__ import annotations

from typing import Final

import attrs

from traceir_frontends.tabular import Arg, Format, Name, Part, Table

OP, QUEUE, FRAME, MSTX = 50001, 50002, 50003, 50004
PYTORCH: Final = Table(
    names=("PYTORCH_API", "MINDSPORE_API"), kind="host.range", lane="thread", name=Name(ids=("name",)),
    start=("startNs",), ends=("endNs",),
    keys={"thread": Part.of("globalTid"), "connection": Part.of("connectionId"), "type": Part.of("type")},
    by=("type", {OP: "host.op", QUEUE: "rt.call", FRAME: "host.frame", MSTX: "host.range"}),
    args={
        "Input Dims": Arg(("inputShapes",), "text"), "Input type": Arg(("inputDtypes",), "text"),
        "Sequence number": Arg(("sequenceNumber",)), "Fwd thread id": Arg(("fwdThreadId",)),
    },
    matters="the framework's operators",
)  # fmt: skip
CALLS: Final = Table(
    names=("CANN_API",), kind="rt.call", lane="thread", name=Name(ids=("name",)), start=("startNs",), ends=("endNs",),
    keys={"thread": Part.of("globalTid"), "connection": Part.of("connectionId"), "type": Part.of("type")},
    args={"connection_id": Arg(("connectionId",))}, matters="calls of CANN",
)  # fmt: skip
TASKS: Final = Table(
    names=("TASK",), kind="dev.kernel", lane="stream", name=Name(ids=("taskType",)), start=("startNs",),
    ends=("endNs",),
    keys={
        "device": Part.of("deviceId"), "stream": Part.of("streamId"), "task": Part.of("taskId"),
        "context": Part.of("contextId"), "connection": Part.of("connectionId"), "number": Part.of("globalTaskId"),
    },
    args={"Task Type": Arg(("taskType",), "text"), "connection_id": Arg(("connectionId",))}, matters="device work",
)  # fmt: skip
OPERATIONS: Final = Table(
    names=("COMMUNICATION_OP",), kind="dev.kernel", lane="group", name=Name(ids=("opName",)), start=("startNs",),
    ends=("endNs",),
    keys={
        "connection": Part.of("connectionId"), "operation": Part.of("opId"), "device": Part.of("deviceId"),
        "group": Part.of("groupName"),
    },
    args={
        "connection_id": Arg(("connectionId",)), "alg_type": Arg(("algType",), "text"),
        "group name": Arg(("groupName",), "text"), "op type": Arg(("opType",), "text"),
    },
)  # fmt: skip
RANGES: Final = Table(
    names=("MSTX_EVENTS",), kind="host.range", lane="thread", name=Name(ids=("message",), missing="mstx"),
    start=("startNs",), ends=("endNs",), end="open",
    keys={"thread": Part.of("globalTid"), "connection": Part.of("connectionId"), "type": Part.of("eventType")},
    by=("eventType", {0: "mark.instant", 3: "mark.instant"}),
)  # fmt: skip

PARTS: Final = "COMMUNICATION_TASK_INFO"
PART_COLUMNS: Final = ("taskType", "globalTaskId", "planeId", "groupName", "opId")
COMPUTE: Final = "COMPUTE_TASK_INFO"
COMPUTE_TEXTS: Final = {
    "opType": "Type", "taskType": "Accelerator Core", "inputShapes": "Input Shapes",
    "inputDataTypes": "Input Data Types", "inputFormats": "Input Formats", "outputShapes": "Output Shapes",
    "outputDataTypes": "Output Data Types", "outputFormats": "Output Formats",
}  # fmt: skip
"""Columns of kernels that are ids of texts, and what the text export calls them."""
COMPUTE_NUMBERS: Final = {
    "blockDim": "Block Dim", "block_dim": "Block Dim", "mixBlockDim": "Mix Block Dim", "mix_block_dim": "Mix Block Dim",
    "waitNs": "waitNs",
}  # fmt: skip
PART_TEXTS: Final = {"name": "operation", "taskType": "task type", "groupName": "group name"}
LINKS: Final = {0: "ON_CHIP", 1: "HCCS", 2: "PCIE", 3: "ROCE", 4: "SIO", 5: "HCCS_SW", 6: "STANDARD_ROCE"}
TRANSPORTS: Final = {0: "SDMA", 1: "RDMA", 2: "LOCAL"}
DATA_TYPES: Final = {
    0: "INT8", 1: "INT16", 2: "INT32", 3: "FP16", 4: "FP32", 5: "INT64", 6: "UINT64", 7: "UINT8", 8: "UINT16",
    9: "UINT32", 10: "FP64", 11: "BFP16", 12: "INT128",
}  # fmt: skip


@attrs.frozen
class Counter:
    """A column of samples: the table, the words before its name, the name, and what fills the places of the name.

    `fills` are columns, an id of a text where they stand in `texts`.
    """

    table: str
    process: str
    name: str
    value: str
    fills: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    time: str = "timestampNs"


COUNTERS: Final = (
    Counter("AICORE_FREQ", "AI Core Freq", "AI Core Freq", "freq"),
    Counter("HBM", "HBM", "HBM {}/{}", "bandwidth", ("hbmId", "type"), ("type",)),
    Counter("DDR", "DDR", "DDR/Read", "read"),
    Counter("DDR", "DDR", "DDR/Write", "write"),
    Counter("LLC", "LLC", "LLC {} {}/Throughput", "throughput", ("llcId", "mode"), ("mode",)),
    Counter("LLC", "LLC", "LLC {} {}/Hit Rate", "hitRate", ("llcId", "mode"), ("mode",)),
    Counter("NPU_MEM", "NPU MEM", "{}/DDR", "ddr", ("type",), ("type",)),
    Counter("NPU_MEM", "NPU MEM", "{}/HBM", "hbm", ("type",), ("type",)),
    Counter("ACC_PMU", "Acc PMU", "read_bandwidth", "readBwLevel"),
    Counter("ACC_PMU", "Acc PMU", "write_band_width", "writeBwLevel"),
    Counter("ACC_PMU", "Acc PMU", "read_ost", "readOstLevel"),
    Counter("ACC_PMU", "Acc PMU", "write_ost", "writeOstLevel"),
    Counter("SOC_BANDWIDTH_LEVEL", "Stars Soc Info", "L2 Buffer Bw Level", "l2BufferBwLevel"),
    Counter("SOC_BANDWIDTH_LEVEL", "Stars Soc Info", "Mata Bw Level", "mataBwLevel"),
    Counter("MEMORY_RECORD", "Memory", "{}/Allocated", "totalAllocated", ("component",), ("component",), "timestamp"),
    Counter("MEMORY_RECORD", "Memory", "{}/Reserved", "totalReserved", ("component",), ("component",), "timestamp"),
)
SPELLED: Final = {"app": "APP"}
"""Words that the text export writes in another way than with a capital."""

_KNOWN: Final = frozenset(
    {
        "STRING_IDS", "CONNECTION_IDS", "STEP_TIME", "RANK_DEVICE_MAP", "NPU_INFO", "HOST_INFO", "SESSION_TIME_INFO",
        "META_DATA", "TASK_PMU_INFO", "SAMPLE_PMU_*", "NPU_OP_MEM", "OP_MEMORY", "NPU_MODULE_MEM",
        "PYTORCH_CALLCHAINS", "MEMCPY_INFO", "ENUM_*", "OVERLAP_ANALYSIS", "connectionCats", "status_info",
        "sqlite_sequence", PARTS, COMPUTE, *(counter.table for counter in COUNTERS),
    }
)  # fmt: skip
FORMAT: Final = Format(
    tables=(PYTORCH, CALLS, TASKS, OPERATIONS, RANGES), known=_KNOWN, strings=("STRING_IDS", "id", "value")
)
MARKS: Final = ("COMPUTE_TASK_INFO", "CANN_API", "PYTORCH_API", "COMMUNICATION_OP", "MINDSPORE_API")
"""Tables that only this format has."""
SUMMARIES: Final = ("StepTraceTime", "CommAnalyzerTime", "ClusterStepTraceTime")
"""Tables of databases that hold results of an analysis, and no events."""
