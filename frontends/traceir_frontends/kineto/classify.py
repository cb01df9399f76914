"""What a row is: from phase and category to kind and side, from an API's or a range's name to the finer kind."""

from __future__ import annotations

import re
from typing import ClassVar, Final, Literal

import attrs

from traceir.ir.kinds import Kind, register

Side = Literal["host", "device", "counter", "async"]
Action = Literal["event", "flow", "meta", "window", "drop"]
Finer = Literal["", "api", "range", "memory", "engine", "wait"]


@register
@attrs.frozen
class HostAsync(Kind):
    """A range of an asynchronous operation: it belongs to a process, not to a thread, and need not nest."""

    name: ClassVar[str] = "host.async"


@attrs.frozen
class Class:
    """How rows of one phase and category are read. `finer` says what their kind depends on beside these two."""

    action: Action
    kind: str = ""
    side: Side = "host"
    finer: Finer = ""

    @property
    def joins(self) -> bool:
        """Whether launch and sync edges may begin or end at such rows."""
        return self.action == "event" and (self.side == "device" or self.finer in ("api", "wait"))


_HOST_API: Final = Class("event", "rt.call", finer="api")
_RANGE: Final = Class("event", "host.range", finer="range")
_DEVICE_RANGE: Final = Class("event", "dev.range", "device")
_KERNEL: Final = Class("event", "dev.kernel", "device")
_MEMCPY: Final = Class("event", "dev.memcpy", "device")
_MEMSET: Final = Class("event", "dev.memset", "device")
_WAIT: Final = Class("event", "event.wait", "device", "wait")
_OP: Final = Class("event", "host.op")

CATEGORIES: Final[dict[str, Class]] = {
    "cpu_op": _OP,
    "operator": _OP,
    "python_function": Class("event", "host.frame"),
    "user_annotation": _RANGE,
    "overhead": Class("event", "rt.call"),
    **dict.fromkeys(
        (
            "cuda_runtime", "cuda_driver", "runtime", "driver", "mtia_runtime", "glow_runtime", "xpu_runtime",
            "xpu_driver", "hpu_op", "privateuse1_runtime", "privateuse1_driver",
        ),
        _HOST_API,
    ),
    "kernel": _KERNEL,
    "gpu_memcpy": _MEMCPY,
    "memcpy": _MEMCPY,
    "gpu_memset": _MEMSET,
    "memset": _MEMSET,
    "gpu_user_annotation": _DEVICE_RANGE,
    "cuda_profiler_range": _DEVICE_RANGE,
    "xpu_scope_profiler": _DEVICE_RANGE,
    "mtia_insight": _DEVICE_RANGE,
    "mtia_ccp_events": Class("event", "dev.kernel", "device", "engine"),
    "cuda_sync": _WAIT,
    "xpu_sync": _WAIT,
    "cuda_event": Class("event", "event.record", "device"),
    "trace": Class("window"),
}  # fmt: skip
"""Categories in lower case (files of old have them capitalised); any other is a range on its thread."""

LAUNCH_FLOWS: Final = ("ac2g", "async_cpu_to_gpu")
"""Flow categories that repeat what `correlation` says."""

OWN: Final = "traceir"
"""Category (up to a dot) of what `--emit chrome` adds: findings, which are no part of the record and are not read."""

_DROPPED_INSTANTS: Final = ("Traces", "")


def classify(ph: str, cat: str | None, pid: object) -> Class:
    """How rows with this phase and category are read. The side never follows from `pid`: device 0 shares it."""
    word = (cat or "").lower()
    if word.partition(".")[0] == OWN and ph != "M":
        return Class("drop")
    if ph == "X":
        return CATEGORIES.get(word, _RANGE)
    if ph in ("B", "E"):
        found = CATEGORIES.get(word, _RANGE)
        return found if found.action == "event" else Class("drop")
    if ph in ("s", "t", "f"):
        return Class("flow")
    if ph == "M":
        return Class("meta")
    if ph == "C":
        return Class("event", "ctr.sample", "counter")
    if ph in ("b", "e"):
        return Class("event", "host.async", "async")
    if ph in ("", "n"):
        return Class("drop") if ph == "" else Class("event", "mark.instant", "async")
    if pid in _DROPPED_INSTANTS and cat is None:
        return Class("drop")  # the profiler's own marks of where its record begins and ends
    return Class("event", "mark.instant", finer="memory" if word == "cpu_instant_event" else "")


_VENDOR: Final = r"(?:cuda|hip|cu)"
_API_RULES: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"GraphLaunch(?!.*(?:Node|Param))"), "rt.graph_launch"),
    (re.compile(r"LaunchHostFunc|Graph(?:Add|Exec|Kernel|Memcpy|Memset|Node)"), "rt.call"),
    (re.compile(r"(?i)launch(?!Params|Attribute|Bounds)"), "rt.launch"),
    (re.compile(r"^runFunction\b"), "rt.launch"),
    (re.compile(rf"^{_VENDOR}(?:Drv)?Memcpy|(?i:\bmemcpy\w*|EnqueueMem\w*Copy|EnqueueUSMMemcpy)"), "rt.memcpy"),
    (re.compile(rf"^{_VENDOR}Memset|(?i:EnqueueMem\w*Fill|EnqueueUSM(?:Fill|Memset))"), "rt.memset"),
    (
        re.compile(
            r"(?:Device|Stream|Event|Ctx|Context|Thread)Synchronize(?:_ptsz|_v\d+)?$"
            r"|^synchronize|Queue(?:Finish|Synchronize)|HostSynchronize$|^(?:ur|pi)Events?Wait$"
        ),
        "rt.sync",
    ),
    (
        re.compile(
            rf"^{_VENDOR}(?:(?:Ext|Host|Array|Mipmapped)?(?:Malloc|Free|Alloc)"
            r"|Mem(?:HostAlloc|Alloc|Free|Create|Map|Unmap|Release|AddressReserve|AddressFree|SetAccess)"
            r"|(?:Mem)?Host(?:Register|Unregister))|(?i:USM(?:Host|Device|Shared)Alloc|USMFree)"
        ),
        "rt.alloc",
    ),
)


def api_kind(name: str) -> str:
    """The kind of a runtime or driver call, by the first rule that its name meets."""
    return next((kind for pattern, kind in _API_RULES if pattern.search(name)), "rt.call")


_STEPS: Final = re.compile(
    r"ProfilerStep\s*#\s*\d+"
    r"|execute_(?:\d+_)?(?:context|new|generation)_\d+.*"
    r"|step\[.*\]"
    r"|(?:(?:train|training|global|decode|prefill|engine)[ _])?(?:step|iteration)[ _#:=]*\d+",
    re.IGNORECASE | re.DOTALL,
)


def range_kind(name: str) -> str:
    """`mark.step` for ranges that mark one iteration or engine step, `host.range` for all others."""
    return "mark.step" if _STEPS.fullmatch(name) else "host.range"


def engine_kind(name: str) -> str:
    """The kind of a row of a device whose profiler has one category for all it does."""
    word = name.lower()
    if word == "event_wait":
        return "event.wait"
    if word == "event_record":
        return "event.record"
    if word.startswith(("dma", "memcpy")):
        return "dev.memcpy"
    return "dev.memset" if word.startswith("memset") else "dev.kernel"


BY_NAME: Final = {"api": api_kind, "range": range_kind, "engine": engine_kind}


def is_capture_border(name: str) -> int:
    """+1 for calls that begin the capture of a graph, -1 for those that end it, 0 for all others."""
    if "BeginCapture" in name:
        return 1
    return -1 if "EndCapture" in name else 0
