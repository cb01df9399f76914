"""What an export says of itself: who made it, when, on which machine and devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from traceir.ir import NULL_I64, Lane
from traceir_frontends.tabular import Database

_DEVICE: Final = {
    "id": "id", "totalGlobalMem": "totalMemory", "computeMajor": "computeMajor", "computeMinor": "computeMinor",
    "warpSize": "threadsPerWarp", "numSms": "smCount", "maxThreadsPerBlock": "maxThreadsPerBlock",
    "regsPerBlock": "maxRegistersPerBlock", "regsPerMultiprocessor": "maxRegistersPerSm",
    "sharedMemPerBlock": "maxShmemPerBlock", "sharedMemPerBlockOptin": "maxShmemPerBlockOptin",
    "sharedMemPerMultiprocessor": "maxShmemPerSm", "memoryBandwidth": "memoryBandwidth", "clockRate": "clockRate",
    "l2CacheSize": "l2CacheSize",
}  # fmt: skip
"""Properties of a device by the name that all frontends give them, with the exporter's."""
_EXPORTED: Final = {"EXPORT_PRODUCT_NAME", "EXPORT_PRODUCT_VERSION", "EXPORT_SCHEMA_VERSION", "EXPORT_TIME_UTC"}
_CAPTURED: Final = {
    "CUDA_GRAPH_TRACE_OPTIONS:MODE", "CUDA_FLUSH_PERIODICALLY", "CUDA_SKIP_SOME_API_CALLS", "CAPTURE_EVENT_TYPE",
}  # fmt: skip
_SYSTEM: Final = {"NvDriverVersion", "CudaDriverVersion", "OsDescription", "CpuArchitecture", "CpuCores"}
"""What is kept of the machine and the options; the file also has command lines and the environment, which are not."""


def session_start(database: Database) -> int | None:
    """Unix time (ns) of the file's own instant 0, None if it does not say."""
    frame = database.read("TARGET_INFO_SESSION_START_TIME", ("utcEpochNs",))
    values = frame.ints("utcEpochNs")
    return int(values[0]) if len(values) and values[0] > 0 else None


def about(database: Database, lanes: Sequence[Lane]) -> dict[str, Any]:
    """The metadata of the module: vendor, devices, versions, processes."""
    exported = _pairs(database, "META_DATA_EXPORT") | _pairs(database, "EXPORT_META_DATA")
    captured, system = _pairs(database, "META_DATA_CAPTURE"), _pairs(database, "TARGET_INFO_SYSTEM_ENV")
    kept = {
        **{name: value for name, value in exported.items() if name in _EXPORTED},
        **{name: value for name, value in captured.items() if name in _CAPTURED},
        **{name: value for name, value in system.items() if name in _SYSTEM},
    }
    words = [exported.get(name) for name in ("EXPORT_PRODUCT_NAME", "EXPORT_PRODUCT_VERSION")]
    devices = _devices(database)
    return {
        "rank": _rank(database),
        "world": None,
        "vendor": "nvidia",
        "producer": " ".join(word for word in words if word) or "NVIDIA Nsight Systems",
        "schema": exported.get("EXPORT_SCHEMA_VERSION") or "",
        "driver": system.get("NvDriverVersion") or "",
        "gpus": ", ".join(dict.fromkeys(str(device["name"]) for device in devices if device.get("name"))),
        "graphs": (captured.get("CUDA_GRAPH_TRACE_OPTIONS:MODE") or "").lower(),
        "devices": devices,
        "processes": _processes(database, lanes),
        "metadata": kept,
    }


def _pairs(database: Database, table: str) -> dict[str, str]:
    frame = database.read(table, ("name", "value"))
    pairs = zip(frame.texts("name"), frame.texts("value"), strict=True)
    return {name: value for name, value in pairs if name is not None and value is not None}


def _devices(database: Database) -> list[dict[str, Any]]:
    frame = database.read("TARGET_INFO_GPU", ("name", *_DEVICE.values()))
    names = frame.texts("name")
    out: list[dict[str, Any]] = [{} if name is None else {"name": name} for name in names]
    for word, column in _DEVICE.items():
        for device, value in zip(out, frame.ints(column).tolist(), strict=True):
            if value != NULL_I64:
                device[word] = value
    return out


def _rank(database: Database) -> int | None:
    """The rank of the only process that has one."""
    ranks = np.unique(database.read("MPI_RANKS", ("rank",)).ints("rank"))
    return int(ranks[0]) if len(ranks) == 1 and ranks[0] >= 0 else None


def _processes(database: Database, lanes: Sequence[Lane]) -> dict[str, str]:
    """The names of the processes that have threads here; the file lists all of the machine."""
    frame = database.read("PROCESSES", ("pid", "name"))
    names = dict(zip(frame.ints("pid").tolist(), frame.texts("name"), strict=True))
    seen = dict.fromkeys(lane.pid for lane in lanes if lane.kind == "host.thread" and isinstance(lane.pid, int))
    return {str(pid): str(names[pid]) for pid in seen if names.get(pid)}
