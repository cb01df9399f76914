"""Joining the kernels of a profile to those of a timeline: by name and launch shape, the n-th to the n-th."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array
from traceir_passes.infer import parse

Sort = tuple[str, tuple[Any, ...] | None, tuple[Any, ...] | None]
"""A kernel's name, grid and block."""
FIGURES: Final[Mapping[str, tuple[str, ...]]] = {
    "sm": ("sm__throughput.avg.pct_of_peak_sustained_elapsed", "Compute (SM) Throughput"),
    "memory": (
        "gpu__compute_memory_throughput.avg.pct_of_peak_sustained_elapsed",
        "gpu__compute_memory_access_throughput.avg.pct_of_peak_sustained_elapsed", "Memory Throughput",
    ),
    "dram": (
        "gpu__dram_throughput.avg.pct_of_peak_sustained_elapsed", "dram__throughput.avg.pct_of_peak_sustained_elapsed",
        "DRAM Throughput",
    ),
    "occupancy": ("sm__warps_active.avg.pct_of_peak_sustained_active", "Achieved Occupancy"),
}  # fmt: skip
"""Shares of a peak, in per cent, under the names of the pages raw and details."""
_RATE: Final = ("dram__bytes.sum.per_second",)
_BYTES: Final = (("dram__bytes.sum",), ("dram__bytes_read.sum", "dram__bytes_write.sum"))
_TIME: Final = ("gpu__time_duration.sum", "gpu__time_duration.avg", "Duration")


@attrs.frozen
class Profiled:
    """What a profile says of one kernel; shares of 1, bytes a second, None where it was not recorded."""

    sm: float | None
    memory: float | None
    dram: float | None
    occupancy: float | None
    bandwidth: float | None


@attrs.frozen(eq=False)
class Joined:
    """For each kernel of the timeline (`rows`) its metrics, None if it has none, and whether they are its own."""

    rows: Array
    found: Sequence[Profiled | None]
    own: Sequence[bool]
    unused: int
    """Kernels of the profile that the timeline has no partner for."""


def profiled(args: Mapping[str, Any]) -> Profiled:
    """The figures among the metrics of one kernel."""
    metrics = args.get("metrics")
    known = metrics if isinstance(metrics, Mapping) else {}

    def number(names: Sequence[str]) -> float | None:
        values = (known[name] for name in names if name in known)
        return next((float(value) for value in values if isinstance(value, int | float)), None)

    shares = {figure: number(names) for figure, names in FIGURES.items()}
    rate, time = number(_RATE), number(_TIME)
    if rate is None and time:
        for names in _BYTES:
            parts = [number((name,)) for name in names]
            if None not in parts:
                rate = sum(part for part in parts if part is not None) * 1e9 / time
                break
    return Profiled(**{key: None if value is None else value / 100 for key, value in shares.items()}, bandwidth=rate)


def join(module: tir.Module, profile: tir.Module, *, spread: bool) -> Joined:
    """Give kernels of `module` the metrics of those of `profile` that are the same.

    Two are the same if their names agree (without return type, arguments and clone suffixes) and, where both sides
    know them, grid and block. Of as many the n-th in time belongs to the n-th. A profiler replays only some launches:
    with `spread` the others of a sort get the median of its metrics, which are then not their own. O(n log n).
    """
    rows = np.flatnonzero(module.work & module.is_kind("dev.kernel"))
    rows = rows[np.argsort(module["ts"][rows], kind="stable")]
    theirs = np.flatnonzero(profile.live & profile.is_kind("dev.kernel"))
    names = {parse(name or "").path for name in profile.strings.decode(profile["name"][theirs])}
    wanted = np.array([parse(text).path in names for text in module.strings.texts] + [False])
    chosen = rows[wanted[module["name"][rows]]]
    mine = _sorts(module, chosen, _args(module, chosen))
    told = _args(profile, theirs)
    sorts: dict[Sort, list[Profiled]] = defaultdict(list)
    names_alone: dict[str, list[Profiled]] = defaultdict(list)
    for key, item in zip(_sorts(profile, theirs, told), told, strict=True):
        figures = profiled(item)
        sorts[key].append(figures)
        names_alone[key[0]].append(figures)
    partners = {key: _partners(key, sorts, names_alone) for key in dict.fromkeys(mine)}
    return _paired(rows, chosen, mine, partners, len(theirs), spread=spread)


def _partners(
    key: Sort, sorts: Mapping[Sort, list[Profiled]], names_alone: Mapping[str, list[Profiled]]
) -> list[Profiled]:
    """The profiled kernels of a sort; where either side records no launch shape, those of its name."""
    name = key[0]
    if key[1:] == (None, None):
        return names_alone.get(name, [])
    return sorts.get(key) or sorts.get((name, None, None), [])


def _paired(
    rows: Array,
    chosen: Array,
    mine: Sequence[Sort],
    partners: Mapping[Sort, list[Profiled]],
    count: int,
    *,
    spread: bool,
) -> Joined:
    """The n-th of each sort to the n-th; `count` is the number of kernels of the profile."""
    seen: dict[Sort, int] = defaultdict(int)
    medians: dict[Sort, Profiled] = {}
    found: dict[int, tuple[Profiled, bool]] = {}
    for row, key in zip(chosen.tolist(), mine, strict=True):
        items = partners[key]
        number = seen[key]
        seen[key] += 1
        if number < len(items):
            found[row] = items[number], True
        elif spread and items:
            if key not in medians:
                medians[key] = _median(items)
            found[row] = medians[key], False
    answers = [found.get(row) for row in rows.tolist()]
    return Joined(
        rows,
        [None if answer is None else answer[0] for answer in answers],
        [answer is not None and answer[1] for answer in answers],
        max(count - sum(own for _, own in found.values()), 0),
    )


def _args(module: tir.Module, rows: Array) -> Sequence[Mapping[str, Any]]:
    return tir.Selection(module, rows).args() if len(rows) else []


def _sorts(module: tir.Module, rows: Array, args: Sequence[Mapping[str, Any]]) -> list[Sort]:
    """Name and launch shape of each kernel; None for a shape that is not recorded."""
    paths = [parse(name or "").path for name in module.strings.decode(module["name"][rows])]
    return [(path, _shape(item, "grid"), _shape(item, "block")) for path, item in zip(paths, args, strict=True)]


def _shape(args: Mapping[str, Any], name: str) -> tuple[Any, ...] | None:
    value = args.get(name)
    return tuple(value) if isinstance(value, list | tuple) else None


def _median(items: Sequence[Profiled]) -> Profiled:
    def middle(name: str) -> float | None:
        values = [value for item in items if (value := getattr(item, name)) is not None]
        return float(np.median(values)) if values else None

    return Profiled(**{field.name: middle(field.name) for field in attrs.fields(Profiled)})
