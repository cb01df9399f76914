"""Lanes from the keys of the rows: threads, streams, counters, and what belongs to a device but to no stream."""

from __future__ import annotations

import re
from typing import Any, Final

import attrs
import numpy as np

from traceir.ir import Array, Lane
from traceir_frontends.kineto.rows import Rows

_DIGITS: Final = re.compile(r"(\d+)\D*\Z")
_ODD: Final = re.compile(r"[^A-Za-z0-9_.:-]+")
Place = tuple[str, Any, Any]


@attrs.frozen(eq=False)
class Lanes:
    """The lanes of a module, and where each key's rows lie (-1: it depends on the row, as for counters)."""

    lanes: list[Lane]
    of_key: Array
    of_place: dict[Place, int]

    def host(self, pid: Any, tid: Any) -> int:
        """The lane of a thread, or -1."""
        return self.of_place.get(("host", pid, tid), -1)

    def device(self, pid: Any, tid: Any) -> int:
        """The lane of a stream, or -1."""
        return self.of_place.get(("device", pid, tid), -1)


def find_lanes(rows: Rows, key: Array, name: Array) -> tuple[Lanes, Array]:
    """The lanes, and the lane of each row. Lanes stand in the order: main thread, threads, streams, the rest."""
    counts = np.bincount(key, minlength=len(rows.classes))
    places: dict[Place, list[int]] = {}
    texts = list(rows.names)
    counters = _counters(rows, key, name, counts)
    for code, (_, cat, pid, tid) in enumerate(rows.keys):
        if counts[code] and rows.classes[code].side != "counter":
            side = rows.classes[code].side
            places.setdefault((side, pid, cat if side == "async" else tid), []).append(code)
    main = _main(rows, counts)
    made = [
        (_order(lane), lane, place) for place, codes in places.items() for lane in [_lane(rows, place, codes, main)]
    ]
    made += [
        ((4, 0, 0), Lane(f"ctr.{_plain(texts[text])}", "counter", pid=pid), ("counter", pid, text))
        for pid, text in counters
    ]
    made.sort(key=lambda item: item[0])
    of_place = {place: at for at, (_, _, place) in enumerate(made)}
    of_key = np.full(len(rows.classes) + 1, -1, np.int32)
    for place, codes in places.items():
        of_key[codes] = of_place[place]
    lane = of_key[key]
    samples = np.flatnonzero(lane < 0)  # of counters, the only rows whose lane hangs on their name
    if len(samples):
        keys = list(rows.keys)
        pairs, which = np.unique(key[samples].astype(np.int64) * len(texts) + name[samples], return_inverse=True)
        found = [of_place["counter", keys[pair // len(texts)][2], pair % len(texts)] for pair in pairs.tolist()]
        lane[samples] = np.array(found, np.int32)[which]
    return Lanes([lane for _, lane, _ in made], of_key, of_place), lane


def _counters(rows: Rows, key: Array, name: Array, counts: Array) -> list[tuple[Any, int]]:
    """The (pid, name) of all counters, by name and then by appearance."""
    codes = [code for code, item in enumerate(rows.classes) if item.side == "counter" and counts[code]]
    if not codes:
        return []
    keys = list(rows.keys)
    at = np.flatnonzero(np.isin(key, codes))
    pairs = np.unique(np.stack([name[at], key[at]]), axis=1).T.tolist()
    return list(dict.fromkeys((keys[code][2], text) for text, code in pairs))


def _main(rows: Rows, counts: Array) -> Any:
    """The process that launches most (or has most rows, where none launches); its thread of that number is `main`."""
    totals: dict[Any, tuple[int, int]] = {}
    for code, (_, _, pid, _) in enumerate(rows.keys):
        if rows.classes[code].side == "host" and isinstance(pid, int) and pid > 0:
            calls, every = totals.get(pid, (0, 0))
            count = int(counts[code])
            totals[pid] = calls + (count if rows.classes[code].finer == "api" else 0), every + count
    return max(totals, key=lambda pid: totals[pid], default=None)


def _lane(rows: Rows, place: Place, codes: list[int], main: Any) -> Lane:
    side, pid, tid = place
    label = rows.thread_names.get((pid, tid), "")
    if side == "host":
        word = "main" if tid == pid == main and main is not None else _plain(tid)
        return Lane(f"cpu.{word}", "host.thread", pid=pid, tid=tid, label=label)
    if side == "async":
        return Lane(f"async.{_plain(tid or 'range')}", "derived", pid=pid, label=rows.process_names.get(pid, ""))
    said = [rows.device_args[code] for code in codes if code in rows.device_args]
    device = _number(pid, [device for device, _ in said])
    stream = _number(next((stream for _, stream in said if type(stream) is int), None), [tid])
    prefix = f"gpu{'' if device is None else device}"
    if isinstance(tid, int) and tid < 0:
        return Lane(f"{prefix}.sync", "derived", device=device, pid=pid, tid=tid, label=label)
    return Lane(f"{prefix}.s{_plain(tid) if stream is None else stream}", "dev.stream", device, stream, pid, tid, label)


def _number(value: Any, others: list[Any]) -> int | None:
    """The first whole number among candidates; of a text, the one that it ends with."""
    for item in (value, *others):
        if isinstance(item, int) and not isinstance(item, bool):
            return item
        found = _DIGITS.search(item) if isinstance(item, str) else None
        if found:
            return int(found.group(1))
    return None


def _order(lane: Lane) -> tuple[int, int, int]:
    if lane.kind == "host.thread":
        return (0 if lane.name == "cpu.main" else 1, 0, 0)
    big = 1 << 62
    device = big if lane.device is None else lane.device
    return (2 if lane.kind == "dev.stream" else 3, device, big if lane.stream is None else lane.stream)


def _plain(text: Any) -> str:
    """A text as part of a lane's name: letters, digits and a few signs."""
    return "unknown" if text is None else _ODD.sub("_", str(text)) or "none"
