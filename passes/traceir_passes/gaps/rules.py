"""The rules: three parts and one class for every gap, by what its next event's launch and the host were doing."""

from __future__ import annotations

from functools import cached_property

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Ints, Mask, Module, Selection, Spans, expand
from traceir_passes.gaps.find import Line, grouped
from traceir_passes.gaps.host import Blocks, blocking, graph_launches, of_several, processes, queries
from traceir_passes.gaps.waits import Waits, waits

CLASSES = (
    "graph_internal", "other_stream", "launch_latency", "host_late", "host_sync", "after_sync", "queue_latency",
    "unknown_no_launch", "unexplained",
)  # fmt: skip
"""The classes of gaps, in the order in which reports list them."""
BY = ("kernel", "memory")
MEANWHILE = ("kernel", "memory", "wait")
_CODE = {name: code for code, name in enumerate(CLASSES)}
_NONE: Array = np.empty(0, np.int64)


@attrs.frozen
class Limits:
    """The thresholds of the rules; see the options of the pass."""

    late: int
    late_share: float
    host_share: float
    cover: float
    blocked: float
    queue: int


@attrs.frozen(eq=False)
class Verdict:
    """What the rules say of the gaps of one line, one entry per gap.

    `kind` is a position in `CLASSES`. The parts `host`, `call` and `post` sum to the gap, and are null where its
    next event has no launch. `cover` is the time that other lanes of the device work, `by` a position in `BY` (-1
    unless the class is other_stream), `meanwhile` one in `MEANWHILE` for what ran most (-1 nothing did), `waited` the
    row of the event wait that held the next event back and `sync` that of the blocking call that emptied the queue
    (-1 if none). `until` is where the host part ends.
    """

    kind: Ints
    host: Ints
    call: Ints
    post: Ints
    cover: Ints
    by: Ints
    meanwhile: Ints
    waited: Array
    awaited: Array
    sync: Array
    launch: Array
    until: Ints
    graph_entry: Mask


@attrs.frozen(eq=False, slots=False)
class Facts:
    """What the rules look up, computed once for a module."""

    module: Module
    limits: Limits

    @cached_property
    def waits(self) -> Waits:
        """The event waits whose awaited work is known."""
        return waits(self.module)

    @cached_property
    def process(self) -> tuple[Ints, int]:
        """The process of each lane, and their number."""
        return processes(self.module)

    @cached_property
    def blocks(self) -> list[Blocks]:
        """The blocking calls of each process."""
        rows = np.flatnonzero(self.blocks_itself)
        mine = grouped(self.process[0][self.module["lane"][rows]])
        return [Blocks.of(self.module, rows[mine.get(number, _NONE)]) for number in range(self.process[1])]

    @cached_property
    def blocks_itself(self) -> Mask:
        """Which rows are host calls that block."""
        return blocking(self.module)

    @cached_property
    def asks(self) -> Mask:
        """Which rows are host calls that ask whether device work is done."""
        return queries(self.module)

    @cached_property
    def is_memory(self) -> Mask:
        """Which rows are copies or memsets on a device."""
        return self.module.is_kind("dev.memcpy", "dev.memset")

    @cached_property
    def work_on(self) -> dict[int, Array]:
        """The rows of work of each lane that did some, in order."""
        work = np.flatnonzero(self.module.work)
        return {lane: work[at] for lane, at in grouped(self.module["lane"][work]).items()}

    @cached_property
    def step(self) -> Array | None:
        """For each row the region of its step, -1 for none; None without a tree of steps."""
        return self.module.tree("steps").at("step") if self.module.has_tree("steps") else None

    @cached_property
    def is_graph(self) -> Mask:
        """Which rows are launches of graphs."""
        return graph_launches(self.module)

    @cached_property
    def calls_launch_several(self) -> bool:
        """Whether calls that are no graph launches launched several kernels each: then sharing one says no graph."""
        return bool((~self.is_graph[of_several(self.module)[0]]).any())

    @cached_property
    def busy(self) -> dict[int, Spans]:
        """When each device that did work did."""
        return self._by_device(np.flatnonzero(self.module.work))

    @cached_property
    def copies(self) -> dict[int, Spans]:
        """When each device that copied or set memory did."""
        return self._by_device(np.flatnonzero(self.module.work & self.is_memory))

    def _by_device(self, rows: Array) -> dict[int, Spans]:
        start, end = self.module["ts"][rows], self.module.end[rows]
        return {number: Spans.of(start[at], end[at]) for number, at in grouped(self.module.device[rows]).items()}


def judge(line: Line, facts: Facts) -> Verdict:
    """Class and parts of every gap of a line; first rule that holds wins. O((gaps + calls) log)."""
    module, limits = facts.module, facts.limits
    a, b, size = line.start, line.end, line.dur
    launch = module.launch[line.next]
    launched = launch >= 0
    c0, c1 = (np.where(launched, times[launch], a) for times in (module["ts"], module.end))
    until = np.clip(c0, a, b)
    host = until - a
    call = np.maximum(np.minimum(b, c1) - np.maximum(a, c0), 0)
    post = size - host - call
    cover = facts.busy[line.device].covered(a, b)
    copying = facts.copies.get(line.device, Spans.empty()).covered(a, b)
    covered = cover >= limits.cover * size
    waited, awaited = held_back(line, facts, np.where(launched, c0, a))
    blocked, sync = _blocked(line, facts, launch, until)
    graph = np.where(launched, facts.is_graph[launch], False)
    rules: list[tuple[Mask, Mask | str]] = [
        (_same_graph(line, facts, launch, graph), "graph_internal"),
        (waited >= 0, "other_stream"),
        (~launched & covered, "other_stream"),
        (~launched, "unknown_no_launch"),
    ]
    late = c0 >= a
    overdue = late & (post > np.maximum(limits.late, limits.late_share * size))
    rules += [
        (overdue & covered, "other_stream"),
        (overdue, "unexplained"),
        (late & (host < limits.host_share * size) & ~facts.blocks_itself[launch], "launch_latency"),
        (late & (host > 0) & (blocked >= limits.blocked * host), "host_sync"),
        (late & (sync >= 0), "after_sync"),
        (late, "host_late"),
        (covered, "other_stream"),
        (c1 > a, "launch_latency"),
        (size <= limits.queue, "queue_latency"),
    ]
    kind = np.select([mask for mask, _ in rules], [_CODE[str(name)] for _, name in rules], _CODE["unexplained"])
    elsewhere = kind == _CODE["other_stream"]
    memory = np.where(
        waited >= 0,
        facts.is_memory[awaited],
        2 * copying > cover,
    )
    null = np.where(launched, 0, tir.NULL_I64)
    return Verdict(
        kind=kind,
        host=np.where(launched, host, null),
        call=np.where(launched, call, null),
        post=np.where(launched, post, null),
        cover=cover,
        by=np.where(elsewhere, memory.astype(np.int64), -1),
        meanwhile=np.select([2 * copying > cover, cover > 0, waited >= 0], [1, 0, 2], -1),
        waited=waited,
        awaited=awaited,
        sync=np.where(kind == _CODE["after_sync"], sync, -1),
        launch=launch,
        until=until,
        graph_entry=launched & graph & (c0 < a) & (module.launch[line.prev] != launch),
    )


def _same_graph(line: Line, facts: Facts, launch: Array, graph: Mask) -> Mask:
    """Whether both ends of a gap belong to one replay: by launch, or without launches by their correlation.

    Where calls of the trace launch several kernels without a graph, a correlation shared says nothing.
    """
    module = facts.module
    before = module.launch[line.prev]
    same = graph & (before == launch)
    open_ = np.flatnonzero((launch < 0) & (before < 0) & ~facts.calls_launch_several)
    ends = [Selection(module, rows[open_]).field("correlation") for rows in (line.prev, line.next)]
    same[open_] = [one is not None and one == other and one > 0 for one, other in zip(*ends, strict=True)]
    return np.asarray(same, bool)


def _blocked(line: Line, facts: Facts, launch: Array, until: Ints) -> tuple[Ints, Array]:
    """How long the launching process was blocked in the host part, and the call that emptied the queue before it."""
    covered, sync = np.zeros(len(line), np.int64), np.full(len(line), -1, np.int64)
    lane = facts.module["lane"][launch]
    process = np.where(launch >= 0, facts.process[0][lane], -1)
    for number, mine in grouped(process).items():
        if number < 0:
            continue
        calls = facts.blocks[number]
        covered[mine] = calls.spans.covered(line.start[mine], until[mine])
        sync[mine] = calls.returned(line.start[mine], until[mine])
    return covered, sync


def held_back(line: Line, facts: Facts, asked: Ints) -> tuple[Array, Array]:
    """For each gap the event wait that held its next event back and the work waited for; -1 if there is none.

    A wait counts if it was put on the next event's lane after the event before it there and not after the event
    itself, and if what it waited for ended within the gap, or where the gap begins, when the event was already
    launched. Of several, the one whose work ended last. O((gaps + waits) log waits).
    """
    out = np.full((2, len(line)), -1, np.int64)
    known = facts.waits
    if not len(known):
        return out[0], out[1]
    for which, mine in grouped(facts.module["lane"][line.next]).items():
        here = known.on(which)
        if len(here):
            out[:, mine] = _last_released(line, here, mine, _window(line, facts, mine, asked[mine], which), asked[mine])
    return out[0], out[1]


def _window(line: Line, facts: Facts, mine: Array, asked: Ints, lane: int) -> tuple[Ints, Ints]:
    """The instants between which a wait has to be asked to stand between a gap's next event and the one before."""
    module, work = facts.module, facts.work_on[lane]
    at = np.searchsorted(work, line.next[mine]) - 1
    before = np.where(at >= 0, work[np.maximum(at, 0)], -1)
    launch = module.launch[before]
    enqueued = module["ts"][np.where(launch >= 0, launch, before)]
    launched = module.launch[line.next[mine]] >= 0
    last = np.where(launched, asked, module["ts"][line.next[mine]])
    return np.where(before >= 0, enqueued, np.iinfo(np.int64).min), last


def _last_released(line: Line, here: Waits, mine: Array, window: tuple[Ints, Ints], asked: Ints) -> tuple[Array, Array]:
    first, last = (
        np.searchsorted(here.asked, window[0], side="left"),
        np.searchsorted(here.asked, window[1], side="right"),
    )
    owner, which = expand(first, np.maximum(last - first, 0))
    released = here.released[which]
    good = (released >= np.maximum(line.start[mine], asked)[owner]) & (released <= line.end[mine][owner])
    owner, which = owner[good], which[good]
    order = np.lexsort((which, here.released[which]))
    out = np.full((2, len(mine)), -1, np.int64)
    out[0, owner[order]], out[1, owner[order]] = here.rows[which[order]], here.awaited[which[order]]
    return out[0], out[1]
