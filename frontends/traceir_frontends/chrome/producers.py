"""Which program wrote a Chrome trace, by what it alone writes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import attrs

from traceir_frontends.kineto.rows import Rows


@attrs.frozen
class Producer:
    """A program: what its processes, threads or categories are called, or its keys at the top level.

    `better` says what to record or name instead, where that tells more.
    """

    name: str
    processes: str = ""
    threads: str = ""
    categories: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    better: str = ""


_EXPORT: Final = (
    "ranges of the device are shown on threads, without streams, launches or work; name the profiler's own file "
)
PRODUCERS: Final = (
    Producer("py-spy", categories=("py-spy",)),
    Producer("VizTracer", keys=("viztracer_metadata",)),
    Producer(
        "Huawei Ascend (msprof, torch_npu)", processes=r"(?:Ascend Hardware|CANN|AscendCL|Overlap Analysis|HCCL)\Z",
        better=_EXPORT + "or its result folder",
    ),
    Producer("rocprof", processes=r"CPU H(?:IP|SA) API\Z|GPU\d+ Kernels|COPY\Z", better=_EXPORT + "(rocpd or CSV)"),
    Producer("RPD (rocmProfileData)", processes=r"GPU\d+\Z", threads=r"Hip \d+\Z", better=_EXPORT + "(.rpd)"),
    Producer("XLA (TensorFlow, JAX)", processes=r"/(?:device|host):", better=_EXPORT + "(.xplane.pb)"),
    Producer("Bazel", keys=("bazel_version", "otherData.bazel_version")),
    Producer("Clang (-ftime-trace)", keys=("beginningOfTime",)),
    Producer("Chromium", threads=r"Cr(?:Browser|Renderer)Main\Z|Chrome_IOThread\Z"),
)  # fmt: skip
"""Tried in this order; the first that fits is it."""


def producer_of(rows: Rows, metadata: Mapping[str, Any]) -> Producer | None:
    """The program that wrote a trace, None if nothing tells."""
    processes = [str(name) for name in rows.process_names.values()]
    threads = [str(name) for name in rows.thread_names.values()]
    categories = {cat for _, cat, _, _ in rows.keys if cat}
    other = metadata.get("otherData")
    keys = {*metadata, *(f"otherData.{key}" for key in (other if isinstance(other, dict) else {}))}
    return next((item for item in PRODUCERS if _fits(item, processes, threads, categories, keys)), None)


def _fits(item: Producer, processes: list[str], threads: list[str], categories: set[str], keys: set[str]) -> bool:
    if item.processes and not any(re.match(item.processes, name) for name in processes):
        return False
    if item.threads and not any(re.match(item.threads, name) for name in threads):
        return False
    if item.categories and categories.isdisjoint(item.categories):
        return False
    return not item.keys or not keys.isdisjoint(item.keys)
