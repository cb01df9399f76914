"""Wait against transfer, and bandwidth, of each collective: measured where ranks are seen, else bounds of them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final

import attrs
import numpy as np
import numpy.typing as npt

import traceir as tir
from traceir.ir.intervals import GroupedSpans, Spans
from traceir_passes.collectives.instances import BASES
from traceir_passes.collectives.vocabulary import HCCL, KINDS, UNKNOWN

TABLE: Final = "table:collectives"
TOGETHER: Final = frozenset({"all_reduce", "all_gather", "reduce_scatter", "all_to_all"})
"""Collectives that no rank leaves before all have come; a broadcast's root may go at once."""
Ints = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

WRITES: Final = (
    tir.Annotation(
        "coll.active", TABLE, "i64", "ns", "How long any event of it runs; gaps between its pieces do not count."
    ),
    tir.Annotation(
        "coll.notify", TABLE, "i64", "ns", "Sum of durations of the notifications before it, which is waiting.", "none"
    ),
    tir.Annotation(
        "coll.wait", TABLE, "i64", "ns",
        "Of its time, before the last member came: exact if measured, a lower bound if derived or guessed.",
        "cannot be known from one rank", "guessed",
    ),
    tir.Annotation(
        "coll.transfer", TABLE, "i64", "ns", "Of its time, the rest: exact if measured, else an upper bound.",
        "cannot be known from one rank", "guessed",
    ),
    tir.Annotation(
        "coll.wait_basis", TABLE, "enum",
        doc="Of the wait: measured against all members, derived from some or from sub-events, or guessed from the "
        "shortest of its like.",
        null="the wait is unknown", values=BASES,
    ),
    tir.Annotation(
        "coll.algbw", TABLE, "f64", "GB/s", "Bytes by time of transfer.", "bytes or time unknown, or no time at all"
    ),
    tir.Annotation(
        "coll.busbw", TABLE, "f64", "GB/s",
        "What a link carries: algbw by the share that the kind sends over it.", "algbw, kind or group size unknown",
    ),
    tir.Annotation(
        "coll.bandwidth_exact", TABLE, "bool", doc="The wait is measured; else both bandwidths are lower bounds."
    ),
)  # fmt: skip


@attrs.define(eq=False)
class Times:
    """Per instance: first start, last end, time in which it runs, and the parts that are known (-1 unknown) in ns."""

    start: Ints
    end: Ints
    active: Ints
    wait: Ints
    basis: Ints

    def learn(self, at: Ints, wait: Ints, basis: str) -> None:
        """Note the waits of some instances, unless a better source told them before."""
        new = self.basis[at] < 0
        self.wait[at[new]], self.basis[at[new]] = wait[new], BASES.index(basis)


def write(module: tir.Module, alike: int) -> tir.Module:
    """The module with times and bandwidths of its collectives. O(events + communication log communication).

    `alike` is how many like instances it takes before the shortest of them bounds the transfer of all.
    """
    times = _times(module)
    _against_members(module, times)
    _from_notify_waits(module, times)
    _against_alike(module, times, alike)
    known = times.basis >= 0
    transfer = times.active - times.wait
    exact = times.basis == BASES.index("measured")
    algbw, busbw = bandwidth(module, np.where(exact, transfer, times.active))
    return module.with_columns(
        {
            "coll.active": times.active,
            "coll.notify": _notifications(module, len(times.start)),
            "coll.wait": np.where(known, times.wait, tir.NULL_I64),
            "coll.transfer": np.where(known, transfer, tir.NULL_I64),
            "coll.wait_basis": times.basis,
            "coll.algbw": algbw,
            "coll.busbw": busbw,
            "coll.bandwidth_exact": exact,
        },
        TABLE,
    )


def extents(module: tir.Module) -> tuple[Ints, Ints]:
    """First start and last end of each instance; notifications that were joined to it do not count."""
    count, rows, number = _events(module)
    start = np.full(count, np.iinfo(np.int64).max)
    end = np.full(count, np.iinfo(np.int64).min)
    np.minimum.at(start, number, module["ts"][rows])
    np.maximum.at(end, number, module.end[rows])
    return start, end


def _events(module: tir.Module) -> tuple[int, Ints, Ints]:
    number = module["coll.instance"]
    rows = np.flatnonzero((number >= 0) & ~module.is_in("infer.role", ["comm-meta"]))
    return len(module["coll.event"]), rows, number[rows]


def _times(module: tir.Module) -> Times:
    start, end = extents(module)
    count, rows, number = _events(module)
    active = end - start
    order = np.argsort(number, kind="stable")
    bounds = np.searchsorted(number[order], np.arange(count + 1))
    for at in np.flatnonzero(np.diff(bounds) > 1).tolist():
        mine = rows[order[bounds[at] : bounds[at + 1]]]
        active[at] = Spans.of(module["ts"][mine], module.end[mine]).length
    return Times(start, end, active, np.zeros(count, np.int64), np.full(count, -1, np.int16))


def _notifications(module: tir.Module, count: int) -> Ints:
    number = module["coll.instance"]
    rows = np.flatnonzero((number >= 0) & module.is_in("infer.role", ["comm-meta"]))
    out = np.full(count, tir.NULL_I64)
    out[np.unique(number[rows])] = 0
    np.add.at(out, number[rows], module["dur"][rows])
    return out


# --- wait ------------------------------------------------------------------------------------------------------------


def _against_members(module: tir.Module, times: Times) -> None:
    """Where devices of one clock share a group, the last member's start parts wait from transfer."""
    if any(finding.code == "clock_step" for finding in module.health):
        return
    for members, complete in _matches(module, times):
        at = np.array(members)
        last = times.start[at].max()
        wait = np.maximum(np.minimum(last, times.end[at]) - times.start[at], 0)
        times.learn(at, np.minimum(wait, times.active[at]), "measured" if complete else "derived")


def _matches(module: tir.Module, times: Times) -> Iterator[tuple[list[int], bool]]:
    """The instances on several devices that are one collective, and whether all ranks of its group are among them.

    Sequence numbers say it; without them the devices' collectives have to agree in kind, type and size from first to
    last, since counting off would match the wrong ones behind the first that is missing.
    """
    groups = shared(module)
    sizes, hook = module["coll.group_size"], module["coll.hook"]
    sequence = module["coll.sequence"]
    tokens = np.stack([module["coll.kind"][module["coll.event"]], module["coll.dtype"], module["coll.bytes"]], axis=1)
    for of_device in groups:
        lists = [np.array(mine)[np.argsort(times.start[mine], kind="stable")] for mine in of_device.values()]
        every = np.concatenate(lists)
        numbered = (sequence[every] != tir.NULL_I64).all()
        if numbered and all(len(np.unique(sequence[mine])) == len(mine) for mine in lists):
            by_number: dict[int, list[int]] = defaultdict(list)
            for at, number in zip(every.tolist(), sequence[every].tolist(), strict=True):
                by_number[number].append(at)
            found = [members for members in by_number.values() if len(members) > 1]
        elif len({mine.size for mine in lists}) == 1 and all((tokens[m] == tokens[lists[0]]).all() for m in lists):
            found = np.stack(lists, axis=1).tolist()
        else:
            continue
        for members in found:
            kinds = {int(tokens[at][0]) for at in members}
            if len(kinds) == 1 and KINDS[kinds.pop()] in TOGETHER and (hook[members] == tir.NULL_I64).all():
                yield members, int(sizes[members[0]]) == len(members)


def shared(module: tir.Module) -> list[dict[int, list[int]]]:
    """For each process group that several devices of the module share, the instances of each of them, by device."""
    groups: dict[tuple[str | None, str | None], dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    keys = zip(
        module.text("coll.group"),
        module.text("coll.ranks"),
        module.device[module["coll.event"]].tolist(),
        strict=True,
    )
    for at, (group, ranks, device) in enumerate(keys):
        if group is not None and device >= 0:
            groups[group, ranks][device].append(at)
    return [dict(found) for found in groups.values() if len(found) > 1]


_WAITING: Final = re.compile(r"notify[ _]?wait", re.IGNORECASE)
_HANDSHAKE: Final = re.compile(r"rdma_?send", re.IGNORECASE)
_MOVING: Final = re.compile(r"rdma|sdma|memcpy|reduce_?inline", re.IGNORECASE)
_PART: Final = re.compile(r"notify|rdma|sdma|memcpy|reduce_?inline", re.IGNORECASE)


def _from_notify_waits(module: tir.Module, times: Times) -> None:
    """Where a collective's parts were recorded, it waited while they waited for a peer's notification.

    Of several planes the one that waited longest counts, and of its time what no plane moves data in: planes also wait
    for one another. A wait right after an RDMA send only shakes hands.
    """
    names = module.strings.texts
    if not any(_WAITING.search(name) for name in names):
        return
    told = _telling(names, _PART)
    rows = np.flatnonzero(told[module["name"]] & module.live)
    waiting = _telling(names, _WAITING)[module["name"]][rows]
    lane, ts = module["lane"][rows], module["ts"][rows]
    order = np.lexsort((ts, lane))
    rows, waiting, lane = rows[order], waiting[order], lane[order]
    send = _telling(names, _HANDSHAKE)[module["name"][rows]]
    after = np.append(False, send[:-1] & (lane[1:] == lane[:-1]))
    moving = rows[_telling(names, _MOVING)[module["name"][rows]]]
    rows, lane = rows[waiting & ~after], lane[waiting & ~after]
    at = _within(module, rows, times)
    rows, lane, at = rows[at >= 0], lane[at >= 0], at[at >= 0]
    if not len(rows):
        return
    moved_in = _within(module, moving, times)
    moving, moved_in = moving[moved_in >= 0], moved_in[moved_in >= 0]
    planes, inverse = np.unique(np.stack([at, lane]), axis=1, return_inverse=True)
    waited = _covered(module, rows, inverse.reshape(-1), planes.shape[1])  # waits beside each other count once
    most = np.zeros(len(times.start), np.int64)
    np.maximum.at(most, planes[0], waited)
    found = np.unique(at)
    moved = _covered(module, moving, moved_in, len(most))
    alone = _covered(module, np.append(moving, rows), np.append(moved_in, at), len(most)) - moved
    times.learn(found, np.minimum(most, np.minimum(alone, times.active - moved))[found].clip(0), "derived")


def _covered(module: tir.Module, rows: Ints, at: Ints, count: int) -> Ints:
    """For each of `count` collectives the time that its rows `at` it cover."""
    return GroupedSpans.of(at, module["ts"][rows], module.end[rows], count).lengths


def _telling(names: Sequence[str], pattern: re.Pattern[str]) -> Mask:
    """Which names a pattern finds, by code; the last entry is that of no name."""
    return np.array([bool(pattern.search(name)) for name in names] + [False])


def _within(module: tir.Module, rows: Ints, times: Times) -> Ints:
    """For each row the collective of its device that began last before it and ends no sooner than it, -1 if none."""
    device = module.device
    owners = device[module["coll.event"]]
    out = np.full(len(rows), -1, np.int64)
    for number in np.unique(device[rows]).tolist():
        mine = np.flatnonzero(owners == number)
        mine = mine[np.argsort(times.start[mine], kind="stable")]
        here = np.flatnonzero(device[rows] == number)
        before = np.searchsorted(times.start[mine], module["ts"][rows[here]], side="right") - 1
        fits = before >= 0
        at = mine[before[fits]]
        out[here[fits]] = np.where(module.end[rows[here[fits]]] <= times.end[at], at, -1)
    return out


def _against_alike(module: tir.Module, times: Times, alike: int) -> None:
    """The shortest of several like collectives bounds the transfer of each: what takes longer has waited.

    Alike are instances of one device that agree in kind, group, size, type and name. The wait is moved to the
    receiving half where there is one, so those are left out, and so is what has no known kind or size.
    """
    event = module["coll.event"]
    kind = module["coll.kind"][event]
    sized = (
        (module["coll.bytes"] != tir.NULL_I64) & (kind != KINDS.index(UNKNOWN)) & (module["coll.hook"] == tir.NULL_I64)
    )
    at = np.flatnonzero(sized & (module["coll.dtype"] >= 0))
    if not len(at):
        return
    key = np.stack(
        [
            kind[at], module["coll.group"][at], module["coll.ranks"][at], module["coll.bytes"][at],
            module["coll.dtype"][at], _names(module, event[at]), module.device[event[at]], module["coll.kernels"][at],
        ]
    )  # fmt: skip
    _, inverse, counts = np.unique(key, axis=1, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(-1)
    shortest = np.full(len(counts), np.iinfo(np.int64).max)
    np.minimum.at(shortest, inverse, times.active[at])
    enough = counts[inverse] >= alike
    at, least = at[enough], shortest[inverse][enough]
    times.learn(at, times.active[at] - least, "guessed")


def _names(module: tir.Module, rows: Ints) -> Ints:
    """A number for the name of each row; HCCL's names, which count operations, agree without these numbers."""
    codes, inverse = np.unique(module["name"][rows], return_inverse=True)
    seen: dict[str, int] = {}
    told = [module.strings[code] for code in codes.tolist()]
    told = [HCCL.sub("", name) if name.startswith("hcom_") else name for name in told]
    return np.array([seen.setdefault(name, len(seen)) for name in told], np.int64)[inverse.reshape(-1)]


# --- bandwidth -------------------------------------------------------------------------------------------------------


def bandwidth(module: tir.Module, time: Ints) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """`algbw` and `busbw` of each instance in GB/s, NaN where unknown, if it took `time` ns to transfer.

    busbw is algbw × 2(n-1)/n for an all-reduce of n ranks, × (n-1)/n for all-gather, reduce-scatter and all-to-all,
    × 1 for broadcast, reduce and point to point. The size of a gather or scatter differs from rank to rank: unknown.
    """
    size, ranks = module["coll.bytes"], module["coll.group_size"]
    known = (size != tir.NULL_I64) & (time > 0)
    algbw = np.where(known, size / np.maximum(time, 1), np.nan)
    n = np.where(ranks > 1, ranks, np.nan).astype(float)
    factors = {"all_reduce": 2 * (n - 1) / n}
    factors |= dict.fromkeys(("all_gather", "reduce_scatter", "all_to_all"), (n - 1) / n)
    factors |= dict.fromkeys(("broadcast", "reduce", "send_recv"), np.ones(len(n)))
    factor = np.full(len(n), np.nan)
    kind = module["coll.kind"][module["coll.event"]]
    for name, values in factors.items():
        factor = np.where(kind == KINDS.index(name), values, factor)
    return algbw, algbw * factor
