"""Dialects: the kinds of event, what each may carry, and on which lanes it may lie.

A kind is an attrs class. Its fields are the columns of its side table (see `Module.side`), whose metadata
say unit and source keys; its class data say how the verifier and the passes may treat it. A plug-in adds a
dialect by defining such classes and calling `register`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import attrs

from traceir.ir.lanes import LaneKind

ANY_LANE: tuple[LaneKind, ...] = ()


def field(unit: str = "", *, keys: tuple[str, ...] = (), help: str = "") -> Any:
    """A side-table field: its unit, one sentence, and the source keys it is read from (default: its name)."""
    return attrs.field(default=None, metadata={"unit": unit, "keys": keys, "help": help})


class Kind:
    """Base of all kinds. `lanes` empty means any lane."""

    name: ClassVar[str] = ""
    lanes: ClassVar[tuple[LaneKind, ...]] = ANY_LANE
    is_work: ClassVar[bool] = False
    """Device work: counted in busy time when it lies on a `dev.stream` lane."""
    nests: ClassVar[bool] = False
    """Takes part in the nest tree of its lane."""


_REGISTRY: dict[str, type[Kind]] = {}


def register(cls: type[Kind]) -> type[Kind]:
    """Make a kind known by its name; two different classes of one name are an error."""
    known = _REGISTRY.setdefault(cls.name, cls)
    if known is not cls and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        raise ValueError(f"The kind {cls.name!r} is defined twice: by {known!r} and by {cls!r}.")
    return cls


def find(name: str) -> type[Kind] | None:
    """The class of a kind, or None for a dialect that nobody registered (it is kept and printed all the same)."""
    return _REGISTRY.get(name)


def names() -> tuple[str, ...]:
    """All registered kinds."""
    return tuple(_REGISTRY)


def work_kinds() -> frozenset[str]:
    """The kinds that are device work."""
    return frozenset(name for name, cls in _REGISTRY.items() if cls.is_work)


def nesting_kinds() -> frozenset[str]:
    """The kinds that nest by time on their lane."""
    return frozenset(name for name, cls in _REGISTRY.items() if cls.nests)


class _Host(Kind):
    lanes: ClassVar[tuple[LaneKind, ...]] = ("host.thread",)
    nests: ClassVar[bool] = True


class _Device(Kind):
    lanes: ClassVar[tuple[LaneKind, ...]] = ("dev.stream",)


@register
@attrs.frozen
class HostOp(_Host):
    """A framework operator on a host thread."""

    name: ClassVar[str] = "host.op"
    external_id: int | None = field(keys=("External id",), help="Joins the op with what it launched.")
    sequence: int | None = field(keys=("Sequence number",), help="Joins a forward op with its backward op.")
    forward_thread: int | None = field(keys=("Fwd thread id",), help="The forward op's logical thread.")
    input_dims: Sequence[Any] | None = field(keys=("Input Dims",), help="Shapes of the inputs.")
    input_types: Sequence[Any] | None = field(keys=("Input type",), help="Types of the inputs.")
    collective: str | None = field(keys=("Collective name",), help="The collective that it starts.")


@register
@attrs.frozen
class HostFrame(_Host):
    """A function of the program, as a tracer or sampler saw it."""

    name: ClassVar[str] = "host.frame"
    frame: int | None = field(keys=("Python id",), help="Number of the frame in its source.")
    caller: int | None = field(keys=("Python parent id",), help="Number of the calling frame.")


@register
@attrs.frozen
class HostRange(_Host):
    """A range that the program marked: a user annotation or an NVTX range."""

    name: ClassVar[str] = "host.range"
    external_id: int | None = field(keys=("External id",))


@attrs.frozen
class _Runtime(_Host):
    """A runtime or driver call, which its correlation joins with what it started."""

    correlation: int | None = field(keys=("correlation",), help="Joins the call with its device work.")


@attrs.frozen
class _Enqueue(_Runtime):
    """A call that enqueues or awaits work for the operator that its external id names."""

    external_id: int | None = field(keys=("External id",))


@register
@attrs.frozen
class RtLaunch(_Enqueue):
    """A runtime or driver call that launches one kernel."""

    name: ClassVar[str] = "rt.launch"


@register
@attrs.frozen
class RtGraphLaunch(_Enqueue):
    """A runtime call that launches a recorded graph: one call, many kernels."""

    name: ClassVar[str] = "rt.graph_launch"


@register
@attrs.frozen
class RtMemcpy(_Enqueue):
    """A runtime call that copies memory."""

    name: ClassVar[str] = "rt.memcpy"


@register
@attrs.frozen
class RtMemset(_Enqueue):
    """A runtime call that sets memory."""

    name: ClassVar[str] = "rt.memset"


@register
@attrs.frozen
class RtSync(_Enqueue):
    """A runtime call that blocks until device work is done."""

    name: ClassVar[str] = "rt.sync"


@register
@attrs.frozen
class RtAlloc(_Runtime):
    """A runtime call that allocates or frees device memory (such calls block)."""

    name: ClassVar[str] = "rt.alloc"


@register
@attrs.frozen
class RtCall(_Runtime):
    """Any other runtime or driver call, and the profiler's own overhead on a thread."""

    name: ClassVar[str] = "rt.call"


@register
@attrs.frozen
class DevKernel(_Device):
    """A kernel on a device stream."""

    name: ClassVar[str] = "dev.kernel"
    is_work: ClassVar[bool] = True
    correlation: int | None = field(keys=("correlation",))
    external_id: int | None = field(keys=("External id",))
    grid: Sequence[int] | None = field("blocks", keys=("grid",))
    block: Sequence[int] | None = field("threads", keys=("block",))
    registers: int | None = field("registers/thread", keys=("registers per thread",))
    shared_memory: int | None = field("B", keys=("shared memory",))
    graph: int | None = field(keys=("graph id",))
    graph_node: int | None = field(keys=("graph node id",))
    collective: str | None = field(keys=("Collective name",))
    in_elements: int | None = field("elements", keys=("In msg nelems",))
    out_elements: int | None = field("elements", keys=("Out msg nelems",))
    dtype: str | None = field(keys=("dtype",))
    group: str | None = field(keys=("Process Group Name",))
    group_ranks: str | None = field(keys=("Process Group Ranks",))
    group_size: int | None = field("ranks", keys=("Group size",))
    sequence: int | None = field(keys=("Seq",))


@register
@attrs.frozen
class DevMemcpy(_Device):
    """A copy that a device's copy engine or kernel made."""

    name: ClassVar[str] = "dev.memcpy"
    is_work: ClassVar[bool] = True
    correlation: int | None = field(keys=("correlation",))
    external_id: int | None = field(keys=("External id",))
    bytes: int | None = field("B", keys=("bytes",))


@register
@attrs.frozen
class DevMemset(_Device):
    """A memset on a device."""

    name: ClassVar[str] = "dev.memset"
    is_work: ClassVar[bool] = True
    correlation: int | None = field(keys=("correlation",))
    external_id: int | None = field(keys=("External id",))
    bytes: int | None = field("B", keys=("bytes",))


@register
@attrs.frozen
class DevGraph(_Device):
    """A graph replay that was recorded as one row: device work, opaque inside."""

    name: ClassVar[str] = "dev.graph"
    is_work: ClassVar[bool] = True
    correlation: int | None = field(keys=("correlation",))


@register
@attrs.frozen
class DevRange(_Device):
    """A host range projected onto a stream by the profiler; not device work."""

    name: ClassVar[str] = "dev.range"
    external_id: int | None = field(keys=("External id",))


@register
@attrs.frozen
class EventRecord(_Device):
    """A device event being recorded on a stream."""

    name: ClassVar[str] = "event.record"
    correlation: int | None = field(keys=("correlation",))


@register
@attrs.frozen
class EventWait(_Device):
    """A stream waiting for an event or a context being drained; a wait, not device work."""

    name: ClassVar[str] = "event.wait"
    lanes: ClassVar[tuple[LaneKind, ...]] = ANY_LANE
    correlation: int | None = field(keys=("correlation",))
    sync_kind: str | None = field(keys=("cuda_sync_kind",))
    on_stream: int | None = field(keys=("wait_on_stream",))
    on_record: int | None = field(keys=("wait_on_cuda_event_record_corr_id",))


@register
@attrs.frozen
class MarkStep(_Host):
    """A range that marks one iteration or one engine step."""

    name: ClassVar[str] = "mark.step"
    external_id: int | None = field(keys=("External id",))


@register
@attrs.frozen
class MarkInstant(Kind):
    """A point in time that the program or the profiler marked."""

    name: ClassVar[str] = "mark.instant"


@register
@attrs.frozen
class CtrSample(Kind):
    """A sample of a counter."""

    name: ClassVar[str] = "ctr.sample"


@attrs.frozen
class _Memory(Kind):
    """What the framework's allocator says of memory taken or given back."""

    bytes: int | None = field("B", keys=("Bytes",))
    address: int | None = field(keys=("Addr",))
    device: int | None = field(keys=("Device Id",))
    device_type: int | None = field(keys=("Device Type",))
    total_allocated: int | None = field("B", keys=("Total Allocated",))
    total_reserved: int | None = field("B", keys=("Total Reserved",))


@register
@attrs.frozen
class MemAlloc(_Memory):
    """Memory taken from the framework's allocator (an instant)."""

    name: ClassVar[str] = "mem.alloc"


@register
@attrs.frozen
class MemFree(_Memory):
    """Memory given back to the framework's allocator (an instant)."""

    name: ClassVar[str] = "mem.free"


@register
@attrs.frozen
class OsSched(Kind):
    """A thread on a CPU, or a scheduling event."""

    name: ClassVar[str] = "os.sched"


@register
@attrs.frozen
class OsIrq(Kind):
    """An interrupt."""

    name: ClassVar[str] = "os.irq"


@register
@attrs.frozen
class OsFunction(Kind):
    """A kernel function or system call."""

    name: ClassVar[str] = "os.function"
    nests: ClassVar[bool] = True


@register
@attrs.frozen
class OsSample(Kind):
    """A sampled stack."""

    name: ClassVar[str] = "os.sample"
