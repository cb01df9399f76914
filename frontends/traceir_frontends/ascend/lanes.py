"""Lanes of a timeline: processes by their names, since their numbers are opaque and differ from version to version."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import attrs
import numpy as np

from traceir.ir import Array, Lane, Mask
from traceir_frontends.ascend.rows import Key, Process, Rows
from traceir_frontends.tabular.assembly import plain

Role = Literal["host", "calls", "device", "comm", "analysis"]
_ROLES: Final[Mapping[str, Role]] = {
    "python": "host", "mindspore": "host", "cann": "calls", "ascend hardware": "device", "hccl": "comm",
    "communication": "comm", "overlap analysis": "analysis",
}  # fmt: skip
_PLANE: Final = re.compile(r"\bPlane\s*(\d+)", re.IGNORECASE)
_STREAM: Final = re.compile(r"\bStream\s*(\d+)", re.IGNORECASE)
_ANALYSES: Final = frozenset({"Computing", "Communication", "Communication(Not Overlapped)", "Free"})
_ORDER: Final = ("host.thread", "dev.stream", "derived", "counter")


@attrs.frozen(eq=False)
class Lanes:
    """The lanes, the lane of each row, and of each key what its rows are and whether they are parts of collectives."""

    lanes: list[Lane]
    lane: Array
    roles: list[Role]
    parts: list[bool]
    places: dict[tuple[Any, ...], int]
    keys: list[tuple[Any, ...]]

    def of(self, code: int) -> int:
        """The lane where flows of a key begin or end, -1 if there is none."""
        return self.places.get(self.keys[code], -1)


def find_lanes(rows: Rows, key: Array, name: Array, types: Array, planned: Mask) -> Lanes:
    """The lanes in order: main thread, threads, streams, the vendor's analysis, counters. O(n log n).

    `planned` are rows that say which task of a stream they stand for, as those on planes do.
    """
    keys = list(rows.keys)
    on_plane = np.zeros(len(keys), bool)
    on_plane[key[planned]] = True
    roles = _roles(rows, keys, key, name, types, on_plane)
    numbers = devices(rows.processes, {item[2] for item, role in zip(keys, roles, strict=True) if role == "device"})
    texts, python = list(rows.names), _python(rows, keys, roles)
    groups = _groups(rows, keys, roles, on_plane)
    made: dict[tuple[Any, ...], Lane] = {}
    used = np.bincount(key, minlength=len(keys))
    where = [_place(item, role) for item, role in zip(keys, roles, strict=True)]
    for code, (item, role) in enumerate(zip(keys, roles, strict=True)):
        if used[code] and item[0] != "C" and where[code] not in made:
            made[where[code]] = _lane(rows, item, role, numbers, python, groups)
    codes = np.array([item[0] == "C" for item in keys] + [False])
    sampled = np.flatnonzero(codes[key])
    pairs, inverse = np.unique(np.stack([key[sampled], name[sampled]]).astype(np.int64), axis=1, return_inverse=True)
    for code, text in pairs.T.tolist():
        made.setdefault(("counter", keys[code][2], texts[text]), _counter(rows, keys[code][2], texts[text], numbers))
    ordered = sorted(made, key=lambda place: _order(made[place]))
    places = {place: at for at, place in enumerate(ordered)}
    lane = np.array([places.get(place, -1) for place in where] + [-1], np.int32)[key]
    found = [places["counter", keys[code][2], texts[text]] for code, text in pairs.T.tolist()]
    lane[sampled] = np.array(found, np.int32)[inverse.reshape(-1)]
    parts = [role == "comm" and item[2:] in groups and groups[item[2:]][1] is not None for item, role in
             zip(keys, roles, strict=True)]  # fmt: skip
    return Lanes([made[place] for place in ordered], lane, roles, parts, places, where)


def devices(processes: Mapping[Any, Process], hardware: Iterable[Any]) -> dict[Any, int | None]:
    """The device of each process id, None where the file does not say it.

    Process ids of newer versions hold it: host process, place in the order of processes, device, of 22, 5 and 5 bits.
    It is taken to be so where the place agrees with the order that the file gives. Several devices that do not say
    their numbers are counted off.
    """
    out: dict[Any, int | None] = {}
    for pid, process in processes.items():
        packed = isinstance(pid, int) and process.sort is not None and pid >> 10 > 0 and pid >> 5 & 31 == process.sort
        out[pid] = pid & 31 if packed and process.label != "CPU" else None
    silent = sorted((pid for pid in hardware if out.get(pid) is None), key=str)
    if len(silent) > 1:
        taken = {number for number in out.values() if number is not None}
        free = (number for number in range(len(silent) + len(taken)) if number not in taken)
        out.update(zip(silent, free, strict=False))
    return out


def _roles(rows: Rows, keys: list[Key], key: Array, name: Array, types: Array, on_plane: Mask) -> list[Role]:
    """What the rows of each key are, by the name of their process, else by its label, else by what they look like."""
    texts, typed = list(rows.names), np.zeros(len(keys), bool)
    typed[key[types != rows.types.get("", -1)]] = True
    out: list[Role] = []
    for code, (_, category, pid, _) in enumerate(keys):
        process = rows.processes.get(pid, Process())
        role = _ROLES.get(process.name.lower())
        if role is None and (category or process.label == "CPU"):
            role = "host"
        if role is None and process.label == "NPU":
            role = "analysis"
        if role is None:
            mine = np.flatnonzero(key == code)[:1]
            first = texts[name[mine[0]]] if len(mine) else ""
            role = "device" if typed[code] else "analysis" if first in _ANALYSES else "host"
            role = "comm" if on_plane[code] or first.startswith("hcom_") else role
        out.append(role)
    return out


def _place(item: Key, role: Role) -> tuple[Any, ...]:
    """What tells lanes apart: threads by their number alone, since the framework's and CANN's are the same."""
    return ("host", item[3]) if role in ("host", "calls") else ("device", item[2], item[3])


def _python(rows: Rows, keys: list[Key], roles: list[Role]) -> Any:
    """The process id of the framework, None if it is unknown."""
    named = [pid for pid, process in rows.processes.items() if process.name.lower() in ("python", "mindspore")]
    found = named or [item[2] for item, role in zip(keys, roles, strict=True) if role == "host" and item[1]]
    return found[0] if found else None


def _groups(
    rows: Rows, keys: list[Key], roles: list[Role], on_plane: Mask
) -> dict[tuple[Any, Any], tuple[int, int | None]]:
    """Of each thread of the communication: its group, counted from 0, and its plane (None: the group as a whole).

    Planes are named; where they are not, they are what says which task it stands for, in the order of the threads.
    """
    threads: dict[tuple[Any, Any], bool] = {}
    for item, role, planned in zip(keys, roles, on_plane.tolist(), strict=True):
        if role == "comm":
            threads[item[2:]] = threads.get(item[2:], False) or planned
    out: dict[tuple[Any, Any], tuple[int, int | None]] = {}
    group, last, unnamed = -1, None, 0
    for pid, tid in sorted(threads, key=_in_order):
        label = rows.threads.get((pid, tid), "")
        named = _PLANE.search(label)
        whole = named is None and (bool(label) or not threads[pid, tid])
        if whole or pid != last:
            group, unnamed = (group + 1 if pid == last else 0), 0
        last = pid
        out[pid, tid] = group, None if whole else int(named[1]) if named else unnamed
        unnamed += not whole
    return out


def _in_order(place: tuple[Any, Any]) -> tuple[Any, ...]:
    """Threads by process and number; what is no number comes last."""
    pid, tid = place
    return str(pid), not isinstance(tid, int), tid if isinstance(tid, int) else 0, str(tid)


def _lane(
    rows: Rows,
    item: Key,
    role: Role,
    numbers: Mapping[Any, int | None],
    python: Any,
    groups: Mapping[tuple[Any, Any], tuple[int, int | None]],
) -> Lane:
    _, _, pid, tid = item
    label, device = rows.threads.get((pid, tid), ""), numbers.get(pid)
    prefix = prefix_of(device)
    if role in ("host", "calls"):
        word = "main" if tid == python and python is not None else plain(tid)
        return Lane(f"cpu.{word}", "host.thread", pid=pid if python is None else python, tid=tid, label=label)
    if role == "device":
        told = _STREAM.search(label)
        stream = tid if isinstance(tid, int) else int(told[1]) if told else None
        return Lane(f"{prefix}.s{plain(stream)}", "dev.stream", device, stream, pid, tid, label)
    if role == "comm":
        group, plane = groups[pid, tid]
        word = f"g{group}" if plane is None else f"g{group}.p{plane}"
        return Lane(f"{prefix}.{word}", "dev.stream", device, None, pid, tid, label)
    process = rows.processes.get(pid, Process()).name
    word = "overlap" if process.lower() == "overlap analysis" else plain(process or pid)
    return Lane(f"{prefix}.{word}.{plain(label or tid)}", "derived", device, None, pid, tid, label)


def _counter(rows: Rows, pid: Any, name: str, numbers: Mapping[Any, int | None]) -> Lane:
    return counter_lane(rows.processes.get(pid, Process()).name, name, numbers.get(pid), pid)


def counter_lane(process: str, name: str, device: int | None, pid: Any = None) -> Lane:
    """The lane of a counter, named after its process and itself: `npu0.ctr.HBM_0_Read`, `npu0.ctr.NPU_MEM_APP_DDR`."""
    text = name if name.startswith(process) else f"{process} {name}"
    return Lane(f"{prefix_of(device)}.ctr.{plain(text)}", "counter", device, None, pid, None, text)


def prefix_of(device: int | None) -> str:
    """How the names of a device's lanes begin."""
    return f"npu{'' if device is None else device}"


def _order(lane: Lane) -> tuple[Any, ...]:
    big = 1 << 62
    device = big if lane.device is None else lane.device
    if lane.kind == "host.thread":
        return 0, lane.name != "cpu.main", str(lane.tid)
    if lane.kind == "counter":
        return 3, device, lane.name
    return _ORDER.index(lane.kind), device, big if lane.stream is None else lane.stream, lane.name
