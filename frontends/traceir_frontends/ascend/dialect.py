"""What a row of an Ascend profile is: from task types, API levels and categories to kinds."""

from __future__ import annotations

import re
from typing import ClassVar, Final

import attrs

from traceir.ir.kinds import Kind, field, register
from traceir.ir.lanes import LaneKind

NONE_ID: Final = 4294967295
"""What the format writes for no model, no context and no rank."""


@attrs.frozen
class _Npu(Kind):
    """What a device's scheduler ran that is no work of its own."""

    lanes: ClassVar[tuple[LaneKind, ...]] = ("dev.stream",)
    correlation: int | None = field(keys=("correlation",), help="Joins the task with the call that launched it.")


@register
@attrs.frozen
class NpuTask(_Npu):
    """A task by which the device steers itself (a placeholder, a value written): not work."""

    name: ClassVar[str] = "npu.task"


@register
@attrs.frozen
class NpuPart(_Npu):
    """A part of a collective or kernel that lies on a lane as a whole too: its time is the whole's, so not work."""

    name: ClassVar[str] = "npu.part"
    bytes: int | None = field("B", keys=("bytes",))


@register
@attrs.frozen
class NpuAnalysis(Kind):
    """A span of the vendor's own analysis, such as Computing or Free."""

    name: ClassVar[str] = "npu.analysis"


_TASKS: Final = (
    (re.compile(r"^(EVENT|NOTIFY)[_ ]?WAIT", re.IGNORECASE), "event.wait"),
    (re.compile(r"^(EVENT|NOTIFY)[_ ]?RECORD", re.IGNORECASE), "event.record"),
    (re.compile(r"MEMCPY|^(SDMA|PCIE_DMA|DMA|RDMA)", re.IGNORECASE), "dev.memcpy"),
    (re.compile(r"^PLACE_?HOLDER|^PROFILING|^(WRITE|CAPTURE)[_ ]|^MODEL_|^STREAM_|^LABEL", re.IGNORECASE), "npu.task"),
)
_KERNELS: Final = re.compile(
    r"^(KERNEL_)?(AI_?CORE|AI_?VECTOR_?CORE|AIVEC|AIV|AIC|MIX_\w+|(HCCL_)?AI_?CPU|DSA|STARS_COMMON|DVPP)", re.IGNORECASE
)


def task_kind(name: str, task_type: str) -> str:
    """The kind of a device's task by its name, then by its type.

    The name goes first since newer devices place events as placeholders. A task that is called as its own type, of
    a type that nobody knows, is taken to steer the device; one with a name of its own is a kernel.
    """
    for text in (name, task_type):
        if text is task_type and _KERNELS.match(text):
            return "dev.kernel"
        for pattern, kind in _TASKS:
            if pattern.search(text):
                if kind == "dev.memcpy" and text is name and _KERNELS.match(task_type):
                    return "dev.kernel"  # an operator that is called after copies runs on the cores all the same
                return kind
    return "npu.task" if name == task_type and name not in ("", "unknown") else "dev.kernel"


def part_kind(name: str) -> str:
    """The kind of a part of a collective."""
    kind = task_kind(name.replace("_", " "), "")
    return kind if kind.startswith("event.") else "npu.part"


_CALLS: Final = (
    (re.compile(r"^Model@.*(execute|launch)|aclmdl(RI)?Execute|ModelExecute", re.IGNORECASE), "rt.graph_launch"),
    (re.compile(r"^Node@launch|^Hccl@|^Runtime@(\w*Launch|.*TaskLaunch)", re.IGNORECASE), "rt.launch"),
    (re.compile(r"(aclrt|Runtime@)(Memcpy|MemCopy)", re.IGNORECASE), "rt.memcpy"),
    (re.compile(r"(aclrt|Runtime@)Mem[sS]et"), "rt.memset"),
    (re.compile(r"aclrtSynchronize|Runtime@\w*(Synchronize|SyncTaskFinish)"), "rt.sync"),
    (re.compile(r"(aclrt|Runtime@)(Dev|Host)?(Malloc|Free)"), "rt.alloc"),
)


def call_kind(name: str) -> str:
    """The kind of a call of CANN, whose name begins with its level: `Node@launch`, `AscendCL@aclrtMemcpy`."""
    return next((kind for pattern, kind in _CALLS if pattern.search(name)), "rt.call")


STEP: Final = re.compile(r"ProfilerStep\s*#\s*(\d+)\Z")
_CATEGORIES: Final = {"cpu_op": "host.op", "python_function": "host.frame", "enqueue": "rt.call", "dequeue": "rt.call"}


def host_kind(category: str | None, name: str) -> str:
    """The kind of a row of the framework's by its category, and of steps by their name."""
    if STEP.match(name):
        return "mark.step"
    return _CATEGORIES.get((category or "").lower(), "host.range")


LEVELS: Final = {20000: "AscendCL", 15000: "Model", 10000: "Node", 5500: "Hccl", 5000: "Runtime"}
"""Levels of CANN's calls as databases number them, by the word that text puts before the name."""


def rank_of_call(name: str) -> int:
    """Which of the calls that share a connection counts as the one that launched: the highest."""
    return {"Node": 3, "Model": 2, "AscendCL": 1}.get(name.partition("@")[0], 0)


_COLLECTIVE: Final = re.compile(r"hcom_([A-Za-z]+)|Hccl([A-Z][A-Za-z]+)")


def collective_of(name: str) -> str | None:
    """What an operation of HCCL is called without its prefix and numbers: `allReduce` of `hcom_allReduce__271_0_1`."""
    found = _COLLECTIVE.match(name)
    return (found[1] or found[2]) if found else None
